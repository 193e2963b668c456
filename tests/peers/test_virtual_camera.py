"""Programs no one here wrote play the virtual cameras: ffprobe, ffmpeg and libav through PyAV."""

import asyncio
import hashlib
import json
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import av
import pytest

from agent.demo.ledger import read_frames, read_requests
from agent.demo.replay import load, replay_file
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.demo.stamp import read_stamp, stamps_in
from agent.demo.units import from_annexb
from tests.peer import need

FFMPEG_NAMES = {"h264": "h264", "h265": "hevc", "mpeg4": "mpeg4", "mjpeg": "mjpeg"}
SMALL = {"width": 320, "height": 240, "fps": 25.0, "gop": 25}
USER, PASSWORD = "admin", "p@ss wörd"
QUICK = {"analyzeduration": "500000", "probesize": "200000"}  # else libav watches each stream for 5 s
LOG_INS = ("digest_md5", "digest_sha256", "digest_no_qop", "basic", "digest_both", "stale_nonce=3")


def credentials(url):
    return url.replace("rtsp://", "rtsp://admin:p%40ss%20w%C3%B6rd@")


def probe(url, transport="tcp"):
    command = [
        need("ffprobe"),
        "-v",
        "error",
        "-rtsp_transport",
        transport,
        "-show_streams",
        "-of",
        "json",
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["streams"]


def libav_packets(url, count, transport="tcp", allowed="video"):
    """Demux with libav, without decoding; sound is left out before SETUP."""
    options = {"rtsp_transport": transport, "allowed_media_types": allowed, **QUICK}
    with av.open(url, options=options, timeout=30) as container:
        stream = container.streams.video[0]
        found = []
        for packet in container.demux(stream):
            found.append((packet.pts, bytes(packet)))
            if len(found) == count:
                return found
    return found


@pytest.fixture(scope="module")
def cameras():
    """One camera for each codec, of which two offer AAC."""
    specs = [
        CameraSpec(number, codec=codec, audio=audio, **SMALL)
        for number, (codec, audio) in enumerate(
            [("h264", "pcmu"), ("h265", "aac"), ("mpeg4", "pcmu"), ("mjpeg", "aac")], 1
        )
    ]
    with tempfile.TemporaryDirectory() as directory, CameraProcess(specs, Path(directory)) as process:
        process.directory = Path(directory)
        process.specs = {spec.codec: spec for spec in specs}
        yield process


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", list(FFMPEG_NAMES))
def test_ffprobe_sees_the_codec_size_rate_and_that_sound_is_offered(cameras, codec, transport):
    spec = cameras.specs[codec]
    streams = {stream["codec_type"]: stream for stream in probe(cameras.urls[spec.number], transport)}
    video = streams["video"]
    assert video["codec_name"] == FFMPEG_NAMES[codec]
    assert (video["width"], video["height"]) == (spec.width, spec.height)
    assert video["r_frame_rate"] == "25/1"
    assert streams["audio"]["codec_name"] == {"pcmu": "pcm_mulaw", "aac": "aac"}[spec.audio]


@pytest.mark.parametrize("codec", list(FFMPEG_NAMES))
def test_libav_decodes_every_frame_and_the_bar_codes_count_up(cameras, codec):
    spec = cameras.specs[codec]
    options = {"rtsp_transport": "tcp", "allowed_media_types": "video", **QUICK}
    stamps = []
    with av.open(cameras.urls[spec.number], options=options, timeout=30) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            stamp = read_stamp(frame.to_ndarray(format="bgr24"))
            if stamp is None and not stamps:
                continue  # pictures before the first keyframe cannot be whole
            stamps.append(stamp)
            if len(stamps) == 25:
                break
    assert all(stamps)
    assert {stamp.camera for stamp in stamps} == {spec.number}
    assert [stamp.frame for stamp in stamps] == list(range(stamps[0].frame, stamps[0].frame + 25))
    assert all(39 <= b.utc_ms - a.utc_ms <= 2000 for a, b in pairwise(stamps))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg4"])
def test_the_ledger_equals_what_libav_received(cameras, codec, transport):
    spec = cameras.specs[codec]
    packets = libav_packets(cameras.urls[spec.number], 25, transport)
    cameras.command("flush")
    ledger = {entry.frame: entry for entry in read_frames(cameras.directory / f"{spec.name}.frames.jsonl")}
    numbers = []
    for _, data in packets[:-1]:
        # MPEG-4 goes as it is; for the others libav puts start codes where the lengths were.
        sample = data if codec == "mpeg4" else from_annexb(data)
        stamp = stamps_in(codec, sample)
        entry = ledger[stamp.frame]
        assert (entry.size, entry.sha256) == (len(sample), hashlib.sha256(sample).hexdigest())
        assert entry.utc_ms == stamp.utc_ms
        assert entry.sessions
        numbers.append(stamp.frame)
    assert numbers == list(range(numbers[0], numbers[0] + 24))
    clock = [pts for pts, _ in packets if pts is not None]
    assert all(b - a == 3600 for a, b in pairwise(clock[:24]))


def test_the_request_log_tells_who_set_up_sound(cameras):
    path = cameras.directory / "cam01.requests.jsonl"
    before = len(read_requests(path))
    libav_packets(cameras.urls[1], 3)
    without = read_requests(path)[before:]
    assert [entry.method for entry in without if entry.url.endswith("/trackID=0")] == ["SETUP"]
    assert not [entry for entry in without if entry.url.endswith("/trackID=1")]
    probe(cameras.urls[1])
    with_sound = read_requests(path)[before + len(without) :]
    assert [entry.method for entry in with_sound if entry.url.endswith("/trackID=1")] == ["SETUP"]


@pytest.mark.parametrize("number", [1, 2])
def test_sound_decodes(cameras, number):
    command = [
        *(need("ffmpeg"), "-v", "error", "-rtsp_transport", "tcp", "-i", cameras.urls[number], "-map", "0:a"),
        *("-t", "1", "-f", "s16le", "-ac", "1", "-"),
    ]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert len(done.stdout) > 8000
    assert any(done.stdout)
    assert done.stderr == b""


@pytest.fixture(scope="module")
def locked():
    """One camera for each way to log in; small and prepared, since only the log-in matters."""
    specs = [
        CameraSpec(
            number, quirks=quirk, username=USER, password=PASSWORD, prepared=True, audio="none", **SMALL
        )
        for number, quirk in enumerate(LOG_INS, 1)
    ]
    with CameraProcess(specs) as process:
        yield process


# libav has no SHA-256, and takes the first challenge it can: those are tested against the agent's own client.
@pytest.mark.parametrize(
    "quirk", [quirk for quirk in LOG_INS if quirk not in ("digest_sha256", "digest_both")]
)
def test_libav_logs_in(locked, quirk):
    url = locked.urls[LOG_INS.index(quirk) + 1]
    assert len(libav_packets(credentials(url), 3)) == 3
    with pytest.raises(av.FFmpegError):
        libav_packets(url, 1)
    with pytest.raises(av.FFmpegError):
        libav_packets(url.replace("rtsp://", "rtsp://admin:wrong@"), 1)


def test_libav_finds_no_way_into_sha256(locked):
    with pytest.raises(av.FFmpegError):
        libav_packets(credentials(locked.urls[LOG_INS.index("digest_sha256") + 1]), 1)


QUIRKS = (
    "absolute_control",
    "b_frames",
    "equal_timestamps",
    "ignores_get_parameter",
    "long_gop=3",
    "marker_on_sps",
    "no_sender_reports",
    "oversized_packets=40000",
    "parameter_sets_in_band_only",
    "parameter_sets_in_sdp_only",
    "redirect_same_host",
    "stale_session_packets",
    "start_codes_in_payload",
    "wrong_profile_in_sdp",
)


@pytest.fixture(scope="module")
def odd():
    specs = [
        CameraSpec(number, quirks=quirk, prepared=quirk != "b_frames", audio="none", **SMALL)
        for number, quirk in enumerate(QUIRKS, 1)
    ]
    with CameraProcess(specs) as process:
        yield process


@pytest.mark.parametrize("quirk", QUIRKS)
def test_libav_bears_the_quirk(odd, quirk):
    """What a tolerant client must bear, another tolerant client bears: the quirk is no breakage of ours."""
    number = QUIRKS.index(quirk) + 1
    packets = libav_packets(odd.urls[number], 12)
    assert {stamp.camera for _, data in packets if (stamp := stamps_in("h264", data))} == {number}
    assert len(packets) == 12


@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg4", "mjpeg"])
def test_replay_reaches_libav_bit_for_bit(tmp_path, codec):
    path = tmp_path / f"clip.{'mp4' if codec != 'mjpeg' else 'avi'}"
    encoder = {"h264": "libx264", "h265": "libx265", "mpeg4": "mpeg4", "mjpeg": "mjpeg"}[codec]
    command = [
        *(need("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "2"),
        *("-c:v", encoder, "-g", "12", "-pix_fmt", "yuvj420p" if codec == "mjpeg" else "yuv420p", str(path)),
    ]
    subprocess.run(
        [
            *command[:-1],
            *({"h265": ["-x265-params", "log-level=none"], "mjpeg": ["-huffman", "default"]}.get(codec, [])),
            command[-1],
        ],
        check=True,
    )
    recording = load(path)
    assert len(recording.units) == 50
    assert (recording.codec, recording.width, recording.height, recording.fps) == (codec, 320, 240, 25.0)

    async def run():
        camera = replay_file(CameraSpec(1, audio="none"), path, speed=0)
        await camera.start()
        try:
            return await asyncio.to_thread(libav_packets, camera.url, 50)
        finally:
            await camera.stop()

    packets = asyncio.run(run())
    received = [data for _, data in packets]
    expected = [unit.data for unit in recording.units]
    if codec in ("h264", "h265"):
        received = [from_annexb(data) for data in received]
    if codec == "mjpeg":
        # RTP carries no JFIF header, so libav writes one of its own; what is coded must be the same.
        received = [scan(data) for data in received]
        expected = [scan(data) for data in expected]
    assert received[:49] == expected[:49]
    # libav names no time for pictures that its reordering has not seen through; those it names must be right.
    timed = [
        (pts, unit.ticks) for (pts, _), unit in zip(packets, recording.units, strict=False) if pts is not None
    ]
    assert len(timed) > 25
    assert {pts - ticks for pts, ticks in timed} == {timed[0][0] - timed[0][1]}


def scan(jpeg):
    at = jpeg.index(b"\xff\xda")
    return jpeg[at:].removesuffix(b"\xff\xd9")


def test_a_reboot_is_an_end_and_a_stall_is_none():
    with CameraProcess([CameraSpec(1, prepared=True, audio="none", **SMALL)]) as process:
        options = {"rtsp_transport": "tcp", **QUICK}
        with av.open(process.urls[1], options=options, timeout=30) as container:
            packets = container.demux(video=0)
            for _ in range(5):
                next(packets)
            process.command("stall", seconds=1.5)
            numbers = []
            while len(numbers) < 2 or numbers[-1] - numbers[-2] < 5:
                numbers.append(stamps_in("h264", bytes(next(packets))).frame)
                assert len(numbers) < 100
            process.command("reboot", seconds=1)
            ended = False
            try:
                ended = all(packet is not None for packet in packets)
            except av.FFmpegError:
                ended = True
            assert ended
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                assert len(libav_packets(process.urls[1], 3)) == 3
                return
            except av.FFmpegError:
                time.sleep(0.2)
        pytest.fail("the camera did not come back")
