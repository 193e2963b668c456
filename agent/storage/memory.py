"""How many bytes of pictures may wait in memory for the disk, and whose give way first. Pure.

Pictures wait in two places: in the queue in front of the recorder's thread (a disk that is slow or hangs), and
at its desk (a disk that refuses). Both together stay below one limit, which follows the cameras' rate: a disk
that is away for a minute costs nothing. Cameras give way from the last of the configuration on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HOLD_S = 80.0
"""What the limit holds of the observed rate. The desk may take 4/5 of it: 64 s, of which 60 are promised."""
MOST_BYTES = 512 << 20
LEAST_BYTES = 48 << 20
"""It must exceed what a failed sync gives back: one loss window and one fragment of each camera."""
MEASURE_S = 5.0
_FADE = 0.99  # a quieter scene halves the remembered rate in six minutes
_HELD_SHARE = 0.8
_FIRST_GIVES_WAY = 0.85  # between this share and the whole, one camera after the other
_BACK_SHARE = 0.04  # a camera that gave way returns when so much has come free


def most_bytes(machine_bytes: int, cameras: int, of: int) -> int:
    """Say how much memory a worker may use for waiting pictures.

    machine_bytes  of the whole machine
    cameras, of    its cameras, and those of all workers: together they take a quarter of the machine at most
    """
    return min(MOST_BYTES, machine_bytes * cameras // (4 * max(of, cameras)))


class Memory:
    """The limit, and what is used of it.

    queued  bytes in the queue, held  bytes at the desk; each is set by one thread
    """

    def __init__(self, cameras: Iterable[str] = (), most: int = MOST_BYTES, least: int = LEAST_BYTES) -> None:
        """Take the cameras in the order of their worth; others come after them as they are seen."""
        self.queued = 0
        self.held = 0
        self._ranks = {camera: rank for rank, camera in enumerate(cameras)}
        self._refused: set[str] = set()
        self._most = most
        self._least = min(least, most)
        self._limit = self._least
        self._rate = 0.0
        self._taken = 0
        self._measured_at: float | None = None

    @property
    def limit(self) -> int:
        """Return how many bytes may wait in all."""
        return self._limit

    @property
    def held_limit(self) -> int:
        """Return how many bytes the desk may hold: with room left for the queue while the desk tries the disk."""
        return int(min(self._limit * _HELD_SHARE, max(0, self._limit - self.queued)))

    def rank(self, camera: str) -> int:
        """Return a camera's place in the order, 0 for the one that gives way last."""
        return self._ranks.setdefault(camera, len(self._ranks))

    def take(self, size: int) -> None:
        """Count what a camera hands in, for the rate."""
        self._taken += size

    def measure(self, now: float) -> None:
        """Let the limit follow the rate; monotonic seconds. To be called every second or so."""
        if self._measured_at is None:
            self._measured_at = now
        elapsed = now - self._measured_at
        if elapsed >= MEASURE_S:
            self._rate = max(self._taken / elapsed, self._rate * _FADE)
            self._taken = 0
            self._measured_at = now
            self._limit = max(self._least, min(self._most, int(self._rate * HOLD_S)))

    def room(self, camera: str) -> bool:
        """Tell whether a camera's next pictures may come; false from its threshold on until well below it."""
        waiting = self.queued + self.held
        if waiting < self._limit * (_FIRST_GIVES_WAY - _BACK_SHARE) and not self._refused:
            return True
        rank = self.rank(camera)
        share = 1 - (1 - _FIRST_GIVES_WAY) * (rank + 1) / len(self._ranks)
        if camera in self._refused:
            share -= _BACK_SHARE
        if waiting < self._limit * share:
            self._refused.discard(camera)
            return True
        self._refused.add(camera)
        return False
