import struct

import cv2
import numpy as np
import pytest

from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.jpeg import (
    YUV420,
    YUV422,
    jpeg_headers,
    jpeg_size,
    parse_baseline,
    segments,
    tables_for,
)
from agent.rtsp.mjpeg import described_size
from tests.unit.rtp.build import drain, feed

SCAN = bytes(range(1, 200))
EOI = b"\xff\xd9"


def new(**fmtp):
    return depacketizer("jpeg", fmtp, 90_000)


def payload(
    body, *, offset=0, kind=1, quality=50, width=40, height=30, specific=0, restart=None, tables=None
):
    head = struct.pack(">IBBBB", specific << 24 | offset, kind, quality, width, height)
    if restart is not None:
        head += struct.pack(">HH", restart, 0xFFFF)
    if tables is not None:
        precision, data = tables
        head += struct.pack(">BBH", 0, precision, len(data)) + data
    return head + body


def picture(quality=50, sampling=cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, **more):
    image = np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    for name, value in more.items():
        options += [getattr(cv2, name), value]
    return cv2.imencode(".jpg", image, options)[1].tobytes()


def pixels(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def only(units):
    assert len(units) == 1
    return units[0]


# Files.


@pytest.mark.parametrize("quality", [1, 5, 25, 49, 50, 51, 75, 90, 99])
def test_tables_are_those_of_the_independent_jpeg_group(quality):
    parsed = parse_baseline(picture(quality))
    assert tables_for(quality) == (parsed.luma, parsed.chroma)


@pytest.mark.parametrize(
    ("kind", "sampling"),
    [(YUV420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420), (YUV422, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422)],
)
@pytest.mark.parametrize("interval", [0, 3])
def test_rebuilt_file_shows_the_same_picture(kind, sampling, interval):
    data = picture(60, sampling, IMWRITE_JPEG_RST_INTERVAL=interval)
    parsed = parse_baseline(data)
    assert (parsed.kind, parsed.width, parsed.height, parsed.restart_interval) == (kind, 96, 64, interval)
    headers = jpeg_headers(kind, 96, 64, parsed.luma, parsed.chroma, interval)
    rebuilt = headers + parsed.scan + EOI
    assert parse_baseline(rebuilt) == parsed
    assert np.array_equal(pixels(rebuilt), pixels(data))
    assert jpeg_size(rebuilt) == (96, 64)


def test_headers_with_16_bit_tables():
    luma = bytes(range(128))
    headers = jpeg_headers(YUV420, 16, 16, luma, bytes(64), 0)
    parsed = parse_baseline(headers + SCAN)
    assert (parsed.luma, parsed.chroma, parsed.scan) == (luma, bytes(64), SCAN)


def test_fill_bytes_between_segments():
    data = picture()
    assert jpeg_size(data[:2] + b"\xff\xff" + data[2:]) == (96, 64)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0\x00\x01",
        b"\xff\xd8\xff\xe0\x00\x40\x00",
        b"\xff\xd8\x00\x00\x00\x00",
    ],
)
def test_broken_files_are_refused(data):
    with pytest.raises(RtspError, match="malformed_unit"):
        list(segments(data))
    with pytest.raises(RtspError, match="malformed_unit"):
        jpeg_size(data)


def test_file_without_frame_has_no_size():
    with pytest.raises(RtspError, match="frame header"):
        jpeg_size(b"\xff\xd8\xff\xc0\x00\x04\x00\x00\xff\xda\x00\x02")


def without(data, marker, replacement=b""):
    begin = data.index(b"\xff" + bytes((marker,)))
    return data[:begin] + replacement + data[begin + 2 + int.from_bytes(data[begin + 2 : begin + 4], "big") :]


