"""Seeing to it that a process of Pasu lives, and what its own life has in common with that of the others."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.health import read_health, silent_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.config import Config

KILLED_S = 360.0
"""One that says nothing for so long is killed; each process ends itself sooner when it does not come round."""
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_S = 60.0  # one that lived so long begins with the first pause again
STOP_S = 15.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

log = logging.getLogger("pasu.run")


class Minder:
    """Runs a process of Pasu as a child, for `pasu run`; starts it again when it dies or hangs (I5)."""

    def __init__(
        self, process: str, module: str, config: Config, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Start nothing yet.

        process  the name of its health file
        module   what is run, which ends in `be_child`
        wanted   whether to start it now; asked each time
        """
        self._process = process
        self._command = (sys.executable, "-P", "-m", module, str(config.file), str(os.getpid()))
        self._run = config.storage.run
        self._wanted = wanted
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
            if now >= self._next_s and self._wanted():
                self._start(now)
            return
        status = self._child.poll()
        if status is not None:
            lived_s = now - self._started_s
            self._failures = 0 if lived_s >= STEADY_S else self._failures + 1
            pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
            log.error("%s ended with status %d; it starts again in %.0f s", self._process, status, pause_s)
            self._child = None
            self._next_s = now + pause_s
            return
        silent = silent_s(read_health(self._run, self._process), now)
        heard_s = self._started_s if silent is None else max(self._started_s, now - silent)
        if now - heard_s > killed_s:
            log.error("%s is silent for %.0f s and is killed", self._process, now - heard_s)
            self._child.kill()

    def _start(self, now: float) -> None:
        try:
            self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
            self._started_s = now
        except OSError as error:  # no memory for it just now, say
            log.error("%s cannot be started: %s", self._process, error.strerror)  # noqa: TRY400 - that is all there is
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
def woken_by(*signals: signal.Signals) -> Iterator[tuple[list[int], int]]:
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


def be_child(arguments: Sequence[str], work: Callable[[Config], int]) -> int:
    """Be the child of a `Minder`, do its work, and end when it ends."""
    from agent.config import load
    from agent.errors import PasuError

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    file, parent = Path(arguments[0]), int(arguments[1])
    if os.getppid() != parent:
        return 0  # it ended before it could be heard
    try:
        return work(load(file))
    except PasuError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
