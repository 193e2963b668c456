"""The box's side of enrolment: make a request, take the city's bundle, show what is there.

<state>/uplink/box.key        TLS key (P-256, PKCS #8), never shown, never leaves; mode 0600
<state>/uplink/box.key.next   the key that was asked for and is not certified yet
<state>/uplink/ca.pem, box.pem
<state>/uplink/memory/, <state>/exchange/: where the uplink may write; it cannot make them itself
<state>/centre/root.json, ring.jws
<state>/tunnel/               see agent.tunnel.keys

A bundle is taken in by numbered steps, each durable. Killed after any of them, the same bundle taken in again comes to
the same end; recording goes on throughout.

    N1  root.json and ring.jws, the first time both at once by one rename; later only a newer ring
    N2  ca.pem
    N3  box.key, when the bundle certifies the next one
    N4  box.pem
    N5  box.key.next is gone
    N6  tunnel.json, where the bundle has a tunnel (agent.tunnel.keys): from here on the tunnel's other key counts
    N7  the tunnel's key before that is gone
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from agent.command import ring as rings
from agent.command.strict import base64url
from agent.enrolment import form
from agent.errors import ConfigError, IntegrityFault
from agent.language import say
from agent.model import canonical_json
from agent.storage import exchange, files
from agent.storage.locks import held
from agent.storage.proof import signing
from agent.tunnel import keys as tunnels
from agent.tunnel import terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.command.keyring import Ring, Root
    from agent.config import Config
    from agent.enrolment.form import Bundle, Request
    from agent.storage.files import Disk

UPLINK = "uplink"
CA, CERTIFICATE, KEY, NEXT = "ca.pem", "box.pem", "box.key", "box.key.next"
LOCK = "enrol.lock"  # not the one that the uplink holds for as long as it runs
_FORMING = "centre.forming"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What the box knows of its city, and the city of it.

    root, ring   None before enrolment
    expires_ms   of the certificate; None when there is none
    fingerprint  of the box's own keys; None when it has not made a request yet
    fits         the certificate is that of the key beside it
    """

    root: Root | None
    ring: Ring | None
    expires_ms: int | None
    fingerprint: str | None
    fits: bool


def request(config: Config, disk: Disk, now_ms: int, *, new_key: bool = False) -> Request:
    """Make a request; the TLS key and the box's own are made at first use.

    new_key  ask for a certificate for another TLS key; the present one stays in use until the answer is here
    Raises   IntegrityFault KEY_DAMAGED, StorageFault
    """
    state = config.storage.state
    folder = state / UPLINK
    disk.make_directory(folder)
    own = signing.load_or_create(state, config.box.id, disk)
    with held(folder / LOCK):
        present, following = folder / KEY, folder / NEXT
        path = following if (new_key and files.exists(present)) or files.exists(following) else present
        if not files.exists(path):
            if path == present and files.exists(folder / CERTIFICATE):
                raise _damaged(path, say("개인키가 없어졌습니다", "the private key is gone"))
            disk.atomic_replace(path, _new_key(), sync=True)
        private = _read_key(path)
        tunnel = tunnels.asking(state, disk).public if config.tunnel is not None else ""
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, config.box.id)]))
        .sign(private, hashes.SHA256())
    )
    unsigned = form.Request(
        config.box.id,
        config.box.site,
        config.box.operator,
        asked.public_bytes(Encoding.DER),
        str(own.verifier),
        now_ms,
        tunnel=tunnel,
    )
    return form.signed(unsigned, own.sign)


def check(config: Config, bundle: Bundle) -> bool:
    """Tell whether a bundle is for this box, and whether its city is known already: False asks a person.

    Raises  ConfigError ENROL_OTHER_BOX, ENROL_OTHER_CITY, ENROL_OTHER_KEY, ENROL_OLDER, TUNNEL_OVERLAP;
            IntegrityFault
    """
    if bundle.box != config.box.id:
        raise ConfigError(
            "ENROL_OTHER_BOX",
            say("다른 박스의 등록 묶음입니다", "the bundle is for another box"),
            hint=say("이 박스의 묶음을 가져오십시오", "bring the bundle made for this box"),
            bundle=bundle.box,
            box=config.box.id,
        )
    state = config.storage.state
    root = rings.load_root(state) if files.exists(state / rings.DIRECTORY / rings.ROOT_FILE) else None
    if root is not None and root != bundle.root:
        raise ConfigError(
            "ENROL_OTHER_CITY",
            say(
                "이 박스는 이미 다른 도시 키로 등록되었습니다", "this box is enrolled under another root key"
            ),
            hint=say(
                "박스를 넘겨받았다면 상태 폴더의 centre, uplink, tunnel을 옮기고 다시 등록하십시오",
                "if the box was handed over, move `centre`, `uplink`, `tunnel` out of the state folder and enrol anew",
            ),
            bundle=bundle.fingerprint,
            box=form.city_fingerprint(root),
        )
    if _certified(state / UPLINK, bundle) is None:
        raise ConfigError(
            "ENROL_OTHER_KEY",
            say(
                "이 박스가 지금 가진 키의 인증서가 아닙니다",
                "the certificate is for a key that this box does not have",
            ),
            hint=say(
                "`pasu enrol request`로 새로 요청하십시오",
                "make a new request with `pasu enrol request`",
            ),
            box=bundle.box,
        )
    if bundle.tunnel is not None:
        _check_tunnel(config, bundle)
        if root is not None and tunnels.is_older(state, bundle.tunnel):
            raise ConfigError(
                "ENROL_OLDER",
                say(
                    "박스가 지금 쓰는 터널 설정보다 오래된 묶음입니다",
                    "the bundle's tunnel is older than the one that the box has",
                ),
                hint=say(
                    "새로 요청하십시오. 그래도 거절되면 센터의 시계를 바로잡고 상태 폴더의 tunnel을 옮기십시오",
                    "make a new request; is that refused, too, set the centre's clock, move `tunnel` away",
                ),
                box=bundle.box,
                bundle_ms=bundle.tunnel.issued_ms,
            )
    return root is not None


