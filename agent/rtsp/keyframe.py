"""Where decoding can start, told from an RTP packet's first bytes, without putting pictures together.

For whoever passes packets on and has to leave some out: a picture's first packets say whether it is a keyframe.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from agent.rtsp import h264, h265
from agent.rtsp.errors import RtspError
from agent.rtsp.mpeg4 import VOP


class Mark(Enum):
    """What a packet says of its picture."""

    KEY = auto()
    OTHER = auto()
    UNSAID = auto()  # parameter sets, SEI, delimiters, the middle of something


Marker = Callable[[bytes, int, int], Mark]  # data, start, end of an RTP packet


def marker(encoding: str) -> Marker:
    """Choose by the encoding name of SDP. Raises RtspError unsupported_encoding."""
    name = encoding.upper()
    if name not in _MARKERS:
        raise RtspError("unsupported_encoding", "keyframes of this encoding are not known", encoding=encoding)
    return _MARKERS[name]


def payload_start(data: bytes, start: int, end: int) -> int:
    """Return where the payload of an RTP packet begins, `end` at most (RFC 3550, 5.1)."""
    first = data[start]
    at = start + 12 + 4 * (first & 15)
    if first & 0x10:
        at += 4 + 4 * (data[at + 2] << 8 | data[at + 3]) if at + 4 <= end else end
    return min(at, end)


def _h264(data: bytes, start: int, end: int) -> Mark:
    at = payload_start(data, start, end)
    if at + 1 >= end:
        return Mark.UNSAID
    kind = data[at] & 31
    if kind in (h264.FU_A, h264.FU_B):
        # A parameter set that needs fragments holds a keyframe behind it (V380 cameras; agent.rtsp.nal).
        return Mark.KEY if data[at + 1] & 31 == h264.SPS else _h264_kind(data[at + 1] & 31)
    if kind in (h264.STAP_A, h264.STAP_B):
        return _aggregate(data, at + (1 if kind == h264.STAP_A else 3), end, _h264_unit)
    return _h264_unit(data, at, end)


def _h264_unit(data: bytes, at: int, end: int) -> Mark:
    kind = data[at] & 31
    if kind == h264.SEI and h264.is_recovery_point(data[at:end]):
        return Mark.KEY
    return _h264_kind(kind)


def _h264_kind(kind: int) -> Mark:
    if kind == h264.IDR:
        return Mark.KEY
    return Mark.OTHER if h264.SLICE <= kind < h264.IDR else Mark.UNSAID


def _h265(data: bytes, start: int, end: int) -> Mark:
    at = payload_start(data, start, end)
    if at + 2 >= end:
        return Mark.UNSAID
    kind = data[at] >> 1 & 63
    if kind == h265.FU:
        return _h265_kind(data[at + 2] & 63)
    if kind == h265.AP:
        return _aggregate(data, at + 2, end, _h265_unit)
    return _h265_kind(kind)


def _h265_unit(data: bytes, at: int, _end: int) -> Mark:
    return _h265_kind(data[at] >> 1 & 63)


def _h265_kind(kind: int) -> Mark:
    if h265.IRAP_FIRST <= kind <= h265.IRAP_LAST:
        return Mark.KEY
    return Mark.OTHER if kind <= h265.VCL_LAST else Mark.UNSAID


def _aggregate(data: bytes, at: int, end: int, unit: Marker) -> Mark:
    """Return the strongest that the units behind 16-bit lengths say."""
    said = Mark.UNSAID
    while at + 2 < end:
        stop = at + 2 + (data[at] << 8 | data[at + 1])
        mark = unit(data, at + 2, min(stop, end))
        if mark is Mark.KEY:
            return mark
        said = mark if mark is Mark.OTHER else said
        at = stop
    return said


def _mpeg4(data: bytes, start: int, end: int) -> Mark:
    at = data.find(VOP, payload_start(data, start, end), end - 1)
    if at < 0:
        return Mark.UNSAID
    return Mark.KEY if data[at + 4] >> 6 == 0 else Mark.OTHER


def _jpeg(_data: bytes, _start: int, _end: int) -> Mark:
    return Mark.KEY


_MARKERS: dict[str, Marker] = {"H264": _h264, "H265": _h265, "MP4V-ES": _mpeg4, "JPEG": _jpeg}
