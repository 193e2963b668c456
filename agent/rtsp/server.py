"""One RTSP connection, the server's side: what the virtual camera speaks.

Pure: bytes and times in, events and bytes out. Its switches are the quirks of real cameras that live in the
protocol (numbers: the table of camera quirks in docs); pictures and packets are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import ClassVar, Literal

from agent.rtsp.framing import Framer
from agent.rtsp.gatekeeper import Gatekeeper, LogIn
from agent.rtsp.message import Headers, Request, Response, respond
from agent.rtsp.sdp import Media, SessionDescription
from agent.rtsp.transport import Transport, parse_session, parse_transports
from agent.rtsp.url import without_credentials

Answer = Literal["ok", "refuse", "ignore"]

_PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
_WRONG_PROFILE = "4D0033"  # Main 5.1, whatever the stream is


@dataclass(frozen=True, slots=True)
class Quirks:
    """Switches; the defaults are a well-behaved camera.

    get_parameter      29: takes it, refuses with 405, or never answers; only "ok" lists it in Public
    list_get_parameter overrides what Public says: None follows get_parameter
    options            the same for OPTIONS
    keepalive          29: methods that keep a session alive
    needs_user_agent   32: 401 without a challenge unless a User-Agent is sent
    redirect           35: DESCRIBE of any other path than this Location's is answered 302
    channel_shift      interleaved channels are this much higher than asked for
    transports         what SETUP accepts; others get 461
    control            relative or absolute addresses in control lines, or "none"
    content_base       send Content-Base
    wrong_profile      19: profile-level-id in the SDP does not fit the stream
    no_sprop           17: no parameter sets in the SDP
    silent             37: everything is accepted, `Play` never comes out
    bare_line_feeds    messages end their lines in LF
    no_cseq            answers carry no CSeq
    """

    get_parameter: Answer = "ok"
    list_get_parameter: bool | None = None
    options: Answer = "ok"
    keepalive: frozenset[str] = frozenset(("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"))
    needs_user_agent: bool = False
    redirect: str | None = None
    channel_shift: int = 0
    transports: frozenset[str] = frozenset(("tcp", "udp"))
    control: Literal["relative", "absolute", "none"] = "relative"
    content_base: bool = True
    wrong_profile: bool = False
    no_sprop: bool = False
    silent: bool = False
    bare_line_feeds: bool = False
    no_cseq: bool = False


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What one camera offers.

    medias     streams of its description, video and sound; control is a relative name and must be given
    path       path that DESCRIBE may name, without query; "" for any
    log_in     None lets everybody in
    udp_ports  the server's (RTP, RTCP) ports of each stream, empty without UDP
    timeout_s  seconds after which a session without keepalive ends; said in the Session header
    """

    medias: tuple[Media, ...]
    path: str = ""
    log_in: LogIn | None = None
    udp_ports: tuple[tuple[int, int], ...] = ()
    timeout_s: int = 60
    quirks: Quirks = field(default_factory=Quirks)


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """A request came, before it is judged; Authorization is left out of the headers."""

    method: str
    url: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class SetupDone:
    """A stream was set up; track is its index in the configuration."""

    track: int
    transport: Transport


