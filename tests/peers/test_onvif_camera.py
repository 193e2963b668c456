"""`pasu discover` against ipycam, a virtual ONVIF camera that nobody here wrote, run whole: search, ONVIF, RTSP."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config import Login
from agent.field.discovering import Known, Request, find
from agent.onvif.examine import Manner, Place, examine
from agent.onvif.findings import findings
from agent.onvif.model import LogIn
from agent.onvif.places import Interface
from tests.onvif import own_loopback
from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.onvif.model import Camera

WORD = "S3cret-flood-lamp"
START_S = 60


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need("ffmpeg")
    with own_loopback("ipycam"):
        yield from _run(tmp_path_factory)


def _run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(__file__).with_name("onvif_camera.py")
    with subprocess.Popen(
        [sys.executable, str(program), str(port), "admin", WORD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path_factory.mktemp("ipycam"),  # it writes its settings where it is
        text=True,
    ) as running:
        assert running.stdout is not None
        said = json.loads(running.stdout.readline())
        assert said["started"]
        yield said["service"]
        assert running.stdin is not None
        running.stdin.close()
        running.wait(START_S)


def codes(camera: Camera) -> list[str]:
    return [found.code for found in findings(camera)]


def test_it_is_found_and_says_what_it_is(service: str) -> None:
    async def ask(_camera: Camera) -> Login | None:
        return Login("admin", WORD)

    found = asyncio.run(find(Request((Interface("lo", "127.0.0.1/8"),), seconds=2.0), Known(), ask))
    camera = next(each.camera for each in found if each.camera.service == service)
    assert (camera.log_in, camera.device.model) == (LogIn.GOOD, "VirtualCam-1")
    assert camera.clock_ms is not None
    assert abs(camera.clock_ms) < 3_600_000
    main, sub = camera.main, camera.sub
    assert main is not None
    assert sub is not None
    assert (main.codec, main.width, main.height, main.fps) == ("h264", 640, 360, 15)
    assert (sub.width, sub.height) == (320, 240)
    assert main.shown
    # Its ONVIF side wants a log-in, and its pictures are for everybody: the very thing that is looked for.
    assert "no-log-in" in codes(camera)


def test_without_a_log_in_and_with_a_wrong_one(service: str) -> None:
    for login, way in ((None, LogIn.NEEDED), (Login("admin", "wrong"), LogIn.REFUSED)):
        camera, _ = asyncio.run(examine(Place("127.0.0.1", service), login, Manner()))
        assert camera.log_in is way
        assert camera.main is None
