"""Placing, releasing and tending holds, with a real catalogue and a real vault."""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

from agent.errors import StorageFault
from agent.model import Instant, Span, Trust
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.keep import erase, hold_rows, holds, linking, stored
from agent.storage.keep.hold import HoldRefused
from agent.storage.vault import Vault
from tests.unit.keep.kept import DAY_MS, UUID, Kept, order
from tests.unit.storage.box import T0, FailingDisk


@pytest.fixture
def box(tmp_path) -> Kept:
    return Kept(tmp_path / "box")


def hold_file(box: Kept, hold_id: str = "h1"):
    return box.vault_path / "holds" / hold_id / "HOLD"


def test_a_hold_links_its_segments_and_says_what_it_has(box) -> None:
    box.record(count=3)
    box.record(at_ms=T0 + 5000)
    box.record("cam2")
    box.clock.utc_ms = T0 + 8000
    placed = box.place(order(span=Span(T0 + 1500, T0 + 7000)))
    rows = [row for row in box.rows() if row.camera == "cam1"][1:]
    assert (placed.segments, placed.sealed_bytes) == (3, sum(row.sealed_bytes for row in rows))
    assert (placed.late, placed.spared, placed.unfinished, placed.faults) == ([], [], set(), [])
    assert placed.holes == [("cam1", Span(T0 + 3000, T0 + 5000)), ("cam1", Span(T0 + 6000, T0 + 7000))]
    assert placed.future is None
    expected = sorted(row.path.replace("segments", "holds/h1") for row in rows)
    assert box.links() == box.linked_rows() == expected
    for row in rows:
        assert os.path.samefile(box.file(row), box.vault_path / row.path.replace("segments", "holds/h1"))
    (fact,) = [body for kind, body in box.facts() if kind == "hold.placed"]
    assert fact == {
        "hold": "h1",
        "cameras": ["cam1"],
        "from_ms": T0 + 1500,
        "to_ms": T0 + 7000,
        "ground": "investigation",
        "grounds": 1,
        "authority": "강릉경찰서 2026-1234",
        "review_ms": T0 + 30 * DAY_MS,
        "placed_by": "officer",
        "spared": 0,
        "late": 0,
    }
    assert hold_file(box).read_bytes().count(b"\n") == 1
    with box.catalogue() as catalogue:
        assert [each.id for each in holds.active(catalogue)] == ["h1"]


def test_held_segments_outlive_their_time_and_the_others_do_not(box) -> None:
    """Regulation art. 29, 31."""
    box.record(count=4)
    box.place(order(span=Span(T0 + 1000, T0 + 2000)))
    box.clock.utc_ms += 60 * DAY_MS
    assert box.condemn() == [1, 3, 4]
    assert box.finish().erased == 3
    assert list(box.states().values()) == ["GONE", "COMMITTED", "GONE", "GONE"]
    box.check()


def test_what_is_recorded_later_is_linked_as_it_comes(box) -> None:
    box.record()
    placed = box.place(order(span=Span(T0, T0 + 10_000)))
    assert placed.future == Span(T0, T0 + 10_000)
    assert box.tend().linked == 0
    box.record(at_ms=T0 + 4000)
    box.record("cam2", at_ms=T0 + 4000)
    box.record_salvaged(at_ms=T0 + 6000)
    box.record(at_ms=T0 + 10_000)
    tended = box.tend()
    assert (tended.linked, tended.incomplete, tended.faults) == (2, set(), [])
    assert len(box.links()) == 4  # the salvaged one has a tail
    assert any(name.endswith(".salvaged.mp4.age.tail") for name in box.links())
    assert box.tend().linked == 0


