"""What lies in a hold's directory is held, whatever the catalogue says of it."""

from __future__ import annotations

import os

import pytest

from agent.model import Span, Trust
from agent.storage.catalogue import FILE, mark_damaged
from agent.storage.keep.time import confirm, mark_boot
from agent.storage.sealed import header_bytes
from tests.unit.keep.keeping import MONTH_MS, Kept30
from tests.unit.keep.kept import DAY_MS, order
from tests.unit.storage.box import T0, pattern, start

OUT_OF_SPAN = (
    "UPDATE segment SET relabelled_from_ms = start_ms, start_ms = start_ms + 7200000, end_ms = end_ms + 7200000,"
    " kept_from_ms = start_ms + 7200000, trust = 'HOLDOVER' WHERE id = 1"
)


@pytest.fixture
def box(tmp_path):
    box = Kept30(tmp_path)
    yield box
    box.keeper.close()


def lose(box: Kept30) -> None:
    """Have the catalogue moved aside; its rows can still be read."""
    box.keeper.close()
    mark_damaged(box.state / FILE, (box.state / FILE).stat().st_ino)
    assert box.prepare().began == "damaged"
    box.keeper = box.start()


def forget(box: Kept30) -> None:
    """Lose the catalogue with all that it told."""
    box.keeper.close()
    for ending in ("", "-wal", "-shm"):
        (box.state / (FILE + ending)).unlink(missing_ok=True)
    assert box.prepare().began == "missing"
    box.keeper = box.start()


def record_in_doubt(box: Kept30) -> int:
    """Start again with a clock that nobody vouches for, two days behind, and record; return the first label."""
    box.turn()
    box.source.reboot(utc_ms=T0 + DAY_MS, synced=False)
    box.clock.utc_ms = label = box.source.utc
    box.keeper.close()
    box.keeper = box.start()
    box.turn()
    with box.catalogue() as catalogue:
        mark_boot(catalogue, source=box.source)
    label = box.source.utc
    desk = box.desk()
    for number in range(2):
        begin = label + number * 1000
        desk.begin(start("cam1", begin, trust=Trust.UNTRUSTED))
        desk.write("cam1", pattern(30_000, number), begin + 1000, 25)
        desk.end("cam1", begin + 1000)
    desk.stop()
    desk.close()
    return label


def test_what_was_relabelled_out_of_its_hold_is_held_when_the_catalogue_was_lost(box) -> None:
    """I4, B11: the hold was placed by the labels of then; its links say what it holds."""
    label = record_in_doubt(box)
    span = Span(label, label + 1000)
    box.place(order(span=span, review_ms=label + 60 * DAY_MS), trust=Trust.UNTRUSTED)
    box.turn()
    box.source.step(2 * DAY_MS)
    box.source.synced = True
    box.source.run(1000)
    box.clock.utc_ms = box.source.utc
    confirm(box.state, "kim", box.keeper._clock._look())
    box.turn(3)
    before = box.linked_rows()
    assert len(before) == 1
    lose(box)
    box.turn(3)
    assert box.linked_rows() == before
    for _ in range(3):
        box.pass_time(MONTH_MS)
        box.turn()
    assert sorted(box.states().values()) == ["COMMITTED", "GONE"]
    assert len(box.names("segments")) == 1
    assert len(box.erased()) == 1
    assert box.erased()[0]["shredded"]


def test_what_an_earlier_boot_recorded_is_taken_for_younger_than_it_is_and_never_for_older(box) -> None:
    """B11, C1: two boots began at the same wrong time, and rows made anew do not say of which of them they are."""
    label = record_in_doubt(box)
    true_ms = label + 2 * DAY_MS
    box.keeper.close()
    box.source.reboot(utc_ms=label - 5000, synced=False)
    box.clock.utc_ms = box.source.utc
    box.keeper = box.start()
    lose(box)
    with box.catalogue() as catalogue:
        mark_boot(catalogue, source=box.source)
    box.turn(3)
    box.source.step(3 * DAY_MS)
    box.source.synced = True
    box.source.run(1000)
    box.clock.utc_ms = box.source.utc
    confirm(box.state, "kim", box.keeper._clock._look())
    box.turn(3)
    with box.catalogue() as catalogue:
        rows = catalogue.read("SELECT kept_from_ms, relabelled_from_ms FROM segment")
    assert [relabelled is not None for _, relabelled in rows] == [True, True]  # into this boot
    assert min(kept for kept, _ in rows) > true_ms + 1000


def test_nothing_is_erased_in_the_turn_in_which_its_rows_come_back(box) -> None:
    """I4: what is long due is not condemned before holds were looked at again."""
    box.record(count=3)
    box.turn(2)
    box.place(order(span=Span(T0, T0 + 1000)))
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute(OUT_OF_SPAN))
    box.turn()
    assert len(box.linked_rows()) == 1
    box.pass_time(2 * MONTH_MS)
    box.keeper.close()
    mark_damaged(box.state / FILE, (box.state / FILE).stat().st_ino)
    box.prepare()
    box.steps.clear()
    box.keeper = box.start()
    box.turn(5)
    assert "E6" in box.steps
    assert "T4" in box.steps[box.steps.index("R6") : box.steps.index("E3")]
    assert sorted(box.states().values()) == ["COMMITTED", "GONE", "GONE"]
    assert all(body["shredded"] for body in box.erased())


