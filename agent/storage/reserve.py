"""Room that is kept for the catalogue on its own disk: without it, a full disk could never be emptied.

Before anything is erased the catalogue says so, and a catalogue that cannot grow cannot say it. So a file of
allocated blocks lies in the state directory. A transaction that finds the disk full gives its blocks back and is
done once more; the file is made again when there is room.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage import files

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.files import Disk

FILE = "reserve"
BYTES = 32 << 20
"""A transaction of the keeper writes some KiB, a checkpointed WAL at most 4 MiB; the rest is for the time until
the keeper has made room."""
_SMALL_SHARE = 32  # of a small disk not more than this part
_ROOM = 4  # it is made again when so many times its size are free


def keep(state: Path, disk: Disk) -> bool:
    """Make the reserve whole if there is room for it; return whether it is.

    It is no fault that there is none: the disk is short then, and says so by itself.
    """
    place = state / FILE
    try:
        size = _size(state)
        there = files.exists(place)
        if there and place.stat().st_blocks * 512 >= size:
            return True
        room = os.statvfs(state)
        if room.f_bavail * room.f_frsize < _ROOM * size:
            return False
        fd = disk.open_existing(place) if there else disk.create_excl(place)
        try:
            return disk.preallocate(fd, place, size)
        finally:
            disk.close(fd)
    except (OSError, StorageFault):
        return False


def release(state: Path, disk: Disk) -> bool:
    """Give the reserve's blocks back; return whether there were any."""
    place = state / FILE
    try:
        blocks = place.stat().st_blocks
        disk.unlink(place)
    except (OSError, StorageFault):
        return False
    return blocks > 0


def _size(state: Path) -> int:
    whole = os.statvfs(state)
    return min(BYTES, whole.f_blocks * whole.f_frsize // _SMALL_SHARE)
