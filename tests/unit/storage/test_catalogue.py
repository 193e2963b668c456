from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import StorageFault
from agent.model import Fact, Gap, GapCause, Instant, Span, Trust
from agent.storage import schema
from agent.storage.catalogue import COMMITTED, FILE, SALVAGED, Catalogue, Segment
from agent.storage.layout import DAMAGED
from agent.storage.ledger import instant, size
from tests.unit.storage.box import T0, Box

AT = Instant(T0, Trust.HOLDOVER)


def segment(start_ms: int = T0, length_ms: int = 60_000, camera: str = "cam1", **more) -> Segment:
    values = {
        "vault": "uuid-1",
        "camera": camera,
        "run": "run-1",
        "path": f"segments/{camera}/2027-01-15/{start_ms}.mp4.age",
        "start_ms": start_ms,
        "end_ms": start_ms + length_ms,
        "trust": "SYNCED",
        "codec": "h264",
        "width": 1920,
        "height": 1080,
        "time_base_hz": 90_000,
        "frames": 1500,
        "plain_bytes": 1000,
        "sealed_bytes": 1200,
        "sha256": "ab" * 32,
        "keyframe_start": True,
        "state": COMMITTED,
        "has_tail": False,
    }
    return Segment(**(values | more))


@pytest.fixture
def catalogue(tmp_path):
    made = Catalogue.prepare(tmp_path)
    made.add_vault("uuid-1", "/vault", T0)
    yield made
    made.close()


def test_a_segment_and_its_fact_are_one_transaction(catalogue) -> None:
    row = segment(has_tail=True, state=SALVAGED, keyframe_start=False)
    assert catalogue.commit_segment(row, AT, missing_chunks=2)
    assert list(catalogue.segments("cam1")) == [row]
    assert row.span == Span(T0, T0 + 60_000)
    (entry,) = catalogue.ledger()
    assert (entry.seq, entry.kind, instant(entry.at_ms, entry.trust)) == (1, "segment.salvaged", AT)
    assert entry.body == (
        '{"camera":"cam1","codec":"h264","end_ms":1800000060000,"frames":1500,"missing_chunks":2,'
        '"path":"segments/cam1/2027-01-15/1800000000000.mp4.age","run":"run-1","sealed_bytes":1200,'
        f'"sha256":"{"ab" * 32}","start_ms":1800000000000}}'
    )


def test_the_same_segment_is_committed_once(catalogue) -> None:
    assert catalogue.commit_segment(segment(), AT)
    assert not catalogue.commit_segment(segment(frames=7), AT)
    assert catalogue.counts() == {"camera": 1, "segment": 1, "gap": 0, "ledger": 1}


@pytest.mark.parametrize("state", ["GONE", "LOST"])
def test_the_name_of_an_erased_or_lost_segment_may_be_used_again(catalogue, state) -> None:
    assert catalogue.commit_segment(segment(), AT)
    catalogue._db.execute("UPDATE segment SET state = ?", (state,))
    assert catalogue.paths("uuid-1", "segments/cam1/2027-01-15") == {}
    assert list(catalogue.segments("cam1")) == []
    assert catalogue.commit_segment(segment(frames=7), AT)
    assert [row.frames for row in catalogue.segments("cam1")] == [7]


def test_a_row_that_cannot_be_is_a_bug_and_leaves_no_fact(catalogue) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        catalogue.commit_segment(segment(vault="unknown"), AT)
    with pytest.raises(TypeError):
        catalogue.add_fact(Fact("x", AT, {"a": 1.5}))
    assert catalogue.counts()["ledger"] == 0
    assert catalogue.add_fact(Fact("x", AT)) == 1


