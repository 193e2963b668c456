"""The vault's side of an export: links of its segments, and what proves them.

    outgoing/<export>/segments[-<n>]/<camera>/<day>/<file name>   a link for each segment, and for its tail
    outgoing/<export>/CHECKPOINT, proofs.json, SHA256SUMS         in the first of the vaults only

The form is that of a bundle. The uplink sees this directory and nothing else of a vault. No link is followed, and
nothing is removed but what has a segment's name, or one of these three. All under `locks.fate`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.consignment import EXPORT_NAME, SUMS
from agent.storage import files
from agent.storage.keep.links import is_same, link_parts, listed
from agent.storage.keep.reach import TAIL, folder, stem_of_path
from agent.storage.layout import CAMERA_NAME, DAY_NAME
from agent.storage.proof.bundle import CHECKPOINT, PROOFS
from agent.storage.vault import OUTGOING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.storage.vault import Vault

PAPERS = (CHECKPOINT, PROOFS, SUMS)
_TOP = re.compile(r"segments(?:-[1-9][0-9]{0,3})?\Z")


@dataclass(frozen=True, slots=True)
class Day:
    """A directory of links of an export.

    inside  relative to `outgoing/<export>`; names: of segments, a tail goes with its segment
    """

    inside: str
    names: tuple[str, ...]

    def file(self, name: str) -> str:
        """Return a segment's place in the bundle."""
        return f"{self.inside}/{name}"

    def original(self, name: str) -> str:
        """Return a segment's own path, relative to its vault."""
        return f"segments/{self.inside.partition('/')[2]}/{name}"


def home(export: str) -> str:
    """Return where an export's files are, relative to the vault."""
    return f"{OUTGOING}/{export}"


def names(vault: Vault) -> list[str]:
    """Return the ids of the exports that have a directory in a vault. Raises StorageFault."""
    root = vault.at(OUTGOING)
    if not files.is_directory(root):
        return []
    return [name for name in listed(root) if EXPORT_NAME.match(name) and files.is_directory(root / name)]


def holder_of(vault: Vault, path: str) -> str:
    """Return an export that has a link of a segment, whatever rows say; empty when none has. Raises StorageFault.

    Of use where the catalogue was lost and a bundle has no row. Only a link of the segment's own name is looked for.
    """
    own = vault.at(path)
    return next((name for name in names(vault) if is_same(own, vault.at(f"{home(name)}/{path}"))), "")


def make(vault: Vault, export: str) -> None:
    """Make an export's directory, durable. Raises StorageFault."""
    vault.disk.make_directory(vault.at(OUTGOING))
    vault.disk.make_directory(vault.at(home(export)))


def link(vault: Vault, export: str, path: str, file: str) -> str:
    """Link a segment and its tail into an export; those that are there stay.

    path     of the segment, relative to the vault; file: its place in the bundle
    Returns  the directory whose names are now to be made durable, relative to the vault
    Raises   StorageFault, for a segment that is not there with ENOENT
    """
    source, _, name = path.rpartition("/")
    target = f"{home(export)}/{file.rpartition('/')[0]}"
    place = vault.at(target)
    if not files.is_directory(place):
        for directory in (place.parent.parent, place.parent, place):
            vault.disk.make_directory(directory)
    link_parts(vault, source, target, name)
    return target


def days(vault: Vault, export: str) -> Iterator[Day]:
    """Yield the directories of an export's links. Raises StorageFault."""
    root = vault.at(home(export))
    for top in listed(root):
        if not _TOP.match(top) or not files.is_directory(root / top):
            continue
        for camera in listed(root / top):
            if not CAMERA_NAME.match(camera) or not files.is_directory(root / top / camera):
                continue
            for day in listed(root / top / camera):
                place = root / top / camera / day
                if DAY_NAME.match(day) and files.is_directory(place):
                    found = sorted({name.removesuffix(TAIL) for name in listed(place)})
                    known = (name for name in found if stem_of_path(f"segments/{camera}/{day}/{name}"))
                    yield Day(f"{top}/{camera}/{day}", tuple(known))


def unlink(vault: Vault, export: str, inside: str, wanted: list[str]) -> None:
    """Remove links, by their own names, tails first, and make that durable. Raises StorageFault."""
    source = f"{home(export)}/{inside}"
    with folder(vault, source) as fd:
        for name in sorted(wanted, key=lambda each: not each.endswith(TAIL)):
            vault.disk.unlink_at(fd, name, vault.at(source) / name)
        vault.disk.fsync(fd, vault.at(source))


def remove(vault: Vault, export: str) -> bool:
    """Remove an export's papers and empty directories; tell whether all is gone.

    False when something is there that is not ours; it is left. Raises StorageFault
    """
    disk, root = vault.disk, vault.at(home(export))
    with folder(vault, home(export)) as fd:
        for name in PAPERS:
            disk.unlink_at(fd, name, root / name)
            disk.unlink_at(fd, name + files.TEMPORARY, root / (name + files.TEMPORARY))
        gone = all(_remove_empty(vault, home(export), fd, name, 2) for name in listed(root))
    if not gone:
        return False
    with folder(vault, OUTGOING) as fd:
        gone = disk.remove_folder_at(fd, export, root)
        disk.fsync(fd, root.parent)
    return gone


def _remove_empty(vault: Vault, above: str, fd: int, name: str, levels: int) -> bool:
    """Remove a directory, and those in it, that hold nothing; tell whether it is gone."""
    path = f"{above}/{name}"
    place = vault.at(path)
    if not files.is_directory(place):
        return False
    if levels:
        with folder(vault, path) as inside:
            if not all(_remove_empty(vault, path, inside, each, levels - 1) for each in listed(place)):
                return False
    return vault.disk.remove_folder_at(fd, name, place)
