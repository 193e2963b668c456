"""Cut one camera's pictures into segments and fragments. Pure.

A segment begins with a keyframe and is cut at the first keyframe after its boundary. Boundaries lie on the
UTC grid of `segment_s`, shifted for each camera, so that a box with many does not commit all at once. When
keyframes stay away (quirk 16) a cap in time and in size cuts in the middle of a GOP. A fragment holds what
came since the last flush, one second at most; the newest picture always waits, since only its successor says
how long it was shown (quirk 8: no duration is ever guessed while it can be known).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from agent.mp4.fragment import Sample, fragment
from agent.mp4.init import init_segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.model import Track

FRAGMENT_S = 1.0
FRAGMENT_BYTES = 4 << 20  # a fragment in memory stays below this, whatever the camera sends
SEGMENT_BYTES = 256 << 20  # 60 s at 35 Mbit/s
CAP_FACTOR = 1.5  # a segment without a keyframe to cut at ends after this many segment_s
LAST_PICTURE_S = (
    1.0  # the last picture of a session is shown as long as the one before, never longer than this
)


@dataclass(frozen=True, slots=True)
class Begin:
    """A segment begins; `init` is to be written first."""

    run: str
    start_ms: int
    track: Track
    keyframe: bool
    init: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """A fragment; the segment's pictures reach to end_ms with it."""

    data: bytes
    end_ms: int
    frames: int


@dataclass(frozen=True, slots=True)
class End:
    """The segment ends; its pictures reach to end_ms."""

    end_ms: int


Command = Begin | Write | End


class _Picture(NamedTuple):
    data: bytes
    pts: int
    dts: int
    keyframe: bool


