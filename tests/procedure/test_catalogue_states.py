"""B11, B12: every way a catalogue may be lost, from the loss to the last row, with a recorder that goes on meanwhile.

Nothing is erased, recording starts at once, and afterwards every file has its row; those are the rows of before where
the old copy can be read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from agent.storage.catalogue import FILE, Catalogue
from agent.storage.keep import erase
from agent.storage.old import COLUMNS
from agent.storage.prepare import renew
from tests.unit.keep.test_rebuild import STARTS, aged, fill, go_on, meta, table
from tests.unit.storage.box import T0, Box, pattern, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 4096
START = COLUMNS.index("start_ms")
SURE = [
    COLUMNS.index(name)
    for name in ("path", "start_ms", "kept_from_ms", "plain_bytes", "sealed_bytes", "state")
]


def checkpointed(box: Box) -> Path:
    """Bring everything into the database itself; return it."""
    db = sqlite3.connect(box.state / FILE)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return box.state / FILE


def write_checkpoint(box: Box, size: int | None = None) -> None:
    """Leave in the vault what the keeper signs: how far the ledger had come."""
    catalogue = Catalogue.open(box.state)
    ledger, count = catalogue.meta("ledger"), catalogue.counts()["ledger"]
    catalogue.close()
    text = f"pasu/v1/box-1/{ledger}\n{count if size is None else size}\nroot\n\nsignature\n"
    (box.vault_path / "CHECKPOINT").write_text(text)


def missing(box: Box) -> None:
    for ending in ("", "-wal", "-shm"):
        (box.state / (FILE + ending)).unlink(missing_ok=True)


def nothing_left_of_the_state(box: Box) -> None:
    shutil.rmtree(box.state)


def missing_but_its_wal(box: Box) -> None:
    """A stale WAL must not be replayed into the new file."""
    db = sqlite3.connect(box.state / FILE)
    db.execute("INSERT INTO meta (key, value) VALUES ('stale', 'x')")
    db.commit()
    shutil.copy(box.state / (FILE + "-wal"), box.root / "wal")
    db.close()
    missing(box)
    shutil.copy(box.root / "wal", box.state / (FILE + "-wal"))


def zero_bytes(box: Box) -> None:
    missing(box)
    (box.state / FILE).touch()


def all_zeros(box: Box) -> None:
    place = checkpointed(box)
    place.write_bytes(bytes(place.stat().st_size))


def header_overwritten(box: Box) -> None:
    overwrite(checkpointed(box), 0, 100)


def schema_overwritten(box: Box) -> None:
    overwrite(checkpointed(box), 100, 2000)


def first_half_overwritten(box: Box) -> None:
    place = checkpointed(box)
    overwrite(place, SIZE, place.stat().st_size // 2)


def every_page_overwritten(box: Box) -> None:
    place = checkpointed(box)
    for at in range(SIZE, place.stat().st_size, SIZE):
        overwrite(place, at, 8)


def cut_in_the_middle(box: Box) -> None:
    place = checkpointed(box)
    os.truncate(place, place.stat().st_size // 2)


def cut_to_a_page(box: Box) -> None:
    os.truncate(checkpointed(box), SIZE)


def a_directory(box: Box) -> None:
    missing(box)
    (box.state / FILE).mkdir()


def a_link_to_nothing(box: Box) -> None:
    missing(box)
    (box.state / FILE).symlink_to("/nowhere/at/all")


def another_program(box: Box) -> None:
    missing(box)
    db = sqlite3.connect(box.state / FILE)
    db.execute("CREATE TABLE bookmarks (url)")
    db.commit()
    db.close()


def wal_deleted(box: Box) -> None:
    """What the last transactions said is gone, and the checkpoint in the vault says that it was."""
    assert (box.state / (FILE + "-wal")).stat().st_size > 0
    for ending in ("-wal", "-shm"):
        (box.state / (FILE + ending)).unlink()


def yesterdays_copy(box: Box) -> None:
    write_checkpoint(box)
    db = sqlite3.connect(checkpointed(box))
    db.execute("DELETE FROM segment WHERE start_ms >= ?", (T0,))
    db.execute("DELETE FROM ledger WHERE seq > 6")
    db.commit()
    db.close()


def a_copy_from_before_it_was_lost_once(box: Box) -> None:
    """Another ledger than the one that the vault was last told of."""
    write_checkpoint(box)
    db = sqlite3.connect(checkpointed(box))
    db.execute("UPDATE meta SET value = 'feedfeedfeedfeed' WHERE key = 'ledger'")
    db.commit()
    db.close()


def a_table_dropped(box: Box) -> None:
    db = sqlite3.connect(box.state / FILE)
    db.execute("DROP TABLE gap")
    db.commit()
    db.close()


def marked_by_whoever_read_it(box: Box) -> None:
    """Damage in the middle, which a start does not see; whoever meets it says so."""
    db = sqlite3.connect(checkpointed(box))
    (page,) = db.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'idx_segment_vault_path'"
    ).fetchone()
    db.close()
    overwrite(box.state / FILE, (page - 1) * SIZE, 300)
    catalogue = Catalogue.open(box.state)
    with pytest.raises(Exception, match="CATALOGUE_DAMAGED"):
        catalogue.paths("uuid-1", "segments/cam1/2027-01-15")
    catalogue.close()


def overwrite(place: Path, at: int, count: int) -> None:
    with place.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * count)


READABLE = [marked_by_whoever_read_it, a_copy_from_before_it_was_lost_once]
"""Losses that leave a copy which tells every row."""
LOSSES = [
    missing,
    nothing_left_of_the_state,
    missing_but_its_wal,
    zero_bytes,
    all_zeros,
    header_overwritten,
    schema_overwritten,
    first_half_overwritten,
    every_page_overwritten,
    cut_in_the_middle,
    cut_to_a_page,
    a_directory,
    a_link_to_nothing,
    another_program,
    wal_deleted,
    yesterdays_copy,
    a_table_dropped,
    *READABLE,
]


EXPECTED = dict.fromkeys(
    [missing, nothing_left_of_the_state, missing_but_its_wal], "missing"
) | dict.fromkeys([wal_deleted, yesterdays_copy, a_copy_from_before_it_was_lost_once], "old")


def with_wal(box: Box) -> sqlite3.Connection:
    """Keep a reader open, as the keeper would be: so the WAL is not folded into the database."""
    db = sqlite3.connect(box.state / FILE)
    db.execute("SELECT * FROM meta").fetchall()
    return db


def content(box: Box) -> dict[str, bytes]:
    return {
        str(path.relative_to(box.vault_path)): path.read_bytes() for path in box.vault_path.rglob("*.age")
    }


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_recording_goes_on_and_every_row_comes_back(tmp_path, loss: Callable[[Box], None]) -> None:
    box = aged(tmp_path)
    if loss is wal_deleted:
        checkpointed(box)
        reader = with_wal(box)
    fill(box, STARTS)
    expected, before = table(box), content(box)
    if loss is wal_deleted:
        write_checkpoint(box)
        box.state.rename(tmp_path / "live")  # as it lies on the disk when the power goes
        shutil.copytree(tmp_path / "live", box.state)
        reader.close()
    loss(box)

    box.clock.utc_ms = T0 + 60_000
    report = box.prepare()
    assert report.began == EXPECTED.get(loss, "damaged")
    assert (report.quarantined, report.faults, report.vault_faults) == (0, [], {})
    assert box.kinds() == ["ledger.began"]
    assert meta(box, "reconcile") == report.began
    assert box.rows() == []
    assert box.prepare().began == "", "once"

    recorder = box.recorder()
    recorder.begin(start("cam1", T0 + 61_000))
    recorder.write("cam1", pattern(50_000, 1), T0 + 62_000, 25)
    recorder.end("cam1", T0 + 62_000)
    assert recorder.close(10)
    assert [row.start_ms for row in box.rows()] == [T0 + 61_000], "recorded before anything is reconciled"

    progress = go_on(box)
    assert progress is not None
    assert progress.done
    rows = [row for row in table(box) if row[START] < T0 + 60_000]
    if loss in READABLE:
        assert rows == expected
    assert [tuple(row[i] for i in SURE) for row in rows] == [tuple(row[i] for i in SURE) for row in expected]
    assert {name: raw for name, raw in content(box).items() if name in before} == before, "nothing erased"
    assert len(content(box)) == len(before) + 1
    assert meta(box, "reconcile") is None
    assert box.prepare().began == ""
    assert go_on(box) is None


def test_a_stale_shared_memory_file_is_no_loss(tmp_path) -> None:
    box = aged(tmp_path)
    reader = with_wal(box)
    fill(box, STARTS)
    expected = table(box)
    box.state.rename(tmp_path / "live")
    shutil.copytree(tmp_path / "live", box.state)
    reader.close()
    place = box.state / (FILE + "-shm")
    place.write_bytes(b"\x5a" * place.stat().st_size)
    assert box.prepare().began == ""
    assert table(box) == expected


def test_a_newer_version_is_refused_and_left_in_place(tmp_path) -> None:
    """J5: nothing is begun in its place."""
    box = aged(tmp_path)
    fill(box, STARTS)
    db = sqlite3.connect(box.state / FILE)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Exception, match="CATALOGUE_VERSION"):
        box.prepare()
    assert not (box.state / "aside").exists()


def test_an_older_checkpoint_or_one_that_cannot_be_read_is_no_loss(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS)
    for size in (0, 1, 12):
        write_checkpoint(box, size)
        assert box.prepare().began == ""
    for text in (
        "",
        "pasu/v1/box-1/abc",
        "x\ny\nz",
        "pasu/v1/box-1/abc\n-5\n",
        "a/\n5\n",
        "a/b\n" + "9" * 30,
    ):
        (box.vault_path / "CHECKPOINT").write_text(text)
        assert box.prepare().began == ""
    (box.vault_path / "CHECKPOINT").write_bytes(b"\xff\xfe\n")
    assert box.prepare().began == ""
    write_checkpoint(box, 13)
    assert box.prepare().began == "old"


def test_the_checkpoint_of_the_ledger_before_is_no_loss_again(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS)
    write_checkpoint(box)
    missing(box)
    assert box.prepare().began == "missing"
    assert box.prepare().began == ""
    (began,) = [body for kind, body in box.facts() if kind == "ledger.began"]
    assert began["previous_size"] == 12
    go_on(box)
    write_checkpoint(box)
    assert box.prepare().began == ""


def test_a_recorder_that_is_running_goes_on_in_the_new_catalogue(tmp_path) -> None:
    """B11: damaged under a living recorder. It loses no row and no fact, and is not restarted."""
    box = aged(tmp_path)
    fill(box, STARTS)
    expected = {row.path for row in box.rows()}
    recorder = box.recorder()
    recorder.begin(start("cam1", T0 + 61_000))
    recorder.write("cam1", pattern(50_000, 1), T0 + 62_000, 25)
    recorder.flush()
    place = box.state / FILE
    for ending in ("", "-wal"):
        if place.with_name(FILE + ending).exists():
            overwrite(place.with_name(FILE + ending), 0, 8000)
    box.clock.utc_ms = T0 + 62_000
    recorder.end("cam1", T0 + 62_000)
    until = time.monotonic() + 30
    while not (box.state / "catalogue-damaged").exists() or "catalogue" not in recorder.trouble():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert "catalogue" in recorder.trouble()
    assert renew([box.vault_path], box.state, box.cameras, box.clock.now(), box="box-1") == "damaged"
    assert renew([box.vault_path], box.state, box.cameras, box.clock.now(), box="box-1") == ""
    recorder.begin(start("cam2", T0 + 62_000))
    recorder.write("cam2", pattern(50_000, 2), T0 + 63_000, 25)
    recorder.end("cam2", T0 + 63_000)
    assert recorder.close(30)
    assert [(row.camera, row.codec) for row in box.rows()] == [("cam1", "h264"), ("cam2", "h264")]
    assert go_on(box).done
    assert {row.path for row in box.rows()} > expected
    assert len(box.rows()) == len(expected) + 2


def test_a_start_looks_at_no_file_of_older_days(tmp_path) -> None:
    """B18: names of the last days only; what lies further back is compared in the background."""
    box = aged(tmp_path)
    fill(box, STARTS)
    old = box.vault_path / "segments" / "cam1" / "2027-01-13" / "20270113T000000.000Z.salvaged.mp4.age.tail"
    old.touch()
    new = box.vault_path / "segments" / "cam1" / "2027-01-15" / "20270115T000000.000Z.salvaged.mp4.age.tail"
    new.touch()
    assert box.prepare().quarantined == 1
    assert old.exists()
    assert not new.exists()


def test_nothing_is_erased_before_every_row_is_back(tmp_path) -> None:
    """B12: with yesterday's copy, even what is long due stays until the rebuilding has ended."""
    box = aged(tmp_path)
    fill(box, STARTS)
    yesterdays_copy(box)
    box.clock.utc_ms = T0 + 60_000
    assert box.prepare().began == "old"
    stopped: list[str] = []

    def step(name: str) -> None:
        stopped.append(name)
        if name == "R4":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        go_on(box, step=step)
    assert len(table(box)) == 2 * len(STARTS)
    assert condemned(box) == []
    assert go_on(box).done
    assert len(condemned(box)) == 1


def condemned(box: Box) -> list[int]:
    catalogue = Catalogue.open(box.state)
    try:
        return erase.condemn(catalogue, [(1, "EXPIRED")], box.clock.now())
    finally:
        catalogue.close()
