"""The boxes of a city: enrolling one, renewing its certificate, and turning one out."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509

from agent.centre import authority, city, rings, tunnels
from agent.centre.genuine import is_genuine
from agent.centre.tunnels import Place
from agent.command import jws
from agent.command.keyring import Role
from agent.enrolment import form
from agent.errors import ConfigError
from agent.language import say
from agent.model import canonical_json
from agent.tunnel.terms import signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from agent.centre.city import City, Unlock
    from agent.centre.rings import Signer
    from agent.centre.tunnels import Hub
    from agent.enrolment.form import Request

AGAIN_TYP = "pasu-enrol-again+jws"
_MAY_ENROL_AGAIN = (Role.OFFICER, Role.DEPARTMENT)


@dataclass(frozen=True, slots=True)
class Box:
    """A box that is enrolled.

    vkey      under which it signs checkpoints
    tls       the TLS key that was certified last: SubjectPublicKeyInfo, DER, in base64
    serial    of the newest certificate; until_ms when that ends
    out_ms    since when it is turned out; None while it belongs
    earlier   what was before: vkeys, serials, who agreed to enrol it again
    tunnel    its places in the tunnel, the newest last: while a key is changed it has two
    """

    id: str
    site: str
    operator: str
    vkey: str
    tls: str
    serial: int
    until_ms: int
    enrolled_ms: int
    out_ms: int | None = None
    earlier: tuple[dict[str, Any], ...] = ()
    tunnel: tuple[Place, ...] = ()

    @property
    def report_keys(self) -> tuple[str, ...]:
        """The TLS keys that may sign its reports: the newest, and the one before, until the box has taken that in."""
        same = (before["tls"] for before in reversed(self.earlier) if before["vkey"] == self.vkey)
        return tuple(dict.fromkeys((self.tls, *same)))[:2]


def boxes(where: City) -> Iterator[Box]:
    """Yield the boxes by their ids. Raises ConfigError CITY_DAMAGED."""
    for path in sorted(where.at("boxes").glob("*.json")):
        box = find(where, path.stem)
        if box is not None:
            yield box


def find(where: City, box_id: str) -> Box | None:
    """Return a box, None when there is none of this id. Raises ConfigError CITY_DAMAGED."""
    path = where.at("boxes", f"{box_id}.json")
    if not form.is_box(box_id) or not path.exists():
        return None
    try:
        body = json.loads(path.read_bytes())
        return Box(
            body["box"],
            body["site"],
            body["operator"],
            body["vkey"],
            body["tls"],
            int(body["serial"], 16),
            body["until_ms"],
            body["enrolled_ms"],
            body["out_ms"],
            tuple(body["earlier"]),
            tuple(Place(each["key"], each["address"]) for each in body["tunnel"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise city.damaged(path, str(error)) from None


def vouches(where: City, box_id: str, part: str, payload: bytes) -> bool:
    """Tell whether a report is that box's own word (agent.centre.genuine). Raises ConfigError CITY_DAMAGED."""
    box = find(where, box_id)
    return box is not None and box.out_ms is None and is_genuine(box_id, part, payload, box.report_keys)


def is_renewal(box: Box, request: Request) -> bool:
    """Tell whether the box that is known asks: the key it always had signed the request, whatever its TLS key is."""
    return box.out_ms is None and box.vkey == request.vkey


