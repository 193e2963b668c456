"""Carry exports over HTTPS, inside the tunnel, in a thread of its own: sending never holds up reports.

One export after the other, piece by piece. Before each piece, and many times within one, it is asked whether the export
was taken back: then the connection is cut, with all that the kernel has not sent yet (I8: within two seconds).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import ipaddress
import logging
import socket
import ssl
import struct
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent import consignment
from agent.consignment import MISPLACED, Manifest, Receipt, Unreadable, Where, Word, files_within, piece_at
from agent.tunnel.bind import bind_to
from agent.uplink.carrier import RATE_BYTES_S, Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.consignment import Order, Piece

PIECE_BYTES = 1 << 20
_SLICE_BYTES = 16 << 10
"""So much is sent before it is asked again whether to go on: half a second of a line of 256 kbit/s."""
_STALL_S = 30.0
_TICK_S = 0.5
_ANSWER_S = 120.0
"""Comparing a day of a camera at the end takes the centre a minute on a slow disk."""
_PAUSES_S = (1.0, 2.0, 5.0, 15.0, 30.0)
_PORT = 443

log = logging.getLogger("pasu.uplink")


class Stopped(Exception):
    """The export was taken back, or the process ends."""


class Unreachable(Exception):
    """The centre cannot be reached now, or does not want more now; `code` says which."""

    def __init__(self, code: str) -> None:
        """Say why, for keep's list."""
        super().__init__(code)
        self.code = code


