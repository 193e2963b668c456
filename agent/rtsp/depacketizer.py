"""The two verbs of every depacketizer, push and pull, and the choice of one by its SDP encoding name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent.rtsp.errors import RtspError
from agent.rtsp.media import AccessUnit, VideoFormat


class Depacketizer(Protocol):
    """Turns RTP payloads, in order, into access units. Never raises for bad bytes: it counts them.

    format   parameters in force, None until known
    bad      payloads and NAL units that could not be used
    dropped  access units that were not given out because too much of them was missing
    """

    format: VideoFormat | None
    bad: int
    dropped: int

    def push(
        self, data: bytes, start: int, end: int, timestamp: int, marker: bool, lost: int, now: float
    ) -> None:
        """Take one RTP payload, data[start:end].

        timestamp  unwrapped RTP timestamp
        marker     the RTP marker bit
        lost       packets missing directly before this one
        now        monotonic seconds
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
    fmtp        parameters of a=fmtp, names in lower case; for JPEG also x-dimensions ("2592,1944") or width, height
    clock_rate  RTP timestamp units per second
    Raises      RtspError unsupported_encoding. Broken parameter sets are ignored: they may come in band.
    """
    raise RtspError("unsupported_encoding", "no depacketizer for this encoding", encoding=encoding)
