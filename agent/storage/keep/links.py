"""Hard links of segments between directories of a vault: what holds and exports do alike. No link is followed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage import files
from agent.storage.keep import hold as rules
from agent.storage.keep.reach import TAIL, folder

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.vault import Vault


def link_parts(vault: Vault, source: str, target: str, name: str) -> None:
    """Give a segment, and its tail, the same name in another directory; what is there already stays.

    source, target  directories, relative to the vault
    Raises          StorageFault, for a segment that is not there with ENOENT
    """
    disk, origin, place = vault.disk, vault.at(source), vault.at(target)
    with folder(vault, source) as from_fd, folder(vault, target) as to_fd:
        for each in parts(vault, source, name):
            disk.close(disk.open_file_at(from_fd, each, origin / each, writing=False))
            try:
                disk.link_at(from_fd, to_fd, each, place / each)
            except StorageFault as fault:
                if fault.code != "NAME_TAKEN" or not is_same(origin / each, place / each):
                    raise


def link_home(vault: Vault, source: str, inside: str, name: str) -> bool:
    """Give a segment back its name in `segments/`, where it has none; tell whether it now has it.

    source  the directory of its link; inside: `<camera>/<day>`
    False when the name belongs to another file. Raises StorageFault
    """
    target = f"segments/{inside}"
    place = vault.at(f"{target}/{name}")
    if not all(files.exists(vault.at(f"{target}/{each}")) for each in parts(vault, source, name)):
        if not files.is_directory(place.parent):
            vault.disk.make_directory(place.parent.parent)
            vault.disk.make_directory(place.parent)
        link_parts(vault, source, target, name)
        vault.disk.fsync_directory(place.parent)
    return is_same(place, vault.at(f"{source}/{name}"))


def parts(vault: Vault, directory: str, name: str) -> list[str]:
    """Return the names of a segment's files: the tail first, so that where the segment is linked, its tail is too.

    Only a salvaged segment needs its tail; another one's is left over, and goes by itself.
    """
    tail = name + TAIL
    with_tail = name.endswith(rules.SALVAGED) and files.exists(vault.at(f"{directory}/{tail}"))
    return [tail, name] if with_tail else [name]


def is_same(one: Path, other: Path) -> bool:
    """Tell whether two names are those of one file."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False


def listed(place: Path) -> list[str]:
    """Return the names in a directory, sorted. Raises StorageFault."""
    try:
        return sorted(os.listdir(place))  # noqa: PTH208 - names, some of which are no paths of ours
    except OSError as error:
        raise files.fault("list", place, error) from error
