"""A disk with a volatile cache, over the NBD protocol: what was not flushed when the power goes may be lost, or not.

The protocol is the one of github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md: fixed newstyle negotiation,
simple replies. The file behind it is the platter; what is written goes into memory until a flush comes.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096
"""Written as a whole or not at all, as disks of today promise."""

_OPTION_MAGIC = b"IHAVEOPT"
_REPLY_MAGIC = 0x3E889045565A9
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_ABORT, _INFO, _GO = 2, 6, 7
_ACK, _TOLD, _UNSUPPORTED = 1, 3, (1 << 31) + 1
_HAS_FLAGS, _SEND_FLUSH, _SEND_FUA = 1, 4, 8
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_FUA = 1
_EINVAL = 22


class LossyDisk:
    """Serves a raw image at a Unix socket, one client at a time.

    seed    chooses what a cut of power leaves of the writes that were not flushed
    lost    blocks that cuts threw away; kept: those that had reached the platter all the same
    """

    def __init__(self, image: Path, place: Path, seed: int = 0) -> None:
        self.place = place
        self.lost = self.kept = 0
        self._file = image.open("r+b", buffering=0)
        self._size = image.stat().st_size
        self._cache: dict[int, bytes] = {}
        self._chance = random.Random(seed)
        self._over = False
        self._client: socket.socket | None = None
        place.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._idle = threading.Event()
        self._idle.set()
        self._thread.start()

    def cut(self) -> None:
        """The power is gone: each block that was not flushed is there or is not. Call it when the client is dead."""
        if not self._idle.wait(60):
            raise AssertionError("the client of a disk still lives")
        for index, data in sorted(self._cache.items()):
            if self._chance.random() < 0.5:
                self._put(index, data)
                self.kept += 1
            else:
                self.lost += 1
        self._cache.clear()

    def close(self) -> None:
        """Stop serving; what is in the cache is written, as when a machine is switched off in order."""
        self._over = True
        for each in (self._client, self._listener):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(60)
        self._flush()
        self._file.close()
        self.place.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._over:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._idle.clear()
            self._client = client
            with contextlib.suppress(OSError, EOFError), client:
                if self._agree(client):
                    self._transmit(client)
            self._client = None
            self._idle.set()

    def _agree(self, client: socket.socket) -> bool:
        """Negotiate; tell whether transmission begins."""
        client.sendall(b"NBDMAGIC" + _OPTION_MAGIC + struct.pack(">H", _FIXED_NEWSTYLE | _NO_ZEROES))
        _exactly(client, 4)
        while True:
            magic, option, length = struct.unpack(">8sII", _exactly(client, 16))
            assert magic == _OPTION_MAGIC
            _exactly(client, length)

            def reply(kind: int, data: bytes = b"", option: int = option) -> None:
                client.sendall(struct.pack(">QIII", _REPLY_MAGIC, option, kind, len(data)) + data)

            if option in (_INFO, _GO):
                flags = _HAS_FLAGS | _SEND_FLUSH | _SEND_FUA
                reply(_TOLD, struct.pack(">HQH", 0, self._size, flags))
                reply(_ACK)
                if option == _GO:
                    return True
            elif option == _ABORT:
                reply(_ACK)
                return False
            else:
                reply(_UNSUPPORTED)

    def _transmit(self, client: socket.socket) -> None:
        while True:
            magic, flags, kind, cookie, offset, length = struct.unpack(">IHHQQI", _exactly(client, 28))
            assert magic == 0x25609513
            data, error = b"", 0
            if kind == _DISCONNECT:
                return
            if kind == _READ:
                data = self._read(offset, length)
            elif kind == _WRITE:
                self._write(offset, _exactly(client, length))
                if flags & _FUA:
                    self._flush(offset // BLOCK, (offset + length + BLOCK - 1) // BLOCK)
            elif kind == _FLUSH:
                self._flush()
            else:
                error = _EINVAL
            client.sendall(struct.pack(">IIQ", 0x67446698, error, cookie) + data)

    def _read(self, offset: int, length: int) -> bytes:
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        self._file.seek(first * BLOCK)
        data = bytearray(self._file.read((last - first + 1) * BLOCK))
        for index in range(first, last + 1):
            if (cached := self._cache.get(index)) is not None:
                data[(index - first) * BLOCK : (index - first + 1) * BLOCK] = cached
        start = offset - first * BLOCK
        return bytes(data[start : start + length])

    def _write(self, offset: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            index, within = divmod(offset + at, BLOCK)
            part = data[at : at + BLOCK - within]
            if len(part) < BLOCK:
                whole = bytearray(self._read(index * BLOCK, BLOCK))
                whole[within : within + len(part)] = part
                self._cache[index] = bytes(whole)
            else:
                self._cache[index] = part
            at += len(part)

    def _flush(self, first: int = 0, end: int | None = None) -> None:
        for index in [index for index in self._cache if index >= first and (end is None or index < end)]:
            self._put(index, self._cache.pop(index))

    def _put(self, index: int, data: bytes) -> None:
        self._file.seek(index * BLOCK)
        self._file.write(data)


def _exactly(client: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        if not (part := client.recv(length - len(data))):
            raise EOFError
        data += part
    return bytes(data)
