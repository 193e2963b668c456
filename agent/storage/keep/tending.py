"""Tend holds: finish what was cut off, link what was recorded since, remind of reviews; see holds.py."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.model import Fact, Trust, utc_day
from agent.storage import files, ledger
from agent.storage.catalogue import LIVE
from agent.storage.keep import hold as rules
from agent.storage.keep import hold_files, hold_rows, linking
from agent.storage.keep.hold import Hold
from agent.storage.keep.hold_files import Unread
from agent.storage.keep.placing import nothing
from agent.storage.keep.stored import Stored, between_ids, covered
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault


@dataclass(slots=True)
class Tended:
    """What tending did, and what it cannot do alone.

    restored    holds that had a file and no row
    linked      new links; relinked of these, where a link or an original had vanished (reconcile only)
    returned    segments whose file was gone from `segments/`, and is back from a link
    incomplete  ids of holds that lack a file or links on a disk that is not there or refuses; tried again
    lost        (hold, path) of held segments whose file is nowhere
    unreadable  (vault's uuid, hold's id): nothing is erased in that vault until the hold is placed again by its id
    foreign     (vault's uuid, name): a directory among the holds that is none; left alone, and in nobody's way
    due, soon   active holds whose review has come, or comes within a week
    """

    restored: list[str] = field(default_factory=list)
    linked: int = 0
    returned: int = 0
    incomplete: set[str] = field(default_factory=set)
    lost: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    due: list[Hold] = field(default_factory=list)
    soon: list[Hold] = field(default_factory=list)
    faults: list[StorageFault] = field(default_factory=list)


def tend(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    *,
    step: Callable[[str], None] = nothing,
) -> Tended:
    """Do what holds need at each tick of the keeper; what was linked before is not looked at again.

    vaults  by uuid, those that are there
    Raises  StorageFault when the catalogue cannot be used; what disks say is in the report
    """
    return _Tending(catalogue, vaults, state, at, step, whole=False).run()


def reconcile(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    *,
    step: Callable[[str], None] = nothing,
) -> Tended:
    """Do the same, and look at every link: for the keeper's start, when a disk comes back, and once a day.

    A held segment whose original is gone gets it back from its link, and a link that is gone from the original.
    Raises  StorageFault when the catalogue cannot be used
    """
    return _Tending(catalogue, vaults, state, at, step, whole=True).run()


class _Tending:
    """One pass over all holds."""

    def __init__(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        state: Path,
        at: Instant,
        step: Callable[[str], None],
        *,
        whole: bool,
    ) -> None:
        self._catalogue = catalogue
        self._vaults = vaults
        self._state = state
        self._at = at
        self._step = step
        self._whole = whole
        self._report = Tended()

    def run(self) -> Tended:
        with fate(self._state):
            found = self._found()
            self._restore(found)
            holds = hold_rows.holds(self._catalogue, released=True)
            self._write_files([hold for hold in holds if hold.is_active], found)
        for hold in holds:
            if hold.is_active:
                if self._whole:
                    self._return(hold)
                self._link(hold)
                self._review(hold)
            elif any(hold.id in there for there in found.values()) or hold_rows.has_links(
                self._catalogue, hold.id
            ):
                faults = linking.unlink(self._catalogue, self._vaults, self._state, hold, step=self._step)
                self._report.faults += faults
                self._report.incomplete |= {hold.id} if faults else set()
        return self._report

    def _found(self) -> dict[str, dict[str, Hold | Unread]]:
        """Read every HOLD file that can be reached: by vault, by id. One that cannot be listed is left out."""
        found = {}
        for uuid, vault in self._vaults.items():
            try:
                self._report.foreign += [(uuid, name) for name in hold_files.foreign(vault)]
                found[uuid] = {name: hold_files.read(vault, name) for name in hold_files.names(vault)}
            except StorageFault as fault:
                self._report.faults.append(fault)
        return found

    def _restore(self, found: dict[str, dict[str, Hold | Unread]]) -> None:
        """Give holds that have a file and no row their row; name those that cannot be read."""
        known = {hold.id for hold in hold_rows.holds(self._catalogue, released=True)}
        lost: dict[str, Hold] = {}
        for there in found.values():
            for name, hold in there.items():
                if name not in known and isinstance(hold, Hold):
                    lost[name] = rules.merged(lost[name], hold) if name in lost else hold
        for uuid, there in found.items():
            for name, hold in list(there.items()):
                if name in known or name in lost or isinstance(hold, Hold):
                    continue
                if hold is Unread.ABSENT and self._drop_empty(self._vaults[uuid], name):
                    del there[name]
                else:
                    self._report.unreadable.append((uuid, name))
        for hold in lost.values():
            body = hold.body() | {"placed_ms": hold.placed_ms, "placed_trust": hold.trust}
            if not hold.is_active:
                body |= {"released_ms": hold.released_ms, "reason": hold.release_reason}
            line = ledger.line(Fact("hold.restored", self._at, body))

            def insert(db: sqlite3.Connection, hold: Hold = hold, line: ledger.Line = line) -> None:
                hold_rows.insert(db, hold)
                ledger.append(db, line)

            self._catalogue.write(insert)
            self._report.restored.append(hold.id)
            self._step("T1")

    def _drop_empty(self, vault: Vault, name: str) -> bool:
        try:
            return hold_files.is_never_placed(vault, name) and hold_files.remove(vault, name)
        except StorageFault as fault:
            self._report.faults.append(fault)
            return False

    def _write_files(self, holds: list[Hold], found: dict[str, dict[str, Hold | Unread]]) -> None:
        """Write the files that active holds have not got, or that say otherwise than their row."""
        for uuid, there in found.items():
            for hold in holds:
                if there.get(hold.id) == hold:
                    continue
                try:
                    hold_files.write(self._vaults[uuid], hold)
                except StorageFault as fault:
                    self._report.faults.append(fault)
                    self._report.incomplete.add(hold.id)
                self._step("T2")

    def _return(self, hold: Hold) -> None:
        """Give originals that vanished back from their links; only a lost one is no name's any more."""
        query = "SELECT state FROM segment WHERE vault = ? AND path = ?"
        for uuid, vault in self._vaults.items():
            try:
                for inside, names in hold_files.links(vault, hold.id):
                    for name in names:
                        path = f"segments/{inside}/{name}"
                        if files.exists(vault.at(path)):
                            continue
                        states = {row[0] for row in self._catalogue.read(query, (uuid, path))}
                        if "LOST" in states or not hold_files.is_linked(vault, hold.id, path):
                            continue
                        with fate(self._state):
                            self._report.returned += hold_files.link_back(vault, hold.id, inside, name)
                        self._step("T3")
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                self._report.faults.append(fault)
                self._report.incomplete.add(hold.id)

    def _link(self, hold: Hold) -> None:
        """Link what is not linked: what was recorded since the mark, or everything."""
        mark, top = hold_rows.mark(self._catalogue, hold.id), hold_rows.newest(self._catalogue)
        if self._whole or mark is None or mark > top:  # ids begin anew when every segment was let go
            rows = self._unlinked(hold)
        elif mark < top:
            new = between_ids(self._catalogue, mark, top, LIVE)
            rows = (row for row in new if hold.covers(row.camera, row.span, row.path))
        else:
            return
        result = linking.link(self._catalogue, self._vaults, self._state, hold, rows, step=self._step)
        self._report.linked += result.links
        self._report.lost += [(hold.id, row.path) for row in result.lost]
        self._report.faults += result.faults
        if result.is_whole:
            hold_rows.set_mark(self._catalogue, hold.id, top)
        else:
            self._report.incomplete.add(hold.id)

    def _unlinked(self, hold: Hold) -> Iterator[Stored]:
        """Yield what a hold covers and has no link, whatever its row says; in a vault that is away it is believed."""
        rows = covered(self._catalogue, hold, LIVE)
        while page := list(itertools.islice(rows, linking.BATCH)):
            known = hold_rows.linked(self._catalogue, hold.id, [row.id for row in page])
            for row in page:
                vault = self._vaults.get(row.vault)
                is_there = vault is None or hold_files.is_linked(vault, hold.id, row.path)
                if row.id not in known or not is_there:
                    yield row

    def _review(self, hold: Hold) -> None:
        """Say daily that a hold is to be reviewed; by an untrusted clock nobody knows which day it is."""
        now_ms = self._at.utc_ms
        if hold.is_soon(now_ms):
            self._report.soon.append(hold)
        if not hold.is_due(now_ms):
            return
        self._report.due.append(hold)
        if self._at.trust == Trust.UNTRUSTED:
            return
        day = utc_day(now_ms)
        if not hold_rows.is_to_remind(self._catalogue, hold.id, day):
            return
        body = {
            "hold": hold.id,
            "review_ms": hold.review_ms,
            "ground": hold.ground,
            "authority": hold.authority,
        }
        line = ledger.line(Fact("hold.review_due", self._at, body))

        def remind(db: sqlite3.Connection) -> None:
            if hold_rows.remind(db, hold.id, day):
                ledger.append(db, line)

        self._catalogue.write(remind)
