"""Condemned rows whose place is taken by something else, or that cannot be erased. Rows: B10, B14, B19."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from agent.model import Span
from agent.storage.keep import retention, rollover, survey
from tests.unit.keep.keeping import MONTH_MS, Kept30
from tests.unit.keep.kept import DAY_MS, order
from tests.unit.storage.box import T0, FailingDisk


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


@pytest.mark.parametrize("size", [100, 30_000])
def test_b10_a_damaged_first_line_makes_no_segment_immortal(box, size):
    """B10: of the stored size it is ours; all that can be its header is overwritten before it goes."""
    box.record(count=2, size=size)
    path = next(iter(box.states()))
    file = box.vault_path / path
    file.write_bytes(b"xxx" + file.read_bytes()[3:])
    seen = []

    def step(name):
        if name == "E3b":
            seen.append(file.read_bytes())

    box.keeper.close()
    box.keeper = box.start(step=step)
    box.turn()
    box.pass_time(MONTH_MS + 60_000)
    box.turn()
    assert not any(seen[0][:65_536])
    assert [*box.states().values()] == ["GONE"] * 2
    assert [body["shredded"] for body in box.erased()] == [True] * 2
    assert box.names() == []
    assert "erase.refused" not in box.conditions


def test_b10_a_hold_has_its_segment_back_though_its_first_line_is_damaged(box):
    """B10: what a hold covers is never overwritten because of a damage that a hand could mend."""
    box.record()
    path = next(iter(box.states()))
    file = box.vault_path / path
    file.write_bytes(b"xxx" + file.read_bytes()[3:])
    before = file.read_bytes()
    box.condemn()
    placed = box.place(order(span=Span(T0, T0 + 1000)))
    assert [row.path for row in placed.spared] == [path]
    box.pass_time(MONTH_MS)
    box.turn(2)
    assert box.states() == {path: "COMMITTED"}
    assert file.read_bytes() == before


@pytest.mark.parametrize("more", [b"", b"x"])
def test_b14_what_lies_in_a_held_segments_place_stays_with_its_row(box, more):
    """B14: nothing is overwritten or buried that a hold covers, unless it was begun before."""
    box.record()
    path = next(iter(box.states()))
    file = box.vault_path / path
    content = b"x" * file.stat().st_size + more
    file.write_bytes(content)
    box.condemn()
    box.place(order(span=Span(T0, T0 + 1000)))
    report = box.finish()
    assert report.refused == [(path, "another file")]
    assert file.read_bytes() == content
    assert box.states() == {path: "CONDEMNED"}


def test_b14_a_file_of_the_stored_size_on_another_disk_is_not_overwritten(box):
    """B14: what is mounted over a day is somebody else's, and the row waits."""
    box.record()
    path = next(iter(box.states()))
    file = box.vault_path / path
    file.write_bytes(b"x" * file.stat().st_size)
    day = file.parent.stat().st_ino

    class Other(FailingDisk):
        def status(self, fd, path):
            found = super().status(fd, path)
            if found.st_ino == day:
                found = os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))
            return found

    object.__setattr__(box.vault, "disk", Other())
    box.condemn()
    report = box.finish()
    assert report.refused == [(path, "its directory is on another disk")]
    assert set(file.read_bytes()) == {ord("x")}
    assert box.states() == {path: "CONDEMNED"}


def test_b14_what_lies_in_a_tails_place_stays_and_its_segment_goes(box):
    box.record()
    path = next(iter(box.states()))
    tail = box.vault_path / (path + ".tail")
    os.mkfifo(tail)
    box.condemn()
    report = box.finish()
    assert report.refused == [(path + ".tail", "not a regular file")]
    assert box.states() == {path: "GONE"}
    assert [(body["shredded"], "replaced" in body) for body in box.erased()] == [(True, False)]
    assert box.names() == [path + ".tail"]
