"""What a stream says of its camera: D1, D3 and D8, by computed streams."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agent.capture.vitals import FROZEN_S, Gauge, Watch
from agent.health import CONDITIONS

RATE = 90_000


class Stream:
    """A camera's pictures as the gauge is shown them."""

    def __init__(self, fps: float = 30, gop: int = 60, width: int = 1280, height: int = 720) -> None:
        self.gauge = Gauge()
        self.gauge.restart("mpeg4", RATE, width, height)
        self.fps, self.gop = fps, gop
        self.number = 0
        self.ticks = 0.0
        self.chance = random.Random(8)

    def play(self, seconds: float, **more: Any) -> dict[str, str]:
        """Play on; return the conditions at the end."""
        for _ in range(round(seconds * self.fps)):
            self.picture(**more)
        return self.gauge.conditions()

    def picture(
        self,
        key: bytes | None = None,
        delta: int | None = None,
        hurt: bool = False,
        jitter_s: float = 0.0,
        keyframes: bool = True,
    ) -> None:
        keyframe = keyframes and self.number % self.gop == 0
        if keyframe:
            data = key if key is not None else self.chance.randbytes(self.chance.randrange(40_000, 41_000))
        else:
            data = bytes(self.chance.randrange(2000, 9000) if delta is None else delta)
        at = self.ticks + self.chance.uniform(-jitter_s, jitter_s) * RATE
        self.gauge.picture(data, round(at), keyframe, hurt)
        self.number += 1
        self.ticks += RATE / self.fps


def test_nothing_is_measured_before_a_window_is_full() -> None:
    stream = Stream()
    assert stream.gauge.numbers() == {"fps_tenths": None, "keyframe_ms": None, "hurt_permille": 0}
    assert stream.play(9) == {}
    assert stream.gauge.fps_tenths is None
    stream.play(2)
    assert stream.gauge.numbers() == {"fps_tenths": 300, "keyframe_ms": 2000, "hurt_permille": 0}


@pytest.mark.parametrize("jitter_s", [0.0, 0.015])
@pytest.mark.parametrize(
    ("fps", "tenths", "below"),
    [
        (14.9, 149, "14.9/s"),
        (15.0, 150, ""),
        (14.985, 150, ""),  # half of NTSC's 29.97
        (5, 50, "5.0/s"),
        (1, 10, "1.0/s"),
        (60, 600, ""),
    ],
)
def test_d8_fourteen_point_nine_is_too_few_and_fifteen_is_not(
    fps: float, tenths: int, below: str, jitter_s: float
) -> None:
    stream = Stream(fps, gop=30)
    for _ in range(40):
        found = stream.play(3, jitter_s=jitter_s)
        if stream.gauge.fps_tenths is not None:
            assert stream.gauge.fps_tenths == pytest.approx(tenths, abs=0 if jitter_s == 0 else 5)
    if jitter_s == 0:
        assert found.get("camera.below_floor", "") == below


def test_d8_fifteen_with_jitter_stays_at_fifteen() -> None:
    """Twenty minutes of a camera that stamps its pictures up to 15 ms early or late."""
    stream = Stream(15.0, gop=30)
    for _ in range(1200):
        assert stream.play(1, jitter_s=0.015) == {}


@pytest.mark.parametrize("offset_s", [0.0, 0.1, 3.3, 9.9])
def test_d8_a_rate_that_drops_in_mid_stream_is_seen_within_twenty_seconds(offset_s: float) -> None:
    stream = Stream(30)
    assert stream.play(40 + offset_s) == {}
    stream.fps = 14.0
    seconds = 0
    while "camera.below_floor" not in stream.play(1):
        seconds += 1
        assert seconds <= 20
    assert CONDITIONS["camera.below_floor"].visible_s + seconds + 3 <= 30  # and it is shown by then
    stream.fps = 30
    seconds = 0
    while stream.play(1):
        seconds += 1
    assert 10 <= seconds <= 31, "believed only after two windows"