def test_erasing_finds_a_link_of_which_no_row_tells(box) -> None:
    """I4: the disk is asked, too, before the name of a held segment goes; the next look gives the link its row."""
    box.record(count=2)
    box.place(order(span=Span(T0, T0 + 1000)))
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("DELETE FROM hold_segment"))
        catalogue.write(lambda db: db.execute(OUT_OF_SPAN))
    assert len(box.condemn()) == 2
    report = box.finish()
    assert (report.erased, report.waiting) == (1, 1)
    assert box.reconcile().linked == 1
    assert box.finish().spared == 1
    assert sorted(box.states().values()) == ["COMMITTED", "GONE"]


def test_a_link_of_another_file_of_that_name_holds_nothing(box) -> None:
    """I4: rows are for what is held, and not for what bears the name of it."""
    box.record(count=2)
    box.place(order(span=Span(T0, T0 + 1000)))
    (link,) = box.links()
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("DELETE FROM hold_segment"))
        catalogue.write(lambda db: db.execute(OUT_OF_SPAN))
    place = box.vault_path / link
    other = place.with_name("other")
    other.write_bytes(place.read_bytes())
    os.replace(other, place)
    box.reconcile()
    assert box.linked_rows() == []


def test_a_disk_that_does_not_tell_its_holds_has_nothing_erased_that_has_two_names(box) -> None:
    """I4, B7: what cannot be known is no leave to erase."""
    box.record(count=2)
    box.place(order(span=Span(T0, T0 + 1000)))
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("DELETE FROM hold_segment"))
        catalogue.write(lambda db: db.execute(OUT_OF_SPAN))
        box.condemn()
    (link,) = box.links()
    day = (box.vault_path / link).parent
    camera = day.parent
    camera.rename(camera.with_name("aside"))
    camera.symlink_to(camera)  # ELOOP for whoever looks into it
    report = box.finish()
    assert [fault.context["errno"] for fault in report.faults] == ["ELOOP"]
    assert sorted(box.states().values()) == ["CONDEMNED", "GONE"]


@pytest.mark.parametrize("salvaged", [False, True])
def test_a_held_file_whose_header_is_damaged_stays_and_has_one_row(box, salvaged) -> None:
    """I4, B10, B11: nobody moves it to quarantine, from where its hold would bring it back each day."""
    if salvaged:
        box.record_salvaged()
    else:
        box.record(count=1)
    box.turn(2)
    box.place(order(span=Span(T0, T0 + 1000)))
    (path,) = [each for each in box.names("segments") if each.endswith(".age")]
    with (box.vault_path / path).open("r+b") as file:
        file.write(b"XXXXXXXXXXX")
    forget(box)
    for _ in range(3):
        box.turn(30)
        box.pass_time(DAY_MS)
    assert list(box.states()) == [path]
    assert box.names("quarantine") == []
    assert not [kind for kind, _ in box.facts() if kind == "segment.quarantined"]
    assert box.linked_rows() == [path.replace("segments", "holds/h1", 1)]
    assert any(code.startswith("segment.damaged") for code in box.conditions)


@pytest.mark.parametrize("how", ["damaged", "cut"])
def test_a_start_leaves_a_held_file_where_it_is(box, how) -> None:
    """I4, A1: its row is lost, and it is not what was written."""
    box.record(count=1)
    box.place(order(span=Span(T0, T0 + 1000)))
    (path,) = box.names("segments")
    with (box.vault_path / path).open("r+b") as file:
        if how == "damaged":
            file.write(b"XXXXXXXXXXX")
        else:
            file.truncate(header_bytes(box.vault_path / path))
    with box.catalogue() as catalogue:
        for table in ("hold_segment", "segment"):
            catalogue.write(lambda db, table=table: db.execute(f"DELETE FROM {table}"))
    report = box.prepare()
    assert (report.adopted, report.salvaged, report.quarantined, report.faults) == (1, 0, 0, [])
    assert box.names("segments") == [path]
    assert list(box.states()) == [path]


def test_a_held_file_that_was_cut_keeps_its_name_when_rows_come_back(box) -> None:
    """I4, B11: renamed, its hold would give it a second name."""
    box.record(count=1)
    box.place(order(span=Span(T0, T0 + 1000)))
    (path,) = box.names("segments")
    with (box.vault_path / path).open("r+b") as file:
        file.truncate(header_bytes(box.vault_path / path))
    forget(box)
    box.turn(5)
    assert box.names("segments") == [path]
    assert box.states() == {path: "COMMITTED"}