def test_a_release_lets_the_segments_expire_with_their_headers_overwritten(box) -> None:
    box.record(count=2)
    box.place(order())
    box.clock.utc_ms += 40 * DAY_MS
    assert box.condemn() == []
    released = box.release()
    assert (released.segments, released.unfinished, released.faults) == (2, set(), [])
    assert box.names("holds") == []
    assert list((box.vault_path / "holds").iterdir()) == []
    assert box.linked_rows() == []
    (fact,) = [body for kind, body in box.facts() if kind == "hold.released"]
    assert (fact["hold"], fact["reason"], fact["segments"]) == ("h1", "case closed", 2)
    assert box.condemn() == [1, 2]
    assert box.finish().erased == 2
    assert [body["shredded"] for body in box.erased()] == [True, True]


def test_a_segment_under_two_holds_stays_until_both_are_released(box) -> None:
    box.record()
    box.place(order("a"))
    box.place(order("b"))
    box.release("a")
    assert box.condemn() == []
    assert len(box.links()) == 1
    box.release("b")
    assert box.condemn() == [1]


def test_a_hold_wins_where_the_header_still_exists_and_tells_what_came_too_late(box) -> None:
    """I2."""
    box.record(count=3)
    box.record_salvaged(at_ms=T0 + 10_000)
    assert len(box.condemn()) == 4
    assert box.finish(limit=1).erased == 1
    place = box.vault_path / list(box.states())[1]
    with place.open("r+b") as file:
        file.write(bytes(300))
    placed = box.place(order())
    assert [row.start_ms for row in placed.spared] == [T0 + 2000, T0 + 10_000]
    assert [(row.start_ms, row.gone_ms) for row in placed.late] == [(T0 + 1000, None), (T0, T0)]
    assert placed.segments == 2
    assert list(box.states().values()) == ["GONE", "CONDEMNED", "COMMITTED", "SALVAGED"]
    (fact,) = [body for kind, body in box.facts() if kind == "hold.placed"]
    assert (fact["spared"], fact["late"]) == (2, 1)
    report = box.finish()
    assert (report.erased, report.spared) == (1, 0)
    box.check()


def test_a_hold_can_be_placed_by_an_untrusted_clock(box) -> None:
    box.record()
    box.clock.utc_ms = 0
    placed = box.place(order(), trust=Trust.UNTRUSTED)
    assert placed.segments == 1
    tended = box.tend(trust=Trust.UNTRUSTED)
    assert [each.id for each in tended.due] == ["h1"]  # further off than any review may be
    assert "hold.review_due" not in box.kinds()


def test_the_same_order_given_again_is_one_hold(box) -> None:
    box.record()
    box.place(order())
    before = hold_file(box).read_bytes()
    box.clock.utc_ms += 5000
    assert box.place(order()).segments == 1
    assert hold_file(box).read_bytes() == before
    assert box.kinds().count("hold.placed") == 1
    with pytest.raises(HoldRefused) as caught:
        box.place(order(authority="somebody else"))
    assert caught.value.code == "HOLD_EXISTS"
    box.release()
    with pytest.raises(HoldRefused):
        box.place(order())


def test_a_release_of_what_is_not_held_is_refused(box) -> None:
    box.place(order("other"))
    with pytest.raises(HoldRefused) as caught:
        box.release("h1")
    assert caught.value.code == "HOLD_UNKNOWN"
    assert "other" in caught.value.hint
    box.release("other")
    with pytest.raises(HoldRefused) as caught:
        box.release("other")
    assert caught.value.code == "HOLD_RELEASED"
    assert box.kinds().count("hold.released") == 1


def test_a_review_that_is_due_is_said_once_a_day_and_nothing_is_released(box) -> None:
    """I3: no silent expiry, no silent eternity."""
    box.record()
    box.place(order(review_ms=T0 + 10 * DAY_MS))
    said = []
    for hours in range(0, 24 * 14, 6):
        box.clock.utc_ms = T0 + hours * 3_600_000
        tended = box.tend()
        days = hours / 24
        assert bool(tended.soon) == (3 <= days < 10)
        assert bool(tended.due) == (days >= 10)
        said.append(box.kinds().count("hold.review_due"))
    assert said[-1] == 5  # T0 is at 08:00, so four whole days touch five dates
    assert box.kinds().count("hold.released") == 0
    box.clock.utc_ms = T0 + 400 * DAY_MS
    assert box.condemn() == []
    box.release()
    box.clock.utc_ms += DAY_MS
    assert box.tend().due == []


