"""Keyframes told from packets: what the depacketizers say of whole pictures is what the marks say of their packets."""

from __future__ import annotations

import random

import pytest

from agent.rtsp.bits import sample
from agent.rtsp.errors import RtspError
from agent.rtsp.keyframe import Mark, marker, payload_start
from agent.rtsp.packetizer import packetize
from tests.unit.rtp.build import rtp

KEY, OTHER, UNSAID = Mark.KEY, Mark.OTHER, Mark.UNSAID


def say(encoding: str, payload: bytes) -> Mark:
    packet = rtp(1, 1, payload)
    framed = b"$\0\0\0" + packet
    return marker(encoding)(framed, 4, len(framed))


@pytest.mark.parametrize(
    ("payload", "mark"),
    [
        (b"\x65\x88", KEY),
        (b"\x41\x9a", OTHER),
        (b"\x67\x42", UNSAID),
        (b"\x06\x05", UNSAID),
        (b"\x06\x06\x01\xc4\x80", KEY),  # a recovery point
        (b"\x09\xf0", UNSAID),
        (b"\x7c\x85\x88", KEY),  # FU-A
        (b"\x7c\x05\x88", KEY),
        (b"\x5c\x81\x9a", OTHER),
        (b"\x7c\x87\x42", KEY),  # an "SPS" that is SPS, PPS and IDR in one (V380)
        (b"\x7c\x88\x42", UNSAID),
        (b"\x7d\x85\x88", KEY),  # FU-B
        (b"\x78" + bytes.fromhex("0002674200026588"), KEY),  # STAP-A
        (b"\x78" + bytes.fromhex("00024199000267420002"), OTHER),
        (b"\x78" + bytes.fromhex("00026742000268ce"), UNSAID),
        (b"\x78" + bytes.fromhex("0002674200050606 01c480 0002419a"), KEY),  # a recovery point among others
        (b"\x78" + bytes.fromhex("00030605 01 0002419a"), OTHER),
        (b"\x79\0\0" + bytes.fromhex("00026588"), KEY),  # STAP-B
        (b"\x65", UNSAID),
        (b"", UNSAID),
    ],
)
def test_h264(payload: bytes, mark: Mark) -> None:
    assert say("H264", payload) is mark


@pytest.mark.parametrize(
    ("payload", "mark"),
    [
        (b"\x26\x01\xaf", KEY),  # IDR_W_RADL
        (b"\x2a\x01\xaf", KEY),  # CRA
        (b"\x02\x01\xd0", OTHER),
        (b"\x40\x01\x0c", UNSAID),  # VPS
        (b"\x62\x01\x93", KEY),  # FU of an IDR
        (b"\x62\x01\x81", OTHER),
        (b"\x62\x01\xa0", UNSAID),
        (b"\x60\x01" + b"\x00\x03\x42\x01\x01\x00\x03\x26\x01\xaf", KEY),
        (b"\x60\x01\x00\x03\x02\x01\xd0", OTHER),
        (b"\x26\x01", UNSAID),
    ],
)
def test_h265(payload: bytes, mark: Mark) -> None:
    assert say("h265", payload) is mark


@pytest.mark.parametrize(
    ("payload", "mark"),
    [
        (bytes.fromhex("000001b001000001b610"), KEY),
        (bytes.fromhex("000001b650"), OTHER),
        (bytes.fromhex("000001b001"), UNSAID),
        (bytes.fromhex("aabbcc"), UNSAID),
        (bytes.fromhex("000001b6"), UNSAID),  # its type is in the next packet
    ],
)
def test_mpeg4(payload: bytes, mark: Mark) -> None:
    assert say("MP4V-ES", payload) is mark


def test_every_jpeg_is_a_keyframe() -> None:
    assert say("JPEG", b"") is KEY


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(RtspError) as caught:
        marker("VP8")
    assert caught.value.code == "unsupported_encoding"


def test_where_the_payload_begins() -> None:
    plain = rtp(1, 1, b"payload")
    assert payload_start(plain, 0, len(plain)) == 12
    sources = b"\x82" + plain[1:12] + bytes(8) + b"payload"
    assert payload_start(sources, 0, len(sources)) == 20
    extended = b"\x90" + plain[1:12] + b"\xab\xac\x00\x02" + bytes(8) + b"payload"
    assert payload_start(extended, 0, len(extended)) == 24
    assert payload_start(extended, 0, 14) == 14
    assert payload_start(extended, 0, 20) == 20


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_of_each_picture_some_packet_says_what_it_is_and_none_the_contrary(codec: str) -> None:
    chooser = random.Random(3)
    mark = marker(codec)
    heads = {
        "h264": (b"\x65\x88", b"\x41\x9a", b"\x67\x42"),
        "h265": (b"\x26\x01\xaf", b"\x02\x01\xd0", b"\x42\x01\x01"),
    }
    key, other, extra = heads[codec]
    for number in range(200):
        is_key = chooser.random() < 0.4
        units = [extra + chooser.randbytes(20)] if chooser.random() < 0.5 else []
        units += [
            (key if is_key else other) + b"\x91" * chooser.randrange(1, 9000)
            for _ in range(chooser.randrange(1, 4))
        ]
        said = set()
        for packet in packetize(codec, sample(units), number, ssrc=1, payload_type=96, sequence=0):
            said.add(mark(packet, 0, len(packet)))
        assert (KEY if is_key else OTHER) in said
        assert (OTHER if is_key else KEY) not in said
