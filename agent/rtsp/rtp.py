"""One RTP stream as its receiver sees it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.rtsp.depacketizer import Depacketizer
from agent.rtsp.media import AccessUnit


@dataclass(frozen=True, slots=True)
class RtpStats:
    """Counts since the stream began.

    packets        packets handed to the depacketizer
    lost           packets that never came, as far as the sequence numbers tell
    bad            packets, payloads and NAL units that could not be used
    reordered      packets that came out of order, in time or too late
    duplicates     packets that came twice
    strays         packets of a foreign source or far out of sequence, left out
    switches       changes of source or jumps of the sequence that were followed
    dropped        access units not given out because too much of them was missing
    bad_rtcp       control packets that could not be read
    bye            the sender said that it ends
    sender_report  (NTP time as 64 bits, RTP timestamp unwrapped, monotonic seconds of arrival) of the last SR
    """

    packets: int
    lost: int
    bad: int
    reordered: int
    duplicates: int
    strays: int
    switches: int
    dropped: int
    bad_rtcp: int
    bye: bool
    sender_report: tuple[int, int, float] | None


class RtpStream:
    """Checks, orders and unwraps RTP packets and feeds their payloads to a depacketizer."""

    def __init__(
        self, depacketizer: Depacketizer, payload_type: int, clock_rate: int, *, reorder: int = 0, ssrc: int
    ) -> None:
        raise NotImplementedError

    def push(self, data: bytes, start: int, end: int, now: float) -> None:
        """Take one RTP packet, data[start:end]; never raises for bad bytes."""

    def pull(self) -> AccessUnit | None:
        """Return the next complete access unit, None when there is none yet."""

    def flush(self) -> None:
        """Give up waiting for late packets and end the unit under construction (the session ends)."""

    def push_rtcp(self, data: bytes, start: int, end: int, now: float) -> None:
        """Take one compound RTCP packet, data[start:end]; never raises for bad bytes."""

    def receiver_report(self, now: float) -> bytes:
        """Build the compound RTCP packet to send: RR and SDES CNAME."""
        raise NotImplementedError

    @property
    def stats(self) -> RtpStats:
        """Counts since the stream began."""
        raise NotImplementedError
