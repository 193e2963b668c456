"""The vault's side of a hold: its HOLD file, and the hard links that keep its segments.

    holds/<hold>/HOLD                           one line of canonical JSON; first to come, last to go
    holds/<hold>/<camera>/<day>/<file name>     one link for each segment, and for its tail

No link is followed, and nothing here is removed but what has a segment's name. All under `locks.fate`.
"""

from __future__ import annotations

import errno
import os
from enum import Enum
from typing import TYPE_CHECKING

from agent.storage import files
from agent.storage.keep import hold as rules
from agent.storage.keep.links import link_home, link_parts, listed
from agent.storage.keep.reach import TAIL, folder, stem_of_path
from agent.storage.layout import CAMERA_NAME, DAY_NAME
from agent.storage.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agent.storage.keep.hold import Hold

FILE = "HOLD"
COPIES = "state"
"""In the place of a vault's uuid, where the copies of the holds' files are told of."""
LIMIT_BYTES = 1 << 20


class Unread(Enum):
    """Why there is no hold to be read."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"


def home(hold_id: str) -> str:
    """Return where a hold's files are, relative to the vault."""
    return f"holds/{hold_id}"


def link_path(hold_id: str, path: str) -> str:
    """Return the link of a segment that lies at a path; both relative to the vault."""
    return home(hold_id) + path.removeprefix("segments")


def names(vault: Vault) -> list[str]:
    """Return the ids of the holds that have a directory in a vault. Raises StorageFault.

    A directory is a hold's if it has a HOLD file, one half written or a link of a segment; or is empty, as a placing
    leaves it that was cut off. With anything else in it, it is somebody else's, and holds nothing.
    """
    return [name for name in _directories(vault) if _is_hold(vault, name)]


def foreign(vault: Vault) -> list[str]:
    """Return the directories among the holds that are none. Raises StorageFault."""
    return [name for name in _directories(vault) if not _is_hold(vault, name)]


def _directories(vault: Vault) -> list[str]:
    root = vault.at("holds")
    return [name for name in listed(root) if rules.HOLD_NAME.match(name) and files.is_directory(root / name)]


def _is_hold(vault: Vault, name: str) -> bool:
    root = vault.at(home(name))
    # Asked for by their names first: this is asked of every hold before every batch of erasing.
    if files.exists(root / FILE) or files.exists(root / (FILE + files.TEMPORARY)):
        return True
    return not listed(root) or any(found for _, found in links(vault, name))


def read(vault: Vault, hold_id: str) -> Hold | Unread:
    """Read a hold's file. What cannot be read is told from what is not there, and both from a hold."""
    place = vault.at(home(hold_id)) / FILE
    try:
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return Unread.ABSENT
    except OSError:
        return Unread.UNREADABLE
    try:
        data = os.read(fd, LIMIT_BYTES)
    except OSError:
        return Unread.UNREADABLE
    finally:
        os.close(fd)
    return rules.read(hold_id, data) or Unread.UNREADABLE


def write(vault: Vault, hold: Hold) -> None:
    """Write a hold's file, durable with its directory; another one there is replaced. Raises StorageFault."""
    place = vault.at(home(hold.id))
    vault.disk.make_directory(place)
    vault.disk.atomic_replace(place / FILE, rules.write(hold), sync=True)


def copies(state: Path, vaults: Mapping[str, Vault]) -> Vault:
    """Return the state directory as if it were a vault: a copy of each hold's file is there, and no links.

    A hold of a vault that is away is in the catalogue alone; if that is lost too, this is left of it.
    vaults  whose disk is written with
    """
    disk = next((vault.disk for vault in vaults.values()), None)
    return Vault(state, COPIES, 0, disk or files.Disk())


def write_copy(beside: Vault, hold: Hold) -> None:
    """Write a hold's copy, unless it is there. beside: as `copies` returns. Raises StorageFault."""
    if read(beside, hold.id) != hold:
        beside.disk.make_directory(beside.at("holds"))
        write(beside, hold)


