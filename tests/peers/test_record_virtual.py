"""The main job for the other codecs and sizes, from virtual cameras: every frame offered is in the segments."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import pytest

from agent.demo.ledger import read_frames, read_requests
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.demo.stamp import read_stamp
from tests.checker import Frame, check
from tests.lab import Site, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    spec: CameraSpec
    seconds: float = 8.0
    by_picture: bool = False  # a JPEG is rebuilt by RTP (RFC 2435), so it is known by what it shows


CASES = {
    "h265": Case(CameraSpec(1, codec="h265", width=640, height=360, fps=15, gop=15)),
    "mjpeg": Case(CameraSpec(2, codec="mjpeg", width=640, height=360, fps=10), by_picture=True),
    "mpeg4": Case(CameraSpec(3, codec="mpeg4", width=640, height=360, fps=15, gop=15)),
    "320x240": Case(CameraSpec(4, width=320, height=240, fps=15, gop=15)),
    "320x240-mjpeg": Case(CameraSpec(5, codec="mjpeg", width=320, height=240, fps=15), by_picture=True),
    "4k": Case(CameraSpec(6, width=3840, height=2160, fps=15, gop=15, bitrate=12_000_000, prepared=True)),
    "4k-h265": Case(CameraSpec(7, codec="h265", width=3840, height=2160, fps=15, gop=15, prepared=True)),
    "b-frames": Case(CameraSpec(8, width=640, height=360, fps=15, gop=15, quirks="b_frames")),
}


def ledger(folder: Path, spec: CameraSpec, by_picture: bool) -> list[Frame]:
    frames = read_frames(folder / f"{spec.name}.frames.jsonl")
    return [
        Frame(
            offered.frame,
            offered.utc_ms,
            offered.keyframe,
            str(offered.frame) if by_picture else offered.sha256,
            offered.sessions > 0,
        )
        for offered in frames
    ]


def by_bits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def by_picture(data: bytes) -> str:
    with av.open(io.BytesIO(data), format="mjpeg") as container:
        image = next(container.decode(video=0)).to_ndarray(format="bgr24")
    stamp = read_stamp(image)
    assert stamp is not None, "a stored picture without its stamp"
    return str(stamp.frame)


@pytest.mark.parametrize("name", CASES)
def test_every_frame_offered_is_stored(tmp_path, name):
    case = CASES[name]
    digest: Callable[[bytes], str] = by_picture if case.by_picture else by_bits
    spec = case.spec
    with CameraProcess([spec], tmp_path / "ledger") as cameras:
        with Site(tmp_path / "site", {spec.name: cameras.urls[spec.number]}, segment_s=5) as site:
            site.wait_recording(bound_s=60)
            time.sleep(case.seconds)
            stopped_ms = time.time_ns() // 1_000_000
            assert site.stop() == 0
        wait_for("the camera to see it go", lambda: cameras.command("status")["cameras"][0]["sessions"] == 0)
    verdict = check(
        ledger(tmp_path / "ledger", spec, case.by_picture),
        site.stored(spec.name),
        site.gaps(spec.name),
        digest=digest,
    )
    print(name, verdict.summary())
    verdict.clean()
    assert not verdict.excused
    assert len(verdict.stored) >= spec.fps * (case.seconds - 1.5)
    assert verdict.stored[-1].utc_ms > stopped_ms - 700
    rows = site.rows("select distinct codec, width, height from segment")
    assert rows == [(spec.codec, spec.width, spec.height)]

    requests = read_requests(tmp_path / "ledger" / f"{spec.name}.requests.jsonl")
    setups = [request.url for request in requests if request.method == "SETUP"]
    assert len(setups) == 1, f"one track is set up: {setups}"
    assert len(site.facts("camera.audio_offered")) == 1
