"""Make sealed files that nobody needs any more unreadable for good, before their names go.

A name that is removed leaves its blocks on the disk; without the age header at their start nobody can open them.
What is erased because its time has come goes through `keep.erase`; here it is tails, and files that others supersede.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage import files
from agent.storage.head import HEAD_BYTES, header_length

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
            start = disk.read_start(fd, path, HEAD_BYTES)
            disk.overwrite(fd, path, bytes(header_length(start, status.st_size)))
            disk.fdatasync(fd, path)
    finally:
        disk.close(fd)
    disk.unlink(path)


def is_void(path: Path) -> bool:
    """Tell whether a file holds nothing that could be opened: it is empty, or its header was overwritten."""
    with path.open("rb") as file:
        return file.read(1) in (b"", b"\0")


class Replaced:
    """The tail of a segment whose name the next one takes: it keeps a name until that one is durable.

    Then its header is overwritten. Without a name of its own it could not be: blocks of a file that has none are not
    written any more, and one that is open without a name leaves a file system that fails in need of repair by hand.
    """

    def __init__(self, disk: Disk, tail: Path, old: Path) -> None:
        """tail, old  the name that each tail takes, and the one that it has afterwards."""
        self._disk = disk
        self._tail = tail
        self._old = old
        self._there = False

    def keep(self) -> None:
        """Give the tail that is about to be replaced its second name; a disk that cannot do that stops nothing."""
        with contextlib.suppress(StorageFault):
            self._disk.link(self._tail, self._old)
            self._there = True

    def synced(self) -> None:
        """Overwrite and remove it: what took its name is durable, or the whole segment is."""
        if self._there:
            # A disk that refuses now has the next write refused too, which is heard; the next start does this again.
            with contextlib.suppress(StorageFault):
                shred(self._disk, self._old)
            self._there = False

    def discard(self) -> None:
        """Overwrite and remove it, whatever became of it before. Raises StorageFault."""
        shred(self._disk, self._old)
        self._there = False

    def restore(self) -> None:
        """Give it its name back, after a sync that failed: it is durable, and the one that took its name may not be.

        Raises  StorageFault
        """
        if not self._there:
            # What took its name is durable, and the disk only refused to let it go.
            shred(self._disk, self._old)
        elif files.is_regular(self._old):
            if files.is_regular(self._tail) and self._old.samefile(self._tail):
                self._disk.unlink(self._old)  # the fault came before the name was taken
            else:
                self._disk.rename(self._old, self._tail)
        self._there = False
