"""One stream brought to a media server: ANNOUNCE, SETUP for recording, RECORD, and keeping the session alive.

Pure, like `agent.rtsp.client`, whose requests, log-in and framing it shares: bytes and times in, events and bytes out;
the next timer is a return value. The packets themselves are the caller's: from `Recording` on it sends them in
interleaved frames on its channel, between what `output` returns and never inside it. Whatever a media server says,
nothing goes anywhere else: redirects are refused.

Source RFC 2326 sections 10.3, 10.4, 10.11, 10.12 and 12.39 (mode=record)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

from agent.rtsp.announce import CONTENT_TYPE
from agent.rtsp.errors import RtspError
from agent.rtsp.events import Ended
from agent.rtsp.exchange import Exchange, Kind, Pending
from agent.rtsp.framing import Framer
from agent.rtsp.message import Headers, Request, Response, respond
from agent.rtsp.sdp import parse_sdp
from agent.rtsp.text import shown
from agent.rtsp.transport import DEFAULT_TIMEOUT_S, Transport, parse_session, parse_transports
from agent.rtsp.url import control_url

if TYPE_CHECKING:
    from agent.rtsp.events import ClientConfig

KEEPALIVE_MAX_S = 25.0
UNANSWERED = 3  # keepalives in a row: the server is gone, whatever its machine's TCP still acknowledges
MAX_UNASKED = 200  # messages nobody asked for, between two keepalives
_PUBLIC = "OPTIONS, GET_PARAMETER, SET_PARAMETER, TEARDOWN"


@dataclass(frozen=True, slots=True)
class Recording:
    """RECORD was answered: packets may be sent, on this interleaved channel."""

    channel: int


PublisherEvent = Recording | Ended


class PublisherState(Enum):
    """Where a session stands: which answer it waits for."""

    NEW = auto()
    ANNOUNCE = auto()
    SETUP = auto()
    RECORD = auto()
    RECORDING = auto()
    CLOSING = auto()
    OVER = auto()


State = PublisherState
_Handler = Callable[["PublisherSession", Response, Pending, float], None]


class PublisherSession:
    """The machine: give it what arrives, send what `output` returns, call `tick` when `deadline` has come.

    state       where it stands
    unanswered  keepalives in a row without an answer
    refused     keepalives that were answered with an error: borne
    """

    def __init__(self, config: ClientConfig, description: bytes, *, nonce: Callable[[], str]) -> None:
        """Make a session that has not begun.

        config       address and log-in of the media server; idle_timeout_s and transport mean nothing here
        description  of one video stream, as `agent.rtsp.announce.describe` writes it
        nonce        gives fresh random text for Digest
        Raises       RtspError "malformed_sdp", "limit", and "no_video" for a description of anything else
        """
        medias = parse_sdp(description).medias
        if len(medias) != 1 or medias[0].kind != "video":
            raise RtspError(
                "no_video", "one video stream is published, and nothing else", streams=len(medias)
            )
        self.state = State.NEW
        self.unanswered = 0
        self.refused = 0
        self._config = config
        self._description = description
        self._url = config.url.request()
        self._setup_url = control_url(self._url, medias[0].control)
        self._exchange = Exchange(config, nonce)
        self._framer = Framer()
        self._events: list[PublisherEvent] = []
        self._set_up = False
        self._setup_until = self._keepalive_at = 0.0
        self._timeout_s = float(DEFAULT_TIMEOUT_S)
        self._keepalive_method = "OPTIONS"
        self._channel = 0
        self._unasked = 0

    def start(self, now: float) -> None:
        """Begin on a new connection. Once only."""
        if self.state is not State.NEW:
            raise ValueError(f"a session starts once; this one is {self.state.name}")
        self._setup_until = now + self._config.setup_timeout_s
        self.state = State.ANNOUNCE
        self._exchange.send("ANNOUNCE", self._url, (CONTENT_TYPE,), now, self._description)

    def receive(self, data: bytes, now: float) -> list[PublisherEvent]:
        """Take bytes from the connection. Raises RtspError when the session is over."""
        try:
            if not self._is_deaf():
                self._framer.feed(data)
            while not self._is_deaf() and (message := self._framer.next_message(now)) is not None:
                if isinstance(message, Request):
                    self._serve(message)
                else:
                    self._answered(message, now)
        except RtspError:
            self._over()
            raise
        return self._taken()

    def tick(self, now: float) -> list[PublisherEvent]:
        """Do what is due. Raises RtspError "timeout"; context phase: the state that waited, or "set-up" as a whole."""
        try:
            self._due(now)
        except RtspError:
            self._over()
            raise
        return self._taken()

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called, None when nothing will be due."""
        pending = self._exchange.pending
        if self.state in (State.NEW, State.OVER):
            return None
        if self.state is State.RECORDING:
            return pending.due if pending is not None else self._keepalive_at
        assert pending is not None  # every other state waits for an answer
        return pending.due if self.state is State.CLOSING else min(pending.due, self._setup_until)

    def output(self) -> bytes:
        """Return what to send, whole requests and answers, and forget it."""
        return self._exchange.take_output()

    def close(self, now: float) -> None:
        """Queue TEARDOWN if the server holds a session for us; `Ended` follows its answer or its timeout."""
        if self.state is State.CLOSING:
            return
        if self._set_up:
            self._set_up = False
            self._exchange.send("TEARDOWN", self._url, (), now)
            self.state = State.CLOSING
        else:
            self._over()

    # events, errors, timers

    def _is_deaf(self) -> bool:
        return self.state in (State.NEW, State.OVER)

    def _taken(self) -> list[PublisherEvent]:
        events, self._events = self._events, []
        return events

    def _over(self) -> None:
        self.state = State.OVER
        self._exchange.pending = None
        self._set_up = False

    def _end(self, reason: str) -> None:
        self._over()
        self._events.append(Ended(reason))

    def _due(self, now: float) -> None:
        pending = self._exchange.pending
        late = pending is not None and now >= pending.due
        if self.state is State.RECORDING:
            if late:
                self._exchange.pending = None
                self._missed()
            if self._exchange.pending is None and now >= self._keepalive_at:
                self._keep_alive(now)
        elif self.state is State.CLOSING:
            if late:
                self._end("closed")
        elif self.state not in (State.NEW, State.OVER):
            phase, after_s = self.state.name.lower(), self._config.reply_timeout_s
            if now >= self._setup_until:
                phase, after_s, late = "set-up", self._config.setup_timeout_s, True
            if late:
                raise RtspError("timeout", "the media server does not answer", phase=phase, after_s=after_s)

    def _missed(self) -> None:
        self.unanswered += 1
        self._keepalive_method = "OPTIONS"
        if self.unanswered >= UNANSWERED:
            raise RtspError(
                "timeout", "the media server does not answer", phase="recording", unanswered=self.unanswered
            )

    def _keep_alive(self, now: float) -> None:
        self._unasked = 0
        self._keepalive_at = now + min(self._timeout_s / 2, KEEPALIVE_MAX_S)
        self._exchange.send(self._keepalive_method, self._url, (), now)

    # answers to our requests

    def _answered(self, response: Response, now: float) -> None:
        matched = self._exchange.match(response)
        if matched is None:
            self._count_unasked()
            return
        kind, pending = matched
        self.TABLE[self.state, kind](self, response, pending, now)

    def _count_unasked(self) -> None:
        self._unasked += 1
        if self._unasked > MAX_UNASKED:
            raise RtspError("limit", "the media server floods the session with messages", limit=MAX_UNASKED)

    def _log_in(self, response: Response, pending: Pending, now: float) -> None:
        self._exchange.log_in(response, pending, now)

    def _redirected(self, _response: Response, pending: Pending, _now: float) -> None:
        raise RtspError("redirect_refused", "the media server sends us elsewhere", method=pending.method)

    def _refused_by(self, response: Response, pending: Pending, _now: float) -> None:
        code = "transport_refused" if response.status == 461 else "status"
        raise RtspError(
            code,
            f"the media server refuses {pending.method}",
            status=response.status,
            reason=shown(response.reason),
            phase=self.state.name.lower(),
        )

    def _announced(self, response: Response, _pending: Pending, now: float) -> None:
        self._learn_session(response)
        self.state = State.SETUP
        offer = Transport(tcp=True, channels=(0, 1)).serialise() + ";mode=record"
        self._exchange.send("SETUP", self._setup_url, (("Transport", offer),), now)

    def _learn_session(self, response: Response) -> None:
        session = parse_session(response.get("Session"))
        if session is not None:
            self._exchange.session, self._timeout_s = session[0], float(session[1])

    def _setup_done(self, response: Response, _pending: Pending, now: float) -> None:
        self._set_up = True
        self._learn_session(response)
        answers = parse_transports(response.get("Transport") or "")
        chosen = answers[0] if answers else Transport(tcp=True)
        if not chosen.tcp or chosen.multicast:
            raise RtspError("transport_refused", "the media server chooses another transport", asked="tcp")
        self._channel = (chosen.channels or (0, 1))[0]
        self.state = State.RECORD
        self._exchange.send("RECORD", self._url, (("Range", "npt=0.000-"),), now)

    def _record_done(self, _response: Response, _pending: Pending, now: float) -> None:
        self.state = State.RECORDING
        self._keepalive_at = now + min(self._timeout_s / 2, KEEPALIVE_MAX_S)
        self._events.append(Recording(self._channel))

    def _kept_alive(self, response: Response, _pending: Pending, _now: float) -> None:
        self.unanswered = 0
        public = ",".join(response.all("Public")).upper()
        if "GET_PARAMETER" in [method.strip() for method in public.split(",")]:
            self._keepalive_method = "GET_PARAMETER"

    def _keepalive_challenged(self, response: Response, pending: Pending, now: float) -> None:
        """Answer a stale nonce; a real refusal is borne while packets are taken."""
        try:
            self._log_in(response, pending, now)
        except RtspError:
            self._keepalive_refused(response, pending, now)

    def _keepalive_refused(self, response: Response, _pending: Pending, _now: float) -> None:
        if response.status == 454:
            raise RtspError(
                "closed", "the media server has forgotten the session", status=454, phase="recording"
            )
        self.unanswered = 0
        self.refused += 1
        self._keepalive_method = "OPTIONS"

    def _torn_down(self, _response: Response, _pending: Pending, _now: float) -> None:
        self._end("closed")

    # requests of the server

    def _serve(self, request: Request) -> None:
        self._count_unasked()
        headers: Headers = (("CSeq", request.get("CSeq") or "0"),)
        method = request.method
        if method == "OPTIONS":
            headers = (*headers, ("Public", _PUBLIC))
        self._exchange.answer(respond(200 if method in _PUBLIC.split(", ") else 501, headers))
        if method == "TEARDOWN":
            self._end("torn_down")
        elif method == "REDIRECT":
            raise RtspError("redirect_refused", "the media server sends us elsewhere", method=method)

    # Every transition that an answer causes.
    TABLE: ClassVar[dict[tuple[State, Kind], _Handler]] = {
        (State.ANNOUNCE, Kind.SUCCESS): _announced,
        (State.ANNOUNCE, Kind.CHALLENGE): _log_in,
        (State.ANNOUNCE, Kind.REDIRECT): _redirected,
        (State.ANNOUNCE, Kind.FAILURE): _refused_by,
        (State.SETUP, Kind.SUCCESS): _setup_done,
        (State.SETUP, Kind.CHALLENGE): _log_in,
        (State.SETUP, Kind.REDIRECT): _redirected,
        (State.SETUP, Kind.FAILURE): _refused_by,
        (State.RECORD, Kind.SUCCESS): _record_done,
        (State.RECORD, Kind.CHALLENGE): _log_in,
        (State.RECORD, Kind.REDIRECT): _redirected,
        (State.RECORD, Kind.FAILURE): _refused_by,
        (State.RECORDING, Kind.SUCCESS): _kept_alive,
        (State.RECORDING, Kind.CHALLENGE): _keepalive_challenged,
        (State.RECORDING, Kind.REDIRECT): _keepalive_refused,
        (State.RECORDING, Kind.FAILURE): _keepalive_refused,
        (State.CLOSING, Kind.SUCCESS): _torn_down,
        (State.CLOSING, Kind.CHALLENGE): _torn_down,
        (State.CLOSING, Kind.REDIRECT): _torn_down,
        (State.CLOSING, Kind.FAILURE): _torn_down,
    }
