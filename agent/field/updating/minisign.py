"""Signatures of packages in minisign's form: the key, the signature, and whether one fits the other. Pure.

Prehashed signatures alone ("ED": Ed25519 over BLAKE2b-512 of the file): the older form asks for the whole file in
memory, and nobody has signed anything for us in it.

Source  minisign's documentation: jedisct1.github.io/minisign, "signature format" and "public key format"
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT_BYTES = 4096
"""Of a key or a signature."""
_COMMENT = "untrusted comment: "
_TRUSTED = "trusted comment: "
_KEY, _PREHASHED = b"Ed", b"ED"
_KID = 8


class Unsigned(ValueError):
    """What is no key, no signature, or not of these bytes by any of these keys. `code`: as of errors."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Key:
    """A key whose signatures count. kid: 16 hexadecimal digits, as minisign shows it."""

    kid: str
    public: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature: 64 bytes over the file's digest, and 64 over those and the trusted comment."""

    kid: str
    of_file: bytes
    comment: str
    of_all: bytes


def parse_key(text: str) -> Key:
    """Read a public key: a comment, and 42 bytes in base64. Raises Unsigned UPDATE_KEYS."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) != 2 or not lines[0].startswith(_COMMENT):
        raise Unsigned("UPDATE_KEYS", "not two lines")
    body = _decode(lines[1], 2 + _KID + 32, "UPDATE_KEYS")
    if body[:2] != _KEY:
        raise Unsigned("UPDATE_KEYS", "another algorithm")
    return Key(_kid(body[2:10]), body[10:])


def parse_signature(data: bytes) -> Signature:
    """Read a signature file: four lines. Raises Unsigned UPDATE_SIGNATURE."""
    try:
        lines = data.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise Unsigned("UPDATE_SIGNATURE", "not UTF-8") from None
    if len(lines) != 4 or not lines[0].startswith(_COMMENT) or not lines[2].startswith(_TRUSTED):
        raise Unsigned("UPDATE_SIGNATURE", "not the four lines of minisign")
    body = _decode(lines[1], 2 + _KID + 64, "UPDATE_SIGNATURE")
    if body[:2] != _PREHASHED:
        raise Unsigned("UPDATE_SIGNATURE", "not prehashed: sign with minisign 0.11 or later, without -l")
    of_all = _decode(lines[3], 64, "UPDATE_SIGNATURE")
    return Signature(_kid(body[2:10]), body[10:], lines[2].removeprefix(_TRUSTED), of_all)


def verify(signature: Signature, keys: Iterable[Key], digest: bytes) -> Key:
    """Return the key that signed.

    digest  BLAKE2b-512 of the file
    Raises  Unsigned UPDATE_KEY, which is none of these, or UPDATE_FORGED
    """
    same = [key for key in keys if key.kid == signature.kid]
    if not same:
        raise Unsigned("UPDATE_KEY", signature.kid)
    for key in same:
        public = Ed25519PublicKey.from_public_bytes(key.public)
        try:
            public.verify(signature.of_file, digest)
            public.verify(signature.of_all, signature.of_file + signature.comment.encode())
        except InvalidSignature:
            continue
        return key
    raise Unsigned("UPDATE_FORGED", signature.kid)


def _kid(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):016X}"


def _decode(text: str, size: int, code: str) -> bytes:
    """Decode base64 that is written in the one right way: no letter of it may be another."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Unsigned(code, "not base64") from None
    if len(data) != size or base64.b64encode(data).decode() != text:
        raise Unsigned(code, "another length")
    return data
