"""Segments begin with keyframes, stay within their caps, and hold every picture once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agent.capture import cutter as module
from agent.capture.cutter import Begin, Command, Cutter, End, Write
from agent.model import Codec, Track
from agent.mp4.reader import Fragment, Init, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

HZ = 90_000
STEP = 3600
TRACK = Track(Codec.MJPEG, HZ, 640, 360, b"")


@dataclass
class Stored:
    """What a reader of the written bytes sees of one segment."""

    begin: Begin
    fragments: list[Fragment] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    end_ms: int = 0

    @property
    def pictures(self) -> list[bytes]:
        return [sample.data for fragment in self.fragments for sample in fragment.samples]

    @property
    def ticks(self) -> int:
        return sum(sample.duration for fragment in self.fragments for sample in fragment.samples)


class Bench:
    """A cutter with a clock in which pts zero is UTC zero plus `base_ms`."""

    def __init__(self, segment_s: int = 60, phase: float = 0.0, base_ms: int = 600_000_000) -> None:
        self.base_ms = base_ms
        self.cutter = Cutter(
            segment_s,
            phase,
            lambda pts: self.base_ms + pts * 1000 // HZ,
            lambda run, start: f"{run} {start}".encode(),
        )
        self.segments: list[Stored] = []
        self.open: Stored | None = None

    def take(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Begin):
                assert self.open is None
                self.open = Stored(command)
                self.reader = Reader()
                (init,) = self.reader.feed(command.init)
                assert isinstance(init, Init)
                assert init.about == f"{command.run} {command.start_ms}".encode()
            elif isinstance(command, Write):
                assert self.open is not None
                (fragment,) = self.reader.feed(command.data)
                assert isinstance(fragment, Fragment)
                assert len(fragment.samples) == command.frames
                self.open.fragments.append(fragment)
                self.open.ends.append(command.end_ms)
            elif isinstance(command, End):
                assert self.open is not None
                self.open.end_ms = command.end_ms
                self.segments.append(self.open)
                self.open = None

    def play(self, count: int, gop: int = 25, flush_every: int = 25, first: int = 0, size: int = 10) -> None:
        for number in range(first, first + count):
            data = number.to_bytes(4, "big") + bytes(size)
            self.take(self.cutter.add(data, number * STEP, number * STEP, number % gop == 0))
            if number % flush_every == flush_every - 1:
                self.take(self.cutter.flush())


def numbers(segments: list[Stored]) -> Iterator[int]:
    for segment in segments:
        for picture in segment.pictures:
            yield int.from_bytes(picture[:4], "big")


def test_segments_are_cut_at_keyframes_on_the_grid() -> None:
    bench = Bench(segment_s=10)
    bench.cutter.begin_run("r1", TRACK)
    assert bench.cutter.recording
    bench.play(1000)
    bench.take(bench.cutter.end_run())
    assert not bench.cutter.recording
    assert list(numbers(bench.segments)) == list(range(1000))
    assert all(segment.begin.keyframe for segment in bench.segments)
    assert [segment.begin.start_ms - bench.base_ms for segment in bench.segments] == [
        0,
        10_000,
        20_000,
        30_000,
    ]
    for earlier, later in zip(bench.segments, bench.segments[1:], strict=False):
        assert earlier.end_ms == later.begin.start_ms
    assert bench.segments[-1].end_ms == bench.base_ms + 40_000
    assert [segment.ticks for segment in bench.segments] == [10 * HZ] * 4
    assert all(segment.fragments[0].base_dts == 0 for segment in bench.segments)


def test_the_phase_moves_a_cameras_boundaries() -> None:
    bench = Bench(segment_s=10, phase=0.5)
    bench.cutter.begin_run("r1", TRACK)
    bench.play(1000)
    bench.take(bench.cutter.end_run())
    starts = [segment.begin.start_ms - bench.base_ms for segment in bench.segments]
    assert starts == [0, 5_000, 15_000, 25_000, 35_000]


def test_a_boundary_too_near_is_left_out() -> None:
    bench = Bench(segment_s=10, base_ms=600_000_000 - 2_000)
    bench.cutter.begin_run("r1", TRACK)
    bench.play(500)
    bench.take(bench.cutter.end_run())
    assert bench.segments[1].begin.start_ms == 600_000_000 + 10_000


def test_without_keyframes_a_cap_in_time_cuts() -> None:  # quirk 16
    bench = Bench(segment_s=10)
    bench.cutter.begin_run("r1", TRACK)
    bench.play(1000, gop=100_000)
    bench.take(bench.cutter.end_run())
    assert [segment.begin.keyframe for segment in bench.segments] == [True, False, False]
    assert max(segment.end_ms - segment.begin.start_ms for segment in bench.segments) == 15_000
    assert list(numbers(bench.segments)) == list(range(1000))


def test_a_cap_in_size_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 100_000)
    bench = Bench(segment_s=60)
    bench.cutter.begin_run("r1", TRACK)
    bench.play(200, gop=100_000, size=5000)
    bench.take(bench.cutter.end_run())
    assert len(bench.segments) > 5
    assert list(numbers(bench.segments)) == list(range(200))


def test_fragments_stay_within_a_second_and_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.cutter.begin_run("r1", TRACK)
    bench.play(100, flush_every=1000)
    assert bench.open is None, (
        "a run's first pictures have no place in time before the first flush (quirk 12)"
    )
    bench.take(bench.cutter.flush())
    bench.play(100, flush_every=1000, first=100)
    assert bench.open is not None
    assert len(bench.open.fragments) >= 7
    assert all(sum(s.duration for s in fragment.samples) <= HZ for fragment in bench.open.fragments)
    monkeypatch.setattr(module, "FRAGMENT_BYTES", 20_000)
    known = len(bench.open.fragments) + 1
    bench.play(100, flush_every=1000, first=200, size=5000)
    assert max(len(fragment.samples) for fragment in bench.open.fragments[known:]) <= 5


def test_the_newest_picture_waits_for_its_duration() -> None:  # quirk 8
    bench = Bench()
    bench.cutter.begin_run("r1", TRACK)
    assert bench.cutter.flush() == []
    bench.take(bench.cutter.add(b"one", 0, 0, True))
    assert bench.cutter.flush() == []
    bench.take(bench.cutter.add(b"two", 5000, 5000, False))
    bench.take(bench.cutter.flush())
    assert bench.open is not None
    assert bench.open.pictures == [b"one"]
    assert bench.open.ticks == 5000
    assert bench.open.ends == [bench.base_ms + 5000 * 1000 // HZ]


def test_the_last_picture_is_never_shown_for_hours() -> None:  # quirk 8
    bench = Bench()
    bench.cutter.begin_run("r1", TRACK)
    bench.take(bench.cutter.add(b"one", 0, 0, True))
    bench.take(bench.cutter.add(b"two", HZ * 3, HZ * 3, False))
    bench.take(bench.cutter.flush())
    bench.take(bench.cutter.end_run())
    assert bench.segments[0].ticks == HZ * 4
    assert bench.segments[0].end_ms == bench.base_ms + 4000


def test_a_run_that_had_a_successor_ends_where_that_begins() -> None:
    bench = Bench()
    bench.cutter.begin_run("r1", TRACK)
    bench.take(bench.cutter.add(b"one", 0, 0, True))
    bench.take(bench.cutter.end_run((9000, 9000)))
    assert bench.segments[0].end_ms == bench.base_ms + 100
    bench.cutter.begin_run("r2", TRACK)
    bench.take(bench.cutter.add(b"two", 9000, 9000, True))
    bench.take(bench.cutter.end_run((0, 0)))  # a successor in the past is none
    assert bench.segments[1].begin.run == "r2"
    assert bench.segments[1].ticks == HZ // 25


def test_a_run_without_a_picture_leaves_nothing() -> None:
    bench = Bench()
    bench.cutter.begin_run("r1", TRACK)
    assert bench.cutter.end_run() == []


def test_reordered_pictures_keep_their_offsets() -> None:
    bench = Bench()
    bench.cutter.begin_run("r1", TRACK)
    for pts, dts in ((0, -7200), (10800, -3600), (3600, 0), (7200, 3600), (14400, 7200)):
        bench.take(bench.cutter.add(b"x", pts, dts, pts == 0))
    bench.take(bench.cutter.flush())
    assert bench.open is not None
    (fragment,) = bench.open.fragments
    assert [sample.offset for sample in fragment.samples] == [7200, 14400, 3600, 3600]
    assert fragment.base_dts == 0


@given(
    st.lists(st.tuples(st.integers(1, 3 * HZ), st.booleans(), st.booleans()), min_size=1, max_size=300),
    st.floats(0, 0.99),
)
def test_every_picture_is_stored_once_and_segments_touch(
    pictures: list[tuple[int, bool, bool]], phase: float
) -> None:
    bench = Bench(segment_s=5, phase=phase)
    bench.cutter.begin_run("r1", TRACK)
    at = 0
    for number, (step, keyframe, flush) in enumerate(pictures):
        bench.take(bench.cutter.add(number.to_bytes(4, "big"), at, at, keyframe))
        if flush:
            bench.take(bench.cutter.flush())
        at += step
    bench.take(bench.cutter.end_run())
    assert list(numbers(bench.segments)) == list(range(len(pictures)))
    for earlier, later in zip(bench.segments, bench.segments[1:], strict=False):
        assert earlier.end_ms == later.begin.start_ms
    for segment in bench.segments:
        # the cap, the one picture that shows that it is over, and rounding
        assert segment.end_ms - segment.begin.start_ms <= 7_500 + 3_000 + 1
        assert all(earlier <= later for earlier, later in zip(segment.ends, segment.ends[1:], strict=False))
