"""Erase what was a segment of ours, lies in quarantine/, and is older than is allowed: damage is no reason to stay.

Under `locks.fate`, and as in agent/storage/keep/erase.py:

    Z1  a note in the catalogue: which files, and what their tombstones will say
    Z2  overwrite the age header in place with zeros and fdatasync, if no other name is left but those that go now
    Z3  the note again, with what was overwritten
    Z4  unlink    Z5  fsync the directory
    Z6  one transaction: the row, if there is one, LOST to GONE; the fact `segment.erased` with `quarantined`

Ours is a regular file that bears a name as `Vault.quarantine` gives it to a segment or a tail, and whose first bytes
are an age header or have a key of one in them. Without a key nobody can open it; so anything else stays, whosever it
is (B14). Its age counts as its row says; else as that of any file without a row, by name and last write together
(`reborn.label_of`); and if these cannot be, from when it was moved there: rather too long than too short.
Source: Gangneung regulation art. 31(1): every recording, and not only those that can be played.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.model import Fact, Span, canonical_json
from agent.storage import held, ledger, notes
from agent.storage.catalogue import set_meta
from agent.storage.head import HEAD_BYTES, header_length, is_age
from agent.storage.keep import hold_files, hold_rows, outgoing_rows, reborn
from agent.storage.keep.batch import CYCLE_S
from agent.storage.keep.erase import require_time
from agent.storage.keep.placing import nothing
from agent.storage.keep.reach import TAIL, anchor, folder, is_absent, is_no_file, make_sure
from agent.storage.keep.retention import Cause
from agent.storage.keep.stored import HELD
from agent.storage.layout import Kind, Stem, classify
from agent.storage.locks import fate
from agent.storage.orphans import names_in
from agent.storage.unknown import stored

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.hold import Hold
    from agent.storage.keep.reborn import Stored
    from agent.storage.keep.rollover import Rules
    from agent.storage.vault import Vault

PLACE = "quarantine"
NOTED = "erasing_quarantined"
"""Key of `meta`: vault's uuid and name to what Z6 will write, for files between Z1 and Z6."""
REACH_MS = 600_000
"""Without a row a segment is taken to be no longer; a hold that shares a millisecond with that keeps it."""
_NAME = re.compile(
    r"(?P<camera>[A-Za-z0-9][A-Za-z0-9._-]{0,63})\.(?P<day>[0-9]{4,}-[0-9]{2}-[0-9]{2})"
    r"\.(?P<name>[0-9]{8}T[0-9]{6}\.[0-9]{3}Z\.[a-z0-9.]*?[a-z])(?:\.[0-9]+)?\Z"
)
_LOST = "segment INDEXED BY idx_segment_lost WHERE state = 'LOST' AND cause = 'DAMAGED' AND vault = ? AND path = ?"
_ZEROS = bytes(22)


@dataclass(slots=True)
class Cleared:
    """What one call came to. held: of an active hold, and so it stays; more: the limit was reached.

    unshredded  of those that are erased: unlinked, but another link was left, which nobody here made
    """

    erased: int = 0
    erased_bytes: int = 0
    unshredded: int = 0
    held: int = 0
    more: bool = False
    faults: list[StorageFault] = field(default_factory=list)


def former(name: str) -> tuple[Stem, Kind] | None:
    """Return what a file in quarantine/ was, by its name; None for what was no file of a segment."""
    match = _NAME.match(name)
    return classify(match["camera"], match["day"], match["name"]) if match else None


