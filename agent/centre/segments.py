"""Reads one sealed segment as far as it is whole, and says what is not.

After a damage, reading goes on at the next fragment: a fragment carries its own times, and its prft box
begins alike in every one, so that it can be found again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from agent.errors import IntegrityFault
from agent.model import parse_utc_name
from agent.mp4.errors import Mp4Error
from agent.mp4.reader import Fragment, Init, Reader
from agent.storage.envelope import CHUNK_BYTES, SEALED_CHUNK_BYTES, Chunk, Damage, Opened
from agent.storage.layout import TAIL_MAGIC, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from agent.storage.envelope import Identity

_TAIL_HEAD_BYTES = len(TAIL_MAGIC) + 8
# A tail holds what does not fill a chunk; the sealed form of that, and room for a header of many recipients.
_TAIL_LIMIT_BYTES = 2 * SEALED_CHUNK_BYTES
_SUFFIX = Kind.FINAL.value
_SALVAGED = ".salvaged"

UNREADABLE = "UNREADABLE"
VIDEO_DAMAGED = "VIDEO_DAMAGED"
TAIL_UNUSABLE = "TAIL_UNUSABLE"


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A sealed segment to be opened.

    tail      the small file beside it with what did not fill a chunk; read only when the segment has no end
    camera    None when it is not known from outside: then what the segment says about itself counts
    start_ms  UTC of its first picture, None when not known
    salvaged  cut after a power cut or a kill: that its last chunk is missing is then no damage
    """

    path: Path
    tail: Path | None = None
    camera: str | None = None
    start_ms: int | None = None
    salvaged: bool = False

    @classmethod
    def at(cls, path: Path, camera: str | None = None) -> Self:
        """Describe a segment by its name and by whether there is a tail beside it."""
        name = path.name.removesuffix(".part").removesuffix(_SUFFIX)
        try:
            start_ms = parse_utc_name(name.removesuffix(_SALVAGED))
        except ValueError:
            start_ms = None
        tail = path.with_name(path.name.removesuffix(".part") + ".tail")
        salvaged = name.endswith(_SALVAGED) or path.name.endswith(".part")
        return cls(path, tail if tail.exists() else None, camera, start_ms, salvaged)


@dataclass(frozen=True, slots=True)
class Lost:
    """A damage, and what it cost.

    code     CHUNK_DAMAGED, TRUNCATED, CHUNK_AFTER_END, HEADER_DAMAGED, NOT_AGE_FILE, NO_MATCHING_IDENTITY,
             UNREADABLE (the file system refused), VIDEO_DAMAGED (whole chunks whose content is no video of
             ours) or TAIL_UNUSABLE (what it held is missing at the segment's end)
    detail   in words, English
    chunk    first chunk concerned, from 0; None where chunks do not matter.  chunks  how many in a row
    offset   in the file, where it begins, bytes; None when unknown
    length   bytes of the file, 0 when unknown
    from_ms  UTC up to which pictures are certainly there, and to_ms from which on they are there again;
             pictures are lost only between them. None where not known
    """

    path: Path
    code: str
    detail: str
    chunk: int | None = None
    chunks: int = 0
    offset: int | None = None
    length: int = 0
    from_ms: int | None = None
    to_ms: int | None = None


def read_segment(
    source: SegmentFile, identities: Sequence[Identity], progress: Callable[[int], None]
) -> Generator[Init | Fragment | Lost, None, None]:
    """Yield what a segment holds, in order, and each damage at its place.

    progress  told how far in the file reading has come, bytes
    """
    reader = Reader()
    broken = False
    for piece in _plaintext(source, identities, progress):
        if isinstance(piece, Lost):
            # The pictures of the fragment in progress that came whole before the damage are good.
            whole = reader.rest()
            if whole:
                yield whole
            yield piece
            reader.resync()
            broken = True
        else:
            for found in _parse(source, reader, piece):
                yield found
                broken = isinstance(found, Lost)
    whole = reader.rest()
    if whole:
        yield whole
    if reader.pending_bytes and not broken and not source.salvaged:
        yield Lost(source.path, VIDEO_DAMAGED, "the video ends within a fragment")


