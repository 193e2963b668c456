"""Links in a folder that others may write too: followed where root, or who runs this, made them, and nowhere else.

Whoever may write a folder can put a link there under any name, and exchange it while root is at work. So a link is
followed once, here, to a place that nobody else can exchange; from there on that place is what is read and written, and
by its last name no link is followed any more.

Little is imported: a unit that others wait for runs this (`agent.hand_over`).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LINKS = 8
"""As many are followed, one after the other."""
LIMIT_BYTES = 1 << 20
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def led_to(path: Path) -> Path | None:
    """Return where a name leads: itself where it is no link, or nothing is there.

    None: somebody else made a link on the way, or can exchange a folder that one leads through.
    """
    for _ in range(LINKS):
        try:
            status = path.lstat()
            if not stat.S_ISLNK(status.st_mode):
                return path
            target = path.parent / path.readlink()
        except OSError:
            return path
        folder = Path(os.path.realpath(target.parent))
        if status.st_uid not in _ours() or not _fixed(folder):
            return None
        path = folder / target.name
    return None


def read(path: Path) -> tuple[bytes, os.stat_result]:
    """Return what is in a regular file, and whose that file is; no link is followed, no pipe waited for.

    Raises  OSError; also for what has more than LIMIT_BYTES
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:  # which refuses a directory
        status = os.fstat(fd)
        regular = stat.S_ISREG(status.st_mode)
        data = file.read(LIMIT_BYTES + 1) if regular else b""
    if not regular or len(data) > LIMIT_BYTES:
        raise OSError(errno.EINVAL, "no regular file, or too large")
    return data, status


def is_ours(status: os.stat_result) -> bool:
    """Tell whether a file is root's, or of who runs this, and nobody else may write it."""
    return status.st_uid in _ours() and not status.st_mode & _OTHERS_WRITE


def _ours() -> set[int]:
    return {0, os.geteuid()}


def _fixed(folder: Path) -> bool:
    """Tell whether nobody else can put another folder under this name. folder: without links on its way."""
    below = folder
    for above in folder.parents:
        try:
            status = above.stat()
            sticky = status.st_mode & stat.S_ISVTX and below.stat().st_uid in _ours()
        except OSError:
            return False
        if status.st_uid not in _ours() or (status.st_mode & _OTHERS_WRITE and not sticky):
            return False
        below = above
    return True