def clear(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    rules: Rules,
    *,
    limit: int,
    step: Callable[[str], None] = nothing,
) -> Cleared:
    """Do Z1 to Z6 for what is too old, also for what a crash left in between.

    limit   how many files at most; holds wait for the lock meanwhile
    Raises  TimeUntrusted; StorageFault when the catalogue cannot be used. What disks say is in the report
    """
    require_time(at)
    report = Cleared()
    for uuid, vault in vaults.items():
        try:
            names = _names(vault)
            if not names and not _noted(catalogue, uuid):
                continue
            with fate(state), anchor(vault) as root:
                known = {row[0] for row in catalogue.read("SELECT id FROM hold")}
                blocked = any(hold not in known for hold in hold_files.names(vault))
                make_sure(vault, root)
                if not blocked and catalogue.meta("reconcile") is None:
                    sweep = _Sweep(catalogue, vault, root, report, at=at, rules=rules, step=step)
                    sweep.run(names, limit - report.erased)
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            report.faults.append(fault)
    return report


def _names(vault: Vault) -> list[str]:
    return [name for name in names_in(vault.at(PLACE)) if former(name)]


def _noted(catalogue: Catalogue, uuid: str) -> dict[str, dict[str, Any]]:
    noted = notes.mild(catalogue.meta(NOTED), {}).get(uuid)
    return {name: each for name, each in noted.items() if _is_note(each)} if isinstance(noted, dict) else {}


def _is_note(each: object) -> bool:
    match each:
        case {
            "row": int() | None,
            "is": str(),
            "body": {"path": str(), "sealed_bytes": int(), "shredded": bool()},
        }:
            return True
    return False


@dataclass(slots=True)
class _File:
    """A file whose time has come.

    fd     open for writing; None when it is gone already
    zeros  how many bytes are to be overwritten, unless another link is left
    identity  tells it from a later file of its name; empty when it is gone
    """

    name: str
    fd: int | None
    zeros: int
    row: int | None
    body: dict[str, Any]
    identity: str = ""


