"""What a technician sees while turning and focusing: the picture now, and the best so far. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from agent.field.picture import Measures, Verdict, judge, middle_of

if TYPE_CHECKING:
    from collections.abc import Sequence

STEADY = 3
"""The best is the median of so many measures in a row: one picture in which the lens was touched is no peak."""
NEAR_PERMILLE = 970
"""Of the best, from which on one is at the peak."""


class Aim:
    """Follows the measures of one camera."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.now: Measures | None = None
        self.best: int | None = None
        self.seen = 0
        self._last: deque[Measures] = deque(maxlen=STEADY)

    def take(self, found: Measures) -> None:
        """Take the measures of a picture."""
        self.seen += 1
        self._last.append(found)
        self.now = middle_of(self._last)
        sharp = self.now.sharpness
        if sharp is not None and len(self._last) == STEADY:
            self.best = sharp if self.best is None else max(self.best, sharp)

    @property
    def verdict(self) -> Verdict | None:
        """Return what is to be said of the picture now; None before the first."""
        return judge(self.now) if self.now is not None else None

    @property
    def at_peak(self) -> bool:
        """Tell whether the picture is as sharp as it ever was."""
        sharp = self.now.sharpness if self.now is not None else None
        return sharp is not None and self.best is not None and sharp * 1000 >= self.best * NEAR_PERMILLE

    def to_json(self) -> dict[str, Any]:
        """Return all of it, for programs."""
        return {
            "pictures": self.seen,
            "verdict": None if self.verdict is None else str(self.verdict),
            "best": self.best,
            "at_peak": self.at_peak,
            "measures": None if self.now is None else self.now.numbers(),
        }


def bar(value: int, most: int, cells: int, marks: Sequence[int] = ()) -> str:
    """Draw a value of `most` as cells, with a mark at other values."""
    full = min(max(value, 0) * cells // most, cells)
    drawn = ["█"] * full + ["░"] * (cells - full)
    for mark in marks:
        drawn[min(max(mark, 0) * cells // most, cells - 1)] = "▲"
    return "".join(drawn)
