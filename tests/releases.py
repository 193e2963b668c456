"""Release keys, signatures and small packages, made for tests."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from pathlib import Path


class Release:
    """A release key, and what it signs, in minisign's form."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._id = os.urandom(8)
        self.kid = f"{int.from_bytes(self._id, 'little'):016X}"
        body = b"Ed" + self._id + self._key.public_key().public_bytes_raw()
        self.public = f"untrusted comment: release key\n{base64.b64encode(body).decode()}\n"

    def sign(self, data: bytes, comment: str, *, algorithm: bytes = b"ED") -> bytes:
        of_file = self._key.sign(hashlib.blake2b(data).digest())
        of_all = self._key.sign(of_file + comment.encode())
        body = base64.b64encode(algorithm + self._id + of_file).decode()
        lines = [
            "untrusted comment: signature",
            body,
            f"trusted comment: {comment}",
            base64.b64encode(of_all).decode(),
        ]
        return "\n".join(lines).encode() + b"\n"

    def sign_file(self, place: Path, comment: str) -> Path:
        signature = place.with_name(place.name + ".minisig")
        signature.write_bytes(self.sign(place.read_bytes(), comment))
        return signature
