"""Key rings at the centre: each edition follows the one before, and is signed by the root key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.centre.city import RING, create, damaged, read_signing_key, replace, write_key
from agent.command import jws, keyring, strict
from agent.command.errors import CommandRefused
from agent.command.keyring import ANY, Key, Ring, Role, kid_of
from agent.errors import ConfigError
from agent.language import say
from agent.model import UTC_DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.centre.city import City, Unlock

EARLY_MS = 600_000
"""A key counts from a little before it was made: the clocks of boxes and centre differ."""
DAYS = {Role.TECHNICIAN: keyring.TECHNICIAN_DAYS}
SERVICE = "centre"
"""Holder of the key with which the centre's programs sign."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who can sign now: what the ring says of the key, and the key."""

    key: Key
    private: Ed25519PrivateKey


def newest(city: City) -> Ring:
    """Read the newest ring. Raises ConfigError CITY_DAMAGED."""
    try:
        return keyring.parse(text(city), city.root)
    except CommandRefused as error:
        raise damaged(city.at(RING), str(error)) from None


def text(city: City) -> str:
    """Return the newest ring as it is signed."""
    try:
        return city.at(RING).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(city.at(RING), str(error)) from None


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a new key is for, and what for.

    days            None for as many as the role may have
    boxes, cameras  ids; none for all
    """

    role: Role
    holder: str
    days: int | None = None
    boxes: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()


def new_key(grant: Grant, from_ms: int) -> tuple[Ed25519PrivateKey, dict[str, Any]]:
    """Make a key that counts from a time on; return it with its entry for a ring."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    days = DAYS.get(grant.role, keyring.MOST_DAYS) if grant.days is None else grant.days
    return private, {
        "kid": kid_of(public),
        "key": strict.base64url(public),
        "role": str(grant.role),
        "holder": grant.holder,
        "from_ms": from_ms,
        "until_ms": from_ms + days * UTC_DAY_MS,
        "boxes": list(grant.boxes) or [ANY],
        "cameras": list(grant.cameras) or [ANY],
    }


def add_key(
    city: City,
    root_key: Ed25519PrivateKey,
    grant: Grant,
    now_ms: int,
    *,
    renew: bool = False,
    passphrase: bytes | None = None,
) -> tuple[Ring, str]:
    """Make a key and list it in a new edition; its file is there before.

    renew    the holder's present key of this role ends in a day, and the new one begins then: until every box has the
             new ring, the old key is what it obeys
    Returns  the edition, and the new key's kid
    Raises   ConfigError RING_REFUSED, StorageFault
    """
    with city.changing():
        body = _body(city, newest(city), now_ms)
        body["keys"] = [one for one in body["keys"] if one["until_ms"] > now_ms]
        from_ms = now_ms - EARLY_MS
        if renew:
            from_ms = now_ms + UTC_DAY_MS
            for one in body["keys"]:
                if strict.folded(one["holder"]) == strict.folded(grant.holder) and one["role"] == grant.role:
                    one["until_ms"] = min(one["until_ms"], from_ms)
        private, entry = new_key(grant, from_ms)
        body["keys"].append(entry)
        signed = _sign(body, city, root_key)
        write_key(city.at("keys", f"{entry['kid']}.pem"), private, passphrase)
        return publish(city, signed), entry["kid"]


def revoke(city: City, root_key: Ed25519PrivateKey, kid: str, now_ms: int) -> Ring:
    """Take a key out of the ring, and name it as revoked. Raises ConfigError RING_REFUSED."""
    with city.changing():
        body = _body(city, newest(city), now_ms)
        body["keys"] = [one for one in body["keys"] if one["kid"] != kid]
        body["revoked"] = sorted({*body["revoked"], kid})
        return publish(city, _sign(body, city, root_key))


def set_recipients(city: City, root_key: Ed25519PrivateKey, recipients: Sequence[str], now_ms: int) -> Ring:
    """Let what is recorded be sealed to other keys from now on. Raises ConfigError RING_REFUSED."""
    with city.changing():
        body = _body(city, newest(city), now_ms) | {"recipients": list(recipients)}
        return publish(city, _sign(body, city, root_key))


