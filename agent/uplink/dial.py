"""Getting a connection without waiting for it: name, TCP, TLS, each in its turn."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from agent.tunnel.bind import bind_to
from agent.uplink.seal import Seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RESOLVE_POLL_S = 0.2
X509_V_FLAG_NO_CHECK_TIME = 0x200000  # openssl/x509_vfy.h; the module ssl has no name for it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker is, and what we show each other.

    authority    the city's CA, which alone is trusted
    certificate, key  the box's
    interface    by which alone it is reached: the tunnel's; empty where there is none
    """

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path
    interface: str = ""

    def context(self, *, check_dates: bool) -> ssl.SSLContext:
        """Read the files, which may have been renewed; return what TLS needs.

        check_dates  false while the box's own time is not to be relied on: it cannot tell what is not yet valid, or
                     no longer. Name, chain and signature are looked at all the same (ADR 0011)
        Raises       OSError, ssl.SSLError among them
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.authority)
        context.load_cert_chain(self.certificate, self.key)
        if not check_dates:
            context.verify_flags |= X509_V_FLAG_NO_CHECK_TIME
        return context

    def seal(self) -> Seal:
        """Read the key that signs what the box says of itself. Raises OSError; ValueError for what is no such key"""
        return Seal(self.key.read_bytes())


class Stage(Enum):
    """How far a connection is."""

    NAME = "name"
    TCP = "tcp"
    TLS = "tls"
    OPEN = "open"


class Dial:
    """One attempt to reach a broker."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext, number: int = 0) -> None:
        """Begin. `number` counts the attempts: of several addresses each has its turn. Raises OSError"""
        self.stage = Stage.NAME
        self.wants_write = False
        self._endpoint = endpoint
        self._context = context
        self._number = number
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLSocket | None = None
        self._found: list[list[str] | OSError] = []
        try:
            ipaddress.ip_address(endpoint.host)
        except ValueError:
            # The resolver waits as long as it likes; whoever waits for it here is a thread that ends with it.
            threading.Thread(target=_resolve, args=(endpoint, self._found.append), daemon=True).start()
        else:
            self._connect(endpoint.host)

    def fileno(self) -> int:
        """Return the descriptor to wait for, -1 while there is none."""
        connection = self._tls or self._socket
        return connection.fileno() if connection else -1

    def turn(self) -> ssl.SSLSocket | None:
        """Go on; return the connection once it is open. Raises OSError when it cannot be had."""
        if self.stage is Stage.NAME:
            self._look()
        if self.stage is Stage.TCP:
            self._ask()
        if self.stage is Stage.TLS:
            self._shake()
        return self._tls if self.stage is Stage.OPEN else None

    def close(self) -> None:
        """Give up."""
        for each in (self._tls, self._socket):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.close()

    def _look(self) -> None:
        if not self._found:
            return
        found = self._found[0]
        if isinstance(found, OSError):
            raise found
        if not found:
            raise OSError(errno.EHOSTUNREACH, "the name has no address")
        self._connect(found[self._number % len(found)])

    def _connect(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        if self._endpoint.interface:
            bind_to(self._socket, self._endpoint.interface)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stage, self.wants_write = Stage.TCP, True
        with contextlib.suppress(BlockingIOError):
            self._socket.connect((address, self._endpoint.port))

    def _ask(self) -> None:
        connection = self._socket
        assert connection is not None
        fault = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if fault:
            raise OSError(fault, os.strerror(fault))
        try:
            connection.getpeername()
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                return
            raise
        self._tls = self._context.wrap_socket(
            connection, do_handshake_on_connect=False, server_hostname=self._endpoint.host
        )
        self._socket = None  # the TLS socket has its descriptor now
        self.stage = Stage.TLS

    def _shake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.wants_write = False
        except ssl.SSLWantWriteError:
            self.wants_write = True
        else:
            self.stage, self.wants_write = Stage.OPEN, False


def _resolve(endpoint: Endpoint, tell: Callable[[list[str] | OSError], None]) -> None:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        tell(error)
    except UnicodeError:  # what is no name of a host
        tell(OSError(errno.EINVAL, "not a name of a host"))
    else:
        tell([str(each[4][0]) for each in found])
