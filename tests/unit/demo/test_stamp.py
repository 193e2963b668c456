import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.demo.stamp import (
    PICTURE_MARKER,
    UUID,
    Stamp,
    draw_stamp,
    read_stamp,
    sei,
    stamps_in,
    user_data,
)

stamps = st.builds(
    Stamp,
    camera=st.integers(0, 0xFFFF),
    frame=st.integers(0, 0xFFFF_FFFF),
    utc_ms=st.integers(0, 0xFFFF_FFFF_FFFF),
)


@given(stamps)
def test_bytes_round_trip(stamp):
    assert Stamp.from_bytes(stamp.to_bytes()) == stamp


@given(stamps, st.integers(0, 111))
def test_one_wrong_bit_is_noticed(stamp, bit):
    data = bytearray(stamp.to_bytes())
    data[bit // 8] ^= 1 << bit % 8
    assert Stamp.from_bytes(bytes(data)) is None


def test_the_wrong_length_is_no_stamp():
    assert Stamp.from_bytes(b"") is None
    assert Stamp.from_bytes(Stamp(1, 2, 3).to_bytes() + b"\0") is None


@given(stamps, st.sampled_from([(320, 240), (352, 288), (640, 360), (1920, 1080), (161, 121)]), st.booleans())
def test_picture_round_trip(stamp, size, colour):
    image = np.full((size[1], size[0], 3) if colour else (size[1], size[0]), 90, np.uint8)
    draw_stamp(image, stamp)
    assert read_stamp(image) == stamp


@given(stamps)
def test_the_bar_code_survives_hard_jpeg_compression(stamp):
    image = np.full((240, 320, 3), 60, np.uint8)
    draw_stamp(image, stamp)
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    assert read_stamp(cv2.imdecode(coded, cv2.IMREAD_COLOR)) == stamp


@given(stamps)
def test_the_bar_code_survives_scaling(stamp):
    image = np.zeros((720, 1280, 3), np.uint8)
    draw_stamp(image, stamp)
    assert read_stamp(cv2.resize(image, (426, 240), interpolation=cv2.INTER_AREA)) == stamp


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_even_picture_holds_no_stamp(level):
    assert read_stamp(np.full((240, 320, 3), level, np.uint8)) is None


def test_noise_and_tiny_pictures_hold_no_stamp():
    noise = np.random.default_rng(7).integers(0, 255, (240, 320, 3), np.uint8)
    assert read_stamp(noise) is None
    assert read_stamp(np.zeros((20, 320), np.uint8)) is None
    assert read_stamp(np.zeros((240, 40), np.uint8)) is None


@given(stamps, st.sampled_from(["h264", "h265"]), st.binary(max_size=64), st.binary(max_size=64))
def test_sei_round_trip(stamp, codec, before, after):
    nal = sei(codec, stamp)
    assert stamps_in(codec, before + nal + after) == stamp
    assert PICTURE_MARKER in nal
    for start in (b"\x00\x00\x00", b"\x00\x00\x01", b"\x00\x00\x02"):
        assert start not in nal


@given(stamps)
def test_mpeg4_user_data_round_trip(stamp):
    data = user_data(stamp)
    assert stamps_in("mpeg4", b"\x00\x00\x01\xb3" + data + b"\x00\x00\x01\xb6") == stamp
    assert b"\x00\x00\x01" not in data[4:]
    assert PICTURE_MARKER in data


def test_a_unit_without_stamp_has_none():
    assert stamps_in("h264", b"\x00\x00\x00\x04\x65abc") is None
    assert stamps_in("mpeg4", b"\x00\x00\x01\xb6abc") is None
    assert stamps_in("h264", UUID + b"short") is None
    assert stamps_in("mpeg4", b"\x00\x00\x01\xb2PASU:not hexadecimal at all, no") is None
    assert stamps_in("mpeg4", b"\x00\x00\x01\xb2PASU:" + b"00" * 14) is None
    assert stamps_in("mjpeg", b"\xff\xd8\xff\xd9") is None
