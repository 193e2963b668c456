"""The pair of UDP sockets of one RTSP session. Edge: non-blocking, nothing here waits.

They stand at the address alone by which the box reaches the camera. Datagrams of any other host are not looked at. As
soon as one has come from the port that the camera named, the kernel lets nothing else in (H10). Not before: cameras
that send from another port than they say, or say none, are to be recorded too, and are told by their address then.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DATAGRAM_BYTES = 64 << 10
DATAGRAMS_A_TURN = 512
UDP_BUFFER_BYTES = 4 << 20
PORT_TRIES = 32
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; the socket module does not name it


class Datagrams:
    """Sockets for RTP and RTCP, in this order."""

    def __init__(self, stream: socket.socket) -> None:
        """Bind them. stream: the session's connection to the camera. Raises OSError."""
        self._peer = stream.getpeername()[0]  # as datagrams will name it
        self.sockets = _port_pair(stream)
        self._alone = [False, False]

    @property
    def ports(self) -> tuple[int, int]:
        """Return where the camera is to send to."""
        rtp, rtcp = self.sockets
        return rtp.getsockname()[1], rtcp.getsockname()[1]

    def is_rtcp(self, sock: socket.socket) -> bool:
        """Tell which of the two it is."""
        return sock is self.sockets[1]

    def receive(self, sock: socket.socket, named: tuple[int, int] | None) -> Iterator[bytes]:
        """Yield what has come from the camera. named: the ports that it says it sends from."""
        rtcp = self.is_rtcp(sock)
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data, source = sock.recvfrom(DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                # ICMP says that something of ours did not reach it, and anybody can write that. Whether the camera
                # is there, its connection and its pictures tell.
                continue
            if source[0] != self._peer:
                continue
            if named is not None and not self._alone[rtcp] and source[1] == named[rtcp]:
                with contextlib.suppress(OSError):
                    sock.connect(source)
                    self._alone[rtcp] = True
            yield data

    def send(self, rtcp: bool, datagram: bytes, named: tuple[int, int] | None) -> None:
        """Send one to the port that the camera named, if it did; that it does not go out is no matter."""
        if named is not None:
            with contextlib.suppress(OSError):
                self.sockets[rtcp].sendto(datagram, (self._peer, named[rtcp]))


def _port_pair(stream: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Bind an even port and the odd one above it, as RFC 3550 section 11 asks."""
    host, _, *zone = stream.getsockname()
    for _ in range(PORT_TRIES):
        rtp = socket.socket(stream.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        rtcp = socket.socket(stream.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            rtp.bind((host, 0, *zone))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind((host, port + 1, *zone))
                try:
                    rtp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, UDP_BUFFER_BYTES)
                except PermissionError:  # then as much as net.core.rmem_max allows
                    rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()
    raise OSError(errno.EADDRINUSE, "no pair of UDP ports is free")