def enrol(
    where: City,
    request: Request,
    days: int,
    now: datetime,
    unlock: Unlock,
    *,
    agreed: Sequence[Signer] = (),
) -> str:
    """Certify a box, register it, and return the bundle for it.

    days    the certificate's
    agreed  two people who say that a box with new keys takes the place of the one that is known (G7)
    Raises  ConfigError ENROL_RESERVED, ENROL_AGAIN when somebody must agree first, CITY_KEY_MISSING, CITY_PASSPHRASE,
            CITY_DAMAGED, HUB_FULL, ENROL_TUNNEL_TAKEN; StorageFault
    """
    assert 0 < days <= authority.CA_DAYS
    # Client ids of the centre's own programs begin with its name.
    if request.box.partition("-")[0] == city.CENTRE:
        raise ConfigError(
            "ENROL_RESERVED",
            say("박스가 쓸 수 없는 id입니다", "no box can have this id"),
            hint=say(
                "박스의 agent.toml에서 다른 id를 정하십시오", "choose another id in the box's agent.toml"
            ),
            box=request.box,
        )
    ca, key = _authority(where, unlock)
    now_ms = int(now.timestamp() * 1000)
    hub = tunnels.load(where)
    with where.changing():
        known = find(where, request.box)
        earlier: tuple[dict[str, Any], ...] = ()
        if known is not None:
            earlier = (*known.earlier, _before(known, now_ms))
            if not is_renewal(known, request):
                earlier[-1]["agreed"] = _agreement(where, known, request, agreed, now_ms)
        certificate = authority.certify_client(
            ca,
            key,
            request.public_key,
            request.box,
            now + timedelta(days=days),
        )
        box = Box(
            request.box,
            request.site,
            request.operator,
            request.vkey,
            base64.b64encode(request.tls_key).decode(),
            certificate.serial_number,
            int(certificate.not_valid_after_utc.timestamp()) * 1000,
            known.enrolled_ms if known and is_renewal(known, request) else now_ms,
            None,
            earlier,
            _places(where, hub, known, request),
        )
        if known is not None and not is_renewal(known, request):
            _revoke(where, ca, key, _serials(known), now)
        _write(where, box)
    pem = authority.pem(certificate).decode()
    statement = where.at(city.STATEMENT).read_text(encoding="ascii").strip()
    terms = None
    if hub is not None and box.tunnel and request.tunnel:
        terms = signed(tunnels.terms(hub, box.id, box.tunnel[-1], now_ms), key)
    return form.bundle_json(box.id, where.root, statement, pem, rings.text(where), tunnel=terms)


def turn_out(where: City, box_id: str, now: datetime, unlock: Unlock) -> Box:
    """Revoke every certificate of a box: stolen, or given up. The broker must read the list anew.

    Raises  ConfigError BOX_UNKNOWN, CITY_KEY_MISSING, CITY_PASSPHRASE, CITY_DAMAGED; StorageFault
    """
    ca, key = _authority(where, unlock)
    with where.changing():
        known = known_box(where, box_id)
        _revoke(where, ca, key, _serials(known), now)
        now_ms = int(now.timestamp() * 1000)
        out = replace(known, out_ms=known.out_ms or now_ms, tunnel=())
        _write(where, out)
    return out


def retire(where: City, box_id: str) -> Box:
    """Take away a box's place in the tunnel before its newest: the box is known to use that.

    Raises  ConfigError BOX_UNKNOWN, CITY_DAMAGED; StorageFault
    """
    with where.changing():
        known = known_box(where, box_id)
        left = replace(known, tunnel=known.tunnel[-1:])
        _write(where, left)
    return left


def known_box(where: City, box_id: str) -> Box:
    """Return a box. Raises ConfigError BOX_UNKNOWN."""
    box = find(where, box_id)
    if box is None:
        raise ConfigError(
            "BOX_UNKNOWN",
            say("등록되지 않은 박스입니다", "this box is not enrolled"),
            hint=say("`pasu centre boxes`로 id를 보십시오", "see the ids with `pasu centre boxes`"),
            box=box_id,
        )
    return box


def _places(where: City, hub: Hub | None, known: Box | None, request: Request) -> tuple[Place, ...]:
    """Return a box's places in the tunnel, that of the key it asks with last.

    Another key has another address, and all serve until `retire`: nobody here knows which one the box uses. A key keeps
    the address that it has, in the network that the hub has now.
    """
    before = known.tunnel if known is not None and is_renewal(known, request) else ()
    if hub is None or not request.tunnel:
        return before
    others = [box for box in boxes(where) if box.id != request.box]
    _refuse_taken(hub, request, others)
    rest = tuple(place for place in before if place.key != request.tunnel)
    own = next((place for place in before if place.key == request.tunnel), None)
    if own is None or not tunnels.is_in(hub, own.address):
        taken = [place.address for place in (*before, *(each for box in others for each in box.tunnel))]
        own = Place(request.tunnel, tunnels.free(hub, taken))
    return (*rest, own)


