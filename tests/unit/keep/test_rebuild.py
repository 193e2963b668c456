"""Rows again after a catalogue was lost: what each witness is believed, and what is left alone (B11, B12, B13)."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from agent.model import Gap, GapCause, Instant, Span, Trust
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.keep import rebuild
from agent.storage.prepare import open_vaults, prepare
from agent.storage.vault import Vault
from tests.unit.storage.box import T0, Box, pattern, start

if TYPE_CHECKING:
    from pathlib import Path

CAMERAS = ("cam1", "cam2")
SEGMENT_MS = 4000
DAY_MS = 86_400_000


def aged(root: Path) -> Box:
    """Make a box whose vault is ten days old."""
    box = Box(root)
    place = box.vault_path / "VAULT"
    place.write_text(place.read_text().replace(str(T0), str(T0 - 10 * DAY_MS)))
    return box


def fill(box: Box, starts: list[int], cameras: tuple[str, ...] = CAMERAS) -> None:
    """Record whole segments, one directly behind the other, and give their files the times they would have."""
    desk = box.desk()
    for at_ms in starts:
        for number, camera in enumerate(cameras):
            box.clock.utc_ms = at_ms + SEGMENT_MS
            desk.begin(start(camera, at_ms))
            desk.write(camera, pattern(30_000, at_ms + number), at_ms + SEGMENT_MS, 100)
            desk.end(camera, at_ms + SEGMENT_MS)
    desk.stop()
    desk.close()
    for row in box.rows():
        os.utime(box.file(row), ns=(0, (row.end_ms + 3) * 1_000_000))


def lose(box: Box) -> None:
    for ending in ("", "-wal", "-shm"):
        (box.state / (FILE + ending)).unlink(missing_ok=True)


def corrupt(box: Box) -> None:
    """Make the catalogue one that is known to be damaged and can be read."""
    place = box.state / FILE
    (box.state / "catalogue-damaged").write_text(
        json.dumps({"inode": place.stat().st_ino, "reason": "damaged"})
    )


def go_on(box: Box, *, budget_s: float = 60.0, at: Instant | None = None, step=lambda _: None):
    vaults, _ = open_vaults(box.state, [box.vault_path])
    catalogue = Catalogue.open(box.state)
    try:
        return rebuild.advance(
            catalogue,
            {vault.uuid: vault for vault in vaults},
            box.state,
            at or box.clock.now(),
            budget_s,
            step=step,
        )
    finally:
        catalogue.close()


def table(box: Box) -> list[tuple]:
    catalogue = Catalogue.open(box.state)
    columns = ", ".join(name for name in rebuild.COLUMNS)
    rows = catalogue.read(f"SELECT {columns} FROM segment ORDER BY camera, start_ms, path")
    catalogue.close()
    return rows


def meta(box: Box, key: str) -> str | None:
    catalogue = Catalogue.open(box.state)
    try:
        return catalogue.meta(key)
    finally:
        catalogue.close()


STARTS = [
    T0 - 2 * DAY_MS,
    T0 - 2 * DAY_MS + SEGMENT_MS,
    T0 - DAY_MS,
    T0,
    T0 + SEGMENT_MS,
    T0 + 3 * SEGMENT_MS,
]


def test_with_nothing_to_do_nothing_is_done(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS)
    before = box.facts()
    assert go_on(box) is None
    assert box.facts() == before


def test_rows_are_equal_to_those_of_the_copy_that_was_moved_aside(tmp_path) -> None:
    """B11, B12: readable, so nothing is estimated."""
    box = aged(tmp_path)
    fill(box, STARTS)
    box.add_gap(Gap("cam1", Span(T0 - DAY_MS + SEGMENT_MS, T0), GapCause.CAMERA_SILENT, "no packets"))
    expected, gaps = table(box), box.gaps()
    corrupt(box)
    assert box.prepare().began == "damaged"
    assert box.rows() == []
    assert meta(box, "reconcile") == "damaged"
    progress = go_on(box)
    assert progress is not None
    assert progress.done
    assert (progress.imported, progress.named, progress.quarantined) == (len(expected), 0, 0)
    assert table(box) == expected
    assert [gap for gap in box.gaps() if gap.cause != GapCause.RECORD_LOST] == gaps
    assert meta(box, "reconcile") is None
    assert meta(box, "rebuild") is None
    assert box.kinds() == ["ledger.began", "catalogue.rebuilt"]
    began, rebuilt = (body for _, body in box.facts())
    assert (began["reason"], began["previous_size"]) == ("damaged", len(expected) + 1)
    assert rebuilt["cameras"]["cam1"] == {
        "segments": 6,
        "start_ms": STARTS[0],
        "end_ms": STARTS[-1] + SEGMENT_MS,
    }
    assert go_on(box) is None
    box.check()


def test_without_a_copy_the_files_tell_what_they_can(tmp_path) -> None:
    """B13: files without rows."""
    box = aged(tmp_path)
    fill(box, STARTS)
    before = {row.path: row for row in box.rows()}
    lose(box)
    box.clock.utc_ms = T0 + 60_000
    assert box.prepare().began == "missing"
    assert go_on(box).named == len(before)
    rows = {row.path: row for row in box.rows()}
    assert rows.keys() == before.keys()
    for path, row in rows.items():
        was = before[path]
        assert (row.start_ms, row.sealed_bytes, row.plain_bytes, row.state, row.trust) == (
            was.start_ms,
            was.sealed_bytes,
            was.plain_bytes,
            was.state,
            Trust.HOLDOVER,
        )
        # Exactly where another follows; else the last write, 3 ms late here, says it.
        follows = any(one.start_ms == was.end_ms and one.camera == was.camera for one in before.values())
        assert row.end_ms == was.end_ms + (0 if follows else 3)
        assert (row.run, row.codec, row.sha256, row.frames) == ("unknown", "unknown", "", 0)
    kept = {row[rebuild.COLUMNS.index("kept_from_ms")] for row in table(box)}
    assert kept == set(STARTS)


def test_what_nothing_explains_is_a_gap_that_says_so(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS)
    box.add_gap(Gap("cam1", Span(T0 + 2 * SEGMENT_MS, T0 + 3 * SEGMENT_MS), GapCause.CAMERA_SILENT))
    corrupt(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    go_on(box)
    lost = [
        (gap.camera, gap.span.start_ms, gap.span.end_ms)
        for gap in box.gaps()
        if gap.cause == GapCause.RECORD_LOST
    ]
    days = [(T0 - 2 * DAY_MS + 2 * SEGMENT_MS, T0 - DAY_MS), (T0 - DAY_MS + SEGMENT_MS, T0)]
    tail = (T0 + 4 * SEGMENT_MS, T0 + 60_000)
    assert [hole[1:] for hole in lost if hole[0] == "cam1"] == [*days, tail]
    assert [hole[1:] for hole in lost if hole[0] == "cam2"] == [
        *days,
        (T0 + 2 * SEGMENT_MS, T0 + 3 * SEGMENT_MS),
        tail,
    ]


def test_a_label_that_cannot_be_true_never_erases(tmp_path) -> None:
    """Before the vault was made, or later than now: kept from nowhere until somebody settles it."""
    box = Box(tmp_path)
    fill(box, [T0, T0 + 40 * DAY_MS], ("cam1",))
    fill(box, [1000], ("cam2",))
    lose(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    for row in box.vault_path.rglob("*.age"):
        os.utime(row, ns=(0, (T0 + 5000) * 1_000_000 + 1))
    place = box.vault_path / "VAULT"
    place.write_text(place.read_text().replace(str(T0), str(T0 - 1000)))
    go_on(box)
    index = [rebuild.COLUMNS.index(name) for name in ("start_ms", "kept_from_ms", "trust")]
    assert [tuple(row[i] for i in index) for row in table(box)] == [
        (T0, T0, "HOLDOVER"),
        (T0 + 40 * DAY_MS, None, "UNTRUSTED"),
        (1000, None, "UNTRUSTED"),
    ]


def test_while_time_is_in_doubt_rows_are_made_and_the_end_waits(tmp_path) -> None:
    box = Box(tmp_path)
    fill(box, [T0, T0 + 40 * DAY_MS], ("cam1",))
    lose(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    doubt = Instant(5000, Trust.UNTRUSTED)
    for place in box.vault_path.rglob("*.age"):
        os.utime(place, ns=(0, T0 * 1_000_000 + 1))
    assert go_on(box, at=doubt).phase == "time"
    assert meta(box, "reconcile") == "missing"
    assert len(box.rows()) == 2
    assert go_on(box, at=doubt).phase == "time"
    assert go_on(box).done
    kept = rebuild.COLUMNS.index("kept_from_ms")
    assert [row[kept] for row in table(box)] == [T0, None]


def test_many_labels_in_the_future_are_taken_back_a_few_at_a_time(tmp_path, monkeypatch) -> None:
    """I5: no transaction is so long that a recorder has to wait; cut off in between, the rest is done next time."""
    box = Box(tmp_path)
    fill(box, [T0 + 40 * DAY_MS + number * SEGMENT_MS for number in range(5)], ("cam1",))
    lose(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    for place in box.vault_path.rglob("*.age"):
        os.utime(place, ns=(0, T0 * 1_000_000 + 1))
    assert go_on(box, at=Instant(5000, Trust.UNTRUSTED)).phase == "time"
    kept = rebuild.COLUMNS.index("kept_from_ms")
    assert None not in [row[kept] for row in table(box)]
    monkeypatch.setattr(rebuild, "_LABELS_A_TIME", 2)
    monkeypatch.setattr(rebuild, "_DOUBT", rebuild._DOUBT.replace("LIMIT 2000", "LIMIT 2"))
    steps: list[str] = []
    assert go_on(box, step=steps.append).done
    assert steps[-2:] == ["R5", "R6"]
    assert [row[kept] for row in table(box)] == [None] * 5


def test_a_day_at_a_time_it_goes_on_where_it_was(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS)
    expected = table(box)
    corrupt(box)
    box.prepare()
    turns = 0
    while True:
        progress = go_on(box, budget_s=0.0)
        turns += 1
        assert progress is None or turns < 100
        if progress is None or progress.done:
            break
        # With no time at all nothing is done; with a little, a day is.
        go_on_once(box)
    assert table(box) == expected
    assert box.kinds().count("catalogue.rebuilt") == 1


def go_on_once(box: Box) -> None:
    """Let one step be done, and stop as a kill would."""

    class Stopped(Exception):
        pass

    def step(_: str) -> None:
        raise Stopped

    with contextlib.suppress(Stopped):
        go_on(box, step=step)


def test_a_file_that_was_shredded_is_no_segment(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS, ("cam1",))
    row = box.rows()[0]
    raw = box.file(row).read_bytes()
    box.file(row).write_bytes(bytes(400) + raw[400:])
    os.utime(box.file(row), ns=(0, row.end_ms * 1_000_000))
    lose(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    progress = go_on(box)
    assert (progress.quarantined, progress.named) == (1, len(STARTS) - 1)
    assert row.path not in {one.path for one in box.rows()}
    assert len(box.names("quarantine")) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("sealed_bytes", 5),
        ("start_ms", 7),
        ("start_ms", "x"),
        ("end_ms", 1 << 60),
        ("trust", "SURE"),
        ("camera", "cam9"),
        ("run", b"\xff"),
        ("frames", -1),
    ],
)
def test_an_old_row_that_does_not_agree_with_its_file_is_not_believed(tmp_path, column, value) -> None:
    """B11: overwritten bytes that SQLite does not notice."""
    box = aged(tmp_path)
    fill(box, STARTS, ("cam1",))
    db = sqlite3.connect(box.state / FILE)
    db.execute(f"UPDATE segment SET {column} = ? WHERE start_ms = ?", (value, T0))
    db.commit()
    db.close()
    corrupt(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    progress = go_on(box)
    assert (progress.imported, progress.named) == (len(STARTS) - 1, 1)
    (row,) = [row for row in box.rows() if row.start_ms == T0]
    assert (row.codec, row.end_ms) == ("unknown", T0 + SEGMENT_MS)


def test_an_old_row_that_would_be_erased_too_early_is_kept_from_nowhere(tmp_path) -> None:
    box = Box(tmp_path)
    fill(box, [T0], ("cam1",))
    db = sqlite3.connect(box.state / FILE)
    db.execute("UPDATE segment SET kept_from_ms = 1000")
    db.commit()
    db.close()
    corrupt(box)
    box.prepare()
    assert go_on(box).imported == 1
    assert table(box)[0][rebuild.COLUMNS.index("kept_from_ms")] is None


def test_what_a_living_recorder_has_in_hand_is_left_to_it(tmp_path) -> None:
    box = Box(tmp_path)
    fill(box, [T0], ("cam1",))
    lose(box)
    box.prepare()
    box.clock.utc_ms = T0 + 60_000
    desk = box.desk()
    desk.begin(start("cam1", T0 + SEGMENT_MS))
    desk.write("cam1", pattern(30_000, 3), T0 + 2 * SEGMENT_MS, 100)
    desk.flush()
    progress = go_on(box)
    assert (progress.named, progress.done) == (0, True)  # both were written after the catalogue began
    desk.stop()
    desk.close()
    assert [row.start_ms for row in box.rows() if row.codec != "unknown"] == [T0 + SEGMENT_MS]


def test_what_is_being_recorded_while_the_catalogue_is_replaced_is_no_gap(tmp_path) -> None:
    """B11, I4: the open segment's minute has its row soon, and must not also be called lost."""
    box = Box(tmp_path)
    fill(box, [T0], ("cam1",))
    desk = box.desk()
    desk.begin(start("cam1", T0 + SEGMENT_MS))
    desk.write("cam1", pattern(30_000, 3), T0 + 3 * SEGMENT_MS, 100)
    desk.flush()
    corrupt(box)
    box.clock.utc_ms = T0 + 3 * SEGMENT_MS + 1500  # between two flushes
    box.prepare()
    assert go_on(box).done
    assert [gap for gap in box.gaps() if gap.cause == GapCause.RECORD_LOST] == []
    desk.stop()
    desk.close()


