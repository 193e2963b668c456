"""What comes out of a video stream: a format and access units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """How the pictures of a stream are encoded.

    codec       h264, h265, mpeg4, mjpeg
    clock_rate  RTP timestamp units per second
    width       pixels, after cropping; height likewise
    config      avcC record, hvcC record, MPEG-4 VOS..VOL headers, or empty for mjpeg
    reorder     pictures by which output order may lag decoding order; 0 where that is excluded, None
                when unsaid
    """

    codec: str
    clock_rate: int
    width: int
    height: int
    config: bytes
    reorder: int | None


@dataclass(slots=True)
class AccessUnit:
    """One encoded picture, ready to become one MP4 sample.

    timestamp  RTP timestamp, unwrapped beyond 32 bits; only differences mean anything, and it may step back
    data       NAL units behind 4-byte lengths for h264 and h265; the picture's bytes for mpeg4 and mjpeg
    keyframe   decoding can start here, unless it is also damaged
    lost       packets missing since the previous unit, at least 1 when a unit was dropped; with `damaged`
               false they belong before this unit, so a keyframe is not hurt by them
    damaged    parts of this unit are missing; what is there is whole NAL units
    format     None until parameter sets are known; the same object while they stay the same
    arrival    monotonic seconds at which its first packet came
    """

    timestamp: int
    data: bytes
    keyframe: bool
    lost: int
    damaged: bool
    format: VideoFormat | None
    arrival: float
