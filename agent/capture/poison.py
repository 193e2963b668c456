"""Cameras whose input crashes every worker that reads it: when that is said, and how slowly they are tried again. Pure.

A camera that crashed a worker has one of its own already; there, each crash costs only itself, but one a second would
fill the ledger and a core. So the third within ten minutes puts its input under quarantine: the camera goes on, with
growing pauses between its workers, until ten minutes pass without a crash.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CRASHES = 3
WITHIN_S = 600.0
CALM_S = 600.0
PAUSE_FIRST_S = 5.0
PAUSE_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class Sentence:
    """What follows from a crash.

    pause_s   until the camera's next worker; None leaves it to the rule for all workers
    poisoned  true once per quarantine: it begins with this crash
    """

    pause_s: float | None
    poisoned: bool


@dataclass(slots=True)
class _Record:
    crashes: list[float] = field(default_factory=list)
    pause_s: float = 0.0  # the last one; 0 outside of a quarantine


class Suspects:
    """Counts the crashes of cameras that have a worker of their own."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def crashed(self, camera: str, now_s: float) -> Sentence:
        """Note a crash of the camera's own worker, and say what follows. now_s is monotonic."""
        record = self._records.setdefault(camera, _Record())
        record.crashes = [at_s for at_s in record.crashes if now_s - at_s < WITHIN_S]
        record.crashes.append(now_s)
        begins = record.pause_s == 0
        if begins and len(record.crashes) < CRASHES:
            return Sentence(None, poisoned=False)
        record.pause_s = min(PAUSE_MOST_S, max(PAUSE_FIRST_S, 2 * record.pause_s))
        return Sentence(record.pause_s, poisoned=begins)

    def acquitted(self, now_s: float) -> list[str]:
        """Return the cameras whose quarantine ends now: CALM_S have passed without a crash. Each is named once."""
        well = [
            camera
            for camera, record in self._records.items()
            if record.pause_s and now_s - record.crashes[-1] >= CALM_S
        ]
        for camera in well:
            del self._records[camera]
        return well

    def restricted(self) -> list[str]:
        """Return the cameras under quarantine."""
        return [camera for camera, record in self._records.items() if record.pause_s]
