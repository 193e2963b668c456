"""A camera with hours: nothing of it is stored outside of them, and the ledger says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.capture.camera import GAP_PART_MS, CameraPlan, CameraRecorder
from agent.capture.duty import NO_KEYFRAME, Duty
from agent.capture.shown import camera_state
from agent.capture.vitals import RARE_S
from agent.model import GapCause, Trust
from tests.unit.capture.test_camera import LARGE, SMALL, START_MS, STEP_MS, Scene

if TYPE_CHECKING:
    from agent.rtsp.media import VideoFormat

REORDERED = type(SMALL)("mjpeg", 90_000, 640, 360, b"", 2)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EIGHT = START_MS // DAY_MS * DAY_MS + 23 * HOUR_MS  # 08:00 in Korea
TWENTY = EIGHT + 12 * HOUR_MS


class Shift(Scene):
    """A scene whose camera is recorded from 08:00 to 20:00; times in it count from START_MS as in the others."""

    def __init__(self, wall_ms: int, covered_ms: int | None = None, **more: Any) -> None:
        super().__init__()
        cause = more.get("cause", GapCause.AGENT_KILLED)
        plan = CameraPlan("box", "cam01", 60, 0.0)
        self.camera = CameraRecorder(plan, self.recorder, covered_ms, cause, Duty(["08:00-20:00"]))
        self.trust = more.get("trust", Trust.SYNCED)
        self.wall_ms = wall_ms

    def run(self, count: int, form: VideoFormat = SMALL) -> None:
        self.pictures(count, form)

    def told(self) -> list[tuple[int, int, str, str]]:
        return [
            (gap.span.start_ms, gap.span.end_ms, str(gap.cause), gap.detail) for gap, _ in self.recorder.gaps
        ]

    def stored(self) -> list[tuple[int, int]]:
        return [(each.start.start.utc_ms, each.end_ms) for each in self.recorder.committed]


def test_without_hours_nothing_is_asked() -> None:
    scene = Scene()
    scene.pictures(50)
    assert not scene.camera.has_hours
    assert not scene.camera.hours_open
    assert "hours_open" not in camera_state(scene.camera, {}, 2.0)


def test_the_last_picture_of_the_hours_is_stored_and_the_next_is_not() -> None:
    scene = Shift(TWENTY - 20_010)
    scene.run(600)
    ((start_ms, end_ms),) = scene.stored()
    assert (start_ms, end_ms) == (TWENTY - 20_010, TWENTY), (
        "shown until the hours end, and not a millisecond longer"
    )
    assert scene.recorder.committed[0].frames == 501
    assert scene.camera.resting
    assert not scene.camera.recording
    assert not scene.recorder.open
    assert scene.told() == []
    scene.end(GapCause.AGENT_STOPPED)
    assert scene.told() == [(TWENTY, scene.instant.utc_ms, "off_hours", "")]


def test_the_first_keyframe_of_the_hours_is_the_first_that_is_stored() -> None:
    """The GOP in which they begin is waited for to its end: its keyframe was none of the hours."""
    scene = Shift(EIGHT - 20_020)
    scene.run(700)
    scene.end()
    ((start_ms, _),) = scene.stored()
    first = start_ms - EIGHT
    assert 0 <= first < 1000
    assert (start_ms - (EIGHT - 20_020)) % 1000 == 0, "a keyframe"
    assert scene.told() == [
        (EIGHT - 20_020, EIGHT, "off_hours", ""),
        (EIGHT, start_ms, "off_hours", "first keyframe"),
    ]
    assert not scene.camera.resting


@pytest.mark.parametrize("keyframes", ["none", "damaged"])
def test_a_camera_without_a_whole_keyframe_in_its_hours_is_missed_in_them(keyframes: str) -> None:
    """A quarter of a minute is a wait; a day of it is no rest, whether it is written in parts or at the end."""
    scene = Shift(EIGHT - 20_000)
    scene.run(500)
    scene.flush()
    for _ in range(GAP_PART_MS // 1000 + 60):
        scene.picture(keyframe=keyframes == "damaged", damaged=keyframes == "damaged")
        assert camera_state(scene.camera, {}, scene.ms / 1000)["picture_ms"] == STEP_MS, "one has come"
        scene.pause(1000 - STEP_MS)
        scene.flush()
    scene.end(GapCause.CAMERA_CLOSED)
    assert scene.stored() == []
    told = scene.told()
    late = [one for one in told if one[0] >= EIGHT]
    assert late[0] == (EIGHT, EIGHT + RARE_S * 1000, "off_hours", "first keyframe")
    assert {one[2:] for one in late[1:]} == {("stream_damaged", NO_KEYFRAME)}
    assert late[-1][1] == scene.instant.utc_ms
    assert len(late) == 3, "a part, and what was left of it"
    assert [one[0] for one in told[1:]] == [one[1] for one in told[:-1]]


def test_a_camera_that_rests_has_its_pictures_counted_and_nothing_looked_at() -> None:
    scene = Shift(TWENTY + HOUR_MS)
    scene.run(50)
    state = camera_state(scene.camera, {}, scene.ms / 1000)
    assert state["frames"] == 50
    assert state["picture_ms"] == STEP_MS
    assert (state["codec"], state["width"]) == ("mjpeg", 640)
    assert state["conditions"] == {}
    assert state["fps_tenths"] is None
    assert not scene.recorder.calls or {call[0] for call in scene.recorder.calls} <= {"gap", "fact"}
    assert "hours_open" not in state


@pytest.mark.parametrize("trust", list(Trust))
def test_while_nobody_knows_the_time_it_is_recorded(trust: Trust) -> None:
    scene = Shift(TWENTY + HOUR_MS, trust=trust)
    scene.run(50)
    assert scene.camera.recording == (trust is Trust.UNTRUSTED)
    assert scene.camera.hours_open == (trust is Trust.UNTRUSTED)
    assert camera_state(scene.camera, {}, 2.0).get("hours_open", False) is (trust is Trust.UNTRUSTED)


def test_trust_that_comes_ends_the_run_and_trust_that_goes_begins_one() -> None:
    scene = Shift(TWENTY + HOUR_MS, trust=Trust.UNTRUSTED)
    scene.run(50)
    scene.trust = Trust.SYNCED
    scene.run(500)
    assert scene.camera.resting
    ((_, end_ms),) = scene.stored()
    lost_ms = scene.instant.utc_ms
    scene.trust = Trust.UNTRUSTED
    scene.run(50)
    assert scene.camera.recording
    spans = scene.told()
    assert spans[0] == (end_ms, lost_ms, "off_hours", ""), "told by what counted until then"
    assert {cause for _, _, cause, _ in spans} == {"off_hours"}


def test_hours_that_end_while_nobody_knows_the_time_end_nothing() -> None:
    scene = Shift(TWENTY - 10_000)
    scene.run(125)
    scene.trust = Trust.UNTRUSTED
    scene.run(375)
    scene.end()
    assert scene.stored() == [(TWENTY - 10_000, TWENTY + 10_000)]


def test_an_outage_is_told_apart_from_the_hours_in_which_it_fell() -> None:
    """Killed at ten past seven in the evening, and back at nine in the morning (A power cut in off hours)."""
    scene = Shift(EIGHT + HOUR_MS + DAY_MS, covered_ms=TWENTY - 50 * 60_000)
    scene.run(50)
    assert scene.told() == [
        (TWENTY - 50 * 60_000, TWENTY, "agent_killed", ""),
        (TWENTY, EIGHT + DAY_MS, "off_hours", ""),
        (EIGHT + DAY_MS, EIGHT + DAY_MS + HOUR_MS, "agent_killed", ""),
    ]


def test_a_camera_that_is_lost_while_it_rests_is_missed_from_the_hours_on() -> None:
    scene = Shift(EIGHT - 60_000)
    scene.run(250)
    scene.end(GapCause.CAMERA_SILENT, "timeout")
    assert not scene.camera.resting
    scene.pause(120_000)
    scene.run(50)
    lost_ms = EIGHT - 50_000
    begun_ms = lost_ms + 120_000
    assert scene.told() == [
        (EIGHT - 60_000, lost_ms, "off_hours", ""),
        (lost_ms, EIGHT, "off_hours", ""),
        (EIGHT, begun_ms, "camera_silent", "timeout"),
    ]
    assert scene.kinds() == ["camera.connected", "camera.lost", "camera.connected"]
    assert [fact.body.get("run") == "" for fact in scene.recorder.facts] == [True, False, False]


def test_each_loss_of_a_night_is_told_and_each_return() -> None:
    """Whoever cuts a cable at three is not hidden by what fell out at one; a try in vain is no loss."""
    scene = Shift(TWENTY - 60_000)
    scene.run(25 * 120)
    for _ in range(3):
        scene.end(GapCause.CAMERA_CLOSED)
        scene.end(GapCause.CAMERA_UNREACHABLE)
        scene.pause(HOUR_MS)
        scene.run(25)
    assert scene.kinds() == ["camera.connected", *["camera.lost", "camera.connected"] * 3]
    back = scene.recorder.facts[-1].body
    assert back == {"camera": "cam01", "codec": "mjpeg", "width": 640, "height": 360, "run": ""}
    scene.pause(9 * HOUR_MS + 120_000)
    scene.run(50)
    assert scene.camera.recording
    assert len(scene.kinds()) == 7, "it was there, and is told of no second time"


def test_a_camera_that_is_lost_before_they_end_and_comes_back_afterwards() -> None:
    scene = Shift(TWENTY - 60_000)
    scene.run(500)
    scene.end(GapCause.CAMERA_CLOSED)
    scene.pause(120_000)
    scene.run(25)
    scene.end(GapCause.AGENT_STOPPED)
    (stored,) = scene.stored()
    assert scene.told() == [
        (stored[1], TWENTY, "camera_closed", ""),
        (TWENTY, TWENTY + 80_000, "off_hours", ""),
        (TWENTY + 80_000, TWENTY + 81_000, "off_hours", ""),
    ]


@pytest.mark.parametrize("connected", [True, False])
def test_a_long_rest_is_written_down_in_parts(connected: bool) -> None:
    scene = Shift(TWENTY + HOUR_MS, covered_ms=TWENTY - 1000)
    if connected:
        scene.run(25)
    for _ in range(4):
        scene.pause(GAP_PART_MS // 2)
        scene.flush()
    told = scene.told()
    assert told[0] == (TWENTY - 1000, TWENTY, "agent_killed", "")
    assert {cause for _, _, cause, _ in told[1:]} == {"off_hours"}
    assert len(told) >= 3
    assert [one[0] for one in told[1:]] == [one[1] for one in told[:-1]]


def test_what_we_missed_ourselves_waits_in_the_hours_for_its_end() -> None:
    scene = Shift(EIGHT + HOUR_MS, covered_ms=EIGHT + HOUR_MS - 1000)
    for _ in range(4):
        scene.pause(GAP_PART_MS // 2)
        scene.flush()
    assert scene.told() == []


def test_what_was_slept_through_was_not_off_duty() -> None:
    scene = Shift(EIGHT - HOUR_MS)
    scene.run(25)
    scene.pause(2 * HOUR_MS)
    scene.camera.woke()
    scene.run(25)
    assert scene.told()[1:] == [(EIGHT, EIGHT + HOUR_MS + 1000, "box_asleep", "")]
    assert scene.told()[0][2] == "off_hours"


def test_a_session_that_begins_with_the_hours_is_waited_for_until_its_place_is_known() -> None:
    """Quirk 12: what a camera kept for a new client comes at once, and was taken before."""
    scene = Shift(EIGHT + 500)
    scene.run(100)
    assert not scene.recorder.calls
    assert not scene.camera.resting
    scene.run(100)
    scene.end()
    ((start_ms, _),) = scene.stored()
    assert EIGHT + 5500 <= start_ms <= EIGHT + 6500

    later = Shift(EIGHT + 61_000)
    later.run(100)
    later.end()
    assert later.stored()[0][0] == EIGHT + 61_000


def test_a_picture_shown_before_the_first_keyframe_of_the_hours_is_none_of_them() -> None:
    """An open GOP: pictures behind the keyframe are shown before it."""
    scene = Shift(EIGHT - 20_000)
    scene.run(500, REORDERED)  # the next one is the first keyframe, at eight
    scene.picture(REORDERED)
    here = scene.raw
    for back in (2, 1):
        scene.raw = here - (back + 1) * STEP_MS * 90
        scene.picture(REORDERED)
        scene.ms -= STEP_MS
    scene.raw = here
    scene.run(60, REORDERED)
    scene.end()
    ((start_ms, _),) = scene.stored()
    assert start_ms == EIGHT
    assert scene.recorder.committed[0].frames == 61


def test_a_picture_of_the_hours_that_comes_behind_their_end_does_not_wake_the_camera() -> None:
    scene = Shift(TWENTY - 10_000)
    scene.run(250, REORDERED)
    scene.picture(REORDERED)
    assert scene.camera.resting
    here = scene.raw
    scene.raw = here - 3 * STEP_MS * 90
    scene.picture(REORDERED, keyframe=True)
    assert scene.camera.resting
    assert not scene.recorder.open
    scene.raw = here
    scene.run(10, REORDERED)
    assert scene.camera.resting
    assert len(scene.stored()) == 1


def test_a_clock_that_is_set_back_into_the_hours_wakes_the_camera() -> None:
    scene = Shift(TWENTY + HOUR_MS)
    scene.run(250)
    scene.wall_ms -= 3 * HOUR_MS
    scene.run(10)
    scene.run(60)
    assert scene.camera.recording
    assert {cause for _, _, cause, _ in scene.told()} == {"off_hours"}, "it waited for a keyframe, no longer"


def test_a_clock_that_is_set_while_a_keyframe_is_waited_for_makes_the_wait_no_longer() -> None:
    scene = Shift(EIGHT - 20_000)
    scene.run(500)
    for step_ms in (0, 5 * HOUR_MS, -2 * HOUR_MS):
        scene.wall_ms += step_ms
        for _ in range(25 * 6):
            scene.picture(keyframe=False)
    scene.end()
    begun_ms = EIGHT + 3 * HOUR_MS
    assert scene.told() == [
        (begun_ms - 20_000, begun_ms + RARE_S * 1000, "off_hours", "first keyframe"),
        (begun_ms + RARE_S * 1000, begun_ms + 18_000, "stream_damaged", NO_KEYFRAME),
    ]


def test_a_clock_that_is_set_past_the_hours_ends_the_run() -> None:
    scene = Shift(TWENTY - HOUR_MS)
    scene.run(60)
    scene.wall_ms += 3 * HOUR_MS
    scene.run(50)
    assert scene.camera.resting
    assert scene.stored() == [(TWENTY - HOUR_MS, TWENTY - HOUR_MS + 2400)]
    scene.end(GapCause.AGENT_STOPPED)
    assert {cause for _, _, cause, _ in scene.told()} == {"off_hours"}


def test_another_format_and_another_clock_while_it_rests_and_while_it_does_not() -> None:
    scene = Shift(EIGHT - 20_000)
    scene.run(200)
    scene.run(400, LARGE)
    assert scene.recorder.open["cam01"].start.track.width == 1280
    other = type(SMALL)("mjpeg", 45_000, 640, 360, b"", 0)
    scene.picture(other, keyframe=False)
    assert not scene.recorder.open
    scene.end()


def test_a_disk_that_does_not_follow_has_nothing_to_do_with_a_rest() -> None:
    scene = Shift(TWENTY - 2000)
    scene.run(25)
    scene.recorder.full = True
    scene.run(50)
    scene.end(GapCause.AGENT_STOPPED)
    (slow, off) = scene.told()
    assert slow[1:3] == (TWENTY, "storage_slow")
    assert off[0::2] == (TWENTY, "off_hours")


def test_one_that_goes_on_in_anothers_place_keeps_the_hours() -> None:
    scene = Shift(TWENTY + HOUR_MS)
    scene.run(25)
    scene.camera = scene.camera.renewed(GapCause.SESSION_ERROR, "see the log")
    scene.run(50)
    assert scene.camera.resting
    assert not scene.recorder.open


def test_a_clock_that_is_set_back_to_the_night_before_ends_the_run() -> None:
    scene = Shift(EIGHT + HOUR_MS)
    scene.run(60)
    scene.wall_ms -= 5 * HOUR_MS
    scene.run(60)
    assert scene.camera.resting
    assert not scene.camera.recording
    scene.end(GapCause.AGENT_STOPPED)
    assert {cause for _, _, cause, _ in scene.told()} == {"off_hours"}


def test_a_rest_is_no_hole_of_what_follows_it() -> None:
    """Only what was lost between two pictures that are stored is a gap of the stream."""
    scene = Shift(EIGHT - 20_000)
    scene.run(500)
    scene.picture()
    scene.picture(lost=3)
    scene.run(48)
    scene.end()
    damaged = [
        (end_ms - start_ms) for start_ms, end_ms, cause, _ in scene.told() if cause == "stream_damaged"
    ]
    assert all(length_ms <= STEP_MS for length_ms in damaged)


STEPS = st.one_of(
    st.tuples(st.just("pictures"), st.integers(1, 120)),
    st.tuples(st.just("pause"), st.integers(1, 5 * HOUR_MS)),
    st.tuples(st.just("near"), st.sampled_from([-700, -40, -1, 0, 1, 40, 700])),
    st.tuples(st.just("step"), st.integers(-6 * HOUR_MS, 6 * HOUR_MS)),
    st.tuples(st.just("lost"), st.sampled_from([GapCause.CAMERA_SILENT, GapCause.CAMERA_UNREACHABLE])),
    st.tuples(st.just("woke"), st.just(0)),
    st.tuples(st.just("trust"), st.sampled_from(Trust)),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, DAY_MS), st.lists(STEPS, min_size=1, max_size=14))
def test_whatever_happens_nothing_outside_of_trusted_hours_is_stored_and_all_is_told(
    at_ms: int, steps: list[tuple[str, Any]]
) -> None:
    scene = Shift(EIGHT - 6 * HOUR_MS + at_ms)
    untrusted = False
    stepped = False
    for what, value in steps:
        if what == "pictures":
            scene.run(value)
        elif what == "pause":
            scene.end(GapCause.CAMERA_CLOSED)
            scene.pause(value)
        elif what == "near":  # to a moment at a turn
            scene.end(GapCause.CAMERA_CLOSED)
            until = (TWENTY - scene.instant.utc_ms) % (12 * HOUR_MS) + value
            scene.pause(max(1, until))
        elif what == "step":
            scene.wall_ms += value
            stepped = True
        elif what == "lost":
            scene.end(value)
        elif what == "woke":
            scene.camera.woke()
        else:
            scene.trust = value
            untrusted = untrusted or value is Trust.UNTRUSTED
    scene.flush()
    scene.end(GapCause.AGENT_STOPPED)
    if untrusted:
        return
    for start_ms, end_ms in scene.stored():
        into = (start_ms - EIGHT) % DAY_MS
        assert into < DAY_MS // 2
        assert into + end_ms - start_ms <= DAY_MS // 2
    for start_ms, end_ms, cause, detail in scene.told():
        into = (start_ms - EIGHT) % DAY_MS
        outside = into >= DAY_MS // 2
        assert end_ms - start_ms <= DAY_MS // 2
        assert outside == (cause == "off_hours" and not detail), (
            "what was outside is told so, and nothing else is"
        )
    if not stepped:
        spans = sorted([*scene.stored(), *(told[:2] for told in scene.told())])
        ends = [spans[0][1]] if spans else []
        for start_ms, end_ms in spans[1:]:
            assert start_ms - ends[-1] <= 20, "a millisecond that nobody explains (I4)"
            ends.append(max(end_ms, ends[-1]))
