"""Cameras added to agent.toml and secrets.toml: checked before anything is written, the old files kept beside.

1. The new agent.toml is checked as `pasu config check` does, without being written.
2. The new secrets.toml is written under another name, and read back; nothing is in its place yet.
3. The old secrets.toml is kept as secrets.toml.bak, and the new one takes its name: a log-in without a camera harms
   nothing, a camera without its log-in could not be recorded.
4. The old agent.toml is kept as agent.toml.bak, and the new one takes its name: the cameras are added.

Killed after any of them, both files are whole, old or new, and doing it again does it.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from agent.config import Login, read_secrets
from agent.config.load import load_text
from agent.errors import StorageFault
from agent.onvif.proposal import appended, camera_tables, log_in_tables
from agent.storage.files import Disk, fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.config import Config
    from agent.onvif.proposal import Addition

BACKUP = ".bak"
NEW = ".new"
SECRETS_MODE = 0o600


def add_cameras(
    file: Path,
    additions: Sequence[Addition],
    *,
    disk: Disk | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Config:
    """Add cameras at the end of a configuration; what stands there already is not touched.

    step     told the number of each step when it is done
    Returns  the configuration as it is now
    Raises   ConfigProblems when it would not be right, and nothing is changed then; StorageFault
    """
    disk = disk or Disk()
    file = file.resolve()  # where a link leads, so that the link stays
    old = _read(file)
    content = appended(old, camera_tables(additions))
    config = load_text(content, file)
    step("1")
    hidden = config.secrets_file
    known = read_secrets(hidden)
    # What an attempt that was killed after step 3 has left is not written twice.
    tables = log_in_tables(
        [each for each in additions if known.login(each.id) != Login(each.username, each.password)]
    )
    if tables:
        before = _read(hidden) if hidden.exists() else None
        fresh = hidden.with_name(hidden.name + NEW)
        owner = os.stat(hidden if before is not None else file)  # noqa: PTH116 - whose service reads it
        _write(disk, fresh, appended(before or b"", tables), SECRETS_MODE, owner)
        try:
            read_secrets(fresh)
        except BaseException:
            with contextlib.suppress(StorageFault):
                disk.unlink(fresh)
            raise
        step("2")
        if before is not None:
            _write(disk, hidden.with_name(hidden.name + BACKUP), before, SECRETS_MODE, owner)
        disk.rename(fresh, hidden)
        disk.fsync_directory(hidden.parent)
        step("3")
    owner = file.stat()
    fresh = file.with_name(file.name + NEW)
    _write(disk, file.with_name(file.name + BACKUP), old, owner.st_mode & 0o777, owner)
    _write(disk, fresh, content, owner.st_mode & 0o777, owner)
    disk.rename(fresh, file)
    disk.fsync_directory(file.parent)
    step("4")
    return config


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise fault("read", file, error) from error


def _write(disk: Disk, path: Path, data: bytes, mode: int, owner: os.stat_result) -> None:
    """Write a file of which nothing is left under this name; durable, and with the mode and owner of another."""
    disk.unlink(path)
    fd = disk.create_excl(path)
    try:
        disk.write_all(fd, path, data)
        try:
            disk.call("chmod", path, os.fchmod, fd, mode)
            if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                disk.call("chown", path, os.fchown, fd, owner.st_uid, owner.st_gid)
        except OSError as error:
            raise fault("chmod", path, error) from error
        disk.fdatasync(fd, path)
    finally:
        disk.close(fd)
