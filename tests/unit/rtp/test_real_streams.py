"""Streams of real encoders, cut into packets and put together again, compared bit for bit."""

import base64
import io

import av
import numpy as np
import pytest

from agent.rtsp.bits import annexb_to_sample, sample, split_start_codes
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.h264 import IDR
from agent.rtsp.jpeg import parse_baseline
from agent.rtsp.packetizer import packetize
from agent.rtsp.rtp import RtpStream
from agent.rtsp.units import format_from_units
from tests.unit.rtp.build import h264_pps, h264_sps

PICTURES = 24
CLOCK = 90_000


def encode(encoder, size, pixel_format="yuv420p", **options):
    """Encode noise that moves; return packets (bytes, keyframe) and extradata."""
    with av.open(io.BytesIO(), "w", format="mov") as container:
        stream = container.add_stream(encoder, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.options = options
        chooser = np.random.default_rng(1)
        packets = []
        for _ in range(PICTURES):
            coarse = chooser.integers(0, 255, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
            picture = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[: size[1], : size[0]]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            packets += stream.encode(frame)
        packets += stream.encode(None)
        extradata = bytes(stream.codec_context.extradata or b"")
        return [(bytes(packet), packet.is_keyframe) for packet in packets], extradata


def muxed_extradata(encoder, size, muxer="mp4", **options):
    """Return what libav's MP4 muxer writes as decoder configuration record."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(encoder, rate=25)
        stream.width, stream.height = size
        stream.options = options
        for _ in range(3):
            frame = av.VideoFrame(*size, "yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = file.getvalue()
    name = b"avcC" if encoder == "libx264" else b"hvcC"
    at = data.index(name)
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def through(codec, encoding, units, fmtp=None):
    stream = RtpStream(depacketizer(encoding, fmtp or {}, CLOCK), 96, CLOCK, ssrc=1)
    sequence = 65_500
    came = []
    for index, (data, _) in enumerate(units):
        packets = packetize(codec, data, index * 3600, ssrc=5, payload_type=96, sequence=sequence)
        sequence += len(packets)
        for packet in packets:
            stream.push(packet, 0, len(packet), index / 25)
        unit = stream.pull()
        came.append(unit)
        assert (unit.timestamp, unit.lost, unit.damaged) == (index * 3600, 0, False)
    assert stream.stats.bad == 0
    return came


@pytest.mark.parametrize(
    ("encoder", "codec", "options", "reorder"),
    [
        ("libx264", "h264", {"bf": "2", "g": "10", "preset": "veryfast"}, 2),
        ("libx264", "h264", {"profile": "baseline", "g": "10", "preset": "veryfast"}, 0),
        ("libx264", "h264", {"x264-params": "slices=3:aud=1:bframes=1:b-pyramid=0", "g": "8"}, 1),
        ("libx264", "h264", {"x264-params": "interlaced=1:bframes=0", "g": "8"}, 0),
        ("libx265", "h265", {"x265-params": "log-level=0:keyint=10:bframes=3", "preset": "ultrafast"}, 2),
        ("libx265", "h265", {"x265-params": "log-level=0:keyint=10:bframes=0", "preset": "ultrafast"}, 0),
    ],
)
@pytest.mark.parametrize("in_band", [True, False])
def test_nal_streams(encoder, codec, options, reorder, in_band):
    size = (322, 244)
    packets, extradata = encode(encoder, size, **options)
    sets = split_start_codes(extradata)
    units = [
        ((sample(sets) if in_band and key else b"") + annexb_to_sample(data), key) for data, key in packets
    ]
    described = format_from_units(codec, sets, CLOCK)
    assert (described.width, described.height, described.reorder) == (*size, reorder)
    fmtp = {}
    if not in_band:
        fmtp = sprop(codec, sets)
    came = through(codec, codec.upper(), units, fmtp)
    assert [(unit.data, unit.keyframe) for unit in came] == units
    assert all(unit.format is came[0].format for unit in came)
    assert came[0].format == described


def sprop(codec, sets):
    coded = [base64.b64encode(nal).decode() for nal in sets]
    if codec == "h264":
        return {"sprop-parameter-sets": ",".join(coded)}
    return {"sprop-vps": coded[0], "sprop-sps": coded[1], "sprop-pps": coded[2]}


def test_avcc_is_that_of_the_muxer():
    for options in ({"profile": "high"}, {"profile": "baseline"}):
        theirs = muxed_extradata("libx264", (322, 242), **options)
        sps_length = int.from_bytes(theirs[6:8], "big")
        sps = theirs[8 : 8 + sps_length]
        at = 8 + sps_length + 1
        pps = theirs[at + 2 : at + 2 + int.from_bytes(theirs[at : at + 2], "big")]
        assert format_from_units("h264", [sps, pps], CLOCK).config == theirs


def test_hvcc_agrees_with_that_of_the_muxer():
    theirs = muxed_extradata("libx265", (322, 242), **{"x265-params": "log-level=0"})
    nals = []
    at = 23
    for _ in range(theirs[22]):
        count = int.from_bytes(theirs[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(theirs[at : at + 2], "big")
            nals.append(theirs[at + 2 : at + 2 + length])
            at += 2 + length
    ours = format_from_units("h265", nals, CLOCK).config
    assert ours[:13] == theirs[:13]  # version, profile, tier, level
    assert ours[15:22] == theirs[15:22]  # parallelism, chroma, depths, frame rate, layers, length size
    assert ours[22] == 3


@pytest.mark.parametrize("from_sdp", [True, False])
def test_mpeg4_stream(from_sdp):
    packets, extradata = encode("mpeg4", (352, 288), g="8")
    units = [((extradata if key and not from_sdp else b"") + data, key) for data, key in packets]
    came = through("mpeg4", "MP4V-ES", units, {"config": extradata.hex()} if from_sdp else {})
    assert [(unit.data, unit.keyframe) for unit in came] == units
    assert came[0].format == format_from_units("mpeg4", [extradata], CLOCK)
    assert (came[0].format.width, came[0].format.height, came[0].format.reorder) == (352, 288, 0)


def test_mjpeg_stream():
    packets, _ = encode("mjpeg", (320, 240), "yuvj420p", huffman="default")
    came = through("mjpeg", "JPEG", packets)
    for unit, (data, _) in zip(came, packets, strict=True):
        assert parse_baseline(unit.data) == parse_baseline(data)
        assert np.array_equal(decoded(unit.data), decoded(data))
    assert came[0].format == format_from_units("mjpeg", [packets[0][0]], CLOCK)


def decoded(data):
    frame = av.CodecContext.create("mjpeg", "r").decode(av.Packet(data))[0]
    return frame.to_ndarray(format="gray")


def test_open_gop_keyframes_are_recognised():
    packets, extradata = encode(
        "libx264", (64, 48), **{"x264-params": "open-gop=1:keyint=6:bframes=2:scenecut=0"}
    )
    sets = sample(split_start_codes(extradata))
    units = [(sets + annexb_to_sample(data), key) for data, key in packets]
    came = through("h264", "H264", units)
    assert [unit.keyframe for unit in came] == [key for _, key in packets]
    assert any(
        key and all(nal[0] & 31 != IDR for nal in split_start_codes(data)) for data, key in packets
    )  # or the test proves nothing


def test_formats_that_cannot_be_told():
    assert format_from_units("h264", [b"", h264_sps(), h264_sps(order_type=3)], CLOCK) is None
    assert format_from_units("h264", [h264_sps(), b"\x65\x88", h264_pps()], CLOCK).width == 320
    assert format_from_units("h265", [h264_sps()], CLOCK) is None
    assert format_from_units("mpeg4", [b"x"], CLOCK) is None
    assert format_from_units("mjpeg", [], CLOCK) is None
    with pytest.raises(RtspError, match="unsupported_encoding"):
        format_from_units("vp8", [], CLOCK)
