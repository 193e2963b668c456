"""The two ends of a relay: a camera's live socket, and a session at the media server. Edge: nothing here waits."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
from typing import TYPE_CHECKING

from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Ended
from agent.rtsp.framing import LOT_BYTES, Framer, is_lot
from agent.rtsp.keyframe import marker
from agent.rtsp.message import Request
from agent.rtsp.publisher import PublisherSession, PublisherState, Recording
from agent.rtsp.sdp import parse_sdp
from agent.tunnel.bind import bind_to
from agent.uplink.relay_queue import RelayQueue

if TYPE_CHECKING:
    from agent.rtsp.url import RtspUrl

FOLDER = "live"
RECEIVE_BYTES = 256 << 10
CONNECT_S = 5.0
REPLY_S = 10.0  # an answer waits behind what the line has not carried yet
SETUP_S = 15.0
TAKE_BYTES = 128 << 10
UNSENT_BYTES = 32 << 10
TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; the socket module does not name it
SIOCOUTQ = 0x5411  # asm-generic/ioctls.h, as TIOCOUTQ: bytes that the other end has not acknowledged
RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
CARRIED_S = 10
"""What the line has not carried for so long the kernel throws away, with the connection; also while this is stopped."""
QUEUED_FEWEST_BYTES = 8 << 10
QUEUED_LEAST_BYTES = 48 << 10  # of all together
QUEUED_FIRST_BYTES = 192 << 10  # as well
QUEUED_MOST_BYTES = 2 << 20
EASY_BYTES = 16 << 10
"""A line that has carried all but so little takes at once whatever is handed out at a time."""
QUEUED_S = 0.5
"""How much of the line's time may lie in the kernel: what lies there delays facts, and cannot be left out any more."""