class Cutter:
    """The segments of one camera.

    segment_s   target length
    phase       0 <= phase < 1, this camera's share of the grid's shift
    utc_ms      gives the UTC of a pts, by what the timeline knows at the moment of asking
    about       bytes for the init segment's `about` box, made from run and start
    """

    def __init__(
        self, segment_s: int, phase: float, utc_ms: Callable[[int], int], about: Callable[[str, int], bytes]
    ) -> None:
        self._segment_ms = segment_s * 1000
        self._phase_ms = int(phase * self._segment_ms)
        self._utc_ms = utc_ms
        self._about = about
        self._run = ""
        self._track: Track | None = None
        self._rate = 1
        self._waiting: list[_Picture] = []  # of the open segment, not yet in a fragment
        self._waiting_bytes = 0
        self._begun = False  # the open segment's Begin has been given out
        self._base_dts = 0
        self._last_step = 0
        self._placed = False  # the run's first flush has come: a burst on connect (quirk 12) is over
        self._sequence = 0
        self._segment_bytes = 0
        self._cut_ms = 0  # boundary at which the next keyframe cuts
        self._cap_ms = 0

    @property
    def recording(self) -> bool:
        """Tell whether a segment is open."""
        return self._track is not None

    def begin_run(self, run: str, track: Track) -> None:
        """Start a run; the next picture given to `add` begins its first segment. The one before must have ended."""
        self._run = run
        self._track = track
        self._rate = track.time_base_hz
        self._last_step = self._rate // 25
        self._placed = False
        self._reset_segment()

    def add(self, data: bytes, pts: int, dts: int, keyframe: bool) -> list[Command]:
        """Take one picture in decode order."""
        commands: list[Command] = []
        if self._waiting:
            first = self._waiting[0]
            now_ms = self._utc_ms(pts)
            if self._begun and (
                (keyframe and now_ms >= self._cut_ms)
                or now_ms >= self._cap_ms
                or self._segment_bytes + self._waiting_bytes > SEGMENT_BYTES
            ):
                commands += self._finish(next_dts=dts, next_ms=now_ms)
            elif self._waiting_bytes > FRAGMENT_BYTES or (
                self._placed and dts - first.dts >= FRAGMENT_S * self._rate
            ):
                commands += self._emit(len(self._waiting), dts, self._utc_ms(pts))
        self._waiting.append(_Picture(data, pts, dts, keyframe))
        self._waiting_bytes += len(data)
        return commands

    def flush(self) -> list[Command]:
        """Give out all but the newest picture."""
        if len(self._waiting) < 2:
            return []
        self._placed = True
        newest = self._waiting[-1]
        return self._emit(len(self._waiting) - 1, newest.dts, self._utc_ms(newest.pts))

    def end_run(self, successor: tuple[int, int] | None = None) -> list[Command]:
        """Give out everything and end the segment; successor: pts and dts of the picture that begins the next run."""
        commands: list[Command] = []
        if self._waiting:
            last = self._waiting[-1]
            if successor is not None and successor[1] > last.dts:
                pts, dts = successor
            else:
                step = max(1, min(self._last_step, int(LAST_PICTURE_S * self._rate)))
                pts, dts = last.pts + step, last.dts + step
            commands = self._finish(dts, self._utc_ms(pts))
        self._track = None
        return commands

    def _finish(self, next_dts: int, next_ms: int) -> list[Command]:
        commands = self._emit(len(self._waiting), next_dts, next_ms)
        commands.append(End(next_ms))
        self._reset_segment()
        return commands

    def _reset_segment(self) -> None:
        self._waiting = []
        self._waiting_bytes = 0
        self._begun = False
        self._sequence = 0
        self._segment_bytes = 0

    def _emit(self, count: int, next_dts: int, next_ms: int) -> list[Command]:
        """Give out the first `count` waiting pictures, in fragments of at most FRAGMENT_S.

        next_dts, next_ms  of the picture after them
        """
        commands: list[Command] = []
        limit = FRAGMENT_S * self._rate
        while self._waiting[count - 1].dts - self._waiting[0].dts >= limit:
            at = next(at for at, one in enumerate(self._waiting) if one.dts - self._waiting[0].dts >= limit)
            successor = self._waiting[at]
            commands += self._emit_one(at, successor.dts, self._utc_ms(successor.pts))
            count -= at
        return commands + self._emit_one(count, next_dts, next_ms)

    def _emit_one(self, count: int, next_dts: int, next_ms: int) -> list[Command]:
        """Turn the first `count` waiting pictures into one fragment."""
        pictures, self._waiting = self._waiting[:count], self._waiting[count:]
        first = pictures[0]
        start_ms = self._utc_ms(first.pts)
        commands: list[Command] = []
        if not self._begun:
            commands.append(self._begin(first, start_ms))
        ends = [picture.dts for picture in pictures[1:]]
        ends.append(next_dts)
        samples = [
            Sample(picture.data, end - picture.dts, picture.pts - picture.dts, picture.keyframe)
            for picture, end in zip(pictures, ends, strict=True)
        ]
        self._last_step = samples[-1].duration
        self._sequence += 1
        data = fragment(self._sequence, first.dts - self._base_dts, samples, start_ms)
        self._segment_bytes += len(data)
        self._waiting_bytes = sum(len(picture.data) for picture in self._waiting)
        commands.append(Write(data, max(next_ms, start_ms), count))
        return commands

    def _begin(self, first: _Picture, start_ms: int) -> Begin:
        track = self._track
        assert track is not None
        self._begun = True
        self._base_dts = first.dts
        self._cut_ms = self._next_boundary(start_ms)
        self._cap_ms = start_ms + int(self._segment_ms * CAP_FACTOR)
        init = init_segment(
            str(track.codec),
            track.width,
            track.height,
            track.time_base_hz,
            track.config,
            self._about(self._run, start_ms),
        )
        return Begin(self._run, start_ms, track, first.keyframe, init)

    def _next_boundary(self, start_ms: int) -> int:
        """Return the first grid point that leaves at least a quarter of a segment."""
        earliest = start_ms + self._segment_ms // 4
        return earliest + (self._phase_ms - earliest) % self._segment_ms
