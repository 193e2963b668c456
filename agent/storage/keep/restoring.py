"""Bring together what vaults, the state directory and the catalogue tell of holds: T1 and T2, see holds.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.model import Fact
from agent.storage import files, ledger
from agent.storage.keep import hold as rules
from agent.storage.keep import hold_files, hold_rows
from agent.storage.keep.hold import Hold
from agent.storage.keep.hold_files import Unread

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault


@dataclass(slots=True)
class Tended:
    """What tending did, and what it cannot do alone.

    restored    holds that had a file and no row
    linked      new links
    returned    segments whose file was gone from `segments/`, and is back from a link
    more        the rest is to be done in the next turn
    incomplete  ids of holds that lack a file or links on a disk that is not there or refuses; tried again
    lost        (hold, path) of held segments whose file is nowhere
    unreadable  (vault's uuid, hold's id): nothing is erased in that vault until the hold is placed again by its id
    foreign     (vault's uuid, name): a directory among the holds that is none; left alone, and in nobody's way
    due, soon   active holds whose review has come, or comes within a week
    asked       active holds for a request to see the picture, with the milliseconds that are left to answer it
    """

    restored: list[str] = field(default_factory=list)
    linked: int = 0
    returned: int = 0
    incomplete: set[str] = field(default_factory=set)
    lost: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    more: bool = False
    due: list[Hold] = field(default_factory=list)
    soon: list[Hold] = field(default_factory=list)
    asked: list[tuple[Hold, int]] = field(default_factory=list)
    faults: list[StorageFault] = field(default_factory=list)


class Telling:
    """Who tells of holds: their files in the vaults, the copies of these in the state directory, and their rows.

    All of it under `locks.fate`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        state: Path,
        at: Instant,
        *,
        report: Tended,
        step: Callable[[str], None],
    ) -> None:
        """Do nothing yet. report: what is found and done is added to it."""
        self._catalogue = catalogue
        self._places = {**vaults, hold_files.COPIES: hold_files.copies(state, vaults)}
        self._at = at
        self._report = report
        self._step = step

    def found(self) -> dict[str, dict[str, Hold | Unread]]:
        """Read every HOLD file that can be reached: by vault, by id. One that cannot be listed is left out."""
        found: dict[str, dict[str, Hold | Unread]] = {}
        for uuid, vault in self._places.items():
            try:
                if uuid == hold_files.COPIES and not files.is_directory(vault.at("holds")):
                    found[uuid] = {}
                    continue
                self._report.foreign += [(uuid, name) for name in hold_files.foreign(vault)]
                found[uuid] = {name: hold_files.read(vault, name) for name in hold_files.names(vault)}
            except StorageFault as fault:
                self._report.faults.append(fault)
        return found

    def restore(self, found: dict[str, dict[str, Hold | Unread]]) -> None:
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
                if hold is Unread.ABSENT and self._drop_empty(self._places[uuid], name):
                    del there[name]
                elif uuid == hold_files.COPIES:
                    self._report.incomplete.add(name)
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

    def write_files(self, holds: list[Hold], found: dict[str, dict[str, Hold | Unread]]) -> None:
        """Write the files that active holds have not got, or that say otherwise than their row."""
        for uuid, there in found.items():
            for hold in holds:
                if there.get(hold.id) == hold:
                    continue
                try:
                    if uuid == hold_files.COPIES:
                        hold_files.write_copy(self._places[uuid], hold)
                    else:
                        hold_files.write(self._places[uuid], hold)
                except StorageFault as fault:
                    self._report.faults.append(fault)
                    self._report.incomplete.add(hold.id)
                self._step("T2")
