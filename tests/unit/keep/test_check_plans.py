"""B18: what is asked of the catalogue all the time walks none of its tables, however many rows there are."""

from __future__ import annotations

import re
import sqlite3

import pytest

from agent.model import Instant, Span, Trust
from agent.storage.files import Disk
from agent.storage.keep import daily, holds, tend
from agent.storage.keep.check import Check, Selection
from agent.storage.keep.check_findings import Level
from agent.storage.keep.rollover import Rollover, Rules
from agent.storage.proof import checkpoints, signing
from tests.unit.keep.shelf import AT, MINUTE_MS, NOW, T0, Shelf

DAY_MS = 86_400_000
BIG = "segment|gap|ledger|hold_segment|tree"
# Partial indexes over what is always little: on its way out, not yet settled, longer than ten minutes, erased lately.
LITTLE = re.compile(r"USING (COVERING )?INDEX idx_segment_(condemned|unsettled|kept_late|gone_ms)")


@pytest.fixture
def shelf(tmp_path):
    made = Shelf(tmp_path)
    for minute in range(5):
        shelf_row = made.add(minute)
        made.add(minute, camera="cam2")
    made.at(shelf_row).unlink()
    yield made
    made.catalogue.close()


def walks(shelf: Shelf, work) -> list[str]:
    """Do some work, and return each statement that walks a table or index of one that grows, and how."""
    said: dict[str, None] = {}
    db = shelf.catalogue._db
    db.set_trace_callback(said.setdefault)
    try:
        work()
    finally:
        db.set_trace_callback(None)
    statements = [
        each for each in said if each.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
    ]
    assert statements
    found = []
    for statement in statements:
        for row in db.execute("EXPLAIN QUERY PLAN " + statement):
            if re.match(rf"SCAN ({BIG})\b", row[3]) and not LITTLE.search(row[3]):
                found.append(f"{row[3]}: {statement}")
    return found


def test_the_test_sees_a_walk(shelf) -> None:
    assert walks(shelf, lambda: shelf.catalogue.read("SELECT COUNT(*) FROM segment WHERE frames > 5"))
    assert walks(shelf, lambda: shelf.catalogue.read("SELECT COUNT(*) FROM gap"))


@pytest.mark.parametrize("level", list(Level))
def test_a_check(shelf, level) -> None:
    def work() -> None:
        for span in (None, Span(T0, T0 + MINUTE_MS)):
            selection = Selection("all", level, None, span)
            check = Check(
                shelf.catalogue, shelf.vaults, shelf.state, selection, lambda: AT, disk=Disk(), repair=True
            )
            assert check.run(lambda: True)

    assert walks(shelf, work) == []


def test_the_keepers_check(shelf) -> None:
    def work() -> None:
        for _ in range(12):
            tend.tend(shelf.catalogue, shelf.vaults, shelf.state, AT, 5.0, boot="b")

    assert walks(shelf, work) == []


def test_retention(shelf) -> None:
    roll = Rollover(Rules({}, DAY_MS, "operator"), shelf.state, lambda: 0.0, lambda _: None)
    erased = []

    def work() -> None:
        for at in (NOW, NOW + 2 * DAY_MS, NOW + 12 * DAY_MS):
            now = Instant(at, Trust.SYNCED)
            view = roll.survey(shelf.catalogue, shelf.vaults, now, {})
            roll.condemn(shelf.catalogue, roll.plan(shelf.catalogue, view), now)
            erased.append(roll.finish(shelf.catalogue, shelf.vaults, now, lambda: False)[0].files)
            daily.confirm(
                shelf.catalogue, now, cycle_s=10, responsible="operator", oldest_ms=None, overdue_ms=0
            )
            daily.prune(shelf.catalogue, now.utc_ms)

    assert walks(shelf, work) == []
    assert sum(erased) == 10


def test_holds_in_their_steady_state(shelf) -> None:
    shelf.hold(next(iter(shelf.catalogue.segments("cam1"))))

    def work() -> None:
        holds.active(shelf.catalogue)
        holds.tend(shelf.catalogue, shelf.vaults, shelf.state, AT)

    assert walks(shelf, work) == []


def test_a_checkpoint(shelf) -> None:
    key = signing.load_or_create(shelf.state, "box-1", Disk())

    def work() -> None:
        for number in range(3):
            shelf.add(10 + number)
            checkpoints.advance(
                shelf.catalogue,
                key,
                [shelf.vault],
                shelf.state,
                Instant(NOW + number, Trust.SYNCED),
                force=True,
            )

    assert walks(shelf, work) == []


def test_the_planner_needs_no_statistics(shelf) -> None:
    """The plans above are those of a box: nobody runs ANALYZE there."""
    with pytest.raises(sqlite3.OperationalError):
        shelf.catalogue._db.execute("SELECT * FROM sqlite_stat1")
