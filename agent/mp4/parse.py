"""Reads the boxes that this package writes, and refuses all others' variants of them."""

from __future__ import annotations

import struct
from typing import NamedTuple

from agent.mp4.boxes import BOX_LIMIT, HEADER_BYTES, TRACK_ID, children, only, unpack
from agent.mp4.errors import Mp4Error
from agent.mp4.fragment import NOT_SYNC, NTP_UNIX_S, TFHD_BASE_IS_MOOF, TRUN_OFFSETS, TRUN_PLAIN
from agent.mp4.movie import OBJECT_TYPES, RECORD_ENTRIES

_CODECS = {name: (codec, inner) for codec, (name, inner) in RECORD_ENTRIES.items()}
_OBJECTS = {number: codec for codec, number in OBJECT_TYPES.items()}

_MDHD = struct.Struct(">I8xI")
_STSD = struct.Struct(">II")
_ENTRY_SIZE = struct.Struct(">24xHH50x")
_NUMBER = struct.Struct(">II")
_TFDT = struct.Struct(">IQ")
_TRUN = struct.Struct(">IIi")
_PRFT = struct.Struct(">IIQQ")


class Trun(NamedTuple):
    """What a fragment says of its samples, one item each in all four."""

    sizes: tuple[int, ...]
    durations: tuple[int, ...]
    offsets: tuple[int, ...]
    keyframes: list[bool]


class Moof(NamedTuple):
    """What a fragment says of itself; mdat_bytes is the size of the mdat to follow, header included."""

    sequence: int
    base_dts: int
    mdat_bytes: int
    trun: Trun


def moov_of(data: bytes) -> tuple[str, int, int, int, bytes]:
    """Read codec, width, height, timescale and decoder configuration from a whole moov box.

    Raises  Mp4Error for anything that `movie` does not write
    """
    start, end = only(data, HEADER_BYTES, len(data), b"trak", b"mdia")
    version, timescale = unpack(_MDHD, data, *only(data, start, end, b"mdhd"))
    if version or not timescale:
        raise Mp4Error("moov", "no usable time scale", version=version, hz=timescale)
    at, end = only(data, start, end, b"minf", b"stbl", b"stsd")
    zero, count = unpack(_STSD, data, at, end)
    entries = list(children(data, at + _STSD.size, end))
    if zero or count != 1 or len(entries) != 1:
        raise Mp4Error("moov", "one sample entry was expected", count=count, found=len(entries))
    kind, at, end = entries[0]
    width, height = unpack(_ENTRY_SIZE, data, at, end)
    at += _ENTRY_SIZE.size
    if kind in _CODECS:
        codec, inner = _CODECS[kind]
        at, end = only(data, at, end, inner)
        return codec, width, height, timescale, data[at:end]
    if kind == b"mp4v":
        at, end = only(data, at, end, b"esds")
        codec, config = _stream_of(data[at:end])
        return codec, width, height, timescale, config
    raise Mp4Error("moov", "unknown sample entry", kind=kind.hex())


def moof_of(data: bytes) -> Moof:
    """Read a whole moof box.

    Raises  Mp4Error for anything that `fragment` does not write; no count is believed without its bytes
    """
    end = len(data)
    _, sequence = unpack(_NUMBER, data, *only(data, HEADER_BYTES, end, b"mfhd"))
    at, end = only(data, HEADER_BYTES, end, b"traf")
    flags, track = unpack(_NUMBER, data, *only(data, at, end, b"tfhd"))
    version, base_dts = unpack(_TFDT, data, *only(data, at, end, b"tfdt"))
    if flags != TFHD_BASE_IS_MOOF or track != TRACK_ID or version != 1 << 24:
        raise Mp4Error("moof", "not a fragment of ours", flags=flags, track=track, version=version)
    at, end = only(data, at, end, b"trun")
    flags, count, data_offset = unpack(_TRUN, data, at, end)
    shifted = flags == 1 << 24 | TRUN_OFFSETS
    if not shifted and flags != 1 << 24 | TRUN_PLAIN:
        raise Mp4Error("moof", "not a run of ours", flags=flags)
    width = 4 if shifted else 3
    at += _TRUN.size
    if not count or count * width * 4 != end - at or data_offset != len(data) + HEADER_BYTES:
        raise Mp4Error(
            "moof", "the run's samples do not fit", count=count, bytes=end - at, offset=data_offset
        )
    numbers = struct.unpack_from(">" + ("IIIi" * count if shifted else f"{3 * count}I"), data, at)
    sizes = numbers[1::width]
    mdat_bytes = HEADER_BYTES + sum(sizes)
    if mdat_bytes > BOX_LIMIT:
        raise Mp4Error("moof", "the run's samples are too large", size=mdat_bytes)
    run = Trun(
        sizes,
        numbers[0::width],
        numbers[3::width] if shifted else (0,) * count,
        [not flags & NOT_SYNC for flags in numbers[2::width]],
    )
    return Moof(sequence, base_dts, mdat_bytes, run)


def utc_of(data: bytes) -> int | None:
    """Read UTC milliseconds from a whole prft box; None when it is of another track or version.

    The first bit tells the era: clear means that NTP's seconds began anew in 2036 (RFC 4330, section 3).
    """
    flags, track, ntp, _ = unpack(_PRFT, data, HEADER_BYTES, len(data))
    if flags >> 24 != 1 or track != TRACK_ID:
        return None
    seconds = (ntp >> 32) - NTP_UNIX_S + (0 if ntp >> 63 else 1 << 32)
    return seconds * 1000 + ((ntp & 0xFFFF_FFFF) * 1000 + (1 << 31) >> 32)


def _stream_of(data: bytes) -> tuple[str, bytes]:
    """Read codec and decoder configuration from the body of an esds box."""
    stream = _descriptor(data[4:], 3)
    decoder = _descriptor(stream[3:], 4)
    object_type = decoder[:1]
    if len(decoder) < 13 or object_type[0] not in _OBJECTS:
        raise Mp4Error("esds", "unknown object type", object_type=object_type.hex())
    return _OBJECTS[object_type[0]], _descriptor(decoder[13:], 5) if len(decoder) > 13 else b""


def _descriptor(data: bytes, tag: int) -> bytes:
    """Return the body of the descriptor at the begin of data; its length takes at most four bytes."""
    size, at = 0, 1
    for group in data[1:5]:
        size = size << 7 | group & 0x7F
        at += 1
        if not group & 0x80:
            break
    if data[:1] != bytes((tag,)) or at + size > len(data):
        raise Mp4Error("esds", "not a descriptor of ours", tag=tag, size=size)
    return data[at : at + size]