class Sender:
    """Sends exports over HTTPS. `look` is called from the uplink's loop, the rest is its thread."""

    def __init__(
        self,
        box: str,
        tls: Callable[[], ssl.SSLContext],
        read: Callable[[Order, Piece], bytes],
        tell: Callable[[Word], None],
        *,
        rate_bytes_s: float = RATE_BYTES_S,
        pauses_s: tuple[float, ...] = _PAUSES_S,
        interface: str = "",
    ) -> None:
        """Start nothing yet.

        interface  by which alone the centre is reached; empty where there is no tunnel
        tls   makes a context of the certificates that are there now; raises OSError
        read  gives the bytes of a piece; what the disk does not give is zeros
        tell  keeps the word of an export
        """
        self.busy = False
        """Facts wait: exports wait for them."""
        self._box = box
        self._tls = tls
        self._read = read
        self._tell = tell
        self._pace = Pace(rate_bytes_s)
        self._pauses_s = pauses_s
        self._interface = interface
        self._orders: dict[str, Order] = {}
        self._words: dict[str, Word] = {}
        self._next_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._thread: threading.Thread | None = None

    def look(self, orders: dict[str, Order], words: dict[str, Word]) -> None:
        """Take what is to be sent now; what is not among it is not sent any more. words: of an earlier life."""
        with self._lock:
            for export, order in orders.items():
                if (before := self._orders.get(export)) is None or before.recalled != order.recalled:
                    self._next_s.pop(export, None)  # what is new, or taken back, waits for nothing
                    self._failures.pop(export, None)
            self._orders = dict(orders)
            for export in orders:
                self._words.setdefault(export, words.get(export) or Word(export, Where.WAITING))
            self._words = {name: word for name, word in self._words.items() if name in orders}
        if orders and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="exports", daemon=True)
            self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """End: what is on its way is cut off, and goes on in another life."""
        self._stop = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop:
            due = self._due()
            if due is None:
                self._wake.wait(_TICK_S)
                self._wake.clear()
                continue
            self._try(due)

    def _due(self) -> Order | None:
        now_s = time.monotonic()
        with self._lock:
            for export, order in sorted(self._orders.items(), key=lambda each: not each[1].recalled):
                over = self._words[export].where
                done = (Where.RECALLED, Where.REFUSED) if order.recalled else tuple(consignment.OVER)
                if over not in done and now_s >= self._next_s.get(export, 0.0):
                    return order
        return None

    def _try(self, order: Order) -> None:
        export = order.export
        try:
            with contextlib.closing(self._connect(order.to)) as connection:
                if order.recalled:
                    self._recall(connection, order)
                else:
                    self._send(connection, order)
            self._failures.pop(export, None)
        except Stopped:
            return
        except (Unreachable, OSError, http.client.HTTPException) as error:
            code = error.code if isinstance(error, Unreachable) else "unreachable"
            count = self._failures.get(export, 0)
            self._failures[export] = count + 1
            self._next_s[export] = time.monotonic() + self._pauses_s[min(count, len(self._pauses_s) - 1)]
            self._say(export, where=Where.WAITING, code=code)
            log.info("export %s waits: %s %s", export, code, type(error).__name__)

    def _connect(self, to: str) -> http.client.HTTPSConnection:
        parts = urlsplit(to)
        host, port, tls = parts.hostname or "", parts.port or _PORT, self._tls()
        made = http.client.HTTPSConnection(host, port, timeout=_STALL_S, context=tls)
        made.sock = tls.wrap_socket(self._dial(host, port), server_hostname=host)
        # What is cut off must not be sent by the kernel afterwards.
        made.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return made

    def _dial(self, host: str, port: int) -> socket.socket:
        if not self._interface:
            return socket.create_connection((host, port), _STALL_S)
        # By the tunnel alone, and to an address: to ask for a name would be to speak with somebody else (F3).
        try:
            family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        except ValueError:
            raise Unreachable("unreachable") from None
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_STALL_S)
            bind_to(connection, self._interface)
            connection.connect((host, port))
        except OSError:
            connection.close()
            raise
        return connection

    def _recall(self, connection: http.client.HTTPSConnection, order: Order) -> None:
        receipt = self._ask(connection, "DELETE", order, "")
        if receipt.where is Where.WAITING:
            raise Unreachable(receipt.code)
        self._say(order.export, where=receipt.where, code=receipt.code)

    def _send(self, connection: http.client.HTTPSConnection, order: Order) -> None:
        manifest = consignment.encode_manifest(Manifest(self._box, order.export, order.parts))
        receipt = self._ask(connection, "PUT", order, "/manifest", body=manifest)
        total = sum(part.size for part in order.parts)
        while receipt.where is Where.SENDING:
            self._heard(order, receipt)
            piece = piece_at(order.parts, receipt.have, PIECE_BYTES)
            if piece is None:
                self._say(order.export, where=Where.SENT)
                receipt = self._ask(connection, "POST", order, "/done")
                continue
            self._wait(order)
            data = self._read(order, piece)
            self._pace.went(len(data), time.monotonic())
            headers = {
                "Content-Range": f"bytes {receipt.have}-{receipt.have + len(data) - 1}/{total}",
                "Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:",
            }
            receipt = self._ask(connection, "PUT", order, "/bytes", body=data, headers=headers)
        if receipt.where is Where.WAITING:
            raise Unreachable(receipt.code)
        self._heard(order, receipt)

    def _wait(self, order: Order) -> None:
        """Wait until a piece may go: facts come first, and the line is others' too."""
        while True:
            self._go_on(order)
            wait_s = self._pace.wait_s(time.monotonic())
            if not wait_s and not self.busy:
                return
            time.sleep(min(max(wait_s, 0.05), _TICK_S))

    def _go_on(self, order: Order) -> None:
        now = self._orders.get(order.export)
        if self._stop or now is None or now.recalled != order.recalled:
            raise Stopped

    def _ask(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        order: Order,
        what: str,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Receipt:
        """Make a request; return what the centre says. Raises Stopped, Unreachable, OSError."""
        connection.putrequest(method, f"/v1/exports/{order.export}{what}")
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        self._pour(connection.sock, order, body, counted=what == "/bytes")
        self._await(connection.sock, order)
        answer = connection.getresponse()
        text = answer.read(consignment.LIMIT_BYTES)
        try:
            receipt = consignment.parse_receipt(text)
        except Unreadable:
            raise Unreachable("no_room" if answer.status == 507 else f"http_{answer.status}") from None
        if receipt.export != order.export and receipt.where is not Where.REFUSED:
            raise Unreachable("another_export")
        if receipt.code == MISPLACED and what == "/done":
            log.info("export %s goes back to %d", order.export, receipt.have)
        return receipt

    def _pour(self, line: socket.socket, order: Order, data: bytes, *, counted: bool) -> None:
        """Send bytes in slices; each time it is asked whether to go on."""
        line.settimeout(_TICK_S)
        at, stalled_s = 0, time.monotonic()
        while at < len(data):
            self._go_on(order)
            try:
                went = line.send(data[at : at + _SLICE_BYTES])
            except (TimeoutError, ssl.SSLWantWriteError):
                if time.monotonic() - stalled_s > _STALL_S:
                    raise
                continue
            at += went
            stalled_s = time.monotonic()
            if counted:
                self._count(order.export, went)

    def _await(self, line: socket.socket, order: Order) -> None:
        """Wait for the answer, and see meanwhile whether to go on."""
        import select

        until_s = time.monotonic() + _ANSWER_S
        while not select.select([line], [], [], _TICK_S)[0]:
            self._go_on(order)
            if time.monotonic() > until_s:
                raise Unreachable("no_answer")
        line.settimeout(_STALL_S)

    def _heard(self, order: Order, receipt: Receipt) -> None:
        self._say(
            order.export,
            where=receipt.where,
            bytes=receipt.have,
            files=files_within(order.parts, receipt.have),
            code=receipt.code if receipt.code != MISPLACED else "",
        )

    def _count(self, export: str, went: int) -> None:
        with self._lock:
            if (word := self._words.get(export)) is not None:
                self._words[export] = replace(word, gone=word.gone + went)

    def _say(self, export: str, **changes: object) -> None:
        with self._lock:
            before = self._words.get(export)
            if before is None:
                return
            word = self._words[export] = replace(before, **changes)  # type: ignore[arg-type]
        self._tell(word)
