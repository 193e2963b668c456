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
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import logs, minding, notify
from agent.adopt import Watched, keep_fixed
from agent.language import english
from agent.model import UTC_DAY_MS

if TYPE_CHECKING:
    from agent.config import Config
    from agent.storage.keep.keeper import Keeper
    from agent.storage.keep.rollover import Rules

HUNG_S = 300.0
"""A keeper that has not come round for so long ends itself, with a traceback: whoever started it starts it again. Long,
since a disk may take its time; the alarm for what stays too long is due within the hour."""

LOOK_S = 2.0
ORDERS_S = 0.2
"""How often, between two turns, it looks for an order: a picture is waited for, and who takes one back does not want to
wait for its end (F12)."""
SHORTER_S = 60.0
"""A configuration that lets recordings go sooner must have stood for so long: what a slip of the hand erases is not
to be had back."""

log = logging.getLogger("pasu.keep")


class Following:
    """Follows agent.toml for the keeper: how long recordings are kept, who answers for it, and where the page is."""

    def __init__(self, config: Config, now_s: float) -> None:
        """Begin with what the keeper was started with. now_s: monotonic."""
        self._config = config
        self._file = Watched((config.file,))
        self._next_s = now_s
        self._waiting: Config | None = None
        self._due_s = 0.0

    def look(self, now_s: float) -> Config | None:
        """Return a configuration by which the keeper has other work than before, once it is to be followed."""
        if now_s < self._next_s:
            return None
        self._next_s = now_s + LOOK_S
        if self._file.settled():
            self._waiting = self._read()
            if self._waiting is not None:
                shorter = _keeps_less(self._config, self._waiting)
                self._due_s = now_s + (SHORTER_S if shorter else 0.0)
        if self._waiting is None or now_s < self._due_s or not self._file.known():
            return None
        self._config, self._waiting = self._waiting, None
        return self._config

    def _read(self) -> Config | None:
        from agent.config import ConfigProblems, load

        try:
            config = keep_fixed(self._config, load(self._config.file))
        except ConfigProblems as error:  # the recorder names each of them
            log.warning("the new configuration is not followed: %s", error)
            return None
        return config if _work(config) != _work(self._config) else None


def _work(config: Config) -> tuple[Rules, Path | None]:
    """Return what a keeper is made anew for: its rules, and whose visits it makes facts of."""
    return rules_of(config), page_folder(config)


def _keeps_less(old: Config, new: Config) -> bool:
    """Tell whether anything is kept for less time; cameras that are in neither are kept as long as the box says."""
    before, after = rules_of(old), rules_of(new)
    cameras = {*before.retention_ms, *after.retention_ms, ""}
    return any(after.retention_of(camera) < before.retention_of(camera) for camera in cameras)


def keep(config: Config) -> int:
    """Keep until SIGTERM or SIGINT; return the exit status.

    Raises  StorageFault KEEPING_ALREADY
    """
    import resource

    from agent.storage.locks import only_keeper

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the signing key
    logs.to_stderr()
    notifier = notify.take()
    lock = only_keeper(config.storage.state.absolute())

    def beat() -> None:
        faulthandler.dump_traceback_later(HUNG_S, exit=True)
        notifier.alive()

    keeper = make_keeper(config, beat=beat)
    orders = config.storage.state.absolute() / "exchange" / "orders"
    following = Following(config, time.monotonic())
    with english(), minding.woken_by(signal.SIGTERM, signal.SIGINT) as (stopped, wake):
        log.info("keeping %s", config.box.id)
        while not stopped:
            beat()
            known = _mark(orders)
            pause_s = keeper.tick()
            notifier.ready()
            if (newer := following.look(time.monotonic())) is not None:
                log.info("other rules of keeping: %s; page: %s", rules_of(newer), page_folder(newer))
                keeper.close()
                keeper = make_keeper(newer, beat=beat)
            if not stopped:
                _wait(wake, pause_s, orders, known)
    notifier.stopping()
    faulthandler.cancel_dump_traceback_later()
    keeper.close()
    os.close(lock)
    log.info("kept until told to stop")
    return 0


def _wait(wake: int, pause_s: float, orders: Path, known: int) -> None:
    """Wait until the next turn is due, a signal came, or the uplink has put an order where it was `known` before."""
    end_s = time.monotonic() + pause_s
    while (left_s := end_s - time.monotonic()) > 0:
        if select.select([wake], [], [], min(left_s, ORDERS_S))[0] or _mark(orders) != known:
            return


def _mark(folder: Path) -> int:
    """Return what changes when something is put into a folder; 0 for one that is not there."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def rules_of(config: Config) -> Rules:
    """Return how long recordings are kept, and who answers for it."""
    from agent.storage.keep.rollover import Rules

    return Rules(
        {camera.id: camera.retention_days * UTC_DAY_MS for camera in config.cameras},
        config.storage.retention_days * UTC_DAY_MS,
        config.box.operator,
        {camera.id: camera.hours for camera in config.cameras if camera.hours},
    )


def page_folder(config: Config) -> Path | None:
    """Return the folder of passes and visits; None where there is no page."""
    return config.page.folder if config.page else None


def make_keeper(config: Config, **more: Any) -> Keeper:
    """Make the keeper that a configuration asks for; `more` goes to it as it is."""
    from agent.storage import updated
    from agent.storage.keep.keeper import Keeper
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
    return Keeper(
        config.box.id,
        rules_of(config),
        state,
        storage.vaults,
        TimeKeeper(state, storage.vaults),
        config=config.file,
        run=run,
        page=page_folder(config),
        program=Path(__file__).parent,
        updated=updated.PLACE,
        watch=Watch(run).look,
        **more,
    )


if __name__ == "__main__":
    sys.exit(minding.be_child(sys.argv[1:], keep))
