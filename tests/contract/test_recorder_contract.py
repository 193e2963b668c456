"""One suite for every `ports.Recorder`: the fake that other tests feed, and the one that stores on a disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from agent.model import Codec, Fact, Gap, GapCause, Instant, Span, Track, Trust
from agent.ports import Recorder, SegmentStart
from tests.fakes.recorder import FakeRecorder
from tests.unit.storage.box import Box

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_800_000_000_000
AT = Instant(T0, Trust.SYNCED)
TRACK = Track(Codec.H264, 90_000, 1280, 720, b"config")


@dataclass
class Stored:
    camera: str
    run: str
    start_ms: int
    end_ms: int
    frames: int
    data: bytes
    keyframe_start: bool


class FakeCase:
    def __init__(self, _: Path) -> None:
        self.recorder: Recorder = FakeRecorder()

    def stored(self) -> list[Stored]:
        return [
            Stored(
                s.start.camera,
                s.start.run,
                s.start.start.utc_ms,
                s.end_ms,
                s.frames,
                s.data,
                s.start.keyframe_start,
            )
            for s in self.recorder.committed
        ]

    def gaps(self) -> list[Gap]:
        return [gap for gap, _ in self.recorder.gaps]

    def facts(self) -> list[tuple[str, dict[str, Any]]]:
        return [(fact.kind, fact.body) for fact in self.recorder.facts]

    def cover(self, camera: str, until_ms: int) -> None:
        self.recorder.covered[camera] = until_ms


class DiskCase:
    def __init__(self, root: Path) -> None:
        self.box = Box(root)
        self.recorder: Recorder = self.box.recorder()

    def stored(self) -> list[Stored]:
        return [
            Stored(
                row.camera,
                row.run,
                row.start_ms,
                row.end_ms,
                row.frames,
                self.box.open(row),
                row.keyframe_start,
            )
            for row in self.box.rows()
        ]

    def gaps(self) -> list[Gap]:
        return self.box.gaps()

    def facts(self) -> list[tuple[str, dict[str, Any]]]:
        written = ("segment.committed", "gap")
        return [(kind, body) for kind, body in self.box.facts() if kind not in written]

    def cover(self, camera: str, until_ms: int) -> None:
        assert self.recorder.close(10)
        self.box.add_gap(Gap(camera, Span(until_ms - 1000, until_ms), GapCause.CAMERA_SILENT))
        self.box.clock.utc_ms = max(self.box.clock.utc_ms, until_ms)
        self.recorder = self.box.recorder()


@pytest.fixture(params=[FakeCase, DiskCase], ids=["fake", "disk"])
def case(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.recorder.close(10)


def start(camera="cam1", at_ms=T0, *, keyframe=True, run="run-1") -> SegmentStart:
    return SegmentStart(camera, run, Instant(at_ms, Trust.SYNCED), TRACK, keyframe)


def test_a_segment_is_stored_as_it_was_handed_in(case) -> None:
    case.recorder.begin(start(keyframe=False))
    case.recorder.write("cam1", b"init", T0, 0)
    case.recorder.write("cam1", b"one", T0 + 1000, 25)
    case.recorder.flush()
    case.recorder.write("cam1", b"two" * 50_000, T0 + 2000, 24)
    case.recorder.end("cam1", T0 + 2040)
    assert case.recorder.close(10)
    assert case.stored() == [
        Stored("cam1", "run-1", T0, T0 + 2040, 49, b"init" + b"one" + b"two" * 50_000, False)
    ]


def test_begin_ends_the_open_segment_at_the_new_start(case) -> None:
    case.recorder.begin(start())
    case.recorder.write("cam1", b"first", T0 + 1000, 25)
    case.recorder.begin(start(at_ms=T0 + 1040))
    case.recorder.write("cam1", b"second", T0 + 2000, 24)
    case.recorder.end("cam1", T0 + 2000)
    case.recorder.close(10)
    assert [(s.start_ms, s.end_ms, s.data) for s in case.stored()] == [
        (T0, T0 + 1040, b"first"),
        (T0 + 1040, T0 + 2000, b"second"),
    ]


def test_begin_after_the_clock_stepped_back_ends_the_open_one_where_its_pictures_do(case) -> None:
    case.recorder.begin(start())
    case.recorder.write("cam1", b"first", T0 + 1000, 25)
    case.recorder.begin(start(at_ms=T0 - 500))
    case.recorder.write("cam1", b"second", T0 + 500, 25)
    case.recorder.end("cam1", T0 + 500)
    case.recorder.close(10)
    assert sorted((s.start_ms, s.end_ms) for s in case.stored()) == [
        (T0 - 500, T0 + 500),
        (T0, T0 + 1000),
    ]


def test_a_segment_without_pictures_is_not_stored(case) -> None:
    case.recorder.begin(start())
    case.recorder.write("cam1", b"init", T0, 0)
    case.recorder.end("cam1", T0)
    case.recorder.close(10)
    assert case.stored() == []


def test_cameras_do_not_mix(case) -> None:
    for name in ("cam1", "cam2"):
        case.recorder.begin(start(name, run="run-" + name))
    for i in range(1, 5):
        for name in ("cam1", "cam2"):
            case.recorder.write(name, name.encode() * 20_000, T0 + 1000 * i, 25)
        case.recorder.flush()
    case.recorder.end("cam1", T0 + 4000)
    case.recorder.close(10)
    stored = {s.camera: s for s in case.stored()}
    assert {name: s.data for name, s in stored.items()} == {
        name: name.encode() * 80_000 for name in ("cam1", "cam2")
    }
    assert {s.run for s in stored.values()} == {"run-cam1", "run-cam2"}


def test_close_commits_what_is_open_to_where_its_pictures_reach(case) -> None:
    case.recorder.begin(start())
    case.recorder.write("cam1", b"data", T0 + 700, 17)
    assert case.recorder.close(10)
    assert [(s.end_ms, s.frames) for s in case.stored()] == [(T0 + 700, 17)]
    assert case.recorder.close(10), "a second close says the same"


@pytest.mark.parametrize("call", ["write", "end"])
def test_without_a_segment_it_is_the_callers_error(case, call) -> None:
    arguments = {"write": ("cam1", b"x", T0, 1), "end": ("cam1", T0)}[call]
    with pytest.raises(ValueError, match="no open segment"):
        getattr(case.recorder, call)(*arguments)
    case.recorder.begin(start())
    case.recorder.end("cam1", T0)
    with pytest.raises(ValueError, match="no open segment"):
        getattr(case.recorder, call)(*arguments)


def test_after_close_everything_is_the_callers_error(case) -> None:
    case.recorder.close(10)
    with pytest.raises(ValueError, match="closed"):
        case.recorder.begin(start())
    with pytest.raises(ValueError, match="closed"):
        case.recorder.flush()


def test_gaps_and_facts_are_kept_in_order(case) -> None:
    gap = Gap("cam1", Span(T0, T0 + 500), GapCause.CAMERA_SILENT, "5 s 동안 영상 없음")
    case.recorder.fact(Fact("box.started", AT, {"version": "1", "n": 1}))
    case.recorder.gap(gap, AT)
    case.recorder.fact(Fact("camera.connected", AT, {"camera": "cam1"}))
    case.recorder.close(10)
    assert case.gaps() == [gap]
    assert case.facts() == [
        ("box.started", {"version": "1", "n": 1}),
        ("camera.connected", {"camera": "cam1"}),
    ]


def test_a_body_that_cannot_be_stored_is_the_callers_error(case) -> None:
    with pytest.raises(TypeError):
        case.recorder.fact(Fact("x", AT, {"share": 0.5}))
    with pytest.raises(ValueError):
        case.recorder.fact(Fact("x", AT, {"name": "\ud800"}))
    with pytest.raises(ValueError):
        case.recorder.gap(Gap("cam1", Span(T0, T0 + 1), GapCause.CLOCK_JUMP, "\ud800"), AT)
    case.recorder.close(10)
    assert case.facts() == []
    assert case.gaps() == []


def test_a_body_changed_later_changes_nothing(case) -> None:
    body = {"n": 1}
    case.recorder.fact(Fact("x", AT, body))
    body["n"] = 2
    case.recorder.close(10)
    assert case.facts() == [("x", {"n": 1})]


def test_covered_until_is_what_was_stored_before(case) -> None:
    assert case.recorder.covered_until("cam1") is None
    case.cover("cam1", T0 + 9000)
    assert case.recorder.covered_until("cam1") == T0 + 9000
    assert case.recorder.covered_until("cam2") is None


def test_totals_count_what_was_stored(case) -> None:
    for i in range(3):
        case.recorder.begin(start(at_ms=T0 + 1000 * i))
        case.recorder.write("cam1", b"x" * 1000, T0 + 1000 * (i + 1), 25)
        case.recorder.end("cam1", T0 + 1000 * (i + 1))
    case.recorder.gap(Gap("cam1", Span(T0, T0 + 1), GapCause.CLOCK_JUMP), AT)
    case.recorder.close(10)
    totals = case.recorder.totals()
    assert list(totals) == ["cam1"]
    assert totals["cam1"]["segments"] == 3
    assert totals["cam1"]["gaps"] == 1
    assert totals["cam1"]["sealed_bytes"] >= 3000
    assert totals["cam1"]["last_commit_ms"] is not None


def test_when_all_is_stored_nothing_waits(case) -> None:
    case.recorder.begin(start())
    case.recorder.write("cam1", b"x" * 100_000, T0 + 1000, 25)
    case.recorder.end("cam1", T0 + 1000)
    case.recorder.close(10)
    assert case.recorder.backlog_bytes() == 0
