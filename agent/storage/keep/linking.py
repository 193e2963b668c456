"""Links of a hold in the vaults, made and removed in batches: the slow part of placing and releasing.

Each batch is done under `locks.fate`, so that erasing and other holds have their turn in between.
"""

from __future__ import annotations

import errno
import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agent.errors import StorageFault
from agent.storage import files
from agent.storage.keep import hold_files, hold_rows
from agent.storage.keep.reach import is_absent
from agent.storage.locks import fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.hold import Hold
    from agent.storage.keep.stored import Stored
    from agent.storage.vault import Vault

T = TypeVar("T")

BATCH = 200
_HOPELESS = frozenset({"DISK_FULL", "DISK_READ_ONLY", "DISK_DENIED"})
"""What one file of a vault tells, the next would tell too."""


@dataclass(slots=True)
class Linked:
    """What linking came to.

    links   made now
    lost    segments whose file is not there
    failed  segments that have no link yet: to be tried again
    away    vaults that are not there, or have not got the hold's file yet
    """

    links: int = 0
    lost: list[Stored] = field(default_factory=list)
    failed: list[Stored] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    faults: list[StorageFault] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is left to be tried again."""
        return not self.away and not self.faults


def link(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    hold: Hold,
    rows: Iterable[Stored],
    *,
    step: Callable[[str], None],
) -> Linked:
    """Do H4 to H6 for segments that a hold covers. Raises StorageFault when the catalogue cannot be used."""
    report = Linked()
    for batch in _batches(rows):
        with fate(state):
            now = hold_rows.find(catalogue, hold.id)
            if now is None or not now.is_active:
                break
            made = _link_batch(vaults, hold, batch, report, step=step)
            links = [(row.id, hold_files.link_path(hold.id, row.path)) for row in made]
            report.links += catalogue.write(partial(hold_rows.add_links, hold_id=hold.id, links=links))
            step("H6")
    return report


def _link_batch(
    vaults: Mapping[str, Vault],
    hold: Hold,
    batch: Sequence[Stored],
    report: Linked,
    *,
    step: Callable[[str], None],
) -> list[Stored]:
    """Do H4 and H5; return those that have durable links."""
    made: list[tuple[Stored, str]] = []
    touched: set[tuple[str, str]] = set()
    for row in batch:
        vault = vaults.get(row.vault)
        if row.vault in report.away:
            report.failed.append(row)
            continue
        if vault is None or hold_files.read(vault, hold.id) != hold:
            report.away.add(row.vault)
            report.failed.append(row)
            continue
        try:
            directory = hold_files.link(vault, hold.id, row.path)
        except StorageFault as fault:
            if is_absent(fault):
                report.lost.append(row)
                continue
            report.faults.append(fault)
            report.failed.append(row)
            if fault.code in _HOPELESS:
                report.away.add(row.vault)
            continue
        made.append((row, directory))
        touched.add((row.vault, directory))
        step("H4")
    failed = set()
    for uuid, directory in sorted(touched):
        try:
            vaults[uuid].disk.fsync_directory(vaults[uuid].at(directory))
        except StorageFault as fault:
            report.faults.append(fault)
            failed.add((uuid, directory))
    step("H5")
    report.failed += [row for row, directory in made if (row.vault, directory) in failed]
    return [row for row, directory in made if (row.vault, directory) not in failed]


def unlink(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    hold: Hold,
    *,
    step: Callable[[str], None],
) -> list[StorageFault]:
    """Do R2 to R5 for a hold that is released, as far as its vaults are there.

    A segment that has no other name any more gets its own back first: releasing destroys nothing.
    Returns  what disks said; it is tried again by the keeper
    Raises   StorageFault when the catalogue cannot be used
    """
    faults = []
    try:
        with fate(state):
            hold_files.drop_copy(hold_files.copies(state, vaults), hold.id)
    except StorageFault as fault:
        faults.append(fault)
    for uuid, vault in vaults.items():
        try:
            if hold.id in hold_files.names(vault):
                _unlink(vault, state, hold, step)
        except StorageFault as fault:
            faults.append(fault)
            continue
        if hold_rows.has_links(catalogue, hold.id):
            catalogue.write(partial(hold_rows.drop_links, hold_id=hold.id, vault=uuid))
        step("R5")
    return faults


def _unlink(vault: Vault, state: Path, hold: Hold, step: Callable[[str], None]) -> None:
    with fate(state):
        if hold_files.read(vault, hold.id) != hold:
            hold_files.write(vault, hold)
    step("R2")
    stuck: StorageFault | None = None
    for inside, names in list(hold_files.links(vault, hold.id)):
        for batch in _batches(names):
            with fate(state):
                free = [name for name in batch if _is_named_elsewhere(vault, hold, inside, name)]
                hold_files.unlink(vault, hold.id, inside, free)
            if len(free) < len(batch):
                stuck = files.fault(
                    "link", vault.at(f"segments/{inside}"), FileExistsError(errno.EEXIST, "taken")
                )
            step("R3")
    if stuck is not None:
        raise stuck
    with fate(state):
        if not hold_files.remove(vault, hold.id):
            place = vault.at(hold_files.home(hold.id))
            raise files.fault("rmdir", place, OSError(errno.ENOTEMPTY, "not empty"))
    step("R4")


def _is_named_elsewhere(vault: Vault, hold: Hold, inside: str, name: str) -> bool:
    """Tell whether a link may go: its segment has its own name, which it is given here if need be."""
    if not hold_files.is_linked(vault, hold.id, f"segments/{inside}/{name}"):
        return True  # its tail alone is left here
    return hold_files.link_back(vault, hold.id, inside, name)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch
