"""How long to wait before the next connection. Pure: time and chance are arguments."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_S = 1.0
MOST_S = 60.0
STEADY_S = 60.0
"""A connection that lived so long was a good one: the next wait begins at the least again."""
SHORT_S = 30.0
"""One that lived no longer is what a second client of our name would leave of ours; few brokers say so (mosquitto 2.0
just hangs up), so each is answered as if it were one, and a row of them is called one."""
SHORTS = 3
TAKEN_OVER_LEAST_S = 5.0  # E8: two clients of one name must not throw each other out without end
TAKEN_OVER_FOR_S = 300.0  # the condition stays until there was quiet for so long


@dataclass(slots=True)
class Backoff:
    """The waits of one uplink."""

    _failures: int = 0
    _shorts: int = 0
    _taken_over_s: float | None = None

    def failed(self, chance: float) -> float:
        """Return how long to wait after a connection that did not come about, in seconds.

        chance  from 0 to 1: a city that lost its broker must not come back in step
        """
        self._failures += 1
        self._shorts = 0  # whom another client throws out gets in again at once
        return self._wait(LEAST_S, chance)

    def ended(self, lived_s: float, now_s: float, chance: float, *, taken_over: bool) -> float:
        """Return how long to wait after a connection that came about and ended.

        lived_s     for how long it was there
        taken_over  the broker said that another client took our name
        """
        self._shorts = self._shorts + 1 if lived_s < SHORT_S else 0
        if lived_s >= STEADY_S and not taken_over:
            self._failures = 0
            return self._wait(LEAST_S, chance)
        self._failures += 1
        if taken_over or self._shorts >= SHORTS:
            self._taken_over_s = now_s
        return self._wait(TAKEN_OVER_LEAST_S if taken_over or self._shorts else LEAST_S, chance)

    def is_taken_over(self, now_s: float) -> bool:
        """Tell whether somebody has been using our name lately."""
        return self._taken_over_s is not None and now_s - self._taken_over_s < TAKEN_OVER_FOR_S

    def _wait(self, least_s: float, chance: float) -> float:
        """Return between the least and twice that for each failure in a row; never more than MOST_S."""
        most_s = min(MOST_S, least_s * 2.0 ** min(self._failures, 10))
        return least_s + (most_s - least_s) * chance
