"""Tend holds: finish what was cut off, link what was recorded since, remind of reviews; see holds.py."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.model import Fact, Trust, utc_day
from agent.storage import files, ledger, schema
from agent.storage.catalogue import LIVE
from agent.storage.keep import hold_files, hold_rows, linking
from agent.storage.keep.links import is_same
from agent.storage.keep.placing import nothing
from agent.storage.keep.restoring import Telling, Tended
from agent.storage.keep.stored import between_ids, covered, of_ids
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.hold import Hold
    from agent.storage.keep.stored import Stored
    from agent.storage.vault import Vault

FAILED = 1000
"""So many segments without a link are remembered of a hold; of more, everything is looked at again afterwards."""
_PAGE_IDS = 1000
_LOST = 100


def never() -> bool:
    """Have time for everything."""
    return False


def tend(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    *,
    step: Callable[[str], None] = nothing,
) -> Tended:
    """Do what holds need; what was linked before is not looked at again.

    vaults  by uuid, those that are there
    Raises  StorageFault when the catalogue cannot be used; what disks say is in the report
    """
    return Tender(catalogue, vaults, state, step=step).turn(at)


def reconcile(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    *,
    step: Callable[[str], None] = nothing,
) -> Tended:
    """Do the same, and look at every link, all in one.

    A held segment whose original is gone gets it back from its link, and a link that is gone from the original.
    Raises  StorageFault when the catalogue cannot be used
    """
    tender = Tender(catalogue, vaults, state, step=step)
    tender.look_at_all()
    return tender.turn(at)


@dataclass(slots=True)
class _Known:
    """What is known of a hold besides the mark in the catalogue, up to which every segment has its link.

    reached  up to which segment's id all were tried
    failed   ids of those that have no link, at most FAILED of them; the longest waiting first
    missed   there are more of these: once `failed` is empty, every segment is looked at
    stuck    a disk refused to be looked at: done again by whoever reads the faults
    lost     paths of held segments whose file is nowhere, the first of them
    """

    reached: int = 0
    failed: dict[int, None] = field(default_factory=dict)
    missed: bool = False
    stuck: bool = False
    lost: list[str] = field(default_factory=list)


class Tender:
    """Tends the holds of one catalogue in the vaults that are there now, turn by turn; see holds.py.

    Each turn does what is little. Looking at every link of a hold, which may be millions, goes on from turn to turn.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        state: Path,
        *,
        step: Callable[[str], None] = nothing,
    ) -> None:
        """Do nothing yet. vaults: by uuid; step: told each numbered step, and each page that was looked at (T4)."""
        self._catalogue = catalogue
        self._vaults = dict(vaults)
        self._state = state
        self._step = step
        self._report = Tended()
        self._known: dict[str, _Known] = {}
        self._all = False
        self._round: set[str] | None = None
        self._todo: dict[str, None] = {}
        self._look: tuple[str, Iterator[None]] | None = None

    def serves(self, catalogue: Catalogue, vaults: Mapping[str, Vault]) -> bool:
        """Tell whether it is of this catalogue and these vaults; for others another one is begun."""
        return self._catalogue is catalogue and self._vaults == vaults

    def look_at_all(self) -> None:
        """Look at every link of every hold in the next turns: at the keeper's start, when a disk comes back, and
        once a day.
        """
        self._all = True

    @property
    def is_looking(self) -> bool:
        """Tell whether that was asked for, and is not through."""
        return self._all or bool(self._round)

    def turn(self, at: Instant, enough: Callable[[], bool] = never) -> Tended:
        """Take a turn. enough: when it says so, the rest is left for the next one; a page is done in any case.

        Raises  StorageFault when the catalogue cannot be used; what disks say is in the report
        """
        self._at, self._report = at, Tended()
        with fate(self._state):
            telling = Telling(
                self._catalogue, self._vaults, self._state, at, report=self._report, step=self._step
            )
            found = telling.found()
            telling.restore(found)
            holds = hold_rows.holds(self._catalogue, released=True)
            telling.write_files([hold for hold in holds if hold.is_active], found)
        active = {hold.id: hold for hold in holds if hold.is_active}
        if self._all:
            self._todo |= dict.fromkeys(active)
            self._all, self._round, self._look = False, set(active), None
        for hold in holds:
            if hold.is_active:
                self._follow(hold, enough)
                self._review(hold)
            elif any(hold.id in there for there in found.values()) or hold_rows.has_links(
                self._catalogue, hold.id
            ):
                faults = linking.unlink(self._catalogue, self._vaults, self._state, hold, step=self._step)
                self._report.faults += faults
                self._report.incomplete |= {hold.id} if faults else set()
        self._look_on(active, enough)
        self._sum_up(active)
        return self._report

    def _follow(self, hold: Hold, enough: Callable[[], bool]) -> None:
        """Link what was recorded since the mark, and try again what has no link."""
        mark, top = hold_rows.mark(self._catalogue, hold.id), hold_rows.newest(self._catalogue)
        if mark is None or mark > top:  # ids begin anew when every segment was let go
            self._todo[hold.id] = None
        if hold.id in self._todo or mark is None:
            return
        known = self._known.setdefault(hold.id, _Known(mark))
        again = list(itertools.islice(known.failed, linking.BATCH))
        if again:
            rows = of_ids(self._catalogue, again, LIVE)
            for number in again:
                del known.failed[number]
            self._link(hold, known, rows)
        at = max(mark, known.reached)
        while at < top:
            until = min(top, at + _PAGE_IDS)
            rows = between_ids(self._catalogue, at, until, LIVE)
            self._link(hold, known, [row for row in rows if hold.covers(row.camera, row.span, row.path)])
            at = known.reached = until
            if enough():
                self._report.more |= at < top
                break
        self._set_mark(hold, known, mark)
        if known.missed and not known.failed:
            self._todo[hold.id] = None

    def _look_on(self, active: Mapping[str, Hold], enough: Callable[[], bool]) -> None:
        """Look at every link of those holds that are to be looked at, page by page."""
        while self._todo:
            name = self._look[0] if self._look else next(iter(self._todo))
            is_through = name not in active
            if not is_through:
                if self._look is None:
                    self._look = name, self._pages(active[name])
                try:
                    next(self._look[1])
                except StopIteration:
                    is_through = True
                except BaseException:
                    self._look = None
                    raise
            if is_through:
                self._look = None
                self._todo.pop(name, None)
                if self._round:
                    self._round.discard(name)
            if enough():
                break
        self._report.more |= bool(self._todo)
        if self._round:
            self._round &= set(self._todo)

    def _pages(self, hold: Hold) -> Iterator[None]:
        """Look at every link of a hold, and at everything that it covers; wait after each page."""
        top = hold_rows.newest(self._catalogue)
        mark = hold_rows.mark(self._catalogue, hold.id)
        if mark is None or mark > top:
            hold_rows.set_mark(self._catalogue, hold.id, 0)
        known = self._known[hold.id] = _Known(0)
        yield from self._return(hold)
        rows = covered(self._catalogue, hold, LIVE)
        while page := list(itertools.islice(rows, linking.BATCH)):
            self._link(hold, known, self._unlinked(hold, page))
            self._step("T4")
            yield
        known.reached = top
        self._set_mark(hold, known, mark)

    def _return(self, hold: Hold) -> Iterator[None]:
        """Give originals that vanished back from their links; only a lost one is no name's any more.

        Every link has its row then, whatever its segment's label says: a lost catalogue forgot which they were, and a
        label may have been corrected out of the hold's span.
        """
        for uuid, vault in self._vaults.items():
            try:
                for inside, names in hold_files.links(vault, hold.id):
                    for first in range(0, len(names), linking.BATCH):
                        for name in names[first : first + linking.BATCH]:
                            if not files.exists(vault.at(f"segments/{inside}/{name}")):
                                self._give_back(hold, uuid, inside, name)
                        self._note(hold, vault, inside, names[first : first + linking.BATCH])
                        self._step("T4")
                        yield
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                self._report.faults.append(fault)
                self._known[hold.id].stuck = True

    def _give_back(self, hold: Hold, uuid: str, inside: str, name: str) -> None:
        path, vault = f"segments/{inside}/{name}", self._vaults[uuid]
        query = "SELECT state FROM segment WHERE vault = ? AND path = ?"
        states = {row[0] for row in self._catalogue.read(query, (uuid, path))}
        if "LOST" in states or not hold_files.is_linked(vault, hold.id, path):
            return
        with fate(self._state):
            self._report.returned += hold_files.link_back(vault, hold.id, inside, name)
        self._step("T3")

    def _note(self, hold: Hold, vault: Vault, inside: str, names: list[str]) -> None:
        """Give links their rows that are links of segments with a row, and of no other file of that name."""
        paths = [f"segments/{inside}/{name}" for name in names]
        query = (
            f"SELECT id, path FROM segment WHERE vault = ? AND {schema.PRESENT}"  # noqa: S608 - constants
            " AND path IN (SELECT value FROM json_each(?)) AND NOT EXISTS"
            " (SELECT 1 FROM hold_segment WHERE hold = ? AND segment = segment.id)"
        )
        values = (vault.uuid, json.dumps(paths), hold.id)
        if not self._catalogue.read(query, values):
            return
        with fate(self._state):  # who erases reads the links' rows under it
            found = [
                (segment, hold_files.link_path(hold.id, path))
                for segment, path in self._catalogue.read(query, values)
                if is_same(vault.at(path), vault.at(hold_files.link_path(hold.id, path)))
            ]
            if found:
                noted = partial(hold_rows.add_links, hold_id=hold.id, links=found)
                self._report.linked += self._catalogue.write(noted)

    def _unlinked(self, hold: Hold, page: list[Stored]) -> list[Stored]:
        """Return what has no link, whatever its row says; in a vault that is away the row is believed."""
        linked = hold_rows.linked(self._catalogue, hold.id, [row.id for row in page])

        def has_link(row: Stored) -> bool:
            vault = self._vaults.get(row.vault)
            return row.id in linked and (vault is None or hold_files.is_linked(vault, hold.id, row.path))

        return [row for row in page if not has_link(row)]

    def _link(self, hold: Hold, known: _Known, rows: list[Stored]) -> None:
        if not rows:
            return
        result = linking.link(self._catalogue, self._vaults, self._state, hold, rows, step=self._step)
        self._report.linked += result.links
        self._report.faults += result.faults
        known.lost += [row.path for row in result.lost][: _LOST - len(known.lost)]
        room = FAILED - len(known.failed)
        known.failed |= dict.fromkeys(row.id for row in result.failed[:room])
        known.missed |= len(result.failed) > room

    def _set_mark(self, hold: Hold, known: _Known, mark: int | None) -> None:
        """Note in the catalogue up to where every segment has its link."""
        if known.missed:
            return
        reached = min(known.failed) - 1 if known.failed else known.reached
        if reached != mark:
            hold_rows.move_mark(self._catalogue, hold.id, reached)

    def _sum_up(self, active: Mapping[str, Hold]) -> None:
        """Say what is not as it should be, also when it was found in another turn."""
        self._known = {name: known for name, known in self._known.items() if name in active}
        for name, known in self._known.items():
            self._report.lost += [(name, path) for path in known.lost]
            if known.failed or known.missed or known.stuck:
                self._report.incomplete.add(name)

    def _review(self, hold: Hold) -> None:
        """Say daily that a hold is to be reviewed; by an untrusted clock nobody knows which day it is."""
        now_ms = self._at.utc_ms
        if (left_ms := hold.answer_left_ms(now_ms)) is not None:
            self._report.asked.append((hold, left_ms))
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
