"""Bad signatures under somebody's key: after five within ten minutes more are not answered for ten. Pure.

Source  safety standard art. 5(6): access is limited after a number of failures
"""

from __future__ import annotations

MOST = 5
WITHIN_S = 600.0
SHUT_S = 600.0


class Offences:
    """Counts them by key. Time is an argument: seconds since boot."""

    def __init__(self) -> None:
        self._at: dict[str, list[float]] = {}
        self._until: dict[str, float] = {}

    def note(self, kid: str, now_s: float) -> bool:
        """Count one; tell whether the key is shut by it now. While it is shut no more are counted."""
        if self.is_shut(kid, now_s):
            return False
        times = [at for at in self._at.get(kid, []) if now_s - at < WITHIN_S] + [now_s]
        self._at[kid] = times
        if len(times) < MOST:
            return False
        del self._at[kid]
        self._until[kid] = now_s + SHUT_S
        return True

    def is_shut(self, kid: str, now_s: float) -> bool:
        """Tell whether bad signatures under a key are not answered now."""
        return now_s < self._until.get(kid, 0.0)

    def shut(self, now_s: float) -> frozenset[str]:
        """Return the keys under which bad signatures are not answered now."""
        return frozenset(kid for kid, until in self._until.items() if now_s < until)
