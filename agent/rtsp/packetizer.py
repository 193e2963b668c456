"""RTP packets from access units, for virtual cameras and for tests against the depacketizers."""

from __future__ import annotations

import struct

from agent.rtsp import h264, h265
from agent.rtsp.bits import split_sample
from agent.rtsp.errors import RtspError
from agent.rtsp.jpeg import parse_baseline
from agent.rtsp.mjpeg import CHANGING, RESTART

_FIXED = struct.Struct(">HHII")
MIN_PAYLOAD_BYTES = 160  # JPEG's headers take 144 with a restart interval and two usual tables
WHOLE_PICTURE = 0xFFFF  # first and last bit, and a count that says "reassemble the picture" (RFC 2435, 3.1.7)
LARGEST_BYTE_SIDE = 2040


def packetize(
    codec: str,
    data: bytes,
    timestamp: int,
    *,
    ssrc: int,
    payload_type: int,
    sequence: int,
    max_payload: int = 1400,
) -> list[bytes]:
    """Cut one access unit into RTP packets; the last has the marker bit.

    codec        h264, h265, mpeg4, mjpeg
    data         as in an MP4 sample: NAL units behind 4-byte lengths, or the picture's bytes
    timestamp    RTP timestamp, cut to 32 bits
    sequence     number of the first packet, cut to 16 bits; add the number of packets for the next call
    max_payload  bytes of payload in a packet, at least 160
    Raises       RtspError malformed_unit, unsupported_encoding, or limit for a max_payload too small
    Source       RFC 6184, RFC 7798, RFC 6416, RFC 2435
    """
    if max_payload < MIN_PAYLOAD_BYTES:
        raise RtspError("limit", "packets this small cannot carry every header", max_payload=max_payload)
    if codec == "h264":
        payloads = _h264(split_sample(data), max_payload)
    elif codec == "h265":
        payloads = _h265(split_sample(data), max_payload)
    elif codec == "mpeg4":
        payloads = [data[at : at + max_payload] for at in range(0, len(data), max_payload)]
    elif codec == "mjpeg":
        payloads = _jpeg(data, max_payload)
    else:
        raise RtspError("unsupported_encoding", "no packetizer for this codec", codec=codec)
    last = len(payloads) - 1
    return [
        _FIXED.pack(
            0x8000 | (0x80 if index == last else 0) | payload_type,
            sequence + index & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            ssrc,
        )
        + payload
        for index, payload in enumerate(payloads)
    ]


def _aggregates(
    nals: list[bytes], together: list[bool], max_payload: int, overhead: int
) -> list[list[bytes]]:
    """Group neighbours that may share a packet, as far as they fit with two bytes of length each."""
    groups: list[list[bytes]] = []
    room = 0
    for nal, may in zip(nals, together, strict=True):
        need = len(nal) + 2
        if may and need <= room:
            groups[-1].append(nal)
            room -= need
        else:
            groups.append([nal])
            room = max_payload - overhead - need if may else 0
    return groups


def _lengths(nals: list[bytes]) -> bytes:
    return b"".join([len(nal).to_bytes(2, "big") + nal for nal in nals])


def _h264(nals: list[bytes], max_payload: int) -> list[bytes]:
    """Single NAL unit packets, STAP-A for neighbouring parameter sets and SEI, FU-A for what is too long."""
    payloads = []
    for group in _aggregates(nals, [nal[0] & 31 > h264.IDR for nal in nals], max_payload, 1):
        nal = group[0]
        if len(group) > 1:
            importance = max(nal[0] & 0x60 for nal in group)
            payloads.append(bytes((importance | h264.STAP_A,)) + _lengths(group))
        elif len(nal) <= max_payload:
            payloads.append(nal)
        else:
            indicator = nal[0] & 0xE0 | h264.FU_A
            payloads += _fragments(nal[1:], bytes((indicator,)), nal[0] & 31, max_payload)
    return payloads


def _h265(nals: list[bytes], max_payload: int) -> list[bytes]:
    """Single NAL unit packets, AP for neighbouring parameter sets and SEI, FU for what is too long."""
    if any(len(nal) < 2 for nal in nals):
        raise RtspError("malformed_unit", "a NAL unit of H.265 has two bytes of header")
    payloads = []
    together = [nal[0] >> 1 & 63 > h265.VCL_LAST for nal in nals]
    for group in _aggregates(nals, together, max_payload, 2):
        nal = group[0]
        if len(group) > 1:
            layer = min((nal[0] & 1) << 5 | nal[1] >> 3 for nal in group)
            temporal = min(nal[1] & 7 for nal in group)
            payloads.append(
                bytes((h265.AP << 1 | layer >> 5, (layer & 31) << 3 | temporal)) + _lengths(group)
            )
        elif len(nal) <= max_payload:
            payloads.append(nal)
        else:
            head = bytes((nal[0] & 0x81 | h265.FU << 1, nal[1]))
            payloads += _fragments(nal[2:], head, nal[0] >> 1 & 63, max_payload)
    return payloads


def _fragments(body: bytes, head: bytes, kind: int, max_payload: int) -> list[bytes]:
    """Cut a NAL unit's body into fragments of at least two packets."""
    size = max_payload - len(head) - 1
    payloads = []
    for at in range(0, len(body), size):
        flags = (0x80 if at == 0 else 0) | (0x40 if at + size >= len(body) else 0)
        payloads.append(head + bytes((flags | kind,)) + body[at : at + size])
    return payloads


def _jpeg(data: bytes, max_payload: int) -> list[bytes]:
    """Send a picture with its quantisation tables in band.

    Sides over 2040 pixels become 0: SDP must tell them.
    """
    picture = parse_baseline(data)
    across, down = (picture.width + 7) // 8, (picture.height + 7) // 8
    if max(across, down) * 8 > LARGEST_BYTE_SIDE:
        across = down = 0
    kind = picture.kind + (RESTART if picture.restart_interval else 0)
    restart = struct.pack(">HH", picture.restart_interval, WHOLE_PICTURE) if picture.restart_interval else b""
    precision = (len(picture.luma) > 64) | (len(picture.chroma) > 64) << 1
    tables = picture.luma + picture.chroma
    tables = bytes((0, precision)) + len(tables).to_bytes(2, "big") + tables
    payloads: list[bytes] = []
    at = 0
    while at < len(picture.scan) or not payloads:
        header = struct.pack(">IBBBB", at, kind, CHANGING, across, down) + restart + (b"" if at else tables)
        if len(header) >= max_payload:
            raise RtspError("limit", "these tables do not fit into a packet", max_payload=max_payload)
        part = picture.scan[at : at + max_payload - len(header)]
        payloads.append(header + part)
        at += len(part)
    return payloads
