"""`Check`: what each level finds, what repair does, and how a check is stopped and gone on with."""

from __future__ import annotations

import os
import shutil
from itertools import count

import pytest

from agent.errors import StorageFault
from agent.model import UTC_DAY_MS, GapCause, Span
from agent.storage import files
from agent.storage.catalogue import Catalogue
from agent.storage.envelope import SEALED_CHUNK_BYTES, shred_span
from agent.storage.keep import check
from agent.storage.keep.check import Check, Selection
from agent.storage.keep.check_day import Examiner
from agent.storage.keep.check_findings import Done, Level, What
from agent.storage.layout import Kind, stem_of
from tests.unit.keep.shelf import AT, MINUTE_MS, T0, Shelf


@pytest.fixture
def shelf(tmp_path):
    made = Shelf(tmp_path)
    yield made
    made.catalogue.close()


def begin(shelf: Shelf, level: str = "digests", *, camera=None, span=None, **more) -> Check:
    selection = Selection(f"{level} {camera} {span}", Level(level), camera, span)
    return Check(shelf.catalogue, shelf.vaults, shelf.state, selection, lambda: AT, disk=shelf.disk, **more)


def run(shelf: Shelf, level: str = "digests", **more):
    made = begin(shelf, level, **more)
    assert made.run(lambda: True)
    return made.tally


def whats(tally) -> list[tuple[str, What]]:
    return sorted((finding.path.rpartition("/")[2], finding.what) for finding in tally.findings)


