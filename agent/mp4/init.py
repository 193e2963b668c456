"""The init segment: what stands before the fragments and tells how to decode them."""

from __future__ import annotations

import struct

from agent.mp4.boxes import TRACK_ID, box, full_box
from agent.mp4.movie import about_box, movie

# iso5 brings default-base-is-moof, iso6 tfdt and signed offsets; mp41 lets players of MPEG-4 files try.
_FTYP = box(b"ftyp", b"iso6", bytes(4), b"iso6", b"iso5", b"mp41")
_NO_SAMPLES = (
    full_box(b"stts", 0, 0, bytes(4))
    + full_box(b"stsc", 0, 0, bytes(4))
    + full_box(b"stsz", 0, 0, bytes(8))
    + full_box(b"stco", 0, 0, bytes(4))
)
_MVEX = box(b"mvex", full_box(b"trex", 0, 0, struct.pack(">IIIII", TRACK_ID, 1, 0, 0, 0)))


def init_segment(  # noqa: PLR0917 - the fields of Init, in its order
    codec: str, width: int, height: int, timescale: int, config: bytes, about: bytes = b""
) -> bytes:
    """Build ftyp, our own box with `about`, and a moov without samples.

    codec          h264, h265, mpeg4 or mjpeg
    width, height  pixels; 0 when the stream does not say
    timescale      ticks per second of every time in the fragments
    config         decoder configuration: avcC or hvcC record, MPEG-4 VOS/VOL headers, empty for MJPEG
    about          JSON of the segment: box, camera, run, start; left out when empty
    Returns        one bytes
    Raises         Mp4Error `track` or `about` for what no file of ours can hold
    Source         ISO/IEC 14496-12, 8.1 and 8.8
    """
    moov = movie(codec, width, height, timescale, config, tables=_NO_SAMPLES, extends=_MVEX)
    return _FTYP + about_box(about) + moov
