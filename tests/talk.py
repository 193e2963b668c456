"""The server's side of RTSP, word by word: for cameras and media servers that do what none should."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class Talk:
    """One connection at the media server: reads requests, answers what it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._data = b""

    def request(self) -> tuple[str, str, str]:
        """Return method, target and CSeq of the next request; frames before it are left out."""
        while True:
            while self._data[:1] == b"$" and len(self._data) >= 4:
                end = 4 + int.from_bytes(self._data[2:4], "big")
                if len(self._data) < end:
                    break
                self._data = self._data[end:]
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if found and not self._data.startswith(b"$"):
                lines = head.decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])
                }
                length = int(headers.get("content-length", "0"))
                while len(rest) < length:
                    rest += self._more()
                self._data = rest[length:]
                method, target, _ = lines[0].split(" ")
                return method, target, headers["cseq"]
            self._data += self._more()

    def say(self, cseq: str, status: str = "200 OK", headers: str = "", body: str = "") -> None:
        if body:
            headers += f"Content-Length: {len(body)}\r\n"
        self.connection.sendall(f"RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{headers}\r\n{body}".encode())

    def agree(self, *upto: str) -> str:
        """Answer requests in good order, up to and without the first of some methods; return its CSeq."""
        while True:
            method, _, cseq = self.request()
            if method in upto:
                return cseq
            more = (
                "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n" if method == "SETUP" else ""
            )
            self.say(cseq, headers="Session: 12345678;timeout=60\r\n" + more)

    def _more(self) -> bytes:
        data = self.connection.recv(65536)
        if not data:
            raise OSError("gone")
        return data


class Told:
    """A server of which each connection, in turn, does what it is told to; the last one's for all that follow."""

    def __init__(self, *parts: Callable[[Talk], None]) -> None:
        self.count = 0
        self._parts = parts
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._door.accept()[0]
                part = self._parts[min(self.count, len(self._parts) - 1)]
                self.count += 1
                threading.Thread(target=self._play, args=(part, connection), daemon=True).start()

    @staticmethod
    def _play(part: Callable[[Talk], None], connection: socket.socket) -> None:
        connection.settimeout(60)
        with contextlib.suppress(OSError), connection:
            part(Talk(connection))