def damage(path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("level", list(Level))
def test_what_is_whole_is_found_whole(shelf, level) -> None:
    for minute in range(3):
        shelf.add(minute)
    shelf.add(3, tail=True)
    shelf.add(0, camera="cam2")
    tally = run(shelf, level)
    assert (tally.findings, tally.still, tally.files, tally.days) == ([], 0, 5, 2)
    assert tally.bytes == (sum(row.sealed_bytes for row in rows(shelf)) if level is Level.DIGESTS else 0)
    assert not (shelf.state / check.FILE).exists()


def rows(shelf):
    return [row for camera in ("cam1", "cam2") for row in shelf.catalogue.segments(camera)]


@pytest.mark.parametrize("level", list(Level))
def test_each_level_finds_what_it_says(shelf, level) -> None:
    """B13: rows without files, files without rows. B8: what a lying disk lost is not called present."""
    segments = [shelf.add(minute) for minute in range(6)]
    shelf.at(segments[0]).unlink()
    os.truncate(shelf.at(segments[1]), segments[1].sealed_bytes - 1)
    damage(shelf.at(segments[2]), 5000, b"\0\0\0\0")
    damage(shelf.at(segments[3]), 0, b"X")
    shelf.add(6, row=False)
    name = {number: segment.path.rpartition("/")[2] for number, segment in enumerate(segments)}
    expected = [(name[0], What.MISSING), ("20270115T080600.000Z.mp4.age", What.ORPHAN)]
    if level is not Level.PRESENCE:
        expected.append((name[1], What.SIZE))
    if level is Level.DIGESTS:
        expected += [(name[2], What.DIGEST), (name[3], What.HEADER)]
    tally = run(shelf, level)
    assert whats(tally) == sorted(expected)
    assert tally.still == len(expected)
    # Only told: nothing was done.
    assert [shelf.state_of(segment)[0] for segment in segments] == ["COMMITTED"] * 6
    assert shelf.gaps() == []


def test_repair_moves_damage_to_quarantine_and_says_what_is_lost(shelf) -> None:
    """B8, B13: afterwards nothing is called present that is not, each lost span is a gap, and no byte is erased."""
    whole, gone, cut, changed = (shelf.add(minute) for minute in range(4))
    held = shelf.add(4)
    link = shelf.hold(held)
    os.truncate(shelf.at(cut), 4000)
    damage(shelf.at(changed), 80_000, b"?" * 16)
    damage(shelf.at(held), 80_000, b"?" * 16)
    contents = {path: shelf.at(path).read_bytes() for path in (cut, changed, held)}
    shelf.at(gone).unlink()
    loose = shelf.add(5, row=False)
    tally = run(shelf, repair=True)
    done = {finding.path: (finding.what, finding.done) for finding in tally.findings}
    assert done == {
        gone.path: (What.MISSING, Done.LOST),
        cut.path: (What.SIZE, Done.QUARANTINED),
        changed.path: (What.DIGEST, Done.QUARANTINED),
        held.path: (What.DIGEST, Done.HELD),
        loose.path: (What.ORPHAN, Done.ADOPTED),
    }
    assert tally.still == 1
    assert [row.path for row in shelf.catalogue.segments("cam1")] == [whole.path, held.path, loose.path]
    assert shelf.state_of(gone) == ("LOST", "MISSING")
    assert shelf.state_of(cut) == shelf.state_of(changed) == ("LOST", "DAMAGED")
    assert [(gap.span, gap.cause, gap.detail) for gap in shelf.gaps()] == [
        (gone.span, GapCause.SEGMENT_LOST, "missing"),
        (cut.span, GapCause.SEGMENT_LOST, "size"),
        (changed.span, GapCause.SEGMENT_LOST, "digest"),
    ]
    assert [fact["path"] for fact in shelf.facts("segment.lost")] == [gone.path, cut.path, changed.path]
    assert len(shelf.facts("gap")) == 3
    quarantined = {shelf.vault.at(name).read_bytes() for name in shelf.names("quarantine")}
    assert quarantined == {contents[cut], contents[changed]}
    assert link.read_bytes() == shelf.at(held).read_bytes() == contents[held]
    # The second time nothing is left to do, but for the held one.
    again = run(shelf, repair=True)
    assert whats(again) == [(held.path.rpartition("/")[2], What.DIGEST)]
    assert len(shelf.facts("segment.lost")) == 3


def test_what_is_moved_back_out_of_quarantine_by_hand_is_taken_in_again(shelf) -> None:
    """As the hint of DELETION_QUARANTINED says."""
    segment = shelf.add(0)
    shelf.add(1)
    damage(shelf.at(segment), 80_000, b"?" * 16)
    damaged = shelf.at(segment).read_bytes()
    run(shelf, repair=True)
    (name,) = shelf.names("quarantine")
    assert shelf.state_of(segment)[0] == "LOST"
    shelf.vault.at(name).rename(shelf.at(segment))
    (finding,) = run(shelf, repair=True).findings
    assert finding.done is Done.ADOPTED
    assert segment.path in [row.path for row in shelf.catalogue.segments("cam1")]
    assert shelf.at(segment).read_bytes() == damaged
    assert run(shelf).still == 0


@pytest.mark.parametrize("camera", ["cam1", "*"])
def test_what_a_hold_covers_without_a_link_stays_too(shelf, camera) -> None:
    held = shelf.add(0)
    shelf.hold(held, linked=False, camera=camera)
    os.truncate(shelf.at(held), 4000)
    (finding,) = run(shelf, repair=True).findings
    assert finding.done is Done.HELD
    assert shelf.state_of(held)[0] == "COMMITTED"
    assert shelf.at(held).exists()


@pytest.mark.parametrize("known", [True, False])
def test_a_held_segment_gets_its_name_back(shelf, known) -> None:
    """Also by a link of which the catalogue does not know: a hold that was cut off, or is older than it."""
    held = shelf.add(0)
    link = shelf.hold(held)
    if not known:
        shelf.catalogue.write(lambda db: db.execute("DELETE FROM hold_segment"))
    shutil.rmtree(shelf.at(held).parent.parent)
    (finding,) = run(shelf, repair=True).findings
    assert (finding.what, finding.done) == (What.MISSING, Done.RESTORED)
    assert os.path.samefile(link, shelf.at(held))
    assert shelf.state_of(held)[0] == "COMMITTED"
    assert shelf.gaps() == []
    assert run(shelf).findings == []


def test_a_chunk_that_cannot_be_read_is_named_and_its_neighbours_go_on(shelf) -> None:
    """B7."""
    first, bad, last = (shelf.add(minute, size=400_000) for minute in range(3))
    start = shred_span(shelf.at(bad).read_bytes()) + 16
    sector = start + 2 * SEALED_CHUNK_BYTES + 100
    shelf.disk.bad[shelf.at(bad).name] = range(sector, sector + 512)
    tally = run(shelf, repair=True)
    (finding,) = tally.findings
    assert (finding.path, finding.what, finding.done) == (bad.path, What.UNREADABLE, Done.NOTHING)
    assert [(place.chunk, place.offset, place.how) for place in finding.places] == [
        (2, start + 2 * SEALED_CHUNK_BYTES, "unreadable")
    ]
    assert tally.files == 3
    assert tally.bytes == first.sealed_bytes + bad.sealed_bytes + last.sealed_bytes
    # It may be readable behind another cable: it is not moved.
    assert shelf.at(bad).exists()
    assert shelf.state_of(bad)[0] == "COMMITTED"


def test_a_header_that_cannot_be_read(shelf) -> None:
    """B7."""
    bad = shelf.add(0)
    shelf.disk.bad[shelf.at(bad).name] = range(100)
    (finding,) = run(shelf).findings
    assert finding.what is What.UNREADABLE
    assert finding.places[0].chunk is None


def test_zeros_where_bytes_never_arrived_are_named(shelf) -> None:
    """B8."""
    segment = shelf.add(0, size=400_000)
    start = shred_span(shelf.at(segment).read_bytes()) + 16
    damage(shelf.at(segment), start + 3 * SEALED_CHUNK_BYTES, bytes(SEALED_CHUNK_BYTES))
    (finding,) = run(shelf).findings
    assert finding.what is What.DIGEST
    assert [(place.chunk, place.how) for place in finding.places] == [(3, "zeros")]


def test_an_unknown_hash_is_not_judged_but_zeros_are(shelf) -> None:
    shelf.add(0, sha256="")
    zeros = shelf.add(1, sha256="")
    start = shred_span(shelf.at(zeros).read_bytes()) + 16
    damage(shelf.at(zeros), start, bytes(SEALED_CHUNK_BYTES))
    assert [(finding.path, finding.what) for finding in run(shelf).findings] == [(zeros.path, What.DIGEST)]


def test_tails_are_looked_at(shelf) -> None:
    whole, gone, empty, damaged, strange = (shelf.add(minute, tail=True) for minute in range(5))
    tails = {row: shelf.vault.at(row.path + ".tail") for row in (gone, empty, damaged, strange)}
    tails[gone].unlink()
    tails[empty].write_bytes(b"")
    damage(tails[damaged], 0, b"X")
    tails[strange].unlink()
    tails[strange].symlink_to(shelf.at(whole))
    tally = run(shelf)
    assert [(finding.path, finding.what) for finding in tally.findings] == [
        (row.path, What.TAIL) for row in (gone, empty, damaged, strange)
    ]
    done = {finding.path: finding.done for finding in run(shelf, repair=True).findings}
    assert done[gone.path] is Done.LOST
    assert {done[row.path] for row in (empty, damaged, strange)} == {Done.QUARANTINED}
    stored = {row.path: row.has_tail for row in shelf.catalogue.segments("cam1")}
    assert stored == {whole.path: True} | {row.path: False for row in (gone, empty, damaged, strange)}
    assert run(shelf).findings == []
    assert shelf.at(whole).exists()


def test_the_tail_goes_with_its_segment(shelf) -> None:
    damaged = shelf.add(0, tail=True)
    damage(shelf.at(damaged), 60, b"XXXX")
    run(shelf, repair=True)
    assert shelf.names() == []
    assert len(shelf.names("quarantine")) == 2


def test_a_link_in_place_of_a_file_is_not_followed(shelf, tmp_path) -> None:
    segment = shelf.add(0)
    elsewhere = tmp_path / "elsewhere"
    shelf.at(segment).rename(elsewhere)
    shelf.at(segment).symlink_to(elsewhere)
    assert [finding.what for finding in run(shelf, "sizes").findings] == [What.NOT_A_FILE]
    (finding,) = run(shelf, repair=True).findings
    assert finding.done is Done.QUARANTINED
    assert elsewhere.stat().st_size == segment.sealed_bytes


def test_rows_of_a_vault_that_is_not_there_are_not_judged(shelf) -> None:
    """Absence is never emptiness: not without the vault, nor when its disk goes away meanwhile."""
    segment = shelf.add(0)
    made = begin(shelf, repair=True)
    shelf.vault.root.rename(shelf.root / "unplugged")
    (shelf.root / "vault" / "segments").mkdir(
        parents=True
    )  # the mount point below, and somebody's folder in it
    assert made.run(lambda: True)
    (finding,) = made.tally.findings
    assert (finding.what, finding.found) == (What.UNJUDGED, "VAULT_MISSING")
    assert made.tally.still == 1
    assert shelf.state_of(segment)[0] == "COMMITTED"
    assert Check(
        shelf.catalogue, {}, shelf.state, Selection("x", Level.SIZES), lambda: AT, disk=shelf.disk
    ).run(lambda: True)
    assert shelf.state_of(segment)[0] == "COMMITTED"


@pytest.mark.parametrize("place", ["segments", "segments/cam1", "segments/cam1/2027-01-15"])
def test_a_folder_that_is_no_folder_is_not_judged(shelf, place) -> None:
    segment = shelf.add(0)
    shelf.add(0, camera="cam2")
    path = shelf.vault.at(place)
    path.rename(shelf.root / "away")
    path.write_text("what a file system that is damaged shows")
    tally = run(shelf, repair=True)
    assert What.UNJUDGED in {finding.what for finding in tally.findings}
    assert shelf.state_of(segment)[0] == "COMMITTED"
    assert tally.still


def test_one_bad_row_stops_nothing(shelf) -> None:
    """B19."""
    shelf.add(0)
    gone = shelf.add(1)
    shelf.at(gone).unlink()
    for number, path in enumerate(
        ["../../etc/passwd", "segments/cam1/x", "segments/cam1/2027-01-15/x.mp4.age", "z"]
    ):
        shelf.add(10 + number, row=False, age_s=0)
        shelf.catalogue.commit_segment(shelf.add(10 + number, row=False, age_s=0, path=path), AT)
    shelf.catalogue.write(
        lambda db: db.execute("UPDATE segment SET end_ms = 'soon' WHERE path = ?", (gone.path,))
    )
    tally = run(shelf, "sizes", repair=True)
    assert sorted((finding.path, finding.what) for finding in tally.findings) == sorted(
        [
            ("../../etc/passwd", What.BAD_ROW),
            ("segments/cam1/x", What.BAD_ROW),
            ("segments/cam1/2027-01-15/x.mp4.age", What.BAD_ROW),
            ("z", What.BAD_ROW),
            (gone.path, What.BAD_ROW),
        ]
    )
    assert tally.files == 1


def test_what_is_young_or_open_is_left_to_its_recorder(shelf) -> None:
    shelf.add(0, row=False, age_s=30)
    part = shelf.vault.at("segments/cam1/2027-01-15/20270115T090000.000Z.mp4.age.part")
    part.write_bytes(b"")
    os.utime(part, (0, AT.utc_ms // 1000 - 23 * 3600))
    assert run(shelf, repair=True).findings == []
    assert part.exists()


@pytest.mark.parametrize("kind", [Kind.PART, Kind.TAIL])
def test_b13_what_a_live_recorder_has_open_is_no_orphan_whatever_the_clock_says(shelf, kind) -> None:
    """Nothing tells of it yet, and by a clock that is ahead it is old: then its lock tells."""
    stem = stem_of("cam1", AT.utc_ms - UTC_DAY_MS)
    part = shelf.vault.at(stem.path(Kind.PART))
    part.parent.mkdir(parents=True, exist_ok=True)
    for place in {part, shelf.vault.at(stem.path(kind))}:
        place.write_bytes(b"x" * 100)
        os.utime(place, (0, 0))
    fd = os.open(part, os.O_RDWR)
    assert files.lock_new(fd)
    assert run(shelf, repair=True).findings == []
    os.close(fd)
    assert [finding.path for finding in run(shelf, repair=True).findings] == [stem.path(Kind.PART)]


def test_b13_a_recorder_that_has_just_made_its_file_is_left_alone(shelf) -> None:
    """It is made, then locked, then written to."""
    part = shelf.vault.at(stem_of("cam1", AT.utc_ms - UTC_DAY_MS).path(Kind.PART))
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    os.utime(part, (0, 0))
    assert run(shelf, repair=True).findings == []
    assert part.exists()


def test_b13_what_gets_another_name_while_it_is_looked_at_is_nothing_strange(shelf, monkeypatch) -> None:
    part = shelf.vault.at(stem_of("cam1", AT.utc_ms - UTC_DAY_MS).path(Kind.PART))
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"x" * 100)
    os.utime(part, (0, 0))
    real = Examiner._has_row

    def finished(self, path: str) -> bool:
        if part.exists():
            part.rename(part.with_suffix(""))
        return real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Examiner, "_has_row", finished)
        assert run(shelf).findings == []


def test_files_without_rows_are_adopted_on_any_day(shelf) -> None:
    """B13: also where no start looks any more, and with their tails."""
    day = 24 * 60
    for days in (1, 2, 3):
        shelf.add(-days * day)
    old = shelf.add(-9 * day, row=False)
    tailed = shelf.add(-9 * day + 1, row=False, tail=True)
    strange = shelf.vault.at("segments/cam1/2027-01-06/holiday.jpg")
    strange.write_text("mine")
    done = {finding.path: finding.done for finding in run(shelf, repair=True).findings}
    assert done == {
        old.path: Done.ADOPTED,
        tailed.path: Done.ADOPTED,
        "segments/cam1/2027-01-06/holiday.jpg": Done.NOTHING,
    }
    rows = {row.path: row for row in shelf.catalogue.segments("cam1")}
    assert (rows[old.path].has_tail, rows[old.path].sha256) == (False, old.sha256)
    assert rows[tailed.path].has_tail
    assert strange.exists()
    assert run(shelf).still == 0


def test_a_strange_name_is_told_and_is_no_damage(shelf) -> None:
    shelf.add(0)
    shelf.vault.at("segments/cam1/2027-01-15/holiday.jpg").write_text("mine")
    tally = run(shelf, repair=True)
    assert [finding.what for finding in tally.findings] == [What.STRANGE]
    assert tally.still == 0
    assert shelf.vault.at("segments/cam1/2027-01-15/holiday.jpg").read_text() == "mine"


@pytest.mark.parametrize(("key", "value"), [("reconcile", "missing"), ("unreconciled", '["uuid-1"]')])
def test_while_rows_are_made_again_files_without_them_say_nothing(shelf, key, value) -> None:
    shelf.add(0, row=False)
    shelf.catalogue.set_meta(key, value)
    assert run(shelf, repair=True).findings == []
    shelf.catalogue.set_meta(key, None)
    assert [finding.done for finding in run(shelf, repair=True).findings] == [Done.ADOPTED]


def test_a_camera_and_a_span(shelf) -> None:
    rows = [shelf.add(minute) for minute in (0, 1, 2, 60 * 24 * 2)]
    shelf.add(0, camera="cam2")
    for row in rows:
        shelf.at(row).unlink()
    span = Span(T0 + MINUTE_MS, T0 + 2 * MINUTE_MS)
    assert [finding.path for finding in run(shelf, camera="cam1", span=span).findings] == [rows[1].path]
    assert len(run(shelf, camera="cam1").findings) == 4
    assert run(shelf, camera="cam2").findings == []
    late = Span(T0 + 86_400_000, T0 + 5 * 86_400_000)
    assert [finding.path for finding in run(shelf, span=late).findings] == [rows[3].path]


@pytest.mark.parametrize("level", ["presence", "sizes", "digests"])
def test_a_check_that_is_stopped_anywhere_goes_on_there(shelf, level) -> None:
    for camera in ("cam1", "cam2"):
        for minute in (0, 1, 2, 60 * 24):
            row = shelf.add(minute, camera=camera, size=1000)
            if minute == 1:
                shelf.at(row).unlink()
            elif minute == 2:
                damage(shelf.at(row), 400, b"XXX")
    whole = run(shelf, level)
    for steps in range(1, 12):
        parts = 0
        while True:
            left = count()
            made = begin(shelf, level)
            assert made.resumed == (parts > 0)
            parts += 1
            if made.run(lambda left=left, steps=steps: next(left) < steps):
                break
            assert (shelf.state / check.FILE).exists()
            assert parts < 50
        assert made.tally.findings == whole.findings
        assert (made.tally.days, made.tally.files, made.tally.bytes) == (whole.days, whole.files, whole.bytes)
        assert made.at == made.total == 4


def test_an_interrupt_leaves_the_place(shelf) -> None:
    for minute in range(4):
        shelf.add(minute)
    made = begin(shelf)
    shown = count()

    def show() -> None:
        if next(shown) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.run(lambda: True, show)
    reads = shelf.disk.reads
    again = begin(shelf)
    assert again.resumed
    assert again.run(lambda: True)
    assert again.tally.bytes == sum(row.sealed_bytes for row in shelf.catalogue.segments("cam1"))
    assert shelf.disk.reads - reads < reads * 2


def test_another_selection_or_a_damaged_place_begins_at_the_beginning(shelf) -> None:
    shelf.add(0)
    shelf.add(1)
    assert not begin(shelf).run(lambda: False)
    assert begin(shelf).resumed
    assert not begin(shelf, "sizes").resumed
    assert not begin(shelf, restart=True).resumed
    (shelf.state / check.FILE).write_text('{"version":1,"selection":"digests None None","unit":[1]}')
    assert not begin(shelf).resumed
    (shelf.state / check.FILE).write_text("{")
    assert not begin(shelf).resumed


def test_what_is_erased_while_it_is_looked_at_is_not_damaged(shelf) -> None:
    """The keeper shreds a header, and a check reads it."""
    segment = shelf.add(0)
    made = begin(shelf, repair=True)
    shelf.at(segment).write_bytes(b"")
    shelf.catalogue.write(lambda db: db.execute("UPDATE segment SET state = 'CONDEMNED'"))
    assert made.run(lambda: True)
    assert made.tally.findings == []


def test_a_catalogue_that_is_locked_ends_the_check_and_leaves_its_place(shelf) -> None:
    shelf.add(0)
    gone = shelf.add(0, camera="cam2")
    shelf.at(gone).unlink()
    other, shelf.catalogue = shelf.catalogue, Catalogue.open(shelf.state, busy_s=0.01)
    other._db.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFault) as caught:
        run(shelf, repair=True)
    assert caught.value.code == "CATALOGUE_BUSY"
    other._db.execute("ROLLBACK")
    other.close()
    again = begin(shelf, repair=True)
    assert again.resumed
    assert again.run(lambda: True)
    assert [(finding.path, finding.done) for finding in again.tally.findings] == [(gone.path, Done.LOST)]


def test_what_the_disk_refuses_is_told_and_the_rest_goes_on(shelf) -> None:
    damaged, gone = shelf.add(0), shelf.add(1)
    os.truncate(shelf.at(damaged), 4000)
    shelf.at(gone).unlink()
    shelf.disk.read_only = True
    done = {finding.path: finding.done for finding in run(shelf, repair=True).findings}
    assert done == {damaged.path: Done.FAILED, gone.path: Done.LOST}
    assert shelf.state_of(damaged)[0] == "COMMITTED"
    shelf.disk.read_only = False
    assert run(shelf, repair=True).still == 0
