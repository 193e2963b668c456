"""Bits and NAL units: a bounded reader, emulation prevention, start codes and length prefixes."""

from __future__ import annotations

import base64
import binascii

from agent.rtsp.errors import RtspError

START_CODE = b"\x00\x00\x01"
MAX_SIDE = 16384  # pixels; beyond any level of H.264 (16,384 at 6.2 by 139264 macroblocks) and H.265 (16,888)
MAX_PARAMETER_SET_BYTES = 4096  # real ones stay below 300; scaling lists and VUI at their longest fit


class BitReader:
    """Reads bits from the most significant end, and refuses to read past the last one.

    Raises RtspError malformed_parameter_sets.
    """

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    @property
    def left(self) -> int:
        """Bits not read yet."""
        return self._left

    def bits(self, count: int) -> int:
        """Read an unsigned number of `count` bits."""
        left = self._left - count
        if left < 0:
            raise RtspError(
                "malformed_parameter_sets", "the bits end too early", wanted=count, left=self._left
            )
        self._left = left
        return (self._value >> left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.bits(1) == 1

    def ue(self) -> int:
        """Read an unsigned exp-Golomb number of at most 32 bits (ITU-T H.264, 9.1)."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > 32:
                raise RtspError("malformed_parameter_sets", "an exp-Golomb number is too long")
        return (1 << zeros) - 1 + self.bits(zeros)

    def se(self) -> int:
        """Read a signed exp-Golomb number (ITU-T H.264, 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def unescape(nal: bytes) -> bytes:
    """Remove the emulation prevention bytes of a NAL unit (ITU-T H.264, 7.3.1)."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")


def bounded(value: int, most: int, name: str) -> int:
    """Return value if it is at most `most`. Raises RtspError malformed_parameter_sets."""
    if value > most:
        raise RtspError("malformed_parameter_sets", f"{name} is out of range", value=value, most=most)
    return value


def checked_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height in pixels if they can be those of a picture.

    Raises RtspError malformed_parameter_sets.
    """
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise RtspError("malformed_parameter_sets", "no picture has this size", width=width, height=height)
    return width, height


def split_start_codes(data: bytes) -> list[bytes]:
    """Split a byte stream at its start codes into NAL units without them (ITU-T H.264, annex B).

    Bytes before the first start code are a NAL unit too, unless they are zeros. Zeros before a start code and
    at the end belong to no NAL unit, since none ends in a zero byte.
    """
    return [nal for part in data.split(START_CODE) if (nal := part.rstrip(b"\x00"))]


def annexb_to_sample(data: bytes) -> bytes:
    """Turn a byte stream with 3- or 4-byte start codes into NAL units behind 4-byte lengths."""
    return sample(split_start_codes(data))


def sample(nals: list[bytes]) -> bytes:
    """Join NAL units, each behind its length in 4 bytes."""
    return b"".join([part for nal in nals for part in (len(nal).to_bytes(4, "big"), nal)])


def split_sample(data: bytes) -> list[bytes]:
    """Split an MP4 sample into the NAL units behind its 4-byte lengths.

    Raises RtspError malformed_unit when a length is zero or reaches beyond the end.
    """
    nals = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        begin = at + 4
        at = begin + length
        if length == 0 or at > len(data):
            raise RtspError("malformed_unit", "a NAL unit's length is wrong", length=length, at=begin)
        nals.append(data[begin:at])
    return nals


def base64_nals(text: str) -> list[bytes]:
    """Decode comma-separated base64 NAL units of an fmtp parameter, leaving out what is none.

    Start codes and zeros around them, which some cameras put there, are removed.
    """
    nals = []
    for item in text.split(","):
        try:
            nals += split_start_codes(base64.b64decode(item))
        except (binascii.Error, ValueError):
            continue
    return nals
