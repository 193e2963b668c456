"""A client and a server session joined in memory, with a clock of their own."""

from __future__ import annotations

import itertools

from agent.rtsp.client import ClientSession
from agent.rtsp.events import ClientConfig, Ended, Redirected
from agent.rtsp.exchange import State
from agent.rtsp.sdp import Media
from agent.rtsp.server import Quirks, RequestSeen, ServerConfig, ServerSession, SetupDone
from agent.rtsp.url import parse_url

VIDEO = Media(
    "video",
    0,
    "RTP/AVP",
    (26,),
    {26: ("JPEG", 90000)},
    {26: {"profile-level-id": "64001F", "sprop-parameter-sets": "Z2QAH6w="}},
    "trackID=0",
    "recvonly",
    (640, 360),
    25.0,
)
AUDIO = Media("audio", 0, "RTP/AVP", (0,), {0: ("PCMU", 8000)}, {}, "trackID=1")


def counter(prefix: str):
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"


def jpeg_packet(sequence: int, timestamp: int, ssrc: int = 0x1234, payload_type: int = 26) -> bytes:
    """One whole picture in one RTP packet: 16x16, type 1, Q 50, a scan of a few bytes (RFC 2435)."""
    header = bytes((0x80, 0x80 | payload_type)) + (sequence & 0xFFFF).to_bytes(2, "big")
    header += (timestamp & 0xFFFFFFFF).to_bytes(4, "big") + ssrc.to_bytes(4, "big")
    return header + bytes((0, 0, 0, 0, 1, 50, 2, 2)) + b"scan" + sequence.to_bytes(4, "big")


class Wire:
    """Carries bytes both ways until nobody has anything to say."""

    def __init__(
        self, quirks=None, *, medias=(VIDEO, AUDIO), url="rtsp://cam/main", server=None, **client
    ) -> None:
        self.now = 100.0
        config = {"medias": medias, **(server or {})}
        self.server_config = ServerConfig(quirks=quirks or Quirks(), **config)
        self.server = ServerSession(self.server_config, nonce=counter("s"))
        self.client = ClientSession(ClientConfig(parse_url(url), **client), ssrc=0xABCD, nonce=counter("c"))
        self.client_events = []
        self.server_events = []
        self.log = b""
        self.track = medias.index(VIDEO) if VIDEO in medias else 0

    def start(self) -> Wire:
        self.client.start(self.now)
        return self.exchange()

    def exchange(self) -> Wire:
        while out := self.client.output():
            self.log += out
            self.server_events += self.server.receive(out, self.now)
            back = self.server.output()
            if back:
                self.take(self.client.receive(back, self.now))
        return self

    def take(self, events) -> None:
        self.client_events += events
        if any(isinstance(event, Redirected) for event in events):
            self.server = ServerSession(self.server_config, nonce=counter("s"))
            self.client.start(self.now)

    def say(self, data: bytes) -> list:
        """Let the camera say something."""
        events = self.client.receive(data, self.now)
        self.client_events += events
        return events

    def picture(self, sequence: int, **changes) -> list:
        self.server.send(self.track, jpeg_packet(sequence, sequence * 3600, **changes))
        return self.say(self.server.output())

    def pass_time(self, seconds: float, *, pictures: bool = True, step: float = 0.5) -> Wire:
        """Let time pass in steps; each tick that is due is called."""
        until = self.now + seconds
        while self.now < until:
            self.now += step
            if pictures and self.client.state is State.PLAYING and self.track in self.server.tracks:
                self.picture(int(self.now / step))
            due = self.client.deadline()
            if due is not None and self.now >= due:
                self.client_events += self.client.tick(self.now)
            self.server_events += self.server.tick(self.now)
            self.exchange()
        return self

    def requests(self) -> list[tuple[str, str]]:
        return [(event.method, event.url) for event in self.server_events if isinstance(event, RequestSeen)]

    def methods(self) -> list[str]:
        return [method for method, _ in self.requests()]

    def setups(self) -> list[SetupDone]:
        return [event for event in self.server_events if isinstance(event, SetupDone)]

    def ended(self) -> list[str]:
        return [event.reason for event in self.client_events if isinstance(event, Ended)]
