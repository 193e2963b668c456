"""B18: placing and releasing holds reads what they need of the catalogue, however many rows there are."""

from __future__ import annotations

from agent.storage.keep import holds
from tests.unit.keep.kept import order
from tests.unit.keep.shelf import AT, T0, Shelf
from tests.unit.keep.test_check_plans import shelf, walks  # noqa: F401 - a fixture


def plans(shelf: Shelf, work) -> dict[str, list[str]]:  # noqa: F811
    """Do some work; return how each statement on segments is carried out, with the values it had."""
    said: dict[str, None] = {}
    db = shelf.catalogue._db
    db.set_trace_callback(said.setdefault)
    try:
        work()
    finally:
        db.set_trace_callback(None)
    found = {}
    for statement in said:
        if "segment" in statement and statement.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT"):
            found[statement] = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement)]
    return found


def test_under_the_lock_a_hold_looks_at_condemned_segments_alone(shelf) -> None:  # noqa: F811
    """I2: a hold over years; erasing and recorders wait meanwhile."""
    wide = order("wide", cameras=("*",), span=type(order().span)(0, T0 * 2))
    under_lock: list[str] = []

    def step(name: str) -> None:
        if name == "H3":
            shelf.catalogue._db.set_trace_callback(None)

    def work() -> None:
        holds.place(shelf.catalogue, shelf.vaults, shelf.state, wide, AT, step=step)

    for statement, how in plans(shelf, work).items():
        if "FROM segment" in statement:
            under_lock.append(statement)
            assert all("idx_segment_condemned" in line for line in how), (statement, how)
    assert len(under_lock) == 1  # asked twice, with the same words


def test_placing_and_releasing_walk_no_table(shelf) -> None:  # noqa: F811
    def work() -> None:
        holds.place(shelf.catalogue, shelf.vaults, shelf.state, order(), AT)
        holds.release(shelf.catalogue, shelf.vaults, shelf.state, "h1", AT, reason="closed")

    assert walks(shelf, work) == []
