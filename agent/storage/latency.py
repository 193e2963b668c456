"""How long a disk takes to make things durable, and whether that is too long. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_S = 300.0
LEAST = 60
"""Fewer syncs than these say nothing about one in a hundred."""
SLOW_S = 0.5
"""What I5 allows beside the loss window: where more than one sync in a hundred takes longer, a cut may cost more."""
QUICK_S = 0.25


class Latency:
    """The syncs of one vault. `slow_ms` may be read by another thread."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.slow_ms: int | None = None
        """What one sync in a hundred exceeds, while that is too much; goes when it is clearly less."""
        self._took: deque[tuple[float, float]] = deque()

    def took(self, seconds: float, now: float) -> None:
        """Count a sync that has just succeeded.

        now  monotonic seconds
        """
        self._took.append((now, seconds))
        while self._took[0][0] < now - WINDOW_S:
            self._took.popleft()
        if len(self._took) < LEAST:
            return
        longest = sorted(length for _, length in self._took)
        p99_s = longest[len(longest) * 99 // 100]
        limit_s = SLOW_S if self.slow_ms is None else QUICK_S
        self.slow_ms = round(p99_s * 1000) if p99_s > limit_s else None
