"""Overwrite the header of a segment's file, so that nobody can open it any more: what E3 does to one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage.head import HEAD_BYTES, shred_length
from agent.storage.keep.reach import TAIL, is_absent, is_no_file

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.files import Disk


class Refused(Exception):
    """What lies there is not what was stored; it is left alone."""

    def __init__(self, reason: str) -> None:
        """Say why, for a log."""
        super().__init__(reason)
        self.reason = reason


def overwrite(
    disk: Disk, inside: int, name: str, path: Path, stored: int | None, *, damaged: bool = False, sync: bool
) -> bool | None:
    """Overwrite the header of one file in place with zeros, without following a link.

    inside   its open directory; `path` is what faults call the file
    stored   its size when it was stored; None when nobody knows, as of a tail
    damaged  as of `head.shred_length`
    sync     make it durable here; otherwise a later `syncfs` does, and until then its name must not go
    Returns  whether that was done: not where another link is left; None when there is no such file
    Raises   Refused; StorageFault
    """
    try:
        fd = disk.open_file_at(inside, name, path, writing=True)
    except StorageFault as fault:
        if is_absent(fault):
            return None
        if is_no_file(fault):
            raise Refused("not a regular file") from fault
        raise
    try:
        status = disk.status(fd, path)
        start = disk.read_start(fd, path, HEAD_BYTES)
        length = shred_length(start, status.st_size, None if name.endswith(TAIL) else stored, damaged=damaged)
        if length is None:
            raise Refused("another file")
        if status.st_nlink != 1:
            return False
        disk.overwrite(fd, path, bytes(length))
        if sync:
            disk.fdatasync(fd, path)
    finally:
        disk.close(fd)
    return True
