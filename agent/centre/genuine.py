"""Whether a report is the box's own: by the keys that the city certified, and newer than what was there (E7). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent.uplink import seal
from agent.uplink.payloads import SIGNED, topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_SESSION = re.compile(r"[0-9a-f]{8,12}")
_MOST_PLACE = 1 << 48


def is_genuine(box: str, part: str, payload: bytes, keys: Iterable[str]) -> bool:
    """Tell whether a box signed a message, where its kind is signed at all: facts have the ledger's own proof.

    keys  that may have signed it, as the registry has them
    """
    return signer_of(box, part, payload, keys) is not None


def signer_of(box: str, part: str, payload: bytes, keys: Iterable[str]) -> str | None:
    """Return which of these keys signed a message; empty for a kind that nobody signs, None where none of them did.

    Raises  ValueError for what is no P-256 key
    """
    if part not in SIGNED:
        return ""
    return next((key for key in keys if seal.is_signed(topic(box, part), payload, [_key(key)])), None)


@lru_cache(1 << 13)
def _key(spki: str) -> EllipticCurvePublicKey:
    return seal.public_key(spki)


@dataclass(slots=True)
class Newest:
    """The newest report of each kind that a box signed: its session, and the place in it.

    A signature says who spoke, not when: whoever carries reports may show old ones again. A box numbers its sessions,
    and in each what it says; what is not above the newest tells nothing new. A key that the city certified later begins
    anew, since whoever lost the numbers is enrolled with a new key; from then on those before it say nothing any more.

    key  that signed them, as the registry has it; empty before the first
    """

    key: str = ""
    session: int = 0
    birth: int = -1
    state: int = -1
    health: int = -1

    def place(self, part: str, body: dict[str, Any], key: str, keys: Sequence[str]) -> bool | None:
        """Take note of a report; tell whether it is new (True), the newest again (False), or of the past (None).

        key   that signed it
        keys  of the box, the newest first
        """
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
        if number is None or not 0 <= number < _MOST_PLACE:
            return None
        follows = key != self.key
        if follows and self.key in keys and keys.index(key) > keys.index(self.key):
            return None
        if not follows and session < self.session:
            return None
        if follows or session > self.session:
            self.key, self.session, self.birth, self.state, self.health = key, session, -1, -1, -1
        known: int = getattr(self, part)
        if number < known:
            return None
        setattr(self, part, number)
        return number > known
