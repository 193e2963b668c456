"""What each process says of itself: one small JSON file under the run directory, replaced as a whole.

The uplink and the page, which talk to others, have each a folder of their own there, so that their units can write no
file of the others. What they say is read as `agent.health.heard` has it.

Nothing in it shows pictures, passwords or addresses. A stale file is itself a sign, so each carries its time.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from agent.health import heard

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1 << 20
"""Of a health file; one of 64 cameras, with all of its conditions, is under 100 KiB."""


UPLINK = "uplink"
PAGE = "page"
APART = (UPLINK, PAGE)
"""These talk to strangers: each has a folder of its own, and what it says of itself is read with care."""
MODE = 0o644
"""Every user of the box may read them, whatever the umask: the page has a user of its own, and nothing in them is
secret."""


def folder_of(run: Path, process: str) -> Path:
    """Return where a process writes its health file: a folder of its own for some, <run> for all others."""
    return run / process if process in APART else run


def write_health(run: Path, process: str, body: dict[str, Any]) -> None:
    """Replace a process's health file, in a folder that is there.

    No sync: the directory is in memory, and a restart makes the file anew.

    Raises  OSError; the caller goes on with its work
    """
    folder = folder_of(run, process)
    place = folder / f"{process}.json"
    part = folder / f".{process}.json.part"
    part.unlink(missing_ok=True)
    # Never through a link: `pasu disks` writes as root where another user may have put one.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(part, flags, MODE), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
        os.fchmod(file.fileno(), MODE)
        json.dump(body, file, ensure_ascii=False)
    os.replace(part, place)  # noqa: PTH105 - as short as its Path form, and the Path form hides that it is atomic


def read_health(run: Path, process: str) -> dict[str, Any] | None:
    """Return what a process said last, None when it has said nothing that can be read.

    The directories are shared, or another's: what is no regular file is neither followed nor waited for, as a pipe
    would be for ever.
    """
    try:
        body = json.loads(_read(folder_of(run, process) / f"{process}.json").decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    return heard.READERS[process](body) if process in APART else body


def _read(place: Path) -> bytes:
    fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(place))
        return file.read(MOST_BYTES)