def test_coverage_is_what_overlaps_half_open(catalogue) -> None:
    for i in range(3):
        catalogue.commit_segment(segment(T0 + 60_000 * i), AT)
    catalogue.commit_segment(segment(T0, camera="cam2"), AT)
    gaps = [
        Gap("cam1", Span(T0 + 180_000, T0 + 200_000), GapCause.CAMERA_SILENT, "조용함"),
        Gap("cam1", Span(T0 - 5000, T0), GapCause.AGENT_STOPPED),
    ]
    for gap in gaps:
        catalogue.add_gap(gap, AT)
    found = catalogue.coverage("cam1", Span(T0 + 60_000, T0 + 180_001))
    assert [row.start_ms for row in found.segments] == [T0 + 60_000, T0 + 120_000]
    assert found.gaps == gaps[:1]
    assert catalogue.coverage("cam1", Span(0, 1 << 60)).gaps == gaps[::-1]
    assert catalogue.coverage("cam3", Span(0, 1 << 60)).segments == []
    assert catalogue.cameras() == ["cam1", "cam2"]


def test_covered_until_is_the_newest_end_of_segment_or_gap(catalogue) -> None:
    assert catalogue.covered_until("cam1") is None
    catalogue.add_gap(Gap("cam1", Span(T0, T0 + 10), GapCause.CLOCK_JUMP), AT)
    assert catalogue.covered_until("cam1") == T0 + 10
    catalogue.commit_segment(segment(), AT)
    assert catalogue.covered_until("cam1") == T0 + 60_000
    catalogue.add_gap(Gap("cam1", Span(T0 + 60_000, T0 + 60_010), GapCause.CLOCK_JUMP), AT)
    assert catalogue.covered_until("cam1") == T0 + 60_010


def plans(catalogue: Catalogue, work) -> dict[str, str]:
    """Run something, and return how SQLite goes about each statement of it."""
    said: list[str] = []
    catalogue._db.set_trace_callback(said.append)
    try:
        work()
    finally:
        catalogue._db.set_trace_callback(None)
    found = {}
    for statement in said:
        if statement.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            steps = catalogue._db.execute("EXPLAIN QUERY PLAN " + statement)
            found[statement] = " | ".join(row[3] for row in steps)
    return found


def test_no_query_walks_a_table_that_grows(catalogue) -> None:
    """B18: millions of rows cost what a few cost."""

    def everything() -> None:
        catalogue.covered_until("cam1", T0)
        catalogue.coverage("cam1", Span(T0, T0 + 1))
        list(catalogue.segments("cam1"))
        catalogue.paths("uuid-1", "segments/cam1/2027-01-15")
        catalogue.last_fact("box.started", "box.stopped")
        catalogue.ledger(5, 9)
        catalogue.commit_segment(segment(), AT)
        catalogue.add_gap(Gap("cam1", Span(T0, T0 + 10), GapCause.CLOCK_JUMP), AT)
        catalogue.add_fact(Fact("x", AT))

    found = plans(catalogue, everything)
    assert len(found) >= 12
    for statement, plan in found.items():
        assert "SCAN" not in plan, (statement, plan)
    # Each span of time is bounded on both sides, but for what lasts long and has an index of its own.
    (coverage,) = (plan for statement, plan in found.items() if "FROM gap INDEXED" in statement)
    assert "idx_gap_camera_start_ms (camera=? AND start_ms>? AND start_ms<?)" in coverage
    assert "idx_gap_long (camera=? AND end_ms>?" in coverage


def test_a_list_of_a_cameras_day_is_read_from_its_index_alone(catalogue) -> None:
    """B18: its rows lie among those of all other cameras, one to a page."""
    found = plans(catalogue, lambda: catalogue.coverage("cam1", Span(T0, T0 + 1)))
    (plan,) = (plan for statement, plan in found.items() if "FROM segment INDEXED" in statement)
    assert "COVERING INDEX idx_segment_camera_start_ms (camera=? AND start_ms>? AND start_ms<?)" in plan


def test_what_is_listed_is_what_the_row_says(catalogue) -> None:
    row = segment()
    catalogue.commit_segment(row, AT)
    (listed,) = catalogue.coverage("cam1", Span(T0, T0 + 1)).segments
    assert listed._asdict() == {name: getattr(row, name) for name in listed._fields}
    assert listed.span == row.span


spans = st.tuples(st.integers(0, 4_000_000), st.one_of(st.integers(0, 900_000), st.integers(0, 4_000_000)))


