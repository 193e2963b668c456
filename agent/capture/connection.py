"""One camera's sockets around its RTSP session machine. Edge: non-blocking, nothing here waits."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

from agent.capture.datagrams import Datagrams
from agent.rtsp.client import ClientSession
from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.capture.live import Handout
    from agent.rtsp.url import RtspUrl

RECEIVE_BYTES = 256 << 10  # one call carries what a 4 Mbit/s camera sends in half a second
RECORD_BYTES = 16 << 10  # a TLS record holds no more (RFC 8446 5.1), and a receive gives one
TURN_BYTES = 2 << 20  # 20 MB/s a camera; more waits for the next turn, so that no camera starves the others
LOOK_UP_S = 15.0  # a dead name server makes the C library wait 5 s for the next
CONNECT_S = 1.5  # SYN and one repetition of it; a camera that came back then waits no longer for the next try
TLS_S = 5.0  # cameras with weak processors need a second


class Login(NamedTuple):
    """Where a camera is and how to log in; never printed."""

    url: str
    username: str | None
    password: str | None
    transport: str
    allow_basic: bool

    def __repr__(self) -> str:
        return "Login(...)"


class Connection:
    """A session from the name look-up to the TEARDOWN.

    Raises from every call RtspError when the session is over by the protocol, OSError when the network ends it.
    """

    def __init__(
        self,
        login: Login,
        url: RtspUrl,
        poller: select.epoll,
        now: float,
        witness: Callable[[bytes], None] | None = None,
        *,
        live: Handout | None = None,
    ) -> None:
        """Begin with the name look-up.

        witness  is given what has come before anything reads it; so is live
        """
        self.sockets: list[socket.socket] = []
        self._login = login
        self._witness = witness
        self.live = live
        self._url = url
        self._poller = poller
        self._deadline = now + LOOK_UP_S
        self._stream: socket.socket | None = None
        self._session: ClientSession | None = None
        self._phase: Callable[[float], bool] = self._connecting
        self._unsent = b""
        self._would_block: tuple[type[OSError], ...] = (BlockingIOError,)
        self._secured = False
        self._certificate = b""
        self._handshake: Callable[[], None] = lambda: None
        self._shown: Callable[[], bytes] = lambda: b""
        self._udp: Datagrams | None = None
        self._peer = ""
        self._failure: RtspError | OSError | None = None
        self._found: list[object] = []
        if _is_address(url.host):
            self._found.append((socket.AF_INET6 if ":" in url.host else socket.AF_INET, url.host))
        else:
            # The resolver of the C library blocks; a camera's name must not stop the others.
            threading.Thread(target=_resolve, args=(url.host, self._found), daemon=True).start()

    @property
    def certificate(self) -> bytes:
        """Return what the camera identified itself with (DER), empty where the line is not encrypted."""
        return self._certificate

    @property
    def session(self) -> ClientSession | None:
        """Return the session machine once the connection stands."""
        return self._session

    def due(self, now: float) -> list[Event]:
        """Do what time asks for."""
        self._raise_failure()
        if not self._phase(now):
            if now >= self._deadline:
                raise TimeoutError(errno.ETIMEDOUT, "the camera does not answer")
            return []
        session = self._session
        assert session is not None
        deadline = session.deadline()
        if deadline is None or now < deadline:
            return []
        events = session.tick(now)
        self._send(session)
        return events

    def receive(self, sock: socket.socket, now: float) -> list[Event]:
        """Read what has come on one of the sockets."""
        session = self._session
        if session is None:
            return []
        self._raise_failure()
        events: list[Event] = []
        try:
            if sock is self._stream:
                self._receive_stream(session, now, events)
            else:
                self._receive_datagrams(session, sock, now, events)
            self._send(session)
        except (RtspError, OSError) as error:
            # The pictures that came before the end are recorded first.
            self._failure = error
            if not events:
                raise
        return events

    def redirect(self, url: RtspUrl, now: float) -> None:
        """Connect the same session to another address of the same host."""
        stream = self._stream
        assert stream is not None
        self.sockets.remove(stream)
        self._poller.unregister(stream)
        stream.close()
        self._url = url
        self._unsent = b""
        self._failure = None  # of the connection that is left
        self._secured = False
        self._would_block = (BlockingIOError,)
        self._phase = self._connecting
        self._deadline = now + CONNECT_S

    def close(self, now: float) -> None:
        """Say TEARDOWN where that is possible, and let go of everything."""
        if self._session is not None and self._stream is not None:
            with contextlib.suppress(Exception):  # whatever it is, the sockets must be let go of
                self._session.close(now)
                self._send(self._session)
        for sock in self.sockets:
            with contextlib.suppress(OSError, ValueError):
                self._poller.unregister(sock)
            sock.close()
        self.sockets = []

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _receive_stream(self, session: ClientSession, now: float, events: list[Event]) -> None:
        stream = self._stream
        assert stream is not None
        wanted = RECORD_BYTES if self._secured else RECEIVE_BYTES
        left = TURN_BYTES
        while left > 0:
            try:
                data = stream.recv(wanted)
            except self._would_block:
                return
            if not data:
                raise RtspError("closed", "the camera closed the connection")
            if self._witness is not None:
                self._witness(data)
            if self.live is not None:
                self.live.take(data, session, now)
            events += session.receive(data, now)
            left -= len(data)
            # Cameras put each packet into a record of its own: a short one says nothing about what waits.
            if len(data) < wanted and not self._secured:
                return

    def _receive_datagrams(
        self, session: ClientSession, sock: socket.socket, now: float, events: list[Event]
    ) -> None:
        assert self._udp is not None
        rtcp = self._udp.is_rtcp(sock)
        for data in self._udp.receive(sock, session.server_ports):
            if self._witness is not None:
                self._witness(data)
            if self.live is not None and not rtcp:
                self.live.take_datagram(data, session, now)
            events += session.receive_udp(rtcp, data, now)

    # Phases before the session; each returns true when the session stands.

    def _connecting(self, now: float) -> bool:
        if not self._found:
            return False
        found = self._found[0]
        if isinstance(found, OSError):
            raise found
        assert isinstance(found, tuple)
        family, self._peer = found
        self._deadline = now + CONNECT_S
        stream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sockets.append(stream)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        state = stream.connect_ex((self._peer, self._url.port))
        if state not in (0, errno.EINPROGRESS):
            raise OSError(state, os.strerror(state))
        self._stream = stream
        self._phase = self._connected
        return self._connected(now)

    def _connected(self, now: float) -> bool:
        stream = self._stream
        assert stream is not None
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
        if not poll.poll(0):
            return False
        state = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state:
            raise OSError(state, os.strerror(state))
        if self._url.scheme == "rtsps":
            import ssl  # 5 MB that a box without such cameras does without

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # Cameras sign their own certificates; see docs/adr/0002.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            secured = context.wrap_socket(
                stream,
                server_hostname=self._url.host,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=True,
            )
            self.sockets[self.sockets.index(stream)] = secured
            self._stream = secured
            self._secured = True
            self._deadline = now + TLS_S
            self._would_block = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
            self._handshake = secured.do_handshake
            self._shown = lambda: secured.getpeercert(binary_form=True) or b""
            self._phase = self._handshaking
            return self._handshaking(now)
        return self._begin(now)

    def _handshaking(self, now: float) -> bool:
        try:
            self._handshake()
        except self._would_block:
            return False
        self._certificate = self._shown()
        return self._begin(now)

    def _begin(self, now: float) -> bool:
        session = self._session or self._new_session()
        self._session = session
        self._phase = _stands
        session.start(now)
        for sock in self.sockets:
            with contextlib.suppress(FileExistsError):  # UDP sockets outlive a redirect
                self._poller.register(sock, select.EPOLLIN)
        self._send(session)
        return True

    def _new_session(self) -> ClientSession:
        ports: tuple[int, int] | None = None
        if self._login.transport == "udp":
            assert self._stream is not None
            self._udp = Datagrams(self._stream)
            self.sockets += self._udp.sockets
            ports = self._udp.ports
        config = ClientConfig(
            url=self._url,
            username=self._login.username,
            password=self._login.password,
            transport="udp" if ports else "tcp",
            client_ports=ports,
            allow_basic=self._login.allow_basic,
        )
        return ClientSession(config, ssrc=int.from_bytes(os.urandom(4)), nonce=lambda: os.urandom(16).hex())

    def _send(self, session: ClientSession) -> None:
        stream = self._stream
        assert stream is not None
        out = session.output()
        if out or self._unsent:
            self._unsent += out
            try:
                sent = stream.send(self._unsent)
            except self._would_block:
                sent = 0
            self._unsent = self._unsent[sent:]
            if len(self._unsent) > RECEIVE_BYTES:
                raise RtspError("closed", "the camera stopped reading")
        if self._udp is not None:
            for rtcp, datagram in session.udp_output():
                self._udp.send(rtcp, datagram, session.server_ports)


def _stands(_now: float) -> bool:
    """Be the phase of a connection that stands."""
    return True


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _resolve(host: str, found: list[object]) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        found.append((family, address[0]))
    except OSError as error:
        found.append(error)