def test_holds_come_back_when_the_catalogue_is_lost(box) -> None:
    """B11, I4 of the invariants: from the vault alone."""
    box.record(count=3)
    box.place(order("a", span=Span(T0, T0 + 1000)))
    box.place(order("b", cameras=("*",), span=Span(T0 + 2000, T0 + 3000)))
    box.place(order("c"))
    box.release("c")
    with box.catalogue() as catalogue:
        before = holds.active(catalogue)
    for name in box.state.glob(FILE + "*"):
        name.unlink()
    Catalogue.prepare(box.state).close()
    with box.catalogue() as catalogue:
        catalogue.add_vault(UUID, str(box.vault_path), T0)
    tended = box.reconcile()
    assert tended.restored == ["a", "b"]
    with box.catalogue() as catalogue:
        assert holds.active(catalogue) == before
    assert [body["hold"] for kind, body in box.facts() if kind == "hold.restored"] == ["a", "b"]
    box.salvage()  # what rebuilds rows from files
    box.tend()
    box.reconcile()
    assert len(box.linked_rows()) == len(box.links()) == 2
    with box.catalogue() as catalogue:  # a salvaged row's time is not settled; settle it as `pasu keep` will
        catalogue.write(lambda db: db.execute("UPDATE segment SET kept_from_ms = start_ms"))
    assert len(box.condemn()) == 1


def test_a_released_hold_without_a_row_is_finished_and_remembered(box) -> None:
    box.record()
    box.place(order())

    class Dead(Exception):
        pass

    def die(name: str) -> None:
        if name == "R2":
            raise Dead

    with pytest.raises(Dead):
        box.release(step=die)
    with box.catalogue() as catalogue:
        for table in ("hold_segment", "hold_camera", "hold"):
            catalogue.write(lambda db, table=table: db.execute(f"DELETE FROM {table}"))
    assert box.reconcile().restored == ["h1"]
    assert box.names("holds") == []
    with box.catalogue() as catalogue:
        assert holds.active(catalogue) == []
        (known,) = holds.all_holds(catalogue)
    assert known.release_reason == "case closed"
    assert len(box.names()) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"garbage", None])
def test_a_hold_file_that_cannot_be_read_stops_erasing_until_it_is_placed_again(box, content) -> None:
    box.record(count=2)
    box.place(order(span=Span(T0, T0 + 1000)))
    with box.catalogue() as catalogue:
        for table in ("hold_segment", "hold_camera", "hold"):
            catalogue.write(lambda db, table=table: db.execute(f"DELETE FROM {table}"))
    shutil.rmtree(box.state / "holds")
    if content is None:
        hold_file(box).unlink()
    else:
        hold_file(box).write_bytes(content)
    tended = box.reconcile()
    assert tended.unreadable == [(UUID, "h1")]
    assert len(box.links()) == 1
    box.condemn()
    report = box.finish()
    assert (report.erased, report.blocked) == (0, [(UUID, "h1")])
    box.place(order(span=Span(T0, T0 + 1000)))
    assert box.tend().unreadable == []
    report = box.finish()
    assert (report.erased, report.spared) == (1, 0)
    assert list(box.states().values()) == ["COMMITTED", "GONE"]


def test_a_hold_file_that_was_changed_or_lost_is_written_again_from_the_row(box) -> None:
    box.record()
    box.place(order())
    whole = hold_file(box).read_bytes()
    hold_file(box).write_bytes(whole.replace(b"cam1", b"cam2"))
    box.tend()
    assert hold_file(box).read_bytes() == whole
    shutil.rmtree(box.vault_path / "holds/h1")
    assert box.tend().incomplete == set()
    assert hold_file(box).read_bytes() == whole
    assert box.links() == []
    assert box.reconcile().linked == 0  # the row is there; the link is made again
    assert len(box.links()) == 1


