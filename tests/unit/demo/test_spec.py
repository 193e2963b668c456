import json

import pytest

from agent.demo.ledger import Asked, CameraLedger, Offered, read_frames, read_requests, safe_headers
from agent.demo.quirks import parse
from agent.demo.spec import CameraSpec
from agent.demo.stamp import stamps_in
from agent.demo.studio import Studio
from agent.demo.units import PARAMETER_SETS, kind, split_sample


def test_json_round_trip():
    spec = CameraSpec(3, codec="h265", fps=12.5, username="u", password="p", quirks="no_marker, stall=2@1")
    assert CameraSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert CameraSpec.from_json({"number": 7, "fps": 10}).name == "cam07"


def test_a_password_is_never_shown():
    assert "geheim" not in repr(CameraSpec(1, username="u", password="geheim"))


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"number": "1"},
        {"number": True},
        {"number": 1, "nosuch": 1},
        {"number": 70000},
        {"number": 1, "name": "주차장"},
        {"number": 1, "codec": "vp9"},
        {"number": 1, "width": 641},
        {"number": 1, "height": 10},
        {"number": 1, "fps": 0},
        {"number": 1, "gop": 0},
        {"number": 1, "prepared": 1},
        {"number": 1, "audio": "mp3"},
        {"number": 1, "scene": "moon"},
        {"number": 1, "quirks": "nosuch"},
        {"number": 1, "quirks": "basic"},
        {"number": 1, "quirks": "b_frames", "prepared": True},
    ],
)
def test_what_does_not_fit_is_refused(value):
    with pytest.raises(ValueError, match=r"camera|quirk"):
        CameraSpec.from_json(value)


def studio(frames, quirks="", **words):
    spec = CameraSpec(2, width=320, height=240, fps=10, gop=5, quirks=quirks, **words)
    made = Studio(spec, parse(quirks))
    return made, [s for n in range(frames) for s in made.make(n, 1_795_255_123_000 + n * 100, n / 10)]


def kinds(codec, sample):
    return [kind(codec, unit) for unit in split_sample(sample.data)]


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_where_parameter_sets_stand(codec):
    made, samples = studio(12, codec=codec)
    for sample in samples:
        assert [k for k in kinds(codec, sample) if k in PARAMETER_SETS[codec]] == (
            list(PARAMETER_SETS[codec]) if sample.keyframe else []
        )
        assert stamps_in(codec, sample.data).frame == sample.frame
    assert [s.frame for s in samples if s.keyframe] == [0, 5, 10]
    _, without = studio(12, "parameter_sets_in_sdp_only", codec=codec)
    assert not [k for sample in without for k in kinds(codec, sample) if k in PARAMETER_SETS[codec]]
    assert made.parameter_sets


@pytest.mark.parametrize("prepared", [False, True])
def test_parameter_sets_change_and_come_back(prepared):
    _, samples = studio(30, "sps_change@1", prepared=prepared)
    sets = [tuple(u for u in split_sample(s.data) if kind("h264", u) == 7) for s in samples if s.keyframe]
    assert [s.frame for s in samples] == list(range(30))
    assert len(set(sets)) == 2
    assert sets[0] == sets[-1] != sets[2]
    assert samples[10].keyframe
    assert samples[20].keyframe


def test_no_frame_is_lost_when_parameter_sets_change_with_b_frames():
    _, samples = studio(40, "sps_change@1, b_frames=2")
    assert sorted(s.frame for s in samples)[:30] == list(range(30))
    assert all(s.media_s == s.frame / 10 for s in samples)


def test_gop_quirks():
    assert [s.frame for s in studio(45, "long_gop=2")[1] if s.keyframe] == [0, 20, 40]
    assert [s.frame for s in studio(25, "no_keyframes")[1] if s.keyframe] == [0]


def test_restart_begins_with_a_keyframe():
    made, _ = studio(3)
    made.restart()
    assert made.make(3, 0, 0.3)[0].keyframe


def test_ledger_files_say_what_memory_says(tmp_path):
    ledger = CameraLedger("cam01", tmp_path / "new")
    frames = [Offered(1, n, 1000 + n, n / 10, n == 0, 100, "ab", 1, 0) for n in range(5)]
    asked = Asked(
        1.5,
        "127.0.0.1:5",
        "SETUP",
        "rtsp://x/",
        safe_headers([("Authorization", "Digest x=y"), ("A", "b c")]),
    )
    for frame in frames:
        ledger.offered(frame)
    ledger.asked(asked)
    assert read_requests(tmp_path / "new" / "cam01.requests.jsonl") == [asked]
    ledger.flush()
    path = tmp_path / "new" / "cam01.frames.jsonl"
    assert read_frames(path) == frames == list(ledger.frames)
    ledger.close()
    ledger.close()
    with path.open("a") as file:
        file.write('{"camera": 1, "fra')
    assert read_frames(path) == frames
    assert asked.headers == (("Authorization", "Digest"), ("A", "b c"))
