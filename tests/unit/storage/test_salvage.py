from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.errors import StorageFault
from agent.model import Instant, Trust
from agent.storage import files, progress
from agent.storage.catalogue import Catalogue
from agent.storage.envelope import CHUNK_BYTES, SEALED_CHUNK_BYTES, Opened, shred_span
from agent.storage.keep.reborn import UNKNOWN
from agent.storage.layout import Kind, stem_of
from agent.storage.salvage import salvage
from tests.procedure.scenario import IDENTITY
from tests.unit.storage.box import T0, Box, FailingDisk, pattern, start

if TYPE_CHECKING:
    from pathlib import Path

DAY_MS = 86_400_000


def leave_part(box: Box, seconds: int = 4, size: int = 50_000, *, told: bool = True) -> Path:
    """Leave a `.part` as a killed recorder does; without what it told of it, if so wanted."""
    pid = os.fork()
    if pid == 0:
        desk = box.desk()
        desk.begin(start())
        for i in range(seconds):
            desk.write("cam1", pattern(size, i), T0 + 1000 * (i + 1), 25)
            desk.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    if not told:
        (box.state / "open" / "record.json").unlink()
    return box.vault.at(stem_of("cam1", T0).path(Kind.PART))


def header_bytes(place: Path) -> int:
    return shred_span(place.read_bytes()[:65_536]) + 16


def test_without_a_word_the_time_of_the_last_write_bounds_the_span(tmp_path) -> None:
    box = Box(tmp_path)
    part = leave_part(box, told=False)
    box.clock.utc_ms = T0 + 3_600_000
    os.utime(part, ns=(0, (T0 + 4321) * 1_000_000))
    assert box.salvage().salvaged == 1
    (row,) = box.rows()
    assert (row.start_ms, row.end_ms, row.frames, row.run) == (T0, T0 + 4321, 0, "unknown")
    assert (row.codec, row.trust) == (UNKNOWN, Trust.HOLDOVER.value)
    box.check()