def test_a_held_original_that_vanished_gets_its_name_back(box) -> None:
    box.record()
    box.record_salvaged(at_ms=T0 + 5000)
    box.place(order())
    before = box.names()
    shutil.rmtree(box.vault_path / "segments/cam1")
    assert box.tend().returned == 0
    assert box.reconcile().returned == 2
    assert box.names() == before
    box.check()


def test_releasing_destroys_nothing_that_has_no_other_name(box) -> None:
    """Footage goes by erasing alone: with its header overwritten and a tombstone."""
    box.record_salvaged()
    box.place(order())
    before = box.names()
    shutil.rmtree(box.vault_path / "segments/cam1")
    box.release()
    assert box.names() == before
    assert box.names("holds") == []


def test_a_link_whose_name_belongs_to_another_file_is_kept_and_told(box) -> None:
    box.record()
    box.place(order())
    (path,) = box.states()
    (box.vault_path / path).unlink()
    (box.vault_path / path).write_bytes(b"another")
    released = box.release()
    assert [fault.code for fault in released.faults] == ["NAME_TAKEN"]
    assert len(box.links()) == 1
    assert (box.vault_path / path).read_bytes() == b"another"
    assert box.tend().incomplete == {"h1"}
    (box.vault_path / path).unlink()
    assert box.tend().incomplete == set()
    assert box.names("holds") == []
    assert box.opens(path)


def test_what_is_not_ours_in_holds_is_left_alone(box) -> None:
    """B14."""
    box.record()
    box.place(order())
    root = box.vault_path / "holds"
    (root / "notes.txt").write_text("mine")
    (root / ".hidden").mkdir()
    (root / "h1" / "notes.txt").write_text("mine")
    theirs = box.root / "theirs"
    theirs.mkdir()
    (theirs / "20270115T080000.000Z.mp4.age").write_text("theirs")
    (root / "h1" / "cam2").symlink_to(theirs)
    (root / "linked").symlink_to(theirs)
    assert box.tend().unreadable == []
    released = box.release()
    assert [fault.code for fault in released.faults] == ["DISK_FAILED"]
    assert (root / "h1" / "notes.txt").read_text() == "mine"
    assert os.listdir(theirs) == ["20270115T080000.000Z.mp4.age"]
    assert not any(name.endswith(".age") for name in box.links() if "theirs" not in name and "cam1" in name)
    assert len(box.names()) == 1


def test_a_foreign_folder_among_the_holds_stops_no_erasing_and_is_told(box) -> None:
    """B14: somebody's backup; one with a link of a segment in it is a hold, whatever became of its file."""
    box.record(count=2)
    root = box.vault_path / "holds"
    (root / "backup/cam1/2027-01-15").mkdir(parents=True)
    (root / "backup/notes.txt").write_text("mine")
    (root / "backup/cam1/2027-01-15/picture.jpg").write_text("mine")
    tended = box.tend()
    assert (tended.foreign, tended.unreadable) == ([(UUID, "backup")], [])
    path = next(iter(box.states()))
    link = root / "backup" / path.removeprefix("segments/")
    link.parent.mkdir(parents=True, exist_ok=True)
    os.link(box.vault_path / path, link)
    tended = box.tend()
    assert (tended.foreign, tended.unreadable) == ([], [(UUID, "backup")])
    box.condemn()
    assert box.finish().blocked == [(UUID, "backup")]
    link.unlink()
    assert box.finish().erased == 2
    assert (root / "backup/notes.txt").read_text() == "mine"
    assert (root / "backup/cam1/2027-01-15/picture.jpg").read_text() == "mine"


