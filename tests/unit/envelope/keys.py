"""Keys and entropy that are the same in every run."""

from __future__ import annotations

import hashlib
import io

from agent.storage.envelope import Opened, X25519Identity, seal_bytes


class Drops:
    """Entropy in which nothing is left to chance."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.count = 0

    def __call__(self, size: int) -> bytes:
        self.count += 1
        return hashlib.shake_256(f"{self.seed}/{self.count}".encode()).digest(size)


ALICE = X25519Identity.generate(entropy=Drops("alice"))
BOB = X25519Identity.generate(entropy=Drops("bob"))
EVE = X25519Identity.generate(entropy=Drops("eve"))


def plaintext(size: int, seed: str = "video") -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


def sealed(data: bytes, *identities: X25519Identity, seed: str = "seal") -> bytes:
    return seal_bytes([one.recipient() for one in identities or (ALICE,)], data, entropy=Drops(seed))


def opened(data: bytes, *identities: X25519Identity) -> Opened:
    return Opened(io.BytesIO(data), identities or (ALICE,))
