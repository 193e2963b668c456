"""Make sealed files that nobody needs any more unreadable for good, before their names go.

A name that is removed leaves its blocks on the disk; without the age header at their start nobody can open them.
What is erased because its time has come goes through `keep.erase`; here it is tails, and files that others supersede.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from agent.errors import IntegrityFault, StorageFault
from agent.storage import files
from agent.storage.envelope import MAX_HEADER_BYTES, shred_span

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.files import Disk


def shred(disk: Disk, path: Path) -> None:
    """Overwrite the header of a sealed file, durably, and remove its name. A name that is not there is as good.

    A file that has another name too is held: its content is left alone.
    Raises  StorageFault
    """
    if not files.is_regular(path):
        disk.unlink(path)
        return
    fd = disk.open_existing(path)
    try:
        status = disk.status(fd, path)
        if status.st_nlink == 1 and status.st_size:
            disk.overwrite(fd, path, bytes(_span(disk.read_start(fd, path, MAX_HEADER_BYTES))))
            disk.fdatasync(fd, path)
    finally:
        disk.close(fd)
    disk.unlink(path)


def is_void(path: Path) -> bool:
    """Tell whether a file holds nothing that could be opened: it is empty, or its header was overwritten."""
    with path.open("rb") as file:
        return file.read(1) in (b"", b"\0")


def _span(start: bytes) -> int:
    """Return how many bytes are the header; all that was read where that cannot be told."""
    try:
        return shred_span(start)
    except IntegrityFault:
        return len(start)


class Replaced:
    """Tails of one segment whose name another one took; their headers are overwritten without a sync of their own.

    Two windows each: when a syncfs has made the next tail durable the header is overwritten, and the syncfs of the next
    window takes the zeros to the disk. Until then the file is kept open: nobody writes down what has no name.
    """

    def __init__(self, disk: Disk, header_bytes: int) -> None:
        """header_bytes  length of each tail's header."""
        self._disk = disk
        self._zeros = bytes(header_bytes)
        self._waiting: list[tuple[int, Path]] = []
        self._overwritten: list[tuple[int, Path]] = []

    def keep(self, path: Path) -> None:
        """Take the tail that is about to be replaced; one that cannot be opened stops nothing."""
        with contextlib.suppress(StorageFault):
            self._waiting.append((self._disk.open_existing(path), path))

    def synced(self) -> None:
        """Go on after a good syncfs."""
        for fd, _ in self._overwritten:
            self._disk.close(fd)
        self._overwritten = [each for each in self._waiting if self._overwrite(*each)]
        self._waiting = []

    def finish(self) -> None:
        """Overwrite what is left, now: all of it is superseded durably."""
        for fd, path in self._waiting:
            self._overwrite(fd, path)
        for fd, path in self._waiting + self._overwritten:
            # A disk that refuses now has the next write refused too, which is heard.
            with contextlib.suppress(StorageFault):
                self._disk.fdatasync(fd, path)
        self.drop()

    def drop(self) -> None:
        """Let go: after a fault nothing is certain, and what was replaced may be what the disk still has."""
        for fd, _ in self._waiting + self._overwritten:
            self._disk.close(fd)
        self._waiting, self._overwritten = [], []

    def _overwrite(self, fd: int, path: Path) -> bool:
        with contextlib.suppress(StorageFault):
            self._disk.overwrite(fd, path, self._zeros)
            return True
        self._disk.close(fd)
        return False
