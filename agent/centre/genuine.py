"""Whether a report is the box's own: by the keys that the city certified, and newer than what was there (E7). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent.uplink import seal
from agent.uplink.payloads import SIGNED, topic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_SESSION = re.compile(r"[0-9a-f]{8,12}")
_MOST_PLACE = 1 << 48


def is_genuine(box: str, part: str, payload: bytes, keys: Iterable[str]) -> bool:
    """Tell whether a box signed a message, where its kind is signed at all: facts have the ledger's own proof.

    keys  that may have signed it, as the registry has them
    """
    return part not in SIGNED or seal.is_signed(topic(box, part), payload, map(_key, keys))


@lru_cache(1 << 13)
def _key(spki: str) -> EllipticCurvePublicKey:
    return seal.public_key(spki)


@dataclass(slots=True)
class Newest:
    """The newest report of each kind that a box signed: its session, and the place in it.

    A signature says who spoke, not when: whoever carries reports may show old ones again. A box numbers its sessions,
    and in each what it says; what is not above the newest tells nothing new.
    """

    session: int = 0
    birth: int = -1
    state: int = -1
    health: int = -1

    def place(self, part: str, body: dict[str, Any]) -> bool | None:
        """Take note of a report; tell whether it is new (True), the newest again (False), or of the past (None)."""
        said = body.get("session")
        if not isinstance(said, str) or not _SESSION.fullmatch(said) or body.get("historical"):
            return None
        if part == "state":
            # The will of a connection comes after it, whenever it was written, and before the next.
            count, gone = body.get("connection"), body.get("online") is not True
            number = 2 * count + gone if type(count) is int else None
        else:
            number = body.get("n") if type(body.get("n")) is int else None
        session = int(said, 16)
        if number is None or not 0 <= number < _MOST_PLACE or session < self.session:
            return None
        if session > self.session:
            self.session, self.birth, self.state, self.health = session, -1, -1, -1
        known: int = getattr(self, part)
        if number < known:
            return None
        setattr(self, part, number)
        return number > known
