"""One camera from access units to the recorder: runs, gaps with their causes, facts."""

from __future__ import annotations

from typing import Any

import pytest

from agent.capture import shown
from agent.capture.camera import CameraPlan, CameraRecorder
from agent.capture.shown import camera_state
from agent.errors import StorageFault
from agent.model import GapCause, Instant, Trust
from agent.rtsp.media import AccessUnit, VideoFormat
from tests.fakes.recorder import FakeRecorder

SMALL = VideoFormat("mjpeg", 90_000, 640, 360, b"", 0)
LARGE = VideoFormat("mjpeg", 90_000, 1280, 720, b"", 0)
STEP_MS = 40
START_MS = 1_790_000_000_000


class Scene:
    """A camera of 25 pictures a second, its box's clocks, and the recorder it feeds."""

    def __init__(self, covered_ms: int | None = None, cause: GapCause = GapCause.AGENT_KILLED) -> None:
        self.recorder = FakeRecorder()
        self.camera = CameraRecorder(CameraPlan("box", "cam01", 60, 0.0), self.recorder, covered_ms, cause)
        self.ms = 0  # since the beginning, on the monotonic clock
        self.wall_ms = START_MS  # UTC of monotonic zero
        self.trust = Trust.SYNCED
        self.number = 0
        self.raw = 1000

    @property
    def instant(self) -> Instant:
        return Instant(self.wall_ms + self.ms, self.trust)

    def picture(self, form: VideoFormat | None = SMALL, **more: Any) -> None:
        unit = AccessUnit(
            self.raw,
            b"picture %d" % self.number,
            more.get("keyframe", self.number % 25 == 0),
            more.get("lost", 0),
            more.get("damaged", False),
            form,
            self.ms / 1000,
        )
        self.camera.picture(unit, self.instant, self.ms / 1000)
        self.number += 1
        self.pause(STEP_MS)

    def pictures(self, count: int, form: VideoFormat = SMALL) -> None:
        for _ in range(count):
            self.picture(form)
            if self.number % 25 == 0:
                self.flush()

    def flush(self) -> None:
        self.camera.follow(self.instant, self.ms / 1000)
        self.camera.flush(self.instant)

    def pause(self, ms: int) -> None:
        self.ms += ms
        self.raw += ms * 90

    def end(self, cause: GapCause = GapCause.CAMERA_CLOSED, detail: str = "") -> None:
        self.camera.follow(self.instant, self.ms / 1000)
        self.camera.session_ended(cause, detail, self.instant)

    def gaps(self) -> list[tuple[int, int, str]]:
        return [
            (gap.span.start_ms - START_MS, gap.span.end_ms - START_MS, str(gap.cause))
            for gap, _ in self.recorder.gaps
        ]

    def kinds(self) -> list[str]:
        return [fact.kind for fact in self.recorder.facts]

    def spans(self) -> list[tuple[int, int]]:
        return [(s.start.start.utc_ms - START_MS, s.end_ms - START_MS) for s in self.recorder.committed]


def test_a_new_camera_begins_with_its_first_keyframe() -> None:
    scene = Scene()
    scene.number = 20
    scene.pictures(55)
    scene.end()
    assert scene.camera.skipped == 5
    assert scene.spans() == [(200, 2200)]
    assert scene.recorder.committed[0].frames == 50
    assert scene.gaps() == []
    assert scene.kinds() == ["camera.connected", "camera.lost"]
    assert scene.recorder.facts[0].body["width"] == 640
    assert scene.recorder.facts[1].body == {"camera": "cam01", "cause": "camera_closed", "detail": ""}


