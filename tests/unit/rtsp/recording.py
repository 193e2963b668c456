"""A media server that takes what is published, in memory: the other end of `agent.rtsp.publisher`."""

from __future__ import annotations

from agent.rtsp.events import ClientConfig
from agent.rtsp.framing import Framer
from agent.rtsp.gatekeeper import Gatekeeper
from agent.rtsp.message import Request, respond
from agent.rtsp.publisher import PublisherSession
from agent.rtsp.sdp import SessionDescription
from agent.rtsp.url import parse_url
from tests.unit.rtsp.wire import VIDEO, counter

DESCRIPTION = SessionDescription((VIDEO,)).serialise()


class MediaServer:
    """Answers by the book, but for the methods whose answers are given.

    answers  method -> bytes to say instead; b"" says nothing
    """

    def __init__(self, log_in=None, *, channels="0-1", public="OPTIONS, GET_PARAMETER", answers=None) -> None:
        self.answers = dict(answers or {})
        self.public = public
        self.channels = channels
        self.gate = Gatekeeper(log_in, counter("n")) if log_in else None
        self.requests: list[Request] = []
        self.packets: list[bytes] = []
        self.description = b""
        self._framer = Framer()
        self._framer.connect(
            {int(channels[0]): lambda data, start, end, _: self.packets.append(data[start:end])}
        )
        self._out: list[bytes] = []

    def receive(self, data: bytes) -> bytes:
        """Take bytes; return what to say to them."""
        self._framer.feed(data)
        while (message := self._framer.next_message(0.0)) is not None:
            if isinstance(message, Request):
                self._serve(message)
        out, self._out = b"".join(self._out), []
        return out

    def _serve(self, request: Request) -> None:
        self.requests.append(request)
        cseq = ("CSeq", request.get("CSeq") or "0")
        if self.gate is not None:
            verdict = self.gate.check(request.get("Authorization"), request.method, request.url)
            if verdict != "ok":
                self._out.append(respond(401, (cseq, *self.gate.challenges(verdict))).serialise())
                return
        said = self.answers.get(request.method)
        if said is not None:
            self._out.append(said.replace(b"%CSEQ", cseq[1].encode()))
            return
        headers = [cseq]
        if request.method == "ANNOUNCE":
            self.description = request.body
        if request.method == "SETUP":
            assert "mode=record" in (request.get("Transport") or "")
            headers += [("Transport", f"RTP/AVP/TCP;unicast;interleaved={self.channels};mode=record")]
            headers += [("Session", "abc;timeout=30")]
        elif request.method in ("RECORD", "TEARDOWN", "GET_PARAMETER"):
            assert request.get("Session") == "abc"
        if request.method == "OPTIONS":
            headers.append(("Public", self.public))
        self._out.append(respond(200, tuple(headers)).serialise())

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]


class PublishWire:
    """A publisher and a media server, with a clock of their own."""

    def __init__(self, server: MediaServer | None = None, *, url="rtsp://media/box/cam01", **config) -> None:
        self.now = 100.0
        self.server = server or MediaServer()
        settings = {"reply_timeout_s": 5.0, "setup_timeout_s": 15.0, **config}
        self.session = PublisherSession(
            ClientConfig(parse_url(url), **settings), DESCRIPTION, nonce=counter("c")
        )
        self.events: list[object] = []
        self.log = b""

    def start(self) -> PublishWire:
        self.session.start(self.now)
        return self.exchange()

    def exchange(self) -> PublishWire:
        while out := self.session.output():
            self.log += out
            back = self.server.receive(out)
            if back:
                self.events += self.session.receive(back, self.now)
        return self

    def pass_time(self, seconds: float, step: float = 0.5) -> PublishWire:
        until = self.now + seconds
        while self.now < until:
            self.now += step
            due = self.session.deadline()
            if due is not None and self.now >= due:
                self.events += self.session.tick(self.now)
            self.exchange()
        return self
