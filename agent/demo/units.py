"""Cutting coded pictures into their units, and putting them together again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# NAL unit types: H.264 table 7-1, H.265 table 7-1.
PARAMETER_SETS = {"h264": (7, 8), "h265": (32, 33, 34)}
SLICES = {"h264": range(1, 6), "h265": range(32)}
_START_CODE = re.compile(rb"\x00\x00\x01")


def kind(codec: str, nal: bytes) -> int:
    """Return a NAL unit's type."""
    return nal[0] & 0x1F if codec == "h264" else nal[0] >> 1 & 0x3F


def split_unit(codec: str, data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Split an encoder's packet into parameter sets and the rest.

    data     Annex B for h264 and h265, raw for mpeg4
    Returns  (parameter sets, other units); for mpeg4 the headers up to the first GOV or VOP, and what follows
    """
    if codec == "mpeg4":
        for code in (b"\x00\x00\x01\xb3", b"\x00\x00\x01\xb6"):
            at = data.find(code)
            if at >= 0:
                break
        else:
            return [data], []
        return [data[:at]] if at else [], [data[at:]]
    sets: list[bytes] = []
    others: list[bytes] = []
    for part in _START_CODE.split(data)[1:]:
        nal = part.rstrip(b"\x00")
        (sets if kind(codec, nal) in PARAMETER_SETS[codec] else others).append(nal)
    return sets, others


def split_sample(sample: bytes) -> list[bytes]:
    """Split an MP4 sample with 4-byte lengths into NAL units. Raises ValueError when lengths do not fit."""
    units, at = [], 0
    while at < len(sample):
        end = at + 4 + int.from_bytes(sample[at : at + 4], "big")
        if end > len(sample) or end < at + 5:
            raise ValueError(f"a NAL unit's length does not fit at byte {at}")
        units.append(sample[at + 4 : end])
        at = end
    return units


def join_sample(units: Sequence[bytes]) -> bytes:
    """Put NAL units behind 4-byte lengths."""
    return b"".join([len(unit).to_bytes(4, "big") + unit for unit in units])


def from_annexb(data: bytes) -> bytes:
    """Turn start codes into 4-byte lengths."""
    return join_sample([nal for part in data.split(b"\x00\x00\x01")[1:] if (nal := part.rstrip(b"\x00"))])