@pytest.mark.parametrize(
    ("trust", "created_ms", "now_ms", "kept_from_ms"),
    [
        (Trust.SYNCED, T0, T0 + 20 * DAY_MS, T0),
        (Trust.HOLDOVER, T0 - DAY_MS, T0, T0),
        (Trust.UNTRUSTED, T0, T0 + 20 * DAY_MS, None),
        (Trust.SYNCED, T0 + 1, T0 + 20 * DAY_MS, None),
        (Trust.SYNCED, T0, T0 - 1, None),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_one_of_which_nothing_is_told_is_kept_from_the_start_in_its_name_if_that_can_be(
    tmp_path, finished, trust, created_ms, now_ms, kept_from_ms
) -> None:
    """As a rebuild does: an old one must not begin its thirty days anew, and a label that cannot be erases nothing."""
    box = Box(tmp_path)
    part = leave_part(box, told=False)
    if finished:
        with part.open("r+b") as file:  # it does not end with a whole chunk
            file.truncate(100_000)
        part.rename(box.vault.at(stem_of("cam1", T0).path(Kind.FINAL)))
        (tail,) = box.vault_path.rglob("*.tail")
        tail.unlink()
    vault = replace(box.vault, created_ms=created_ms)
    catalogue = Catalogue.open(box.state)
    report = salvage(vault, catalogue, box.state, None, Instant(now_ms, trust))
    assert (report.adopted, report.salvaged) == ((1, 0) if finished else (0, 1))
    assert catalogue.read("SELECT start_ms, kept_from_ms FROM segment") == [(T0, kept_from_ms)]
    catalogue.close()


@pytest.mark.parametrize("finished", [False, True])
def test_c8_what_was_written_long_after_its_name_is_kept_from_then(tmp_path, finished) -> None:
    """C8: recorded two hours ago under a label that is forty days behind, and nothing tells of it but the file."""
    box = Box(tmp_path)
    part = leave_part(box, told=False)
    now_ms = T0 + 40 * DAY_MS
    written_ms = now_ms - 7_200_000
    if finished:
        with part.open("r+b") as file:
            file.truncate(100_000)
        place = part.rename(box.vault.at(stem_of("cam1", T0).path(Kind.FINAL)))
        next(box.vault_path.rglob("*.tail")).unlink()
    else:
        place = part
    os.utime(place, ns=(0, written_ms * 1_000_000 + 1))
    box.clock.utc_ms = now_ms
    box.salvage()
    catalogue = Catalogue.open(box.state)
    rows = catalogue.read("SELECT trust, kept_from_ms FROM segment")
    catalogue.close()
    assert rows == [("HOLDOVER", written_ms - 600_000)]


def test_c8_what_a_stamp_tells_is_believed_also_where_the_row_is_gone(tmp_path) -> None:
    """C8: its label was corrected (keep/stamps.py), and the row was lost since."""
    box = Box(tmp_path)
    part = leave_part(box, told=False)
    now_ms = T0 + 40 * DAY_MS
    os.utime(part, ns=(0, (now_ms - 7_200_000) * 1_000_000))
    box.clock.utc_ms = now_ms
    box.salvage()
    catalogue = Catalogue.open(box.state)
    rows = catalogue.read("SELECT end_ms, kept_from_ms, relabelled_from_ms FROM segment")
    catalogue.close()
    assert rows == [(now_ms - 7_200_000, now_ms - 7_200_000, T0)]


@pytest.mark.parametrize(
    ("mtime_ms", "now_ms", "end_ms"),
    [
        (T0 - 5000, T0 + 9000, T0 + 1),
        (T0 + 86_400_000, T0 + 86_500_000, T0 + 600_000),
        (T0 + 50_000, T0 + 20_000, T0 + 20_000),
        (T0 + 50_000, T0 - 20_000, T0 + 1),
    ],
)
def test_a_last_write_that_cannot_be_is_not_believed(tmp_path, mtime_ms, now_ms, end_ms) -> None:
    box = Box(tmp_path)
    part = leave_part(box, told=False)
    os.utime(part, ns=(0, mtime_ms * 1_000_000 + 1))
    box.clock.utc_ms = now_ms
    box.salvage()
    assert [row.end_ms for row in box.rows()] == [end_ms]


def test_zeros_behind_what_was_promised_are_cut_off(tmp_path) -> None:
    box = Box(tmp_path)
    part = leave_part(box, seconds=5, told=False)
    header = header_bytes(part)
    raw = part.read_bytes()
    chunks = (len(raw) - header) // SEALED_CHUNK_BYTES
    assert chunks == 3
    part.write_bytes(raw[: header + SEALED_CHUNK_BYTES + 500] + bytes(3 * SEALED_CHUNK_BYTES))
    box.salvage()
    (row,) = box.rows()
    # The second chunk's tag is zero as well; so it is not one.
    assert row.sealed_bytes == header + SEALED_CHUNK_BYTES
    with box.file(row).open("rb") as file:
        assert len(next(Opened(file, [IDENTITY]).chunks()).data) == 65_536


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("torn_bytes", [1, 15, 16, 17, 30_000, SEALED_CHUNK_BYTES - 1])
def test_a10_a_chunk_that_was_torn_costs_itself_and_no_other(tmp_path, torn_bytes, told) -> None:
    """A10: every chunk before it is a segment that opens; nothing is set aside as damaged."""
    box = Box(tmp_path)
    part = leave_part(box, seconds=6, told=told)
    header = header_bytes(part)
    os.truncate(part, header + 2 * SEALED_CHUNK_BYTES + torn_bytes)
    report = box.salvage()
    assert (report.salvaged, report.quarantined) == (1, 0)
    (row,) = box.rows()
    assert (row.state, row.sealed_bytes) == ("SALVAGED", header + 2 * SEALED_CHUNK_BYTES)
    expected = b"".join(pattern(50_000, number) for number in range(6))[: 2 * CHUNK_BYTES]
    with box.file(row).open("rb") as file:
        *whole, end = Opened(file, [IDENTITY]).chunks()
    assert b"".join(piece.data for piece in whole) == expected
    assert end.kind == "unfinished"
    box.check()


@pytest.mark.parametrize("size", [1000, 100_000])
def test_space_that_was_reserved_is_given_back(tmp_path, size) -> None:
    """A whole chunk is salvaged, less is quarantined; neither keeps the 4 MiB that its recorder had reserved."""
    box = Box(tmp_path)
    part = leave_part(box, seconds=1, size=size, told=False)
    assert size > 65_536 or part.with_name(part.name.replace(".part", ".tail")).exists()
    if size < 65_536:
        part.with_name(part.name.replace(".part", ".tail")).unlink()
    reserved = part.stat().st_blocks * 512
    box.salvage()
    place = box.vault_path / (box.names() + box.names("quarantine"))[0]
    assert place.stat().st_blocks * 512 <= min(reserved, 256 << 10)


def test_missing_chunks_that_were_durable_are_told(tmp_path) -> None:
    box = Box(tmp_path)
    part = leave_part(box, seconds=6)
    header = header_bytes(part)
    os.truncate(part, header + SEALED_CHUNK_BYTES + 7)
    box.salvage()
    (row,) = box.rows()
    assert row.frames < 150
    (fact,) = [body for kind, body in box.facts() if kind == "segment.salvaged"]
    # Four were durable; the word about the fourth is written with the sync after it.
    assert fact["missing_chunks"] == 2
    box.check()


def test_a_finished_file_that_is_not_what_was_written_is_quarantined(tmp_path) -> None:
    box = Box(tmp_path)
    desk = box.desk()
    desk.begin(start())
    desk.write("cam1", pattern(100_000, 1), T0 + 1000, 25)
    desk.flush()
    desk.end("cam1", T0 + 1000)
    told = (box.state / "open" / "record.json").read_bytes()
    assert progress.read(box.state / "open" / "record.json")[0].final is not None
    desk.stop()
    desk.close()
    (row,) = box.rows()
    raw = bytearray(box.file(row).read_bytes())
    raw[5000] ^= 1
    box.file(row).write_bytes(raw)
    forget_rows(box)
    (box.state / "open" / "record.json").write_bytes(told)
    report = box.salvage()
    assert (report.adopted, report.quarantined) == (0, 1)
    assert box.names() == []
    assert [body["reason"] for kind, body in box.facts() if kind == "segment.quarantined"] == [
        "not what was written"
    ]


def forget_rows(box: Box) -> None:
    import sqlite3

    db = sqlite3.connect(box.state / "catalogue.db", isolation_level=None)
    db.execute("DELETE FROM segment")
    db.close()


def test_a_finished_file_of_which_nothing_is_known_is_adopted(tmp_path) -> None:
    box = Box(tmp_path)
    desk = box.desk()
    desk.begin(start())
    desk.write("cam1", pattern(200_000, 1), T0 + 1000, 25)
    desk.end("cam1", T0 + 1000)
    desk.stop()
    desk.close()
    (before,) = box.rows()
    forget_rows(box)
    (box.state / "open" / "record.json").unlink()
    box.clock.utc_ms = T0 + 86_400_000
    os.utime(box.file(before), ns=(0, (T0 + 1003) * 1_000_000))
    assert box.salvage().adopted == 1
    (row,) = box.rows()
    assert (row.state, row.end_ms, row.plain_bytes) == ("COMMITTED", T0 + 1003, 200_000)
    assert (row.sha256, row.sealed_bytes) == (before.sha256, before.sealed_bytes)


def test_a_part_whose_salvaged_name_is_taken_is_quarantined(tmp_path) -> None:
    box = Box(tmp_path)
    part = leave_part(box)
    salvaged = box.vault.at(stem_of("cam1", T0).path(Kind.SALVAGED))
    salvaged.write_bytes(part.read_bytes())
    report = box.salvage()
    assert report.quarantined >= 1
    assert salvaged.exists()
    again = box.salvage()
    assert (again.salvaged, again.quarantined) == (1, 0)


def test_an_unreadable_salvaged_file_goes_with_its_tail(tmp_path) -> None:
    box = Box(tmp_path)
    stem = box.vault.new_stem("cam1", T0)
    box.vault.at(stem.path(Kind.SALVAGED)).write_bytes(b"garbage")
    box.vault.at(stem.path(Kind.SALVAGED_TAIL)).write_bytes(b"tail")
    other = box.vault.new_stem("cam1", T0 + 5000)
    box.vault.at(other.path(Kind.SALVAGED_TAIL)).write_bytes(b"tail")
    box.vault.at(other.path(Kind.TAIL)).touch()
    report = box.salvage()
    assert (report.quarantined, report.faults) == (3, [])
    assert box.names() == []


def test_one_bad_file_does_not_stop_the_others(tmp_path) -> None:
    box = Box(tmp_path)
    part = leave_part(box)
    twin = box.vault.at(stem_of("cam1", T0 + 60_000).path(Kind.PART))
    twin.write_bytes(part.read_bytes())
    box.vault = type(box.vault)(
        box.vault.root,
        box.vault.uuid,
        box.vault.created_ms,
        FailingDisk(lambda _n, op, path: errno.EIO if op == "fdatasync" and path == part else None),
    )
    report = box.salvage()
    assert report.salvaged == 1
    assert [fault.code for fault in report.faults] == ["DISK_FAILED"]
    assert part.exists()


def test_a_catalogue_that_is_locked_ends_the_pass_with_everything_in_place(tmp_path) -> None:
    import sqlite3

    from agent.storage.catalogue import Catalogue
    from agent.storage.salvage import salvage

    box = Box(tmp_path)
    leave_part(box)
    lock = sqlite3.connect(box.state / "catalogue.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    catalogue = Catalogue.open(box.state, busy_s=0.01)
    with pytest.raises(StorageFault, match="CATALOGUE_BUSY"):
        salvage(box.vault, catalogue, box.state, None, box.clock.now())
    catalogue.close()
    lock.execute("ROLLBACK")
    lock.close()
    assert box.salvage().salvaged == 1
    box.check()


def test_a_vault_without_its_segments_is_a_fault_and_not_an_empty_one(tmp_path) -> None:
    box = Box(tmp_path)
    (box.vault_path / "segments").rmdir()
    with pytest.raises(StorageFault, match="DISK_MISSING"):
        box.salvage()


def test_somebodys_own_files_are_never_touched(tmp_path) -> None:
    """B14: names that Pasu does not write stay where they are, whatever lies around them; that is told once."""
    box = Box(tmp_path)
    part = leave_part(box)
    segments = box.vault_path / "segments"
    (segments / "holiday").mkdir()
    (segments / "my photos").mkdir()
    (segments / "cam9").symlink_to("/etc")
    own = [
        *(segments / "holiday" / "IMG_1.jpg", segments / "readme.txt", segments / "my photos" / "a.jpg"),
        *(part.parent / "clip.mp4", part.parent.parent / "notes"),
    ]
    for place in own:
        place.write_text("mine")
    (part.parent / "holiday.mp4.age").symlink_to("/etc/hostname")
    for _ in range(2):
        box.salvage()
        assert [place.read_text() for place in own] == ["mine"] * 5
        assert (segments / "cam9").is_symlink()
        assert (part.parent / "holiday.mp4.age").is_symlink()
        assert box.names("quarantine") == []
    assert [row.state for row in box.rows()] == ["SALVAGED"]
    (told,) = [body for kind, body in box.facts() if kind == "vault.foreign_files"]
    assert (told["vault"], told["count"]) == ("uuid-1", 7)
    assert "segments/my photos" in told["first"]
    (segments / "another").write_text("mine")
    box.salvage()
    assert [body["first"] for kind, body in box.facts() if kind == "vault.foreign_files"][1:] == [
        ["segments/another"]
    ]


def test_b13_one_that_its_recorder_finishes_while_it_is_opened_is_live(tmp_path, monkeypatch) -> None:
    """Its lock is gone then, and its name; nothing is cut."""
    box = Box(tmp_path)
    part = leave_part(box, told=False)
    final = box.vault.at(stem_of("cam1", T0).path(Kind.FINAL))
    size = part.stat().st_size
    real = files.try_lock

    def finished(fd: int) -> bool:
        if part.exists():
            part.rename(final)
        return real(fd)

    monkeypatch.setattr(files, "try_lock", finished)
    assert box.salvage().live == 1
    assert final.stat().st_size == size
