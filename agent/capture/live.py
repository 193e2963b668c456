"""The live socket of one camera's stream: hands out its packets while somebody listens, and waits for nobody. Edge.

Who connects gets an RTSP request ANNOUNCE, whose body describes the stream, and then RTP packets in RTSP's interleaved
frames on channel 0, from the last keyframe on (docs/formats.md). Who does not read loses whole stretches up to a
keyframe, and nobody else loses anything. What fails here ends the handing out, never the recording.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Protocol

from agent.capture.recent import DATAGRAM, Picker, Recent, pick
from agent.rtsp.announce import announce, describe
from agent.rtsp.errors import RtspError
from agent.rtsp.framing import lot

if TYPE_CHECKING:
    import select
    from collections.abc import Sequence

    from agent.rtsp.client import ClientSession
    from agent.rtsp.events import Described
    from agent.rtsp.media import AccessUnit, VideoFormat

LISTENERS = 12  # of one stream: relays to nine centres, one that takes another's place, who looks for a fault
LISTENER_BYTES = 3 << 20  # what is kept since a keyframe, and a second on top of it
SEND_BUFFER_BYTES = 512 << 10
SOCKET_MODE = 0o660
FOLDER_MODE = 0o750
FOLDER = "live"

BUG = "%s: error in the live socket: nothing live until the next start"

log = logging.getLogger("pasu.record")


class LiveSocket:
    """A socket that listens, at FOLDER/NAME.sock below the run directory."""

    def __init__(self, run: str, name: str, poller: select.epoll) -> None:
        """Listen. Raises OSError."""
        folder = os.path.join(run, FOLDER)  # noqa: PTH118 - pathlib is more than a worker needs
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, FOLDER_MODE)  # noqa: PTH102
            os.chmod(folder, FOLDER_MODE)  # noqa: PTH101 - the unit's umask takes the group's rights away
        self._name = f"{name}.sock"
        self._poller = poller
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            self._socket.close()
            raise
        new = f".{self._name}.new"
        try:
            for old in (new, self._name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(old, dir_fd=self._folder)
            # By the directory's descriptor: the path of a socket may be 107 bytes long, that of a run directory more.
            self._socket.bind(f"/proc/self/fd/{self._folder}/{new}")
            os.chmod(new, SOCKET_MODE, dir_fd=self._folder)
            self._socket.listen(LISTENERS)
            os.rename(new, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._inode = os.stat(self._name, dir_fd=self._folder).st_ino
            poller.register(self._socket, 1)  # EPOLLIN
        except OSError:
            self._socket.close()
            os.close(self._folder)
            raise

    def fileno(self) -> int:
        """Return what the loop's poller watches."""
        return self._socket.fileno()

    def accept(self) -> socket.socket | None:
        """Return who has connected, None when there is nobody more."""
        try:
            return self._socket.accept()[0]
        except OSError:
            return None

    def close(self) -> None:
        """Stop listening, and remove the name where it is still ours."""
        with contextlib.suppress(OSError, ValueError):
            self._poller.unregister(self._socket)
        self._socket.close()
        with contextlib.suppress(OSError):
            if os.stat(self._name, dir_fd=self._folder).st_ino == self._inode:
                os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)


