"""Real pictures in sealed segments, made once for each run of the tests."""

from __future__ import annotations

import functools
import io
import json
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

from agent.centre.segments import SegmentFile
from agent.model import utc_name
from agent.mp4.fragment import Sample, fragment
from agent.mp4.init import init_segment
from agent.storage.envelope import SEALED_CHUNK_BYTES, shred_span
from tests.unit.envelope.keys import sealed

if TYPE_CHECKING:
    from pathlib import Path

HZ = 90_000
FPS = 15
TICKS = HZ // FPS
SECOND_MS = 1000
START_MS = 1_795_255_500_000  # 2026-11-21T10:05:00Z
WIDTH, HEIGHT = 176, 144


@functools.cache
def pictures(bframes: int = 2, seconds: int = 12) -> tuple[bytes, tuple[Sample, ...]]:
    """H.264 of noise that moves, a keyframe each second: decoder configuration, and samples of about 5 KB."""
    file = io.BytesIO()
    params = f"keyint={FPS}:min-keyint={FPS}:scenecut=0:bframes={bframes}:b-adapt=0:threads=1"
    with av.open(file, "w", format="mp4") as muxer:
        stream = muxer.add_stream(
            "libx264", rate=FPS, options={"preset": "ultrafast", "qp": "30", "x264-params": params}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, HZ)
        base = np.random.default_rng(7).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for number in range(seconds * FPS):
            frame = av.VideoFrame.from_ndarray(np.roll(base, number * 3, axis=1), format="rgb24")
            frame.pts, frame.time_base = number * TICKS, Fraction(1, HZ)
            muxer.mux(stream.encode(frame))
        muxer.mux(stream.encode())
    data = file.getvalue()
    at = data.index(b"avcC")
    config = data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]
    with av.open(io.BytesIO(data)) as demuxer:
        source = demuxer.streams.video[0]
        scale = int(HZ * source.time_base)
        samples = [
            Sample(bytes(packet), TICKS, (packet.pts - packet.dts) * scale, packet.is_keyframe)
            for packet in demuxer.demux(source)
            if packet.size
        ]
    assert len(samples) == seconds * FPS
    assert sum(sample.keyframe for sample in samples) == seconds
    return config, tuple(samples)


def video(
    start_s: int,
    seconds: int,
    *,
    shift_ms: int = 0,
    width: int = WIDTH,
    camera: str = "cam01",
    bframes: int = 2,
    first: int = 0,
    timed: bool = True,
    each: int = 7,
) -> bytes:
    """The plaintext of a segment with pictures start_s .. start_s + seconds of the footage.

    shift_ms  what UTC is later than the footage's own time;  first  samples left out at the beginning
    """
    config, samples = pictures(bframes)
    about = json.dumps({"box": "gn-0007", "camera": camera}).encode() if camera else b""
    pieces = [init_segment("h264", width, HEIGHT, HZ, config, about)]
    begin, end = start_s * FPS, (start_s + seconds) * FPS
    for number, at in enumerate(range(begin + first, end, each)):
        part = samples[at : min(at + each, end)]
        utc_ms = START_MS + shift_ms + (at * TICKS + part[0].offset) * 1000 // HZ
        pieces.append(fragment(number + 1, (at - begin) * TICKS, part, utc_ms if timed else None))
    return b"".join(pieces)


def shown_first_ms(bframes: int = 2) -> int:
    """UTC at which the footage's first picture is shown."""
    return START_MS + pictures(bframes)[1][0].offset * 1000 // HZ


def put(
    folder: Path, data: bytes, start_s: int, *, suffix: str = ".mp4.age", camera: str | None = "cam01"
) -> SegmentFile:
    """Write bytes (sealed, or spoilt) as a segment's file."""
    path = folder / (utc_name(START_MS + start_s * SECOND_MS) + suffix)
    path.write_bytes(data)
    return SegmentFile.at(path, camera)


def segment(folder: Path, start_s: int, seconds: int, *, at_s: int | None = None, **options) -> SegmentFile:
    """Seal one segment into its file."""
    data = sealed(video(start_s, seconds, **options), seed=f"{start_s}/{seconds}/{options}")
    camera = options.get("camera", "cam01") or None
    return put(folder, data, start_s if at_s is None else at_s, camera=camera)


def chunk_place(file: bytes, number: int) -> int:
    return shred_span(file) + 16 + number * SEALED_CHUNK_BYTES


def chunk_count(file: bytes) -> int:
    return -(-(len(file) - chunk_place(file, 0)) // SEALED_CHUNK_BYTES)


def cut(file: bytes, chunks: int) -> bytes:
    """What salvage leaves of a file that was killed: whole chunks."""
    return file[: chunk_place(file, chunks)]


def tail(plain: bytes, offset: int, until: int | None = None, magic: bytes = b"PASUTAIL") -> bytes:
    return sealed(magic + offset.to_bytes(8, "big") + plain[offset:until], seed=f"tail{offset}")


def packets(path: Path) -> list[tuple[int, bool, bytes]]:
    """Presentation time in ticks, keyframe, bytes of every picture of a clip, in decoding order."""
    with av.open(str(path)) as clip:
        (stream,) = clip.streams
        scale = int(HZ * stream.time_base)
        assert (stream.codec_context.width, stream.codec_context.height) == (WIDTH, HEIGHT)
        return [(p.pts * scale, p.is_keyframe, bytes(p)) for p in clip.demux(stream) if p.size]


def datas(start_s: float, end_s: float, bframes: int = 2) -> list[bytes]:
    """Bytes of the footage's pictures, by decoding order."""
    return [sample.data for sample in pictures(bframes)[1][int(start_s * FPS) : int(end_s * FPS)]]
