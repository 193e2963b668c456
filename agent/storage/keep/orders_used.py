"""The used numbers in both their places, the catalogue and counters.json: what either knows is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command import counters
from agent.storage import ledger, notes
from agent.storage.aside import PREDECESSORS
from agent.storage.catalogue import set_meta
from agent.storage.keep import orders_files, orders_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.command.counters import Counter, Take
    from agent.model import Fact
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk

HOLDS = "counters_whole"
"""In `meta`: whether the catalogue holds the used numbers of ALL keys, though it may have followed a lost one."""
ALL, SOME = "1", "0"
_BEGAN = "SELECT body FROM ledger WHERE kind = 'ledger.began' ORDER BY seq LIMIT 1"


class Used:
    """What was used, of all keys. `forgotten`: that of some keys was lost. `is_written`: J3 is done."""

    def __init__(self, state: Path, disk: Disk) -> None:
        self._state = state
        self._disk = disk
        self.counters: dict[str, Counter] = {}
        self.forgotten = False
        self.is_written = False

    def load(self, catalogue: Catalogue) -> None:
        """Read both, for a catalogue that was opened, and have it hold all that either knows. Raises StorageFault.

        Some are lost where no whole file tells, and the catalogue follows a lost one and was never given all: it then
        knows only the keys that have spoken since. Whoever damages the file while the catalogue holds all has won
        nothing. Where the lost one was a copy that was put back, the file was most likely put back with it: what it
        says is as old.
        """
        found = orders_files.read_counters(self._state)
        rows = orders_rows.counters(catalogue)
        mark = catalogue.meta(HOLDS)
        known, lost = found or ({}, True)
        if mark is None and _was_put_back(catalogue):
            known, lost, self.counters = {}, True, {}
        elif mark == SOME and not lost:  # killed before it was written anew, or put back again
            known, lost = {}, True
        self.counters = counters.joined(counters.joined(known, rows), self.counters)
        self.forgotten |= lost and mark != ALL and catalogue.meta(PREDECESSORS) is not None
        if rows != self.counters or mark is None:
            catalogue.write(self._write_all)
        self.is_written = found == (self.counters, self.forgotten)

    def _write_all(self, db: sqlite3.Connection) -> None:
        orders_rows.use(db, self.counters, self.counters)
        set_meta(db, HOLDS, SOME if self.forgotten else ALL)

    def sync(self) -> None:
        """Do J3 where it is still to be done: a kill or a disk came between. Raises StorageFault: nothing runs then."""
        if not self.is_written:
            orders_files.write_counters(self._state, self.counters, self._disk, forgotten=self.forgotten)
            self.is_written = True

    def take(
        self,
        catalogue: Catalogue,
        takes: Sequence[Take],
        facts: Sequence[Fact],
        more: Callable[[sqlite3.Connection], None] | None,
        step: Callable[[str], None],
    ) -> None:
        """Use some numbers up: J2 with facts and whatever else belongs to it, then J3. Raises StorageFault."""
        after = counters.after(self.counters, takes, forgotten=self.forgotten)
        lines = [ledger.line(fact) for fact in facts]

        def write(db: sqlite3.Connection) -> None:
            if more is not None:
                more(db)
            orders_rows.use(db, after, {take.kid for take in takes})
            for line in lines:
                ledger.append(db, line)

        catalogue.write(write)
        self.counters = after
        step("J2")
        if takes:
            self.is_written = False
            self.sync()
            step("J3")


def _was_put_back(catalogue: Catalogue) -> bool:
    """Tell whether the catalogue before this one was older than what was signed: a copy. Raises StorageFault."""
    return any(notes.mild(body, {}).get("reason") == "old" for (body,) in catalogue.read(_BEGAN))
