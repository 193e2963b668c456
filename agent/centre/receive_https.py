"""The centre's receiver over HTTPS: certificates on both sides, a box's name is that of its certificate.

The requests are those of docs/formats.md. Each connection has a thread, of which there are at most so many; one that is
silent for TIMEOUT_S is closed. A body is bounded before it is read.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import logging
import re
import ssl
import threading
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from agent import consignment
from agent.centre.receive import Refused
from agent.consignment import LIMIT_BYTES, MISPLACED, NO_ROOM, NOT_PROVEN, TOO_LARGE, Receipt, Where
from agent.errors import StorageFault

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from agent.centre.receive import Store

TIMEOUT_S = 60.0
MOST_CONNECTIONS = 128
MOST_OF_ONE = 8
"""Connections from one address: a box has one, and whoever holds on to all of them would shut the others out."""
_PATH = re.compile(r"/v1/exports/([0-9a-f]{32})(?:/(manifest|bytes|done))?\Z")
_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})\Z")
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):\Z")

log = logging.getLogger("pasu.receive")


def context(certificate: Path, key: Path, authority: Path, revoked: Path | None) -> ssl.SSLContext:
    """Make the TLS side of the receiver. Raises OSError for files that cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(certificate, key)
    made.load_verify_locations(authority)
    if revoked is not None:
        made.load_verify_locations(revoked)
        made.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return made


class Server(ThreadingHTTPServer):
    """Listens for boxes. `told` hears of every export that came to an end: box and receipt."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        tls: ssl.SSLContext,
        store: Store,
        told: Callable[[str, Receipt], None] = lambda _box, _receipt: None,
    ) -> None:
        """Bind; raises OSError."""
        if ":" in address[0]:
            import socket

            self.address_family = socket.AF_INET6
        self.tls = tls
        self.store = store
        self.told = told
        self.slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._of_one: Counter[str] = Counter()
        self._counting = threading.Lock()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread, unless there are too many."""
        if not self._admit(client_address[0]):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def _admit(self, address: str) -> bool:
        with self._counting:
            if self._of_one[address] >= MOST_OF_ONE or not self.slots.acquire(blocking=False):
                return False
            self._of_one[address] += 1
            return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve, and give the place to another afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self._of_one[client_address[0]] -= 1
                self._of_one += Counter()  # forgets who has none any more
            self.slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's form
        """Leave it at a line: whoever cannot finish a handshake is no bug of ours."""
        import sys

        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.info("a connection ended: %s", type(error).__name__)
        else:
            log.error("a request failed", exc_info=error)


class Handler(BaseHTTPRequestHandler):
    """One connection of a box."""

    protocol_version = "HTTP/1.1"
    server_version = "pasu"
    sys_version = ""
    server: Server
    connection: socket.socket
    timeout = TIMEOUT_S

    def setup(self) -> None:
        """Do the handshake in this thread: one that takes its time holds up nobody."""
        self.request.settimeout(TIMEOUT_S)
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        """End the connection: wrapping took the socket from the server, which cannot close it any more."""
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.request.close()

    @property
    def box(self) -> str:
        """Return the name in the certificate; empty without one."""
        assert isinstance(self.request, ssl.SSLSocket)
        subject: Any = (self.request.getpeercert() or {}).get("subject", ())
        names = [value for part in subject for key, value in part if key == "commonName"]
        return names[0] if len(names) == 1 else ""

    def do_PUT(self) -> None:
        """Take a manifest, or bytes."""
        path, body = self._path(), self._body()
        if path is None or body is None:
            return
        export, what = path
        if what == "manifest":
            self._answer(lambda: self.server.store.manifest(self.box, body))
        elif what == "bytes":
            self._bytes(export, body)
        else:
            self._say(HTTPStatus.METHOD_NOT_ALLOWED)

    def do_HEAD(self) -> None:
        """Say how much there is."""
        path = self._path()
        if path is None:
            return
        receipt = self.server.store.have(self.box, path[0])
        if receipt is None:
            self._say(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.GONE if receipt.where is Where.RECALLED else HTTPStatus.OK)
        self.send_header("Upload-Offset", str(receipt.have))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """Compare everything, and say what was found."""
        path, body = self._path(), self._body()
        if path is None or body is None:
            return
        if path[1] != "done":
            self._say(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        receipt = self._answer(lambda: self.server.store.finish(self.box, path[0]))
        if receipt is not None and receipt.where is not Where.SENDING:
            self.server.told(self.box, receipt)

    def do_DELETE(self) -> None:
        """Take nothing more of an export, and throw away what came."""
        path = self._path()
        if path is None:
            return
        receipt = self._answer(lambda: self.server.store.recall(self.box, path[0]))
        if receipt is not None and receipt.where is Where.RECALLED:
            self.server.told(self.box, receipt)

    def _bytes(self, export: str, body: bytes) -> None:
        span = _RANGE.match(self.headers.get("Content-Range", ""))
        digest = _DIGEST.match(self.headers.get("Content-Digest", ""))
        if span is None or digest is None or int(span[2]) - int(span[1]) + 1 != len(body):
            self._say(HTTPStatus.BAD_REQUEST)
            return
        try:
            wanted = base64.b64decode(digest[1], validate=True)
        except binascii.Error:
            wanted = b""
        if hashlib.sha256(body).digest() != wanted:
            self._say(HTTPStatus.UNPROCESSABLE_ENTITY)
            return
        self._answer(lambda: self.server.store.write(self.box, export, int(span[1]), body))

    def _answer(self, work: Callable[[], Receipt]) -> Receipt | None:
        """Do work, and answer with its receipt; return it when there is one."""
        try:
            receipt = work()
            status = _status(receipt)
        except Refused as refused:
            receipt, status = refused.receipt, _status(refused.receipt)
        except StorageFault as fault:
            log.error("%s", fault)  # noqa: TRY400 - the fault says it all
            full = fault.code == "DISK_FULL"
            self._say(HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.INTERNAL_SERVER_ERROR)
            return None
        self._say(status, consignment.encode_receipt(self.box, receipt))
        return receipt

    def _path(self) -> tuple[str, str] | None:
        """Return export and what of it is meant; answered already when it is nothing."""
        found = _PATH.match(self.path)
        if found is None:
            self.close_connection = True  # a body that nobody reads would be taken for the next request
            self._say(HTTPStatus.NOT_FOUND)
            return None
        return found[1], found[2] or ""

    def _body(self) -> bytes | None:
        """Read the body; None, and answered, for one that is too long or of no length."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > LIMIT_BYTES:
            self.close_connection = True
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length.isdigit() else HTTPStatus.LENGTH_REQUIRED)
            return None
        data = self.rfile.read(int(length))
        if len(data) != int(length):
            self.close_connection = True
            return None
        return data

    def _say(self, status: HTTPStatus, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if body:
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Log quietly: every chunk is a request."""
        log.debug(format, *args)


def _status(receipt: Receipt) -> HTTPStatus:
    if receipt.where is Where.RECALLED and not receipt.code:
        return HTTPStatus.OK
    return {
        MISPLACED: HTTPStatus.CONFLICT,
        NOT_PROVEN: HTTPStatus.CONFLICT,
        NO_ROOM: HTTPStatus.INSUFFICIENT_STORAGE,
        TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    }.get(receipt.code, HTTPStatus.FORBIDDEN if receipt.where is Where.REFUSED else HTTPStatus.OK)
