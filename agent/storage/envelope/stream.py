"""The chunk stream: plaintext in pieces of 64 KiB, each sealed with its number and whether it is the last.

It knows nothing of headers or of how the file key travels.
Source: age-encryption.org/v1 (C2SP age.md), "Payload".
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from agent.storage.envelope.kdf import hkdf

NONCE_BYTES = 16
CHUNK_BYTES = 65_536
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES


class ChunkCipher:
    """Seals and opens single chunks of one file."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        """Take the 16-byte file key and the 16-byte nonce that stands before the chunks."""
        self._cipher = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))

    def seal(self, number: int, plaintext: bytes | memoryview, *, last: bool) -> bytes:
        """Seal a chunk; each number once."""
        return self._cipher.encrypt(number.to_bytes(11, "big") + bytes((last,)), plaintext, None)

    def open(self, number: int, sealed: bytes, *, last: bool) -> bytes | None:
        """Open a chunk; None when it is not what was written at this place."""
        if len(sealed) < TAG_BYTES:
            return None
        try:
            return self._cipher.decrypt(number.to_bytes(11, "big") + bytes((last,)), sealed, None)
        except InvalidTag:
            return None
