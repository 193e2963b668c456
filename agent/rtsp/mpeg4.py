"""MPEG-4 part 2: video object layer headers (ISO/IEC 14496-2, 6.2.3) and RFC 6416 payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.rtsp.bits import START_CODE, BitReader, checked_size
from agent.rtsp.errors import RtspError
from agent.rtsp.media import VideoFormat
from agent.rtsp.picture import PictureDepacketizer

if TYPE_CHECKING:
    from collections.abc import Mapping

VOL_FIRST, VOL_LAST = 0x20, 0x2F  # start code values, table 6-3
VOS = START_CODE + b"\xb0"
GROUP = START_CODE + b"\xb3"
VOP = START_CODE + b"\xb6"
SIMPLE_PROFILES = range(
    0x01, 0x10
)  # profile_and_level_indication of Simple profile, which has no B-VOPs (annex G)
EXTENDED_PAR = 15
RECTANGULAR = 0
MAX_HEADER_BYTES = 4096  # real ones stay below 100, user data included


@dataclass(frozen=True, slots=True)
class Layer:
    """A video object layer: header bytes, size in pixels, pictures of output delay (None when unsaid)."""

    header: bytes
    width: int
    height: int
    reorder: int | None


def parse_layer(headers: bytes) -> Layer:
    """Find and read the VOL among VOS, VO, VOL and user data.

    Raises   RtspError malformed_parameter_sets
    Source   ISO/IEC 14496-2, 6.2.3
    """
    vol = find_layer(headers)
    if not vol or len(headers) > MAX_HEADER_BYTES:
        raise RtspError("malformed_parameter_sets", "no video object layer", length=len(headers))
    bits = BitReader(vol[4:])
    bits.bits(9)  # random_accessible_vol, video_object_type_indication
    version = 1
    if bits.flag():
        version = bits.bits(4)
        bits.bits(3)
    if bits.bits(4) == EXTENDED_PAR:
        bits.bits(16)
    reorder = None
    if bits.flag():
        bits.bits(2)  # chroma_format
        reorder = 0 if bits.flag() else None  # low_delay: no B-VOPs
        if bits.flag():
            bits.bits(79)  # vbv_parameters
    shape = bits.bits(2)
    if shape != RECTANGULAR:
        raise RtspError(
            "malformed_parameter_sets", "only rectangular layers are video", shape=shape, version=version
        )
    bits.flag()  # marker
    resolution = bits.bits(16)
    bits.flag()
    if bits.flag():
        bits.bits(max(1, (resolution - 1).bit_length()))  # fixed_vop_time_increment
    bits.flag()
    width = bits.bits(13)
    bits.flag()
    height = bits.bits(13)
    at = headers.find(VOS)
    if 0 <= at < len(headers) - 4 and headers[at + 4] in SIMPLE_PROFILES:
        reorder = 0
    checked_size(width, height)
    return Layer(vol, width, height, reorder)


def find_layer(headers: bytes) -> bytes:
    """Return the VOL header from its start code to the next one, empty if there is none."""
    at = headers.find(START_CODE)
    while 0 <= at < len(headers) - 4:
        following = headers.find(START_CODE, at + 4)
        if VOL_FIRST <= headers[at + 3] <= VOL_LAST:
            return headers[at : following if following > 0 else len(headers)]
        at = following
    return b""


class Mpeg4Depacketizer(PictureDepacketizer):
    """RFC 6416, MP4V-ES. A unit is one VOP with the headers before it; headers alone join the next one."""

    __slots__ = ("_layer",)

    def __init__(self, fmtp: Mapping[str, str], clock_rate: int) -> None:
        super().__init__(clock_rate)
        self._layer = b""
        try:
            self._learn(bytes.fromhex(fmtp.get("config", "")))
        except ValueError:
            return
        self.bad = 0  # the description is not the stream's fault

    def push(  # noqa: PLR0917 - the hot path: a keyword costs more than a position
        self, data: bytes, start: int, end: int, timestamp: int, marker: bool, lost: int, now: float
    ) -> None:
        """Take one RTP payload."""
        self._begin(timestamp, lost, now)
        if not self._parts and data[start : min(start + 3, end)] != START_CODE:
            self._damaged = True  # its beginning is missing
        self._append(data[start:end])
        if marker:
            self._end()

    def _finish(self, data: bytes) -> None:
        at = data.find(VOP)
        if at < 0 or at + 4 >= len(data):
            self._parts = [data]
            if len(data) > MAX_HEADER_BYTES:
                self._spoil()
                self._end()
            return
        if at > 0:
            headers = data[:at]
            group = headers.find(GROUP)
            self._learn(headers[:group] if group >= 0 else headers)
        self._emit(data, keyframe=data[at + 4] >> 6 == 0)

    def _learn(self, headers: bytes) -> None:
        """Take the headers before a VOP; they change the format only if the VOL in them does."""
        layer = find_layer(headers)
        if not layer or layer == self._layer:
            return
        try:
            parsed = parse_layer(headers)
        except RtspError:
            self.bad += 1
            return
        self._layer = layer
        self.format = VideoFormat(
            "mpeg4", self._clock_rate, parsed.width, parsed.height, headers, parsed.reorder
        )
