"""Boxes: the length-and-name envelope that everything in an MP4 file is made of (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from agent.mp4.errors import Mp4Error

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct(">I4s")
HEADER_BYTES = HEADER.size

# One second of 500 Mbit/s video. Writer and reader share the bound, so that all we write can be read back.
BOX_LIMIT = 64 << 20
# A moof of 30 pictures has 0.6 KB, a moov 0.7 KB: a description beyond this is hostile.
DESCRIPTION_LIMIT = 1 << 20

TRACK_ID = 1
# Names our own top-level box, which carries the segment's JSON; drawn once, fixed for good.
ABOUT_UUID = bytes.fromhex("9d1f0c5ae3b84c6f8a70b1c2d45e7f36")


def box(kind: bytes, *parts: bytes) -> bytes:
    """Wrap the parts, in order, in a box named by four characters."""
    body = b"".join(parts)
    return HEADER.pack(HEADER_BYTES + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Wrap the parts in a box that begins with a version and 24 flags (4.2.2)."""
    return box(kind, (version << 24 | flags).to_bytes(4, "big"), *parts)


def children(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk the boxes that fill data[start:end]; yields name, start and end of each box's body.

    Raises  Mp4Error `box_size` when a box does not lie within its parent
    """
    while start < end:
        if end - start < HEADER_BYTES:
            raise Mp4Error("box_size", "bytes are left over after the last box", at=start)
        size, kind = HEADER.unpack_from(data, start)
        if not HEADER_BYTES <= size <= end - start:
            raise Mp4Error("box_size", "a box does not lie within its parent", at=start, size=size)
        yield kind, start + HEADER_BYTES, start + size
        start += size


def only(data: bytes, start: int, end: int, *kinds: bytes) -> tuple[int, int]:
    """Descend by name, one name per level, and return start and end of the innermost box's body.

    Raises  Mp4Error `box_count` when a level has none, or more than one, of that name
    """
    for kind in kinds:
        found = [(inner, until) for name, inner, until in children(data, start, end) if name == kind]
        if len(found) != 1:
            raise Mp4Error(
                "box_count", "one box of a kind was expected", kind=kind.decode(), found=len(found)
            )
        start, end = found[0]
    return start, end


def unpack(layout: struct.Struct, data: bytes, start: int, end: int) -> tuple[int, ...]:
    """Read numbers from the begin of data[start:end].

    Raises  Mp4Error `box_short` when they do not fit
    """
    if end - start < layout.size:
        raise Mp4Error("box_short", "a box is shorter than its fields", at=start)
    return layout.unpack_from(data, start)