@pytest.mark.parametrize("flush_after", [None, 1, 40])
def test_a_burst_on_connect_is_put_where_it_was_taken(flush_after: int | None) -> None:  # quirk 12
    """Three seconds of pictures come at once, and a loss window may end in the midst of them."""
    scene = Scene()
    scene.ms, scene.raw = 10_000, 1000
    for number in range(75):
        scene.picture()
        scene.ms -= STEP_MS - 2  # the network's speed, not the camera's
        if number == flush_after:
            scene.flush()
    assert not scene.recorder.open, "written before its place was known"
    scene.ms += STEP_MS
    scene.pictures(50)
    scene.end()
    ((start_ms, end_ms),) = scene.spans()
    # The newest of the burst had the least delay.
    assert start_ms == pytest.approx(10_150 - 3000, abs=50)
    assert end_ms - start_ms == pytest.approx(5000, abs=50)


def test_what_was_missed_before_the_start_is_a_gap_with_its_cause() -> None:
    scene = Scene(covered_ms=START_MS - 5000)
    scene.pictures(50)
    assert scene.gaps() == [(-5000, 0, "agent_killed")]


def test_how_far_a_camera_is_covered_goes_on_with_what_is_recorded() -> None:
    """What one that takes it over, in another worker, begins behind."""
    scene = Scene(covered_ms=START_MS - 5000)
    assert scene.camera.covered_ms == START_MS - 5000
    scene.pictures(50)
    scene.end(GapCause.AGENT_STOPPED)
    assert scene.camera.covered_ms == START_MS + 2000
    assert Scene().camera.covered_ms is None


def test_an_outage_is_one_gap_and_told_once() -> None:
    scene = Scene()
    scene.pictures(50)
    scene.end(GapCause.CAMERA_SILENT, "timeout")
    for _ in range(5):
        scene.pause(1000)
        scene.end(GapCause.CAMERA_UNREACHABLE, "Connection refused")
    scene.number = 0
    scene.pictures(50)
    scene.end(GapCause.AGENT_STOPPED)
    assert scene.gaps() == [(2000, 7000, "camera_silent")]
    assert scene.kinds() == ["camera.connected", "camera.lost", "camera.connected"]
    assert scene.spans() == [(0, 2000), (7000, 9000)]
    assert len({segment.start.run for segment in scene.recorder.committed}) == 2


def test_our_own_absence_and_the_cameras_are_told_apart() -> None:
    scene = Scene(covered_ms=START_MS - 5000, cause=GapCause.WORKER_LOST)
    scene.pause(300)
    scene.end(GapCause.CAMERA_UNREACHABLE)
    scene.pause(700)
    scene.end(GapCause.CAMERA_REFUSED)
    scene.pictures(50)
    assert scene.gaps() == [(-5000, 300, "worker_lost"), (300, 1000, "camera_unreachable")]


def test_a_new_camera_that_does_not_answer_is_missed_from_the_first_try() -> None:
    scene = Scene()
    scene.end(GapCause.CAMERA_REFUSED, "auth_failed")
    scene.pause(3000)
    scene.pictures(50)
    assert scene.gaps() == [(0, 3000, "camera_refused")]


def test_an_outage_keeps_its_cause_when_the_agent_stops_meanwhile() -> None:
    scene = Scene()
    scene.pictures(50)
    scene.end(GapCause.CAMERA_CLOSED)
    scene.pause(3000)
    scene.end(GapCause.AGENT_STOPPED)
    assert scene.gaps() == [(2000, 5000, "camera_closed")]


def test_a_process_that_ends_says_why_the_camera_is_missing() -> None:
    scene = Scene()
    scene.pictures(50)
    scene.camera.leave(scene.instant)
    assert scene.gaps() == []
    scene.end(GapCause.CAMERA_SILENT)
    scene.camera.leave(scene.instant)
    assert scene.gaps() == []
    scene.pause(4000)
    scene.camera.leave(scene.instant)
    assert scene.gaps() == [(2000, 6000, "camera_silent")]


