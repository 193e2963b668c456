"""RTP payloads of JPEG pictures (RFC 2435), rebuilt into whole JFIF files."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from agent.rtsp.bits import MAX_SIDE
from agent.rtsp.jpeg import EOI, YUV420, jpeg_headers, tables_for
from agent.rtsp.media import VideoFormat
from agent.rtsp.picture import PictureDepacketizer

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAIN = struct.Struct(">IBBBB")  # type-specific and 24 bits of fragment offset, type, Q, width/8, height/8
_SHORT = struct.Struct(">H")
RESTART = 64  # types 64 to 127 carry restart markers
IN_BAND = 128  # Q from here on: tables are in the packet
CHANGING = 255  # the one Q whose tables must be in every picture


class MjpegDepacketizer(PictureDepacketizer):
    """RFC 2435, types 0, 1, 64, 65. Every picture is a keyframe."""

    __slots__ = ("_described", "_expected", "_headers", "_shape", "_tables")

    def __init__(self, fmtp: Mapping[str, str], clock_rate: int) -> None:
        super().__init__(clock_rate)
        self._described = described_size(fmtp)
        self._tables: dict[int, tuple[bytes, bytes]] = {}
        self._shape = (0, 0)
        self._headers = b""
        self._expected = 0  # offset at which the next fragment must begin

    def push(  # noqa: PLR0917 - the hot path: a keyword costs more than a position
        self, data: bytes, start: int, end: int, timestamp: int, marker: bool, lost: int, now: float
    ) -> None:
        """Take one RTP payload."""
        self._begin(timestamp, lost, now)
        if end - start < 8:
            self._spoil()
            return
        word, kind, quality, width, height = _MAIN.unpack_from(data, start)
        offset = word & 0xFFFFFF
        body = start + 8
        interval = 0
        if RESTART <= kind < 2 * RESTART and body + 4 <= end:
            interval = _SHORT.unpack_from(data, body)[0]
            body += 4
            kind -= RESTART
        if kind > YUV420:
            self._spoil()
            return
        if offset == 0:
            if self._parts or self._damaged:
                self._end()  # a picture whose marker is missing, or the first of two fields
                self._arrival = now
            body = self._open(
                data,
                body,
                end,
                kind=kind,
                quality=quality,
                shape=self._size_of(width, height),
                interval=interval,
            )
        elif offset != self._expected or not self._parts:
            self._parts.clear()
            self._damaged = True
        if not self._damaged:
            self._append(data[body:end])
            self._expected = offset + end - body
        if marker:
            self._end()

    def _open(
        self,
        data: bytes,
        body: int,
        end: int,
        *,
        kind: int,
        quality: int,
        shape: tuple[int, int],
        interval: int,
    ) -> int:
        """Read what only a first fragment says, and return where its coded bytes begin."""
        tables: tuple[bytes, bytes] | None = None
        if quality >= IN_BAND and body + 4 <= end:
            length = _SHORT.unpack_from(data, body + 2)[0]
            precision = data[body + 1]
            body += 4
            if length:
                tables = _split_tables(data[body : min(body + length, end)], length, precision)
                body += length
            elif quality != CHANGING:
                tables = self._tables.get(quality)
            if tables and quality != CHANGING:
                self._tables[quality] = tables
        elif 1 <= quality <= 99:
            tables = tables_for(quality)
        if tables is None or not all(shape):
            self._spoil()
            return end
        self._shape = shape
        self._headers = jpeg_headers(kind, *shape, *tables, interval)
        return body

    def _size_of(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in pixels: from the header, or as described where it is too large for its byte.

        Sides over 2040 pixels do not fit into a byte of 8-pixel units; cameras send 0 or the low byte then.
        """
        across, down = self._described
        if not width or not height or (across // 8 & 255, down // 8 & 255) == (width, height):
            return self._described
        return width * 8, height * 8

    def _finish(self, data: bytes) -> None:
        if self.format is None or (self.format.width, self.format.height) != self._shape:
            self.format = VideoFormat("mjpeg", self._clock_rate, *self._shape, b"", 0)
        self._emit(self._headers + data + (b"" if data.endswith(EOI) else EOI), keyframe=True)


def _split_tables(tables: bytes, length: int, precision: int) -> tuple[bytes, bytes] | None:
    """Split the quantisation tables of a packet, None if they are not whole; one alone serves for all."""
    first = 128 if precision & 1 else 64
    second = 128 if precision & 2 else 64
    if len(tables) != length:
        return None
    if length == first:
        return tables, tables
    if length < first + second:
        return None
    return tables[:first], tables[first : first + second]


def described_size(fmtp: Mapping[str, str]) -> tuple[int, int]:
    """Return width and height that SDP gives (a=x-dimensions, or width and height), (0, 0) without."""
    text = fmtp.get("x-dimensions", "") or f"{fmtp.get('width', '')},{fmtp.get('height', '')}"
    across, _, down = text.replace("x", ",").partition(",")
    try:
        size = int(across), int(down)
    except ValueError:
        return 0, 0
    return size if min(size) > 0 and max(size) <= MAX_SIDE else (0, 0)
