"""The envelope: a compact JWS (RFC 7515) with Ed25519 (RFC 8037), and nothing that either leaves to choice. Pure.

The header is exactly {"alg":"EdDSA","kid":…,"typ":…}. So nobody can ask for another algorithm, bring a key along,
or leave the payload out. PyJWT makes and checks the signature.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from agent.command import strict
from agent.command.errors import CommandRefused
from agent.model import canonical_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from jwt.api_jws import PyJWS

MOST_BYTES = strict.MOST_BYTES
ALGORITHM = "EdDSA"
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}\Z")
_KID = re.compile(r"[0-9a-f]{16}\Z")


def kid_of(public: bytes) -> str:
    """Return the id of a key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


def is_kid(value: object) -> bool:
    """Tell whether a value has the form of a key's id."""
    return isinstance(value, str) and _KID.match(value) is not None


def sign(payload: dict[str, Any], key: Ed25519PrivateKey, kid: str, typ: str) -> str:
    """Sign a payload; return the compact JWS.

    kid     must be that of the key
    Raises  CommandRefused JWS_LARGE; ValueError for a wrong kid, TypeError for a payload with a float
    """
    if kid != kid_of(key.public_key().public_bytes_raw()):
        raise ValueError("the kid of another key")
    data = canonical_json(payload).encode()
    text = _envelope().encode(data, key, ALGORITHM, {"typ": typ, "kid": kid})
    if len(text) > MOST_BYTES:
        raise _large()
    return text


def peek(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and payload, to choose the key. Nothing of it is proven yet.

    Raises  CommandRefused JWS_LARGE, JWS_MALFORMED
    """
    if len(text) > MOST_BYTES:
        raise _large()
    if not _COMPACT.match(text):
        raise CommandRefused("JWS_MALFORMED", "not a compact JWS with an Ed25519 signature")
    head, payload, _ = text.split(".")
    try:
        header = strict.read(strict.unbase64url(head))
        body = strict.read(strict.unbase64url(payload))
    except ValueError as error:
        raise CommandRefused("JWS_MALFORMED", "header or payload cannot be read", reason=str(error)) from None
    if header.keys() != {"alg", "typ", "kid"} or header["alg"] != ALGORITHM:
        raise CommandRefused("JWS_MALFORMED", "the header must be alg EdDSA, typ and kid, and no more")
    if not isinstance(header["typ"], str) or not is_kid(header["kid"]):
        raise CommandRefused("JWS_MALFORMED", "typ or kid is not what it should be")
    return header, body


def verify(text: str, key: Ed25519PublicKey, typ: str) -> dict[str, Any]:
    """Return the payload, if this key signed it for this purpose.

    Raises  CommandRefused JWS_LARGE, JWS_MALFORMED, JWS_TYPE, JWS_SIGNATURE
    """
    header, body = peek(text)
    if header["typ"] != typ:
        raise CommandRefused("JWS_TYPE", "it was signed for another purpose", expected=typ)
    if header["kid"] != kid_of(key.public_bytes_raw()):
        raise CommandRefused("JWS_SIGNATURE", "it names another key")
    from jwt.exceptions import PyJWTError

    try:
        _envelope().decode(text, key, algorithms=[ALGORITHM])
    except PyJWTError:
        raise CommandRefused("JWS_SIGNATURE", "the signature is wrong") from None
    return body


@cache
def _envelope() -> PyJWS:
    # Here, since it costs 8 MB, which only those pay who verify.
    from jwt.api_jws import PyJWS

    return PyJWS([ALGORITHM])


def _large() -> CommandRefused:
    return CommandRefused("JWS_LARGE", f"more than {MOST_BYTES} bytes")