class _Sweep:
    """One call in one vault, whose root is open."""

    def __init__(
        self,
        catalogue: Catalogue,
        vault: Vault,
        root: int,
        report: Cleared,
        *,
        at: Instant,
        rules: Rules,
        step: Callable[[str], None],
    ) -> None:
        self._rules = rules
        self._catalogue = catalogue
        self._vault = vault
        self._disk = vault.disk
        self._root = root
        self._report = report
        self._at = at
        self._step = step
        self._place = vault.at(PLACE)
        self._holds: list[Hold] = hold_rows.holds(catalogue)
        self._notes: dict[str, dict[str, Any]] = {}

    def run(self, names: list[str], limit: int) -> None:
        self._notes = _noted(self._catalogue, self._vault.uuid)
        noted = bool(self._notes)
        found: list[_File] = []
        with folder(self._vault, PLACE, self._root) as inside:
            device = self._disk.status(inside, self._place).st_dev
            if device != self._disk.status(self._root, self._vault.root).st_dev:
                return
            try:
                for name in sorted({*self._notes, *names}):
                    if len(found) >= limit:
                        self._report.more = True
                        break
                    what = former(name)
                    one = what and self._judge(inside, name, *what)
                    if one:
                        self._notes[name] = {"row": one.row, "body": one.body, "is": one.identity}
                        found.append(one)
                if found or noted:
                    self._erase(inside, found)
            finally:
                for one in found:
                    if one.fd is not None:
                        self._disk.close(one.fd)

    def _judge(self, inside: int, name: str, stem: Stem, kind: Kind) -> _File | None:
        """Tell whether a file goes now; None for one that stays."""
        path = stem.path(kind)
        noted = self._notes.get(name)
        row = self._row(path)
        oldest_ms = self._at.utc_ms - self._rules.retention_of(stem.camera)
        # Many are there, and few are old: what is young by its name or row is not opened.
        young_ms = row["kept_from_ms"] if row else self._told_ms(stem)
        if noted is None and young_ms is not None and young_ms > oldest_ms:
            return None
        try:
            fd = self._disk.open_file_at(inside, name, self._place / name, writing=True)
        except StorageFault as fault:
            if is_absent(fault):
                return _File(name, None, 0, noted["row"], noted["body"]) if noted else None
            if not is_no_file(fault):
                self._report.faults.append(fault)
            return None
        keep = False
        try:
            status = self._disk.status(fd, self._place / name)
            start = self._disk.read_start(fd, self._place / name, HEAD_BYTES)
            whole = is_age(start)
            if not whole and not (noted and start.startswith(_ZEROS)):
                self._notes.pop(name, None)
                return None
            if whole and noted and noted["is"] != _identity(status):
                # The noted one is gone (Z4), and this one came later: what it is, is asked when that one is buried.
                return _File(name, None, 0, noted["row"], noted["body"])
            if whole:
                # Nothing was done to it yet, also where it was noted: all is asked again.
                self._notes.pop(name, None)
                file = stored(self._vault.uuid, stem, kind, status)
                if self._kept_ms(fd, name, row, file, status) > oldest_ms:
                    return None
                if self._is_held(file, path, has_row=row is not None) or held.holders(
                    self._vault, path, status
                ):
                    self._report.held += 1
                    return None
            zeros = header_length(start, status.st_size)
            body = self._body(name, path, stem, row, status.st_size)
            keep = True
            return _File(name, fd, zeros, row["id"] if row else None, body, _identity(status))
        except StorageFault as fault:
            self._report.faults.append(fault)
            return None
        finally:
            if not keep:
                self._disk.close(fd)

    def _row(self, path: str) -> dict[str, Any] | None:
        """Return the row of a lost segment whose file, or tail, this was; of several the one that stays longest."""
        columns = ("id", "start_ms", "end_ms", "sha256", "kept_from_ms", "relabelled_from_ms")
        rows = self._catalogue.read(
            f"SELECT {', '.join(columns)} FROM {_LOST}",  # noqa: S608 - constants
            self._key(path),
        )
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        for row in found:
            if type(row["kept_from_ms"]) is not int:
                row["kept_from_ms"] = None
        return max(
            found, key=lambda row: (row["kept_from_ms"] is None, row["kept_from_ms"] or 0), default=None
        )

    def _key(self, path: str) -> tuple[str, str]:
        return self._vault.uuid, path.removesuffix(TAIL)

    def _kept_ms(
        self, fd: int, name: str, row: dict[str, Any] | None, file: Stored, status: os.stat_result
    ) -> int:
        """Return where the retention of a file begins: as its row says, or as it itself does; or where it was moved."""
        if row is not None and row["kept_from_ms"] is not None:
            return int(row["kept_from_ms"])
        label = reborn.label_of(file, self._vault.created_ms, self._at.utc_ms)
        return label.kept_from_ms if row is None and label.is_plausible else self._moved_ms(fd, name, status)

    def _told_ms(self, stem: Stem) -> int | None:
        """Return the start in a name, None when it cannot be."""
        return stem.start_ms if self._vault.created_ms <= stem.start_ms <= self._at.utc_ms else None

    def _moved_ms(self, fd: int, name: str, status: os.stat_result) -> int:
        """Return when a file was moved to quarantine, or later: it was written before, and a rename changes ctime.

        When the clock was wrong then, too, it counts from now on: the file itself is told so.
        """
        times = [ns // 1_000_000 for ns in (status.st_mtime_ns, status.st_ctime_ns)]
        sure = [each for each in times if self._vault.created_ms <= each <= self._at.utc_ms]
        if not sure:
            self._disk.touch(fd, self._place / name, self._at.utc_ms)
        return max(sure, default=self._at.utc_ms)

    def _is_held(self, file: Stored, path: str, *, has_row: bool) -> bool:
        if has_row:
            return bool(self._catalogue.read(f"SELECT 1 FROM {_LOST} AND {HELD}", self._key(path)))  # noqa: S608 - constants
        # Where the start is not known it may be any time; where it is written later than it is named, either.
        start_ms, last_ms = self._told_ms(file.stem), file.last_ms
        spans = [Span(-(1 << 62), 1 << 62)]
        if start_ms is not None:
            spans = [Span(start_ms, start_ms + REACH_MS), Span(last_ms - REACH_MS, last_ms + 1)]
        camera = file.stem.camera
        return any(hold.covers(camera, span, path) for hold in self._holds for span in spans)

    def _body(
        self, name: str, path: str, stem: Stem, row: dict[str, Any] | None, size: int
    ) -> dict[str, Any]:
        start_ms = stem.start_ms if row is None else row["start_ms"]
        return {
            "camera": stem.camera,
            "path": path,
            "start_ms": start_ms,
            "end_ms": start_ms if row is None else row["end_ms"],
            "sha256": "" if row is None else row["sha256"],
            "sealed_bytes": size,
            "cause": str(Cause.EXPIRED),
            "condemned_ms": self._at.utc_ms,
            "cycle_s": CYCLE_S,
            "responsible": self._rules.responsible,
            "shredded": False,
            "quarantined": True,
            "file": f"{PLACE}/{name}",
        }

    def _erase(self, inside: int, found: list[_File]) -> None:
        self._note()
        self._step("Z1")
        names = Counter(self._links(one)[0] for one in found)
        found = [one for one in found if self._overwrite(one, names)]
        self._note()
        self._step("Z3")
        for one in found:
            if one.fd is not None:  # or another one may have its name by now
                self._disk.unlink_at(inside, one.name, self._place / one.name)
                self._step("Z4")
        self._disk.fsync(inside, self._place)
        self._step("Z5")
        self._bury(found)
        self._step("Z6")

    def _links(self, one: _File) -> tuple[int, int]:
        """Return which file it is, and how many names that has now."""
        if one.fd is None:
            return 0, 0
        status = self._disk.status(one.fd, self._place / one.name)
        return status.st_ino, status.st_nlink

    def _overwrite(self, one: _File, names: Mapping[int, int]) -> bool:
        """Do Z2; tell whether its name may go. names: how many of a file's names go now."""
        place = self._place / one.name
        if one.fd is None:
            # Gone between Z4 and Z6, by us if it was overwritten.
            if not one.body["shredded"]:
                one.body["missing"] = True
            return True
        number, links = self._links(one)
        if links > names[number]:
            by_export = one.row is not None and outgoing_rows.holder_of(self._catalogue, one.row)
            self._report.unshredded += not by_export
        else:
            try:
                self._disk.overwrite(one.fd, place, bytes(one.zeros))
                self._disk.fdatasync(one.fd, place)
            except StorageFault as fault:
                self._report.faults.append(fault)
                return False
            one.body["shredded"] = True
        self._step("Z2")
        return True

    def _note(self) -> None:
        self._catalogue.write(self._set_notes)

    def _set_notes(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (NOTED,)).fetchone()
        every = {**notes.mild(row[0] if row else None, {}), self._vault.uuid: self._notes}
        every = {uuid: each for uuid, each in every.items() if each}
        set_meta(db, NOTED, canonical_json(every) if every else None)

    def _bury(self, found: list[_File]) -> None:
        lines = [(one, ledger.line(Fact("segment.erased", self._at, one.body))) for one in found]
        query = (
            "UPDATE segment SET state = 'GONE', cause = 'EXPIRED', gone_ms = ?"
            " WHERE id = ? AND state = 'LOST' AND cause = 'DAMAGED'"
        )

        for one in found:
            self._notes.pop(one.name)

        def bury(db: sqlite3.Connection) -> None:
            for one, line in lines:
                if one.row is not None and not one.body["path"].endswith(TAIL):
                    db.execute(query, (self._at.utc_ms, one.row))
                ledger.append(db, line)
            self._set_notes(db)

        self._catalogue.write(bury)
        self._report.erased += len(found)
        self._report.erased_bytes += sum(one.body["sealed_bytes"] for one in found)


def _identity(status: os.stat_result) -> str:
    return f"{status.st_ino}:{status.st_mtime_ns}"
