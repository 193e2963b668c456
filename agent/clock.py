"""Time as the rest of Pasu sees it: a monotonic clock that never steps, and UTC with a trust."""

from __future__ import annotations

import ctypes
import time
from functools import lru_cache
from typing import Protocol

from agent.model import Instant, Trust

TRUST_S = 5.0  # the kernel's state is asked this often at most
STA_UNSYNC = 0x0040  # linux/timex.h: the kernel's clock is not disciplined


class Clock(Protocol):
    """What a loop asks the time of; tests hand in their own."""

    def monotonic(self) -> float:
        """Return seconds on a clock that only moves forward, at one second per second."""
        ...

    def now(self) -> Instant:
        """Return UTC with its trust."""
        ...


class SystemClock:
    """The machine's clocks.

    CLOCK_BOOTTIME is used as the monotonic clock, so that a suspended box sees the time it slept.
    """

    def __init__(self) -> None:
        self._trust = Trust.UNTRUSTED
        self._trust_until = 0.0

    def monotonic(self) -> float:
        """Return seconds since boot, sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> Instant:
        """Return UTC; the kernel's synchronisation state is asked every TRUST_S."""
        mono = self.monotonic()
        if mono >= self._trust_until:
            self._trust = kernel_trust()
            self._trust_until = mono + TRUST_S
        return Instant(time.time_ns() // 1_000_000, self._trust)


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), as far as `status`; the rest is room for what the kernel writes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_char * 256),
    )


def kernel_trust() -> Trust:
    """Ask the kernel whether its clock is disciplined: SYNCED, else HOLDOVER.

    HOLDOVER and not UNTRUSTED: a clock that nobody disciplines is usually right, and recording labels with it.
    What may erase by it is decided where erasing is decided.
    """
    timex = _Timex()
    state = _libc().adjtimex(ctypes.byref(timex))
    if state < 0 or timex.status & STA_UNSYNC:
        return Trust.HOLDOVER
    return Trust.SYNCED
