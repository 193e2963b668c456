"""JPEG files: the tables and headers RFC 2435 leaves out, written and read (ITU-T T.81)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from agent.rtsp.bits import checked_size
from agent.rtsp.errors import RtspError

if TYPE_CHECKING:
    from collections.abc import Iterator

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOF0, SOF2, DHT, RST0, RST7, SOS, DQT, DRI, APP0 = 0xC0, 0xC2, 0xC4, 0xD0, 0xD7, 0xDA, 0xDB, 0xDD, 0xE0
NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})  # DHT, JPG, DAC among the SOF codes
YUV422, YUV420 = 0, 1  # RFC 2435, 4.1

# ITU-T T.81, tables K.1 and K.2, line by line.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)  # fmt: skip
# Along the anti-diagonals, the odd ones downwards (T.81, figure 5).
_ZIGZAG = sorted(
    range(64), key=lambda at: (at // 8 + at % 8, (at // 8 if (at // 8 + at % 8) % 2 else at % 8))
)

# T.81, tables K.3 to K.6: class and id, sixteen counts of codes by length, and the symbols.
_HUFFMAN = tuple(
    bytes.fromhex(text)
    for text in (
        "00 00010501010101010100000000000000 000102030405060708090a0b",
        (
            "10 0002010303020403050504040000017d"
            "01020300041105122131410613516107227114328191a1082342b1c11552d1f0"
            "2433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a63646566676869"
            "6a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5"
            "c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
        ),
        "01 00030101010101010101010000000000 000102030405060708090a0b",
        (
            "11 00020102040403040705040400010277"
            "000102031104052131061241510761711322328108144291a1b1c109233352f0"
            "156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768"
            "696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3"
            "c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
        ),
    )
)


@lru_cache(maxsize=99)
def tables_for(quality: int) -> tuple[bytes, bytes]:
    """Compute the luma and chroma quantisation tables of a Q from 1 to 99, zigzag (RFC 2435, 4.2)."""
    scale = 5000 // quality if quality < 50 else 200 - quality * 2

    def scaled(table: tuple[int, ...]) -> bytes:
        return bytes(min(255, max(1, (table[at] * scale + 50) // 100)) for at in _ZIGZAG)

    return scaled(_LUMA), scaled(_CHROMA)


@lru_cache(maxsize=8)
def jpeg_headers(  # noqa: PLR0917 - one table entry each, in the order of the file
    kind: int, width: int, height: int, luma: bytes, chroma: bytes, restart_interval: int
) -> bytes:
    """Write all that stands before the entropy-coded bytes of a baseline JFIF picture.

    kind              YUV422 or YUV420
    width, height     pixels
    luma, chroma      quantisation tables in zigzag order; 64 bytes, or 128 with 16-bit entries
    restart_interval  in MCUs, 0 for none
    Source            RFC 2435, appendix B, with a JFIF marker added so that readers know the colours
    """
    sampling = 0x21 if kind == YUV422 else 0x22
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    parts = [
        SOI,
        _segment(APP0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
        _segment(DQT, bytes((luma_id(luma),)) + luma),
        _segment(DQT, bytes((luma_id(chroma) | 1,)) + chroma),
    ]
    if restart_interval:
        parts.append(_segment(DRI, restart_interval.to_bytes(2, "big")))
    parts.append(_segment(SOF0, b"\x08" + size + bytes((3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1))))
    parts += [_segment(DHT, table) for table in _HUFFMAN]
    parts.append(_segment(SOS, bytes((3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0))))
    return b"".join(parts)


def luma_id(table: bytes) -> int:
    """Return the precision half of a DQT's first byte."""
    return 0x10 if len(table) == 128 else 0


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and body of each segment of a JPEG file; last (SOS, what follows: header and coded bytes).

    Raises   RtspError malformed_unit
    """
    if not data.startswith(SOI):
        raise RtspError("malformed_unit", "not a JPEG file")
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1  # fill byte
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            break
        if marker == SOS:
            yield SOS, data[at + 2 :]
            return
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length
    raise RtspError("malformed_unit", "a JPEG file's segments are broken", at=at)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels of a JPEG file.

    Raises   RtspError malformed_unit or malformed_parameter_sets
    """
    for marker, body in segments(data):
        if SOF0 <= marker <= 0xCF and marker not in NOT_FRAMES and len(body) >= 5:
            return checked_size(int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
    raise RtspError("malformed_unit", "a JPEG file without a frame header")


@dataclass(frozen=True, slots=True)
class BaselineJpeg:
    """A JPEG file as RFC 2435 can carry it.

    kind          YUV422 or YUV420
    luma, chroma  quantisation tables as they stand in the file
    scan          entropy-coded bytes, without the EOI marker
    """

    kind: int
    width: int
    height: int
    luma: bytes
    chroma: bytes
    restart_interval: int
    scan: bytes


def parse_baseline(data: bytes) -> BaselineJpeg:
    """Read a baseline JPEG file of three components, 4:2:0 or 4:2:2, with the standard Huffman tables.

    Raises   RtspError malformed_unit, also for a file that RFC 2435 cannot carry
    """
    tables: dict[int, bytes] = {}
    frame = scan = b""
    interval = 0
    for marker, body in segments(data):
        if marker == DQT:
            tables.update(_quantisation_tables(body))
        elif marker == DHT:
            _require_standard(body)
        elif marker == DRI and len(body) == 2:
            interval = int.from_bytes(body, "big")
        elif marker == SOF0:
            frame = body
        elif marker == SOS:
            scan = body[int.from_bytes(body[:2], "big") :]
    if len(frame) != 15 or frame[0] != 8 or frame[5] != 3 or frame[10] != 0x11 or frame[13] != 0x11:
        raise RtspError("malformed_unit", "not a baseline JPEG of three components")
    kind = {0x21: YUV422, 0x22: YUV420}.get(frame[7])
    luma, chroma, second = (tables.get(frame[at]) for at in (8, 11, 14))
    if kind is None or luma is None or chroma is None or chroma != second:
        raise RtspError("malformed_unit", "RFC 2435 cannot carry this JPEG's sampling or tables")
    width, height = checked_size(int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big"))
    ending = scan.rfind(EOI)
    return BaselineJpeg(kind, width, height, luma, chroma, interval, scan[:ending] if ending >= 0 else scan)


def _quantisation_tables(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        size = 128 if body[at] >> 4 else 64
        table = body[at + 1 : at + 1 + size]
        if len(table) != size:
            raise RtspError("malformed_unit", "a quantisation table is cut short")
        yield body[at] & 15, table
        at += 1 + size


def _require_standard(body: bytes) -> None:
    """Refuse Huffman tables that the receiver could not guess (RFC 2435, 3)."""
    at = 0
    while at < len(body):
        size = 17 + sum(body[at + 1 : at + 17])
        if body[at : at + size] not in _HUFFMAN:
            raise RtspError("malformed_unit", "RFC 2435 carries only the standard Huffman tables")
        at += size
