"""What libav is told of each kind of source; a password is in a header, never in the URL."""

from __future__ import annotations

import base64
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from agent.capture import libav
from agent.capture.libav import units_of_config
from agent.clock import SystemClock

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
    assert plan.options["max_redirects"] == "0"


def test_a_log_in_is_not_taken_along_to_another_host() -> None:
    """libav sends headers of our own wherever a redirect leads."""
    seen: list[tuple[int, str | None]] = []

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.server.server_address[1], self.headers.get("Authorization")))
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{other.server_address[1]}/live.ts")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Web) as camera, HTTPServer(("127.0.0.1", 0), Web) as other:
        for server in (camera, other):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        port = camera.server_address[1]
        plan = plan_source(f"http://127.0.0.1:{port}/live.ts", login=("viewer", "pass"))
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            list(libav.read_source(plan, SystemClock()))
        for server in (camera, other):
            server.shutdown()
    assert {number for number, _ in seen} == {port}
    assert seen[0][1] is not None


def test_transport_streams_are_named_as_such() -> None:
    assert plan_source("udp://127.0.0.1:5000").container == "mpegts"
    assert plan_source("http://127.0.0.1:5000/list").container == "mpegts"


def test_parameter_sets_come_out_of_both_forms() -> None:
    sps, pps, vps = b"\x67\x42\xc0\x1e", b"\x68\xce", b"\x40\x01"
    avcc = bytes((1, 0x42, 0xC0, 0x1E, 0xFF, 0xE1, 0, len(sps))) + sps + bytes((1, 0, len(pps))) + pps
    assert units_of_config("h264", avcc) == [sps, pps]
    assert units_of_config("h264", b"\0\0\0\1" + sps + b"\0\0\1" + pps) == [sps, pps]
    hvcc = b"\x01" + bytes(21) + bytes((1, 0x20, 0, 1, 0, len(vps))) + vps
    assert units_of_config("h265", hvcc) == [vps]
