"""The movie box, as far as fragmented and progressive files share it: one video track.

Source: ISO/IEC 14496-12 (boxes), 14496-14 (mp4v and esds), 14496-15 (avc1 and hev1).
"""

from __future__ import annotations

import struct

from agent.mp4.boxes import ABOUT_UUID, DESCRIPTION_LIMIT, TRACK_ID, box, full_box
from agent.mp4.errors import Mp4Error

# Object types of an esds (14496-1, 7.2.6.6.2; the MP4 registration authority lists 0x6C, 10918-1 JPEG).
OBJECT_TYPES = {"mpeg4": 0x20, "mjpeg": 0x6C}
# hev1, not hvc1, since cameras repeat their parameter sets in band and nothing is cut out of the stream.
# The same would ask for avc3, which fewer players know; all accept in-band sets under avc1.
RECORD_ENTRIES = {"h264": (b"avc1", b"avcC"), "h265": (b"hev1", b"hvcC")}

_ENTRY = struct.Struct(">6xH16xHHIII H32sHH")
_MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_LANGUAGE = 0x55C4  # "und", three letters of five bits
_ENABLED_IN_MOVIE = 3
_VISUAL_STREAM = 4 << 2 | 1


def movie(
    codec: str,
    width: int,
    height: int,
    timescale: int,
    config: bytes,
    *,
    tables: bytes,
    extends: bytes = b"",
    edits: bytes = b"",
    shown: int = 0,
    coded: int = 0,
    created: int = 0,
) -> bytes:
    """Build the moov of one video track.

    width, height  pixels, 0 when unknown; timescale  ticks per second, for the movie and its track alike
    config         avcC or hvcC record, MPEG-4 headers, or nothing
    tables         the sample table's boxes after stsd; extends, edits: the boxes mvex and edts, or nothing
    shown, coded   length of the presentation and of the track, ticks; 0 for a fragmented file
    created        seconds since 1904-01-01 UTC, 0 when unknown
    Raises         Mp4Error `track` for values that no file can hold
    """
    if not 0 <= width <= 0xFFFF or not 0 <= height <= 0xFFFF or not 0 < timescale <= 0xFFFF_FFFF:
        raise Mp4Error("track", "size or time scale out of range", width=width, height=height, hz=timescale)
    media = box(
        b"mdia",
        _timed(b"mdhd", 0, (created, coded), struct.pack(">I", timescale), struct.pack(">HH", _LANGUAGE, 0)),
        full_box(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"Pasu\0"),
        box(
            b"minf",
            full_box(b"vmhd", 0, 1, bytes(8)),
            box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))),
            box(b"stbl", _descriptions(codec, width, height, config), tables),
        ),
    )
    track = box(
        b"trak",
        _timed(
            b"tkhd",
            _ENABLED_IN_MOVIE,
            (created, shown),
            struct.pack(">II", TRACK_ID, 0),
            bytes(16) + _MATRIX + struct.pack(">II", width << 16, height << 16),
        ),
        edits,
        media,
    )
    head = _timed(
        b"mvhd",
        0,
        (created, shown),
        struct.pack(">I", timescale),
        struct.pack(">IH10x", 1 << 16, 1 << 8) + _MATRIX + struct.pack(">24xI", TRACK_ID + 1),
    )
    return box(b"moov", head, track, extends)


def about_box(about: bytes) -> bytes:
    """Wrap the segment's JSON in our own box; nothing for nothing.

    Raises  Mp4Error `about` when it is longer than the reader would take
    """
    if not about:
        return b""
    if len(about) > DESCRIPTION_LIMIT // 2:
        raise Mp4Error("about", "too much to say about a segment", size=len(about))
    return box(b"uuid", ABOUT_UUID, about)


def _timed(kind: bytes, flags: int, times: tuple[int, int], fixed: bytes, rest: bytes) -> bytes:
    """Build a header box with creation time, modification time and length; 64 bits wide only when it must be.

    Old players know version 0 alone.
    """
    created, length = times
    wide = max(times) > 0xFFFF_FFFF
    width = 8 if wide else 4
    moment = created.to_bytes(width, "big")
    parts = (moment, moment, fixed, length.to_bytes(width, "big"), rest)
    return full_box(kind, int(wide), flags, *parts)


def _descriptions(codec: str, width: int, height: int, config: bytes) -> bytes:
    """Build stsd with its one sample entry."""
    if len(config) > DESCRIPTION_LIMIT // 2:
        raise Mp4Error("track", "decoder configuration too long", size=len(config))
    if codec in RECORD_ENTRIES:
        if not config:
            raise Mp4Error("track", "this codec needs its decoder configuration", codec=codec)
        name, inner = RECORD_ENTRIES[codec]
        record = box(inner, config)
    elif codec in OBJECT_TYPES:
        name, record = b"mp4v", _esds(OBJECT_TYPES[codec], config)
    else:
        raise Mp4Error("track", "unknown codec", codec=codec)
    # 72 dots per inch, one frame per sample, depth 24, no colour table: the constants of 14496-12, 12.1.3.
    dpi = 72 << 16
    entry = _ENTRY.pack(1, width, height, dpi, dpi, 0, 1, b"", 24, 0xFFFF)
    return full_box(b"stsd", 0, 0, struct.pack(">I", 1), box(name, entry, record))


def _esds(object_type: int, config: bytes) -> bytes:
    """Build the elementary stream descriptor (14496-1, 7.2.6.5); buffer size and bit rates unknown, 0."""
    specific = _descriptor(5, config) if config else b""
    decoder = _descriptor(4, struct.pack(">BB11x", object_type, _VISUAL_STREAM) + specific)
    return full_box(b"esds", 0, 0, _descriptor(3, struct.pack(">HB", 0, 0) + decoder + _descriptor(6, b"\2")))


def _descriptor(tag: int, body: bytes) -> bytes:
    """Wrap a descriptor; its length in four groups of seven bits (14496-1, 8.3.3)."""
    size = len(body)
    groups = (tag, size >> 21 | 0x80, size >> 14 & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size & 0x7F)
    return bytes(groups) + body
