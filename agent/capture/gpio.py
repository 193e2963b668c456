"""One line of a GPIO chip whose edges count. Edge."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent.capture import gpio_abi

if TYPE_CHECKING:
    from collections.abc import Callable

DEBOUNCE_US = 50_000  # contacts of buttons bounce for a few milliseconds, worn ones for twenty
DEVICES = Path("/dev")
AGAIN_S = 5.0
READ_BYTES = 64 * gpio_abi.EVENT_BYTES
_REASONS = {
    errno.ENOENT: "no such chip",
    errno.ENOTTY: "not a chip",
    errno.EACCES: "no right to open it",
    errno.EPERM: "no right to open it",
    errno.EINVAL: "no such line",
    errno.EBUSY: "another program has it",
    errno.ENODEV: "the chip is gone",
}


class Line:
    """A line, opened as often as it must be.

    away  why its edges are not heard; empty while they are
    """

    def __init__(
        self,
        chip: str,
        line: int,
        edge: str,
        *,
        devices: Path = DEVICES,
        ioctl: Callable[[int, int, bytearray], object] = fcntl.ioctl,
    ) -> None:
        """Open nothing yet.

        edge     "falling", "rising", "both"
        devices  where chips are; ioctl: the system call, for tests to stand in
        """
        self.away = "not asked yet"
        self._path = devices / chip
        self._line = line
        self._edge = edge
        self._ioctl = ioctl
        self._number: int | None = None
        self._serial = 0
        self._next_try = 0.0

    def fileno(self) -> int | None:
        """Return what becomes readable with an edge, None while there is nothing to wait for."""
        return self._number

    def turn(self, now: float) -> None:
        """Open the line where it is not, every few seconds. now: monotonic seconds."""
        if self._number is not None or now < self._next_try:
            return
        self._next_try = now + AGAIN_S
        try:
            self._number = self._open()
        except OSError as error:
            self.away = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
        else:
            self.away = ""

    def edges(self) -> int:
        """Return how many edges came since this was last asked, those that the kernel had no room for among them."""
        if self._number is None:
            return 0
        try:
            data = os.read(self._number, READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.close()
            self.away = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
            return 0
        if not data:
            self.close()
            self.away = _REASONS[errno.ENODEV]
            return 0
        found = gpio_abi.events(data)
        before, self._serial = self._serial, found[-1].serial if found else self._serial
        return (self._serial - before) & 0xFFFFFFFF

    def close(self) -> None:
        """Let go of the line."""
        if self._number is not None:
            os.close(self._number)
            self._number = None

    def _open(self) -> int:
        chip = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            asked = gpio_abi.request(self._line, self._edge, "pasu", DEBOUNCE_US)
            self._ioctl(chip, gpio_abi.GET_LINE, asked)
        finally:
            os.close(chip)  # the line has a descriptor of its own
        number = gpio_abi.descriptor(asked)
        os.set_blocking(number, False)
        os.set_inheritable(number, False)
        self._serial = 0
        return number
