"""One batch of erasing: E3 to E6 of agent/storage/keep/erase.py, which says what each step is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.model import UTC_DAY_MS, Fact, canonical_json, utc_day
from agent.storage import held, ledger, notes
from agent.storage.catalogue import set_meta
from agent.storage.keep import outgoing_files, outgoing_rows
from agent.storage.keep.overwrite import Refused, overwrite
from agent.storage.keep.placing import spare
from agent.storage.keep.reach import (
    TAIL,
    folder,
    has_header,
    is_absent,
    is_surely_absent,
    make_sure,
    stem_of_path,
)
from agent.storage.keep.stored import HELD, Stored, condemned

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.layout import Stem
    from agent.storage.vault import Vault

CYCLE_S = 10
"""How often what is due is looked for; each tombstone names it (Standard Guideline art. 42(2) no. 2)."""
NOTED = "erasing"
"""Key of `meta`: segments between E3b and E6, each with whether it was shredded, or which export has it."""
E3_S = 0.4
"""After so long a batch takes no further segment: holds wait for the lock, and there is still to sync and to unlink."""
_READ_ROWS = 200
_ELSEWHERE = "its directory is on another disk"
_FAULTS = 20
"""A failing disk may take seconds for each file, and others wait for the lock."""
_HOPELESS = frozenset({"DISK_FULL", "DISK_READ_ONLY", "DISK_DENIED", "VAULT_MISSING", "VAULT_FOREIGN"})


@dataclass(slots=True)
class Report:
    """What a round of erasing came to.

    erased, erased_bytes  segments that are gone for good, and their sealed bytes
    unshredded            of these: unlinked, but another link was left, which nobody here made
    outgoing              of these: unlinked, and an export has a link, which is overwritten when it goes
    missing               of these: their file was not there
    spared                condemned, and then held
    waiting               linked by a hold that is released and not yet cleared away
    refused               (path, reason): what lies there is not what was stored; untouched
    left                  ids of what is refused, with its bytes, and of what waits, with 0: its room comes when links
                          go. Nothing may wait for these (B19)
    blocked               (vault's uuid, hold's id): the vault has a hold without a row; untouched
    reconciling           the catalogue is not whole yet: nothing was done
    more                  further ones are condemned; the limit was reached, or the time was over
    unsynced              E3a failed: nobody can tell of which file, so the next batch is to be `careful`
    """

    erased: int = 0
    erased_bytes: int = 0
    unshredded: int = 0
    outgoing: int = 0
    missing: int = 0
    spared: int = 0
    waiting: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    left: dict[int, int] = field(default_factory=dict)
    blocked: list[tuple[str, str]] = field(default_factory=list)
    reconciling: bool = False
    more: bool = False
    unsynced: bool = False
    faults: list[StorageFault] = field(default_factory=list)


@dataclass(slots=True)
class _Doomed:
    """A segment on its way out: what E3 found.

    shredded  as its tombstone will say it
    outgoing  the export whose link is the reason that it is not; empty without one
    absent    its file was not there; missing: and it was not us who erased it before a crash
    taken     something else lies in its place; odd_tail: in its tail's. That is left there
    """

    row: Stored
    stem: Stem
    shredded: bool = False
    outgoing: str = ""
    absent: bool = False
    missing: bool = False
    taken: bool = False
    odd_tail: bool = False


class Batch:
    """A batch of condemned segments in one vault: E3 to E6, under `locks.fate`."""

    def __init__(
        self,
        catalogue: Catalogue,
        vault: Vault,
        root: int,
        report: Report,
        *,
        at: Instant,
        responsible: str,
        careful: bool,
        step: Callable[[str], None],
    ) -> None:
        """Touch nothing yet. root: the vault's, open; the rest as in `erase.finish`."""
        self._catalogue = catalogue
        self._vault = vault
        self._root = root
        self._device = vault.disk.status(root, vault.root).st_dev
        self._careful = careful
        self._disk = vault.disk
        self._at = at
        self._responsible = responsible
        self._report = report
        self._step = step
        self._faults = 0

    def run(self, limit: int) -> None:
        """Erase at most so many segments. Raises StorageFault of the catalogue; what the disk says is reported."""
        noted = self._noted()
        doomed: list[_Doomed] = []
        until = time.monotonic() + E3_S
        for row in self._rows():
            if len(doomed) >= limit or (doomed and time.monotonic() > until):
                self._report.more = True
                break
            one = self._doom(row, noted)
            if one is not None:
                doomed.append(one)
            if self._faults >= _FAULTS:
                break
        if not doomed or not self._flush(doomed):
            return
        self._note(
            noted | {str(one.row.id): one.outgoing or one.shredded for one in doomed if not one.missing}
        )
        self._step("E3b")
        doomed = [one for one in doomed if self._unlink(one)]
        doomed = self._certain(self._synced(doomed))
        self._bury(doomed)
        self._step("E6")
        for directory in sorted({one.stem.directory for one in doomed}):
            self._tidy(directory)

    def _rows(self) -> Iterator[Stored]:
        """Yield the vault's condemned segments; one that cannot be erased does not stand before the others (B19)."""
        after = 0
        while rows := condemned(self._catalogue, self._vault.uuid, after, _READ_ROWS):
            yield from rows
            after = rows[-1].id

    def _doom(self, row: Stored, noted: Mapping[str, bool | str]) -> _Doomed | None:
        """Do E3; None for a segment that stays, for now or for good."""
        what = stem_of_path(row.path)
        if what is None or what[0].camera != row.camera:
            self._refuse(row, "not a segment's path")
            return None
        try:
            is_held = self._is_held(row)
            if is_held and has_header(self._vault, row.path, self._root):
                self._catalogue.write(lambda db: spare(db, row))
                self._report.spared += 1
                return None
            if self._is_linked(row):
                self._report.waiting += 1
                self._report.left[row.id] = 0
                return None
            one = _Doomed(row, what[0])
            self._shred(one, held=is_held)
        except StorageFault as fault:
            self._fail(fault)
            return None
        except Refused as refusal:
            self._refuse(row, refusal.reason)
            return None
        if one.absent:
            one.missing = str(row.id) not in noted
            said = noted.get(str(row.id), False)
            one.shredded, one.outgoing = said is True, said if isinstance(said, str) else ""
        elif not one.shredded:
            one.outgoing = outgoing_rows.holder_of(self._catalogue, row.id)
            one.outgoing = one.outgoing or outgoing_files.holder_of(self._vault, row.path)
        self._step("E3")
        return one

    def _is_held(self, row: Stored) -> bool:
        return bool(self._catalogue.read(f"SELECT 1 FROM segment WHERE id = ? AND {HELD}", (row.id,)))  # noqa: S608 - constants

    def _is_linked(self, row: Stored) -> bool:
        """Tell whether a hold has a link, also one without a row: reconciling gives it that."""
        if self._catalogue.read("SELECT 1 FROM hold_segment WHERE segment = ?", (row.id,)):
            return True
        return held.is_held(self._vault, row.path)

    def _shred(self, one: _Doomed, *, held: bool) -> None:
        """Overwrite the header of a segment, then of its tail.

        held  its header is begun to be overwritten, then: what looks otherwise stays, and its row with it
        """
        directory, _, name = one.row.path.rpartition("/")
        place = self._vault.at(directory)
        try:
            with folder(self._vault, directory, self._root) as inside:
                own = self._disk.status(inside, place).st_dev == self._device
                damaged, size, sync = own and not held, one.row.sealed_bytes, self._careful
                try:
                    found = overwrite(
                        self._disk, inside, name, place / name, size, damaged=damaged, sync=sync
                    )
                    one.absent, one.shredded = found is None, bool(found)
                except Refused as refusal:
                    if not damaged:
                        raise refusal if own else Refused(_ELSEWHERE)  # noqa: B904 - no new fault
                    one.absent = one.taken = True
                    self._report.refused.append((one.row.path, refusal.reason))
                try:
                    overwrite(self._disk, inside, name + TAIL, place / (name + TAIL), None, sync=sync)
                except Refused as refusal:
                    one.odd_tail = True
                    self._report.refused.append((one.row.path + TAIL, refusal.reason))
        except StorageFault as fault:
            if not is_absent(fault):
                raise
            one.absent = True

    def _flush(self, doomed: list[_Doomed]) -> bool:
        """Do E3a; tell whether every header is overwritten for good. It is not tried again for what failed: the next
        batch overwrites anew.
        """
        if not self._careful and not all(one.absent for one in doomed):
            try:
                self._disk.syncfs(self._root, self._vault.root)
            except StorageFault as fault:
                self._report.unsynced = True
                self._fail(fault)
                return False
        self._step("E3a")
        return True

    def _noted(self) -> dict[str, bool | str]:
        noted = notes.mild(self._catalogue.meta(NOTED), {})
        return {segment: shredded for segment, shredded in noted.items() if isinstance(shredded, bool | str)}

    def _note(self, noted: Mapping[str, bool | str]) -> None:
        self._catalogue.set_meta(NOTED, canonical_json(dict(noted)) if noted else None)

    def _unlink(self, one: _Doomed) -> bool:
        """Do E4; tell whether both names are gone."""
        directory, _, name = one.row.path.rpartition("/")
        place = self._vault.at(directory)
        try:
            with folder(self._vault, directory, self._root) as inside:
                if not one.odd_tail:
                    self._disk.unlink_at(inside, name + TAIL, place / (name + TAIL))
                if not one.taken:
                    self._disk.unlink_at(inside, name, place / name)
        except StorageFault as fault:
            if not is_absent(fault):
                self._fail(fault)
                return False
        self._step("E4")
        return True

    def _synced(self, doomed: list[_Doomed]) -> list[_Doomed]:
        """Do E5; return the segments of which it is certain that their names are gone."""
        failed = set()
        for directory in sorted({one.stem.directory for one in doomed}):
            try:
                with folder(self._vault, directory, self._root) as inside:
                    self._disk.fsync(inside, self._vault.at(directory))
            except StorageFault as fault:
                if not is_absent(fault):
                    self._fail(fault)
                    failed.add(directory)
        self._step("E5")
        return [one for one in doomed if one.stem.directory not in failed]

    def _certain(self, doomed: list[_Doomed]) -> list[_Doomed]:
        """Let those wait whose file may be missing only because its disk is: a row is buried once."""
        if not any(one.absent for one in doomed):
            return doomed
        certain = [one for one in doomed if not one.absent]
        try:
            make_sure(self._vault, self._root)
            for one in doomed:
                # What is taken was looked at on the vault's own disk.
                if one.absent and (one.taken or is_surely_absent(self._vault, self._root, one.row.path)):
                    certain.append(one)
                elif one.absent:
                    self._refuse(one.row, _ELSEWHERE)
        except StorageFault as fault:
            self._fail(fault)
        return certain

    def _bury(self, doomed: list[_Doomed]) -> None:
        """Do E6."""
        lines = [
            (one.row.id, ledger.line(Fact("segment.erased", self._at, self._tombstone(one))))
            for one in doomed
        ]
        rest = self._noted()
        for one in doomed:
            rest.pop(str(one.row.id), None)
        query = "UPDATE segment SET state = 'GONE', gone_ms = ? WHERE id = ? AND state = 'CONDEMNED'"

        def bury(db: sqlite3.Connection) -> None:
            for segment, line in lines:
                if db.execute(query, (self._at.utc_ms, segment)).rowcount:
                    ledger.append(db, line)
            set_meta(db, NOTED, canonical_json(rest) if rest else None)

        self._catalogue.write(bury)
        report = self._report
        report.erased += len(doomed)
        # Of what an export still links no room comes yet.
        report.erased_bytes += sum(one.row.sealed_bytes for one in doomed if not one.outgoing)
        report.missing += sum(one.missing for one in doomed)
        left = [one for one in doomed if not one.shredded and not one.missing]
        report.outgoing += sum(bool(one.outgoing) for one in left)
        report.unshredded += sum(not one.outgoing for one in left)

    def _tombstone(self, one: _Doomed) -> dict[str, Any]:
        """Write what the law asks to be kept of an erasure: what, when, by which rule, and who is responsible."""
        row = one.row
        body: dict[str, Any] = {
            "camera": row.camera,
            "path": row.path,
            "start_ms": row.start_ms,
            "end_ms": row.end_ms,
            "sha256": row.sha256,
            "sealed_bytes": row.sealed_bytes,
            "cause": row.cause,
            "condemned_ms": row.condemned_ms,
            "cycle_s": CYCLE_S,
            "responsible": self._responsible,
            "shredded": one.shredded,
        }
        body |= {"outgoing": one.outgoing} if one.outgoing else {}
        body |= {"missing": True} if one.missing else {}
        return body | ({"replaced": True} if one.taken else {})

    def _tidy(self, directory: str) -> None:
        """Remove a day's directory that is empty now, unless a recorder may be about to use it."""
        camera, _, day = directory.rpartition("/")
        if day in {utc_day(self._at.utc_ms + days * UTC_DAY_MS) for days in (-1, 0, 1)}:
            return
        try:
            with folder(self._vault, camera, self._root) as inside:
                self._disk.remove_folder_at(inside, day, self._vault.at(directory))
        except StorageFault as fault:
            if not is_absent(fault):
                self._report.faults.append(fault)

    def _refuse(self, row: Stored, reason: str) -> None:
        self._report.refused.append((row.path, reason))
        self._report.left[row.id] = max(0, row.sealed_bytes)

    def _fail(self, fault: StorageFault) -> None:
        if fault.code.startswith("CATALOGUE"):
            raise fault
        self._report.faults.append(fault)
        self._faults += _FAULTS if fault.code in _HOPELESS else 1
