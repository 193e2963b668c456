"""What travels at enrolment: the box's request, and the city's bundle. Pure.

A request proves that whoever made it has both private keys: the TLS key signed the certificate request in it, the box's
own key, which signs checkpoints, the whole. A bundle holds public things only: the city's root key, what that signed
(the city's certificate authority and address, the key ring), the box's certificate, and, of a box with a tunnel, the
terms of that, which the authority signed.
Both are one line of JSON. See docs/formats.md, "Enrolment".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.command import jws, keyring, strict
from agent.command.errors import CommandRefused
from agent.errors import ConfigError
from agent.language import say
from agent.model import canonical_json
from agent.storage.proof import note
from agent.storage.proof.note import NoteError, Verifier
from agent.tunnel import terms as tunnels

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.command.keyring import Ring, Root
    from agent.tunnel.terms import Terms

REQUEST_MAGIC = "pasu-enrol-request"
BUNDLE_MAGIC = "pasu-enrol-bundle"
CITY_TYP = "pasu-city+jws"
MOST_BYTES = 1 << 17
"""Of a bundle: a ring of 64 KiB, two certificates, and room."""
GROUPS = 6
"""Groups of four digits in a fingerprint: 24 digits are 79 bits, read aloud in ten seconds."""

_REQUEST = {"magic", "v", "box", "site", "operator", "csr", "vkey", "made_ms", "signature"}
_BUNDLE = {"magic", "v", "box", "root", "city", "certificate", "ring"}
_CITY = {"v", "city", "name", "ca", "broker", "issued_ms"}
_BOX = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
_BROKER = re.compile(r"mqtts://(?:\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}\Z")


@dataclass(frozen=True, slots=True)
class Request:
    """A box that asks to be enrolled.

    csr      PKCS #10, DER, P-256, its CN is the box's id
    vkey     the box's public key, under which it signs checkpoints
    made_ms  by the box's clock, which may be wrong
    tunnel   the box's public key of the tunnel, base64; empty of a box that wants none
    """

    box: str
    site: str
    operator: str
    csr: bytes
    vkey: str
    made_ms: int
    signature: str = ""
    tunnel: str = ""

    @property
    def fingerprint(self) -> str:
        """Return what two people compare: it stands for both public keys, whenever the request was made."""
        return digits(b"box\0" + self.vkey.encode() + b"\0" + self.tls_key)

    @property
    def tls_key(self) -> bytes:
        """Return the public key that asks for a certificate (SubjectPublicKeyInfo, DER)."""
        return spki(self.public_key)

    @property
    def public_key(self) -> EllipticCurvePublicKey:
        """Return the same as the library's object."""
        key = x509.load_der_x509_csr(self.csr).public_key()
        assert isinstance(key, EllipticCurvePublicKey)  # read_request saw to it
        return key


@dataclass(frozen=True, slots=True)
class City:
    """What the root key says about its city.

    ca      PEM of the certificate authority
    broker  mqtts://HOST:PORT
    """

    city: str
    name: str
    ca: str
    broker: str
    issued_ms: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """The city's answer, everything in it verified against `root`; whether that is the right one, a person says."""

    box: str
    root: Root
    city: City
    certificate: str
    ring: Ring
    ring_text: str
    tunnel: Terms | None = None

    @property
    def fingerprint(self) -> str:
        """Return the city's, for two people to compare."""
        return city_fingerprint(self.root)

    @property
    def tls_key(self) -> bytes:
        """Return the public key that was certified."""
        return spki(certificate(self.certificate).public_key())

    @property
    def expires_ms(self) -> int:
        """Return when the certificate does."""
        return int(certificate(self.certificate).not_valid_after_utc.timestamp()) * 1000


def digits(data: bytes) -> str:
    """Return a fingerprint for people: groups of four decimal digits of the SHA-256."""
    number = int.from_bytes(hashlib.sha256(data).digest(), "big") % 10 ** (4 * GROUPS)
    text = f"{number:0{4 * GROUPS}d}"
    return " ".join(text[place : place + 4] for place in range(0, len(text), 4))


