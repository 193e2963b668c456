"""The folders of a new box, and whose they are.

Where they lie is for answers to say, and what a folder's owner may write the agent then may. So the agent is given a
folder that was made for it, that is its own already, or that is empty and none of the system's; of any other a person
says by hand that it is the agent's. What is looked at is what is given: an open folder, by no name that could meanwhile
be another's.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say
from agent.storage.files import Disk, exists, fault, is_directory

if TYPE_CHECKING:
    from agent.config import Config
    from agent.field.setup.place import Places

FOLDER_MODE, STATE_FOLDER_MODE, CONFIG_FOLDER_MODE, OWN_MODE = 0o755, 0o750, 0o770, 0o700
SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys", "usr")
"""Below these nothing that is there is given away, be it empty."""
VAR, ITS_OWN = Path("/var"), Path("/var/lib/pasu")
"""Of /var the same is true, but for what is the agent's."""


def prepare(places: Places, config: Config, disk: Disk, *, mounted: bool) -> None:
    """Make the folders of configuration, state and vault. mounted: the vault's disk will be mounted there.

    Raises  StorageFault; INIT_FOLDER for one that is not to be given to the agent
    """
    config_folder(places, disk)
    uid, gid = places.owner()
    vault, state = config.storage.vaults[0], config.storage.state
    made = not is_directory(state)
    if made:
        if not exists(state.parent):  # the agent's, or systemd would give it everything below
            _above(disk, state.parent)
            _own(disk, state.parent, STATE_FOLDER_MODE, uid, gid)
        disk.make_directory(state)
    _entrust(disk, state, uid, gid, made=made)
    made = not is_directory(vault)
    if made:
        _above(disk, vault.parent)
        disk.make_directory(vault)
        if mounted:
            _own(disk, vault, FOLDER_MODE, *myself())
    if not mounted:
        _entrust(disk, vault, uid, gid, made=made)


def config_folder(places: Places, disk: Disk) -> None:
    """Make the folder of agent.toml, where there is none. Raises StorageFault."""
    folder = places.config.parent
    if not is_directory(folder.resolve()):
        _above(disk, folder.parent)
        disk.make_directory(folder)
        _own(disk, folder, CONFIG_FOLDER_MODE, os.geteuid(), places.group())


def give(disk: Disk, vault: Path, uid: int, gid: int) -> None:
    """Make a vault the agent's, with all that is in it: after the system was installed anew, the agent's user may have
    another number. Whatever that user puts in its place meanwhile, nothing outside of the vault is given away.

    vault   what the disk for recordings is mounted at
    Raises  StorageFault
    """
    _own(disk, vault, OWN_MODE, uid, gid)
    for folder, names, files, at in os.fwalk(vault):
        for name in (*names, *files):
            path = Path(folder, name)
            try:
                status = os.stat(name, dir_fd=at, follow_symlinks=False)
                if (status.st_uid, status.st_gid) != (uid, gid) and name != "lost+found":
                    change = partial(os.chown, name, uid, gid, dir_fd=at, follow_symlinks=False)
                    disk.call("chown", path, change)
            except OSError as error:
                raise fault("chown", path, error) from error


def myself() -> tuple[int, int]:
    """Return user and group of who runs this."""
    return os.geteuid(), os.getegid()


def _above(disk: Disk, folder: Path) -> None:
    """Make the folders above, which others may pass through."""
    if exists(folder):
        return
    _above(disk, folder.parent)
    disk.make_directory(folder)
    _own(disk, folder, FOLDER_MODE, *myself())


def _own(disk: Disk, path: Path, mode: int, uid: int, gid: int) -> None:
    """Give a folder its owner and mode; a link is refused. Raises StorageFault."""
    fd = _opened(disk, path)
    try:
        _change(disk, (fd, path), mode, uid, gid)
    finally:
        disk.close(fd)


def _entrust(disk: Disk, path: Path, uid: int, gid: int, *, made: bool) -> None:
    """Make a folder the agent's alone, if it may be. made: it was made for that, just now."""
    fd = _opened(disk, path)
    try:
        theirs = disk.status(fd, path).st_uid == uid
        if not theirs and not (_is_empty(fd) and (made or not _is_systems(fd))):
            raise StorageFault(
                "INIT_FOLDER",
                say(
                    f"이 폴더는 pasu의 것이 아니고 비어 있지 않거나 시스템의 것입니다: {path}",
                    f"this folder is not pasu's, and it is not empty or it is the system's: {path}",
                ),
                hint=say(
                    f"다른 폴더를 적으십시오. 정말 이 박스의 것이면: `chown pasu:pasu {path}`",
                    f"name another; if it is this box's indeed: `chown pasu:pasu {path}`",
                ),
                path=str(path),
            )
        _change(disk, (fd, path), OWN_MODE, uid, gid)
    finally:
        disk.close(fd)


def _opened(disk: Disk, path: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return disk.call("open", path, os.open, path, flags)
    except OSError as error:
        raise fault("open", path, error) from error


def _change(disk: Disk, opened: tuple[int, Path], mode: int, uid: int, gid: int) -> None:
    fd, path = opened
    try:
        disk.call("chown", path, os.fchown, fd, uid, gid)
        disk.call("chmod", path, os.fchmod, fd, mode)
    except OSError as error:
        raise fault("chown", path, error) from error


def _is_empty(fd: int) -> bool:
    with os.scandir(fd) as inside:
        return all(each.name == "lost+found" for each in inside)


def _is_systems(fd: int) -> bool:
    """Tell whether an open folder is one of the system's, by whatever name it was opened."""
    where = Path(f"/proc/self/fd/{fd}").readlink()
    if where.is_relative_to(VAR):
        return not where.is_relative_to(ITS_OWN)
    return where == Path("/") or where.parts[1] in SYSTEM