def _parse(source: SegmentFile, reader: Reader, data: bytes) -> Iterator[Init | Fragment | Lost]:
    while True:
        try:
            found = reader.feed(data)
        except Mp4Error as error:
            yield Lost(source.path, VIDEO_DAMAGED, f"whole chunks, but not video as Pasu writes it: {error}")
            reader.resync()
        else:
            if not found:
                return
            yield from found
        # An error that waits behind what was found comes with the next call, and so does what lies beyond it.
        data = b""


class _Row:
    """Damaged chunks in a row, told as one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: Damage | None = None
        self._chunks = 0
        self._length = 0

    def add(self, damage: Damage) -> None:
        self._first = self._first or damage
        self._chunks += 1
        self._length += damage.length

    def is_cut_chunk(self) -> bool:
        """Tell whether the row is nothing but a chunk that may have been cut off at the end of the file."""
        first = self._first
        return bool(first and first.at_end and first.kind == "damaged" and first.length < SEALED_CHUNK_BYTES)

    def take(self) -> Iterator[Lost]:
        """Yield the row, if there is one, and begin anew."""
        first = self._first
        if first:
            fault = first.fault()
            yield Lost(
                self._path, fault.code, fault.message, first.chunk, self._chunks, first.offset, self._length
            )
        self._first, self._chunks, self._length = None, 0, 0


def _plaintext(
    source: SegmentFile, identities: Sequence[Identity], progress: Callable[[int], None]
) -> Iterator[bytes | Lost]:
    """Yield the plaintext in order, and each damage at its place."""
    row = _Row(source.path)
    end = 0
    ended = False
    missing_end: Damage | None = None
    try:
        with source.path.open("rb") as file:
            for item in Opened(file, identities).chunks():
                if isinstance(item, Chunk):
                    yield from row.take()
                    yield item.data
                    end = item.plain_offset + len(item.data)
                    ended = item.last
                    progress(item.offset + SEALED_CHUNK_BYTES)
                elif item.kind == "unfinished":
                    missing_end = item
                else:
                    row.add(item)
                    # Where a chunk was cut off, the tail can stand in for the whole of it.
                    end = item.plain_offset + (CHUNK_BYTES if item.length == SEALED_CHUNK_BYTES else 0)
    except IntegrityFault as fault:
        offset = fault.context.get("offset")
        yield Lost(source.path, fault.code, fault.message, offset=offset if isinstance(offset, int) else None)
        return
    except OSError as error:
        yield from row.take()
        yield Lost(source.path, UNREADABLE, f"reading failed: {error.strerror}")
        return
    tail = None if ended else _tail(source, identities, end)
    if not (isinstance(tail, bytes) and row.is_cut_chunk()):
        yield from row.take()
    if tail:
        yield tail
    if missing_end and not source.salvaged:
        truncated = missing_end.fault()
        yield Lost(source.path, truncated.code, truncated.message, missing_end.chunk, 0, missing_end.offset)


def _tail(source: SegmentFile, identities: Sequence[Identity], end: int) -> bytes | Lost | None:
    """Return what the tail holds beyond the segment's plaintext, which reaches to `end`.

    Returns  None without a tail; Lost when it cannot be used
    Source   formats: "PASUTAIL", 8 bytes of plaintext offset at which it goes on, the plaintext
    """
    path = source.tail
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            opened = Opened(file, identities)
            if (opened.size or 0) > _TAIL_LIMIT_BYTES:
                return Lost(path, TAIL_UNUSABLE, "too large for a tail")
            plain = opened.read()
    except IntegrityFault as fault:
        return Lost(path, TAIL_UNUSABLE, fault.message)
    except OSError as error:
        return Lost(path, TAIL_UNUSABLE, f"reading failed: {error.strerror}")
    if not plain.startswith(TAIL_MAGIC) or len(plain) < _TAIL_HEAD_BYTES:
        return Lost(path, TAIL_UNUSABLE, "not a tail")
    offset = int.from_bytes(plain[len(TAIL_MAGIC) : _TAIL_HEAD_BYTES], "big")
    if offset > end:
        return Lost(
            path, TAIL_UNUSABLE, f"it goes on at byte {offset} of the video, but the segment ends at {end}"
        )
    # An older tail overlaps what meanwhile became a whole chunk.
    return plain[_TAIL_HEAD_BYTES + end - offset :]
