"""Fragments: at most a second of pictures, complete in itself once the init segment is known."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from agent.mp4.boxes import BOX_LIMIT, DESCRIPTION_LIMIT, HEADER, HEADER_BYTES, TRACK_ID
from agent.mp4.errors import Mp4Error

if TYPE_CHECKING:
    from collections.abc import Sequence

# Sample flags (14496-12, 8.8.3.1): "depends on no other"; "depends on others, is not a sync sample".
KEYFRAME_FLAGS = 0x0200_0000
OTHER_FLAGS = 0x0101_0000
NOT_SYNC = 0x0001_0000

# trun: data offset, and per sample duration, size, flags; then the same with composition offsets.
TRUN_PLAIN = 0x000701
TRUN_OFFSETS = 0x000F01
TFHD_BASE_IS_MOOF = 0x020000

NTP_UNIX_S = 2_208_988_800  # seconds from 1900 to 1970 (RFC 5905, figure 4)
# Flags 24: the time is that of capture (14496-12, 8.16.5). Also what a lost reader looks for.
PRFT_START = struct.pack(">I4sII", 32, b"prft", 1 << 24 | 24, TRACK_ID)

_PRFT_END = struct.Struct(">QQ")
# moof, mfhd, traf, tfhd, tfdt and trun up to the samples, in one call: 16 cameras end 16 fragments a second.
_HEAD = struct.Struct(">I4s I4sII I4s I4sII I4sIQ I4sIIi")


class Sample(NamedTuple):
    """One coded picture.

    data      as the file holds it: NAL units after 4-byte lengths, or the codec's own form
    duration  ticks until the next picture is decoded; offset  ticks from decoding to showing, may be negative
    keyframe  decodable without any other picture
    """

    data: bytes
    duration: int
    offset: int
    keyframe: bool


def fragment(sequence: int, base_dts: int, samples: Sequence[Sample], utc_ms: int | None) -> bytes:
    """Build prft, moof and mdat of one fragment, copying the pictures once.

    sequence  number of the fragment, growing; kept to 32 bits
    base_dts  ticks at which the first sample is decoded
    samples   in decoding order, at least one
    utc_ms    UTC at which the first sample is shown; read back right from 1968-01-20 to 2104-02-26.
              None leaves the prft out
    Returns   one bytes
    Raises    Mp4Error `fragment` for no samples, too many, too large, or numbers beyond their fields
    Source    ISO/IEC 14496-12, 8.8 and 8.16.5. 30 samples take 9 us and the copy of their bytes.
    """
    count = len(samples)
    pieces = [b""]
    numbers: list[int] = []
    shifted = any([sample.offset for sample in samples])  # noqa: C419 - the list is twice as fast
    for data, duration, offset, keyframe in samples:
        pieces.append(data)
        numbers += (duration, len(data), KEYFRAME_FLAGS if keyframe else OTHER_FLAGS)
        if shifted:
            numbers.append(offset)
    per_sample = 16 if shifted else 12
    trun = 20 + count * per_sample
    moof = 68 + trun
    mdat = HEADER_BYTES + sum(numbers[1 :: per_sample // 4])
    if not count or moof > DESCRIPTION_LIMIT or mdat > BOX_LIMIT:
        raise Mp4Error("fragment", "no pictures, or too many for one fragment", samples=count, size=mdat)
    try:
        # A picture shown before tick 0 exists in hostile streams only; the field has no sign.
        clock = b"" if utc_ms is None else _prft(utc_ms, max(base_dts + samples[0].offset, 0))
        head = _HEAD.pack(
            *(moof, b"moof"),
            *(16, b"mfhd", 0, sequence & 0xFFFF_FFFF),
            *(moof - 24, b"traf"),
            *(16, b"tfhd", TFHD_BASE_IS_MOOF, TRACK_ID),
            *(20, b"tfdt", 1 << 24, base_dts),
            *(trun, b"trun", 1 << 24 | (TRUN_OFFSETS if shifted else TRUN_PLAIN), count, moof + HEADER_BYTES),
        )
        table = struct.pack(">" + ("IIIi" * count if shifted else f"{3 * count}I"), *numbers)
    except struct.error as error:
        raise Mp4Error("fragment", "a number does not fit its field", cause=str(error)) from None
    pieces[0] = b"".join((clock, head, table, HEADER.pack(mdat, b"mdat")))
    return b"".join(pieces)


def _prft(utc_ms: int, shown: int) -> bytes:
    """Build the box that ties a tick of the track to UTC.

    NTP's seconds have 32 bits and begin anew in 2036; the reader knows the era (RFC 4330, section 3).
    """
    seconds, ms = divmod(utc_ms, 1000)
    ntp = (seconds + NTP_UNIX_S & 0xFFFF_FFFF) << 32 | (ms << 32) // 1000
    return PRFT_START + _PRFT_END.pack(ntp, shown)