@pytest.mark.parametrize(
    ("width", "height", "below"),
    [
        (320, 240, ""),
        (240, 320, ""),
        (319, 240, "319x240"),
        (320, 239, "320x239"),
        (640, 180, "640x180"),
        (0, 0, ""),
        (1920, 1080, ""),
    ],
)
def test_d8_the_size_of_the_picture(width: int, height: int, below: str) -> None:
    stream = Stream(width=width, height=height)
    assert stream.play(1).get("camera.below_floor", "") == below


def test_d8_both_at_once() -> None:
    assert Stream(5, gop=5, width=160, height=120).play(30)["camera.below_floor"] == "160x120 5.0/s"


def test_rare_keyframes() -> None:
    stream = Stream(gop=30 * 20)
    assert "camera.keyframes_rare" not in stream.play(14)
    assert stream.play(2)["camera.keyframes_rare"] == "15 s"
    assert stream.play(10)["camera.keyframes_rare"] == "20 s", (
        "the last distance counts while it is the longest"
    )
    stream.gop, stream.number = 60, 0
    stream.play(1)
    assert "camera.keyframes_rare" not in stream.play(5)


def test_damage_is_told_from_one_picture_in_a_hundred_on() -> None:
    stream = Stream(30)
    stream.play(12)
    for _ in range(3):
        stream.picture(hurt=True)
    found = stream.play(10)
    assert found["camera.damaged_stream"] == "1.0 %"
    assert stream.play(10) == {}
    for _ in range(2):
        stream.picture(hurt=True)
    assert stream.play(10) == {}


# D3 --------------------------------------------------------------------------------------------------------------


