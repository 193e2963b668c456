"""An HTTP server that a crowd cannot stop: cheroot, with bounds on what a connection may take. Edge.

A new connection waits in the selector until it has something to say, and so does its TLS handshake, which a worker
thread then does. What has not been answered within LIFE_S is cut off, so a slow sender holds a worker for no longer;
of one source at most WORKING requests are worked on; of more than MOST connections the one that has waited longest
goes, first of the source that has most. Each answer ends its connection.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from cheroot.server import HTTPConnection
from cheroot.ssl import Adapter
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

from agent.tunnel.bind import bind_to

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

LIFE_S = 15.0
IDLE_S = 10
MOST = 200
OF_ONE = 40
WORKING = 8
THREADS = 16
HEADER_BYTES = 8192
BODY_BYTES = 2048
BACKLOG = 128
STOP_S = 2

log = logging.getLogger("pasu.page")


class Tls(Adapter):
    """TLS whose handshake is done by whoever reads first."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context

    def bind(self, sock: Any) -> Any:
        """Return the listening socket as it is."""
        return sock

    def wrap(self, sock: Any) -> Any:
        """Put TLS around a connection; nothing is read yet."""
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, str]:
        """Return what the application is told."""
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    makefile = BuiltinSSLAdapter.makefile


class Connection(HTTPConnection):
    """One that its server knows of until it is closed."""

    def __init__(self, server: Any, sock: Any, makefile: Any) -> None:
        super().__init__(server, sock, makefile)
        self.since_s = time.monotonic()
        self.waited = False
        self.working = False
        server.known.add(self)

    def communicate(self) -> bool:
        """Answer one request; what a stranger sends is no reason for a traceback."""
        try:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        except OSError as error:
            log.debug("%s: %s", self.remote_addr, error)
            return False

    def close(self) -> None:
        """Close it, also where the other end is gone already."""
        self.server.known.discard(self)
        with contextlib.suppress(OSError):
            super().close()

    def cut(self) -> None:
        """End it from outside: whoever reads or writes it finds its end."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own, which changes what another thread is using.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Known:
    """The connections of a server."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._all: dict[int, Connection] = {}

    def add(self, one: Connection) -> None:
        """Know of one."""
        with self._mutex:
            self._all[id(one)] = one

    def discard(self, one: Connection) -> None:
        """Forget it."""
        with self._mutex:
            self._all.pop(id(one), None)

    def all(self) -> list[Connection]:
        """Return them, the oldest first."""
        with self._mutex:
            return [*self._all.values()]


class Guarded(Server):
    """The server."""

    ConnectionClass = Connection
    protocol = "HTTP/1.1"

    def __init__(
        self,
        address: str,
        port: int,
        app: Callable[..., Any],
        *,
        context: ssl.SSLContext | None,
        interface: str | None = None,
        threads: int = THREADS,
        life_s: float = LIFE_S,
    ) -> None:
        """Listen on nothing yet.

        context    None for plain HTTP
        interface  the only one by which connections may come
        """
        super().__init__(
            (address, port),
            app,
            numthreads=threads,
            max=threads,
            server_name="pasu",
            request_queue_size=BACKLOG,
            timeout=IDLE_S,
            shutdown_timeout=STOP_S,
        )
        self.known = Known()
        self.max_request_header_size = HEADER_BYTES
        self.max_request_body_size = BODY_BYTES
        self.keep_alive_conn_limit = 0
        self.life_s = life_s
        self.software = "pasu"
        self._interface = interface
        if context is not None:
            self.ssl_adapter = Tls(context)

    def prepare(self) -> None:
        """Listen. Raises OSError."""
        os.environ.pop("LISTEN_PID", None)  # cheroot would take a descriptor for its socket that nobody gave
        super().prepare()

    def bind(self, family: int, type: int, proto: int = 0) -> Any:  # noqa: A002 - cheroot's name
        """Make the listening socket, bound to its interface where there is one. Raises OSError."""
        made = self.prepare_socket(self.bind_addr, family, type, proto, self.nodelay, None)
        try:
            if self._interface is not None:
                bind_to(made, self._interface)
            self.socket = self.bind_socket(made, self.bind_addr)  # type: ignore[no-untyped-call]
        except OSError:
            made.close()
            raise
        return made

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: ARG002 - cheroot's
        """Take what cheroot has to say; of what strangers do to a connection nobody need read."""
        bug = traceback and not isinstance(sys.exc_info()[1], OSError)
        log.log(logging.ERROR if bug else logging.DEBUG, "%s", msg, exc_info=bug)

    def process_conn(self, conn: Connection) -> None:
        """Let a new connection wait until it speaks; have one that speaks be answered. In the selector's thread."""
        if not conn.waited:
            conn.waited = True
            self._make_room(conn)
            self._connections.put(conn)  # type: ignore[attr-defined]
            return
        mine = [one for one in self.known.all() if one.working and one.remote_addr == conn.remote_addr]
        if len(mine) >= WORKING:
            conn.close()
            return
        conn.working = True
        super().process_conn(conn)

    def _make_room(self, new: Connection) -> None:
        """End what has waited longest, of the same source where that has many already."""
        known = [one for one in self.known.all() if one is not new]
        waiting = [one for one in known if not one.working]
        mine = [one for one in waiting if one.remote_addr == new.remote_addr]
        if len(mine) >= OF_ONE:
            mine[0].cut()
        elif len(known) >= MOST and waiting:
            waiting[0].cut()

    def reap(self) -> None:
        """Cut off what takes too long; to be called about every second."""
        limit = time.monotonic() - self.life_s
        for one in self.known.all():
            if one.since_s < limit:
                one.cut()