def city_fingerprint(root: Root) -> str:
    """Return the fingerprint of a city's root key."""
    return digits(b"city\0" + root.city.encode() + b"\0" + root.public)


def spki(key: Any) -> bytes:
    """Write a public key as certificates hold it."""
    raw: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return raw


def certificate(pem: str) -> x509.Certificate:
    """Read one certificate. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode())


# Requests


def signed(request: Request, sign: Callable[[str], str]) -> Request:
    """Return a request with its signature.

    sign  signs a text with the box's key and returns the note (agent.storage.proof.signing.BoxKey.sign)
    """
    return replace(request, signature=sign(_signed_text(_body(request))).splitlines()[-1])


def request_json(request: Request) -> str:
    """Write a request as its file holds it."""
    return canonical_json(_body(request) | {"signature": request.signature}) + "\n"


def read_request(data: bytes) -> Request:
    """Read a request and check both signatures. Raises ConfigError ENROL_REQUEST."""
    try:
        return _read_request(data)
    except (ValueError, NoteError, InvalidSignature, binascii.Error) as error:
        raise ConfigError(
            "ENROL_REQUEST",
            say("등록 요청이 아니거나 손상되었습니다", "not an enrolment request, or damaged"),
            hint=say(
                "박스에서 `pasu enrol request`로 다시 만드십시오",
                "make it again on the box with `pasu enrol request`",
            ),
            reason=str(error) or type(error).__name__,
        ) from None


def _read_request(data: bytes) -> Request:
    body = strict.read(data)
    if body.keys() - {"tunnel"} != _REQUEST or body["magic"] != REQUEST_MAGIC or body["v"] != 1:
        raise ValueError("members")
    texts = ("csr", "vkey", "signature", "box")
    if not all(isinstance(body[name], str) for name in texts) or not is_box(body["box"]):
        raise ValueError("box, csr, vkey, signature")
    if not strict.is_name(body["site"], 200) or not strict.is_name(body["operator"], 200):
        raise ValueError("site, operator")
    if not strict.is_number(body["made_ms"]):
        raise ValueError("made_ms")
    if "tunnel" in body and not tunnels.is_key(body["tunnel"]):
        raise ValueError("the key of the tunnel")
    csr = base64.b64decode(body["csr"], validate=True)
    asked = x509.load_der_x509_csr(csr)
    key = asked.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("the certificate request is not for a P-256 key")  # noqa: TRY004 - one error for all that is wrong
    if not asked.is_signature_valid or _common_name(asked.subject) != body["box"]:
        raise ValueError("the certificate request is not this box's")
    verifier = Verifier.parse(body["vkey"])
    if verifier.name != f"pasu/{body['box']}":
        raise ValueError("the key of another box")
    text = _signed_text({name: value for name, value in body.items() if name != "signature"})
    note.parse_note(f"{text}\n{body['signature']}\n".encode()).verify(verifier)
    return Request(
        body["box"],
        body["site"],
        body["operator"],
        csr,
        str(verifier),
        body["made_ms"],
        body["signature"],
        body.get("tunnel", ""),
    )


def _body(request: Request) -> dict[str, Any]:
    return {
        "magic": REQUEST_MAGIC,
        "v": 1,
        "box": request.box,
        "site": request.site,
        "operator": request.operator,
        "csr": base64.b64encode(request.csr).decode(),
        "vkey": request.vkey,
        "made_ms": request.made_ms,
        **({"tunnel": request.tunnel} if request.tunnel else {}),
    }


def _signed_text(body: dict[str, Any]) -> str:
    # The first line keeps it from ever being mistaken for a checkpoint, which the same key signs.
    return f"{REQUEST_MAGIC}\n{canonical_json(body)}\n"


# Bundles


def city_payload(city: str, name: str, ca: str, broker: str, issued_ms: int) -> dict[str, Any]:
    """Return what the root key signs about its city, with typ CITY_TYP."""
    return {"v": 1, "city": city, "name": name, "ca": ca, "broker": broker, "issued_ms": issued_ms}


def read_city(text: str, root: Root) -> City:
    """Read what the root key said about its city. Raises CommandRefused, ValueError."""
    body = jws.verify(text, Ed25519PublicKey.from_public_bytes(root.public), CITY_TYP)
    if body.keys() != _CITY or body["v"] != 1 or body["city"] != root.city:
        raise ValueError("the statement about the city")
    if not strict.is_name(body["name"], 100) or not isinstance(body["ca"], str):
        raise ValueError("the city's name or authority")
    if not is_broker(body["broker"]) or not strict.is_number(body["issued_ms"]):
        raise ValueError("the broker's address")
    certificate(body["ca"])
    return City(root.city, body["name"], body["ca"], body["broker"], body["issued_ms"])


def is_box(value: object) -> bool:
    """Tell whether a value has the form of a box's id, or a city's."""
    return isinstance(value, str) and _BOX.match(value) is not None


def is_broker(value: object) -> bool:
    """Tell whether a value is an address of a broker: mqtts://HOST:PORT."""
    return (
        isinstance(value, str)
        and _BROKER.match(value) is not None
        and 0 < int(value.rpartition(":")[2]) < 1 << 16
    )


