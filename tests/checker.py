"""The checker: reads a camera's own ledger, the catalogue's rows and opened segments, and says what became of each frame.

Its MP4 reader was written after docs/formats.md alone and shares nothing with the one it checks.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests import nal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

NTP_EPOCH_S = 2_208_988_800  # seconds from 1900 to 1970, RFC 5905


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture a camera showed. served: somebody was connected, as far as the camera knows."""

    number: int
    utc_ms: int
    key: bool
    digest: str
    served: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One stored access unit."""

    utc_ms: float
    key: bool
    data: bytes


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk the whole boxes of one level; a box cut off at the end is left out."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        if size < head or at + size > len(data):
            return
        yield kind, data[at + head : at + size]
        at += size


def inner(data: bytes, *path: bytes) -> bytes:
    for kind in path:
        data = next(body for name, body in boxes(data) if name == kind)
    return data


def pictures(mp4: bytes) -> list[Picture]:
    """List the access units of a segment, each with the UTC its fragment gives it."""
    found: list[Picture] = []
    hz = 0
    utc_ms, media = 0.0, 0
    moof = b""
    for kind, body in boxes(mp4):
        if kind == b"moov":
            tracks = [content for name, content in boxes(body) if name == b"trak"]
            assert len(tracks) == 1, f"{len(tracks)} tracks in a segment"
            assert inner(tracks[0], b"mdia", b"hdlr")[8:12] == b"vide", "a track that is not video"
            header = inner(tracks[0], b"mdia", b"mdhd")
            (hz,) = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)
        elif kind == b"prft":
            seconds, part = struct.unpack_from(">II", body, 8)
            utc_ms = (seconds - NTP_EPOCH_S) * 1000 + part * 1000 / (1 << 32)
            (media,) = struct.unpack_from(">Q" if body[0] == 1 else ">I", body, 16)
        elif kind == b"moof":
            moof = body
        elif kind == b"mdat":
            found.extend(_fragment(moof, body, hz, utc_ms, media))
    return found


def _fragment(moof: bytes, mdat: bytes, hz: int, utc_ms: float, media: int) -> Iterator[Picture]:
    traf = inner(moof, b"traf")
    decode = inner(traf, b"tfdt")
    (dts,) = struct.unpack_from(">Q" if decode[0] == 1 else ">I", decode, 4)
    defaults = _defaults(inner(traf, b"tfhd"))
    run = inner(traf, b"trun")
    flags, count = struct.unpack_from(">II", run)
    at = 8 + (4 if flags & 1 else 0)
    first_flags = None
    if flags & 4:
        (first_flags,) = struct.unpack_from(">I", run, at)
        at += 4
    place = 0
    for index in range(count):
        values = list(defaults)
        if index == 0 and first_flags is not None:
            values[2] = first_flags
        for field_index, present in enumerate((0x100, 0x200, 0x400, 0x800)):
            if flags & present:
                (values[field_index],) = struct.unpack_from(">i" if present == 0x800 else ">I", run, at)
                at += 4
        duration, size, sample_flags, offset = values
        when = utc_ms + (dts + offset - media) * 1000 / hz
        yield Picture(when, not sample_flags & 0x10000, mdat[place : place + size])
        place += size
        dts += duration


def _defaults(header: bytes) -> tuple[int, int, int, int]:
    """Return duration, size, flags and offset that hold where a run does not say (ISO/IEC 14496-12, 8.8.7)."""
    (flags,) = struct.unpack_from(">I", header)
    at = 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
    values = [0, 0, 0]
    for index, present in enumerate((0x8, 0x10, 0x20)):
        if flags & present:
            (values[index],) = struct.unpack_from(">I", header, at)
            at += 4
    return values[0], values[1], values[2], 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A row of the catalogue."""

    camera: str
    path: Path
    start_ms: int
    end_ms: int
    state: str
    frames: int


@dataclass(frozen=True, slots=True)
class GapRow:
    """A gap the ledger admits."""

    start_ms: int
    end_ms: int
    cause: str


