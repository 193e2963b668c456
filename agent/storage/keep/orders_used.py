"""The used numbers in both their places, the catalogue and counters.json: what either knows is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command import counters
from agent.storage import ledger
from agent.storage.keep import orders_files, orders_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.command.counters import Counter, Take
    from agent.model import Fact
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk


class Used:
    """What was used, of all keys. `forgotten`: that of some keys was lost."""

    def __init__(self, state: Path, disk: Disk) -> None:
        self._state = state
        self._disk = disk
        self.counters: dict[str, Counter] = {}
        self.forgotten = False
        self._is_written = False

    def load(self, catalogue: Catalogue) -> None:
        """Read both, for a catalogue that was opened. Raises StorageFault."""
        found = orders_files.read_counters(self._state)
        rows = orders_rows.counters(catalogue)
        # No file, and a catalogue that follows a lost one: both memories may be gone.
        known, lost = found or ({}, catalogue.last_fact("ledger.began") is not None)
        self.counters = counters.joined(counters.joined(known, rows), self.counters)
        # Whoever damages the file while the catalogue is whole has won nothing.
        self.forgotten |= lost and not rows
        self._is_written = found == (self.counters, self.forgotten)

    def sync(self) -> None:
        """Do J3 where it is still to be done: a kill or a disk came between. Raises StorageFault: nothing runs then."""
        if not self._is_written:
            orders_files.write_counters(self._state, self.counters, self._disk, forgotten=self.forgotten)
            self._is_written = True

    def take(
        self,
        catalogue: Catalogue,
        takes: Sequence[Take],
        facts: Sequence[Fact],
        more: Callable[[sqlite3.Connection], None] | None,
        step: Callable[[str], None],
    ) -> None:
        """Use some numbers up: J2 with facts and whatever else belongs to it, then J3. Raises StorageFault."""
        after = counters.after(self.counters, takes)
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
            self._is_written = False
            self.sync()
            step("J3")
