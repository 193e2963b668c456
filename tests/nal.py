"""H.264 as far as tests need it, on the standard library alone: GStreamer's server runs under the system's Python.

An access unit here is an MP4 sample: NAL units, each after its length in four bytes.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STAMP = uuid.UUID("b3f0f6f2-7a3c-4d7e-9a51-2f1f0c9f6a10").bytes
IDR, SEI, SPS, PPS, DELIMITER = 5, 6, 7, 8, 9


def split_annexb(stream: bytes) -> list[bytes]:
    """Cut a byte stream at its start codes; the zero byte of a four-byte code belongs to no unit."""
    units = []
    for piece in stream.split(b"\x00\x00\x01")[1:]:
        units.append(piece.rstrip(b"\x00"))
    return units


def access_units(stream: bytes) -> list[list[bytes]]:
    """Group units into pictures by the delimiters the encoder was told to write, and drop those."""
    pictures: list[list[bytes]] = []
    for unit in split_annexb(stream):
        if unit[0] & 31 == DELIMITER:
            pictures.append([])
        else:
            pictures[-1].append(unit)
    return pictures


def sample(units: list[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units)


def units_of(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 0 or at + 4 + size > len(data):
            raise ValueError(f"not an access unit: {size} bytes claimed at {at} of {len(data)}")
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def digest(data: bytes) -> str:
    """Hash what a picture is: all its units but parameter sets and delimiters, which a payloader may add or drop."""
    sha = hashlib.sha256()
    for unit in units_of(data):
        if unit[0] & 31 not in (SPS, PPS, DELIMITER):
            sha.update(struct.pack(">I", len(unit)))
            sha.update(unit)
    return sha.hexdigest()


def is_key(data: bytes) -> bool:
    return any(unit[0] & 31 == IDR for unit in units_of(data))


def stamp(camera: int, number: int) -> bytes:
    """Make an SEI unit (user_data_unregistered, ITU-T H.264 D.1.7) that names a frame.

    Numbers are written in hexadecimal digits, so that no byte ever needs emulation prevention.
    """
    payload = STAMP + b"%04x%08x" % (camera, number)
    return bytes((SEI, 5, len(payload))) + payload + b"\x80"


def read_stamp(data: bytes) -> tuple[int, int] | None:
    """Return (camera, number) of a stamped access unit; works on whole samples and on any bytes with a stamp."""
    at = data.find(STAMP)
    if at < 0:
        return None
    digits = data[at + 16 : at + 28]
    return int(digits[:4], 16), int(digits[4:], 16)


def avcc(sps: bytes, pps: bytes) -> bytes:
    """Build the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) for one SPS and one PPS."""
    return (
        bytes((1, sps[1], sps[2], sps[3], 0xFF, 0xE1))
        + struct.pack(">H", len(sps))
        + sps
        + b"\x01"
        + struct.pack(">H", len(pps))
        + pps
    )
