"""Erase segments, so that nobody can open them again. The procedure, cited by its numbers in code and tests:

    E1  plan (retention.py, pure)
    E2  one transaction, `condemn`: what no hold covers becomes CONDEMNED, with its cause
    E3  for a batch, under `locks.fate`, each row read again: overwrite the age header in place with zeros and
        fdatasync, if the link count is 1; the tail likewise
    E3b note in the catalogue which were shredded, so that a tombstone written after a crash says what was done
    E4  unlink, the tail first
    E5  fsync the directories
    E6  one transaction: GONE, and the fact `segment.erased` with what, when, why and who is responsible

Killed at any step and run again, each segment is as before or erased, with one tombstone. A segment that an active
hold covers and that still has its header is given its state back instead. Nothing is touched but a regular file that
is reached without following a link, has a segment's name, belongs to a condemned row, and begins like an age file
(B14); what is otherwise is left, and told.
Source: PIPA art. 21(1)-(2), Standard Guideline art. 42(2), Gangneung regulation art. 31(1); docs/threat-model.md says
what overwriting is worth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault, TimeUntrusted
from agent.language import say
from agent.model import UTC_DAY_MS, Fact, Instant, Trust, canonical_json, utc_day
from agent.storage import ledger
from agent.storage.catalogue import LIVE, set_meta
from agent.storage.envelope import MAX_HEADER_BYTES
from agent.storage.keep import hold_files
from agent.storage.keep.head import shred_length
from agent.storage.keep.placing import nothing, spare
from agent.storage.keep.reach import TAIL, folder, has_header, is_absent, stem_of_path
from agent.storage.keep.stored import HELD, Stored, condemned
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.storage.catalogue import Catalogue
    from agent.storage.layout import Stem
    from agent.storage.vault import Vault

CYCLE_S = 10
"""How often what is due is looked for; each tombstone names it (Standard Guideline art. 42(2) no. 2)."""
NOTED = "erasing"
"""Key of `meta`: segments between E3b and E6, each with whether it was shredded."""
_READ_ROWS = 200
_FAULTS = 20
"""A failing disk may take seconds for each file, and others wait for the lock."""
_HOPELESS = frozenset({"DISK_FULL", "DISK_READ_ONLY", "DISK_DENIED", "VAULT_MISSING", "VAULT_FOREIGN"})


@dataclass(slots=True)
class Report:
    """What a round of erasing came to.

    erased, erased_bytes  segments that are gone for good, and their sealed bytes
    unshredded            of these: unlinked, but another link was left, which nobody here made
    missing               of these: their file was not there
    spared                condemned, and then held
    waiting               linked by a hold that is released and not yet cleared away
    refused               (path, reason): what lies there is not what was stored; untouched
    blocked               (vault's uuid, hold's id): the vault has a hold without a row; untouched
    reconciling           the catalogue is not whole yet: nothing was done
    """

    erased: int = 0
    erased_bytes: int = 0
    unshredded: int = 0
    missing: int = 0
    spared: int = 0
    waiting: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    blocked: list[tuple[str, str]] = field(default_factory=list)
    reconciling: bool = False
    faults: list[StorageFault] = field(default_factory=list)


def condemn(catalogue: Catalogue, plan: Sequence[tuple[int, str]], at: Instant) -> list[int]:
    """Do E2: mark segments for erasing, all in one transaction.

    plan     segments' ids, each with its cause (retention.Cause)
    Returns  the ids that are condemned now. One that a hold covers is left alone; so is one that is not stored any
             more, whose time is not settled, or whose row cannot be true. None while the catalogue is rebuilt
    Raises   TimeUntrusted; StorageFault, and then none is
    """
    _require_time(at)
    query = (
        "UPDATE segment SET state = 'CONDEMNED', cause = ?, condemned_ms = ?"  # noqa: S608 - constants
        f" WHERE id = ? AND {LIVE} AND kept_from_ms IS NOT NULL AND end_ms >= start_ms"
        " AND typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer' AND typeof(kept_from_ms) = 'integer'"
        f" AND NOT {HELD}"
    )

    def mark(db: sqlite3.Connection) -> list[int]:
        if db.execute("SELECT 1 FROM meta WHERE key = 'reconcile'").fetchone():
            return []
        return [
            segment for segment, cause in plan if db.execute(query, (str(cause), at.utc_ms, segment)).rowcount
        ]

    return catalogue.write(mark)


def finish(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    responsible: str,
    *,
    limit: int,
    step: Callable[[str], None] = nothing,
) -> Report:
    """Do E3 to E6 for condemned segments, those that a crash left among them.

    vaults       by uuid, those that are there; the others' segments wait
    responsible  who answers for the erasure (box.operator)
    limit        how many segments at most; holds and others wait for the lock meanwhile
    Raises       TimeUntrusted; StorageFault when the catalogue cannot be used. What disks say is in the report
    """
    _require_time(at)
    report = Report()
    with fate(state):
        if catalogue.meta("reconcile") is not None:
            report.reconciling = True
            return report
        known = {row[0] for row in catalogue.read("SELECT id FROM hold")}
        for uuid, vault in vaults.items():
            left = limit - report.erased
            if left <= 0:
                break
            try:
                vault.verify()
                strange = [name for name in hold_files.names(vault) if name not in known]
            except StorageFault as fault:
                report.faults.append(fault)
                continue
            if strange:
                report.blocked += [(uuid, name) for name in strange]
                continue
            _Round(catalogue, vault, at, responsible, report, step=step).run(left)
    return report


def _require_time(at: Instant) -> None:
    if at.trust == Trust.UNTRUSTED:
        raise TimeUntrusted(
            "TIME_UNTRUSTED",
            say("시각을 믿을 수 없어 지우지 않습니다", "the time cannot be relied on: nothing is erased"),
            hint=say("`pasu clock`으로 까닭을 보십시오", "`pasu clock` shows why, and how to confirm it"),
        )


@dataclass(slots=True)
class _Doomed:
    """A segment on its way out: what E3 found, `shredded` as its tombstone will say it."""

    row: Stored
    stem: Stem
    shredded: bool = False
    missing: bool = False


class _Round:
    """One batch in one vault."""

    def __init__(
        self,
        catalogue: Catalogue,
        vault: Vault,
        at: Instant,
        responsible: str,
        report: Report,
        *,
        step: Callable[[str], None],
    ) -> None:
        self._catalogue = catalogue
        self._vault = vault
        self._disk = vault.disk
        self._at = at
        self._responsible = responsible
        self._report = report
        self._step = step
        self._faults = 0

    def run(self, limit: int) -> None:
        noted = self._noted()
        doomed = []
        for row in self._rows():
            one = self._doom(row, noted)
            if one is not None:
                doomed.append(one)
            if len(doomed) >= limit or self._faults >= _FAULTS:
                break
        if not doomed:
            return
        self._note(noted | {str(one.row.id): one.shredded for one in doomed})
        self._step("E3b")
        doomed = [one for one in doomed if self._unlink(one)]
        doomed = self._synced(doomed)
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

    def _doom(self, row: Stored, noted: Mapping[str, bool]) -> _Doomed | None:
        """Do E3; None for a segment that stays, for now or for good."""
        what = stem_of_path(row.path)
        if what is None or what[0].camera != row.camera:
            self._report.refused.append((row.path, "not a segment's path"))
            return None
        try:
            if self._is_held(row) and has_header(self._vault, row.path):
                self._catalogue.write(lambda db: spare(db, row))
                self._report.spared += 1
                return None
            if self._catalogue.read("SELECT 1 FROM hold_segment WHERE segment = ?", (row.id,)):
                self._report.waiting += 1
                return None
            one = _Doomed(row, what[0])
            self._shred(one)
        except StorageFault as fault:
            self._fail(fault)
            return None
        except _Refused as refusal:
            self._report.refused.append((row.path, refusal.reason))
            return None
        if one.missing:
            # Gone already: by us, before a crash, or by somebody.
            one.missing = str(row.id) not in noted
            one.shredded = noted.get(str(row.id), False)
        self._step("E3")
        return one

    def _is_held(self, row: Stored) -> bool:
        return bool(self._catalogue.read(f"SELECT 1 FROM segment WHERE id = ? AND {HELD}", (row.id,)))  # noqa: S608 - constants

    def _shred(self, one: _Doomed) -> None:
        """Overwrite the header of a segment, then of its tail."""
        directory, _, name = one.row.path.rpartition("/")
        try:
            with folder(self._vault, directory) as inside:
                found = self._shred_file(inside, one, name)
                if found is None:
                    one.missing = True
                else:
                    one.shredded = found
                self._shred_file(inside, one, name + TAIL)
        except StorageFault as fault:
            if not is_absent(fault):
                raise
            one.missing = True

    def _shred_file(self, inside: int, one: _Doomed, name: str) -> bool | None:
        """Overwrite the header of one file; tell whether that was done, None when the file is not there."""
        path = self._vault.at(one.stem.directory) / name
        try:
            fd = self._disk.open_file_at(inside, name, path, writing=True)
        except StorageFault as fault:
            if is_absent(fault):
                return None
            if fault.context.get("errno") in ("ELOOP", "EINVAL", "ENXIO", "EISDIR"):
                raise _Refused("not a regular file") from fault
            raise
        try:
            status = self._disk.status(fd, path)
            start = self._disk.read_start(fd, path, MAX_HEADER_BYTES)
            stored = None if name.endswith(TAIL) else one.row.sealed_bytes
            length = shred_length(start, status.st_size, stored)
            if length is None:
                raise _Refused("does not begin like a sealed file")
            if status.st_nlink != 1:
                return False
            self._disk.overwrite(fd, path, bytes(length))
            self._disk.fdatasync(fd, path)
        finally:
            self._disk.close(fd)
        return True

    def _noted(self) -> dict[str, bool]:
        text = self._catalogue.meta(NOTED)
        found: dict[str, bool] = json.loads(text) if text else {}
        return found

    def _note(self, noted: Mapping[str, bool]) -> None:
        self._catalogue.set_meta(NOTED, canonical_json(dict(noted)) if noted else None)

    def _unlink(self, one: _Doomed) -> bool:
        """Do E4; tell whether both names are gone."""
        directory, _, name = one.row.path.rpartition("/")
        place = self._vault.at(directory)
        try:
            with folder(self._vault, directory) as inside:
                self._disk.unlink_at(inside, name + TAIL, place / (name + TAIL))
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
                with folder(self._vault, directory) as inside:
                    self._disk.fsync(inside, self._vault.at(directory))
            except StorageFault as fault:
                if not is_absent(fault):
                    self._fail(fault)
                    failed.add(directory)
        self._step("E5")
        return [one for one in doomed if one.stem.directory not in failed]

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
        report.erased_bytes += sum(one.row.sealed_bytes for one in doomed)
        report.missing += sum(one.missing for one in doomed)
        report.unshredded += sum(not one.shredded and not one.missing for one in doomed)

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
        return body | ({"missing": True} if one.missing else {})

    def _tidy(self, directory: str) -> None:
        """Remove a day's directory that is empty now, unless a recorder may be about to use it."""
        camera, _, day = directory.rpartition("/")
        if day in {utc_day(self._at.utc_ms + days * UTC_DAY_MS) for days in (-1, 0, 1)}:
            return
        try:
            with folder(self._vault, camera) as inside:
                self._disk.remove_folder_at(inside, day, self._vault.at(directory))
        except StorageFault as fault:
            if not is_absent(fault):
                self._report.faults.append(fault)

    def _fail(self, fault: StorageFault) -> None:
        if fault.code.startswith("CATALOGUE"):
            raise fault
        self._report.faults.append(fault)
        self._faults += _FAULTS if fault.code in _HOPELESS else 1


class _Refused(Exception):
    """What lies at a condemned segment's path is not a segment."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
