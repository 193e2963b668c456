"""RTCP as a receiver of one video needs it: sender reports in, receiver reports out (RFC 3550, 6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from agent.rtsp.errors import RtspError

SR, RR, SDES, BYE = 200, 201, 202, 203
CNAME = 1
_SENDER = struct.Struct(">IQIII")  # SSRC, NTP time, RTP timestamp, packets, octets
_RECEIVER = struct.Struct(">BBHI")
_BLOCK = struct.Struct(">IIIIII")
_WORD = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The one pair of times that ties a sender's media clock to its wall clock.

    ntp  NTP time: seconds since 1900 in the upper 32 bits, fraction in the lower
    rtp  RTP timestamp of the same instant, 32 bits
    """

    ssrc: int
    ntp: int
    rtp: int


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver tells a sender (RFC 3550, 6.4.1).

    fraction_lost  since the report before, in 1/256
    lost           since the beginning; may be negative for duplicates
    highest        extended highest sequence number received
    jitter         in timestamp units
    last_report    middle 32 bits of the NTP time of the last SR, 0 without
    delay          since that SR, in 1/65536 s
    """

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


def parse_rtcp(data: bytes, start: int, end: int) -> tuple[SenderReport | None, tuple[int, ...]]:
    """Read a compound packet, data[start:end]: its last sender report, and the sources that say goodbye.

    A compound packet should begin with SR or RR; one that begins with another type is let pass.
    Raises   RtspError malformed_rtp
    """
    report = None
    gone: list[int] = []
    if end - start < 4:
        raise RtspError("malformed_rtp", "too short for RTCP", length=end - start)
    while end - start >= 4:
        flags, kind = data[start], data[start + 1]
        after = start + 4 + 4 * (data[start + 2] << 8 | data[start + 3])
        if flags >> 6 != 2 or after > end:
            raise RtspError("malformed_rtp", "not an RTCP packet", version=flags >> 6, beyond=after - end)
        if kind == SR:
            if after - start < 4 + _SENDER.size:
                raise RtspError("malformed_rtp", "a sender report is cut short", length=after - start)
            ssrc, ntp, rtp, _, _ = _SENDER.unpack_from(data, start + 4)
            report = SenderReport(ssrc, ntp, rtp)
        elif kind == BYE:
            sources = range(start + 4, min(start + 4 + 4 * (flags & 31), after), 4)
            gone += [_WORD.unpack_from(data, at)[0] for at in sources]
        start = after
    return report, tuple(gone)


def receiver_report(ssrc: int, block: ReportBlock | None, cname: str) -> bytes:
    """Build RR and SDES CNAME as one compound packet (RFC 3550, 6.4.2 and 6.5)."""
    if block is None:
        return _RECEIVER.pack(0x80, RR, 1, ssrc) + _description(ssrc, cname)
    lost = max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF
    return (
        _RECEIVER.pack(0x81, RR, 7, ssrc)
        + _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | lost,
            block.highest & 0xFFFFFFFF,
            min(block.jitter, 0xFFFFFFFF),
            block.last_report,
            min(block.delay, 0xFFFFFFFF),
        )
        + _description(ssrc, cname)
    )


def sender_report(ssrc: int, ntp: int, rtp: int, packets: int, octets: int, *, cname: str) -> bytes:
    """Build SR without report blocks and SDES CNAME as one compound packet (RFC 3550, 6.4.1)."""
    return (
        bytes((0x80, SR, 0, 6))
        + _SENDER.pack(ssrc, ntp, rtp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
        + _description(ssrc, cname)
    )


def goodbye(ssrc: int) -> bytes:
    """Build an empty RR and BYE as one compound packet (RFC 3550, 6.6)."""
    return _RECEIVER.pack(0x80, RR, 1, ssrc) + _RECEIVER.pack(0x81, BYE, 1, ssrc)


def _description(ssrc: int, cname: str) -> bytes:
    """Build SDES with one CNAME, padded by at least one zero to a whole word."""
    name = cname.encode()[:255]
    item = bytes((CNAME, len(name))) + name
    item += bytes(4 - len(item) % 4)
    return _RECEIVER.pack(0x81, SDES, 1 + len(item) // 4, ssrc) + item
