import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.rtsp.bits import sample, split_sample
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.jpeg import jpeg_headers
from agent.rtsp.packetizer import packetize
from agent.rtsp.rtp import RtpStream
from tests.unit.rtp.build import drain, h264_pps, h264_sps, h265_pps, h265_sps, h265_vps, vol

ENCODINGS = {"h264": "H264", "h265": "H265", "mpeg4": "MP4V-ES", "mjpeg": "JPEG"}


def cut(codec, data, **more):
    return packetize(
        codec, data, 90, **{"ssrc": 5, "payload_type": 96, "sequence": 65_530, "max_payload": 1400} | more
    )


def through(codec, data, fmtp=None, **more):
    stream = RtpStream(depacketizer(ENCODINGS[codec], fmtp or {}, 90_000), 96, 90_000, ssrc=1)
    packets = cut(codec, data, **more)
    for packet in packets:
        stream.push(packet, 0, len(packet), 1.0)
    units = drain(stream)
    assert len(units) == 1
    assert (units[0].timestamp, units[0].lost, units[0].damaged, stream.stats.bad) == (90, 0, False, 0)
    assert all(len(packet) <= more.get("max_payload", 1400) + 12 for packet in packets)
    return units[0]


def body(length, seed):
    """Bytes without a start code among them."""
    return bytes(1 + (seed + index * 7919 + (index >> 8)) % 255 for index in range(length))


SIZES = st.one_of(st.integers(1, 1500), st.integers(1, 100_000))
PAYLOADS = st.integers(160, 1500)
SLICES = st.lists(st.tuples(SIZES, st.integers(0, 254)), min_size=1, max_size=4)
EXTRAS = st.lists(st.tuples(st.integers(1, 900), st.integers(0, 254)), max_size=6)


@given(SLICES, EXTRAS, PAYLOADS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_h264_round_trip(slices, extras, max_payload, key):
    nals = [h264_sps(), h264_pps()] + [b"\x06\x05" + body(*extra) for extra in extras]
    for index, slice_ in enumerate(slices):
        nals.append((b"\x65" if key else b"\x41") + (b"\x88" if index == 0 else b"\x48") + body(*slice_))
    unit = through("h264", sample(nals), max_payload=max_payload)
    assert (split_sample(unit.data), unit.keyframe, unit.format.width) == (nals, key, 320)


@given(SLICES, EXTRAS, PAYLOADS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_h265_round_trip(slices, extras, max_payload, key):
    nals = [h265_vps(), h265_sps(), h265_pps()] + [b"\x4e\x01" + body(*extra) for extra in extras]
    for index, slice_ in enumerate(slices):
        nals.append(
            (b"\x26\x01" if key else b"\x02\x01") + (b"\x80" if index == 0 else b"\x40") + body(*slice_)
        )
    unit = through("h265", sample(nals), max_payload=max_payload)
    assert (split_sample(unit.data), unit.keyframe, unit.format.width) == (nals, key, 640)


@given(SIZES, st.integers(0, 254), PAYLOADS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_mpeg4_round_trip(size, seed, max_payload, key):
    data = (vol() if key else b"") + b"\x00\x00\x01\xb6" + (b"\x10" if key else b"\x50") + body(size, seed)
    unit = through("mpeg4", data, max_payload=max_payload)
    assert (unit.data, unit.keyframe) == (data, key)


@given(
    SIZES, st.integers(0, 254), PAYLOADS, st.sampled_from([0, 1]), st.sampled_from([0, 1, 500]),
    st.sampled_from([64, 128]), st.sampled_from([64, 128]), st.integers(1, 255), st.integers(1, 255),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_jpeg_round_trip(size, seed, max_payload, kind, interval, luma, chroma, across, down):
    scan = body(size, seed).replace(b"\xff", b"\xff\x00")
    data = (
        jpeg_headers(kind, across * 8, down * 8, body(luma, 1), body(chroma, 2), interval)
        + scan
        + b"\xff\xd9"
    )
    unit = through("mjpeg", data, max_payload=max(max_payload, 12 + 4 + 256 + 1))
    assert unit.data == data
    assert (unit.format.width, unit.format.height) == (across * 8, down * 8)


def test_large_jpeg_needs_its_size_from_sdp():
    data = jpeg_headers(1, 2592, 1944, bytes(64), bytes(64), 0) + b"\x11" * 50 + b"\xff\xd9"
    assert through("mjpeg", data, {"x-dimensions": "2592,1944"}).data == data


def test_odd_jpeg_sizes_are_rounded_up():
    data = jpeg_headers(1, 90, 50, bytes(64), bytes(64), 0) + b"\x11" * 50
    assert (through("mjpeg", data).format.width, through("mjpeg", data).format.height) == (96, 56)


def test_jpeg_without_coded_bytes_is_one_packet():
    assert len(cut("mjpeg", jpeg_headers(1, 96, 56, bytes(64), bytes(64), 0))) == 1


def test_headers():
    packets = cut("mpeg4", bytes(400), max_payload=160, ssrc=0xAABBCCDD, sequence=65_535)
    fields = [struct.unpack(">BBHII", packet[:12]) for packet in packets]
    assert fields == [
        (0x80, 96, 65_535, 90, 0xAABBCCDD),
        (0x80, 96, 0, 90, 0xAABBCCDD),
        (0x80, 96 | 0x80, 1, 90, 0xAABBCCDD),
    ]
    assert (
        packetize("mpeg4", b"x", 2**32 + 7, ssrc=1, payload_type=96, sequence=0)[0][4:8]
        == b"\x00\x00\x00\x07"
    )


def test_parameter_sets_travel_together():
    sps, pps, idr = h264_sps(), h264_pps(), b"\x65\x88\x11"
    packets = cut("h264", sample([sps, pps, idr]))
    assert [packet[12] for packet in packets] == [0x60 | 24, 0x65]
    vps, sps, pps = h265_vps(), h265_sps(), b"\x44\x02\xc1\x72"
    packets = cut("h265", sample([vps, sps, pps, b"\x26\x01\x80\x11"]))
    assert [packet[12:14] for packet in packets] == [b"\x60\x01", b"\x26\x01"]


def test_aggregate_of_another_layer_takes_the_lowest():
    nals = [b"\x4f\x0a" + bytes(3), b"\x4f\x13" + bytes(3)]  # layers 33 and 34, temporal ids 2 and 3
    assert cut("h265", sample(nals))[0][12:14] == b"\x61\x0a"


@pytest.mark.parametrize(
    ("codec", "data", "code"),
    [
        ("h264", b"\x00\x00\x00\x05\x65", "malformed_unit"),
        ("h265", b"\x00\x00\x00\x01\x26", "malformed_unit"),
        ("mjpeg", b"no", "malformed_unit"),
        ("vp8", b"", "unsupported_encoding"),
    ],
)
def test_what_cannot_be_cut(codec, data, code):
    with pytest.raises(RtspError) as caught:
        cut(codec, data)
    assert caught.value.code == code


def test_packets_too_small():
    with pytest.raises(RtspError, match="limit"):
        cut("h264", sample([b"\x65\x88"]), max_payload=159)
    with pytest.raises(RtspError, match="limit"):
        cut("mjpeg", jpeg_headers(1, 96, 56, bytes(128), bytes(128), 0) + b"\x11" * 500, max_payload=268)
