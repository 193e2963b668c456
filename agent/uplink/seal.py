"""A box signs what it says of itself, so that whoever carries it changes no word and makes up none (E7). Pure.

The signature is the last member of the JSON object, `"sig":"..."`: ECDSA on P-256 with SHA-256, by the key of the
box's certificate, as JOSE writes it (RFC 7518, section 3.4: r and s of 32 bytes each, in base64url without padding).
It is over the topic, a line feed, and the payload without that member: nobody has to write JSON as we do to check it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

if TYPE_CHECKING:
    from collections.abc import Iterable

_HALF = 32
_SIGNED = re.compile(rb'(.*),"sig":"([A-Za-z0-9_-]{86})"\}', re.DOTALL)
SIGNATURE_BYTES = 95
"""So much longer is a payload with its signature."""


class Seal:
    """What a box signs with."""

    def __init__(self, pem: bytes) -> None:
        """Take the private key of a certificate. Raises ValueError for anything else"""
        try:
            key = load_pem_private_key(pem, None)
        except TypeError:
            raise ValueError("the key is locked") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("not a P-256 key")  # noqa: TRY004 - one error for all that is wrong
        self._key = key

    def put(self, topic: str, payload: bytes) -> bytes:
        """Return a JSON object with the signature in it."""
        plain = payload.rstrip()
        assert plain.endswith(b"}")
        r, s = utils.decode_dss_signature(self._key.sign(_said(topic, plain), ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")
        return plain[:-1] + b',"sig":"' + base64.urlsafe_b64encode(raw).rstrip(b"=") + b'"}'


def is_signed(topic: str, payload: bytes, keys: Iterable[ec.EllipticCurvePublicKey]) -> bool:
    """Tell whether one of these keys signed what came under a topic."""
    found = _SIGNED.fullmatch(payload)
    if found is None:
        return False
    raw = base64.urlsafe_b64decode(found[2] + b"==")
    signature = utils.encode_dss_signature(
        int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big")
    )
    return any(_has_signed(key, signature, _said(topic, found[1] + b"}")) for key in keys)


def public_key(spki: str) -> ec.EllipticCurvePublicKey:
    """Read a public key: SubjectPublicKeyInfo, DER, in base64. Raises ValueError for what is no P-256 key"""
    try:
        key = load_der_public_key(base64.b64decode(spki, validate=True))
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 key")  # noqa: TRY004
    return key


def _said(topic: str, plain: bytes) -> bytes:
    """Return what is signed. It begins with pasu/v1/, as nothing does that TLS or a certificate request signs."""
    return topic.encode() + b"\n" + plain


def _has_signed(key: ec.EllipticCurvePublicKey, signature: bytes, said: bytes) -> bool:
    try:
        key.verify(signature, said, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