def test_a_long_outage_is_written_down_in_parts() -> None:
    scene = Scene()
    scene.pictures(50)
    scene.end(GapCause.CAMERA_UNREACHABLE)
    for _ in range(25):
        scene.pause(60_000)
        scene.flush()
    scene.number = 0
    scene.pictures(25)
    assert scene.gaps() == [
        (2000, 662_000, "camera_unreachable"),
        (662_000, 1_322_000, "camera_unreachable"),
        (1_322_000, 1_502_000, "camera_unreachable"),
    ]


def test_a_session_is_young_for_two_seconds() -> None:
    scene = Scene()
    assert not scene.camera.begun_lately(scene.instant)
    scene.pictures(25)
    assert scene.camera.begun_lately(scene.instant)
    scene.pictures(25)
    assert not scene.camera.begun_lately(scene.instant)


def test_a_recorder_in_doubt_is_renewed_where_it_had_come_to() -> None:
    scene = Scene()
    scene.pictures(60)
    scene.camera = scene.camera.renewed(GapCause.SESSION_ERROR, "see the log")
    scene.pause(1000)
    scene.number = 0
    scene.pictures(30)
    assert scene.gaps() == [(1960, 3400, "session_error")]  # the newest picture waited for its duration


def test_new_parameters_begin_a_run_at_their_keyframe() -> None:  # quirk 15
    scene = Scene()
    scene.pictures(50)
    scene.pictures(50, LARGE)
    scene.end()
    assert scene.spans() == [(0, 2000), (2000, 4000)]
    assert [segment.start.track.width for segment in scene.recorder.committed] == [640, 1280]
    assert scene.gaps() == []


def test_new_parameters_without_a_keyframe_wait_for_one() -> None:  # quirk 15
    scene = Scene()
    scene.pictures(60)
    scene.pictures(40, LARGE)
    scene.end()
    assert scene.spans() == [(0, 2400), (3000, 4000)]
    assert scene.gaps() == [(2400, 3000, "parameters_changed")]


def test_a_new_media_clock_rate_begins_a_new_timeline() -> None:
    scene = Scene()
    scene.pictures(50)
    scene.pictures(50, VideoFormat("mjpeg", 45_000, 640, 360, b"", 0))
    scene.end()
    assert len(scene.recorder.committed) == 2


def test_a_jump_of_the_media_clock_begins_a_run_at_the_next_keyframe() -> None:  # quirk 4
    scene = Scene()
    scene.pictures(60)
    scene.raw += 90_000 * 3600
    scene.pictures(60)
    scene.end()
    assert [segment.frames for segment in scene.recorder.committed] == [75, 45]
    assert scene.gaps() == []
    assert scene.camera.repairs == {}  # of the session that ended


def test_a_step_of_the_boxs_clock_keeps_the_labels_before_it_and_misses_nothing() -> None:
    scene = Scene()
    scene.pictures(60)
    scene.wall_ms += 40 * 86_400_000
    scene.pictures(60)
    scene.end()
    first, second = scene.recorder.committed
    assert (first.frames, second.frames) == (60, 60)
    assert first.end_ms == START_MS + 2400
    assert second.start.start.utc_ms == START_MS + 2400 + 40 * 86_400_000
    assert not second.start.keyframe_start
    assert scene.gaps() == []
    assert [fact.body["step_ms"] for fact in scene.recorder.facts if fact.kind == "clock.step"] == [
        40 * 86_400_000
    ]


DAY_MS = 86_400_000
TO_CUT_S = 60 - START_MS // 1000 % 60  # to the next boundary of segments


