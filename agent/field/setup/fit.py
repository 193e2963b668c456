"""What a disk is good for: how long a power cut may cost, and for how many days it does. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.field.doctor.judge_disk import DAY_S, UNKNOWN_KBIT_S
from agent.storage.keep.retention import byte_marks

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOWS_S = (1.0, 2.0, 5.0, 10.0)
"""What is proposed. Less than a second is allowed by hand: the disk then writes more for the same video."""
MIDDLE_SHARE, SLOW_SHARE = 10, 4
"""Of the window the usual sync may take a tenth, and one in a hundred a quarter: the rest is the cameras'."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How long it takes to write what all cameras send in a second and make it durable.

    took_us      each time, microseconds
    free_bytes   for the user that records; total_bytes likewise
    """

    took_us: tuple[int, ...]
    free_bytes: int
    total_bytes: int

    @property
    def middle_ms(self) -> float:
        """Half of the times it took less."""
        return self._at(50)

    @property
    def slow_ms(self) -> float:
        """One time in a hundred it took more; of fewer than a hundred, the longest."""
        return self._at(99)

    def _at(self, hundredth: int) -> float:
        ordered = sorted(self.took_us)
        return ordered[min(len(ordered) * hundredth // 100, len(ordered) - 1)] / 1000


def window_s(cost: Cost) -> float | None:
    """Propose a loss window; None when the disk is too slow for the longest."""
    for window in WINDOWS_S:
        if cost.middle_ms * MIDDLE_SHARE <= window * 1000 and cost.slow_ms * SLOW_SHARE <= window * 1000:
            return window
    return None


def load_bytes_s(kbit_s: Sequence[int | None]) -> tuple[int, int]:
    """Return what cameras send in a second, and of how many it is a guess. kbit_s: one a camera, None: not known."""
    return sum(each or UNKNOWN_KBIT_S for each in kbit_s) * 125, sum(not each for each in kbit_s)


def tenths_of_days(total_bytes: int, load: int) -> int:
    """Return for how long a disk does, its reserve kept free. load: bytes in a second, not 0."""
    room = total_bytes - byte_marks(total_bytes, load * DAY_S).low
    return max(0, room) * 10 // (load * DAY_S)