def test_an_empty_directory_of_a_placing_that_was_cut_off_is_removed(box) -> None:
    (box.vault_path / "holds/h1").mkdir()
    (box.vault_path / "holds/h1/HOLD.tmp").write_bytes(b"half")
    assert box.tend().unreadable == []
    assert box.names("holds") == []


def test_a_missing_disk_is_made_up_for_when_it_comes_back(box) -> None:
    box.record()
    away = box.vault
    with box.catalogue() as catalogue:
        placed = holds.place(catalogue, {}, box.state, order(), box.at())
    assert (placed.segments, placed.unfinished) == (0, {UUID})
    assert box.condemn() == []
    with box.catalogue() as catalogue:
        tended = holds.tend(catalogue, {}, box.state, box.at())
    assert tended.incomplete == {"h1"}
    tended = box.tend()
    assert (tended.linked, tended.incomplete) == (1, set())
    assert Vault.open(away.root, UUID) == away


def test_a_condemned_segment_on_a_missing_disk_is_spared_when_it_comes_back(box) -> None:
    """I2: nobody could look whether its header was whole."""
    box.record()
    box.condemn()
    with box.catalogue() as catalogue:
        placed = holds.place(catalogue, {}, box.state, order(), box.at())
    assert [row.start_ms for row in placed.undecided] == [T0]
    assert (placed.late, placed.holes) == ([], [])
    box.tend()
    report = box.finish()
    assert (report.spared, report.erased) == (1, 0)
    assert box.reconcile().linked == 1


def test_segments_wait_while_a_released_hold_is_not_cleared_away(box) -> None:
    """Else they would be unlinked with their headers whole."""
    box.record()
    box.place(order())

    class Dead(Exception):
        pass

    def die(name: str) -> None:
        if name == "R1":
            raise Dead

    with pytest.raises(Dead):
        box.release(step=die)
    assert box.condemn() == [1]
    report = box.finish()
    assert (report.erased, report.waiting) == (0, 1)
    box.tend()
    report = box.finish()
    assert (report.erased, report.unshredded) == (1, 0)


def test_a_full_disk_does_not_keep_a_hold_from_holding(box) -> None:
    """B3: on a full disk nothing of it fits, and nothing it covers goes."""
    import errno

    box.record(count=2)
    disk = FailingDisk(
        lambda number, op, _: errno.ENOSPC if op in ("create", "mkdir", "link", "write") else None
    )
    object.__setattr__(box.vault, "disk", disk)
    placed = box.place(order())
    assert placed.unfinished == {UUID}
    assert {fault.code for fault in placed.faults} == {"DISK_FULL"}
    assert box.condemn() == []
    assert box.tend().incomplete == {"h1"}
    disk.plan = lambda *_: None
    assert box.tend().linked == 2


def test_a_catalogue_that_cannot_take_a_hold_says_so_and_it_holds(box) -> None:
    box.record()
    box.condemn()
    lock = sqlite3.connect(box.state / FILE, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    catalogue = Catalogue.open(box.state, busy_s=0.05)
    with pytest.raises(StorageFault) as caught:
        holds.place(catalogue, box.vaults, box.state, order(), box.at())
    assert caught.value.code == "HOLD_UNFINISHED"
    assert "--id h1" in caught.value.hint
    lock.execute("ROLLBACK")
    assert box.finish().erased == 0
    assert box.place(order()).segments == 1
    assert box.kinds().count("hold.placed") == 1
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFault) as caught:
        holds.place(catalogue, {}, box.state, order("h2"), box.at())
    assert caught.value.code == "CATALOGUE_BUSY"  # nothing of it is anywhere
    lock.close()
    catalogue.close()


def test_ids_that_begin_anew_are_looked_at_from_the_beginning(box) -> None:
    box.record(count=3)
    box.place(order(span=Span(T0 + 20_000, T0 + 30_000)))
    box.condemn()
    box.finish()
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("DELETE FROM segment WHERE state = 'GONE'"))
    box.tend()
    box.record(at_ms=T0 + 20_000)
    assert box.tend().linked == 1


