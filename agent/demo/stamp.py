"""Stamps: which camera, which frame, when. In the picture as a bar code, in the bitstream as user data.

The bar code shows what survived coding and decoding; the bitstream stamp accounts for frames without
decoding a single one.
"""

from __future__ import annotations

import binascii
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

COLUMNS, ROWS = 28, 4  # 112 cells; at 320x240 each is 11 x 6 pixels, above the 4x4 block of every codec here
STRIP_SHARE = 10  # the strip takes the lowest tenth of the picture
DARK, LIGHT = 22, 214  # not black and white: easier on the eye, and far from where limited range clips
LEAST_CONTRAST = 60  # of 192 as drawn; a strip greyer than this is no strip

# Neither holds a zero byte, so that emulation prevention (H.264 7.4.1.1) never splits them.
UUID = bytes.fromhex("7b1e5c0d9a4f4b6e8d23c1f0a95e6172")
PICTURE_MARKER = b"PASU-DEMO-PICTURE-MUST-STAY-SHUT"
AUDIO_MARKER = b"PASU-DEMO-SOUND-NOBODY-ASKED-FOR"
USER_DATA_TAG = b"\x00\x00\x01\xb2PASU:"  # MPEG-4 part 2 user_data_start_code

_FIELDS = struct.Struct(">HIHI")  # camera, frame, utc_ms high 16 and low 32 bits
_EMULATION = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_STAMP_BYTES = 14


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a frame says about itself: camera number (16 bit), frame number (32 bit), UTC ms (48 bit)."""

    camera: int
    frame: int
    utc_ms: int

    def to_bytes(self) -> bytes:
        """Write the 14 bytes: the fields, big endian, and their CRC-16 (CCITT, started at 0xFFFF)."""
        fields = _FIELDS.pack(
            self.camera & 0xFFFF,
            self.frame & 0xFFFF_FFFF,
            self.utc_ms >> 32 & 0xFFFF,
            self.utc_ms & 0xFFFF_FFFF,
        )
        return fields + binascii.crc_hqx(fields, 0xFFFF).to_bytes(2, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> Stamp | None:
        """Read back what `to_bytes` wrote; None when length or checksum is wrong."""
        if len(data) != _STAMP_BYTES or binascii.crc_hqx(data[:12], 0xFFFF) != int.from_bytes(
            data[12:], "big"
        ):
            return None
        camera, frame, high, low = _FIELDS.unpack(data[:12])
        return cls(camera, frame, high << 32 | low)


def draw_stamp(image: Image, stamp: Stamp) -> None:
    """Draw the bar code over the lowest tenth of a picture, in place."""
    height, width = image.shape[:2]
    bits = np.unpackbits(np.frombuffer(stamp.to_bytes(), np.uint8)).reshape(ROWS, COLUMNS)
    cells = np.where(bits, LIGHT, DARK).astype(np.uint8)
    top = height - height // STRIP_SHARE
    strip = cv2.resize(cells, (width, height - top), interpolation=cv2.INTER_NEAREST)
    image[top:] = strip if image.ndim == 2 else strip[:, :, None]


def read_stamp(image: Image) -> Stamp | None:
    """Read the bar code of a decoded picture, grey or colour with the channels last.

    Returns None when there is none, or its checksum is wrong.
    """
    height, width = image.shape[:2]
    rows = height // STRIP_SHARE
    if rows < ROWS or width < 2 * COLUMNS:
        return None
    strip = image[height - rows :].astype(np.float32)
    if strip.ndim == 3:
        strip = strip[:, :, :3].mean(axis=2)
    # The edges of a cell carry its neighbours' ringing: the middle half of each is looked at.
    fine = cv2.resize(strip, (COLUMNS * 4, ROWS * 4), interpolation=cv2.INTER_AREA).reshape(
        ROWS, 4, COLUMNS, 4
    )
    means = fine[:, 1:3, :, 1:3].mean(axis=(1, 3))
    low, high = float(means.min()), float(means.max())
    if high - low < LEAST_CONTRAST:
        return None
    bits = (means > (low + high) / 2).astype(np.uint8)
    return Stamp.from_bytes(np.packbits(bits).tobytes())


def sei(codec: str, stamp: Stamp) -> bytes:
    """Make the SEI NAL unit (user_data_unregistered, H.264 D.1.7, H.265 D.2.7) of "h264" or "h265"."""
    payload = UUID + stamp.to_bytes() + PICTURE_MARKER
    body = b"\x05" + bytes([len(payload)]) + payload + b"\x80"
    header = b"\x06" if codec == "h264" else b"\x4e\x01"
    return header + _EMULATION.sub(b"\x00\x00\x03", body)


def user_data(stamp: Stamp) -> bytes:
    """Make the MPEG-4 part 2 user_data; in hexadecimal, since no start code may appear in it."""
    return USER_DATA_TAG + stamp.to_bytes().hex().encode() + b":" + PICTURE_MARKER


def stamps_in(codec: str, sample: bytes) -> Stamp | None:
    """Find the stamp in one access unit without decoding it.

    codec    "h264", "h265", "mpeg4" or "mjpeg" (which carries none outside the picture)
    sample   the unit in any framing: MP4 sample, Annex B, or raw MPEG-4
    Returns  the first stamp whose checksum holds, else None
    """
    if codec == "mpeg4":
        at = sample.find(USER_DATA_TAG)
        if at < 0:
            return None
        begin = at + len(USER_DATA_TAG)
        try:
            return Stamp.from_bytes(bytes.fromhex(sample[begin : begin + 2 * _STAMP_BYTES].decode("ascii")))
        except ValueError:
            return None
    at = sample.find(UUID)
    if at < 0:
        return None
    begin = at + len(UUID)
    # At most one byte in three is an inserted 03.
    plain = sample[begin : begin + 2 * _STAMP_BYTES].replace(b"\x00\x00\x03", b"\x00\x00")
    return Stamp.from_bytes(plain[:_STAMP_BYTES])
