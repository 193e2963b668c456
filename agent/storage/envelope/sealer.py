"""Sealing: plaintext in, age v1 bytes out. No input or output of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.storage.envelope.header import FILE_KEY_BYTES, Recipient, write_header
from agent.storage.envelope.stream import CHUNK_BYTES, NONCE_BYTES, ChunkCipher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Sealer:
    """Seals one file.

    header       what comes first in the file: age header and 16-byte nonce
    chunks       chunks sealed so far; plaintext up to chunks * 65536 is in them (until `finish`)
    plain_bytes  plaintext taken so far
    """

    __slots__ = ("_cipher", "_finished", "_pending", "_pending_bytes", "chunks", "header", "plain_bytes")

    def __init__(
        self, recipients: Sequence[Recipient], *, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        """Begin a file that each of the recipients can open.

        entropy  gives n bytes from a cryptographic source: once the file key, once the nonce
        Raises   ValueError without a recipient: nobody could ever open the file
        """
        if not recipients:
            raise ValueError("a file sealed to nobody")
        file_key = entropy(FILE_KEY_BYTES)
        nonce = entropy(NONCE_BYTES)
        self.header = write_header([recipient.wrap(file_key) for recipient in recipients], file_key) + nonce
        self.chunks = 0
        self.plain_bytes = 0
        self._cipher = ChunkCipher(file_key, nonce)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._finished = False

    def seal(self, *pieces: bytes) -> bytes:
        """Take plaintext, and return the chunks that became whole by it.

        A whole chunk is held back until more follows: if nothing did, it would have to be sealed as the last
        one, since an empty last chunk is forbidden. So up to 64 KiB stay in `rest`.
        Returns  sealed chunks of 65552 bytes each; b"" when none became whole
        """
        return b"".join([chunk for piece in pieces for chunk in self.seal_chunks(piece)])

    def seal_chunks(self, piece: bytes) -> Iterator[bytes]:
        """Take plaintext, and give the chunks that became whole by it one by one, so that each is still in the
        processor's cache when it is written.

        To be used up before anything else is called. Only the ends of a piece are copied on the way to the cipher.
        """
        assert not self._finished, "the file has its last chunk"
        self.plain_bytes += len(piece)
        if self._pending_bytes + len(piece) <= CHUNK_BYTES:
            self._pending.append(piece)
            self._pending_bytes += len(piece)
            return
        plain = memoryview(piece)
        at = CHUNK_BYTES - self._pending_bytes
        chunk: bytes | memoryview = b"".join([*self._pending, plain[:at]])
        while True:
            yield self._cipher.seal(self.chunks, chunk, last=False)
            self.chunks += 1
            if len(piece) - at <= CHUNK_BYTES:
                break
            chunk = plain[at : at + CHUNK_BYTES]
            at += CHUNK_BYTES
        self._pending = [bytes(plain[at:])]
        self._pending_bytes = len(piece) - at

    @property
    def rest(self) -> bytes:
        """Plaintext taken and not yet sealed, at most 64 KiB; it begins at chunks * 65536."""
        if len(self._pending) > 1:
            self._pending = [b"".join(self._pending)]
        return self._pending[0] if self._pending else b""

    def finish(self) -> bytes:
        """Seal the rest as the last chunk; nothing can follow."""
        assert not self._finished, "the file has its last chunk"
        self._finished = True
        sealed = self._cipher.seal(self.chunks, self.rest, last=True)
        self.chunks += 1
        self._pending = []
        self._pending_bytes = 0
        return sealed


def seal_bytes(
    recipients: Sequence[Recipient], plaintext: bytes, *, entropy: Callable[[int], bytes] = os.urandom
) -> bytes:
    """Seal a small file whole."""
    sealer = Sealer(recipients, entropy=entropy)
    return sealer.header + sealer.seal(plaintext) + sealer.finish()
