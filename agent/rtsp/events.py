"""What a client session is told at its begin, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agent.rtsp.media import AccessUnit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.rtsp.rtp import RtpStats
    from agent.rtsp.sdp import Media
    from agent.rtsp.url import RtspUrl


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One camera session.

    url              credentials in it are used when username is None
    transport        "tcp": RTP inside the RTSP connection; "udp": needs client_ports
    client_ports     our UDP ports of RTP and RTCP
    allow_basic      whether the password may be sent in clear when the camera asks for it
    reply_timeout_s  for each answer
    setup_timeout_s  from the first request to the answer to PLAY, redirects included
    idle_timeout_s   without a usable RTP packet, from the answer to PLAY on
    """

    url: RtspUrl
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    transport: Literal["tcp", "udp"] = "tcp"
    client_ports: tuple[int, int] | None = None
    allow_basic: bool = True
    user_agent: str = "Pasu/1.0"  # some cameras refuse everything without one (quirk 32)
    reply_timeout_s: float = 5.0
    setup_timeout_s: float = 15.0
    idle_timeout_s: float = 5.0  # cameras stall for 10 to 20 s without closing (quirk 45)

    def __post_init__(self) -> None:
        if self.transport == "udp" and self.client_ports is None:
            raise ValueError("UDP needs client_ports")


@dataclass(frozen=True, slots=True)
class Described:
    """The camera said what it offers.

    video         the stream that will be recorded
    payload_type  of it, with its encoding and clock in Hz
    audio         encodings of sound offered; it is never asked for
    other         kinds of other streams
    device        what the camera calls itself, by where it does so; addresses and numbers that change are not in it
    """

    video: Media
    payload_type: int
    encoding: str
    clock_rate: int
    audio: tuple[str, ...]
    other: tuple[str, ...]
    device: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Playing:
    """PLAY was answered; server_ports are the camera's UDP ports of RTP and RTCP, None over TCP or unsaid."""

    server_ports: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Redirected:
    """The camera sent us elsewhere on the same host: send what is queued, connect to url, `start` again."""

    url: RtspUrl


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over in good order: "closed" by us, or "torn_down" by the camera."""

    reason: str


Event = Described | Playing | Redirected | Ended | AccessUnit


@dataclass(frozen=True, slots=True)
class SessionStats:
    """Counts since the connection began.

    foreign_frames         interleaved frames on channels nobody negotiated, left out (sound pushed uninvited)
    skipped_bytes          garbage between frames, left out
    stray_answers          answers to nothing that was asked
    unanswered_keepalives  and refused_keepalives: borne while pictures come
    rtp                    None before SETUP
    """

    foreign_frames: int
    skipped_bytes: int
    stray_answers: int
    unanswered_keepalives: int
    refused_keepalives: int
    rtp: RtpStats | None