def _check_tunnel(config: Config, bundle: Bundle) -> None:
    from agent.tunnel.link import overlap
    from agent.tunnel.watch import camera_hosts

    assert bundle.tunnel is not None
    if not tunnels.has(config.storage.state, bundle.tunnel):
        raise ConfigError(
            "ENROL_OTHER_KEY",
            say(
                "이 박스가 지금 가진 터널 키의 묶음이 아닙니다",
                "the bundle's tunnel is for a key that this box does not have",
            ),
            hint=say(
                "`pasu enrol request`로 새로 요청하십시오",
                "make a new request with `pasu enrol request`",
            ),
            box=bundle.box,
        )
    inside = [*bundle.tunnel.allowed, *bundle.tunnel.addresses]
    if found := terms.overlaps(inside, camera_hosts(config)):
        raise overlap(found)


def accept(config: Config, bundle: Bundle, disk: Disk, step: Callable[[str], None] = lambda _: None) -> None:
    """Take a bundle in, which `check` passed and a person believes.

    Raises  as `check`; StorageFault
    """
    state = config.storage.state
    folder = state / UPLINK
    check(config, bundle)
    with held(folder / LOCK):
        exchange.make(state, disk)
        disk.make_directory(exchange.memory(state))
        _take_ring(state, bundle, disk)
        step("N1")
        disk.atomic_replace(folder / CA, bundle.city.ca.encode(), sync=True)
        step("N2")
        source = _certified(folder, bundle)
        if source == folder / NEXT:
            disk.atomic_replace(folder / KEY, source.read_bytes(), sync=True)
        step("N3")
        disk.atomic_replace(folder / CERTIFICATE, bundle.certificate.encode(), sync=True)
        step("N4")
        if source == folder / NEXT:
            disk.unlink(source)
            disk.fsync_directory(folder)
        step("N5")
        if bundle.tunnel is not None:
            tunnels.take(state, bundle.tunnel, bundle.city.ca, disk, step)


def show(state: Path) -> Enrolled:
    """Look at what is there. Raises IntegrityFault RING_DAMAGED, KEY_DAMAGED."""
    folder = state / UPLINK
    root, ring = rings.load_root(state), rings.load(state)
    own = signing.load_verifier(state)
    key = spki_of(folder / KEY)
    expires_ms, certified = None, None
    if files.exists(folder / CERTIFICATE):
        try:
            found = form.certificate((folder / CERTIFICATE).read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise _damaged(folder / CERTIFICATE, str(error)) from None
        expires_ms = int(found.not_valid_after_utc.timestamp()) * 1000
        certified = form.spki(found.public_key())
    asking = spki_of(folder / NEXT) or key
    fingerprint = form.digits(b"box\0" + str(own).encode() + b"\0" + asking) if own and asking else None
    return Enrolled(root, ring, expires_ms, fingerprint, fits=certified is not None and certified == key)


def spki_of(path: Path) -> bytes | None:
    """Return the public half of a key file; None when there is none. Raises IntegrityFault KEY_DAMAGED."""
    return form.spki(_read_key(path).public_key()) if files.exists(path) else None


def _take_ring(state: Path, bundle: Bundle, disk: Disk) -> None:
    """N1."""
    folder = state / rings.DIRECTORY
    root = canonical_json(
        {"city": bundle.root.city, "kid": bundle.root.kid, "key": base64url(bundle.root.public)}
    )
    ring = bundle.ring_text.encode() + b"\n"
    if not files.exists(folder):
        # One of the two alone would be an enrolment that somebody tampered with.
        forming = state / _FORMING
        disk.make_directory(forming)
        disk.atomic_replace(forming / rings.FILE, ring, sync=True)
        disk.atomic_replace(forming / rings.ROOT_FILE, root.encode() + b"\n", sync=True)
        disk.rename(forming, folder)
        disk.fsync_directory(state)
        return
    present = _present_ring(state)
    if present is None or present.epoch < bundle.ring.epoch:
        disk.atomic_replace(folder / rings.FILE, ring, sync=True)
    if not files.exists(folder / rings.ROOT_FILE):
        disk.atomic_replace(folder / rings.ROOT_FILE, root.encode() + b"\n", sync=True)


def _present_ring(state: Path) -> Ring | None:
    """Return the ring that is there; a damaged one is replaced, which is what its error's hint asks for."""
    try:
        return rings.load(state)
    except IntegrityFault:
        return None


def _certified(folder: Path, bundle: Bundle) -> Path | None:
    """Return which of the box's key files a bundle certifies."""
    for path in (folder / NEXT, folder / KEY):
        if spki_of(path) == bundle.tls_key:
            return path
    return None


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a TLS key. What it says is never part of an error."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise files.fault("read", path, error) from error
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(path, say("키 파일이 손상되었습니다", "the key file is damaged"))
    return key


def _damaged(path: Path, reason: str) -> IntegrityFault:
    return IntegrityFault(
        "KEY_DAMAGED",
        say("박스의 통신 키를 쓸 수 없습니다", "the box's TLS key cannot be used"),
        hint=say(
            "상태 폴더의 uplink를 옮기고 `pasu enrol request`로 다시 등록하십시오. 녹화는 계속됩니다",
            "move `uplink` out of the state folder and enrol anew with `pasu enrol request`; recording goes on",
        ),
        path=str(path),
        reason=reason,
    )
