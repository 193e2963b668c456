"""What libav is told of each kind of source; a password is in a header, never in the URL."""

from __future__ import annotations

import base64
from functools import partial

from agent.capture import libav
from agent.capture.libav import units_of_config

plan_source = partial(libav.plan_source, allow_basic=True)


def test_a_board_is_asked_for_size_and_rate() -> None:
    plan = plan_source("v4l2:/dev/video0", width=720, height=576, fps=25)
    assert (plan.url, plan.container, plan.paced) == ("/dev/video0", "v4l2", False)
    assert plan.options == {"framerate": "25", "video_size": "720x576"}
    assert plan_source("v4l2:/dev/video0").options == {}


def test_a_file_is_played_at_its_own_speed() -> None:
    plan = plan_source("file:///srv/clip.mp4")
    assert (plan.url, plan.paced) == ("/srv/clip.mp4", True)
    assert plan_source("file:/srv/clip.mp4").url == "/srv/clip.mp4"


def test_a_log_in_travels_as_a_header() -> None:
    plan = plan_source("http://10.0.0.5/live.ts", login=("viewer", "pass:word"))
    assert plan.url == "http://10.0.0.5/live.ts"
    scheme, token = plan.options["headers"].strip().removeprefix("Authorization: ").split(" ")
    assert scheme == "Basic"
    assert base64.b64decode(token) == b"viewer:pass:word"
    assert "headers" not in plan_source("http://10.0.0.5/live.ts").options
    assert "headers" not in plan_source("udp://127.0.0.1:5000", login=("a", "b")).options
    closed = libav.plan_source("http://10.0.0.5/live.ts", login=("viewer", "pass:word"), allow_basic=False)
    assert "headers" not in closed.options


def test_transport_streams_by_datagram_are_named_as_such() -> None:
    assert plan_source("udp://127.0.0.1:5000").container == "mpegts"


def test_parameter_sets_come_out_of_both_forms() -> None:
    sps, pps, vps = b"\x67\x42\xc0\x1e", b"\x68\xce", b"\x40\x01"
    avcc = bytes((1, 0x42, 0xC0, 0x1E, 0xFF, 0xE1, 0, len(sps))) + sps + bytes((1, 0, len(pps))) + pps
    assert units_of_config("h264", avcc) == [sps, pps]
    assert units_of_config("h264", b"\0\0\0\1" + sps + b"\0\0\1" + pps) == [sps, pps]
    hvcc = b"\x01" + bytes(21) + bytes((1, 0x20, 0, 1, 0, len(vps))) + vps
    assert units_of_config("h265", hvcc) == [vps]
