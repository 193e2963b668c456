"""One camera session, the client's side: log-in, SETUP of one video stream, PLAY, and keeping it alive.

Pure: bytes and times in, events and bytes out; the next timer is a return value. There is one SETUP in this
module, and its address is that of the chosen video stream: sound cannot be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Ended, Event, Playing, Redirected, SessionStats
from agent.rtsp.exchange import Exchange, Kind, Pending, State, follow
from agent.rtsp.framing import Framer
from agent.rtsp.media_path import MediaPath
from agent.rtsp.message import Headers, Request, Response, respond
from agent.rtsp.offer import Choice, choose
from agent.rtsp.sdp import parse_sdp
from agent.rtsp.text import shown
from agent.rtsp.transport import DEFAULT_TIMEOUT_S, parse_session
from agent.rtsp.url import content_base

REPORT_INTERVAL_S = 5.0  # RFC 3550 section 6.2
KEEPALIVE_MAX_S = 25.0  # well below the 30 s at which the strictest NAT tables forget a UDP binding
MAX_UNASKED = 200  # messages nobody asked for, between two reports; each takes 20 us of the shared loop
_PUBLIC = "OPTIONS, GET_PARAMETER, SET_PARAMETER, ANNOUNCE, REDIRECT, TEARDOWN"


_Handler = Callable[["ClientSession", Response, Pending, float], None]


class ClientSession:
    """The machine: give it what arrives, send what `output` returns, call `tick` when `deadline` has come.

    An RtspError out of `receive`, `receive_udp` or `tick` ends the session; `close` and one last `output`
    then still tell the camera, so that it frees one of its few places (quirks 25, 38).
    """

    def __init__(self, config: ClientConfig, *, ssrc: int, nonce: Callable[[], str]) -> None:
        """Make a session that has not begun.

        ssrc   our own, for receiver reports
        nonce  gives fresh random text for Digest
        """
        self.state = State.NEW
        self.url = config.url
        self._config = config
        self._ssrc = ssrc
        self._exchange = Exchange(config, nonce)
        self._events: list[Event] = []
        self._error: tuple[RtspError, float] | None = None
        self._redirects = 0
        self._setup_until: float | None = None
        self._unanswered = 0
        self._refused = 0
        self._unasked = 0
        self._reset()

    def _reset(self) -> None:
        """Forget the connection before."""
        self._exchange.reset()
        self._framer = Framer()
        self._media: MediaPath | None = None
        self._choice: Choice | None = None
        self._set_up = False
        self._timeout_s = float(DEFAULT_TIMEOUT_S)
        self._keepalive_method = "OPTIONS"
        self._keepalive_at = self._report_at = self._idle_at = 0.0

    # what the shell calls

    def start(self, now: float) -> None:
        """Begin on a new connection to `url`: queue the first request. Also after `Redirected`."""
        if self.state not in (State.NEW, State.REDIRECTED):
            raise ValueError(f"a session starts once, and after a redirect; this one is {self.state.name}")
        self._reset()
        if self._setup_until is None:
            self._setup_until = now + self._config.setup_timeout_s
        self.state = State.OPTIONS
        self._exchange.send("OPTIONS", self.url.request(), (), now)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the RTSP connection.

        Returns  events and access units, in order; units may come before `Playing`, since cameras do not wait
        Raises   RtspError when the session is over; never before what came ahead of the error was returned
        """
        self._raise_error()
        try:
            if self.state not in _DEAF:
                self._framer.feed(data)
            while self.state not in _DEAF and (message := self._framer.next_message(now)) is not None:
                self._drain(now)
                if isinstance(message, Request):
                    self._serve(message, now)
                else:
                    self._answered(message, now)
        except RtspError as error:
            self._error = (error, now)
        self._drain(now)
        return self._taken()

    def receive_udp(self, rtcp: bool, data: bytes, now: float) -> list[Event]:
        """Take one datagram from the camera's RTP or RTCP port. Raises RtspError as `receive` does."""
        self._raise_error()
        if self._media is not None and self._config.transport == "udp" and self.state not in _DEAF:
            self._media.push_datagram(rtcp, data, now)
            self._drain(now)
        return self._taken()

    def tick(self, now: float) -> list[Event]:
        """Do what is due.

        Raises RtspError "timeout"; context phase: the state that waited, "set-up" as a whole, or "media"
        """
        self._raise_error()
        try:
            self._due(now)
        except RtspError as error:
            self._error = (error, now)
        return self._taken()

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called, None when nothing will be due."""
        if self._error is not None:
            return self._error[1]
        times = [self._exchange.pending.due] if self._exchange.pending else []
        if self.state in (State.NEW, State.OVER):
            return None
        if self.state is State.PLAYING:
            times += [self._idle_at, self._report_at]
            if self._exchange.pending is None:
                times.append(self._keepalive_at)
        elif self._setup_until is not None:
            times.append(self._setup_until)
        return min(times)

    def output(self) -> bytes:
        """Return what to send on the RTSP connection, and forget it."""
        return self._exchange.take_output()

    def udp_output(self) -> list[tuple[bool, bytes]]:
        """Return datagrams to send to `server_ports` of the camera, as (to the RTCP port?, datagram)."""
        if self._media is None:
            return []
        out, self._media.datagrams = self._media.datagrams, []
        return out

    def close(self, now: float) -> None:
        """Queue TEARDOWN if the camera holds a session for us.

        `Ended` follows its answer or its timeout; after an error nothing follows, and nothing more is read.
        """
        if self.state is State.CLOSING:
            return
        failed = self.state is State.OVER or self._error is not None
        self._error = None
        if self._set_up:
            self._set_up = False
            self._framer.connect({})
            self._exchange.send("TEARDOWN", self._play_url(), (), now)
            self.state = State.CLOSING
        if failed or self.state is not State.CLOSING:
            self.state = State.OVER
            self._exchange.pending = None

    def connection_lost(self, now: float) -> list[Event]:
        """Learn that the peer closed the connection. Raises RtspError "closed" unless we were closing."""
        self._raise_error()
        if self.state is State.CLOSING:
            self._end("closed")
        elif self.state not in _DEAF:
            phase = self.state.name.lower()
            self._error = (RtspError("closed", "the camera closed the connection", phase=phase), now)
        return self._taken()

    @property
    def server_ports(self) -> tuple[int, int] | None:
        """UDP ports of the camera, for `udp_output`: known from the answer to SETUP on."""
        return self._media.server_ports if self._media else None

    @property
    def missing(self) -> int | None:
        """Return how many bytes of what comes next end a frame that began before; None where that is not known."""
        return self._framer.missing

    @property
    def channel(self) -> int | None:
        """Return the interleaved channel on which the pictures come; None before SETUP was answered, and over UDP."""
        return self._media.channel if self._media and self._set_up else None

    @property
    def source(self) -> int | None:
        """Return the SSRC whose packets are taken; None while none has come."""
        return self._media.source if self._media else None

    @property
    def stats(self) -> SessionStats:
        """Counts since the connection began."""
        return SessionStats(
            self._framer.foreign_frames,
            self._framer.skipped_bytes,
            self._exchange.strays,
            self._unanswered,
            self._refused,
            self._media.stats if self._media else None,
        )

    # events, errors, timers

    def _taken(self) -> list[Event]:
        """Return the events; an error waits until what came before it was taken."""
        events, self._events = self._events, []
        if self._error is not None and not events:
            self._raise_error()
        return events

    def _raise_error(self) -> None:
        if self._error is not None:
            error, _ = self._error
            self._error = None
            self.state = State.OVER
            self._exchange.pending = None
            raise error

    def _drain(self, now: float) -> None:
        """Move finished access units to the events, and note that pictures come."""
        if self._media is not None and self._media.pull(self._events):
            self._idle_at = now + self._config.idle_timeout_s

    def _end(self, reason: str) -> None:
        if self._media is not None:
            self._media.flush(self._events)
        self._events.append(Ended(reason))
        self.state = State.OVER
        self._exchange.pending = None
        self._set_up = False

    def _due(self, now: float) -> None:
        pending, config = self._exchange.pending, self._config
        late = pending is not None and now >= pending.due
        if self.state is State.PLAYING:
            if now >= self._idle_at:
                raise RtspError("timeout", "no pictures come", phase="media", after_s=config.idle_timeout_s)
            if late:
                self._unanswered += 1
                self._exchange.pending = None
                self._keepalive_method = "OPTIONS"
            if self._exchange.pending is None and now >= self._keepalive_at:
                self._keepalive_at = now + self._keepalive_interval()
                self._exchange.send(self._keepalive_method, self._play_url(), (), now)
            if now >= self._report_at:
                self._report_at = now + REPORT_INTERVAL_S
                self._unasked = 0
                assert self._media is not None  # made before SETUP was sent
                self._exchange.queue(self._media.report(now))
        elif self.state is State.CLOSING:
            if late:
                self._end("closed")
        elif self._setup_until is not None and now >= self._setup_until:
            raise RtspError(
                "timeout", "set-up takes too long", phase="set-up", after_s=config.setup_timeout_s
            )
        elif late:
            phase = self.state.name.lower()
            raise RtspError(
                "timeout", "the camera does not answer", phase=phase, after_s=config.reply_timeout_s
            )

    def _keepalive_interval(self) -> float:
        return min(self._timeout_s / 2, KEEPALIVE_MAX_S)

    # answers to our requests

    def _answered(self, response: Response, now: float) -> None:
        """Hand an answer to its row of the table."""
        matched = self._exchange.match(response)
        if matched is None:
            self._count_unasked()
            return
        kind, pending = matched
        self.TABLE[self.state, kind](self, response, pending, now)

    def _count_unasked(self) -> None:
        self._unasked += 1
        if self._unasked > MAX_UNASKED:
            raise RtspError("limit", "the camera floods the session with messages", limit=MAX_UNASKED)

    def _log_in(self, response: Response, pending: Pending, now: float) -> None:
        self._exchange.log_in(response, pending, now)

    def _redirect(self, response: Response, _pending: Pending, now: float) -> None:
        self._follow(response.get("Location"), now)

    def _follow(self, location: str | None, now: float) -> None:
        self._redirects += 1
        self.url = follow(self.url, location, self._redirects)
        self.state = State.REDIRECTED
        self._exchange.pending = None
        self._set_up = False
        if self._setup_until is None:
            self._setup_until = now + self._config.setup_timeout_s
        self._events.append(Redirected(self.url))

    def _refused_by(self, response: Response, pending: Pending, _now: float) -> None:
        raise RtspError(
            "status",
            f"the camera refuses {pending.method}",
            status=response.status,
            reason=shown(response.reason),
            phase=self.state.name.lower(),
        )

    def _options_done(self, response: Response, _pending: Pending, now: float) -> None:
        """Go on to DESCRIBE, whatever OPTIONS brought: some cameras need it, others refuse it."""
        public = ",".join(response.all("Public")).upper()
        if "GET_PARAMETER" in [method.strip() for method in public.split(",")]:
            self._keepalive_method = "GET_PARAMETER"
        self.state = State.DESCRIBE
        self._exchange.send("DESCRIBE", self.url.request(), (("Accept", "application/sdp"),), now)

    def _options_challenged(self, response: Response, pending: Pending, now: float) -> None:
        if response.get("WWW-Authenticate") is None:
            self._options_done(response, pending, now)
        else:
            self._log_in(response, pending, now)

    def _described(self, response: Response, pending: Pending, now: float) -> None:
        base = content_base(pending.url, response.get("Content-Base"), response.get("Content-Location"))
        description = parse_sdp(response.body)
        self._choice = choice = choose(description, base)
        self._media = MediaPath(self._config, choice, self._ssrc)
        said = (description.user, description.name, description.info, description.tool)
        device = {
            "server": response.get("Server") or "",
            "realm": self._exchange.realm,
            "description": "\n".join(said),
        }
        self._events.append(replace(choice.described, device=device))
        self.state = State.SETUP
        offer = self._media.offer()
        self._exchange.send("SETUP", choice.setup_url, (("Transport", offer),), now)

    def _setup_done(self, response: Response, _pending: Pending, now: float) -> None:
        self._set_up = True
        session = parse_session(response.get("Session"))
        if session is not None:
            self._exchange.session, self._timeout_s = session[0], float(session[1])
        assert self._media is not None  # made before SETUP was sent
        self._media.agree(response.get("Transport"), self._framer, now)
        self.state = State.PLAY
        self._exchange.send("PLAY", self._play_url(), (("Range", "npt=0.000-"),), now)

    def _setup_refused(self, response: Response, pending: Pending, now: float) -> None:
        if response.status == 461:
            raise RtspError(
                "transport_refused",
                "the camera refuses the transport",
                asked=self._config.transport,
                status=response.status,
            )
        self._refused_by(response, pending, now)

    def _play_url(self) -> str:
        return self._choice.play_url if self._choice else self.url.request()

    def _play_done(self, _response: Response, _pending: Pending, now: float) -> None:
        self.state = State.PLAYING
        self._setup_until = None
        self._idle_at = now + self._config.idle_timeout_s
        self._report_at = now + REPORT_INTERVAL_S
        self._keepalive_at = now + self._keepalive_interval()
        self._events.append(Playing(self.server_ports))

    def _kept_alive(self, _response: Response, _pending: Pending, _now: float) -> None:
        """Nothing to do: the next keepalive is already due at its time."""

    def _keepalive_challenged(self, response: Response, pending: Pending, now: float) -> None:
        """Answer a stale nonce; a real refusal is borne while pictures come."""
        try:
            self._log_in(response, pending, now)
        except RtspError:
            self._keepalive_refused(response, pending, now)

    def _keepalive_refused(self, response: Response, _pending: Pending, _now: float) -> None:
        if response.status == 454:
            raise RtspError("closed", "the camera has forgotten the session", status=454, phase="playing")
        self._refused += 1
        self._keepalive_method = "OPTIONS"

    def _torn_down(self, _response: Response, _pending: Pending, _now: float) -> None:
        self._end("closed")

    # requests of the camera

    def _serve(self, request: Request, now: float) -> None:
        """Answer a request of the camera, in any state."""
        self._count_unasked()
        headers: Headers = (("CSeq", request.get("CSeq") or "0"),)
        method = request.method
        if method == "OPTIONS":
            headers = (*headers, ("Public", _PUBLIC))
        status = 200 if method in _PUBLIC.split(", ") else 501
        self._exchange.answer(respond(status, headers))
        if method == "TEARDOWN":
            self._end("torn_down")
        elif method == "REDIRECT" and self.state is not State.CLOSING:
            if self._set_up:
                self._exchange.send("TEARDOWN", self._play_url(), (), now)
            self._follow(request.get("Location"), now)

    # Every transition that an answer causes.
    TABLE: ClassVar[dict[tuple[State, Kind], _Handler]] = {
        (State.OPTIONS, Kind.SUCCESS): _options_done,
        (State.OPTIONS, Kind.CHALLENGE): _options_challenged,
        (State.OPTIONS, Kind.REDIRECT): _redirect,
        (State.OPTIONS, Kind.FAILURE): _options_done,
        (State.DESCRIBE, Kind.SUCCESS): _described,
        (State.DESCRIBE, Kind.CHALLENGE): _log_in,
        (State.DESCRIBE, Kind.REDIRECT): _redirect,
        (State.DESCRIBE, Kind.FAILURE): _refused_by,
        (State.SETUP, Kind.SUCCESS): _setup_done,
        (State.SETUP, Kind.CHALLENGE): _log_in,
        (State.SETUP, Kind.REDIRECT): _redirect,
        (State.SETUP, Kind.FAILURE): _setup_refused,
        (State.PLAY, Kind.SUCCESS): _play_done,
        (State.PLAY, Kind.CHALLENGE): _log_in,
        (State.PLAY, Kind.REDIRECT): _redirect,
        (State.PLAY, Kind.FAILURE): _refused_by,
        (State.PLAYING, Kind.SUCCESS): _kept_alive,
        (State.PLAYING, Kind.CHALLENGE): _keepalive_challenged,
        (State.PLAYING, Kind.REDIRECT): _keepalive_refused,
        (State.PLAYING, Kind.FAILURE): _keepalive_refused,
        (State.CLOSING, Kind.SUCCESS): _torn_down,
        (State.CLOSING, Kind.CHALLENGE): _torn_down,
        (State.CLOSING, Kind.REDIRECT): _torn_down,
        (State.CLOSING, Kind.FAILURE): _torn_down,
    }


_DEAF = frozenset((State.NEW, State.REDIRECTED, State.OVER))