class Listener:
    """One who listens.

    is_told     it has the description of the stream
    waits_for   the first keyframe, by its serial, with which it can begin; None while it is served
    """

    __slots__ = ("_bytes", "_pending", "_sent", "_socket", "dropped", "is_told", "waits_for")

    def __init__(self, connection: socket.socket, serial: int) -> None:
        """Wait for a keyframe not before `serial`."""
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._socket = connection
        self._pending: deque[bytes] = deque()
        self._sent = 0
        self._bytes = 0
        self.dropped = 0
        self.is_told = False
        self.waits_for: int | None = serial

    @property
    def is_behind(self) -> bool:
        """Tell whether something waits that the socket did not take."""
        return bool(self._pending)

    def give(self, pieces: Sequence[bytes], serial: int) -> None:
        """Queue packets; when too many wait, drop all that wait and what comes until the next keyframe.

        pieces  of many packets each; kept as they are, so that those who are given the same share its memory
        """
        self._bytes += sum(map(len, pieces))
        if self._bytes - self._sent > LISTENER_BYTES:
            self.dropped += 1
            self.waits_for = serial + 1
            begun = self._pending[0] if self._sent else b""  # a frame that was begun must be ended
            self._pending.clear()
            self._bytes = len(begun)
            if begun:
                self._pending.append(begun)
            return
        self._pending.extend(filter(None, pieces))

    def send(self) -> bool:
        """Send what the socket takes now; false when the other end is gone."""
        if not self._pending:  # else sending tells
            try:
                return self._socket.recv(64) != b""
            except BlockingIOError:
                return True
            except OSError:
                return False
        while self._pending:
            piece = self._pending[0]
            try:
                self._sent += self._socket.send(memoryview(piece)[self._sent :])
            except BlockingIOError:
                return True
            except OSError:
                return False
            if self._sent < len(piece):
                return True
            self._pending.popleft()
            self._bytes -= len(piece)
            self._sent = 0
        return True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Handout(Protocol):
    """What the loop gives what a camera sends, so that others may have it. Nothing of it raises."""

    def take(self, data: bytes, session: ClientSession, now: float) -> None:
        """Take what a connection brought, before the session reads it."""
        ...

    def take_datagram(self, data: bytes, session: ClientSession, now: float) -> None:
        """Take a datagram of the camera's RTP port."""
        ...

    def described(self, described: Described) -> None:
        """Learn what the camera offers."""
        ...

    def picture(self, unit: AccessUnit) -> None:
        """Learn of a keyframe among the access units."""
        ...

    def session_over(self, now: float) -> None:
        """Learn that the session is over."""
        ...

    def turn(self, ready: frozenset[int] | set[int], *, due: bool = True) -> None:
        """Serve who listens. ready: descriptors at which something waits; due: packets are to be handed out."""
        ...

    def close(self) -> None:
        """Hang up on everybody, and stop listening."""
        ...


