"""What the broker hands us, before anybody reads it: too large, too many, retained, not ours. Pure.

What is in a command is for `keep` to judge; here it is bytes of a bounded length.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum

MOST_BYTES = 64 << 10
PER_S = 10.0
BURST = 20.0
"""So many commands at once, PER_S in the long run (E14); a centre's longest list of orders is far shorter."""
SUSPECT_S = 600.0
REMEMBERED = 64

_COMPACT_JWS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class Verdict(Enum):
    """What becomes of a message."""

    TAKEN = "taken"
    RETAINED = "retained"  # goes to keep once, which refuses and records it (E2)
    AGAIN = "again"  # a retained one that keep has been told of
    FOREIGN = "foreign"  # on a topic that we did not ask for
    OVERSIZE = "oversize"
    GARBAGE = "garbage"  # not even the letters of a compact JWS
    FLOOD = "flood"


DROPPED = (Verdict.AGAIN, Verdict.FOREIGN, Verdict.OVERSIZE, Verdict.GARBAGE, Verdict.FLOOD)
ODD = (Verdict.RETAINED, Verdict.FOREIGN, Verdict.OVERSIZE, Verdict.GARBAGE)
"""What a broker that does its work, with a centre that does its work, never hands us (E7)."""


@dataclass(slots=True)
class Inbound:
    """Judges what comes on the wire for one box.

    topic  the only one that is listened to
    """

    topic: str
    counts: dict[Verdict, int] = field(default_factory=dict)
    _tokens: float = BURST
    _at_s: float = 0.0
    _odd_s: float | None = None
    _odd: str = ""
    _flood_s: float | None = None
    _seen: dict[bytes, None] = field(default_factory=dict)

    def judge(self, topic: str, payload: bytes, now_s: float, *, retained: bool) -> Verdict:
        """Decide on a message, and count it. TAKEN and RETAINED are for keep; all else ends here."""
        verdict = self._judge(topic, payload, now_s, retained=retained)
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        if verdict in ODD:
            self.suspect(verdict.value, now_s)
        if verdict is Verdict.FLOOD:
            self._flood_s = now_s
        return verdict

    def suspect(self, what: str, now_s: float) -> None:
        """Note something else that an honest broker does not do."""
        self._odd, self._odd_s = what, now_s

    def overflowed(self, verdict: Verdict, now_s: float) -> None:
        """Note that one of which `judge` gave this verdict found no place: too many wait for keep."""
        self.counts[verdict] -= 1
        self.counts[Verdict.FLOOD] = self.counts.get(Verdict.FLOOD, 0) + 1
        self._flood_s = now_s

    def suspicion(self, now_s: float) -> str:
        """Return what was odd about the broker lately, or nothing."""
        return self._odd if self._odd_s is not None and now_s - self._odd_s < SUSPECT_S else ""

    def is_flooded(self, now_s: float) -> bool:
        """Tell whether commands were dropped lately because there were too many."""
        return self._flood_s is not None and now_s - self._flood_s < SUSPECT_S

    @property
    def dropped(self) -> int:
        """How many messages went no further."""
        return sum(self.counts.get(verdict, 0) for verdict in DROPPED)

    def _judge(self, topic: str, payload: bytes, now_s: float, *, retained: bool) -> Verdict:
        if topic != self.topic:
            return Verdict.FOREIGN
        if len(payload) > MOST_BYTES:
            return Verdict.OVERSIZE
        if payload.count(b".") != 2 or not _COMPACT_JWS.issuperset(payload):
            return Verdict.GARBAGE
        if retained:
            # It waits at the broker and comes with every connection: keep hears of it once.
            digest = hashlib.sha256(payload).digest()
            if digest in self._seen:
                return Verdict.AGAIN
            if not self._token(now_s):
                return Verdict.FLOOD
            self._seen[digest] = None
            if len(self._seen) > REMEMBERED:
                del self._seen[next(iter(self._seen))]
            return Verdict.RETAINED
        return Verdict.TAKEN if self._token(now_s) else Verdict.FLOOD

    def _token(self, now_s: float) -> bool:
        self._tokens = min(BURST, self._tokens + max(0.0, now_s - self._at_s) * PER_S)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