def toggled(stream: Stream, forms: int, seconds: float, delta: int = 60) -> dict[str, str]:
    """Play a frozen picture: keyframes come in so many forms, and nothing is in between."""
    found: dict[str, str] = {}
    for number in range(round(seconds * stream.fps)):
        form = (stream.number // stream.gop) % forms
        stream.picture(key=b"header %d" % form * 9000 + bytes([form]) * 30_000, delta=delta)
        if number % 30 == 0:
            found = stream.gauge.conditions()
    return found


@pytest.mark.parametrize("forms", [1, 2, 4])
def test_d3_a_picture_that_stands_still_is_found_within_the_minute(forms: int) -> None:
    stream = Stream(15, gop=30)
    assert stream.play(60) == {}
    seconds = 0
    while "camera.frozen" not in toggled(stream, forms, 2):
        seconds += 2
        assert seconds <= 58
    assert seconds >= FROZEN_S - 2
    assert stream.play(4) == {}, "it moves again"


def test_d3_keyframes_ten_seconds_apart() -> None:
    stream = Stream(15, gop=150)
    stream.play(30)
    assert toggled(stream, 2, 58) == {"camera.frozen": ""}


def test_d3_what_stands_in_front_of_the_slices_may_differ() -> None:
    """A clock in an SEI, delimiters, parameter sets."""
    stream = Stream(15, gop=30)
    for number in range(15 * 50):
        stream.picture(key=b"%08d" % number + b"still" * 2000, delta=60)
    assert "camera.frozen" in stream.gauge.conditions()


def test_d3_forms_without_number_are_the_night_and_not_a_still_picture() -> None:
    """Noise below the last bit: keyframes come again, among many others."""
    stream = Stream(15, gop=30)
    chance = random.Random(3)
    for gop in range(3000):
        form = chance.randrange(12)
        for _ in range(30):
            stream.picture(key=bytes([form]) * 4000, delta=46)
        assert stream.gauge.conditions() == {}, gop


def test_d3_five_forms_in_turn_are_too_many() -> None:
    stream = Stream(15, gop=30)
    assert toggled(stream, 5, 120) == {}


def nal(kind: int, body: bytes) -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body


@pytest.mark.parametrize(("codec", "sei", "idr"), [("h264", 6, 0x65), ("h265", 39 << 1, 19 << 1)])
def test_d3_of_nal_units_the_slices_count_without_their_headers(codec: str, sei: int, idr: int) -> None:
    def frozen(other: int) -> bool:
        gauge = Gauge()
        gauge.restart(codec, RATE, 640, 360)
        for gop in range(20):
            clock = nal(sei, b"%08d" % gop * 200)  # larger than all slices together
            header = b"%04d" % gop * 7
            slices = nal(idr, header + b"upper half" * 20) + nal(
                idr, header + b"lower half" * 20 + bytes(other * gop)
            )
            gauge.picture(clock + slices, gop * 2 * RATE, True, False)
        return "camera.frozen" in gauge.conditions()

    assert frozen(0)
    assert not frozen(1), "the last slice differs"


def test_d3_lengths_that_lie_do_no_harm() -> None:
    gauge = Gauge()
    gauge.restart("h264", RATE, 640, 360)
    for number, data in enumerate([b"", b"\0\0\0", b"\xff" * 40, bytes(4000), nal(0x65, b"x" * 90)[:-7]]):
        gauge.picture(data, number * 2 * RATE, True, False)
    assert "camera.frozen" not in gauge.conditions()


def test_d3_a_quiet_night_is_not_frozen() -> None:
    """Between keyframes nothing but skipped blocks for half an hour, as good encoders make of it; keyframes differ."""
    stream = Stream(15, gop=30)
    for _ in range(1800):
        assert stream.play(1, delta=46) == {}


def test_d3_a_loop_of_something_that_moves_is_not_frozen() -> None:
    stream = Stream(15, gop=30)
    assert toggled(stream, 1, 60, delta=5000) == {}


def test_d3_still_after_it_moved_counts_from_there() -> None:
    stream = Stream(15, gop=30)
    toggled(stream, 1, 18)
    toggled(stream, 1, 4, delta=5000)
    assert toggled(stream, 1, 18) == {}
    assert toggled(stream, 1, 10) == {"camera.frozen": ""}


def test_d3_no_keyframes_no_verdict() -> None:
    stream = Stream(15, gop=30)
    stream.play(2)
    found = stream.play(60, delta=46, keyframes=False)
    assert set(found) == {"camera.keyframes_rare"}


def test_d3_where_every_picture_is_a_keyframe() -> None:
    still, moving = Stream(15, gop=1), Stream(15, gop=1)
    found: dict[str, str] = {}
    for number in range(15 * 40):
        still.picture(key=b"the same picture" * 1000)
        # A loop of a second: each sample meets the same picture, and what lies between has other sizes.
        moving.picture(key=b"%04d" % (number % 15) * (3000 + 10 * (number % 15)))
        found |= moving.gauge.conditions()
    assert still.gauge.conditions() == {"camera.frozen": ""}
    assert found == {}


def test_a_new_run_forgets_what_stood_still() -> None:
    stream = Stream(15, gop=30)
    assert toggled(stream, 1, 40) == {"camera.frozen": ""}
    stream.gauge.restart("mpeg4", RATE, 1280, 720)
    assert stream.gauge.conditions() == {}
    assert stream.gauge.fps_tenths == 150, "the last number stays until there is a new one"


# The parent's part ------------------------------------------------------------------------------------------------


def state(kind: str = "recording", **more: Any) -> dict[str, Any]:
    return {"state": kind, "picture_ms": 40, "conditions": {}, **more}


def codes(
    watch: Watch, states: dict[str, dict[str, Any]], now_s: float, plaintext: tuple[str, ...] = ()
) -> list:
    return [(each.code, each.subject, each.detail) for each in watch.raised(states, plaintext, now_s)]


def test_a_camera_that_records_has_what_its_worker_says() -> None:
    found = codes(
        Watch(), {"cam01": state(conditions={"camera.frozen": "", "camera.below_floor": "5.0/s"})}, 0.0
    )
    assert found == [("camera.frozen", "cam01", ""), ("camera.below_floor", "cam01", "5.0/s")]


@pytest.mark.parametrize(
    ("cause", "code", "after_s"),
    [
        ("camera_unreachable", "camera.unreachable", 10),
        ("camera_closed", "camera.unreachable", 10),
        ("worker_lost", "camera.unreachable", 10),
        ("camera_refused", "camera.refused", 10),
        ("camera_silent", "camera.silent", 5),
    ],
)
def test_d1_a_camera_without_pictures_is_named_by_its_cause(cause: str, code: str, after_s: int) -> None:
    watch = Watch()
    assert codes(watch, {"cam01": state()}, 100.0) == []
    gone = {"cam01": state("lost", cause=cause, conditions={"camera.frozen": ""})}
    assert codes(watch, gone, 100.0 + after_s - 0.1) == []
    assert codes(watch, gone, 100.0 + after_s) == [(code, "cam01", cause)]
    assert codes(watch, {"cam01": state()}, 120.0) == []


def test_d1_a_stall_is_told_as_soon_as_it_is_found() -> None:
    """The session's own timer took five seconds; the time of the last picture counts, not that of the end."""
    watch = Watch()
    codes(watch, {"cam01": state(picture_ms=4900)}, 100.0)
    assert codes(watch, {"cam01": state("lost", cause="camera_silent")}, 100.2) == [
        ("camera.silent", "cam01", "camera_silent")
    ]


def test_a_camera_that_never_recorded_is_given_its_time() -> None:
    watch = Watch()
    assert codes(watch, {"cam01": {"state": "waiting"}}, 50.0) == []
    assert codes(watch, {"cam01": state("playing", picture_ms=None)}, 60.0) == [
        ("camera.unreachable", "cam01", "no_keyframe")
    ]
    assert codes(watch, {}, 61.0) == []
    assert codes(watch, {"cam01": {"state": "waiting"}}, 70.0) == [], "taken out, and put in again"


@pytest.mark.parametrize("before", ["", "camera_silent"])
def test_a_camera_whose_pictures_come_is_given_the_time_to_a_rare_keyframe(before: str) -> None:
    """Each morning a camera with a keyframe every twelve seconds would be an alarm of the worst kind."""
    watch = Watch()
    assert codes(watch, {"cam01": state("resting")}, 100.04) == []
    plays = {"cam01": state("playing", cause=before)}
    for now_s in (100.5, 110.5, 114.9):
        assert codes(watch, plays, now_s) == []
    ((code, _, _),) = codes(watch, plays, 115.1)
    assert code == ("camera.silent" if before else "camera.unreachable")


def test_d1_one_that_plays_and_sends_nothing_is_given_no_more_time_than_before() -> None:
    watch = Watch()
    codes(watch, {"cam01": state()}, 100.04)
    assert codes(watch, {"cam01": state("playing", picture_ms=5000, cause="camera_silent")}, 105.1) != []
    assert codes(watch, {"cam01": state("playing", picture_ms=5000)}, 109.9) == []
    assert codes(watch, {"cam01": state("playing", picture_ms=5000)}, 110.1) != []


def test_what_holds_whether_it_records_or_not() -> None:
    said = state(audio_offered=["PCMU", "AAC"], restricted=True, identity=["server"])
    assert codes(Watch(), {"cam01": said}, 0.0, ("cam01",)) == [
        ("camera.audio_offered", "cam01", "PCMU AAC"),
        ("camera.plaintext_leg", "cam01", ""),
        ("camera.poisoned", "cam01", ""),
        ("camera.identity_changed", "cam01", "server"),
    ]


def test_a_camera_that_rests_has_no_condition_and_one_that_is_lost_then_has() -> None:
    watch = Watch()
    worse = {"camera.frozen": "", "camera.below_floor": "5.0/s"}
    for now_s in (0.0, 50.0, 500.0):
        assert codes(watch, {"cam01": state("resting", conditions=worse)}, now_s) == []
    lost = {"cam01": state("lost", cause="camera_silent")}
    assert codes(watch, lost, 504.0) == []
    assert codes(watch, lost, 505.0) == [("camera.silent", "cam01", "camera_silent")]


def test_hours_that_cannot_be_kept_are_told() -> None:
    assert codes(Watch(), {"cam01": state(hours_open=True)}, 0.0) == [("camera.hours_open", "cam01", "")]
