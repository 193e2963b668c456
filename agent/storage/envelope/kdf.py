"""The one key derivation of the format: HKDF with SHA-256, 32 bytes (RFC 5869)."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive a 32-byte key."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)