@dataclass(frozen=True, slots=True)
class Play:
    """Packets of these tracks may be sent from now on."""

    tracks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The session was kept alive."""

    method: str


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """An RTCP packet came in the connection."""

    track: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Teardown:
    """The session is over: "asked" by the client, or "idle"."""

    reason: str


ServerEvent = RequestSeen | SetupDone | Play | KeepAlive | ControlPacket | Teardown


class State(Enum):
    """Where a session stands."""

    INIT = auto()
    READY = auto()
    PLAYING = auto()
    OVER = auto()


Handler = Callable[["ServerSession", Request, float], Response | None]


class ServerSession:
    """Answers one client's connection.

    nonce  gives fresh text for nonces and session ids
    """

    def __init__(self, config: ServerConfig, *, nonce: Callable[[], str]) -> None:
        self.state = State.INIT
        self.tracks: dict[int, Transport] = {}
        self._config = config
        self._quirks = config.quirks
        self._gate = Gatekeeper(config.log_in, nonce) if config.log_in else None
        self._id = nonce()
        self._framer = Framer()
        self._out: list[bytes] = []
        self._events: list[ServerEvent] = []
        self._last_kept = 0.0

    def receive(self, data: bytes, now: float) -> list[ServerEvent]:
        """Take bytes from the connection. Raises RtspError when they are not the protocol."""
        self._framer.feed(data)
        while (message := self._framer.next_message(now)) is not None:
            if isinstance(message, Request):
                self._request(message, now)
        return self._taken()

    def tick(self, now: float) -> list[ServerEvent]:
        """Do what is due: end an idle session."""
        due = self.deadline()
        if due is not None and now >= due:
            self.state = State.OVER
            self._events.append(Teardown("idle"))
        return self._taken()

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called, None when nothing is due."""
        if self.state in (State.READY, State.PLAYING):
            return self._last_kept + self._config.timeout_s
        return None

    def output(self) -> bytes:
        """Return what to send on the connection, and forget it."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def send(self, track: int, packet: bytes, *, rtcp: bool = False) -> None:
        """Queue a packet of a track that was set up over TCP.

        Raises ValueError when it was not, or the packet does not fit the framing's 16-bit length.
        """
        transport = self.tracks.get(track)
        if transport is None or transport.channels is None or len(packet) > 0xFFFF:
            raise ValueError(f"track {track} cannot take this packet")
        self._out.append(b"$%c%b%b" % (transport.channels[rtcp], len(packet).to_bytes(2, "big"), packet))

    def _taken(self) -> list[ServerEvent]:
        events, self._events = self._events, []
        return events

    def _request(self, request: Request, now: float) -> None:
        shown = tuple(item for item in request.headers if item[0].lower() != "authorization")
        self._events.append(RequestSeen(request.method, without_credentials(request.url), shown))
        response = self._judge(request, now)
        if response is None:
            return
        cseq = request.get("CSeq")
        headers = response.headers
        if cseq is not None and not self._quirks.no_cseq:
            headers = (("CSeq", cseq), *headers)
        if self.state is not State.INIT and request.method != "TEARDOWN":
            headers = (*headers, ("Session", f"{self._id};timeout={self._config.timeout_s}"))
        answer = Response(headers, response.body, "1.0", response.status, response.reason).serialise()
        if self._quirks.bare_line_feeds:
            head, _, body = answer.partition(b"\r\n\r\n")
            answer = head.replace(b"\r\n", b"\n") + b"\n\n" + body
        self._out.append(answer)

    def _judge(self, request: Request, now: float) -> Response | None:
        """Let the request in or not, then hand it to its row of the table; None leaves it unanswered."""
        if self._quirks.needs_user_agent and not request.get("User-Agent"):
            return respond(401)
        if self._gate:
            verdict = self._gate.check(request.get("Authorization"), request.method, request.url)
            if verdict != "ok":
                return respond(401, self._gate.challenges(verdict))
        said = parse_session(request.get("Session"))
        if said is not None and (said[0] != self._id or self.state is State.OVER):
            return respond(454)
        if request.method not in self._EVERYWHERE and request.method not in self._METHODS:
            return respond(501)
        handler = self._EVERYWHERE.get(request.method) or self.TABLE.get((self.state, request.method))
        if handler is None:
            return respond(455)
        if request.method in self._quirks.keepalive:
            self._last_kept = now
            if self.state in (State.READY, State.PLAYING):
                self._events.append(KeepAlive(request.method))
        return handler(self, request, now)

    def _options(self, _request: Request, _now: float) -> Response | None:
        quirks = self._quirks
        if quirks.options != "ok":
            return respond(405) if quirks.options == "refuse" else None
        listed = quirks.list_get_parameter
        if listed is None:
            listed = quirks.get_parameter == "ok"
        return respond(200, (("Public", _PUBLIC + (", GET_PARAMETER" if listed else "")),))

    def _get_parameter(self, _request: Request, _now: float) -> Response | None:
        answer = self._quirks.get_parameter
        if answer != "ok":
            return respond(405) if answer == "refuse" else None
        return respond(200)

    def _set_parameter(self, _request: Request, _now: float) -> Response | None:
        return respond(200)

    def _describe(self, request: Request, _now: float) -> Response | None:
        quirks = self._quirks
        if quirks.redirect is not None:
            if _path(request.url) != _path(quirks.redirect):
                return respond(302, (("Location", quirks.redirect),))
        elif self._config.path and _path(request.url) != self._config.path.rstrip("/"):
            return respond(404)
        base = request.url if request.url.endswith("/") else request.url + "/"
        medias = tuple(self._described(media, base) for media in self._config.medias)
        control = {"relative": "*", "absolute": base, "none": None}[quirks.control]
        body = SessionDescription(medias, control, "camera").serialise()
        headers: Headers = (("Content-Type", "application/sdp"),)
        if quirks.content_base:
            headers = (("Content-Base", base), *headers)
        return respond(200, headers, body)

    def _described(self, media: Media, base: str) -> Media:
        control = media.control if self._quirks.control == "relative" else f"{base}{media.control}"
        return Media(
            media.kind,
            media.port,
            media.proto,
            media.payload_types,
            media.rtpmap,
            {pt: self._parameters(params) for pt, params in media.fmtp.items()},
            control,
            media.direction,
            media.dimensions,
            media.framerate,
        )

    def _parameters(self, params: Mapping[str, str]) -> dict[str, str]:
        changed = dict(params)
        if self._quirks.no_sprop:
            changed = {
                name: value
                for name, value in changed.items()
                if not name.startswith("sprop-") and name != "config"
            }
        if self._quirks.wrong_profile and "profile-level-id" in changed:
            changed["profile-level-id"] = _WRONG_PROFILE
        return changed

    def _setup(self, request: Request, now: float) -> Response | None:
        url = request.url.rstrip("/")
        track = next(
            (i for i, media in enumerate(self._config.medias) if url.endswith(f"/{media.control}")), None
        )
        if track is None:
            return respond(404)
        chosen = None
        for offer in parse_transports(request.get("Transport") or ""):
            chosen = chosen or self._accepted(track, offer)
        if chosen is None:
            return respond(461)
        self.tracks[track] = chosen
        if self.state is State.INIT:
            self.state = State.READY
            self._last_kept = now
        if chosen.channels:
            self._framer.connect(
                {
                    transport.channels[1]: self._control_receiver(index)
                    for index, transport in self.tracks.items()
                    if transport.channels
                }
            )
        self._events.append(SetupDone(track, chosen))
        return respond(200, (("Transport", chosen.serialise()),))

    def _accepted(self, track: int, offer: Transport) -> Transport | None:
        """Accept one offer of a Transport header, or not."""
        if offer.multicast or ("tcp" if offer.tcp else "udp") not in self._quirks.transports:
            return None
        if offer.tcp:
            asked = offer.channels or (2 * track, 2 * track + 1)
            shift = self._quirks.channel_shift
            return Transport(tcp=True, channels=((asked[0] + shift) % 256, (asked[1] + shift) % 256))
        if offer.client_ports is None or track >= len(self._config.udp_ports):
            return None
        return Transport(
            tcp=False, client_ports=offer.client_ports, server_ports=self._config.udp_ports[track]
        )

    def _control_receiver(self, track: int) -> Callable[[bytes, int, int, float], None]:
        def receive(data: bytes, start: int, end: int, _now: float) -> None:
            self._events.append(ControlPacket(track, data[start:end]))

        return receive

    def _play(self, _request: Request, _now: float) -> Response | None:
        if self.state is State.READY:
            self.state = State.PLAYING
            if not self._quirks.silent:
                self._events.append(Play(tuple(sorted(self.tracks))))
        return respond(200, (("Range", "npt=0.000-"),))

    def _teardown(self, _request: Request, _now: float) -> Response | None:
        self.state = State.OVER
        self._events.append(Teardown("asked"))
        return respond(200)

    _EVERYWHERE: ClassVar[dict[str, Handler]] = {
        "OPTIONS": _options,
        "GET_PARAMETER": _get_parameter,
        "SET_PARAMETER": _set_parameter,
        "DESCRIBE": _describe,
    }
    # Every transition; a method that stands nowhere is answered 501, a pair that is not here 455.
    TABLE: ClassVar[dict[tuple[State, str], Handler]] = {
        (State.INIT, "SETUP"): _setup,
        (State.READY, "SETUP"): _setup,
        (State.READY, "PLAY"): _play,
        (State.PLAYING, "PLAY"): _play,
        (State.READY, "TEARDOWN"): _teardown,
        (State.PLAYING, "TEARDOWN"): _teardown,
    }
    _METHODS: ClassVar[frozenset[str]] = frozenset(("SETUP", "PLAY", "TEARDOWN"))


def _path(url: str) -> str:
    """Return the path of a request address, without query and slash at the end."""
    rest = url.partition("://")[2] or url
    return "/" + rest.partition("?")[0].partition("/")[2].rstrip("/")