def bundle_json(box: str, root: Root, city: str, pem: str, ring: str, *, tunnel: Terms | None = None) -> str:
    """Write a bundle. city and ring are JWS of the root key, pem is the box's certificate."""
    return (
        canonical_json(
            {
                "magic": BUNDLE_MAGIC,
                "v": 1,
                "box": box,
                "root": {"city": root.city, "kid": root.kid, "key": strict.base64url(root.public)},
                "city": city,
                "certificate": pem,
                "ring": ring,
                **({"tunnel": tunnels.to_json(tunnel)} if tunnel else {}),
            }
        )
        + "\n"
    )


def read_bundle(data: bytes) -> Bundle:
    """Read a bundle and check that all of it hangs on its root key. Raises ConfigError ENROL_BUNDLE."""
    try:
        return _read_bundle(data)
    except (
        ValueError,
        TypeError,
        RecursionError,
        CommandRefused,
        InvalidSignature,
        x509.ExtensionNotFound,
    ) as error:
        reason = error.code if isinstance(error, CommandRefused) else str(error) or type(error).__name__
        raise ConfigError(
            "ENROL_BUNDLE",
            say("등록 묶음이 아니거나 손상되었습니다", "not an enrolment bundle, or damaged"),
            hint=say(
                "관제센터의 `pasu centre enrol`이 만든 파일을 그대로 가져오십시오",
                "bring the file that `pasu centre enrol` made, as it is",
            ),
            reason=reason,
        ) from None


def _read_bundle(data: bytes) -> Bundle:
    if len(data) > MOST_BYTES:
        raise ValueError("too long")
    body = json.loads(data)  # longer than strict.read takes; every part of it is verified by what signed it
    if (
        not isinstance(body, dict)
        or body.keys() - {"tunnel"} != _BUNDLE
        or body["magic"] != BUNDLE_MAGIC
        or body["v"] != 1
    ):
        raise ValueError("members")
    if not all(isinstance(body[name], str) for name in ("box", "city", "certificate", "ring")):
        raise ValueError("texts")
    root = keyring.parse_root(canonical_json(body["root"]).encode())
    city = read_city(body["city"], root)
    ring = keyring.parse(body["ring"], root)
    own = certificate(body["certificate"])
    own.verify_directly_issued_by(certificate(city.ca))
    usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if _common_name(own.subject) != body["box"] or ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("the certificate is not for this box")
    tunnel = tunnels.read(body["tunnel"], city.ca) if "tunnel" in body else None
    if tunnel is not None and tunnel.box != body["box"]:
        raise ValueError("the tunnel of another box")
    return Bundle(body["box"], root, city, body["certificate"], ring, body["ring"], tunnel)


def _common_name(name: x509.Name) -> str:
    """Return the one common name. Raises ValueError when there is another part, or another number of them."""
    found = list(name)
    if len(found) != 1 or found[0].oid != NameOID.COMMON_NAME or not isinstance(found[0].value, str):
        raise ValueError("a subject that is more or less than one name")
    return found[0].value
