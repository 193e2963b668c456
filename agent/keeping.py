"""The life of `pasu keep`: one process, one thread, no network.

Composition root of keeping, as `app` is of recording; capture is never loaded here.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Any

from agent import minding
from agent.health import read_health, silent_s
from agent.language import english
from agent.model import UTC_DAY_MS

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import Config
    from agent.storage.keep.keeper import Keeper

HUNG_S = 300.0
"""A keeper that has not come round for so long ends itself, with a traceback: whoever started it starts it again. Long,
since a disk may take its time; the alarm for what stays too long is due within the hour."""
STALE_S = 60.0
"""A keeper that is silent for so long is shown as a condition by those who still speak."""

log = logging.getLogger("pasu.keep")


def keep(config: Config) -> int:
    """Keep until SIGTERM or SIGINT; return the exit status.

    Raises  StorageFault KEEPING_ALREADY
    """
    import resource

    from agent.storage.locks import only_keeper

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the signing key
    minding.log_to_stderr()
    lock = only_keeper(config.storage.state.absolute())
    keeper = make_keeper(config)
    with english(), minding.woken_by(signal.SIGTERM, signal.SIGINT) as (stopped, wake):
        log.info("keeping %s", config.box.id)
        while not stopped:
            faulthandler.dump_traceback_later(HUNG_S, exit=True)
            pause_s = keeper.tick()
            if pause_s and not stopped:
                select.select([wake], [], [], pause_s)
    faulthandler.cancel_dump_traceback_later()
    keeper.close()
    os.close(lock)
    log.info("kept until told to stop")
    return 0


def make_keeper(config: Config, **more: Any) -> Keeper:
    """Make the keeper that a configuration asks for; `more` goes to it as it is."""
    from agent.storage.keep.keeper import Keeper
    from agent.storage.keep.rollover import Rules
    from agent.storage.keep.time import TimeKeeper
    from agent.vitals import Watch

    storage = config.storage
    state = storage.state.absolute()
    run: Path | None = storage.run
    try:
        storage.run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("no health file: %s: %s", storage.run, error.strerror)
        run = None
    rules = Rules(
        {camera.id: camera.retention_days * UTC_DAY_MS for camera in config.cameras},
        storage.retention_days * UTC_DAY_MS,
        config.box.operator,
    )
    return Keeper(
        config.box.id,
        rules,
        state,
        storage.vaults,
        TimeKeeper(state, storage.vaults),
        config=config.file,
        run=run,
        watch=Watch(run).look,
        beat=lambda: faulthandler.dump_traceback_later(HUNG_S, exit=True),
        **more,
    )


def is_silent(run: Path, boot_s: float, since_s: float) -> bool:
    """Tell whether the keeper has said nothing for too long.

    boot_s   now, seconds since boot, sleep included
    since_s  when one began to listen, by the same clock: a keeper that is yet to start is not silent
    """
    silent = silent_s(read_health(run, "keep"), boot_s)
    heard_s = since_s if silent is None else max(since_s, boot_s - silent)
    return boot_s - heard_s > STALE_S


if __name__ == "__main__":
    sys.exit(minding.be_child(sys.argv[1:], keep))
