"""D3 with real encoders: a picture that stands still is found, and a quiet night is not (by ffmpeg's encoders).

What is encoded: a dark scene with a sensor's noise, as it is and after a camera's temporal noise reduction; and one
picture of it again and again, as from a sensor or an image processor that hangs.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import av
import pytest

from agent.capture.vitals import Gauge
from agent.rtsp.units import annexb_to_sample
from tests.peer import need

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60
FPS = 15
WIDTH, HEIGHT = 640, 360
SCENE = f"color=c=0x202428:s={WIDTH}x{HEIGHT}:r={FPS},format=yuv420p,drawgrid=w=80:h=60:t=2:c=0x505050"
QUIET = "hqdn3d=8:8:15:15"  # what a camera does to noise at night
STILL = "loop=loop=-1:size=1:start=30"
NO_SCENE_CUTS = "-g 30 -sc_threshold 0"
ENCODERS = {
    "h264 at constant quality": f"-c:v libx264 -preset veryfast -tune zerolatency -crf 28 {NO_SCENE_CUTS} -f h264",
    "h264 hardly any bits": f"-c:v libx264 -preset veryfast -tune zerolatency -crf 40 {NO_SCENE_CUTS} -f h264",
    "h264 baseline, fixed": f"-c:v libx264 -preset ultrafast -profile:v baseline -qp 30 {NO_SCENE_CUTS} -f h264",
    # Cameras bound their quantiser; rate control then comes to rest on a picture that stands still.
    "h264 at a constant rate": (
        "-c:v libx264 -preset ultrafast -profile:v baseline -tune zerolatency -b:v 512k -maxrate 512k -bufsize 512k"
        f" -qmin 24 {NO_SCENE_CUTS} -f h264"
    ),
    "h265": (
        "-c:v libx265 -preset ultrafast -tune zerolatency -crf 34"
        " -x265-params keyint=30:min-keyint=30:scenecut=0:log-level=error -f hevc"
    ),
    "mpeg4": "-c:v mpeg4 -q:v 8 -g 30 -f m4v",
    "mjpeg": "-c:v mjpeg -q:v 8 -f mjpeg",
}


def conditions(folder: Path, scene: str, encoder: str, seconds: int = SECONDS) -> list[set[str]]:
    """Encode a scene, show the gauge each picture; return what it said after each second."""
    options = ENCODERS[encoder].split()
    codec = {"hevc": "h265", "m4v": "mpeg4"}.get(options[-1], options[-1])
    place = folder / "scene"
    command = [
        need("ffmpeg"),
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-f",
        "lavfi",
        "-i",
        scene,
        "-t",
        str(seconds),
    ]
    subprocess.run([*command, *options, str(place)], check=True, timeout=3600)
    gauge = Gauge()
    gauge.restart(codec, 90_000, WIDTH, HEIGHT)
    said: list[set[str]] = []
    number = 0
    with av.open(str(place), format=options[-1]) as container:
        for packet in container.demux(video=0):
            if packet.size:
                data = bytes(packet)
                data = annexb_to_sample(data) if codec in ("h264", "h265") else data
                gauge.picture(data, number * 90_000 // FPS, packet.is_keyframe, False)
                number += 1
                if number % FPS == 0:
                    said.append(set(gauge.conditions()))
    assert len(said) >= seconds - 1
    return said


@pytest.mark.parametrize("encoder", ENCODERS)
def test_d3_a_frozen_picture_is_found_within_the_minute(tmp_path: Path, encoder: str) -> None:
    said = conditions(tmp_path, f"{SCENE},noise=alls=2:allf=t,{QUIET},{STILL}", encoder)
    first = next((second for second, each in enumerate(said, 1) if "camera.frozen" in each), None)
    print(f"{encoder}: found after {first} s")
    assert first is not None
    assert "camera.frozen" in said[-1], "and it stays found"


@pytest.mark.parametrize(
    "noise",
    [
        "noise=alls=1:allf=t,hqdn3d=4:4:6:6",  # below the last bit: some keyframes come again by chance
        f"noise=alls=2:allf=t,{QUIET}",
        "noise=alls=2:allf=t",
        "noise=alls=6:allf=t",
    ],
)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_d3_a_quiet_night_is_not_frozen(tmp_path: Path, encoder: str, noise: str) -> None:
    said = conditions(tmp_path, f"{SCENE},{noise}", encoder)
    assert not set().union(*said)


@pytest.mark.campaign
@pytest.mark.parametrize("noise", ["noise=alls=1:allf=t,hqdn3d=4:4:6:6", f"noise=alls=2:allf=t,{QUIET}"])
@pytest.mark.parametrize("encoder", ["h264 baseline, fixed", "h264 hardly any bits", "h265"])
def test_d3_two_hours_of_a_quiet_night_are_not_frozen(tmp_path: Path, encoder: str, noise: str) -> None:
    said = conditions(tmp_path, f"{SCENE},{noise}", encoder, 7200)
    assert not set().union(*said)
