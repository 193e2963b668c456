"""The keeper's check: everything in turn, the newest first after a boot, and nothing taken away by itself."""

from __future__ import annotations

import os

import pytest

from agent.model import GapCause
from agent.storage.envelope import SEALED_CHUNK_BYTES, shred_span
from agent.storage.keep import tend as tending
from agent.storage.keep.check_findings import Done, What
from tests.unit.keep.shelf import AT, Shelf

DAY = 24 * 60


@pytest.fixture
def shelf(tmp_path):
    made = Shelf(tmp_path)
    yield made
    made.catalogue.close()


def tend_it(shelf: Shelf, times: int = 1, *, boot: str = "boot-1", budget_s: float = 60.0, vaults=None):
    done = []
    for _ in range(times):
        done.append(
            tending.tend(
                shelf.catalogue,
                shelf.vaults if vaults is None else vaults,
                shelf.state,
                AT,
                budget_s,
                boot=boot,
                monotonic=lambda: 0.0,
            )
        )
    return done


def found(done) -> list[tuple[str, What, Done]]:
    return [(each.path, each.what, each.done) for one in done for each in one.findings]


def test_it_comes_to_every_day_of_every_camera_and_begins_again(shelf) -> None:
    rows = [shelf.add(day * DAY, camera=camera, size=100) for camera in ("cam1", "cam2") for day in range(4)]
    tend_it(shelf, 14)
    for row in rows:
        os.truncate(shelf.at(row), row.sealed_bytes - 1)
    assert {path for path, what, _ in found(tend_it(shelf, 12)) if what is What.SIZE} == {
        row.path for row in rows
    }
    assert len(tend_it(shelf)[0].still) == 8


def test_after_a_boot_the_newest_come_first_to_the_last_byte(shelf) -> None:
    """B8: what a disk that lies about syncing has lost is found soon after the start, and is a gap then."""
    old = shelf.add(0)
    newest = [shelf.add(9 * DAY + minute, size=300_000) for minute in range(8)]
    tend_it(shelf, 5)
    empty, zeros, gone = newest[-1], newest[-2], newest[-3]
    os.truncate(shelf.at(empty), 0)
    start = shred_span(shelf.at(zeros).read_bytes()) + 16
    with shelf.at(zeros).open("r+b") as file:
        file.seek(start + SEALED_CHUNK_BYTES)
        file.write(bytes(SEALED_CHUNK_BYTES))
    shelf.at(gone).unlink()
    done = tend_it(shelf, 2, boot="boot-2")
    assert sorted(found(done)) == sorted(
        [
            (gone.path, What.MISSING, Done.LOST),
            (zeros.path, What.DIGEST, Done.NOTHING),
            (empty.path, What.SIZE, Done.QUARANTINED),
        ]
    )
    assert [(gap.span, gap.cause) for gap in shelf.gaps()] == [
        (gone.span, GapCause.SEGMENT_LOST),
        (empty.span, GapCause.SEGMENT_LOST),
    ]
    stored = [row.path for row in shelf.catalogue.segments("cam1")]
    assert stored == [row.path for row in (old, *newest[:-3], zeros)]
    # A person looks at the damaged one: it is told for as long as it is there.
    assert [(each.path, each.places[0].chunk) for each in tend_it(shelf, 3, boot="boot-2")[-1].still] == [
        (zeros.path, 1)
    ]
    shelf.at(zeros).unlink()
    shelf.catalogue.write(
        lambda db: db.execute("UPDATE segment SET state = 'GONE' WHERE path = ?", (zeros.path,))
    )
    assert tend_it(shelf, boot="boot-2")[0].still == []


def test_a_file_without_a_row_gets_one(shelf) -> None:
    """B13."""
    loose = shelf.add(0, row=False)
    assert found(tend_it(shelf)) == [(loose.path, What.ORPHAN, Done.ADOPTED)]
    assert [row.path for row in shelf.catalogue.segments("cam1")] == [loose.path]


def test_now_and_then_a_file_is_read_whichever_it_is(shelf) -> None:
    rows = [shelf.add(minute, size=1000) for minute in range(12)]
    tend_it(shelf, 9)
    for row in rows:
        with shelf.at(row).open("r+b") as file:
            file.seek(500)
            file.write(b"????")
    seen = {path for path, what, _ in found(tend_it(shelf, 400)) if what is What.DIGEST}
    assert len(seen) == 12


@pytest.mark.parametrize(("budget_s", "calls"), [(0, 6), (1, 5), (3, 2)])
def test_the_time_it_is_given_is_kept_and_it_moves_on(shelf, budget_s, calls) -> None:
    """A day of five files: one file at least in each call, and no more than there is time for."""
    rows = [shelf.add(minute, size=100) for minute in range(5)]
    shelf.at(rows[4]).write_bytes(b"cut")
    clock = iter(range(1000))

    def one():
        return tending.tend(
            shelf.catalogue, shelf.vaults, shelf.state, AT, budget_s, boot="b", monotonic=lambda: next(clock)
        )

    done = [found([one()]) for _ in range(calls)]
    assert [path for each in done for path, *_ in each] == [rows[4].path]
    assert done[0] == []


def test_nothing_is_said_of_a_vault_that_is_not_there_or_while_the_catalogue_is_made_again(shelf) -> None:
    row = shelf.add(0)
    shelf.at(row).unlink()
    assert found(tend_it(shelf, 3, vaults={})) == []
    shelf.catalogue.set_meta("reconcile", "old")
    assert found(tend_it(shelf, 3)) == []
    shelf.catalogue.set_meta("reconcile", None)
    shelf.vault.root.rename(shelf.root / "unplugged")
    done = tend_it(shelf, 3)
    assert {what for _, what, _ in found(done)} == {What.UNJUDGED}
    assert shelf.state_of(row)[0] == "COMMITTED"
    (shelf.root / "unplugged").rename(shelf.vault.root)
    assert found(tend_it(shelf, 2)) == [(row.path, What.MISSING, Done.LOST)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":1}', '{"version":1,"unit":[1],"boot":"boot-1"}'])
def test_its_place_may_be_lost(shelf, text) -> None:
    row = shelf.add(0)
    tend_it(shelf, 3)
    (shelf.state / tending.FILE).write_text(text)
    shelf.at(row).unlink()
    assert found(tend_it(shelf, 2)) == [(row.path, What.MISSING, Done.LOST)]


def test_the_kernel_is_asked_for_the_boot(shelf) -> None:
    shelf.add(0)
    assert tending.tend(shelf.catalogue, shelf.vaults, shelf.state, AT, 1.0).findings == []
    assert (shelf.state / tending.FILE).exists()
