"""The progressive file: all sample tables before the pictures, so that every player can seek at once."""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from agent.mp4.boxes import HEADER, HEADER_BYTES, box, full_box
from agent.mp4.errors import Mp4Error
from agent.mp4.movie import about_box, movie

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.mp4.reader import Init

# isom and mp41 are what the plainest players look for; nothing newer is used.
_FTYP = box(b"ftyp", b"isom", bytes(4), b"isom", b"iso2", b"mp41")
# About a second of pictures in each chunk: players read by chunks, and some stutter with one of hours.
_CHUNK_SAMPLES = 30
_MAC_UNIX_S = 2_082_844_800  # seconds from 1904 to 1970, the epoch of ISO/IEC 14496-12
# ffmpeg refuses samples of 1 GiB; players read durations and offsets into signed 32 bits.
_LARGEST_BYTES = (1 << 30) - 1
_LONGEST_TICKS = (1 << 31) - 1


class SampleMeta(NamedTuple):
    """A sample without its bytes: their number, duration and offset in ticks, whether it is a keyframe."""

    size: int
    duration: int
    offset: int
    keyframe: bool


def progressive(init: Init, samples_meta: Iterable[SampleMeta], utc_ms: int | None = None) -> bytes:
    """Build everything that stands before the pictures: ftyp, moov and the mdat's header.

    init          the track, as the reader found it; its `about` goes along
    samples_meta  all samples in decoding order, the first a keyframe; their bytes follow what is returned
    utc_ms        UTC of the first picture, shown by players as the time of creation
    Raises        Mp4Error, see `Index`
    """
    index = Index()
    for meta in samples_meta:
        index.add(*meta)
    return index.header(init, utc_ms)


class Index:
    """Collects the sample tables while pictures go by: 4 bytes each, 12 while times jitter."""

    def __init__(self) -> None:
        self.samples = 0
        self.data_bytes = 0
        self._ticks = 0
        self._end = -_LONGEST_TICKS  # tick at which the picture shown last has been shown
        self._sizes = array("I")
        self._keyframes = array("I")
        self._durations = _Runs()
        self._offsets = _Runs()

    def add(self, size: int, duration: int, offset: int, keyframe: bool) -> None:
        """Append one sample.

        Raises  Mp4Error `sample` when a number does not fit the tables; `keyframe` when the first is none
        """
        if (
            not 0 <= size <= _LARGEST_BYTES
            or not 0 <= duration <= _LONGEST_TICKS
            or abs(offset) > _LONGEST_TICKS // 2
        ):
            raise Mp4Error(
                "sample", "a number does not fit its table", size=size, ticks=duration, offset=offset
            )
        if not keyframe and not self.samples:
            raise Mp4Error("keyframe", "the first picture must be a keyframe")
        self.samples += 1
        self.data_bytes += size
        self._sizes.append(size)
        if keyframe:
            self._keyframes.append(self.samples)
        self._durations.add(duration)
        self._offsets.add(offset)
        self._ticks += duration
        self._end = max(self._end, self._ticks + offset)

    def header(self, init: Init, utc_ms: int | None = None) -> bytes:
        """Build ftyp, our own box, moov and the mdat's header for the samples so far.

        Raises  Mp4Error `sample` when there is none; `track` for a track that no file can hold
        """
        if not self.samples:
            raise Mp4Error("sample", "a file without pictures")
        # Offsets are moved up until none is negative, and the edit list takes it back: players that know no
        # signed offsets (ctts version 1) show every picture at its time.
        shift = max(0, -min(self._offsets.values))
        first = self._offsets.values[0] + shift
        shown = self._end + shift - first
        edits = box(b"edts", _elst(shown, first)) if first else b""
        mdat_bytes = HEADER_BYTES + self.data_bytes
        if mdat_bytes > 0xFFFF_FFFF:
            mdat = HEADER.pack(1, b"mdat") + (mdat_bytes + 8).to_bytes(8, "big")
        else:
            mdat = HEADER.pack(mdat_bytes, b"mdat")
        created = 0 if utc_ms is None else max(0, utc_ms // 1000 + _MAC_UNIX_S)
        tables = self._tables(shift)

        def before(data_at: int, wide: bool) -> bytes:
            moov = movie(
                *init[:5],
                tables=tables + self._chunks(data_at, wide),
                edits=edits,
                shown=shown,
                coded=self._ticks,
                created=created,
            )
            return b"".join((_FTYP, about_box(init.about), moov, mdat))

        # A first draft tells where the pictures begin, and so whether 32 bits reach to the last chunk.
        data_at = len(before(0, wide=True))
        wide = data_at + self.data_bytes > 0xFFFF_FFFF
        if not wide:
            data_at -= 4 * -(-self.samples // _CHUNK_SAMPLES)
        return before(data_at, wide)

    def _tables(self, shift: int) -> bytes:
        """Build stts, ctts, stss and stsz; ctts and stss only where they say something."""
        tables = [self._durations.box(b"stts", 0)]
        if any(self._offsets.values):
            tables.append(self._offsets.box(b"ctts", shift))
        if len(self._keyframes) != self.samples:
            tables.append(
                full_box(b"stss", 0, 0, struct.pack(">I", len(self._keyframes)), _big(self._keyframes))
            )
        tables.append(full_box(b"stsz", 0, 0, struct.pack(">II", 0, self.samples), _big(self._sizes)))
        return b"".join(tables)

    def _chunks(self, data_at: int, wide: bool) -> bytes:
        """Build stsc and stco, or co64 when offsets may need 64 bits, for pictures that begin at data_at."""
        whole, left = divmod(self.samples, _CHUNK_SAMPLES)
        entries = [(1, _CHUNK_SAMPLES, 1)] if whole else []
        if left:
            entries.append((whole + 1, left, 1))
        stsc = full_box(
            b"stsc", 0, 0, struct.pack(">I", len(entries)), *(struct.pack(">III", *e) for e in entries)
        )
        starts = range(0, self.samples, _CHUNK_SAMPLES)
        sizes = (sum(self._sizes[start : start + _CHUNK_SAMPLES]) for start in starts)
        places = array("Q" if wide else "I", list(accumulate(sizes, initial=data_at))[:-1])
        return stsc + full_box(
            b"co64" if wide else b"stco", 0, 0, struct.pack(">I", len(places)), _big(places)
        )


class _Runs:
    """Numbers as stts and ctts hold them: how often each comes in a row."""

    def __init__(self) -> None:
        self.counts = array("I")
        self.values = array("i")

    def add(self, value: int) -> None:
        """Append one number."""
        if self.values and self.values[-1] == value:
            self.counts[-1] += 1
        else:
            self.counts.append(1)
            self.values.append(value)

    def box(self, kind: bytes, shift: int) -> bytes:
        """Build the table, with `shift` added to every number."""
        table = array("I", bytes(8 * len(self.counts)))
        table[0::2] = self.counts
        table[1::2] = array("I", [value + shift for value in self.values])
        return full_box(kind, 0, 0, struct.pack(">I", len(self.counts)), _big(table))


def _big(numbers: array[int]) -> bytes:
    """Return the numbers in network order."""
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _elst(shown: int, first: int) -> bytes:
    """Build the edit list that begins the presentation with the tick `first` of the track (8.6.6)."""
    layout = ">IQqI" if shown > 0xFFFF_FFFF else ">IIiI"
    return full_box(b"elst", int(shown > 0xFFFF_FFFF), 0, struct.pack(layout, 1, shown, first, 1 << 16))
