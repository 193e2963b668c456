"""Condemned rows whose place is taken by something else, or that cannot be erased. Rows: B10, B14, B19."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.storage.keep import retention, rollover, survey
from tests.unit.keep.keeping import MONTH_MS, Kept30
from tests.unit.keep.kept import DAY_MS
from tests.unit.storage.box import T0


@pytest.fixture
def box(tmp_path):
    made = Kept30(tmp_path / "box")
    yield made
    made.keeper.close()


def test_b19_what_cannot_be_erased_is_no_backlog_for_the_others(box, monkeypatch):
    """B19: neither does what is expired wait for it, nor count its bytes as room that comes."""
    monkeypatch.setattr(rollover, "BACKLOG_FILES", 3)
    box.record(count=3, size=3_000_000)
    size = box.rows()[0].sealed_bytes
    assert len(box.condemn()) == 3
    box.record("cam2", size=3_000_000)
    box.record("cam2", at_ms=T0 + DAY_MS, count=4, size=3_000_000)
    for path in [*box.states()][:3]:
        (box.vault_path / path).unlink()
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE segment SET path = 'odd/' || id WHERE id < 4"))
    box.pass_time(MONTH_MS)
    box.turn(2)
    assert [body["cause"] for body in box.erased()] == ["EXPIRED"]
    marks = retention.byte_marks(1 << 30, 0)
    monkeypatch.setattr(retention, "byte_marks", lambda *_: replace(marks, low=marks.high))
    room = retention.Room(1 << 30, marks.high - size, 1_000_000, 900_000)
    monkeypatch.setattr(survey, "room", lambda *_: room)
    box.pass_time(60_000)  # what was erased shows by now
    box.turn()
    assert [body["cause"] for body in box.erased()] == ["EXPIRED", "EVICTED"]
    assert len(box.keeper._rollover.refused) == 3
