"""Requests of ours and their answers on one connection: numbering, matching, logging in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from agent.rtsp.auth import Authenticator
from agent.rtsp.errors import RtspError
from agent.rtsp.message import Headers, Request, Response
from agent.rtsp.url import RtspUrl, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.rtsp.events import ClientConfig

MAX_REDIRECTS = 5
_MAX_OUTPUT_BYTES = 256 * 1024  # a camera that asks without reading our answers


class State(Enum):
    """Where a session stands: which answer it waits for."""

    NEW = auto()
    OPTIONS = auto()
    DESCRIBE = auto()
    SETUP = auto()
    PLAY = auto()
    PLAYING = auto()
    REDIRECTED = auto()
    CLOSING = auto()
    OVER = auto()


class Kind(Enum):
    """What an answer means."""

    SUCCESS = auto()
    CHALLENGE = auto()
    REDIRECT = auto()
    FAILURE = auto()


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that is not answered yet; due is when its answer is late."""

    cseq: int
    method: str
    url: str
    headers: Headers
    authorised: bool
    due: float
    body: bytes = b""


class Exchange:
    """The requests of one session. At most one is unanswered at any time.

    pending  that one
    session  id that the camera gave, sent with every request from then on
    strays   answers to nothing that was asked
    """

    __slots__ = ("_auth", "_config", "_cseq", "_out", "_out_bytes", "pending", "session", "strays")

    def __init__(self, config: ClientConfig, nonce: Callable[[], str]) -> None:
        username, password = config.username, config.password
        if username is None:
            username, password = config.url.username, config.url.password
        self._config = config
        self._auth = Authenticator(username, password, allow_basic=config.allow_basic, cnonce=nonce)
        self.strays = 0
        self.reset()

    def reset(self) -> None:
        """Begin on a new connection; what is known of the log-in stays."""
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._cseq = 0
        self.pending: Pending | None = None
        self.session: str | None = None

    def take_output(self) -> bytes:
        """Return what to send, and forget it."""
        out = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        return out

    @property
    def realm(self) -> str:
        """Return the realm of the camera's log-in; empty while none was asked for."""
        return self._auth.realm

    def queue(self, data: bytes) -> None:
        """Add bytes to send."""
        self._out.append(data)
        self._out_bytes += len(data)

    def answer(self, response: Response) -> None:
        """Queue an answer to the camera. Raises RtspError "limit" when the camera asks and does not read."""
        self.queue(response.serialise())
        if self._out_bytes > _MAX_OUTPUT_BYTES:
            raise RtspError("limit", "the camera does not take our answers", limit_bytes=_MAX_OUTPUT_BYTES)

    def send(self, method: str, url: str, extra: Headers, now: float, body: bytes = b"") -> None:
        """Queue a request; it becomes the pending one."""
        self._cseq += 1
        headers = [("CSeq", str(self._cseq)), ("User-Agent", self._config.user_agent)]
        answer = self._auth.authorization(method, url)
        if answer is not None:
            headers.append(("Authorization", answer))
        if self.session is not None:
            headers.append(("Session", self.session))
        self.queue(Request((*headers, *extra), body, method=method, url=url).serialise())
        due = now + self._config.reply_timeout_s
        self.pending = Pending(self._cseq, method, url, extra, answer is not None, due, body)

    def match(self, response: Response) -> tuple[Kind, Pending] | None:
        """Find the request that an answer belongs to; it is no longer pending.

        A sequence number that is missing or was never sent belongs to the request that waits; one that was
        sent before belongs to a request that was given up.
        Returns None for provisional answers (1xx) and strays
        """
        if response.status < 200:
            return None
        pending, cseq = self.pending, response.cseq()
        if pending is None or (cseq is not None and 0 < cseq < pending.cseq):
            self.strays += 1
            return None
        self.pending = None
        if response.status < 300:
            if pending.authorised:
                self._auth.accepted(response.get("Authentication-Info"))
            return Kind.SUCCESS, pending
        if response.status < 400:
            return Kind.REDIRECT, pending
        return (Kind.CHALLENGE if response.status == 401 else Kind.FAILURE), pending

    def log_in(self, response: Response, pending: Pending, now: float) -> None:
        """Send a refused request again, with an answer to the challenge.

        Raises RtspError as `Authenticator.challenged`
        """
        self._auth.challenged(response.all("WWW-Authenticate"), answered=pending.authorised)
        self.send(pending.method, pending.url, pending.headers, now, pending.body)


def follow(old: RtspUrl, location: str | None, redirects: int) -> RtspUrl:
    """Decide where a redirect leads: only to the same host, never out of TLS, five times at most (quirk 35).

    Raises RtspError "redirect_refused", or "malformed_url" for a Location that is no address
    """
    if redirects > MAX_REDIRECTS:
        raise RtspError("redirect_refused", "the camera redirects without end", redirects=redirects)
    if not location:
        raise RtspError("redirect_refused", "the camera redirects to nowhere")
    new = parse_url(location)
    if new.host != old.host:
        raise RtspError(
            "redirect_refused", "the camera redirects to another host", host=old.host, target=new.host
        )
    if old.scheme == "rtsps" and new.scheme == "rtsp":
        raise RtspError("redirect_refused", "the camera redirects out of TLS", host=old.host)
    return RtspUrl(new.scheme, new.host, new.port, new.target)
