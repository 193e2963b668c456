"""What each process says of itself: one small JSON file under the run directory, replaced as a whole.

Nothing in it shows pictures, passwords or addresses. A stale file is itself a sign, so each carries its time.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1 << 20
"""Of a health file; one of 64 cameras, with all of its conditions, is under 100 KiB."""


def write_health(run: Path, process: str, body: dict[str, Any]) -> None:
    """Replace <run>/<process>.json. No sync: the directory is in memory, and a restart makes the file anew.

    Raises  OSError; the caller goes on with its work
    """
    place = run / f"{process}.json"
    part = run / f".{process}.json.part"
    part.unlink(missing_ok=True)
    # Never through a link: `pasu disks` writes as root where another user may have put one.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(part, flags, 0o644), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
        json.dump(body, file, ensure_ascii=False)
    os.replace(part, place)  # noqa: PTH105 - as short as its Path form, and the Path form hides that it is atomic


def read_health(run: Path, process: str) -> dict[str, Any] | None:
    """Return what a process said last, None when it has said nothing that can be read.

    The directory is shared: what is no regular file is neither followed nor waited for, as a pipe would be for ever.
    """
    try:
        body = json.loads(_read(run / f"{process}.json").decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _read(place: Path) -> bytes:
    fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(place))
        return file.read(MOST_BYTES)
