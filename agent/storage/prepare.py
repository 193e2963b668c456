"""What must be in place before a recorder runs: a short-lived process does it, at each start.

first start        neither catalogue nor vault: both are made
every other start  both are there and know each other; anything else is refused, and nothing is made
then               what killed recorders left behind is put in order
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.storage import files, progress
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.files import Disk
from agent.storage.salvage import Report, salvage
from agent.storage.vault import DIRECTORIES, Vault, is_vault

if TYPE_CHECKING:
    from pathlib import Path

    from agent.model import Instant


def prepare(
    vault_path: Path, state: Path, cameras: list[str], now: Instant, *, uuid: str, disk: Disk | None = None
) -> Report:
    """Make or verify state directory, catalogue and vault, and salvage everything. No recorder may be
    running.

    cameras  the configured ones
    uuid     identity for a vault that is made now; not used otherwise
    Returns  what salvage did
    Raises   StorageFault, with nothing made in the place of what is missing
    """
    disk = disk or Disk()
    vault_path, state = vault_path.absolute(), state.absolute()
    had_catalogue = files.exists(state / FILE)
    if not had_catalogue and is_vault(vault_path) and _holds_anything(vault_path):
        # An empty vault is what an interrupted first start leaves; one with files had a catalogue.
        Catalogue.open(state).close()
    disk.make_directory(state)
    disk.make_directory(state / progress.DIRECTORY)
    vault = None
    if not had_catalogue:
        # The vault first: a catalogue that knows a vault forbids to make it.
        vault = _first_vault(vault_path, uuid, now, disk)
    catalogue = Catalogue.prepare(state)
    try:
        vault = vault or _known_vault(catalogue, vault_path, uuid, now, disk)
        catalogue.add_vault(vault.uuid, str(vault_path), vault.created_ms)
        catalogue.add_cameras(cameras, now.utc_ms)
        report = salvage(vault, catalogue, state, None, now)
    finally:
        catalogue.close()
    if not report.live and not report.faults:
        # All that it told is in the catalogue.
        for place in (state / progress.DIRECTORY).glob("*.json"):
            disk.unlink(place)
    return report


def open_vault(state: Path, vault_path: Path, *, disk: Disk | None = None) -> Vault:
    """Open the vault that the catalogue knows under this path, for a recorder.

    Raises  StorageFault when it is not there, or another one is
    """
    catalogue = Catalogue.open(state)
    try:
        known = {path: uuid for uuid, path in catalogue.vaults().items()}
    finally:
        catalogue.close()
    path = vault_path.absolute()
    vault = Vault.open(path, known.get(str(path)), disk=disk)
    if vault.uuid not in known.values():
        return Vault.open(path, next(iter(known.values()), "none"), disk=disk)
    return vault


def _first_vault(path: Path, uuid: str, now: Instant, disk: Disk) -> Vault:
    if is_vault(path):
        return Vault.open(path, disk=disk)
    return Vault.create(path, uuid, created_ms=now.utc_ms, disk=disk)


def _known_vault(catalogue: Catalogue, path: Path, uuid: str, now: Instant, disk: Disk) -> Vault:
    """Open the vault at a path as the catalogue knows it, or make one at a path that is new to it."""
    known = catalogue.vaults()
    expected = next((known_uuid for known_uuid, place in known.items() if place == str(path)), None)
    if expected is not None:
        return Vault.open(path, expected, disk=disk)
    if not is_vault(path):
        return Vault.create(path, uuid, created_ms=now.utc_ms, disk=disk)
    vault = Vault.open(path, disk=disk)
    if vault.uuid not in known and _holds_anything(path):
        # Not ours: its segments are in another box's catalogue. Any identity we know says so.
        return Vault.open(path, next(iter(known), "none"), disk=disk)
    return vault


def _holds_anything(path: Path) -> bool:
    try:
        return any(any((path / name).iterdir()) for name in DIRECTORIES if files.exists(path / name))
    except OSError as error:
        raise files.fault("list", path, error) from error