@given(rows=st.lists(spans, max_size=12), asked=spans)
@settings(max_examples=200, deadline=None)
def test_coverage_finds_all_that_overlaps_however_long_it_is(rows, asked) -> None:
    found = Catalogue(Path(FILE), _memory())
    expected = set()
    span = Span(asked[0], asked[0] + asked[1])
    for start, length in rows:
        gap = Gap("cam1", Span(start, start + length), GapCause.CLOCK_JUMP)
        found.add_gap(gap, AT)
        found.commit_segment(segment(start, length, path=f"{start}/{length}"), AT)
        if start < span.end_ms and start + length > span.start_ms:
            expected.add((start, start + length))
    coverage = found.coverage("cam1", span)
    assert {(gap.span.start_ms, gap.span.end_ms) for gap in coverage.gaps} == expected
    assert {(row.start_ms, row.end_ms) for row in coverage.segments} == expected
    assert [row.start_ms for row in coverage.segments] == sorted(row.start_ms for row in coverage.segments)
    found.close()


def _memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(db, 0)
    db.execute("INSERT INTO vault VALUES ('uuid-1', '/vault', 0)")
    return db


def test_damage_inside_segments_says_nothing_of_how_far_a_camera_is_covered(catalogue) -> None:
    catalogue.add_gap(Gap("cam1", Span(T0, T0 + 10), GapCause.AGENT_KILLED), AT)
    catalogue.add_gap(Gap("cam1", Span(T0 + 20, T0 + 30), GapCause.STREAM_DAMAGED), AT)
    assert catalogue.covered_until("cam1") == T0 + 10


def test_the_last_of_several_kinds_of_facts(catalogue) -> None:
    assert catalogue.last_fact("a", "b") is None
    for kind in ("a", "b", "c"):
        catalogue.add_fact(Fact(kind, AT))
    assert catalogue.last_fact("b", "a") == "b"
    assert catalogue.last_fact("a") == "a"


def test_paths_of_a_directory_are_not_those_of_its_neighbours(catalogue) -> None:
    names = ["segments/cam1/a", "segments/cam10/b", "segments/cam1-x/c", "segments/cam1", "segments/cam10"]
    for i, name in enumerate(names):
        catalogue.commit_segment(segment(T0 + i, path=name), AT)
    assert catalogue.paths("uuid-1", "segments/cam1") == {"segments/cam1/a": COMMITTED}
    assert catalogue.paths("uuid-2", "segments/cam1") == {}


def test_a_vault_may_move(catalogue) -> None:
    catalogue.add_vault("uuid-1", "/new", T0 + 1)
    assert catalogue.vaults() == {"uuid-1": "/new"}


def test_a_missing_catalogue_is_not_made_by_opening(tmp_path) -> None:
    for read_only in (False, True):
        with pytest.raises(StorageFault) as caught:
            Catalogue.open(tmp_path, read_only=read_only)
        assert caught.value.code == "CATALOGUE_MISSING"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_catalogue_is_said_to_be(tmp_path, content) -> None:
    (tmp_path / FILE).write_bytes(content)
    for opening in (Catalogue.open, Catalogue.prepare):
        with pytest.raises(StorageFault) as caught:
            opening(tmp_path)
        assert caught.value.code == "CATALOGUE_DAMAGED"
    assert (tmp_path / FILE).read_bytes() == content


def test_damage_found_later_is_said_too(tmp_path) -> None:
    made = Catalogue.prepare(tmp_path)
    made.add_vault("uuid-1", "/vault", T0)
    for i in range(200):
        made.commit_segment(segment(T0 + i), AT)
    roots = made.read("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'segment' AND rootpage > 0")
    made.close()
    raw = bytearray((tmp_path / FILE).read_bytes())
    for (page,) in roots:  # counted from 1
        raw[(page - 1) * 4096 : (page - 1) * 4096 + 200] = b"\xff" * 200
    (tmp_path / FILE).write_bytes(raw)
    again = Catalogue.open(tmp_path)
    with pytest.raises(StorageFault, match="CATALOGUE_DAMAGED"):
        again.commit_segment(segment(T0 + 1000), AT)
    again.close()


