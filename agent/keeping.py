"""The life of `pasu keep`: one process, one thread, no network; and those who see to it that it lives.

Composition root of keeping, as `app` is of recording; capture is never loaded here.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.health import read_health, silent_s
from agent.language import english
from agent.model import UTC_DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.config import Config
    from agent.storage.keep.keeper import Keeper

HUNG_S = 300.0
"""A keeper that has not come round for so long ends itself, with a traceback: whoever started it starts it again. Long,
since a disk may take its time; the alarm for what stays too long is due within the hour."""
KILLED_S = 360.0  # one that cannot even do that is killed
STALE_S = 60.0
"""A keeper that is silent for so long is shown as a condition by those who still speak."""
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_S = 60.0  # one that lived so long begins with the first pause again
STOP_S = 15.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

log = logging.getLogger("pasu.keep")


def keep(config: Config) -> int:
    """Keep until SIGTERM or SIGINT; return the exit status.

    Raises  StorageFault KEEPING_ALREADY
    """
    import resource

    from agent.storage.locks import only_keeper

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the signing key
    log_to_stderr()
    lock = only_keeper(config.storage.state.absolute())
    keeper = make_keeper(config)
    with english(), _woken_by(signal.SIGTERM, signal.SIGINT) as (stopped, wake):
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
        run=run,
        watch=Watch(run).look,
        beat=lambda: faulthandler.dump_traceback_later(HUNG_S, exit=True),
        **more,
    )


def log_to_stderr() -> None:
    """Send this process's log to whoever started it. It is in English: see `agent.language.english`."""
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s[%(process)d] %(message)s", stream=sys.stderr
    )


def is_silent(run: Path, boot_s: float, since_s: float) -> bool:
    """Tell whether the keeper has said nothing for too long.

    boot_s   now, seconds since boot, sleep included
    since_s  when one began to listen, by the same clock: a keeper that is yet to start is not silent
    """
    silent = silent_s(read_health(run, "keep"), boot_s)
    heard_s = since_s if silent is None else max(since_s, boot_s - silent)
    return boot_s - heard_s > STALE_S


class Minder:
    """Runs `pasu keep` as a child, for `pasu run`; starts it again when it dies or hangs (I5)."""

    def __init__(self, config: Config, command: Sequence[str] | None = None) -> None:
        """Start nothing yet. `command` is what a test starts in its place."""
        own = (sys.executable, "-P", "-m", "agent.keeping", str(config.file), str(os.getpid()))
        self._command = command or own
        self._run = config.storage.run
        self._child: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._next_s = 0.0
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """Return the child's number while there is one."""
        return self._child.pid if self._child else None

    def turn(self, *, killed_s: float = KILLED_S) -> None:
        """See to the child: to be called about every second.

        killed_s  for how long it may be silent
        """
        now = _boot_s()
        if self._child is None:
            if now >= self._next_s:
                self._start(now)
            return
        status = self._child.poll()
        if status is not None:
            lived_s = now - self._started_s
            self._failures = 0 if lived_s >= STEADY_S else self._failures + 1
            pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
            log.error("keep ended with status %d; it starts again in %.0f s", status, pause_s)
            self._child = None
            self._next_s = now + pause_s
            return
        silent = silent_s(read_health(self._run, "keep"), now)
        heard_s = self._started_s if silent is None else max(self._started_s, now - silent)
        if now - heard_s > killed_s:
            log.error("keep is silent for %.0f s and is killed", now - heard_s)
            self._child.kill()

    def _start(self, now: float) -> None:
        try:
            self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
            self._started_s = now
        except OSError as error:  # no memory for it just now, say
            log.error("keep cannot be started: %s", error.strerror)  # noqa: TRY400 - that is all there is
            self._next_s = now + PAUSES_S[-1]

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """End the child in order; false when it had to be killed."""
        if self._child is None:
            return True
        self._child.terminate()
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            return False
        finally:
            self._child = None
        return True


@contextlib.contextmanager
def _woken_by(*signals: signal.Signals) -> Iterator[tuple[list[int], int]]:
    """Note signals in a list, and have a descriptor that becomes readable with each."""
    told: list[int] = []
    wake, writing = os.pipe()
    os.set_blocking(writing, False)
    for number in signals:
        signal.signal(number, lambda got, _frame: told.append(got))
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield told, wake
    finally:
        signal.set_wakeup_fd(before)
        os.close(wake)
        os.close(writing)


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _child(arguments: Sequence[str]) -> int:
    """Be the child of a `Minder`, and end when it ends."""
    from agent.config import load
    from agent.errors import PasuError

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    file, parent = Path(arguments[0]), int(arguments[1])
    if os.getppid() != parent:
        return 0  # it ended before it could be heard
    try:
        return keep(load(file))
    except PasuError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1:]))
