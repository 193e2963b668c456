"""The main job against GStreamer's RTSP server: every frame served is in the segments, and sound was never asked for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.checker import check
from tests.lab import ROOT, GstCameras, Site, machine, prepared_clip
from tests.peer import need
from tests.wire import Capture, talks

EVIDENCE = ROOT / "docs/evidence/gstreamer-60s.md"


def record_with_sound_on_offer(folder: Path, seconds: float) -> str:
    with (
        GstCameras(folder / "cameras", "--live", "1", "--size", "640x480", "--fps", "25") as cameras,
        Capture(folder / "wire.pcap", cameras.port),
        Site(folder / "site", {"cam01": cameras.url(0)}) as site,
    ):
        site.wait_recording()
        time.sleep(seconds)
        no_libav(site)
        stopped_ms = time.time_ns() // 1_000_000
        assert site.stop() == 0

    verdict = check(cameras.ledger(0), site.stored("cam01"), site.gaps("cam01"))
    print(verdict.summary())
    verdict.clean()
    assert not verdict.excused, "an undisturbed recording has no gaps"
    assert verdict.stored[0].number <= 50, "it begins with the first or second keyframe it was served"
    assert verdict.stored[-1].utc_ms > stopped_ms - 500, "and ends when it was told to"
    assert len(verdict.stored) > 25 * (seconds - 3)

    only_video(site)
    no_sound_on_the_wire(folder / "wire.pcap", cameras.port)
    offered = [body for _, _, body in site.facts("camera.audio_offered")]
    assert len(offered) == 1, "a fact, once"
    assert offered[0]["camera"] == "cam01"
    return f"{verdict.summary()}; {len(site.segments('cam01'))} segments"


def no_libav(site: Site) -> None:
    """Issue: bytes from a camera meet only memory-safe code; no process of the recorder has a libav library mapped."""
    pids = site.pids()
    assert len(pids) >= 2, "a parent and a worker"
    for pid in pids:
        libraries = {
            Path(line).name for line in re.findall(r"/\S+\.so\S*", Path(f"/proc/{pid}/maps").read_text())
        }
        assert libraries, "a process without libraries proves nothing"
        strange = [name for name in libraries if re.match(r"lib(av|sw|x26|opencv)|_?av\b|cv2", name)]
        assert not strange, strange


def only_video(site: Site) -> None:
    """Open every segment with `age`, and let ffprobe and ffmpeg look at it."""
    segments = site.segments("cam01")
    assert len(segments) >= 2
    for segment in segments:
        clear = site.folder / "clear.mp4"
        clear.write_bytes(site.plain(segment))
        show = [
            need("ffprobe"),
            "-v",
            "error",
            "-show_entries",
            "stream=codec_type,codec_name,width,height,nb_read_packets",
        ]
        done = subprocess.run(
            [*show, "-count_packets", "-of", "json", str(clear)], capture_output=True, text=True, timeout=60
        )
        assert done.stderr == ""
        (stream,) = json.loads(done.stdout)["streams"]
        assert (stream["codec_type"], stream["codec_name"]) == ("video", "h264")
        assert (stream["width"], stream["height"]) == (640, 480)
        assert int(stream["nb_read_packets"]) == segment.frames
        decode = subprocess.run(
            [need("ffmpeg"), "-nostdin", "-v", "error", "-i", str(clear), "-f", "null", "-"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert decode.stderr == ""


def no_sound_on_the_wire(pcap: Path, port: int) -> None:
    conversations = [talk for talk in talks(pcap, port) if talk.requests("SETUP")]
    assert conversations, "the capture holds no session"
    for talk in conversations:
        offer = next(text for text in talk.answers() if "m=video" in text)
        assert "m=audio" in offer, "a camera that offers no sound proves nothing"
        sound = offer.split("m=audio")[1].split("\r\nm=")[0]
        control = re.search(r"a=control:(\S+)", sound)
        assert control
        setups = talk.requests("SETUP")
        assert len(setups) == 1, "one track is set up"
        assert control[1] not in setups[0].split("\r\n")[0], "SETUP of the audio track"
        channels = {channel for channel, _ in talk.frames}
        assert channels == {0, 1}, "video and its reports"
        types = {body[1] & 127 for channel, body in talk.frames if channel == 0}
        assert types == {96}, f"payload types on the wire: {types}"


def test_the_wire_check_sees_a_client_that_takes_the_sound(tmp_path):
    """Without this, a capture that is read wrongly would look like silence."""
    with (
        GstCameras(tmp_path / "cameras", "--live", "1") as cameras,
        Capture(tmp_path / "wire.pcap", cameras.port),
    ):
        client = [need("ffmpeg"), "-nostdin", "-v", "quiet", "-rtsp_transport", "tcp", "-i", cameras.url(0)]
        subprocess.run([*client, "-t", "2", "-f", "null", "-"], check=True, timeout=60)
    (talk,) = [talk for talk in talks(tmp_path / "wire.pcap", cameras.port) if talk.requests("SETUP")]
    assert len(talk.requests("SETUP")) == 2
    assert {body[1] & 127 for _, body in talk.frames if body[1] & 127 in (96, 97)} == {96, 97}
    with pytest.raises(AssertionError, match="one track is set up"):
        no_sound_on_the_wire(tmp_path / "wire.pcap", cameras.port)


def test_h264_with_aac_on_offer(tmp_path):
    record_with_sound_on_offer(tmp_path, 20)


@pytest.mark.campaign
def test_h264_with_aac_on_offer_for_a_minute(tmp_path):
    seen = record_with_sound_on_offer(tmp_path, 60)
    EVIDENCE.write_text(
        "# A GStreamer camera for 60 s\n\n"
        f"`make campaign`, {time.strftime('%Y-%m-%d', time.gmtime())}; {machine()}.\n"
        "H.264 640x480 at 25 fps with AAC on offer, over TCP; captured with tcpdump.\n\n"
        f"Frames: {seen}.\n"
        "Every segment opened with `age -d`: ffprobe shows one H.264 video stream, ffmpeg decodes it without a word.\n"
        "On the wire: one SETUP, of the video track; no RTP packet of the audio payload type, no frame on another"
        " channel.\n"
    )


def test_sixteen_gstreamer_cameras_at_once_lose_nothing(tmp_path):
    """The load of a large site for a moment: every frame of all sixteen is there."""
    count = 16
    clip = prepared_clip()
    with GstCameras(tmp_path / "cameras", "--clip", str(clip), "--cameras", str(count), "--audio") as cameras:
        urls = {f"cam{number:02d}": cameras.url(number) for number in range(count)}
        with Site(tmp_path / "site", urls, segment_s=5) as site:
            site.wait_recording()
            time.sleep(12)
            assert site.stop() == 0
    for number in range(count):
        camera = f"cam{number:02d}"
        verdict = check(cameras.ledger(number), site.stored(camera), site.gaps(camera))
        verdict.clean()
        assert not verdict.excused
        assert len(verdict.stored) > 200


def test_the_recorder_keeps_no_open_secret(tmp_path):
    """Nothing a camera log-in consists of shows in argv, environment, log, facts or health."""
    secret = "Pa55-wort-nobody-may-see"
    clip = prepared_clip(320, 240, 15, 256, 10, 1)
    with GstCameras(
        tmp_path / "cameras", "--clip", str(clip), "--fps", "15", "--user", f"operator:{secret}"
    ) as cameras:
        site = Site(tmp_path / "site", {"cam01": cameras.url(0)}, secrets={"cam01": ("operator", secret)})
        with site:
            site.wait_recording()
            for pid in site.pids():
                for name in ("cmdline", "environ"):
                    assert secret.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
            assert site.stop() == 0
    for root, _, names in os.walk(site.folder):
        for name in names:
            path = Path(root) / name
            if path.name != "secrets.toml":
                assert secret.encode() not in path.read_bytes(), f"the password is in {path}"