def first(
    root: keyring.Root,
    root_key: Ed25519PrivateKey,
    entries: Iterable[dict[str, Any]],
    recipients: Sequence[str],
    now_ms: int,
) -> str:
    """Sign the first edition."""
    body = {
        "v": 1,
        "city": root.city,
        "epoch": 1,
        "issued_ms": now_ms,
        "keys": list(entries),
        "revoked": [],
        "recipients": list(recipients),
    }
    return jws.sign(body, root_key, root.kid, keyring.TYP)


def publish(city: City, signed: str) -> Ring:
    """Write an edition: its own file first, then the newest's name."""
    ring = keyring.parse(signed, city.root)
    data = signed.encode() + b"\n"
    create(city.at("rings", f"{ring.epoch:06d}.jws"), data)
    replace(city.at(RING), data)
    return ring


def find(ring: Ring, who: str, role: Role | None, now_ms: int) -> Key:
    """Return the key of a holder, named by name or kid, that counts now.

    Raises  ConfigError SIGNER_UNKNOWN, SIGNER_ROLE when it is not clear in which role
    """
    name = strict.folded(who)
    keys = [
        key
        for key in ring.keys
        if (key.person == name or key.kid == who)
        and key.kid not in ring.revoked
        and key.is_valid(now_ms)
        and role in (None, key.role)
    ]
    if not keys:
        raise ConfigError(
            "SIGNER_UNKNOWN",
            say("지금 유효한 이 사람의 키가 없습니다", "nobody of this name has a key that counts now"),
            hint=say(
                "`pasu centre key list`로 보고, 없으면 `pasu centre key add`로 만드십시오",
                "see `pasu centre key list`, and make one with `pasu centre key add`",
            ),
            holder=who,
        )
    if len(keys) > 1:
        raise ConfigError(
            "SIGNER_ROLE",
            say("이 사람은 역할이 여럿입니다", "this holder has several roles"),
            hint=say("키의 kid로 지정하십시오", "name the key by its kid"),
            roles=", ".join(f"{key.kid}={key.role}" for key in keys),
        )
    return keys[0]


def signer(city: City, key: Key, unlock: Unlock) -> Signer:
    """Open the file of a key of the ring. Raises ConfigError CITY_KEY_MISSING, CITY_PASSPHRASE, CITY_DAMAGED."""
    return Signer(key, read_signing_key(city.at("keys", f"{key.kid}.pem"), key.kid, unlock))


def service(city: City, now_ms: int, unlock: Unlock) -> Signer:
    """Return the centre's own signer."""
    return signer(city, find(newest(city), SERVICE, Role.SERVICE, now_ms), unlock)


def _body(city: City, ring: Ring, now_ms: int) -> dict[str, Any]:
    """Return the payload of the edition after a ring, the same but for its number and time.

    No number is used twice, also when an older ring.jws was put back: boxes may have what followed it.
    """
    numbers = [int(path.stem) for path in city.at("rings").glob("*.jws") if path.stem.isdecimal()]
    return {
        "v": 1,
        "city": ring.city,
        "epoch": max([ring.epoch, *numbers]) + 1,
        "issued_ms": now_ms,
        "keys": [
            {
                "kid": key.kid,
                "key": strict.base64url(key.public),
                "role": str(key.role),
                "holder": key.holder,
                "from_ms": key.from_ms,
                "until_ms": key.until_ms,
                "boxes": list(key.boxes),
                "cameras": list(key.cameras),
            }
            for key in ring.keys
        ],
        "revoked": sorted(ring.revoked),
        "recipients": list(ring.recipients),
    }


def _sign(body: dict[str, Any], city: City, root_key: Ed25519PrivateKey) -> str:
    """Sign an edition, once it is one that a box takes."""
    try:
        signed = jws.sign(body, root_key, city.root.kid, keyring.TYP)
        keyring.parse(signed, city.root)
    except (CommandRefused, ValueError) as error:
        reason = (
            str(error.context.get("reason", error.code)) if isinstance(error, CommandRefused) else str(error)
        )
        raise ConfigError(
            "RING_REFUSED",
            say("이런 키 목록은 박스가 받지 않습니다", "no box would take such a key ring"),
            hint=say(
                "기간(기사 30일, 그 밖 400일)과, 한 사람이 같은 역할의 키를 둘 갖지 않는지 보십시오",
                "check the days (technician 30, others 400), and that nobody has two keys of one role",
            ),
            reason=reason,
        ) from None
    return signed