class Source:
    """A connection to a camera's live socket.

    queue        what has come and waits; None until the stream was described
    description  of the stream
    """

    def __init__(self, run: str, name: str, past_s: float = 0.0) -> None:
        """Connect. Raises OSError: nobody records that camera, or nobody hands it out.

        past_s  what comes first is that old
        """
        self._past_s = past_s
        self.queue: RelayQueue | None = None
        self.description = b""
        self._passed = memoryview(b"")
        self._framer = Framer()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # By the directory's descriptor: the path of a socket may be 107 bytes long, that of a run directory more.
            folder = os.open(os.path.join(run, FOLDER), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH118
            try:
                self._socket.connect(f"/proc/self/fd/{folder}/{name}.sock")
            finally:
                os.close(folder)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def receive(self, now: float, sink: Sink | None) -> bool:
        """Take what has come: for the queue, or where it may go on unread, straight to the media server: True.

        Of what went on unread the last is kept, until it is known that the next goes on unread as well: else it is read
        after all, so that the queue knows which picture is begun.
        Raises  RtspError "closed" when the camera is gone, and for what cannot be relayed; OSError of the media server
        """
        data = self._receive()
        queue = self.queue
        if queue is not None and sink is not None and self._passes(queue, data):
            frames = memoryview(data)[LOT_BYTES:]
            if sink.pass_on(frames):
                queue.passed += len(frames)
                self._passed = frames
                return True
        if queue is not None and self._passed:
            passed, self._passed = bytes(self._passed), memoryview(b"")
            queue.reread(passed)
            self._read(passed, now)
            queue.reread_over()
        self._read(data, now)
        return False

    def _passes(self, queue: RelayQueue, data: bytes) -> bool:
        return is_lot(data) and queue.passes and self._framer.missing == 0

    def _receive(self) -> bytes:
        """Return what has come, nothing where that is nothing. Raises RtspError."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            raise RtspError("closed", "the camera is not handed out any more")
        return data

    def _read(self, data: bytes, now: float) -> None:
        self._framer.feed(data)
        while (message := self._framer.next_message(now)) is not None:
            if not isinstance(message, Request) or message.method != "ANNOUNCE" or self.queue is not None:
                raise RtspError("malformed_message", "not what a live socket says")
            self._described(message.body)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _described(self, description: bytes) -> None:
        medias = parse_sdp(description).medias
        encodings = medias[0].encodings() if len(medias) == 1 else ()
        if len(encodings) != 1:
            raise RtspError("no_video", "a live socket hands out one video stream", streams=len(medias))
        self.description = description
        self.queue = RelayQueue(marker(encodings[0]), self._past_s)
        self._framer.connect({0: self.queue.put}, {0: self.queue.put_run})


class Sink:
    """A session at the media server.

    sent       bytes that went into the connection since RECORD
    carried    how many of them the other end had acknowledged when that was last asked
    is_over    the session ended in good order
    wants_out  it is to be called when the connection takes bytes
    """

    def __init__(self, url: RtspUrl, description: bytes, now: float, nonce: str, interface: str = "") -> None:
        """Begin to connect, by one interface alone where one is named.

        Raises  OSError, and RtspError for a description that cannot be published
        """
        count = iter(range(1, 1 << 30))
        config = ClientConfig(url=url, reply_timeout_s=REPLY_S, setup_timeout_s=SETUP_S)
        self._session = PublisherSession(config, description, nonce=lambda: f"{nonce}{next(count):08x}")
        self.sent = self.carried = 0
        self.is_over = False
        self.wants_out = True
        self.since: float | None = None
        """When the server began to take packets."""
        self._out: bytes | memoryview = b""
        self._gone = 0  # of that
        self._has_packets = False
        self._channel = 0
        self._connected = False
        self._connect_until = now + CONNECT_S
        self._limit = QUEUED_FIRST_BYTES
        family = socket.AF_INET6 if ":" in url.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)
            # However this process ends: nothing goes out behind its back, when the line comes back (F12).
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, CARRIED_S * 1000)
            if interface:
                bind_to(self._socket, interface)
            with contextlib.suppress(BlockingIOError):
                self._socket.connect((url.host, url.port))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    @property
    def takes_packets(self) -> bool:
        """Tell whether RECORD was answered, and nothing has ended it."""
        return self._session.state is PublisherState.RECORDING

    def deadline(self) -> float:
        """Return when it wants to be called at the latest, monotonic seconds."""
        due = self._session.deadline() if self._connected else self._connect_until
        return float("inf") if due is None else due

    def turn(self, now: float, events: int) -> None:
        """Do what is due, and read what the server says. Raises RtspError, OSError when the session is over."""
        if not self._connected:
            self._finish_connecting(now, events)
            return
        if events & ~select.EPOLLOUT:
            data = b""
            with contextlib.suppress(BlockingIOError):
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    raise RtspError("closed", "the media server closed the connection")
            self._hear(self._session.receive(data, now), now)
        due = self._session.deadline()
        if due is not None and now >= due:
            self._hear(self._session.tick(now), now)

    def pass_on(self, frames: memoryview) -> bool:
        """Send whole frames as they are; false where they have to wait, and were not taken. Raises OSError."""
        if self._out or not self.takes_packets or self.unacknowledged() > EASY_BYTES:
            return False
        self._out = self._session.output()
        if self._out:
            self._has_packets = False
            return False
        self._out, self._has_packets = frames, True
        self.sent += len(frames)
        self._flush()
        return True

    def send(self, queue: RelayQueue | None) -> bool:
        """Send what is queued; tell whether packets wait because enough lies in the kernel already. Raises OSError."""
        if not self._connected:
            return False
        self.wants_out = held = False
        while True:
            if not self._out:
                self._out, self._has_packets = self._session.output(), False
            if not self._out and queue is not None and queue.bytes and self.takes_packets:
                room = self._limit - self.unacknowledged()
                held = room <= 0
                self._out, self._has_packets = b"" if held else queue.take(min(room, TAKE_BYTES)), True
                self.sent += len(self._out)
            if not self._out:
                return held
            if not self._flush():
                return False

    def _flush(self) -> bool:
        """Send what is on its way out; false where the connection does not take all of it."""
        with contextlib.suppress(BlockingIOError):
            self._gone += self._socket.send(memoryview(self._out)[self._gone :])
        self.wants_out = self._gone < len(self._out)
        if not self.wants_out:
            self._out, self._gone = b"", 0
        return not self.wants_out

    def unacknowledged(self) -> int:
        """Return how many bytes the other end has not acknowledged."""
        answer = fcntl.ioctl(self._socket, SIOCOUTQ, b"\0\0\0\0")
        waits = len(self._out) - self._gone if self._has_packets else 0
        owed = int(struct.unpack("i", answer)[0]) + waits
        self.carried = max(0, self.sent - owed)
        return owed

    def set_capacity(self, octets_s: float | None, among: int) -> None:
        """Learn what the line carries of this, bytes a second, None while that is not known; and how many share it."""
        wanted = QUEUED_FIRST_BYTES // among if octets_s is None else int(octets_s * QUEUED_S)
        least = max(QUEUED_FEWEST_BYTES, QUEUED_LEAST_BYTES // among)
        self._limit = min(QUEUED_MOST_BYTES, max(least, wanted))

    def end(self, now: float) -> None:
        """Say TEARDOWN after the frame that was begun; packets are taken no more."""
        if self._has_packets:
            stop = 0
            while stop < self._gone:
                stop += 4 + (self._out[stop + 2] << 8 | self._out[stop + 3])
            self.sent -= len(self._out) - stop
            self._out = self._out[:stop]
        if self._connected:
            self._session.close(now)
        self.is_over = self._session.state in (PublisherState.NEW, PublisherState.OVER)

    def close(self) -> None:
        """Hang up; what the line has not carried yet is thrown away."""
        self._socket.close()

    def _finish_connecting(self, now: float, events: int) -> None:
        if not events:
            if now >= self._connect_until:
                raise TimeoutError(errno.ETIMEDOUT, "the media server does not answer")
            return
        state = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state:
            raise OSError(state, os.strerror(state))
        self._connected = True
        self._session.start(now)

    def _hear(self, events: list[Recording | Ended], now: float) -> None:
        for event in events:
            if isinstance(event, Recording):
                self._channel = event.channel
                self.since = now
            else:
                self.is_over = True

    @property
    def channel(self) -> int:
        """Return the interleaved channel that the server chose."""
        return self._channel


class Watch:
    """What the loop waits for on behalf of one relay."""

    def __init__(self, poller: select.epoll) -> None:
        """Wait for nothing yet."""
        self._poller = poller
        self._events: dict[int, int] = {}
        self._ends: tuple[Source | None, Sink | None, bool] = (None, None, False)

    def is_called(self, ready: dict[int, int]) -> bool:
        """Tell whether something that is waited for has come. ready: events by descriptor."""
        return not ready.keys().isdisjoint(self._events)

    def follow(self, source: Source | None, sink: Sink | None) -> None:
        """Wait for these ends and no others; to be told before one is closed."""
        ends = (source, sink, sink is not None and sink.wants_out)
        if ends == self._ends:
            return
        wanted: dict[int, int] = {}
        if source is not None:
            wanted[source.fileno()] = select.EPOLLIN
        if sink is not None:
            wanted[sink.fileno()] = select.EPOLLIN | (select.EPOLLOUT if sink.wants_out else 0)
        for number in [number for number in self._events if number not in wanted]:
            del self._events[number]
            with contextlib.suppress(OSError):  # it is closed next, and forgotten by the kernel with that
                self._poller.unregister(number)
        for number, events in wanted.items():
            if number not in self._events:
                self._poller.register(number, events)
            elif self._events[number] != events:
                self._poller.modify(number, events)
            self._events[number] = events
        self._ends = ends
