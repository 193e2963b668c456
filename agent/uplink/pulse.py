"""When to say how the box is: every 30 s, at once when something grave changes, thinned while nobody listens. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from agent.health import CONDITIONS, Severity
from agent.uplink.payloads import CAMERA_STATES, dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.uplink.payloads import Health

EVERY_S = 30.0
LEAST_S = 2.0
HISTORY_S = 300.0
HISTORY_BYTES = 4 << 20
"""Of about 600 bytes each: four weeks at one in five minutes. Then it is thinned."""
_WELL = {CAMERA_STATES.index("recording"), CAMERA_STATES.index("resting")}


class Action(Enum):
    """What to do with a health."""

    SEND = "send"
    KEEP = "keep"  # nobody listens; it goes into the history
    NOTHING = "nothing"


def grave(health: Health) -> frozenset[str]:
    """Return what somebody should hear of at once: alarms, cameras that are not recorded, time that is untrusted."""
    found = {f"{code} {subject}" for code, subject, _ in health.conditions if _matters(code)}
    found |= {f"camera {place}" for place, (state, _, _) in enumerate(health.cameras) if state not in _WELL}
    return frozenset(found | ({"time"} if health.trust == "UNTRUSTED" else set()))


def _matters(code: str) -> bool:
    condition = CONDITIONS.get(code)
    return condition is None or condition.severity in (Severity.CRITICAL, Severity.ALARM)


@dataclass(slots=True)
class Pulse:
    """Decides on each health that is taken, every second or so."""

    _next_s: float = 0.0
    _last_s: float = -LEAST_S
    _told: frozenset[str] | None = None
    _next_kept_s: float = 0.0
    _kept: frozenset[str] | None = None

    def take(self, health: Health, now_s: float, *, up: bool) -> Action:
        """Decide what to do with a health, and take it as done."""
        signs = grave(health)
        if up:
            due = now_s >= self._next_s or (signs != self._told and now_s >= self._last_s + LEAST_S)
            if not due:
                return Action.NOTHING
            if now_s >= self._next_s:
                self._next_s = now_s + EVERY_S
            self._last_s, self._told = now_s, signs
            return Action.SEND
        if now_s < self._next_kept_s and signs == self._kept:
            return Action.NOTHING
        self._next_kept_s, self._kept = now_s + HISTORY_S, signs
        return Action.KEEP

    def within_s(self, now_s: float, most_s: float) -> float:
        """Return when to take a health next: after so many seconds at most, and at the moment when one is due.

        A little later, and the line would have been quiet for so long that it is asked about, apart from the health.
        """
        ahead_s = self._next_s - now_s
        return min(most_s, ahead_s) if ahead_s > 0 else most_s

    def connected(self) -> None:
        """Hear that somebody listens again: the next health goes at once."""
        self._next_s = 0.0


@dataclass(slots=True)
class History:
    """Health of times without a connection, oldest first: lines of JSON, bounded in bytes."""

    most_bytes: int = HISTORY_BYTES
    _lines: list[str] = field(default_factory=list)
    _bytes: int = 0
    _signs: frozenset[str] | None = None
    _stride: int = 1
    _passed: int = 0

    def __len__(self) -> int:
        return len(self._lines)

    def load(self, lines: Sequence[str]) -> None:
        """Begin with what was kept before."""
        self._lines = [line for line in lines if _health_of(line) is not None]
        self._bytes = sum(map(_size, self._lines))
        self._thin()

    def add(self, health: Health) -> tuple[str, bool]:
        """Keep one, if it has its turn. Returns its line, empty if not, and whether all must be written anew."""
        signs = grave(health)
        changed, self._signs = signs != self._signs, signs
        self._passed += 1
        if not changed and self._passed < self._stride:
            return "", False
        self._passed = 0
        line = dump({"grave": changed, "health": replace(health, historical=True).to_json()})
        self._lines.append(line)
        self._bytes += _size(line)
        return line, self._thin()

    def first(self, count: int) -> list[str]:
        """Return the oldest as they go on the wire."""
        return [dump(_health_of(line)) for line in self._lines[:count]]

    def drop(self, count: int) -> list[str]:
        """Forget the oldest, which were acknowledged; return the lines that are left."""
        self._lines = self._lines[count:]
        self._bytes = sum(map(_size, self._lines))
        self._stride = self._stride if self._lines else 1
        return self._lines

    @property
    def lines(self) -> list[str]:
        """All that is kept."""
        return self._lines

    def _thin(self) -> bool:
        """Keep within bounds: first every second one that is not grave goes, then the oldest.

        What comes afterwards is taken half as often, so that no time is told more thinly than another.
        """
        thinned = False
        while self._bytes > self.most_bytes:
            before, thinned = len(self._lines), True
            self._stride *= 2
            odd, left = False, []
            for line in self._lines:
                odd = odd != (not _is_grave(line))
                if _is_grave(line) or odd:
                    left.append(line)
            self._lines = left if len(left) < before else self._lines[before // 4 + 1 :]
            self._bytes = sum(map(_size, self._lines))
        return thinned


def _size(line: str) -> int:
    return len(line.encode()) + 1


def _health_of(line: str) -> object:
    try:
        return json.loads(line)["health"]
    except (ValueError, LookupError, TypeError):
        return None


def _is_grave(line: str) -> bool:
    return line.startswith('{"grave":true')
