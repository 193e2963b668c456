"""What the recorder's desk remembers of each camera, and of files that failed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.model import Instant, Span
from agent.storage.writer import Fragment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.ports import SegmentStart
    from agent.storage.shelf import Shelf
    from agent.storage.writer import OpenSegment

_FIRST_RESERVATION_BYTES = 4 << 20
_SAME_GAP_MS = 20  # what lies between two lost spans of one outage is rounding


class Waiting:
    """A segment, or the rest of one, that waits in memory for the disk: its start, and what is to be written.

    end_ms  None while it still grows
    bytes   of what it holds
    """

    __slots__ = ("_headless", "bytes", "end_ms", "fragments", "init", "start")

    def __init__(
        self, start: SegmentStart, init: Iterable[bytes] = (), fragments: Iterable[Fragment] = ()
    ) -> None:
        """Begin with what a failed file gave back, or with nothing."""
        self.start = start
        self.init = list(init)
        self.fragments = deque(fragments)
        self.end_ms: int | None = None
        self.bytes = sum(map(len, self.init)) + sum(len(fragment.data) for fragment in self.fragments)
        self._headless = False  # what it began with was dropped, and so is all up to the next keyframe

    def add(self, data: bytes, end_ms: int, frames: int) -> Span | None:
        """Take a piece as `ports.Recorder.write` does; return the span that is lost by it."""
        fragment = Fragment(data, 0, max(end_ms, self.reach_ms()), frames)
        if frames == 0 and not self.fragments:
            self.init.append(data)
            self.bytes += len(data)
            return None
        self.fragments.append(fragment)
        self.bytes += len(data)
        return self._behead() if self._headless else None

    def end(self, end_ms: int) -> Span | None:
        """Let it grow no more; return the span that is lost by it."""
        self.end_ms = max(end_ms, self.reach_ms())
        if self._headless and not self.fragments:
            return Span(self.start.start.utc_ms, self.end_ms)
        return None

    def reach_ms(self) -> int:
        """Return the UTC that its pictures reach."""
        return self.fragments[-1].end_ms if self.fragments else self.start.start.utc_ms

    def drop_gop(self) -> Span:
        """Let go of the pictures up to the next keyframe; return the span that is lost with them."""
        from_ms = self.start.start.utc_ms
        self._shift(self.fragments[0])
        rest = self._behead()
        return Span(from_ms, max(rest.end_ms, from_ms))

    def _behead(self) -> Span:
        """Let go of what no keyframe of its own begins; what goes with that is the beginning of its successor."""
        from agent.mp4.errors import Mp4Error
        from agent.storage.gop import keyframe_at_ms  # a reader of MP4, which is hardly ever needed

        from_ms = self.start.start.utc_ms
        while self.fragments:
            fragment, known = self.fragments[0], True
            try:
                at_ms = keyframe_at_ms(fragment.data, self.start.track.time_base_hz)
            except Mp4Error:  # what cannot be read is kept: it may begin with one
                at_ms, known = 0, False
            if at_ms is not None:
                # Pictures before the keyframe stay in its fragment, but nobody can show them.
                self._headless = False
                self.start = replace(self.start, keyframe_start=known and at_ms == 0)
                return Span(from_ms, min(max(self.start.start.utc_ms + at_ms, from_ms), fragment.end_ms))
            self._shift(fragment)
        self._headless = self.end_ms is None
        end_ms = self.start.start.utc_ms if self.end_ms is None else max(self.end_ms, from_ms)
        return Span(from_ms, end_ms)

    def _shift(self, fragment: Fragment) -> None:
        self.fragments.popleft()
        self.bytes -= len(fragment.data)
        start = Instant(max(fragment.end_ms, self.start.start.utc_ms), self.start.start.trust)
        self.start = replace(self.start, start=start, keyframe_start=False)


@dataclass(slots=True)
class Camera:
    """What the desk knows of a camera.

    open     its segment in a file; waiting  its segments in memory, oldest first. Never both
    shelf    where it wrote last
    lost     spans that no file holds, until their gaps are written
    """

    name: str
    shelf: Shelf
    open: OpenSegment | None = None
    waiting: deque[Waiting] = field(default_factory=deque)
    lost: list[Span] = field(default_factory=list)
    reserve_bytes: int = _FIRST_RESERVATION_BYTES
    segments: int = 0
    sealed_bytes: int = 0
    gaps: int = 0
    last_commit_ms: int | None = None

    @property
    def growing(self) -> Waiting | None:
        """Return the segment in memory that takes what comes, None when there is none."""
        return self.waiting[-1] if self.waiting and self.waiting[-1].end_ms is None else None

    def held_bytes(self) -> int:
        """Return the bytes that wait."""
        return sum(waiting.bytes for waiting in self.waiting)

    def reach_ms(self) -> int | None:
        """Return up to where what came is durable or was given up; None when nothing is open or waits."""
        if self.waiting:
            return self.waiting[0].start.start.utc_ms
        return self.open.durable_end_ms(with_tail=True) if self.open else None

    def lose(self, span: Span) -> None:
        """Note a span that no file will hold."""
        if (
            self.lost
            and span.end_ms - self.lost[-1].start_ms >= 0
            and (span.start_ms - self.lost[-1].end_ms <= _SAME_GAP_MS)
        ):
            before = self.lost.pop()
            span = Span(min(span.start_ms, before.start_ms), max(span.end_ms, before.end_ms))
        if span.length_ms:
            self.lost.append(span)


@dataclass(slots=True)
class Leftover:
    """The file of a failed segment; put away when its rest is durable elsewhere, or lost."""

    segment: OpenSegment
    camera: Camera
    shelf: Shelf
    lost: bool = False
    tries: int = 0

    def is_superseded(self) -> bool:
        """Tell whether what this file holds durably, tail included, is durable in the camera's later files.

        Not just that a sync was good: a segment that was begun after the flush had made its marks has no tail
        yet.
        """
        reach_ms, own_ms = self.camera.reach_ms(), self.segment.durable_end_ms(with_tail=True)
        if reach_ms is None or reach_ms > own_ms:
            return True
        # What it holds of a fragment that is not whole is removed with it.
        return reach_ms == own_ms and not self.segment.is_stub
