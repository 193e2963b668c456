"""The bytes of one connection, between TLS and paho: buffered both ways, bounded, counted.

paho reads byte by byte and writes packet by packet. Here that becomes one receive and one TLS record a turn: a health
and the facts that go with it share a packet on the line.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

ONCE_BYTES = 16 << 10  # a TLS record
MOST_PACKET_BYTES = 72 << 10
"""A command is 64 KiB at most; more is never received. paho itself would take a packet of 256 MB (E9)."""
MOST_WAITING_BYTES = 1 << 20


class Pipe:
    """What paho takes for its socket."""

    def __init__(self, connection: socket.socket) -> None:
        """Take a connection that is open, and past its handshake; it does not block."""
        self.sent_bytes = 0
        self.received_bytes = 0
        self.error: OSError | None = None
        self.oversize = False
        self.is_dry = False
        """Whether the last receive found nothing."""
        self._connection = connection
        self._in = b""
        self._out = bytearray()

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes. paho asks for all that is left of a packet: a large wish is a large packet."""
        if size > MOST_PACKET_BYTES:
            self.oversize = True
            raise ConnectionError("a packet is too large")
        if not self._in:
            self._in = self._receive()
        data, self._in = self._in[:size], self._in[size:]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Take bytes to be sent with `flush`, all of them, unless too many wait."""
        if len(self._out) >= MOST_WAITING_BYTES:
            raise BlockingIOError
        self._out += data
        return len(data)

    def flush(self) -> None:
        """Send what waits, as far as the line takes it. Raises OSError"""
        while self._out:
            try:
                count = self._connection.send(bytes(self._out[:ONCE_BYTES]))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            except OSError as error:
                self.error = self.error or error
                raise
            self.sent_bytes += count
            del self._out[:count]

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the line."""
        return bool(self._out)

    @property
    def has_more(self) -> bool:
        """Whether bytes were received that a `select` does not know of."""
        pending = getattr(self._connection, "pending", None)
        return bool(self._in) or (pending is not None and pending() > 0)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._connection.fileno()

    def setblocking(self, flag: bool) -> None:
        """Stay as it is: paho asks for what is so already."""

    def close(self) -> None:
        """Send what still can be sent at once, and close."""
        with contextlib.suppress(OSError, ValueError):
            self.flush()
        self._connection.close()

    def _receive(self) -> bytes:
        self.is_dry = False
        try:
            data = self._connection.recv(ONCE_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            self.is_dry = True
            raise BlockingIOError from None
        except OSError as error:
            self.error = error
            raise
        self.received_bytes += len(data)
        return data
