"""What a camera sends, what libavformat makes of it, and what is sealed on the disk: the same NAL units, bit for bit."""

from __future__ import annotations

import asyncio
import contextlib
import select
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import av
import numpy as np
import pyrage
import pytest

from agent.capture.connection import Connection, Login
from agent.demo.replay import ReplayCamera, ReplayUnit
from agent.demo.spec import CameraSpec
from agent.demo.units import from_annexb, kind, split_sample
from agent.mp4.reader import Fragment, Reader
from agent.rtsp.errors import RtspError
from agent.rtsp.events import Ended
from agent.rtsp.media import AccessUnit
from agent.rtsp.url import parse_url
from tests.lab import Site, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WIDTH, HEIGHT, FPS, FRAMES, GOP = 320, 240, 25, 125, 25
CLOCK = 90_000

# Delimiters, SEI before and (H.265: picture hashes) behind the picture, several slices, three B-frames in pyramids.
# x265 cuts slices only where it has a pool of threads.
ENCODERS = {
    "h264": (
        "libx264",
        {
            "preset": "fast",
            "x264-params": f"aud=1:slices=4:bframes=3:b-pyramid=normal:b-adapt=0:keyint={GOP}:scenecut=0"
            ":nal-hrd=vbr:vbv-maxrate=2000:vbv-bufsize=2000:open-gop=0",
        },
    ),
    "h265": (
        "libx265",
        {
            "preset": "ultrafast",
            "x265-params": f"aud=1:slices=4:bframes=3:b-pyramid=1:b-adapt=0:keyint={GOP}:scenecut=0:open-gop=0"
            ":repeat-headers=1:hash=1:info=1:log-level=none:pools=2:frame-threads=1",
        },
    ),
}
DELIMITER = {"h264": 9, "h265": 35}
SEI = {"h264": (6,), "h265": (39, 40)}
SETS = {"h264": (7, 8), "h265": (32, 33, 34)}
SLICES = {"h264": (1, 2, 5), "h265": tuple(range(32))}


