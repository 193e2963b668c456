"""Reads back what this package writes, piece by piece; a cut-off end is no error, foreign bytes are."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from agent.mp4.boxes import ABOUT_UUID, BOX_LIMIT, DESCRIPTION_LIMIT, HEADER, HEADER_BYTES
from agent.mp4.errors import Mp4Error
from agent.mp4.fragment import PRFT_START, Sample
from agent.mp4.parse import Moof, Trun, moof_of, moov_of, utc_of


class Init(NamedTuple):
    """What the init segment says; the fields are those of `init_segment`, in its order."""

    codec: str
    width: int
    height: int
    timescale: int
    config: bytes
    about: bytes


class Fragment(NamedTuple):
    """One fragment; the fields are those of `fragment`, in its order.

    utc_ms  UTC at which the first sample is shown; None when the fragment does not say
    """

    sequence: int
    base_dts: int
    samples: list[Sample]
    utc_ms: int | None


class Reader:
    """Turns the bytes of one segment, in pieces of any size, into Init and Fragment values.

    Holds at most one box (64 MiB) beside what one call hands in. After damage: `rest`, then `resync`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._passed = 0  # bytes of boxes that wait for the one that makes a value of them
        self._needed = b"ftyp"  # must come before any other; then moov before any moof
        self._searching = False
        self._about = b""
        self._utc_ms: int | None = None
        self._moof: Moof | None = None

    @property
    def pending_bytes(self) -> int:
        """Return how many bytes, so far, belong to nothing that was returned; above 0 at the end: cut off."""
        return len(self._buffer) + self._passed

    def feed(self, data: bytes) -> list[Init | Fragment]:
        """Take more bytes and return what became whole.

        Raises  Mp4Error when the bytes are not ours; what was whole before them is returned first, and the
                error comes with the next call. Every further call raises it again, until `resync`.
        """
        self._buffer += data
        found: list[Init | Fragment] = []
        try:
            while self._whole():
                value = self._take()
                if value is not None:
                    found.append(value)
        except Mp4Error:
            if not found:
                raise
        return found

    def rest(self) -> Fragment | None:
        """Return the samples that are whole in the unfinished fragment, if any; changes nothing."""
        moof, buffer = self._moof, self._buffer
        if moof is None or buffer[:HEADER_BYTES] != HEADER.pack(moof.mdat_bytes, b"mdat"):
            return None
        ends = accumulate(moof.trun.sizes, initial=HEADER_BYTES)
        count = sum(end <= len(buffer) for end in ends) - 1
        return self._fragment(moof, count) if count else None

    def resync(self) -> None:
        """Give up the unfinished fragment, and look for the next one in what is held and what will come.

        It is found by the first 16 bytes of its prft, which are the same in every fragment of ours.
        """
        del self._buffer[:1]
        self._passed = 0
        self._moof = self._utc_ms = None
        self._needed, self._searching = b"", True

    def _whole(self) -> bool:
        """Tell whether the next box is there whole; its header is judged before the rest is waited for."""
        buffer = self._buffer
        if self._searching:
            at = buffer.find(PRFT_START)
            self._searching = at < 0
            del buffer[: at if at >= 0 else max(0, len(buffer) - len(PRFT_START) + 1)]
        if self._searching or len(buffer) < HEADER_BYTES:
            return False
        size: int
        kind: bytes
        size, kind = HEADER.unpack_from(buffer)
        limit = BOX_LIMIT if kind == b"mdat" else DESCRIPTION_LIMIT
        if not HEADER_BYTES <= size <= limit or not kind.isascii() or not kind.decode().isprintable():
            raise Mp4Error("box_size", "this is not a box of ours", kind=kind.hex(), size=size)
        if kind != self._needed and (self._needed == b"ftyp" or (self._needed and kind == b"moof")):
            raise Mp4Error("order", "a box stands before the one that explains it", kind=kind.hex())
        if (kind == b"mdat") != (self._moof is not None):
            raise Mp4Error("order", "mdat must follow moof, and nothing else may", kind=kind.hex())
        if self._moof is not None and size != self._moof.mdat_bytes:
            raise Mp4Error("sample_size", "samples and mdat differ in size", size=size)
        return len(buffer) >= size

    def _take(self) -> Init | Fragment | None:
        """Consume the whole box at the front of the buffer."""
        size, kind = HEADER.unpack_from(self._buffer)
        value: Init | Fragment | None = None
        self._passed += size
        if self._moof is not None:
            value = self._fragment(self._moof, len(self._moof.trun.sizes))
            self._moof = self._utc_ms = None
        else:
            try:
                value = self._describe(kind, bytes(self._buffer[:size]))
            except Mp4Error:
                self._passed -= size
                raise
        if value is not None:
            self._passed = 0
        del self._buffer[:size]
        return value

    def _describe(self, kind: bytes, data: bytes) -> Init | None:
        """Read one whole box other than mdat. Boxes of other names are passed over, as the standard asks."""
        if kind == b"ftyp":
            self._needed, self._about = b"moov", b""
        elif kind == b"uuid" and data[HEADER_BYTES : HEADER_BYTES + 16] == ABOUT_UUID:
            self._about = data[HEADER_BYTES + 16 :]
        elif kind == b"moov":
            self._needed = b""
            return Init(*moov_of(data), about=self._about)
        elif kind == b"prft":
            self._utc_ms = utc_of(data)
        elif kind == b"moof":
            self._moof = moof_of(data)
        else:
            self._passed -= len(data)
        return None

    def _fragment(self, moof: Moof, count: int) -> Fragment:
        """Cut the first `count` samples out of the mdat at the front of the buffer."""
        trun: Trun = moof.trun
        samples: list[Sample] = []
        end = HEADER_BYTES
        with memoryview(self._buffer) as view:
            for size, duration, offset, keyframe in zip(
                trun.sizes[:count], trun.durations, trun.offsets, trun.keyframes, strict=False
            ):
                samples.append(Sample(bytes(view[end : end + size]), duration, offset, keyframe))
                end += size
        return Fragment(moof.sequence, moof.base_dts, samples, self._utc_ms)