@pytest.mark.parametrize("waiting", [0, 1, 5, 24])
@pytest.mark.parametrize("first", ["picture", "flush", "end"])
def test_c3_what_waits_when_the_time_is_confirmed_keeps_the_doubt_it_was_labelled_in(waiting, first) -> None:
    """The first pictures of a segment wait up to a second: a segment may begin when its label is no longer the clock's.

    Trusted under the old label, it would be erased at once, or kept as long as the clock was wrong.
    """
    scene = Scene()
    scene.trust = Trust.UNTRUSTED
    scene.pictures(25 * TO_CUT_S)
    for _ in range(waiting):
        scene.picture()
    scene.trust, scene.wall_ms = Trust.HOLDOVER, START_MS - DAY_MS
    {"picture": scene.picture, "flush": scene.flush, "end": scene.end}[first]()
    scene.pictures(25)
    scene.end()
    for segment in scene.recorder.committed:
        start = segment.start.start
        assert (start.trust is Trust.UNTRUSTED) == (start.utc_ms >= START_MS)
    assert len(scene.recorder.committed) >= (3 if waiting else 2)
    assert sum(segment.frames for segment in scene.recorder.committed) >= 25 * TO_CUT_S + waiting
    assert [at.trust for gap, at in scene.recorder.gaps if gap.span.start_ms >= START_MS] == []


@pytest.mark.parametrize("days", [-1, 20_000])
@pytest.mark.parametrize("state", ["lost", "dropping", "waiting for a keyframe"])
def test_c3_a_gap_in_which_the_time_is_confirmed_is_as_long_as_it_was(days, state) -> None:
    """Not 54 years for a box that began in 1970, and not none for one that was a day ahead."""
    scene = Scene()
    scene.trust = Trust.UNTRUSTED
    scene.pictures(50)
    if state == "dropping":
        scene.recorder.full = True
        scene.picture()
    else:
        scene.end()
    scene.pause(5000)
    scene.flush()
    scene.trust, scene.wall_ms = Trust.HOLDOVER, START_MS + days * DAY_MS
    scene.flush()
    if state == "waiting for a keyframe":
        scene.number = 1
        scene.picture()
    scene.pause(3000)
    scene.recorder.full = False
    scene.number = 0
    scene.pictures(50)
    ((gap, at),) = scene.recorder.gaps
    assert gap.span.end_ms - gap.span.start_ms == pytest.approx(8000, abs=100)
    assert gap.span.start_ms == pytest.approx(START_MS + days * DAY_MS + 2000, abs=100)
    assert at.trust is Trust.HOLDOVER


def test_c3_a_camera_that_was_never_recorded_has_no_gap_when_the_time_is_confirmed() -> None:
    scene = Scene()
    scene.flush()
    scene.wall_ms += DAY_MS
    scene.flush()
    scene.pictures(50)
    assert scene.gaps() == []


def test_c3_a_hole_before_the_time_is_confirmed_is_labelled_as_its_pictures_are() -> None:
    scene = Scene()
    scene.trust = Trust.UNTRUSTED
    scene.pictures(30)
    scene.picture(lost=3, damaged=True)
    scene.trust, scene.wall_ms = Trust.HOLDOVER, START_MS - DAY_MS
    scene.pictures(30)
    ((gap, at),) = scene.recorder.gaps
    assert (gap.span.start_ms, at.trust) == (START_MS + 1200, Trust.UNTRUSTED)


def test_lost_packets_are_one_gap_for_each_group_of_pictures() -> None:  # quirk 27
    scene = Scene()
    scene.pictures(30)
    scene.picture(lost=3, damaged=True)
    scene.pictures(4)
    scene.pause(2 * STEP_MS)
    scene.picture(lost=5)
    scene.pictures(39)
    scene.end()
    assert scene.gaps() == [(1200, 1480, "stream_damaged")]
    assert scene.recorder.gaps[0][0].detail == "8 packets lost"
    assert scene.recorder.committed[0].frames == 75


def test_a_hole_is_told_at_the_sessions_end_too() -> None:
    scene = Scene()
    scene.pictures(30)
    scene.picture(lost=3, damaged=True)
    scene.end()
    assert scene.gaps() == [(1200, 1240, "stream_damaged")]


def test_lost_packets_that_cost_no_picture_are_no_gap() -> None:
    scene = Scene()
    scene.pictures(30)
    scene.picture(lost=1)
    scene.pictures(30)
    assert scene.gaps() == []


