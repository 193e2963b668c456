"""Which of several vaults a camera writes to. Pure.

Each camera has a home, by the order of the configuration round robin. A vault that fails gives its cameras to
the next that works; they return when it has worked again for ten minutes. With one vault nothing is to choose.
"""

from __future__ import annotations

from collections import deque

FAULTS = 3
FAULTS_WITHIN_S = 60.0
"""So many single faults (a bad block, a loose cable) in so short a time, and the disk counts as failing."""
RETURN_S = 600.0
AT_ONCE = frozenset(
    {
        "DISK_FULL",
        "DISK_READ_ONLY",
        "DISK_DENIED",
        "DISK_MISSING",
        "VAULT_MISSING",
        "VAULT_FOREIGN",
        "VAULT_DAMAGED",
    }
)
"""Faults that the next call would meet as well."""


class Placement:
    """What is known of each vault's health, and what follows for cameras. Times are monotonic seconds."""

    def __init__(self, vaults: int) -> None:
        """Begin with all of them well."""
        self._vaults = vaults
        self._faults: list[deque[float]] = [deque(maxlen=FAULTS) for _ in range(vaults)]
        self._failing = [False] * vaults
        self._well_since: list[float | None] = [None] * vaults

    def failing(self, vault: int) -> bool:
        """Tell whether a vault's cameras are to go elsewhere."""
        return self._failing[vault]

    def faulted(self, vault: int, code: str, now: float) -> None:
        """Count a fault of a vault."""
        faults = self._faults[vault]
        faults.append(now)
        self._well_since[vault] = None
        if code in AT_ONCE or (len(faults) == FAULTS and now - faults[0] <= FAULTS_WITHIN_S):
            self._failing[vault] = True

    def worked(self, vault: int, now: float) -> None:
        """Note that a vault has taken and synced bytes."""
        since = self._well_since[vault]
        if since is None:
            self._well_since[vault] = now
        elif now - since >= RETURN_S and self._failing[vault]:
            self._failing[vault] = False
            self._faults[vault].clear()

    def order(self, home: int) -> list[int]:
        """Return all vaults in the order in which a camera should try them: a failing one only after all others."""
        ring = [(home + step) % self._vaults for step in range(self._vaults)]
        return sorted(ring, key=lambda vault: self._failing[vault])