def _refuse_taken(hub: Hub, request: Request, others: Sequence[Box]) -> None:
    """Refuse a key that is somebody else's: at the hub a key has one peer, and one of the two would be cut off."""
    holder = next((box.id for box in others for place in box.tunnel if place.key == request.tunnel), None)
    if holder is None and request.tunnel != hub.public:
        return
    raise ConfigError(
        "ENROL_TUNNEL_TAKEN",
        say(
            "다른 박스나 허브가 이미 쓰는 터널 키입니다",
            "another box, or the hub, has this key of the tunnel already",
        ),
        hint=say(
            "디스크를 복제한 박스인지 확인하십시오. 그 박스에서 상태 폴더의 tunnel을 옮기고 다시 신청합니다",
            "see whether the box's disk is a copy of another's; move `tunnel` out of its state folder, and ask anew",
        ),
        box=request.box,
        holder=holder or "hub",
    )


def _agreement(where: City, known: Box, request: Request, agreed: Sequence[Signer], now_ms: int) -> list[str]:
    """Have two people sign that a box with new keys takes the place of the one that is known."""
    people = {signer.key.person for signer in agreed if signer.key.role in _MAY_ENROL_AGAIN}
    if len(people) < 2 or len({signer.key.kid for signer in agreed}) < 2:
        raise ConfigError(
            "ENROL_AGAIN",
            say(
                "이 id의 박스가 다른 키로 이미 등록되어 있습니다",
                "a box of this id is enrolled already, with other keys",
            ),
            hint=say(
                "교체가 맞다면 책임자 두 사람이 --again --as 이름 --as 이름으로 하십시오",
                "if it is replaced, two people in charge do it with --again --as NAME --as NAME",
            ),
            box=known.id,
            known=known.vkey,
            asks=request.vkey,
        )
    body = {
        "v": 1,
        "city": where.id,
        "box": known.id,
        "replaces": known.vkey,
        "vkey": request.vkey,
        "tls": form.digits(request.tls_key),
        "at_ms": now_ms,
    }
    return [jws.sign(body, signer.private, signer.key.kid, AGAIN_TYP) for signer in agreed]


def _before(box: Box, now_ms: int) -> dict[str, Any]:
    return {"vkey": box.vkey, "tls": box.tls, "serial": f"{box.serial:x}", "until_ms": now_ms, "agreed": []}


def _serials(box: Box) -> list[int]:
    return [box.serial, *(int(before["serial"], 16) for before in box.earlier)]


def _authority(where: City, unlock: Unlock) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    path = where.at("ca", "ca.pem")
    try:
        ca = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise city.damaged(path, str(error)) from None
    key: EllipticCurvePrivateKey = city.read_key(where.at("ca", "ca.key"), unlock)
    if form.spki(key.public_key()) != form.spki(ca.public_key()):
        raise city.damaged(where.at("ca", "ca.key"), "not the key of ca.pem")
    return ca, key


def _revoke(
    where: City, ca: x509.Certificate, key: EllipticCurvePrivateKey, serials: Sequence[int], now: datetime
) -> None:
    path = where.at("ca", "crl.pem")
    try:
        before = x509.load_pem_x509_crl(path.read_bytes())
    except (OSError, ValueError) as error:
        raise city.damaged(path, str(error)) from None  # a new list would let the old ones in again
    city.replace(path, authority.pem(authority.revoke(ca, key, before, serials, now.astimezone(UTC))))


def _write(where: City, box: Box) -> None:
    body = {
        "box": box.id,
        "site": box.site,
        "operator": box.operator,
        "vkey": box.vkey,
        "tls": box.tls,
        "serial": f"{box.serial:x}",
        "until_ms": box.until_ms,
        "enrolled_ms": box.enrolled_ms,
        "out_ms": box.out_ms,
        "earlier": list(box.earlier),
        "tunnel": [{"key": place.key, "address": place.address} for place in box.tunnel],
    }
    city.replace(where.at("boxes", f"{box.id}.json"), canonical_json(body).encode() + b"\n")