def test_a_damaged_keyframe_begins_no_run() -> None:
    scene = Scene()
    scene.picture(damaged=True, lost=1)
    scene.pictures(49)
    assert scene.camera.skipped == 25


def test_a_picture_whose_parameters_are_unknown_is_left_out() -> None:
    scene = Scene()
    scene.picture(None)
    assert scene.camera.skipped == 1
    assert not scene.camera.recording


def test_whole_groups_are_dropped_while_the_disk_does_not_follow() -> None:
    scene = Scene()
    scene.pictures(60)
    scene.recorder.full = True
    scene.pictures(50)
    scene.recorder.full = False
    scene.pictures(40)
    scene.end()
    assert scene.spans() == [(0, 2400), (5000, 6000)]
    assert scene.gaps() == [(2400, 5000, "storage_slow")]


def test_what_does_not_work_is_told_by_its_code() -> None:
    scene = Scene()
    assert shown.storage_state(scene.recorder) == {}
    scene.recorder.faults["disk"] = StorageFault("DISK_FULL", "the disk is full", path="/v")
    assert shown.storage_state(scene.recorder) == {"disk": {"code": "DISK_FULL", "where": "/v"}}


def test_a_disk_that_does_not_follow_from_the_start_costs_what_comes() -> None:
    scene = Scene()
    scene.recorder.full = True
    scene.pictures(30)
    scene.recorder.full = False
    scene.pictures(30)
    scene.end()
    assert scene.spans() == [(2000, 2400)]


def test_pictures_of_one_turn_share_its_time() -> None:
    scene = Scene()
    for _ in range(20):
        now, monotonic = scene.instant, scene.ms / 1000
        for _ in range(3):
            unit = AccessUnit(scene.raw, b"p", scene.number % 25 == 0, 0, False, SMALL, monotonic)
            scene.camera.picture(unit, now, monotonic)
            scene.number += 1
            scene.pause(STEP_MS)
    scene.end()
    assert sum(segment.frames for segment in scene.recorder.committed) == 60
    assert scene.gaps() == []


def test_the_state_shows_no_secret_and_everything_else() -> None:
    scene = Scene()
    before = camera_state(scene.camera, {}, 5.0, state="connecting")
    assert before["codec"] == ""
    assert before["picture_ms"] is None
    scene.pictures(30)
    state = camera_state(scene.camera, {"segments": 0}, scene.ms / 1000, state="recording")
    assert state["picture_ms"] == STEP_MS
    assert state["conditions"] == {}
    assert state["fps_tenths"] is None
    assert (state["codec"], state["width"], state["frames"], state["runs"]) == ("mjpeg", 640, 30, 1)
    assert state["repairs"] == {}


@pytest.mark.parametrize("cause", list(GapCause))
def test_every_cause_can_end_a_session(cause: GapCause) -> None:
    scene = Scene()
    scene.pictures(30)
    scene.end(cause)
    assert len(scene.recorder.committed) == 1


def test_a_new_size_or_a_new_session_begins_to_be_measured_anew() -> None:
    scene = Scene()
    scene.pictures(300)
    assert scene.camera.gauge.fps_tenths == 250
    tiny = VideoFormat("mjpeg", 90_000, 160, 120, b"", 0)
    scene.pictures(50, tiny)
    assert scene.camera.gauge.conditions() == {"camera.below_floor": "160x120"}
    scene.end()
    scene.pause(2000)
    scene.pictures(300)
    assert scene.camera.gauge.conditions() == {}
    assert scene.camera.gauge.fps_tenths == 250, "the outage is no part of any window"


def test_damage_is_counted_by_the_gauge() -> None:
    scene = Scene()
    scene.picture()
    for number in range(300):
        scene.picture(lost=2 if number % 50 == 7 else 0, damaged=number % 50 == 9)
    assert scene.camera.gauge.hurt_permille == 40