def test_what_is_condemned_while_a_hold_is_placed_is_spared_and_linked(box) -> None:
    """I2: condemning does not wait for the lock; erasing does."""
    box.record(count=3)
    placed = box.place(order(), step=lambda name: box.condemn([2]) if name == "H2" else None)
    assert [row.start_ms for row in placed.spared] == [T0 + 1000]
    assert (placed.segments, placed.late) == (3, [])
    (fact,) = [body for kind, body in box.facts() if kind == "hold.placed"]
    assert (fact["spared"], fact["late"]) == (1, 0)
    assert set(box.states().values()) == {"COMMITTED"}


def test_what_is_spared_later_is_linked_then(box) -> None:
    box.record(count=3)
    box.place(order())
    with box.catalogue() as catalogue:  # as a catalogue would be that came back without the hold for a while
        catalogue.write(lambda db: db.execute("DELETE FROM hold_segment"))
        catalogue.write(lambda db: db.execute("UPDATE segment SET state = 'CONDEMNED' WHERE id = 2"))
    assert box.finish().spared == 1
    assert box.tend().linked == 3


def test_a_long_span_is_gone_through_page_by_page(box, monkeypatch) -> None:
    monkeypatch.setattr(stored, "_PAGE_ROWS", 4)
    box.record(count=23)
    box.record("cam2", count=3)
    with box.catalogue() as catalogue:
        catalogue.write(
            lambda db: db.execute("UPDATE segment SET start_ms = ? WHERE id IN (7, 8, 9)", (T0 + 6000,))
        )
        catalogue.write(lambda db: db.execute("UPDATE segment SET start_ms = 'soon' WHERE id = 12"))
        catalogue.write(
            lambda db: db.execute("UPDATE segment SET start_ms = start_ms - 700000 WHERE id = 20")
        )
        found = [
            row.id
            for row in stored.covered(
                catalogue, order(cameras=("*",), span=Span(T0 + 1500, T0 + 30_000)), "1"
            )
        ]
    assert sorted(found) == [*range(2, 12), *range(13, 24), 25, 26]
    assert len(set(found)) == len(found)


def test_without_a_lock_nothing_is_done_and_the_disk_is_named(box, tmp_path) -> None:
    box.record()
    box.condemn()
    (box.state / "fate.lock").unlink(missing_ok=True)
    (box.state / "fate.lock").mkdir()
    for work in (lambda: box.place(order()), box.finish, box.tend):
        with pytest.raises(StorageFault) as caught:
            work()
        assert caught.value.code == "DISK_FAILED"
    assert len(box.names()) == 1
    assert box.names("holds") == []


def test_a_lost_file_is_told(box) -> None:
    box.record()
    (path,) = box.states()
    (box.vault_path / path).unlink()
    assert [row.path for row in box.place(order()).lost] == [path]
    assert box.reconcile().lost == [("h1", path)]
    assert box.tend().incomplete == set()


def test_erasing_and_condemning_know_holds_in_their_own_transaction(box) -> None:
    """A plan made before the hold was placed changes nothing."""
    box.record(count=2)
    plan = [(1, "EXPIRED"), (2, "EXPIRED")]
    box.place(order(span=Span(T0, T0 + 1)))
    with box.catalogue() as catalogue:
        assert erase.condemn(catalogue, plan, Instant(T0, Trust.SYNCED)) == [2]


@pytest.mark.parametrize("odd", ["end_ms = start_ms - 5000", "end_ms = ''", "start_ms = 'soon'"])
def test_a_row_that_cannot_be_true_does_not_keep_holds_from_being_tended(box, odd) -> None:
    """B11: one damaged row, and an active hold."""
    box.record()
    box.place(order())
    box.record(at_ms=T0 + 20_000, count=2)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute(f"UPDATE segment SET {odd} WHERE id = 2"))
    assert box.tend().linked == 1
    assert box.reconcile().linked == 0
    assert len(box.links()) == 2


