"""What can be relayed of a camera, and what a line carries. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Step(IntEnum):
    """What is relayed, least first."""

    PAUSED = 0  # nothing: the line is others'
    KEYFRAMES = 1
    SUB = 2
    MAIN = 3


@dataclass(slots=True)
class Meter:
    """What a line carries, and how much comes.

    capacity  bytes a second that were acknowledged while more was waiting; None while there never was
    rate      bytes a second that came
    """

    capacity: float | None = None
    rate: float | None = None
    _at_s: float | None = None
    _acked: int = 0
    _came: int = 0
    _busy: bool = False
    _first: bool = True

    def sample(self, now_s: float, *, acked: int, came: int, waiting: bool) -> None:
        """Take the counts of the connection so far, about once a second.

        acked    bytes that the other end has acknowledged
        came     bytes that the camera has brought
        waiting  more would have gone out if the line had taken it
        """
        if self._at_s is not None and now_s > self._at_s:
            span_s = now_s - self._at_s
            if waiting and self._busy:
                self.capacity = _eased(self.capacity, (acked - self._acked) / span_s)
            if not self._first:  # what came at once since the last keyframe says nothing of the rate
                self.rate = _eased(self.rate, (came - self._came) / span_s)
            self._first = False
        self._at_s, self._acked, self._came, self._busy = now_s, acked, came, waiting


def _eased(before: float | None, now: float) -> float:
    return now if before is None else before + (now - before) / 2
