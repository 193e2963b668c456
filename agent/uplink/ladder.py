"""Which of a camera's streams a line can carry: the whole, the second one, or its keyframes alone. Pure.

Down quickly, up slowly: what is too much shows within seconds, as packets that had to be left out; whether more would
go shows only by trying, so each attempt that fails doubles the wait for the next. On the lowest step facts and health
have the line nearly to themselves; below it there is nothing but the end of the relay, which is the centre's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

WINDOW_S = 4.0
"""Left out twice within this: the stream is too much. F7 has ten seconds for all steps."""
UP_FIRST_S = 20.0
UP_MOST_S = 320.0
SETTLED_S = 10.0
"""A step that was taken up and stays for so long is one the line carries."""
ENOUGH = 0.9


class Step(IntEnum):
    """What is relayed, least first."""

    KEYFRAMES = 0
    SUB = 1
    MAIN = 2


@dataclass(slots=True)
class Ladder:
    """One relay's.

    has_sub  the camera has a second stream
    step     what is to be relayed
    """

    has_sub: bool
    step: Step = Step.MAIN
    _shed_s: float | None = None
    _since_s: float = 0.0
    _calm_s: float = 0.0
    _wait_s: float = UP_FIRST_S
    _tried: bool = False

    def begin(self, now_s: float) -> None:
        """Count from now on: a connection stands."""
        self._since_s = self._calm_s = now_s
        self._shed_s = None

    def observe(self, now_s: float, *, shed: bool, capacity: float | None, rate: float | None) -> Step:
        """Learn how it goes; return what is to be relayed from now on.

        shed      packets had to be left out since the last time
        capacity  bytes a second that the line took while more was waiting; None while that is not known
        rate      bytes a second of the stream that is relayed; None while that is not known
        """
        if shed:
            self._calm_s = now_s
            again = self._shed_s is not None and now_s - self._shed_s <= WINDOW_S
            if again or (capacity is not None and rate is not None and capacity < rate * ENOUGH):
                self._go(self._below(), now_s)
            else:
                self._shed_s = now_s
        elif self._tried and now_s - self._since_s >= SETTLED_S:
            self._tried = False
            self._wait_s = UP_FIRST_S
        elif self.step is not Step.MAIN and now_s - self._calm_s >= self._wait_s:
            self._go(self._above(), now_s)
            self._tried = True
        return self.step

    def second_is_gone(self, now_s: float) -> Step:
        """Do without the second stream from now on: the camera does not give it."""
        self.has_sub = False
        if self.step is Step.SUB:
            self._go(Step.KEYFRAMES, now_s)
        return self.step

    def _below(self) -> Step:
        return Step.SUB if self.step is Step.MAIN and self.has_sub else Step.KEYFRAMES

    def _above(self) -> Step:
        return Step.SUB if self.step is Step.KEYFRAMES and self.has_sub else Step.MAIN

    def _go(self, step: Step, now_s: float) -> None:
        if step < self.step and self._tried:
            self._wait_s = min(UP_MOST_S, self._wait_s * 2)
        self._tried = False
        self.step = step
        self.begin(now_s)


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