def turned(tender: holds.Tender, box: Kept) -> int:
    """Take turns that have no time, until all is looked at; return how many it took."""
    for number in range(1, 1000):
        report = tender.turn(box.at(), lambda: True)
        if not report.more:
            return number
    raise AssertionError("it never came to an end")


def test_a_look_at_every_link_goes_on_from_turn_to_turn_and_tells_each_page(box, monkeypatch) -> None:
    """I5: the keeper must hear SIGTERM and be heard meanwhile, and not begin again when it takes long."""
    monkeypatch.setattr(linking, "BATCH", 2)
    box.record(count=7)
    box.place(order("a"))
    box.place(order("b"))
    steps: list[str] = []
    with box.catalogue() as catalogue:
        tender = holds.Tender(catalogue, box.vaults, box.state, step=steps.append)
        assert turned(tender, box) == 1
        (box.vault_path / box.links()[-1]).unlink()
        tender.look_at_all()
        first = tender.turn(box.at(), lambda: True)
        assert first.more
        assert steps == ["T4"]
        assert tender.is_looking
        assert turned(tender, box) > 10
        assert steps.count("T4") == 4 + 4 + 3 + 4  # of links, one of which was gone, and of rows
        assert not tender.is_looking
        assert len(box.links()) == 14
        assert tender.serves(catalogue, box.vaults)
        assert not tender.serves(catalogue, {})
        for fault in (KeyboardInterrupt, StorageFault("CATALOGUE_BUSY", "locked")):  # it is begun again
            tender.look_at_all()
            with monkeypatch.context() as patch:
                patch.setattr(tender, "_unlinked", lambda *_, fault=fault: raises(fault))
                with pytest.raises((KeyboardInterrupt, StorageFault)):
                    tender.turn(box.at())
            assert tender.is_looking
            assert not tender.turn(box.at()).more
            assert not tender.is_looking


def raises(error) -> None:
    raise error


def test_one_segment_that_cannot_be_linked_does_not_make_every_turn_read_all_that_came_since(
    box, monkeypatch
) -> None:
    """B19: it is remembered, and tried again."""
    box.record()
    box.place(order())
    box.record(at_ms=T0 + 10_000)
    path = list(box.states())[1]
    link = box.vault_path / path.replace("segments", "holds/h1")
    link.write_bytes(b"somebody's")
    read = []
    between = stored.between_ids

    def counted(*values):
        rows = between(*values)
        read.append(len(rows))
        return rows

    monkeypatch.setattr("agent.storage.keep.tending.between_ids", counted)
    with box.catalogue() as catalogue:
        tender = holds.Tender(catalogue, box.vaults, box.state)
        for number in range(4):
            box.record("cam2", at_ms=T0 + 20_000 + number * 10_000, count=5)
            assert tender.turn(box.at()).incomplete == {"h1"}
        assert read == [6, 5, 5, 5]
        link.unlink()
        report = tender.turn(box.at())
        assert (report.linked, report.incomplete) == (1, set())
        assert hold_rows.mark(catalogue, "h1") == 22
    # Whoever knows nothing of it begins where it was certain.
    assert len(box.links()) == 2


def test_of_too_many_that_cannot_be_linked_none_is_forgotten(box, monkeypatch) -> None:
    """B3."""
    import errno

    monkeypatch.setattr("agent.storage.keep.tending.FAILED", 2)
    box.record(count=9)
    disk = FailingDisk(lambda number, op, _: errno.ENOSPC if op == "link" else None)
    object.__setattr__(box.vault, "disk", disk)
    box.place(order())
    with box.catalogue() as catalogue:
        tender = holds.Tender(catalogue, box.vaults, box.state)
        for _ in range(3):
            report = tender.turn(box.at())
            assert (report.incomplete, report.more) == ({"h1"}, False)
        disk.plan = lambda *_: None
        assert sum(tender.turn(box.at()).linked for _ in range(3)) == 9
        assert tender.turn(box.at()).incomplete == set()


