"""Which facts follow from what bells and sensors say. Pure.

The first message of a trigger is a fact at once. What comes after it is counted, and told together: a bell that
chatters a thousand times a second, or a hundred that do, are a few entries in the ledger, and no message is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KIND = "event.triggered"
PAUSE_S = 10.0
"""Between two facts of one trigger."""
BURST = 16
"""So many facts of all triggers together at once, and then one a second: what sixteen cameras' segments write in an
hour is written by chattering sensors in a quarter of one, at worst."""
REFILL_S = 1.0


@dataclass(frozen=True, slots=True)
class Trigger:
    """What is to be known of one to listen to it.

    source   "mqtt" or "gpio"
    place    where it comes from: (address, port, topic), or (chip, line, edge)
    payload  the message that counts, None: each
    login    user and password at the broker; they are shown nowhere
    """

    id: str
    source: str
    place: tuple[str, int, str]
    payload: bytes | None
    cameras: tuple[str, ...]
    login: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"Trigger({self.id})"

    def to_json(self) -> dict[str, Any]:
        """Return it for the socket to the process that listens."""
        return {
            "id": self.id,
            "source": self.source,
            "place": list(self.place),
            "payload": None if self.payload is None else self.payload.decode(),
            "cameras": list(self.cameras),
            "login": None if self.login is None else list(self.login),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Trigger:
        """Read back what `to_json` wrote."""
        host, number, last = said["place"]
        payload, login = said["payload"], said["login"]
        return cls(
            said["id"],
            said["source"],
            (host, number, last),
            None if payload is None else payload.encode(),
            tuple(said["cameras"]),
            None if login is None else (login[0], login[1]),
        )

    def to_fact(self, count: int) -> dict[str, Any]:
        """Return the body of a fact that stands for so many messages."""
        return {"trigger": self.id, "count": count, "source": self.source, "cameras": list(self.cameras)}


class Tally:
    """Counts messages, and says when which of them are told. All times are monotonic seconds."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._counts: dict[str, int] = {}
        self._told: dict[str, float] = {}
        self._room = float(BURST)
        self._at: float | None = None

    def heard(self, trigger: str, count: int = 1) -> None:
        """Count messages of a trigger."""
        self._counts[trigger] = self._counts.get(trigger, 0) + count

    def due(self, now: float) -> list[tuple[str, int]]:
        """Take what is to be told now: triggers, each with the number of its messages.

        Where not all have room, whoever was told longest ago comes first: a bell that was quiet until now is not kept
        waiting by those that chatter.
        """
        self._refill(now)
        ready = [trigger for trigger in self._counts if now >= self._ready_at(trigger)]
        ready.sort(key=lambda trigger: self._told.get(trigger, float("-inf")))
        chosen = ready[: int(self._room)]
        self._room -= len(chosen)
        self._told.update(dict.fromkeys(chosen, now))
        return [(trigger, self._counts.pop(trigger)) for trigger in chosen]

    def next_s(self, now: float) -> float | None:
        """Return in how many seconds something will be due; None: nothing waits."""
        if not self._counts:
            return None
        self._refill(now)
        first = min(self._ready_at(trigger) for trigger in self._counts)
        room = max(0.0, (1.0 - self._room) * REFILL_S)
        return max(0.0, first - now, room)

    def rest(self) -> list[tuple[str, int]]:
        """Take all that was not told yet: there is no later."""
        rest, self._counts = [*self._counts.items()], {}
        return rest

    def forget(self, known: Iterable[str]) -> None:
        """Let go of all that is remembered of other triggers than these; what they said is still told."""
        known = {*known, *self._counts}
        self._told = {trigger: at for trigger, at in self._told.items() if trigger in known}

    def _ready_at(self, trigger: str) -> float:
        told = self._told.get(trigger)
        return float("-inf") if told is None else told + PAUSE_S

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._room = min(float(BURST), self._room + max(0.0, now - self._at) / REFILL_S)
        self._at = now