def encoded(codec: str) -> list[ReplayUnit]:
    """Encode moving noise, so that every slice of every picture is different and needs several packets."""
    library, options = ENCODERS[codec]
    context = av.CodecContext.create(library, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.framerate, context.time_base = Fraction(FPS), Fraction(1, FPS)
    context.options = options
    chance = np.random.default_rng(7)
    noise = chance.integers(0, 255, (HEIGHT * 3 // 2, WIDTH), np.uint8)
    units: list[ReplayUnit] = []
    for number in range(FRAMES + 1):
        frame = None
        if number < FRAMES:
            frame = av.VideoFrame.from_ndarray(np.roll(noise, number * 3, axis=1), format="yuv420p")
            frame.pts = number
        for packet in context.encode(frame):
            assert packet.pts is not None
            data = from_annexb(bytes(packet))
            units.append(ReplayUnit(data, packet.pts * CLOCK // FPS, packet.is_keyframe))
    return units


class Cameras:
    """Replaying cameras in an event loop of their own thread."""

    def __init__(self, cameras: Sequence[ReplayCamera]) -> None:
        self.cameras = cameras
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for camera in self.cameras:
            asyncio.run_coroutine_threadsafe(camera.start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        for camera in self.cameras:
            asyncio.run_coroutine_threadsafe(camera.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture(scope="module")
def streams() -> dict[str, list[ReplayUnit]]:
    return {codec: encoded(codec) for codec in ENCODERS}


def camera(number: int, codec: str, units: list[ReplayUnit], speed: float) -> ReplayCamera:
    sets = tuple(unit for unit in split_sample(units[0].data) if kind(codec, unit) in SETS[codec])
    spec = CameraSpec(number, codec=codec, width=WIDTH, height=HEIGHT, fps=FPS)
    return ReplayCamera(spec, units, sets, speed=speed)


def by_libav(url: str) -> list[list[bytes]]:
    """Read a stream to its end as libavformat's demuxer gives it: Annex B, one packet an access unit."""
    with av.open(url, options={"rtsp_transport": "tcp", "allowed_media_types": "video"}) as container:
        return [
            split_sample(from_annexb(bytes(packet))) for packet in container.demux(video=0) if packet.size
        ]


def by_us(url: str) -> list[AccessUnit]:
    """Read a stream to its end with the recorder's own connection."""
    units: list[AccessUnit] = []
    poller = select.epoll()
    login = Login(url, None, None, "tcp", True)
    connection = Connection(login, parse_url(url), poller, time.monotonic())
    until = time.monotonic() + 60
    with contextlib.suppress(RtspError):
        while time.monotonic() < until:
            events = connection.due(time.monotonic())
            if poller.poll(0.02):
                for sock in list(connection.sockets):
                    events += connection.receive(sock, time.monotonic())
            units += [event for event in events if isinstance(event, AccessUnit)]
            if any(isinstance(event, Ended) for event in events):
                break
    connection.close(time.monotonic())
    poller.close()
    assert time.monotonic() < until, "the camera's end was not noticed"
    return units


@pytest.mark.parametrize("codec", ENCODERS)
def test_the_streams_hold_what_they_are_to_prove(streams, codec):
    units = streams[codec]
    assert len(units) == FRAMES
    times = [unit.ticks for unit in units]
    assert times != sorted(times), "no B-frames"
    kinds = [[kind(codec, nal) for nal in split_sample(unit.data)] for unit in units]
    assert all(one[0] == DELIMITER[codec] for one in kinds)
    assert all(sum(nal in SLICES[codec] for nal in one) >= 2 for one in kinds)
    assert all(any(nal in SEI[codec] for nal in one) for one in kinds)
    assert sum(unit.keyframe for unit in units) == FRAMES // GOP
    if codec == "h265":
        assert all(one[-1] == 40 for one in kinds), "an SEI behind the picture"


@pytest.mark.parametrize("codec", ENCODERS)
def test_access_units_equal_those_of_libavformat(streams, codec):
    sent = [split_sample(unit.data) for unit in streams[codec]]
    with Cameras([camera(1, codec, streams[codec], 0)]) as cameras:
        url = cameras.cameras[0].url
        theirs = by_libav(url)
        ours = by_us(url)
    assert [nal for unit in theirs for nal in unit] == [nal for unit in sent for nal in unit]
    assert theirs == sent
    assert [split_sample(unit.data) for unit in ours] == theirs
    assert [unit.keyframe for unit in ours] == [unit.keyframe for unit in streams[codec]]
    assert not any(unit.lost or unit.damaged for unit in ours)
    first = streams[codec][0].ticks
    assert [unit.timestamp - ours[0].timestamp for unit in ours] == [
        unit.ticks - first for unit in streams[codec]
    ]


def test_what_is_sealed_is_what_was_sent(tmp_path: Path, streams):
    codecs = list(ENCODERS)
    with Cameras(
        [camera(number, codec, streams[codec], 1) for number, codec in enumerate(codecs)]
    ) as cameras:
        urls = {codec: host.url for codec, host in zip(codecs, cameras.cameras, strict=True)}
        with Site(tmp_path, urls, segment_s=60) as site:
            wait_for("one round of both", lambda: all(map(site.committed, codecs)), 60)
            assert site.stop() == 0
    identity = pyrage.x25519.Identity.from_str(site.key.read_text().splitlines()[-1])
    for codec in codecs:
        segment = site.segments(codec)[0]
        assert segment.state == "COMMITTED"
        reader = Reader()
        values = reader.feed(pyrage.decrypt(segment.path.read_bytes(), [identity]))
        assert reader.pending_bytes == 0
        samples, presentation = [], []
        for value in values:
            if isinstance(value, Fragment):
                dts = value.base_dts
                for sample in value.samples:
                    samples.append(sample.data)
                    presentation.append(dts + sample.offset)
                    dts += sample.duration
        sent = streams[codec]
        assert samples == [unit.data for unit in sent], codec
        assert [at - presentation[0] for at in presentation] == [unit.ticks - sent[0].ticks for unit in sent]
