"""What must be in place before a recorder runs: a short-lived process does it, at each start.

first start        neither catalogue nor vault: both are made
every other start  the vaults are known. One that is missing, or another box's, is said to be, and left alone
a catalogue that is missing, damaged or older than the vaults know: it is moved aside, a new one begins, and
                   recording with it; rows for what is stored come back in the background (keep/rebuild.py)
then               what killed recorders left behind is put in order
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say
from agent.storage import aside, files, progress
from agent.storage import vault as vaults_
from agent.storage.acquaint import acquaint
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.files import Disk
from agent.storage.old import OldCatalogue
from agent.storage.salvage import Report, salvage
from agent.storage.vault import (
    HEAD_FILE,
    SIBLINGS,
    Vault,
    holds_anything,
    is_vault,
    may_hold_anything,
    read_known,
    write_known,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.model import Instant

KNOWN = "vaults.json"
"""In the state directory: every vault that this box has used. A copy is in each of them (`VAULTS`)."""


def prepare(
    vaults: Sequence[Path],
    state: Path,
    cameras: Sequence[str],
    now: Instant,
    *,
    box: str,
    new_uuid: Callable[[], str],
    disk: Disk | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Report:
    """Make or verify state directory, catalogue and vaults, and salvage what was left open. No recorder may run.

    vaults    paths, as configured
    cameras   the configured ones
    box       id of this box; new_uuid gives an identity to a vault that is made now
    step      is told the number of each step that is done of `aside.begin` and `salvage`
    Returns   what salvage did; `vault_faults`: the vaults that cannot be used; `began`: why a new catalogue was begun
    Raises    StorageFault when no vault can be used, or the catalogue cannot; nothing is made in the place of what is
              missing
    """

    def once() -> Report:
        start = _Start(vaults, state, cameras, now, box=box, disk=disk or Disk(), report=Report())
        return _prepare(start, new_uuid, step)

    try:
        return once()
    except StorageFault as fault:
        if fault.code != "CATALOGUE_DAMAGED":
            raise
        return once()  # a damage that its ends did not show, and that is marked now


def _prepare(start: _Start, new_uuid: Callable[[], str], step: Callable[[str], None]) -> Report:
    report = start.report
    start.look()
    opened = start.begin(new_uuid, step)
    catalogue = Catalogue.open(start.state)
    try:
        for vault in opened:
            try:
                salvage(vault, catalogue, start.state, None, start.now, step=step, report=report)
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                report.vault_faults[vault.root] = fault
    finally:
        catalogue.close()
    if not report.live and not report.faults and not report.vault_faults:
        # All that it told is in the catalogue.
        for place in (start.state / progress.DIRECTORY).glob("*.json"):
            start.disk.unlink(place)
    return report


def renew(
    vaults: Sequence[Path],
    state: Path,
    cameras: Sequence[str],
    now: Instant,
    *,
    box: str,
    disk: Disk | None = None,
    trees: Sequence[tuple[str, int]] = (),
) -> str:
    """Move a catalogue aside that somebody found damaged or gone, and begin a new one, while recorders run.

    trees    further signed heads, ledger and size, by which somebody found it to be old
    Returns  why, empty when the catalogue is well
    Raises   StorageFault
    """
    report = Report()
    start = _Start(vaults, state, cameras, now, box=box, disk=disk or Disk(), report=report)
    start.look(trees)
    if start.reason == "first":
        Catalogue.open(start.state).close()  # nothing was lost: it says that there is none
    start.begin(None, lambda _: None)
    return report.began


def open_vaults(
    state: Path, paths: Sequence[Path], *, disk: Disk | None = None
) -> tuple[list[Vault], dict[Path, StorageFault]]:
    """Open the vaults that the catalogue knows, for a recorder or the keeper.

    Returns  the vaults that are there, in the order of `paths`, and by path why another is not
    Raises   StorageFault when the catalogue cannot be read
    """
    catalogue = Catalogue.open(state)
    try:
        known = catalogue.vaults()
    finally:
        catalogue.close()
    opened: list[Vault] = []
    faults: dict[Path, StorageFault] = {}
    for path in (path.absolute() for path in paths):
        try:
            vault = Vault.open(path, disk=disk)
            if vault.uuid not in known:
                raise vaults_.foreign(path, vault.uuid, " ".join(known) or "none")
            _once(vault, opened)
            opened.append(vault)
        except StorageFault as fault:
            faults[path] = fault
    return opened, faults


class _Start:
    """One start: first everything is looked at, then everything is done."""

    def __init__(
        self,
        paths: Sequence[Path],
        state: Path,
        cameras: Sequence[str],
        now: Instant,
        *,
        box: str,
        disk: Disk,
        report: Report,
    ) -> None:
        self.paths = [path.absolute() for path in paths]
        self.state = state.absolute()
        self.cameras = list(cameras)
        self.now = now
        self.box = box
        self.disk = disk
        self.report = report
        self.faults = report.vault_faults
        self.ours: list[Vault] = []
        self.new: list[Path] = []
        self.known: dict[str, str] = {}
        self.catalogued: dict[str, str] = {}
        self.signs = aside.Signs()
        self.reason: str | None = None

    def look(self, trees: Sequence[tuple[str, int]] = ()) -> None:
        """Find out which vaults are there and ours, and whether the catalogue can be used. Makes nothing.

        trees   signed heads that the caller knows of
        Raises  StorageFault
        """
        self.catalogued = _catalogued(self.state)
        self.known = read_known(self.state / KNOWN) | self.catalogued
        found: dict[Path, Vault] = {}
        for path in self.paths:
            if is_vault(path):
                try:
                    found[path] = Vault.open(path, disk=self.disk)
                except StorageFault as fault:
                    self.faults[path] = fault
        for path, vault in found.items():
            try:
                self._own(path, vault)
                _once(vault, self.ours)
                self.ours.append(vault)
            except StorageFault as fault:
                self.faults[path] = fault
        for vault in self.ours:
            for uuid, place in read_known(vault.root / SIBLINGS).items():
                self.known.setdefault(uuid, place)
        for path in self.paths:
            if path not in found and path not in self.faults:
                if str(path) in self.known.values():
                    self.faults[path] = vaults_.missing(path / vaults_.IDENTITY)
                else:
                    self.new.append(path)
        if not self.ours and not self.new:
            raise next(iter(self.faults.values()))
        self._read_signs()
        self.signs.trees += [tree for tree in trees if tree not in self.signs.trees]
        self.reason = aside.verdict(self.state, self.signs)

    def _own(self, path: Path, vault: Vault) -> None:
        """Raise unless a vault belongs to this box."""
        expected = [uuid for uuid, place in self.known.items() if place == str(path)]
        if vault.uuid in self.known or (vault.box and vault.box == self.box and not expected):
            return
        # One without a box, and with nothing in it, is nobody's: it was made by hand.
        if vault.box or expected or holds_anything(path):
            raise vaults_.foreign(
                path, vault.uuid, " ".join(expected or self.known) or f"a vault of {self.box}"
            )

    def _read_signs(self) -> None:
        places = [self.state / HEAD_FILE]
        # One that the catalogue does not know tells of a ledger that this one never saw.
        places += [vault.root / HEAD_FILE for vault in self.ours if vault.uuid in self.catalogued]
        strange = [vault for vault in self.ours if vault.uuid not in self.catalogued]
        if not self.catalogued:
            places += [vault.root / HEAD_FILE for vault in strange]
        trees = (aside.tree_at(place) for place in places)
        self.signs.trees = [tree for tree in trees if tree is not None]
        self.signs.lived = (
            files.exists(self.state / KNOWN)
            or bool(self.signs.trees)
            or any(may_hold_anything(vault.root) for vault in self.ours)
        )

    def begin(self, new_uuid: Callable[[], str] | None, step: Callable[[str], None]) -> list[Vault]:
        """Make what is to be made, and tell the catalogue which vaults there are.

        new_uuid  None: no vault is made
        Returns   the vaults to record to, in the order of their paths
        Raises    StorageFault
        """
        self.disk.make_directory(self.state)
        self.disk.make_directory(self.state / progress.DIRECTORY)
        if new_uuid is not None:
            self._make_vaults(new_uuid)
        if self.reason is not None:
            if self.reason != "first":
                self.report.began = self.reason
            aside.begin(
                self.state,
                self.reason,
                self.ours,
                self.cameras,
                self.now,
                away=self._away(),
                disk=self.disk,
                signs=self.signs,
                step=step,
            )
        aside.settle(self.state, self.disk)
        catalogue = Catalogue.prepare(self.state)
        try:
            acquaint(catalogue, self.ours)
            catalogue.add_cameras(self.cameras, self.now.utc_ms)
            self.known = {**self.known, **catalogue.vaults()}
        finally:
            catalogue.close()
        write_known(self.disk, self.state / KNOWN, self.known)
        for vault in self.ours:
            try:
                write_known(self.disk, vault.root / SIBLINGS, self.known)
            except StorageFault as fault:  # the disk may be full: recording begins, and erasing makes room
                self.report.faults.append(fault)
        return self.ours

    def _make_vaults(self, new_uuid: Callable[[], str]) -> None:
        for path in self.new:
            try:
                made = Vault.create(
                    path, new_uuid(), created_ms=self.now.utc_ms, box=self.box, disk=self.disk
                )
                self.ours.append(made)
            except StorageFault as fault:
                self.faults[path] = fault
        self.ours.sort(key=lambda vault: self.paths.index(vault.root))
        if not self.ours:
            raise next(iter(self.faults.values()))

    def _away(self) -> dict[str, str]:
        """Return the other vaults that may hold something of ours, by uuid: a new catalogue waits for their rows. One
        that is neither configured nor there is waited for by nobody.
        """
        ours = {vault.uuid for vault in self.ours}
        places = {str(vault.root) for vault in self.ours}
        return {
            uuid: place
            for uuid, place in self.known.items()
            if uuid not in ours
            and place not in places
            and (Path(place) in self.paths or vaults_.is_there(Path(place), uuid))
        }


def _catalogued(state: Path) -> dict[str, str]:
    """Return the vaults that the catalogue knows, as far as it can be read."""
    if not files.is_regular(state / FILE):
        return {}
    old = OldCatalogue(state / FILE)
    try:
        return old.vaults()
    finally:
        old.close()


def _once(vault: Vault, others: Sequence[Vault]) -> None:
    """Raise when the same vault is there twice: a copy of a disk beside the disk."""
    for other in others:
        if other.uuid == vault.uuid:
            raise StorageFault(
                "VAULT_DOUBLE",
                say("같은 저장소가 두 곳에 있습니다", "the same vault is there twice: one is a copy"),
                hint=say(
                    "복제한 디스크를 빼거나 설정에서 지우십시오",
                    "remove the copied disk, or take its path out of the configuration",
                ),
                path=str(vault.root),
                other=str(other.root),
            )
