"""One client of a virtual camera: the RTSP connection, and what is sent to it."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from typing import TYPE_CHECKING, Any, Literal, cast

from agent.demo.ledger import Asked, safe_headers
from agent.demo.offer import AUDIO, AUDIO_TYPES, VIDEO, VIDEO_TYPES
from agent.demo.sender import VideoSender
from agent.demo.sound import AudioSender
from agent.rtsp import server as rtsp
from agent.rtsp.errors import RtspError
from agent.rtsp.framing import Framer
from agent.rtsp.message import Request, Response, respond

if TYPE_CHECKING:
    from agent.demo.camera import CameraHost
    from agent.demo.studio import Sample
    from agent.rtsp.transport import Transport

log = logging.getLogger(__name__)

BUFFER_BYTES = 4 << 20  # waiting for one client; a slower one loses pictures up to the next keyframe
REPORT_EVERY_S = 5.0  # RFC 3550 6.2
GARBAGE_EVERY_S = 0.5
PUSHED_AUDIO_CHANNEL = 6

Outcome = Literal["sent", "dropped", "none"]


class Connection(asyncio.Protocol):
    """Speaks RTSP with one client and sends it the pictures that the camera offers."""

    def __init__(self, camera: CameraHost) -> None:
        self.camera = camera
        self.video: VideoSender | None = None
        self.began = 0.0  # loop time of PLAY
        self.writable = asyncio.Event()
        self.writable.set()
        self._audio: AudioSender | None = None
        self._transport: asyncio.Transport | None = None
        self._session: rtsp.ServerSession | None = None
        self._peer = ("", 0)
        self._timer: asyncio.TimerHandle | None = None
        self._next_report = 0.0
        self._next_garbage = 0.0
        self._wait_for_keyframe = False
        self._pile: list[Sample] = []
        self._chance = random.Random(camera.spec.number)  # noqa: S311 - repeatable rubbish

    # ------------------------------------------------------------------ asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session, or one that is only refused."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self._peer = tuple(self._transport.get_extra_info("peername")[:2])
        config = self.camera.attach(self)
        if config is not None:
            self._session = rtsp.ServerSession(config, nonce=lambda: secrets.token_hex(16))

    def data_received(self, data: bytes) -> None:
        """Hand the bytes to the session machine, answer, then act."""
        if self._transport is None:
            return
        now = asyncio.get_running_loop().time()
        try:
            if self._session is None:
                self._refuse(data, now)
                return
            events = self._session.receive(data, now)
        except RtspError as error:
            log.info("camera %s: %s", self.camera.spec.name, error)
            self.abort()
            return
        self._transport.write(self._session.output())
        self._act(events, now)
        self._arm(self._session)

    def pause_writing(self) -> None:
        """Note that the client is slow."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Note that the client has caught up."""
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        """Forget the client."""
        if self._timer:
            self._timer.cancel()
        self._transport = None
        self.video = self._audio = None
        self.writable.set()
        self.camera.detach(self)

    # ------------------------------------------------------------------ protocol

    def _refuse(self, data: bytes, now: float) -> None:
        framer = Framer()
        framer.feed(data)
        message = framer.next_message(now)
        if isinstance(message, Request) and self._transport:
            self._note(message.method, message.url, list(message.headers), now)
            answer = respond(453)
            headers = (("CSeq", message.get("CSeq") or "0"), *answer.headers)
            self._transport.write(
                Response(headers, b"", "1.0", 453, answer.reason or "Not Enough Bandwidth").serialise()
            )
            self._transport.close()

    def _note(self, method: str, url: str, headers: list[tuple[str, str]], now: float) -> None:
        client = f"{self._peer[0]}:{self._peer[1]}"
        self.camera.ledger.asked(Asked(now, client, method, url, safe_headers(headers)))

    def _arm(self, session: rtsp.ServerSession) -> None:
        if self._timer:
            self._timer.cancel()
        deadline = session.deadline()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _tick(self) -> None:
        if self._session is None:
            return
        now = asyncio.get_running_loop().time()
        self._act(self._session.tick(now), now)
        self._arm(self._session)

    def _act(self, events: list[rtsp.ServerEvent], now: float) -> None:
        for event in events:
            if isinstance(event, rtsp.RequestSeen):
                self._note(event.method, event.url, list(event.headers), now)
            elif isinstance(event, rtsp.Play):
                self._play(event.tracks, now)
            elif isinstance(event, rtsp.Teardown):
                self.video = self._audio = None
                if self._transport:
                    self._transport.close()

    def _play(self, tracks: tuple[int, ...], now: float) -> None:
        spec, quirks = self.camera.spec, self.camera.quirks
        self.began = now
        self._next_report = self._next_garbage = now
        if AUDIO in tracks or "audio_pushed" in quirks:
            encoding = spec.audio if spec.audio != "none" else "pcmu"
            self._audio = AudioSender(encoding, ssrc=_chance32(), payload_type=AUDIO_TYPES[encoding])
        if VIDEO in tracks:
            self.video = VideoSender(
                spec.codec,
                quirks,
                ssrc=_chance32(),
                sequence=_chance32() & 0xFFFF,
                base=_chance32(),
                payload_type=VIDEO_TYPES[spec.codec],
            )
            self.camera.playing(self)

    # ------------------------------------------------------------------ pictures

    def offer(self, sample: Sample) -> Outcome:
        """Send a sample if this client plays and keeps up."""
        if self.video is None or self._transport is None or self._transport.is_closing():
            return "none"
        if sample.keyframe:
            self._wait_for_keyframe = False
        if self._wait_for_keyframe or self._transport.get_write_buffer_size() > BUFFER_BYTES:
            self._wait_for_keyframe = True
            return "dropped"
        self._pile.append(sample)
        if len(self._pile) >= self.camera.quirks.value("bursts"):
            pile, self._pile = self._pile, []
            for one in pile:
                self._send(one, self.video)
        return "sent"

    def _send(self, sample: Sample, video: VideoSender) -> None:
        assert self._session is not None
        now = asyncio.get_running_loop().time()
        elapsed_s = now - self.began
        way = self._session.tracks[VIDEO]
        if now >= self._next_report and "no_sender_reports" not in self.camera.quirks:
            self._next_report = now + REPORT_EVERY_S
            utc_s = sample.utc_ms / 1000
            self._put(VIDEO, way, [video.sender_report(utc_s, sample.media_s, elapsed_s)], rtcp=True)
        if way.tcp and "garbage_between_frames" in self.camera.quirks and now >= self._next_garbage:
            self._next_garbage = now + GARBAGE_EVERY_S
            self._write(self._garbage(int(self.camera.quirks.value("garbage_between_frames"))))
        self._put(VIDEO, way, video.packets(sample.data, sample.media_s, elapsed_s, udp=not way.tcp))
        self._send_audio(elapsed_s)

    def _send_audio(self, elapsed_s: float) -> None:
        if self._audio is None or self._session is None:
            return
        packets = self._audio.packets(elapsed_s)
        way = self._session.tracks.get(AUDIO)
        if way is not None:
            self._put(AUDIO, way, packets)
        elif self._session.tracks[VIDEO].tcp:
            channel = int(self.camera.quirks.value("audio_pushed")) or PUSHED_AUDIO_CHANNEL
            self._write(_framed(channel & 0xFF, packets))

    def goodbye(self) -> None:
        """Say BYE and end the connection when all is sent."""
        if self.video and self._session and self._transport:
            self._put(VIDEO, self._session.tracks[VIDEO], [self.video.bye()], rtcp=True)
            self.video = None
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection, as when the plug is pulled."""
        if self._transport:
            self._transport.abort()

    def _put(self, track: int, way: Transport, packets: list[bytes], *, rtcp: bool = False) -> None:
        if way.channels is not None:
            self._write(_framed(way.channels[rtcp], packets))
        elif way.client_ports is not None:
            self.camera.send_datagrams(track, rtcp, packets, (self._peer[0], way.client_ports[rtcp]))

    def _write(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)

    def _garbage(self, count: int) -> bytes:
        """Return rubbish without "$": what comes after it can be found again."""
        return bytes(byte + (byte >= 0x24) for byte in (self._chance.randrange(255) for _ in range(count)))


def _framed(channel: int, packets: list[bytes]) -> bytes:
    """Put packets into the connection's framing (RFC 2326 10.12)."""
    head = bytes((0x24, channel))
    parts: list[Any] = []
    for packet in packets:
        parts += (head, len(packet).to_bytes(2, "big"), packet)
    return b"".join(parts)


def _chance32() -> int:
    return secrets.randbits(32)
