"""RTP on the wire: found in the middle of a connection, and no kind of sound is missed (art. 11(2))."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from agent.field.doctor.sniff import piece_of
from agent.field.doctor.wire import Piece, Wire

CAMERA = ("10.0.0.11", 554)


def rtp(kind: int, size: int = 200) -> bytes:
    return bytes((0x80, kind)) + random.Random(size).randbytes(size)


def frame(data: bytes, channel: int = 0) -> bytes:
    return struct.pack(">BBH", 0x24, channel, len(data)) + data


def heard(stream: bytes, cuts: int = 700, begin: int = 0, wire: Wire | None = None) -> Wire:
    wire = wire or Wire()
    for at in range(begin, len(stream), cuts):
        wire.take(Piece("cam", (at + 0xFFFFF000) & 0xFFFFFFFF, stream[at : at + cuts]))
    return wire


VIDEO = b"".join(frame(rtp(96 | (number % 5 == 0) << 7, 100 + number)) for number in range(60))


@pytest.mark.parametrize("cuts", [1, 3, 700, 100_000])
def test_every_packet_is_counted_however_it_is_cut(cuts):
    wire = heard(VIDEO, cuts)
    assert wire.numbers == {"cam 96": 60}
    assert wire.sound == []


def test_one_who_comes_in_the_middle_finds_the_frames():
    assert 55 <= heard(VIDEO, begin=333).counts["cam", 96] <= 58


def test_answers_between_frames_and_a_packet_that_is_missed():
    answer = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"
    assert heard(VIDEO + answer + VIDEO).numbers == {"cam 96": 120}
    wire = Wire()
    wire.take(Piece("cam", 0, VIDEO[:5000]))
    wire.take(Piece("cam", 5800, VIDEO[5800:]))
    assert 50 <= wire.counts["cam", 96] < 60
    assert len(wire.counts) == 1


def test_reports_are_no_packets_of_pictures():
    report = frame(bytes((0x80, 200)) + bytes(26))
    assert heard(VIDEO + report + frame(bytes((0x80, 201)) + bytes(30), 1) + VIDEO).numbers == {"cam 96": 120}


@pytest.mark.parametrize(("kind", "channel"), [(0, 2), (8, 2), (97, 2), (97, 0)])
def test_sound_is_told(kind, channel):
    """Row of the duties: art. 11(2). Both a kind that is always of sound, and a second kind in one session."""
    wire = heard(VIDEO + frame(rtp(kind), channel) + VIDEO)
    assert wire.sound == [f"cam {' '.join(map(str, sorted((96, kind))))}"]


def test_sound_alone_by_udp_is_told():
    wire = Wire()
    wire.take(Piece("cam udp", None, rtp(0)))
    wire.take(Piece("cam udp", None, b"short"))
    assert wire.sound == ["cam udp 0"]


def test_what_is_encrypted_shows_nothing():
    assert heard(random.Random(1).randbytes(1 << 20), 1400).numbers == {}


def ip(protocol: int, ends: bytes, payload: bytes, host: str = CAMERA[0], **more: int) -> bytes:
    data = ends + payload
    total = more.get("total", 20 + len(data))
    return (
        struct.pack(">BBHHHBBH", 0x45, 0, total, 1, more.get("offset", 0), 64, protocol, 0)
        + socket.inet_aton(host)
        + socket.inet_aton("10.0.0.1")
        + data
    )


TCP = struct.pack(">HHIIBBHHH", 554, 40000, 77, 1, 5 << 4, 0x18, 100, 0, 0)
UDP = struct.pack(">HHHH", 6000, 50000, 20, 0)


def test_packets_of_cameras_are_read_and_no_others():
    def read(data):
        return piece_of(data, {CAMERA}, {CAMERA[0]})

    assert read(ip(6, TCP, b"$abc")) == Piece("10.0.0.11:554>40000", 77, b"$abc")
    assert read(ip(6, TCP, b"$abc", total=0)) == read(ip(6, TCP, b"$abc"))
    assert read(ip(6, TCP, b"")) is None
    assert read(ip(17, UDP, rtp(96))) == Piece("10.0.0.11 udp", None, rtp(96))
    assert read(ip(17, struct.pack(">HHHH", 6001, 50001, 20, 0), b"x" * 20)) is None  # RTCP's port
    assert read(ip(6, TCP, b"$abc", host="10.0.0.12")) is None
    assert read(ip(6, TCP, b"$abc", offset=5)) is None
    assert read(ip(1, TCP, b"$abc")) is None
    assert read(b"\x60" + bytes(60)) is None
    assert read(ip(6, b"", b"")) is None