@dataclass
class Verdict:
    """What became of every frame of one camera, from its first stored frame to its last."""

    stored: list[Frame] = field(default_factory=list)
    excused: list[tuple[Frame, str]] = field(default_factory=list)
    unexplained: list[Frame] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    foreign: int = 0
    misplaced: list[tuple[Frame, str]] = field(default_factory=list)

    def summary(self) -> str:
        return (
            f"{len(self.stored)} stored, {len(self.excused)} in gaps, {len(self.unexplained)} unexplained, "
            f"{len(self.doubled)} doubled, {len(self.misplaced)} misplaced, {self.foreign} foreign"
        )

    def clean(self) -> None:
        """Assert the oracle: nothing lost without a gap, nothing twice, nothing from elsewhere, all in place."""
        assert self.stored, "nothing was stored"
        assert not self.unexplained, f"lost without a gap: {_runs(self.unexplained)}; {self.summary()}"
        assert not self.doubled, f"stored twice: {self.doubled[:5]}; {self.summary()}"
        assert not self.foreign, f"pictures the camera never showed; {self.summary()}"
        assert not self.misplaced, f"outside their segment's span: {self.misplaced[:5]}; {self.summary()}"

    def lost_before(self, at_ms: int) -> float:
        """Return how many ms of video before a moment are missing: to the last stored frame before it."""
        newest = max((frame.utc_ms for frame in self.stored if frame.utc_ms <= at_ms), default=None)
        return 0 if newest is None else at_ms - newest


def _runs(frames: Sequence[Frame]) -> list[str]:
    runs: list[list[Frame]] = []
    for frame in frames:
        if runs and runs[-1][-1].number == frame.number - 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return [f"{run[0].number}..{run[-1].number} at {run[0].utc_ms}" for run in runs[:8]]


def check(
    ledger: Sequence[Frame],
    stored: Sequence[tuple[Segment, Sequence[Picture]]],
    gaps: Sequence[GapRow],
    *,
    digest: Callable[[bytes], str] = nal.digest,
    slack_ms: int = 300,
    placed_within_ms: int = 500,
    salvaged_ms: int = 2000,
) -> Verdict:
    """Say of every frame between the first and the last stored one whether it is stored, in a gap, or lost.

    slack_ms     a gap's ends are the recorder's idea of time, the ledger's are the camera's: they may differ by the way
    salvaged_ms  a salvaged segment's row claims what is certain, whole fragments at the last sync; its file may hold
                 a window and a fragment more
    """
    verdict = Verdict()
    places: dict[str, list[Segment]] = {}
    for segment, found in stored:
        for picture in found:
            places.setdefault(digest(picture.data), []).append(segment)
    known = Counter(frame.digest for frame in ledger)
    twice = [name for name, count in known.items() if count > 1]
    assert not twice, "the camera showed equal frames: such a ledger proves nothing"
    verdict.foreign = sum(1 for name in places if name not in known)
    verdict.doubled = [name for name, where in places.items() if len(where) > 1]
    there = [index for index, frame in enumerate(ledger) if frame.digest in places]
    if not there:
        return verdict
    for frame in ledger[there[0] : there[-1] + 1]:
        where = places.get(frame.digest)
        if where:
            verdict.stored.append(frame)
            segment = where[0]
            end_ms = segment.end_ms + placed_within_ms + (salvaged_ms if segment.state == "SALVAGED" else 0)
            if not segment.start_ms - placed_within_ms <= frame.utc_ms <= end_ms:
                place = f"{segment.path.name} {segment.start_ms}..{segment.end_ms}, shown at {frame.utc_ms}"
                verdict.misplaced.append((frame, place))
            continue
        excuse = next(
            (gap for gap in gaps if gap.start_ms - slack_ms <= frame.utc_ms <= gap.end_ms + slack_ms), None
        )
        if excuse is None:
            verdict.unexplained.append(frame)
        else:
            verdict.excused.append((frame, excuse.cause))
    return verdict
