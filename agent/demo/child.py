"""Programs that the demo starts: each ends with it, in order, also when the demo itself is killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STOP_S = 30.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """A program with a log, told to end by SIGTERM when this process lets go of it or is no more."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Start nothing yet."""
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, out of reach of the terminal's Ctrl-C: whoever started it ends it in order."""
        leash = (sys.executable, "-P", "-m", "agent.demo.child", str(os.getpid()), *self._command)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                leash, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def has_ended(self) -> bool:
        """Whether it ran and does not any more."""
        return self._process is not None and self._process.poll() is not None

    @property
    def last_words(self) -> str:
        """Return the end of its log."""
        with contextlib.suppress(OSError):
            return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return ""

    def tell_to_stop(self) -> None:
        """Tell it to end; `stop` waits for that."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it, and wait for it; a second call does nothing."""
        self.tell_to_stop()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(STOP_S)
        except BaseException as error:
            process.kill()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def main(arguments: Sequence[str]) -> int:
    """Become a program that is told to end when its parent ends. Arguments: the parent's number, the program."""
    parent, command = int(arguments[0]), list(arguments[1:])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # else it ended before it could be heard
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
