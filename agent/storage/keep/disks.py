"""Which of the box's vaults are there. One that is not is left alone, and the others are kept as ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.health import Raised
from agent.storage import notes, schema
from agent.storage.keep.mounts import keeps_copies
from agent.storage.salvage import UNRECONCILED
from agent.storage.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk

_CONDITIONS = {"VAULT_MISSING": "vault.missing", "VAULT_FOREIGN": "vault.foreign"}


@dataclass(frozen=True, slots=True)
class Disks:
    """Vaults that are there, by identity, and what is wrong with the others."""

    vaults: dict[str, Vault]
    raised: list[Raised]


def look(catalogue: Catalogue, configured: Sequence[Path], disk: Disk) -> Disks:
    """Open every vault that is configured, or still has segments; each only with its own identity.

    Raises  StorageFault when the catalogue cannot be asked
    """
    known = catalogue.vaults()
    waiting = notes.names(catalogue, UNRECONCILED)
    vaults: dict[str, Vault] = {}
    raised = [
        Raised("vault.missing", str(path), "not known to the catalogue yet")
        for path in configured
        if str(path) not in known.values()
    ]
    for uuid, place in known.items():
        if Path(place) not in configured and uuid not in waiting and not _is_used(catalogue, uuid):
            continue
        try:
            vaults[uuid] = Vault.open(Path(place), uuid, disk=disk)
        except StorageFault as fault:
            raised.append(condition_of(fault, place))
            continue
        why = keeps_copies(Path(place))
        if why:
            raised.append(Raised("vault.keeps_copies", place, why))
    return Disks(vaults, raised)


def still_there(vaults: Mapping[str, Vault]) -> Disks:
    """Ask each vault again who it is: what is not there must not be taken for erased."""
    there: dict[str, Vault] = {}
    raised = []
    for uuid, vault in vaults.items():
        try:
            vault.verify()
        except StorageFault as fault:
            raised.append(condition_of(fault, str(vault.root)))
        else:
            there[uuid] = vault
    return Disks(there, raised)


def condition_of(fault: StorageFault, place: str) -> Raised:
    """Name a vault's fault as a condition."""
    return Raised(_CONDITIONS.get(fault.code, "vault.failing"), place, fault.code)


def _is_used(catalogue: Catalogue, uuid: str) -> bool:
    query = f"SELECT 1 FROM segment WHERE vault = ? AND {schema.PRESENT} LIMIT 1"  # noqa: S608 - a constant
    return bool(catalogue.read(query, (uuid,)))
