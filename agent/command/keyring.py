"""The key ring: whose keys the box obeys, in which role, until when, and to whom it seals. Pure.

The city's root key signs it; a box takes none that is older than the one it has. What a ring may not say is refused
with the whole ring, so that a slip at the centre is found at the centre.

Source  Gangneung regulation art. 4, 5, 12(2); safety standard art. 5(1)-(4); table 2-8 of the Seoul study
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.command import jws, strict
from agent.command.errors import CommandRefused
from agent.command.jws import is_kid, kid_of
from agent.config.bech32 import flaw
from agent.model import UTC_DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ANY", "TYP", "Key", "Ring", "Role", "Root", "kid_of", "parse", "parse_root"]

TYP = "pasu-ring+jws"
ANY = "*"
"""Among a key's boxes or cameras: every one, also one that is added later."""
MOST_DAYS = 400
TECHNICIAN_DAYS = 30
"""A contractor's key lapses by itself within these, also on a box that nobody reaches (art. 12(2)), whatever its ring
says: rings that are out there say a day more."""
MOST_RECIPIENTS = 16
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")  # of boxes and cameras, as in agent.toml
_MEMBERS = {"v", "city", "epoch", "issued_ms", "keys", "revoked", "recipients"}
_KEY_MEMBERS = {"kid", "key", "role", "holder", "from_ms", "until_ms", "boxes", "cameras"}


class Role(StrEnum):
    """What somebody is in the running of a city's cameras."""

    OFFICER = "officer"  # 운영책임자: practice, status, maintenance
    DEPARTMENT = "department"  # 부서관리자: decides on provision
    OPERATOR = "operator"  # 관제요원
    TECHNICIAN = "technician"  # 유지보수
    SERVICE = "service"  # the centre's own programs
    PRIVACY = "privacy"  # 개인정보 보호책임자: confirms erasure, seconds deletion for a subject


@dataclass(frozen=True, slots=True)
class Root:
    """The city's root key, as the box was given it when it was enrolled: `public` is its 32 bytes."""

    city: str
    public: bytes

    @property
    def kid(self) -> str:
        """Return its id."""
        return kid_of(self.public)


@dataclass(frozen=True, slots=True)
class Key:
    """Somebody's key, in one role.

    public          32 bytes, Ed25519
    holder          the person, or the service; never a group
    from_ms         inclusive; until_ms exclusive, UTC ms
    boxes, cameras  ids, or ANY
    """

    kid: str
    public: bytes
    role: Role
    holder: str
    from_ms: int
    until_ms: int
    boxes: tuple[str, ...]
    cameras: tuple[str, ...]

    @property
    def person(self) -> str:
        """Return the holder's name as two names are compared."""
        return strict.folded(self.holder)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """Return it as the library's object."""
        return Ed25519PublicKey.from_public_bytes(self.public)

    def is_valid(self, now_ms: int) -> bool:
        """Tell whether its time has come and is not over."""
        return self.from_ms <= now_ms < self.until_ms

    def serves(self, box: str) -> bool:
        """Tell whether it may order anything of a box."""
        return ANY in self.boxes or box in self.boxes

    def sees(self, camera: str) -> bool:
        """Tell whether it may order what concerns a camera; ANY asks for all of them."""
        return ANY in self.cameras or camera in self.cameras


@dataclass(frozen=True, slots=True)
class Ring:
    """A key ring that the root key signed.

    epoch       grows with each edition
    revoked     ids of keys that are not obeyed any more, whether or not they are still listed
    recipients  age public keys, what is recorded is sealed to all of them
    """

    city: str
    epoch: int
    issued_ms: int
    keys: tuple[Key, ...]
    revoked: frozenset[str]
    recipients: tuple[str, ...]

    def find(self, kid: str) -> Key | None:
        """Return a key that is listed; whether it is revoked is `revoked`'s to say."""
        return next((key for key in self.keys if key.kid == kid), None)

    def without(self, kids: frozenset[str]) -> Ring:
        """Return it with some more keys revoked: those that the box was told of before a new ring came."""
        return replace(self, revoked=self.revoked | kids)


def parse(text: str, root: Root) -> Ring:
    """Read a ring.

    text    compact JWS
    Raises  CommandRefused JWS_*: not a ring that this root signed; RING_CITY: another city's;
            RING_CONTENT: the root signed what no ring may say
    """
    body = jws.verify(text, Ed25519PublicKey.from_public_bytes(root.public), TYP)
    if body.get("city") != root.city:
        raise CommandRefused("RING_CITY", "the ring of another city")
    _require(body.keys() == _MEMBERS and body["v"] == 1, "members")
    _require(strict.is_number(body["epoch"], 1), "epoch")
    _require(strict.is_number(body["issued_ms"]), "issued_ms")
    revoked = body["revoked"]
    _require(isinstance(revoked, list) and all(map(is_kid, revoked)), "revoked")
    recipients = _texts(body["recipients"], "recipients")
    _require(len(recipients) <= MOST_RECIPIENTS and not any(map(flaw, recipients)), "recipients")
    _require(isinstance(body["keys"], list), "keys")
    keys = tuple(decode_key(each) for each in body["keys"])
    _require(len({key.kid for key in keys}) == len(keys), "a key twice")
    _require(root.kid not in {key.kid for key in keys}, "the root key among the keys")
    _one_key_each([key for key in keys if key.kid not in revoked])
    return Ring(root.city, body["epoch"], body["issued_ms"], keys, frozenset(revoked), recipients)


def parse_root(data: bytes) -> Root:
    """Read root.json: {"city","kid","key"}. Raises ValueError."""
    body = strict.read(data)
    if body.keys() != {"city", "kid", "key"} or not strict.is_name(body["city"]):
        raise ValueError("not a root key")
    root = Root(body["city"], _public(body["key"]))
    if root.kid != body["kid"]:
        raise ValueError("the kid of another key")
    return root


def is_id(value: object) -> bool:
    """Tell whether a value has the form of a box's or a camera's id."""
    return isinstance(value, str) and _ID.match(value) is not None


def encode_key(key: Key) -> dict[str, Any]:
    """Write a key as it stands in a ring."""
    return {
        "kid": key.kid,
        "key": strict.base64url(key.public),
        "role": str(key.role),
        "holder": key.holder,
        "from_ms": key.from_ms,
        "until_ms": key.until_ms,
        "boxes": [*key.boxes],
        "cameras": [*key.cameras],
    }


def decode_key(body: object) -> Key:
    """Read a key as it stands in a ring. Raises CommandRefused RING_CONTENT."""
    if not isinstance(body, dict) or body.keys() != _KEY_MEMBERS:
        raise _content("members of a key")
    try:
        public = _public(body["key"])
    except ValueError:
        raise _content("key") from None
    _require(body["kid"] == kid_of(public), "kid")
    _require(body["role"] in [*Role], "role")
    _require(strict.is_name(body["holder"], 100), "holder")
    _require(strict.is_number(body["from_ms"]) and strict.is_number(body["until_ms"]), "from_ms, until_ms")
    role = Role(body["role"])
    from_ms, until_ms = body["from_ms"], body["until_ms"]
    days = TECHNICIAN_DAYS + 1 if role is Role.TECHNICIAN else MOST_DAYS
    _require(0 < until_ms - from_ms <= days * UTC_DAY_MS, f"{role}: more than {days} days")
    if role is Role.TECHNICIAN:
        until_ms = min(until_ms, from_ms + TECHNICIAN_DAYS * UTC_DAY_MS)
    return Key(
        body["kid"],
        public,
        role,
        body["holder"],
        from_ms,
        until_ms,
        _names(body["boxes"], "boxes"),
        _names(body["cameras"], "cameras"),
    )


def _one_key_each(keys: Iterable[Key]) -> None:
    """Ask that nobody has two keys of one role at a time: the second would have a counter of its own."""
    ends: dict[tuple[str, Role], int] = {}
    for key in sorted(keys, key=lambda key: key.from_ms):
        who = key.person, key.role
        _require(ends.get(who, 0) <= key.from_ms, "one holder, two keys of a role at a time")
        ends[who] = key.until_ms


def _public(text: object) -> bytes:
    if not isinstance(text, str) or len(text) != 43:
        raise ValueError("not a key")
    return strict.unbase64url(text)


def _names(value: Any, what: str) -> tuple[str, ...]:
    names = _texts(value, what)
    _require(all(name == ANY or is_id(name) for name in names), what)
    return names


def _texts(value: Any, what: str) -> tuple[str, ...]:
    """Return a list of texts, each once, at least one."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise _content(what)
    _require(len(set(value)) == len(value), what)
    return tuple(value)


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise _content(what)


def _content(what: str) -> CommandRefused:
    return CommandRefused("RING_CONTENT", "the ring says what it may not", reason=what)