def test_an_empty_file_is_no_catalogue(tmp_path) -> None:
    (tmp_path / FILE).touch()
    with pytest.raises(StorageFault, match="CATALOGUE_DAMAGED"):
        Catalogue.open(tmp_path)
    assert (tmp_path / DAMAGED).exists()


def test_what_a_connection_does_after_its_file_was_moved_is_no_success(tmp_path) -> None:
    """B11: a recorder that still has the old file open learns that another lies there, and does its work again."""
    catalogue = Catalogue.prepare(tmp_path)
    assert catalogue.counts()["ledger"] == 0
    for ending in ("", "-wal", "-shm"):
        (tmp_path / (FILE + ending)).rename(tmp_path / ("old" + ending))
    with pytest.raises(StorageFault, match="CATALOGUE_MISSING"):
        catalogue.counts()
    Catalogue.prepare(tmp_path).close()
    with pytest.raises(StorageFault, match="CATALOGUE_MISSING"):
        catalogue.add_fact(Fact("x", AT))
    catalogue.close()
    again = Catalogue.open(tmp_path)
    assert again.add_fact(Fact("x", AT)) == 1
    again.close()


def test_a_newer_catalogue_is_left_alone(tmp_path) -> None:
    Catalogue.prepare(tmp_path).close()
    db = sqlite3.connect(tmp_path / FILE)
    db.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    db.close()
    for opening in (Catalogue.open, Catalogue.prepare):
        with pytest.raises(StorageFault) as caught:
            opening(tmp_path)
        assert caught.value.code == "CATALOGUE_VERSION"


def test_a_place_that_cannot_hold_one_is_said(tmp_path) -> None:
    with pytest.raises(StorageFault, match="CATALOGUE_FAILED"):
        Catalogue.prepare(tmp_path / "nowhere")
    (tmp_path / FILE).mkdir()
    with pytest.raises(StorageFault, match="CATALOGUE_FAILED"):
        Catalogue.open(tmp_path)


def test_preparing_twice_changes_nothing_and_a_failed_migration_leaves_nothing(tmp_path, monkeypatch) -> None:
    Catalogue.prepare(tmp_path).close()
    before = (tmp_path / FILE).read_bytes()
    Catalogue.prepare(tmp_path).close()
    assert (tmp_path / FILE).read_bytes() == before
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600

    def second(db) -> None:
        db["extra"].create({"id": int}, pk="id")
        db.execute("SELECT * FROM nothing_there")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, second))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with pytest.raises(StorageFault, match="CATALOGUE_FAILED"):
        Catalogue.prepare(tmp_path)
    monkeypatch.undo()
    made = Catalogue.open(tmp_path)
    tables = {row[0] for row in made._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "extra" not in tables
    made.close()


def test_the_catalogue_is_durable_and_says_whose_it_is(catalogue) -> None:
    def value(pragma):
        return catalogue._db.execute(f"PRAGMA {pragma}").fetchone()[0]

    assert value("journal_mode") == "wal"
    assert value("synchronous") == 2
    assert value("foreign_keys") == 1
    assert value("application_id") == int.from_bytes(b"PASU", "big")


def test_a_locked_catalogue_says_busy_and_readers_go_on(catalogue, tmp_path) -> None:
    other = Catalogue.open(tmp_path, busy_s=0.01)
    catalogue._db.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFault) as caught:
        other.add_fact(Fact("x", AT))
    assert caught.value.code == "CATALOGUE_BUSY"
    assert other.counts()["ledger"] == 0
    catalogue._db.execute("ROLLBACK")
    assert other.add_fact(Fact("x", AT)) == 1
    other.close()
    reader = Catalogue.open(tmp_path, read_only=True)
    assert reader.counts()["ledger"] == 1
    with pytest.raises(StorageFault):
        reader.add_fact(Fact("x", AT))
    reader.close()


