"""Time as the rest of Pasu sees it: a monotonic clock that never steps, and UTC with a trust.

`SystemClock` labels what is recorded. What the labels follow is decided by whoever watches the clock
(agent.storage.keep.time) and published in one file; a clock without that file keeps a line of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from agent import timefile, trust
from agent.model import Instant, Trust
from agent.trust import Belief, Observation

SYNCED_S = 5.0  # the kernel's state is asked this often at most
LOOK_S = 1.0  # and the published line this often
STA_UNSYNC = 0x0040  # linux/timex.h: the kernel's clock is not disciplined
TOGETHER_MS = 50  # two clocks that were read further apart are read again
TOLD = Path("/run/pasu/clock/kernel.json")
"""What pasu-clock says of the kernel's clock, to units whose filter of system calls has none that tells."""
TOLD_MS = 15_000  # it says so every two seconds; what is older says nothing
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What a loop asks the time of; tests hand in their own."""

    def monotonic(self) -> float:
        """Return seconds on a clock that only moves forward, at one second per second."""
        ...

    def now(self) -> Instant:
        """Return UTC with its trust."""
        ...


class ClockSource(Protocol):
    """The machine's clocks, read and not judged; tests hand in their own."""

    def boot_id(self) -> str:
        """Return the kernel's name for this boot."""
        ...

    def boot_ms(self) -> int:
        """Return CLOCK_BOOTTIME: it never steps, and goes on while the box sleeps."""
        ...

    def utc_ms(self) -> int:
        """Return CLOCK_REALTIME: whatever was last set."""
        ...

    def slept_ms(self) -> int:
        """Return of CLOCK_BOOTTIME how long the box was suspended in this boot."""
        ...

    def kernel_synced(self) -> bool:
        """Tell whether a time service disciplines the kernel's clock."""
        ...


class SystemSource:
    """The clocks of the kernel."""

    def __init__(self, told: Path = TOLD) -> None:
        """Read nothing yet. told: what pasu-clock writes."""
        self._told = told

    def boot_id(self) -> str:
        """Read /proc; a system without it has one boot only."""
        return _boot_id()

    def boot_ms(self) -> int:
        """Read CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def utc_ms(self) -> int:
        """Read CLOCK_REALTIME."""
        return time.time_ns() // 1_000_000

    def slept_ms(self) -> int:
        """Read CLOCK_MONOTONIC too, which stands still meanwhile."""
        awake_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - awake_ns) // 1_000_000

    def kernel_synced(self) -> bool:
        """Ask adjtimex(3), or whoever may."""
        timex = _Timex()
        state: int = _libc().adjtimex(ctypes.byref(timex))
        if state < 0:
            return _was_told(self._told, self.boot_ms())
        return not timex.status & STA_UNSYNC


def read(source: ClockSource) -> Observation:
    """Read all clocks at one moment, as nearly as can be."""
    boot_id, synced = source.boot_id(), source.kernel_synced()
    for _ in range(5):
        before_ms = source.boot_ms()
        utc_ms = source.utc_ms()
        after_ms = source.boot_ms()
        if after_ms - before_ms <= TOGETHER_MS:
            break  # else the process was stopped, or the box slept, between the two
    return Observation(boot_id, after_ms, utc_ms, synced, slept_ms=source.slept_ms())


class SystemClock:
    """The machine's clocks, and labels that go on along the published line when somebody sets the clock.

    CLOCK_BOOTTIME is the monotonic clock, so that a suspended box sees the time it slept.
    """

    def __init__(self, state: Path | None = None, source: ClockSource | None = None) -> None:
        """Read the line that is published in a state directory; without one, keep a line from here."""
        self._source = source or SystemSource()
        self._file = state / timefile.FILE if state else None
        self._boot_id = self._source.boot_id()
        self._own: Belief | None = None
        self._published: Belief | None = None
        self._file_mark: tuple[int, int, int] | None = None
        self._look_ms = 0
        self._synced = False
        self._synced_until_ms = 0

    def monotonic(self) -> float:
        """Return seconds since boot, sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> Instant:
        """Return UTC; the kernel's synchronisation state is asked every SYNCED_S, the file every LOOK_S."""
        boot_ms = self._source.boot_ms()
        utc_ms = self._source.utc_ms()
        if boot_ms >= self._synced_until_ms:
            self._synced = self._source.kernel_synced()
            self._synced_until_ms = boot_ms + int(SYNCED_S * 1000)
        if self._file is not None and boot_ms >= self._look_ms:
            self._look(self._file)
            self._look_ms = boot_ms + int(LOOK_S * 1000)
        if self._published is not None:
            return trust.label(
                self._published,
                boot_ms,
                utc_ms,
                kernel_synced=self._synced,
                slept_ms=self._source.slept_ms(),
            )
        if self._own is None:
            self._own = trust.begin(None, Observation(self._boot_id, boot_ms, utc_ms, self._synced))
        at = self._own.line.at(boot_ms)
        # Where somebody should watch and does not, the kernel's word alone is not enough: it knows no time before.
        alone = self._file is None
        if alone and self._synced and abs(utc_ms - at) <= trust.STEP_MS and utc_ms >= trust.BUILD_MS:
            return Instant(utc_ms, Trust.SYNCED)
        return Instant(at, Trust.UNTRUSTED)

    def _look(self, file: Path) -> None:
        """Take the published line when it is another one; what cannot be read changes nothing."""
        try:
            status = os.stat(file)  # noqa: PTH116 - once a second, in every recorder
            mark = (status.st_ino, status.st_mtime_ns, status.st_size)
            if mark == self._file_mark:
                return
            belief, _ = timefile.decode(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        self._file_mark = mark
        if belief.boot_id == self._boot_id:
            self._published = belief


def _was_told(place: Path, boot_ms: int) -> bool:
    """Tell whether pasu-clock says, and said just now, that the kernel's clock is disciplined."""
    try:
        said = json.loads(place.read_bytes())
        return said["synced"] is True and 0 <= boot_ms - said["boot_ms"] <= TOLD_MS
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


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
