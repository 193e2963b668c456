"""ffmpeg reads what agent.mp4 writes: same packets, same times, same bytes, and not one complaint."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from agent.mp4.fragment import Sample, fragment
from agent.mp4.init import init_segment
from agent.mp4.join import Joiner
from agent.mp4.progressive import Index, SampleMeta, progressive
from agent.mp4.reader import Fragment, Init, Reader
from tests.peer import need

HZ = 90_000
TICKS = HZ // 15
UTC_MS = 1_795_255_500_123
CODECS = {
    "h264": ("libx264", "yuv420p", {"preset": "ultrafast", "bf": "0", "g": "15"}),
    "h264-b": ("libx264", "yuv420p", {"preset": "fast", "g": "15", "x264-params": "b-adapt=0:bframes=3"}),
    "h264-open": (
        "libx264",
        "yuv420p",
        {"preset": "fast", "g": "15", "x264-params": "b-adapt=0:bframes=3:open-gop=1"},
    ),
    "h265": (
        "libx265",
        "yuv420p",
        {"preset": "ultrafast", "x265-params": "log-level=none:keyint=15:b-adapt=0:bframes=3"},
    ),
    "mpeg4": ("mpeg4", "yuv420p", {"g": "15", "bf": "0"}),
    "mjpeg": ("mjpeg", "yuvj420p", {}),
}
RECORDS = {"h264": b"avcC", "h265": b"hvcC"}


def clip(name: str, pictures: int = 40, size: tuple[int, int] = (176, 144)) -> tuple[Init, list[Sample]]:
    """Encode noise that moves, let libav mux it, and take samples and decoder configuration out again."""
    codec, pixels, options = CODECS[name]
    family = name.partition("-")[0]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as muxer:
        stream = muxer.add_stream(codec, rate=15, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.time_base = Fraction(1, HZ)
        stream.codec_context.thread_count = 1
        base = np.random.default_rng(7).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        for number in range(pictures):
            frame = av.VideoFrame.from_ndarray(np.roll(base, number * 3, axis=1), format="rgb24")
            frame.pts, frame.time_base = number * TICKS, Fraction(1, HZ)
            muxer.mux(stream.encode(frame))
        muxer.mux(stream.encode())
    data = file.getvalue()
    with av.open(io.BytesIO(data)) as demuxer:
        source = demuxer.streams.video[0]
        scale = int(HZ * source.time_base)
        packets = [packet for packet in demuxer.demux(source) if packet.size]
        start = packets[0].dts
        samples = [
            Sample(
                bytes(packet),
                TICKS,
                (packet.pts - packet.dts) * max(scale, 1),
                packet.is_keyframe,
            )
            for packet in packets
        ]
        assert [packet.dts - start for packet in packets] == [i * TICKS for i in range(len(packets))]
        assert len({s.offset for s in samples}) > 1 or name in {"h264", "mpeg4", "mjpeg"}
        config = b"" if family == "mjpeg" else bytes(source.codec_context.extradata)
    if family in RECORDS:
        at = data.index(RECORDS[family])
        config = data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]
    return Init(family, *size, HZ, config, b'{"box":"gn-0007"}'), samples


def as_fragments(init: Init, samples: list[Sample], base_dts: int = 0, each: int = 7) -> bytes:
    pieces = [init_segment(*init)]
    for number, start in enumerate(range(0, len(samples), each)):
        dts = base_dts + start * TICKS
        utc_ms = UTC_MS + (dts + samples[start].offset) * 1000 // HZ
        pieces.append(fragment(number + 1, dts, samples[start : start + each], utc_ms))
    return b"".join(pieces)


def as_progressive(init: Init, samples: list[Sample]) -> bytes:
    metas = [SampleMeta(len(s.data), s.duration, s.offset, s.keyframe) for s in samples]
    return progressive(init, metas, UTC_MS) + b"".join(sample.data for sample in samples)


def probe(path: str) -> dict:
    command = [need("ffprobe"), "-v", "error", "-show_streams", "-show_packets", "-show_format"]
    done = subprocess.run(
        [*command, "-show_data_hash", "MD5", "-of", "json", path], capture_output=True, check=True, timeout=60
    )
    assert done.stderr == b""
    return json.loads(done.stdout)


def decode(path: str, *options: str) -> int:
    """Decode all, which must go without a word; returns the number of pictures."""
    command = [need("ffmpeg"), "-v", "error", *options, "-i", path, "-fps_mode", "passthrough"]
    done = subprocess.run([*command, "-f", "framehash", "-"], capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    return sum(not line.startswith(b"#") for line in done.stdout.splitlines())


def check(path: str, init: Init, samples: list[Sample], first_pts: int, *, fragmented: bool) -> dict:
    """Compare what ffprobe sees with what was written; first_pts is where the first sample is shown."""
    seen = probe(path)
    (stream,) = seen["streams"]
    names = {"h265": "hevc"}
    assert stream["codec_type"] == "video"
    assert stream["codec_name"] == names.get(init.codec, init.codec)
    assert (stream["width"], stream["height"], stream["time_base"]) == (init.width, init.height, f"1/{HZ}")
    packets = seen["packets"]
    assert [p["data_hash"] for p in packets] == ["MD5:" + hashlib.md5(s.data).hexdigest() for s in samples]
    assert [p["flags"][0] == "K" for p in packets] == [s.keyframe for s in samples]
    guessed = fragmented or any(sample.offset for sample in samples)
    dts = 0
    for packet, sample in zip(packets, samples, strict=True):
        assert packet["pts"] == first_pts - samples[0].offset + dts + sample.offset
        # In a fragmented file, or with offsets, ffprobe guesses durations from the frame rate: steps of pts tell.
        assert guessed or packet["duration"] == sample.duration
        dts += sample.duration
    # Where offsets are negative ffmpeg moves all decoding times alike, since none may come after its picture's.
    moves = {
        packet["pts"] - sample.offset - packet["dts"] for packet, sample in zip(packets, samples, strict=True)
    }
    assert len(moves) == 1
    return seen


@pytest.fixture(scope="module", params=CODECS)
def track(request: pytest.FixtureRequest) -> tuple[Init, list[Sample]]:
    return clip(request.param)


def signed(samples: list[Sample]) -> list[Sample]:
    """Move all offsets so that the first is shown when it is decoded and some are shown before."""
    return [sample._replace(offset=sample.offset - samples[0].offset) for sample in samples]


@pytest.mark.parametrize("move", [list, signed])
def test_fragmented_file_is_read_as_written(track, tmp_path, move):
    init, samples = track[0], move(track[1])
    path = tmp_path / "x.mp4"
    path.write_bytes(as_fragments(init, samples))
    # ffmpeg shows a fragmented track later by its lowest negative offset, all of it alike.
    later = max(0, -min(sample.offset for sample in samples))
    check(str(path), init, samples, samples[0].offset + later, fragmented=True)
    assert decode(str(path)) == len(samples)


@pytest.mark.parametrize("move", [list, signed])
def test_progressive_file_is_read_as_written(track, tmp_path, move):
    init, samples = track[0], move(track[1])
    path = tmp_path / "x.mp4"
    path.write_bytes(as_progressive(init, samples))
    seen = check(str(path), init, samples, 0, fragmented=False)
    assert seen["format"]["tags"]["creation_time"] == "2026-11-21T10:05:00.000000Z"
    shown = [packet["pts"] + packet["duration"] for packet in seen["packets"]]
    assert math.isclose(float(seen["format"]["duration"]), max(shown) / HZ, abs_tol=2e-6)
    assert decode(str(path)) == len(samples)


BUFFER = re.compile(r"\((\d+) bytes, dts: ([\d:.]+), pts: ([\d:.]+), duration: ([\d:.]+)")


def ticks(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return round(Fraction(seconds) * HZ) + (int(hours) * 60 + int(minutes)) * 60 * HZ


@pytest.mark.parametrize("write", [as_fragments, as_progressive])
def test_gstreamer_sees_the_same_samples(track, tmp_path, write):
    """A second reader, which reads durations from the tables themselves."""
    init, samples = track[0], signed(track[1])
    path = tmp_path / "x.mp4"
    path.write_bytes(write(init, samples))
    chain = f"filesrc location={path} ! qtdemux ! identity silent=false ! fakesink".split()
    done = subprocess.run([need("gst-launch-1.0"), "-v", *chain], capture_output=True, check=True, timeout=60)
    buffers = [
        (int(size), ticks(dts), ticks(pts), ticks(duration))
        for size, dts, pts, duration in BUFFER.findall(done.stdout.decode(errors="replace"))
    ]
    first_pts = buffers[0][2]
    assert [(size, dts, pts - first_pts, duration) for size, dts, pts, duration in buffers] == [
        (len(sample.data), i * TICKS, i * TICKS + sample.offset, TICKS) for i, sample in enumerate(samples)
    ]


def test_progressive_file_can_be_sought(tmp_path):
    init, samples = clip("h264-b", pictures=60)
    path = tmp_path / "x.mp4"
    path.write_bytes(as_progressive(init, samples))
    assert decode(str(path), "-ss", "2") == 30


def test_segment_that_begins_late_keeps_its_times(tmp_path):
    init, samples = clip("h264")
    path = tmp_path / "x.mp4"
    path.write_bytes(as_fragments(init, samples, base_dts=5 << 32))
    check(str(path), init, samples, 5 << 32, fragmented=True)


def test_64_bit_tables_are_read(tmp_path):
    """A file longer than 13 hours needs wide headers; a sparse one beyond 4 GiB needs wide offsets as well."""
    init, samples = clip("h264", pictures=20)
    filler = 1 << 29
    index = Index()
    for sample in samples[:1]:
        index.add(len(sample.data), (1 << 31) - 1, 0, True)
    for _ in range(9):
        index.add(filler, (1 << 31) - 1, 0, False)
    for sample in samples:
        index.add(len(sample.data), TICKS, 0, sample.keyframe)
    path = tmp_path / "x.mp4"
    with path.open("wb") as file:
        file.write(index.header(init, UTC_MS))
        file.write(samples[0].data)
        file.seek(9 * filler, io.SEEK_CUR)
        for sample in samples:
            file.write(sample.data)
    # Only the last twenty are read; the gigabytes of nothing stay nothing.
    command = [need("ffprobe"), "-v", "error", "-show_packets", "-show_data_hash", "MD5", "-of", "json"]
    begin_s = 10 * ((1 << 31) - 1) / HZ + 0.01
    done = subprocess.run(
        [*command, "-read_intervals", f"{begin_s}%+10", str(path)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    hashes = [packet["data_hash"] for packet in json.loads(done.stdout)["packets"]]
    assert hashes[-20:] == ["MD5:" + hashlib.md5(sample.data).hexdigest() for sample in samples]


def parts_of(data: bytes) -> tuple[Init, list[Fragment]]:
    init, *fragments = Reader().feed(data)
    return init, fragments


@pytest.mark.parametrize("name", ["h264-b", "h265", "mpeg4", "mjpeg"])
def test_joined_segments_play_as_one_file(tmp_path, name):
    """Two segments that meet, and a third after five seconds that are missing."""
    init, samples = clip(name, pictures=45)
    length_ms = 45 * TICKS * 1000 // HZ
    joiner, parts = Joiner(init), []
    for begin_ms in (0, length_ms + 3, 2 * length_ms + 5000):
        source, fragments = parts_of(as_fragments(init, samples))
        joiner.begin(source)
        for part in fragments:
            placed = joiner.add(part._replace(utc_ms=part.utc_ms + begin_ms))
            parts += [placed] if placed else []
    parts.append(joiner.finish())
    joined = [sample for part in parts for sample in part.samples]
    assert len(joined) == 3 * 45
    assert joined[89].duration == TICKS + 5 * HZ

    fragmented, whole = tmp_path / "fragmented.mp4", tmp_path / "whole.mp4"
    fragmented.write_bytes(init_segment(*init) + b"".join(fragment(*part) for part in parts))
    check(str(fragmented), init, joined, joined[0].offset, fragmented=True)
    assert decode(str(fragmented)) == len(joined)
    whole.write_bytes(as_progressive(init, joined))
    check(str(whole), init, joined, 0, fragmented=False)
    assert decode(str(whole)) == len(joined)


def test_cut_off_file_still_plays(tmp_path):
    init, samples = clip("h264")
    data = as_fragments(init, samples)
    path = tmp_path / "x.mp4"
    path.write_bytes(data[: data.rindex(b"prft") - 4])
    assert decode(str(path)) == 35


def test_our_reader_reads_our_writer_after_ffmpeg_agreed(track):
    init, samples = track
    reader = Reader()
    seen, *fragments = reader.feed(as_fragments(init, samples))
    assert seen == init
    assert [sample for part in fragments for sample in part.samples] == samples
    assert reader.pending_bytes == 0