def drop_copy(beside: Vault, hold_id: str) -> None:
    """Remove a hold's copy, if it is there. Raises StorageFault."""
    place = beside.at(home(hold_id))
    if files.is_directory(place) and not remove(beside, hold_id):
        raise files.fault("rmdir", place, OSError(errno.ENOTEMPTY, "not empty"))


def is_never_placed(vault: Vault, hold_id: str) -> bool:
    """Tell whether a directory is all there is: its placing was cut off before it had a file."""
    return set(listed(vault.at(home(hold_id)))) <= {FILE + files.TEMPORARY}


def link(vault: Vault, hold_id: str, path: str) -> str:
    """Link a segment and its tail into a hold; those that are there stay.

    path     of the segment, relative to the vault
    Returns  the directory whose names are now to be made durable, relative to the vault
    Raises   StorageFault, for a segment that is not there with ENOENT
    """
    source, target = path.rpartition("/")[0], link_path(hold_id, path).rpartition("/")[0]
    camera = vault.at(target).parent
    if not files.is_directory(vault.at(target)):
        vault.disk.make_directory(camera)
        vault.disk.make_directory(vault.at(target))
    link_parts(vault, source, target, path.rpartition("/")[2])
    return target


def is_linked(vault: Vault, hold_id: str, path: str) -> bool:
    """Tell whether a segment's link is there."""
    return files.is_regular(vault.at(link_path(hold_id, path)))


def links(vault: Vault, hold_id: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the directories of a hold's links, relative to `holds/<hold>`, each with the segments' names in it.

    A tail goes with its segment, and is named by it; only of one that was cut off in `link` the segment may be
    missing here. Raises StorageFault
    """
    root = vault.at(home(hold_id))
    for camera in listed(root):
        if not CAMERA_NAME.match(camera) or not files.is_directory(root / camera):
            continue
        for day in listed(root / camera):
            place = root / camera / day
            if DAY_NAME.match(day) and files.is_directory(place):
                found = {name.removesuffix(TAIL) for name in listed(place)}
                yield (
                    f"{camera}/{day}",
                    sorted(name for name in found if stem_of_path(f"segments/{camera}/{day}/{name}")),
                )


def link_back(vault: Vault, hold_id: str, inside: str, name: str) -> bool:
    """Give a held segment back its name in `segments/`, where it has none; tell whether it now has it.

    inside  `<camera>/<day>`
    False when the name belongs to another file. Raises StorageFault
    """
    return link_home(vault, f"{home(hold_id)}/{inside}", inside, name)


def unlink(vault: Vault, hold_id: str, inside: str, wanted: list[str]) -> None:
    """Remove links of segments, with their tails, and the directories if they are empty then. Raises StorageFault."""
    source = f"{home(hold_id)}/{inside}"
    disk, place = vault.disk, vault.at(source)
    with folder(vault, source) as fd:
        for name in wanted:
            disk.unlink_at(fd, name + TAIL, place / (name + TAIL))
            disk.unlink_at(fd, name, place / name)
        disk.fsync(fd, place)


def remove(vault: Vault, hold_id: str) -> bool:
    """Remove a hold's empty directories, then its file, then its own directory; tell whether all is gone.

    False when something is there that is no link of a segment; it is left, and the hold's file too.
    Raises  StorageFault
    """
    disk, root = vault.disk, vault.at(home(hold_id))
    with folder(vault, home(hold_id)) as fd:
        for camera in listed(root):
            if camera in (FILE, FILE + files.TEMPORARY):
                continue
            if not CAMERA_NAME.match(camera) or not files.is_directory(root / camera):
                return False
            with folder(vault, f"{home(hold_id)}/{camera}") as inner:
                for day in listed(root / camera):
                    if not files.is_directory(root / camera / day):
                        return False
                    if not disk.remove_folder_at(inner, day, root / camera / day):
                        return False
            if not disk.remove_folder_at(fd, camera, root / camera):
                return False
        disk.unlink_at(fd, FILE + files.TEMPORARY, root / (FILE + files.TEMPORARY))
        disk.unlink_at(fd, FILE, root / FILE)
    with folder(vault, "holds") as fd:
        gone = disk.remove_folder_at(fd, hold_id, root)
        disk.fsync(fd, root.parent)
    return gone