def test_a_hold_whose_disk_cannot_be_listed_is_told_and_not_looked_at_again_at_once(box, monkeypatch) -> None:
    box.record()
    box.place(order())

    def fails(*_):
        raise StorageFault("DISK_FAILED", "no")

    with box.catalogue() as catalogue:
        tender = holds.Tender(catalogue, box.vaults, box.state)
        tender.look_at_all()
        with monkeypatch.context() as patch:
            patch.setattr(tender, "_give_back", fails)
            (path,) = box.states()
            (box.vault_path / path).unlink()
            report = tender.turn(box.at())
            assert ([fault.code for fault in report.faults], report.more) == (["DISK_FAILED"], False)
            assert tender.turn(box.at()).incomplete == {"h1"}
        tender.look_at_all()
        assert tender.turn(box.at()).returned == 1
        assert tender.turn(box.at()).incomplete == set()


def begin_anew(box: Kept) -> None:
    """Lose the catalogue; the new one knows the vault."""
    for name in box.state.glob(FILE + "*"):
        name.unlink()
    Catalogue.prepare(box.state).close()
    with box.catalogue() as catalogue:
        catalogue.add_vault(UUID, str(box.vault_path), T0)


def test_a_hold_that_was_placed_while_its_vault_was_away_outlives_the_catalogue(box) -> None:
    """B11: a copy of its file lies beside the catalogue until it is released."""
    box.record()
    copy = box.state / "holds/h1/HOLD"
    with box.catalogue() as catalogue:
        assert holds.place(catalogue, {}, box.state, order(), box.at()).faults == []
        (before,) = holds.active(catalogue)
    assert box.names("holds") == []
    begin_anew(box)
    assert box.reconcile().restored == ["h1"]
    with box.catalogue() as catalogue:
        assert holds.active(catalogue) == [before]
    assert hold_file(box).read_bytes() == copy.read_bytes()
    box.salvage()
    assert box.tend().linked == 1
    copy.write_bytes(b"damaged")
    assert box.tend().incomplete == set()
    assert hold_file(box).read_bytes() == copy.read_bytes()
    box.release()
    assert list((box.state / "holds").iterdir()) == []
    begin_anew(box)
    assert box.reconcile().restored == []


def test_a_copy_of_a_hold_that_cannot_be_read_is_told_and_one_half_made_is_removed(box) -> None:
    """B11."""
    for name in ("unread", "half"):
        (box.state / "holds" / name).mkdir(parents=True)
    (box.state / "holds/unread/HOLD").write_bytes(b"{}")
    (box.state / "holds/half/HOLD.tmp").write_bytes(b"{")
    tended = box.tend()
    assert (tended.incomplete, tended.unreadable, tended.faults) == ({"unread"}, [], [])
    assert sorted(place.name for place in (box.state / "holds").iterdir()) == ["unread"]


def test_a_copy_that_cannot_be_removed_is_tried_again(box) -> None:
    box.record()
    box.place(order())
    (box.state / "holds/h1/notes.txt").write_text("mine")
    released = box.release()
    assert [fault.code for fault in released.faults] == ["DISK_FAILED"]
    assert box.names("holds") == []
    assert box.tend().incomplete == {"h1"}
    (box.state / "holds/h1/notes.txt").unlink()
    assert box.tend().incomplete == set()
    assert not (box.state / "holds/h1").exists()


def test_a_state_directory_that_takes_no_copy_does_not_keep_a_hold_from_holding(box) -> None:
    box.record()
    (box.state / "holds").write_text("in the way")
    placed = box.place(order())
    assert ([fault.code for fault in placed.faults], placed.segments) == (["NAME_TAKEN"], 1)
    assert box.condemn() == []
    (box.state / "holds").unlink()
    assert box.tend().faults == []
    assert (box.state / "holds/h1/HOLD").exists()
