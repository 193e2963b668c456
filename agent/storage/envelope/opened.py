"""Opening: an age v1 file in, plaintext out, with the place of every damage."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from agent.errors import IntegrityFault
from agent.storage.envelope.errors import (
    CHUNK_AFTER_END,
    CHUNK_DAMAGED,
    TRUNCATED,
    header_damaged,
    no_match,
)
from agent.storage.envelope.header import MAX_HEADER_BYTES, Identity, check_mac, parse_header
from agent.storage.envelope.stream import (
    CHUNK_BYTES,
    NONCE_BYTES,
    SEALED_CHUNK_BYTES,
    TAG_BYTES,
    ChunkCipher,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MESSAGES = {
    CHUNK_DAMAGED: "a chunk is not what was written there",
    CHUNK_AFTER_END: "the file goes on after its last chunk",
    TRUNCATED: "the file ends before its last chunk",
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Plaintext that is certainly what was written, where it belongs.

    chunk         number from 0
    offset        of the sealed chunk in the file, bytes
    plain_offset  of its plaintext, bytes
    last          whether it was sealed as the last one
    """

    chunk: int
    offset: int
    plain_offset: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where the file is not what was written.

    kind    "damaged" (a chunk does not open), "unfinished" (the file ends without its last chunk), or
            "after_end" (bytes follow the last chunk)
    offset  in the file, and plain_offset in the plaintext, where it begins, bytes
    length  bytes of the file that it takes up; 0 where something is missing
    at_end  whether it reaches to the end of the file; there, a chunk that was cut off cannot be told from one
            that was changed
    """

    kind: str
    chunk: int
    offset: int
    plain_offset: int
    length: int
    at_end: bool

    @property
    def code(self) -> str:
        """Return the stable error code."""
        return {"damaged": CHUNK_DAMAGED, "unfinished": TRUNCATED, "after_end": CHUNK_AFTER_END}[self.kind]

    def fault(self) -> IntegrityFault:
        """Return the error to raise where a damage cannot be passed over."""
        return IntegrityFault(
            self.code,
            _MESSAGES[self.code] + (", or is cut off" if self.at_end and self.kind == "damaged" else ""),
            hint="keep the file as it is; pasu open uses what is whole",
            chunk=self.chunk,
            offset=self.offset,
            plain_offset=self.plain_offset,
        )


def shred_span(start: bytes) -> int:
    """Return the length of the age header at the start of a file, in bytes.

    These bytes hold the wrapped file key: once they are overwritten, nobody can open the rest. The payload's
    16-byte nonce follows them, then the chunks.
    start   the file's first 64 KiB, or all of it
    Raises  IntegrityFault NOT_AGE_FILE or HEADER_DAMAGED
    """
    return parse_header(start).length


class Opened:
    """Reads the plaintext of an age file, at any place.

    No byte is handed out before the chunk that holds it has been verified.
    """

    def __init__(self, file: BinaryIO, identities: Sequence[Identity]) -> None:
        """Read the header and unwrap the file key.

        file        binary and seekable, from its first byte; it stays the caller's to close
        identities  the first that finds its stanza is used
        Raises      IntegrityFault NOT_AGE_FILE, HEADER_DAMAGED or NO_MATCHING_IDENTITY
        """
        self._file = file
        file.seek(0)
        start = file.read(MAX_HEADER_BYTES + NONCE_BYTES)
        header = parse_header(start)
        file_key = next(filter(None, (identity.unwrap(header.stanzas) for identity in identities)), None)
        if file_key is None:
            raise no_match()
        check_mac(header, file_key)
        self._payload = header.length + NONCE_BYTES
        nonce = start[header.length : self._payload]
        if len(nonce) < NONCE_BYTES:
            raise header_damaged("the file ends within the nonce after it", offset=header.length)
        self._cipher = ChunkCipher(file_key, nonce)
        sealed_bytes = file.seek(0, io.SEEK_END) - self._payload
        # Even an empty file has one chunk, sealed around nothing.
        self._count = max(1, -(-sealed_bytes // SEALED_CHUNK_BYTES))
        self._end_offset = self._payload + max(0, sealed_bytes)
        self._trailing: Damage | None = None
        self._position = 0
        self._held: Chunk | None = None

    @property
    def size(self) -> int | None:
        """Plaintext bytes, the last chunk verified for it; None when the file's end is missing or damaged."""
        end = self._end()
        return end if isinstance(end, int) else None

    def tell(self) -> int:
        """Return the position in the plaintext."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position in the plaintext, beyond the end if so asked.

        Raises IntegrityFault when counted from an end that is missing or damaged; ValueError before the start
        """
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            end = self._end()
            if isinstance(end, Damage):
                raise end.fault()
            offset += end
        elif whence != io.SEEK_SET:
            raise ValueError(f"unknown whence: {whence}")
        if offset < 0:
            raise ValueError(f"a position before the start: {offset}")
        self._position = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        """Read up to size bytes of plaintext, or all that is left.

        Returns  b"" at the end of a whole file only. Before a damage, fewer bytes than asked for
        Raises   IntegrityFault with chunk, offset and plain_offset, when the next byte cannot be had;
                 when all is asked for, as soon as any of it cannot be had
        """
        parts: list[bytes] = []
        position = self._position
        end = position + size if size >= 0 else sys.maxsize
        while position < end:
            piece = self._piece(position)
            if isinstance(piece, Damage):
                if size < 0 or not parts:
                    raise piece.fault()
                break
            if not piece:
                break
            parts.append(piece[: end - position])
            position += len(parts[-1])
        self._position = position
        return b"".join(parts)

    def chunks(self) -> Iterator[Chunk | Damage]:
        """Yield every chunk in order, and every damage at its place; damages do not stop it.

        A file that ends without its last chunk yields a Damage "unfinished" at the end.
        """
        number = 0
        while number < self._count:
            yield self._open(number)
            number += 1
        end = self._end()
        if isinstance(end, Damage) and end.kind != "damaged" and end.chunk == number:
            yield end

    def _piece(self, position: int) -> bytes | Damage:
        """Return plaintext from position to the end of its chunk; b"" at the end of a whole file."""
        number = position // CHUNK_BYTES
        if number < self._count:
            found = self._load(number)
            if isinstance(found, Damage):
                return found
            piece = found.data[position - found.plain_offset :]
            if piece:
                return piece
        end = self._end()
        return end if isinstance(end, Damage) else b""

    def _end(self) -> int | Damage:
        """Return the length of the plaintext, or what is wrong with the end of the file."""
        found = self._load(self._count - 1)
        if isinstance(found, Damage):
            return found
        if self._trailing:
            return self._trailing
        if not found.last:
            return self._damage("unfinished", self._count, 0)
        return found.plain_offset + len(found.data)

    def _load(self, number: int) -> Chunk | Damage:
        """Open a chunk, and hold it: reading comes in smaller steps than chunks."""
        if self._held is not None and self._held.chunk == number:
            return self._held
        found = self._open(number)
        if isinstance(found, Chunk):
            self._held = found
        return found

    def _open(self, number: int) -> Chunk | Damage:
        """Open a chunk, sealed as the last one or not, as its place lets expect first.

        One that is sealed as the last and is not at the end of the file ends it all the same.
        """
        offset = self._payload + number * SEALED_CHUNK_BYTES
        self._file.seek(offset)
        sealed = self._file.read(SEALED_CHUNK_BYTES)
        at_end = number == self._count - 1
        if at_end and len(sealed) < TAG_BYTES:
            return self._damage("unfinished", number, len(sealed))
        for last in (at_end, not at_end):
            if not last and len(sealed) < SEALED_CHUNK_BYTES:
                continue  # only the last chunk may be short
            plain = self._cipher.open(number, sealed, last=last)
            if plain is None or (last and number and not plain):
                continue  # the last chunk may be empty in an empty file only
            if last and not at_end:
                self._count = number + 1
                after = offset + SEALED_CHUNK_BYTES
                self._trailing = self._damage("after_end", number + 1, self._end_offset - after)
            return Chunk(number, offset, number * CHUNK_BYTES, plain, last)
        return self._damage("damaged", number, len(sealed))

    def _damage(self, kind: str, number: int, length: int) -> Damage:
        offset = self._payload + number * SEALED_CHUNK_BYTES
        return Damage(kind, number, offset, number * CHUNK_BYTES, length, offset + length == self._end_offset)