def _append(state, name: str, count: int) -> None:
    catalogue = Catalogue.open(state, busy_s=60)
    for i in range(count):
        if i % 2:
            catalogue.add_fact(Fact("x", AT, {"from": name, "n": i}))
        else:
            catalogue.commit_segment(segment(T0 + i, camera=name), AT)
    catalogue.close()


def test_several_processes_keep_one_order_without_a_hole(catalogue, tmp_path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(tmp_path, f"cam{i}", 40)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    entries = catalogue.ledger(0, 1000)
    assert [entry.seq for entry in entries] == list(range(1, 121))
    for i in range(3):
        own = [entry.body for entry in entries if f'"from":"cam{i}"' in entry.body]
        assert own == [f'{{"from":"cam{i}","n":{n}}}' for n in range(1, 40, 2)]
    assert [entry.seq for entry in catalogue.ledger(100, 5)] == [101, 102, 103, 104, 105]
    assert size(catalogue._db) == 120


def test_a_recorder_does_not_load_what_only_the_schema_needs() -> None:
    code = (
        "import sys, agent.storage.recorder, agent.storage.salvage;"
        "bad = {'sqlite_utils', 'av', 'cv2', 'rich', 'asyncio'} & set(sys.modules); sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_covered_until_passes_over_the_future_and_what_lies_inside_a_segment(tmp_path) -> None:
    box = Box(tmp_path)
    for until_ms, cause in (
        (T0 + 5000, GapCause.CAMERA_SILENT),
        (T0 + 7000, GapCause.STREAM_DAMAGED),
        (T0 + 40 * 86_400_000, GapCause.CAMERA_CLOSED),
    ):
        box.add_gap(Gap("cam1", Span(until_ms - 1000, until_ms), cause))
    catalogue = Catalogue.open(box.state)
    assert catalogue.covered_until("cam1", T0 + 60_000) == T0 + 5000
    assert catalogue.covered_until("cam1") == T0 + 40 * 86_400_000
    catalogue.close()


@pytest.mark.parametrize("again", [False, True])
def test_a_wal_that_is_removed_under_a_living_process_is_a_damage(tmp_path, again) -> None:
    """B11: what it was told since went to a file that nobody finds; it says so, and asks for a new catalogue."""
    Catalogue.prepare(tmp_path).close()
    catalogue = Catalogue.open(tmp_path)
    catalogue.add_vault("uuid-1", "/vault", T0)
    wal = tmp_path / (FILE + "-wal")
    wal.unlink()
    if again:
        wal.touch()
    with pytest.raises(StorageFault) as caught:
        catalogue.commit_segment(segment(), AT)
    assert caught.value.code == "CATALOGUE_DAMAGED"
    marked = json.loads((tmp_path / DAMAGED).read_text())
    assert marked["inode"] == (tmp_path / FILE).stat().st_ino
    catalogue.close()


def test_a_mark_that_tells_where_the_catalogue_goes_is_not_overwritten(tmp_path) -> None:
    """B11: A3 took the WAL away already; killed then, A4 must find the same place."""
    Catalogue.prepare(tmp_path).close()
    catalogue = Catalogue.open(tmp_path)
    text = json.dumps({"aside": "there", "inode": (tmp_path / FILE).stat().st_ino, "reason": "old"})
    (tmp_path / DAMAGED).write_text(text)
    (tmp_path / (FILE + "-wal")).unlink()
    with pytest.raises(StorageFault, match="CATALOGUE_DAMAGED"):
        catalogue.cameras()
    assert (tmp_path / DAMAGED).read_text() == text
    catalogue.close()


def test_text_that_is_no_text_keeps_nothing_else_from_being_read(catalogue) -> None:
    """B19."""
    catalogue.commit_segment(segment(), AT)
    catalogue.commit_segment(segment(T0 + 60_000), AT)
    catalogue.write(
        lambda db: db.execute("UPDATE segment SET path = CAST(X'ff2f' AS TEXT) WHERE start_ms = ?", (T0,))
    )
    assert [row.path for row in catalogue.segments("cam1")] == ["\\xff/", segment(T0 + 60_000).path]