@pytest.mark.parametrize(
    "data",
    [
        without(picture(), 0xDB),
        without(picture(), 0xC0),
        without(picture(), 0xDB, b"\xff\xdb\x00\x04\x00\x01"),
        picture(IMWRITE_JPEG_OPTIMIZE=1),
        picture(sampling=cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        picture(IMWRITE_JPEG_PROGRESSIVE=1),
    ],
)
def test_files_rtp_cannot_carry_are_refused(data):
    with pytest.raises(RtspError, match="malformed_unit"):
        parse_baseline(data)


def test_other_segments_and_odd_restart_intervals_are_passed_over():
    data = picture()
    extra = b"\xff\xfe\x00\x04ab\xff\xdd\x00\x05abc"
    assert parse_baseline(data[:2] + extra + data[2:]) == parse_baseline(data)


# Payloads.


@pytest.mark.parametrize("kind", [0, 1, 64, 65])
def test_picture_in_fragments(kind):
    restart = 7 if kind >= 64 else None
    parts = [
        payload(SCAN[:60], kind=kind, restart=restart),
        payload(SCAN[60:100], offset=60, kind=kind, restart=restart),
        payload(SCAN[100:], offset=100, kind=kind, restart=restart),
    ]
    unit = only(feed(new(), *parts, timestamp=5, now=2.5))
    assert unit.data == jpeg_headers(kind & 1, 320, 240, *tables_for(50), restart or 0) + SCAN + EOI
    assert (unit.keyframe, unit.timestamp, unit.arrival, unit.damaged) == (True, 5, 2.5, False)
    assert (unit.format.codec, unit.format.width, unit.format.height, unit.format.reorder) == (
        "mjpeg",
        320,
        240,
        0,
    )


def test_picture_that_brings_its_own_end():
    assert only(feed(new(), payload(SCAN + EOI))).data.endswith(SCAN + EOI)


LUMA, CHROMA = bytes(range(1, 65)), bytes(range(101, 165))
LONG = bytes(range(128))


@pytest.mark.parametrize(
    ("tables", "luma", "chroma"),
    [
        ((0, LUMA + CHROMA), LUMA, CHROMA),
        ((0, LUMA), LUMA, LUMA),
        ((3, LONG + LONG[::-1]), LONG, LONG[::-1]),
        ((1, LONG), LONG, LONG),
        ((2, LUMA + LONG), LUMA, LONG),
        ((0, LUMA + CHROMA + LUMA), LUMA, CHROMA),
    ],
)
@pytest.mark.parametrize("quality", [128, 255])
def test_tables_in_band(tables, luma, chroma, quality):
    unit = only(feed(new(), payload(SCAN, quality=quality, tables=tables)))
    assert unit.data == jpeg_headers(1, 320, 240, luma, chroma, 0) + SCAN + EOI


def test_tables_once_given_stay_for_their_quality():
    machine = new()
    first = only(feed(machine, payload(SCAN, quality=200, tables=(0, LUMA + CHROMA)), timestamp=0))
    again = only(feed(machine, payload(SCAN, quality=200, tables=(0, b"")), timestamp=10))
    assert again.data == first.data
    assert again.format is first.format
    assert feed(machine, payload(SCAN, quality=201, tables=(0, b"")), timestamp=20) == []
    feed(machine, payload(SCAN, quality=255, tables=(0, LUMA)), timestamp=30)
    assert feed(machine, payload(SCAN, quality=255, tables=(0, b"")), timestamp=40) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        bytes(7),
        payload(SCAN, kind=2),
        payload(SCAN, kind=128),
        payload(b"", kind=64)[:11],
        payload(SCAN, kind=66, restart=1),
        payload(SCAN, quality=0),
        payload(SCAN, quality=100),
        payload(SCAN, quality=127),
        payload(b"\x00\x00", quality=255),
        payload(b"", quality=255, tables=(0, LUMA))[:-1],
        payload(SCAN, quality=255, tables=(0, LUMA + b"\x01")),
        payload(SCAN, width=0),
        payload(SCAN, height=0),
    ],
)
def test_payload_that_is_none_drops_its_picture(bad):
    machine = new()
    assert feed(machine, bad, payload(SCAN[9:], offset=9), timestamp=0) == []
    assert machine.bad == 1
    unit = only(feed(machine, payload(SCAN), timestamp=10))
    assert (unit.lost, machine.dropped) == (1, 1)


def test_picture_with_a_hole_is_dropped():
    machine = new()
    feed(machine, payload(SCAN[:50]), marker=False)
    assert feed(machine, payload(SCAN[90:], offset=90), lost=2) == []
    assert feed(machine, payload(SCAN[90:], offset=90), timestamp=10) == []
    unit = only(feed(machine, payload(SCAN), timestamp=20))
    assert (unit.lost, machine.dropped) == (2, 2)


def test_fragment_at_the_wrong_offset_drops_its_picture():
    machine = new()
    assert feed(machine, payload(SCAN[:50]), payload(SCAN[50:], offset=51)) == []
    assert only(feed(machine, payload(SCAN), timestamp=10)).lost == 1


def test_missing_markers():
    machine = new()
    feed(machine, payload(SCAN), timestamp=0, marker=False)
    assert len(feed(machine, payload(SCAN), timestamp=10, marker=False)) == 1
    assert only(feed(machine, payload(SCAN[5:]), timestamp=10, marker=False, now=3.0)).timestamp == 10
    machine.flush()
    unit = only(drain(machine))
    assert (unit.arrival, unit.data[-len(SCAN) + 3 :]) == (3.0, SCAN[5:] + EOI)


def test_change_of_size_makes_a_new_format():
    machine = new()
    first = only(feed(machine, payload(SCAN), timestamp=0)).format
    second = only(feed(machine, payload(SCAN, width=80), timestamp=10)).format
    assert (first.width, second.width) == (320, 640)


@pytest.mark.parametrize("sides", [(0, 0), (2592 // 8 & 255, 1944 // 8)])
def test_large_pictures_take_their_size_from_the_description(sides):
    machine = new(**{"x-dimensions": "2592,1944"})
    unit = only(feed(machine, payload(SCAN, width=sides[0], height=sides[1])))
    assert (unit.format.width, unit.format.height) == (2592, 1944)
    assert jpeg_size(unit.data) == (2592, 1944)


def test_description_of_another_size_does_not_count():
    assert only(feed(new(width="2592", height="1944"), payload(SCAN))).format.width == 320


@pytest.mark.parametrize(
    ("fmtp", "size"),
    [
        ({}, (0, 0)),
        ({"x-dimensions": "2592x1944"}, (2592, 1944)),
        ({"x-dimensions": "2592, 1944"}, (2592, 1944)),
        ({"width": "2592", "height": "1944"}, (2592, 1944)),
        ({"width": "2592"}, (0, 0)),
        ({"x-dimensions": "99999,8"}, (0, 0)),
        ({"x-dimensions": "-8,8"}, (0, 0)),
    ],
)
def test_described_size(fmtp, size):
    assert described_size(fmtp) == size


def test_picture_is_bounded():
    machine = new()
    feed(machine, payload(SCAN), marker=False)
    offset = len(SCAN)
    for _ in range(300):
        feed(machine, payload(bytes(60_000), offset=offset & 0xFFFFFF), marker=False)
        offset += 60_000
    assert machine._parts == []
    machine.flush()
    assert drain(machine) == []
    assert machine.dropped == 1


def test_other_encodings_are_refused():
    with pytest.raises(RtspError) as caught:
        depacketizer("VP8", {}, 90_000)
    assert caught.value.code == "unsupported_encoding"
