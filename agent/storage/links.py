"""Links in a folder that others may write too: followed where root, or who runs this, made them, and nowhere else.

Whoever may write a folder can put a link there under any name, and exchange it while root is at work. So a link is
followed once, here, to a place that nobody else can exchange; from there on that place is what is read and written, and
by its last name no link is followed any more.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from agent.errors import ConfigError
from agent.language import say
from agent.storage.files import fault

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


def followed(file: Path) -> Path:
    """Return where a configuration lies that is to be written, so that a link to it stays one.

    Raises  ConfigError CONFIG_LINK for a link that is not to be trusted
    """
    found = led_to(file)
    if found is None:
        raise ConfigError(
            "CONFIG_LINK",
            say(
                f"{file}은 root가 만든 것이 아니거나 다른 사용자가 바꿀 수 있는 곳을 가리키는 링크입니다",
                f"{file} is a link that is not root's, or that leads where others may change the way",
            ),
            hint=say(
                f"`ls -l {file}`로 가리키는 곳을 확인하고, 링크 대신 파일 자체를 두십시오",
                f"see by `ls -l {file}` where it leads, and put the file itself there in its stead",
            ),
            file=str(file),
        )
    return found


def content(path: Path) -> tuple[bytes, os.stat_result]:
    """Return what is in a regular file, and whose that file is; no link is followed, no pipe waited for.

    Raises  StorageFault; also for what has more than LIMIT_BYTES
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:  # which refuses a directory
            status = os.fstat(fd)
            regular = stat.S_ISREG(status.st_mode)
            data = file.read(LIMIT_BYTES + 1) if regular else b""
    except OSError as error:
        raise fault("read", path, error) from error
    if not regular or len(data) > LIMIT_BYTES:
        raise fault("read", path, OSError(errno.EINVAL, "no regular file, or too large"))
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
