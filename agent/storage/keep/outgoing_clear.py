"""Clear away the bundle of an export that is over: D2 to D7, see agent/storage/keep/outgoing.py.

A link is only ever removed where the file has another name, or where its segment was erased and this link was what it
waited for: then its header is overwritten first. What nobody erased gets its own name back. When in doubt it stays.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.model import Fact, Span, Trust
from agent.storage import ledger
from agent.storage.keep import hold_files, hold_rows, outgoing_files, outgoing_rows
from agent.storage.keep.links import link_home
from agent.storage.keep.outgoing_order import Fate, fate_of
from agent.storage.keep.overwrite import Refused, overwrite
from agent.storage.keep.quarantined import REACH_MS
from agent.storage.keep.reach import TAIL, anchor, folder, is_absent, make_sure, stem_of_path
from agent.storage.keep.stored import HELD
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.outgoing_rows import Linked
    from agent.storage.keep.rollover import Rules
    from agent.storage.vault import Vault

BATCH = 64


@dataclass(slots=True)
class Cleared:
    """What clearing came to.

    done      nothing of it is left in the vaults that are there
    shredded  links whose header was overwritten; returned: segments that have their own name again
    stuck     what could not be judged or removed, relative to its vault
    """

    done: bool = True
    shredded: int = 0
    returned: int = 0
    stuck: list[str] = field(default_factory=list)
    faults: list[StorageFault] = field(default_factory=list)


@dataclass(slots=True)
class _One:
    """A segment's links, on their way out.

    known   what the export's rows say of it
    path    of the segment, relative to its vault; wanted: names that go
    shredded  its own header was overwritten now
    """

    known: Linked | None
    name: str
    path: str
    wanted: list[str] = field(default_factory=list)
    shredded: bool = False


@dataclass(frozen=True, slots=True)
class _Here:
    """A directory of links, open."""

    vault: Vault
    source: str
    inside: int

    def at(self, name: str) -> Path:
        """Return what faults call a file of it."""
        return self.vault.at(f"{self.source}/{name}")


class Clearer:
    """Clears exports away in the vaults that are there. Whoever calls has made sure that holds are known."""

    def __init__(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        state: Path,
        rules: Rules,
        at: Instant,
        *,
        step: Callable[[str], None],
    ) -> None:
        """Do nothing yet."""
        self._catalogue = catalogue
        self._vaults = vaults
        self._state = state
        self._rules = rules
        self._at = at
        self._step = step

    def clear(self, export: str, enough: Callable[[], bool]) -> Cleared:
        """Do D2 to D7 for an export that is over, or of which there is no row.

        Raises  StorageFault when the catalogue cannot be used; what disks say is in the report
        """
        report = Cleared()
        for vault in self._vaults.values():
            try:
                self._clear(vault, export, report, enough)
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                report.faults.append(fault)
        report.done = report.done and not report.stuck and not report.faults
        return report

    def _clear(self, vault: Vault, export: str, report: Cleared, enough: Callable[[], bool]) -> None:
        linked = outgoing_rows.segments(self._catalogue, export)
        known = {one.file: one for one in linked if one.vault == vault.uuid}
        before = len(report.stuck)
        if export in outgoing_files.names(vault):
            for day in list(outgoing_files.days(vault, export)):
                rest = iter(day.names)
                while names := list(itertools.islice(rest, BATCH)):
                    batch = [_One(known.get(day.file(name)), name, day.original(name)) for name in names]
                    self._batch(vault, export, day.inside, batch, report)
                    if enough():
                        report.done = False
                        return
            if len(report.stuck) > before:
                return
            with fate(self._state), anchor(vault) as root:
                make_sure(vault, root)
                if not outgoing_files.remove(vault, export):
                    report.stuck.append(outgoing_files.home(export))
                    return
            self._step("D6")
        if known:
            self._catalogue.write(lambda db: outgoing_rows.drop_unlinked(db, export, [vault.uuid]))
        self._step("D7")

    def _batch(self, vault: Vault, export: str, inside: str, batch: Sequence[_One], report: Cleared) -> None:
        """Do D2 to D5."""
        source = f"{outgoing_files.home(export)}/{inside}"
        with fate(self._state), anchor(vault) as root:
            make_sure(vault, root)
            ids = {row[0] for row in self._catalogue.read("SELECT id FROM hold")}
            if any(name not in ids for name in hold_files.names(vault)):
                # A hold that the catalogue does not know may cover any of these.
                report.stuck.append(source)
                return
            with folder(vault, source, root) as fd:
                here = _Here(vault, source, fd)
                found = [one for one in batch if self._judge(here, one, report)]
            shredded = [one for one in found if one.shredded]
            self._tell(export, shredded)
            self._step("D3")
            outgoing_files.unlink(vault, export, inside, [each for one in found for each in one.wanted])
            self._step("D4")
            gone = [one.known.segment for one in found if one.known]
            self._catalogue.write(lambda db: outgoing_rows.drop_segments(db, export, gone))
            self._step("D5")
            report.shredded += len(shredded)

    def _judge(self, here: _Here, one: _One, report: Cleared) -> bool:
        """Do D2 for a segment and its tail: overwrite, or give back; tell whether the links may go."""
        try:
            fates = {each: self._fate(here, each, one) for each in (one.name + TAIL, one.name)}
            if Fate.RETURN in fates.values():
                self._give_back(here, one, whole=fates[one.name] is not None)
                report.returned += 1
            for each, wanted in fates.items():
                if wanted is Fate.SHRED:
                    one.shredded |= self._shred(here, one, each) and each == one.name
        except Refused:
            report.stuck.append(f"{here.source}/{one.name}")
            return False
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            report.faults.append(fault)  # a file that cannot be read stops only itself
            return False
        one.wanted = [each for each, wanted in fates.items() if wanted is not None]
        self._step("D2")
        return True

    def _give_back(self, here: _Here, one: _One, *, whole: bool) -> None:
        """Give a segment its own name back. Raises Refused where that is another's, or where only its tail is here."""
        inside = one.path.split("/", 1)[1].rpartition("/")[0]
        if not whole or not link_home(here.vault, here.source, inside, one.name):
            raise Refused("its name is another's")

    def _shred(self, here: _Here, one: _One, name: str) -> bool:
        stored = one.known.sealed_bytes if one.known and name == one.name else None
        damaged = one.known is not None
        disk = here.vault.disk
        return bool(overwrite(disk, here.inside, name, here.at(name), stored, damaged=damaged, sync=True))

    def _fate(self, here: _Here, name: str, one: _One) -> Fate | None:
        """Decide about one link; None when there is none. Raises Refused for what is no file."""
        disk, place = here.vault.disk, here.at(name)
        try:
            fd = disk.open_file_at(here.inside, name, place, writing=False)
        except StorageFault as fault:
            if is_absent(fault):
                return None
            raise Refused(fault.code) from fault
        try:
            names = disk.status(fd, place).st_nlink
            begun = names == 1 and disk.read_start(fd, place, 1) == b"\0"
        finally:
            disk.close(fd)
        state, held = self._row(here.vault.uuid, one)
        decided = fate_of(
            names,
            state,
            begun=begun,
            sure=self._at.trust is not Trust.UNTRUSTED,
            over_age=self._is_over_age(here.vault, one.path),
            held=held,
        )
        if decided is Fate.KEEP:
            raise Refused("nobody can say yet")
        return decided

    def _row(self, uuid: str, one: _One) -> tuple[str | None, bool]:
        """Return the state of a segment's row, and whether a hold covers it."""
        if one.known is not None:
            query = f"SELECT state, {HELD} FROM segment WHERE id = ? AND path = ?"  # noqa: S608 - constants
            rows = self._catalogue.read(query, (one.known.segment, one.path))
            if rows:
                return rows[0][0], bool(rows[0][1])
        query = f"SELECT state, {HELD} FROM segment WHERE vault = ? AND path = ?"  # noqa: S608 - constants
        rows = self._catalogue.read(query, (uuid, one.path))
        held = any(row[1] for row in rows) or self._is_covered(one.path)
        return ("GONE" if rows and {row[0] for row in rows} == {"GONE"} else None), held

    def _is_covered(self, path: str) -> bool:
        """Tell whether a hold covers what has this name, as far as its start tells."""
        what = stem_of_path(path)
        if what is None:
            return True
        stem = what[0]
        span = Span(stem.start_ms, stem.start_ms + REACH_MS)
        return any(hold.covers(stem.camera, span, path) for hold in hold_rows.holds(self._catalogue))

    def _is_over_age(self, vault: Vault, path: str) -> bool:
        what = stem_of_path(path)
        if what is None:
            return False
        start_ms = what[0].start_ms
        oldest_ms = self._at.utc_ms - self._rules.retention_of(what[0].camera)
        return vault.created_ms <= start_ms <= oldest_ms

    def _tell(self, export: str, shredded: Sequence[_One]) -> None:
        """Write what was overwritten, before its name goes: a tombstone said that this link was waited for.

        A row goes with its fact. Without one, the link was made in a turn that was cut off before O5, or its fact was
        written in one that was cut off before D4: the ledger knows which.
        """
        told = set() if all(one.known for one in shredded) else self._told(export)
        lines = [
            ledger.line(Fact("segment.shredded", self._at, self._body(export, one)))
            for one in shredded
            if one.known or one.path not in told
        ]
        gone = [one.known.segment for one in shredded if one.known]

        def tell(db: sqlite3.Connection) -> None:
            outgoing_rows.drop_segments(db, export, gone)
            for line in lines:
                ledger.append(db, line)

        if lines:
            self._catalogue.write(tell)

    def _told(self, export: str) -> set[str]:
        """Return the paths of which the ledger says that this export's links were overwritten."""
        query = "SELECT CAST(body AS BLOB) FROM ledger WHERE kind = 'segment.shredded' AND instr(body, ?) ORDER BY seq"
        told = set()
        for (body,) in self._catalogue.read(query, (f'"export":{json.dumps(export)}',)):
            with contextlib.suppress(ValueError, TypeError, KeyError):  # damaged: it says nothing
                told.add(str(json.loads(body)["path"]))
        return told

    def _body(self, export: str, one: _One) -> dict[str, Any]:
        body: dict[str, Any] = {"export": export, "path": one.path, "responsible": self._rules.responsible}
        with contextlib.suppress(IndexError):
            body["camera"] = one.path.split("/")[1]
        if one.known is not None:
            body |= {
                "start_ms": one.known.start_ms,
                "end_ms": one.known.end_ms,
                "sha256": one.known.sha256,
                "sealed_bytes": one.known.sealed_bytes,
            }
        return body