def test_a_vault_that_is_away_gets_its_rows_when_it_is_back(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS)
    before = {row.path for row in box.rows()}
    lose(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    catalogue = Catalogue.open(box.state)
    progress = rebuild.advance(catalogue, {}, box.state, box.clock.now(), 60)
    assert progress is not None
    assert (progress.done, catalogue.meta("reconcile"), catalogue.counts()["segment"]) == (True, None, 0)
    assert catalogue.counts()["gap"] == 0
    assert rebuild.advance(catalogue, {}, box.state, box.clock.now(), 60) is None
    catalogue.close()
    assert go_on(box).done
    assert {row.path for row in box.rows()} == before
    assert meta(box, "unreconciled") is None


def test_old_copies_are_thinned_out_and_no_video_with_them(tmp_path) -> None:
    box = aged(tmp_path)
    fill(box, STARTS)
    names = box.names()
    for turn in range(5):
        corrupt(box)
        box.clock.utc_ms += 1000
        box.prepare()
        assert go_on(box).done
        assert len(list((box.state / "aside").iterdir())) == min(turn + 1, 3)
    assert box.names() == names
    assert len(box.rows()) == len(names)
    assert all(row.codec == "h264" for row in box.rows())


class Second:
    """A vault of an earlier life, which a recorder's start tells the catalogue of in the middle of a rebuilding."""

    def __init__(self, box: Box) -> None:
        self.box = box
        other = Box(box.root / "other")
        fill(other, STARTS)
        self.path = box.root / "second"
        other.vault_path.rename(self.path)
        identity = self.path / "VAULT"
        identity.write_text(identity.read_text().replace("uuid-1", "uuid-2"))
        self.started = False

    def start(self, step: str) -> None:
        if step == "R1" and not self.started:
            self.started = True
            paths = [self.box.vault_path, self.path]
            now = self.box.clock.now()
            prepare(paths, self.box.state, CAMERAS, now, box="box-1", new_uuid=lambda: "uuid-9")

    def vaults(self) -> dict[str, Vault]:
        return {vault.uuid: vault for vault in map(Vault.open, (self.box.vault_path, self.path))}


@pytest.mark.parametrize("seen", [False, True])
def test_a_vault_that_a_recorder_tells_of_meanwhile_is_not_forgotten(tmp_path, seen) -> None:
    """B11: both write down which vaults wait for rows; whether the keeper looked for vaults before or after that."""
    box = aged(tmp_path)
    fill(box, STARTS)
    second = Second(box)
    lose(box)
    box.clock.utc_ms = T0 + 60_000
    box.prepare()
    vaults = second.vaults() if seen else {box.vault.uuid: box.vault}
    catalogue = Catalogue.open(box.state)
    progress = rebuild.advance(catalogue, vaults, box.state, box.clock.now(), 60, step=second.start)
    assert second.started
    assert progress is not None
    assert progress.done is not seen
    assert json.loads(catalogue.meta("unreconciled") or "[]") == ["uuid-2"]
    assert (catalogue.meta("reconcile") is None) is not seen
    again = rebuild.advance(catalogue, second.vaults(), box.state, box.clock.now(), 60)
    assert again is not None
    assert again.done
    assert [catalogue.meta(key) for key in ("unreconciled", "reconcile", "began")] == [None, None, None]
    rows = catalogue.read("SELECT vault, COUNT(*) FROM segment GROUP BY 1")
    assert rows == [("uuid-1", 2 * len(STARTS)), ("uuid-2", 2 * len(STARTS))]
    catalogue.close()
