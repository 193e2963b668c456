"""When pictures are handed over, and when they are made durable. Pure."""

from __future__ import annotations

WINDOW_SHARE = 0.9  # of the loss window: a turn, a picture and the writing come on top of it
HANDOVERS = (
    2  # in a window: a killed process loses what it has not handed to the kernel, with the rest of a chunk
)


class Pace:
    """The rhythm of one worker, whatever its sources are."""

    def __init__(self, loss_window_s: float) -> None:
        self._step_s = loss_window_s * WINDOW_SHARE / HANDOVERS
        self._next = 0.0
        self._count = 0

    def handover_due(self, now: float) -> bool:
        """Tell whether it is time to hand over; a yes counts as done. now: monotonic seconds."""
        if now < self._next:
            return False
        self._next = now + self._step_s
        self._count += 1
        return True

    def window_ends(self, *, begun_lately: bool) -> bool:
        """Tell, after a handover, whether what was written is to be made durable.

        begun_lately  a session is so young that nothing of it may be out of this process: it does not wait
        """
        return begun_lately or self._count % HANDOVERS == 0