class Door:
    """One socket of one stream, and who listens there. Called from the loop that records it; never raises."""

    def __init__(self, run: str, name: str, poller: select.epoll) -> None:
        """Listen at `name`.sock; where that fails nothing is handed out, and the log says so."""
        self._name = name
        self._listeners: list[Listener] = []
        self._session: ClientSession | None = None
        self._described: Described | None = None
        self._format: VideoFormat | None = None
        self._socket: LiveSocket | None = None
        try:
            self._socket = LiveSocket(run, name, poller)
        except OSError as error:
            log.error("%s: nothing live: %s", name, error.strerror or error)  # noqa: TRY400 - it says it all

    @property
    def wanted(self) -> bool:
        """Tell whether somebody listens."""
        return bool(self._listeners)

    @property
    def listeners(self) -> int:
        """Return how many listen."""
        return len(self._listeners)

    # what the session brings

    def described(self, described: Described) -> None:
        """Learn what the camera offers."""
        self._described = described

    def picture(self, unit: AccessUnit) -> None:
        """Learn of a keyframe among the access units."""
        if unit.damaged or unit.format is None:
            return
        if unit.format is not self._format and unit.format != self._format:
            if self._format is not None:
                self._hang_up()  # whoever comes again gets another description
                self._other_format()
            self._format = unit.format
        self._begins(unit)

    def session_over(self, now: float) -> None:
        """Learn that the session is over: another one begins anew, for listeners too."""
        self._hang_up()
        self._forget(now)
        self._session = self._described = self._format = None

    def introduce(self, other: Door) -> None:
        """Tell another one of the session that is going on."""
        other._session, other._described, other._format = self._session, self._described, self._format

    # what the loop asks for

    def turn(self, ready: frozenset[int] | set[int], *, due: bool = True) -> None:
        """Take in who has come, and send what there is.

        ready  descriptors at which something waits
        due    packets are to be handed out; who has none yet is given his first ones all the same
        """
        if self._socket is None:
            return
        try:
            if self._socket.fileno() in ready:
                self._accept(self._socket)
            if self._listeners and (due or any(not listener.is_told for listener in self._listeners)):
                self._serve()
        except Exception:
            log.exception(BUG, self._name)
            self._give_up()

    def close(self) -> None:
        """Hang up on everybody, and stop listening."""
        self._hang_up()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # what is kept

    def _serial(self) -> int:
        """Return how many keyframes there were."""
        raise NotImplementedError

    def _begins(self, unit: AccessUnit) -> None:
        """Learn of a keyframe that can be begun with."""
        raise NotImplementedError

    def _other_format(self) -> None:
        """Learn that what came so far is of another format than what comes now."""

    def _forget(self, now: float) -> None:
        """Let go of all that came until now."""
        raise NotImplementedError

    def _serve(self) -> None:
        """Give all who listen what there is for them, and let go of those who are gone."""
        raise NotImplementedError

    # what they have in common

    def _accept(self, door: LiveSocket) -> None:
        for _ in range(LISTENERS):  # and no more a turn: somebody may come as quickly as he is turned away
            connection = door.accept()
            if connection is None:
                return
            if len(self._listeners) >= LISTENERS:
                connection.close()
                continue
            self._listeners.append(Listener(connection, self._serial()))

    def _announcement(self) -> bytes:
        assert self._described is not None  # packets of a keyframe were found
        assert self._format is not None
        return announce("*", describe(self._described, self._format))

    def _give_up(self) -> None:
        """Hand out nothing more after a bug of ours, which must not cost a picture of the recording."""
        self.close()
        self._forget(0.0)

    def _hang_up(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


class Live(Door):
    """What one stream hands out from now on."""

    def __init__(self, run: str, name: str, poller: select.epoll) -> None:
        """Do as `Door`."""
        super().__init__(run, name, poller)
        self._recent = Recent()
        self._picker: Picker | None = None
        self._unread: list[tuple[bytes, int | None, int | None]] = []

    def take(self, data: bytes, session: ClientSession, now: float) -> None:
        """Take what a connection brought, before the session reads it."""
        if self._socket is None:
            return
        missing = session.missing
        self._session = session
        self._recent.add(data, missing, now)
        if self._picker is not None:
            self._unread.append((data, missing, session.source))

    def take_datagram(self, data: bytes, session: ClientSession, now: float) -> None:
        """Take a datagram of the camera's RTP port."""
        if self._socket is None:
            return
        self._session = session
        self._recent.add(data, DATAGRAM, now)
        if self._picker is not None:
            self._unread.append((data, DATAGRAM, session.source))

    def _serial(self) -> int:
        return self._recent.serial

    def _begins(self, unit: AccessUnit) -> None:
        self._recent.begins(unit.timestamp & 0xFFFFFFFF, unit.arrival)

    def _forget(self, now: float) -> None:
        self._recent.clear(now)

    def _serve(self) -> None:
        fresh = self._picked()
        lots = [lot(len(fresh)), fresh] if fresh else []
        serial = self._recent.serial
        begin = b""
        for listener in list(self._listeners):
            if listener.waits_for is None:
                listener.give(lots, serial)
            elif self._recent.keyframe is not None and serial >= listener.waits_for:
                begin = begin or self._begin()
                if begin:
                    listener.waits_for = None
                    listener.give([b"" if listener.is_told else self._announcement(), begin], serial)
                    listener.is_told = True
            if not listener.send():
                listener.close()
                self._listeners.remove(listener)
        if not self._listeners:
            self._picker = None

    def _begin(self) -> bytes:
        """Return all packets since the keyframe; from now on packets are picked as they come."""
        session, described = self._session, self._described
        if session is None or described is None:
            return b""
        picker, packets = pick(self._recent, session.channel, described.payload_type, session.source)
        if not packets:
            return b""
        if self._picker is None:
            self._picker = picker
        return packets

    def _picked(self) -> bytes:
        """Return the packets that have come since it was last asked."""
        unread, self._unread = self._unread, []
        picker = self._picker
        if picker is None:
            return b""
        try:
            for data, missing, source in unread:
                picker.follow(source)
                picker.feed(data, missing)
        except RtspError:  # the session that reads the same ends with it
            self._picker = None
            for listener in self._listeners:
                listener.waits_for = self._recent.serial + 1
            return b""
        return b"".join(picker.taken())

    def _hang_up(self) -> None:
        super()._hang_up()
        self._picker = None
        self._unread.clear()
