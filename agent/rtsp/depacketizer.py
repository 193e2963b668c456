"""The two verbs of every depacketizer, push and pull, and the choice of one by its SDP encoding name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent.rtsp.errors import RtspError
from agent.rtsp.h264 import H264Depacketizer
from agent.rtsp.h265 import H265Depacketizer
from agent.rtsp.mjpeg import MjpegDepacketizer
from agent.rtsp.mpeg4 import Mpeg4Depacketizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.rtsp.media import AccessUnit, VideoFormat


class Depacketizer(Protocol):
    """Turns RTP payloads, in order, into access units. Never raises for bad bytes: it counts them.

    format   parameters in force, None until known
    bad      payloads and NAL units that could not be used
    dropped  access units that were not given out because too much of them was missing
    run_head  how payloads begin that only continue what came last, so that `extend` may take them together; b"" when
              none may
    """

    format: VideoFormat | None
    bad: int
    dropped: int
    run_head: bytes

    def push(  # noqa: PLR0917 - the hot path: a keyword costs more than a position
        self, data: bytes, start: int, end: int, timestamp: int, marker: bool, lost: int, now: float
    ) -> None:
        """Take one RTP payload, data[start:end].

        timestamp  unwrapped RTP timestamp
        marker     the RTP marker bit
        lost       packets missing directly before this one
        now        monotonic seconds
        """
        ...

    def extend(self, fragments: tuple[bytes, ...], octets: int) -> bool:
        """Take what follows `run_head` in payloads in a row; false, with nothing taken, when they must be pushed.

        octets  length of the fragments together
        """
        ...

    def pull(self) -> AccessUnit | None:
        """Return the next complete access unit, None when there is none yet."""
        ...

    def flush(self) -> None:
        """End the unit under construction; what is whole of it can be pulled."""
        ...


def depacketizer(encoding: str, fmtp: Mapping[str, str], clock_rate: int) -> Depacketizer:
    """Choose a depacketizer.

    encoding    as in a=rtpmap: H264, H265, MP4V-ES, JPEG (any case)
    fmtp        parameters of a=fmtp, names in lower case; for JPEG also x-dimensions ("2592,1944"), or
                width and height
    clock_rate  RTP timestamp units per second
    Raises      RtspError unsupported_encoding. Broken parameter sets are ignored: they may come in band.
    """
    name = encoding.upper()
    if name == "H264":
        return H264Depacketizer(fmtp, clock_rate)
    if name == "H265":
        return H265Depacketizer(fmtp, clock_rate)
    if name == "MP4V-ES":
        return Mpeg4Depacketizer(fmtp, clock_rate)
    if name == "JPEG":
        return MjpegDepacketizer(fmtp, clock_rate)
    raise RtspError("unsupported_encoding", "no depacketizer for this encoding", encoding=encoding)
