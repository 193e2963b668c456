import struct

import pytest

from agent.rtsp.errors import RtspError
from agent.rtsp.rtcp import ReportBlock, SenderReport, goodbye, parse_rtcp, receiver_report, sender_report


def test_sender_report_comes_back():
    data = sender_report(7, 0xE0000000_80000000, 2**32 + 90, 10, 2**33, cname="virtual")
    assert data[:4] == bytes((0x80, 200, 0, 6))
    assert len(data) % 4 == 0
    assert parse_rtcp(b"??" + data + b"?", 2, 2 + len(data)) == (SenderReport(7, 0xE0000000_80000000, 90), ())


def test_sender_report_as_the_rfc_draws_it():
    data = bytes((0x81, 200, 0, 12)) + struct.pack(">IIIIII", 9, 1, 2, 3, 4, 5) + bytes(24)
    assert parse_rtcp(data, 0, len(data)) == (SenderReport(9, (1 << 32) + 2, 3), ())


def test_goodbye_comes_back():
    data = sender_report(7, 1, 2, 0, 0, cname="a") + goodbye(7)
    assert parse_rtcp(data, 0, len(data)) == (SenderReport(7, 1, 2), (7,))


def test_goodbye_names_no_more_sources_than_it_holds():
    data = bytes((0x9F, 203, 0, 2)) + struct.pack(">II", 3, 4)
    assert parse_rtcp(data, 0, len(data)) == (None, (3, 4))


def test_bytes_after_the_last_whole_header_are_let_pass():
    data = goodbye(5) + b"\x00\x00"
    assert parse_rtcp(data, 0, len(data)) == (None, (5,))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc8\x00",
        b"\x80\xc8\x00\x06",
        b"\x40\xc8\x00\x00",
        b"\x80\xc8\x00\x01\x00\x00\x00\x00",
        b"\x80\xca\xff\xff",
    ],
)
def test_what_is_no_rtcp_is_refused(data):
    with pytest.raises(RtspError) as caught:
        parse_rtcp(data, 0, len(data))
    assert caught.value.code == "malformed_rtp"


def test_receiver_report_layout():
    block = ReportBlock(0x11223344, 64, -2, 0x1_0000_0005, 77, 0xAABBCCDD, 65536)
    data = receiver_report(0x55667788, block, "pasu")
    assert data[:8] == bytes((0x81, 201, 0, 7)) + b"\x55\x66\x77\x88"
    assert struct.unpack(">IIIIII", data[8:32]) == (0x11223344, 0x40FFFFFE, 5, 77, 0xAABBCCDD, 65536)
    assert data[32:] == bytes((0x81, 202, 0, 3)) + b"\x55\x66\x77\x88" + b"\x01\x04pasu" + b"\x00\x00"


def test_numbers_too_large_are_clamped():
    block = ReportBlock(1, 255, 1 << 30, 5, 1 << 40, 0, 1 << 40)
    data = receiver_report(2, block, "x" * 300)
    fields = struct.unpack(">IIIIII", data[8:32])
    assert fields[1:] == (0xFF7FFFFF, 5, 0xFFFFFFFF, 0, 0xFFFFFFFF)
    assert data[41] == 255


def test_report_without_a_source():
    data = receiver_report(2, None, "abc")
    assert data == bytes((0x80, 201, 0, 1, 0, 0, 0, 2, 0x81, 202, 0, 3, 0, 0, 0, 2, 1, 3)) + b"abc" + bytes(3)
