"""Erasing: what goes, what stays, and what is told of it."""

from __future__ import annotations

import errno
import os

import pytest

from agent.errors import TimeUntrusted
from agent.model import Span, Trust
from agent.storage.keep import erase
from tests.unit.keep.kept import DAY_MS, RESPONSIBLE, UUID, Kept, order
from tests.unit.storage.box import T0, FailingDisk


@pytest.fixture
def box(tmp_path) -> Kept:
    return Kept(tmp_path / "box")


def first(box: Kept):
    path = next(iter(box.states()))
    return path, box.vault_path / path


def test_an_erased_segment_leaves_one_tombstone_with_the_statutory_fields(box) -> None:
    """Standard Guideline art. 42(2): what, when or by which cycle, who is responsible."""
    box.record(count=2)
    rows = box.rows()
    box.clock.utc_ms += 31 * DAY_MS
    assert box.condemn([1]) == [1]
    box.clock.utc_ms += 7000
    report = box.finish()
    assert (report.erased, report.erased_bytes, report.unshredded, report.missing) == (
        1,
        rows[0].sealed_bytes,
        0,
        0,
    )
    assert box.names() == [rows[1].path]
    assert box.states() == {rows[0].path: "GONE", rows[1].path: "COMMITTED"}
    (tombstone,) = box.erased()
    assert tombstone == {
        "camera": "cam1",
        "path": rows[0].path,
        "start_ms": T0,
        "end_ms": T0 + 1000,
        "sha256": rows[0].sha256,
        "sealed_bytes": rows[0].sealed_bytes,
        "cause": "EXPIRED",
        "condemned_ms": T0 + 31 * DAY_MS,
        "cycle_s": 10,
        "responsible": RESPONSIBLE,
        "shredded": True,
    }
    assert box.finish().erased == 0
    assert len(box.erased()) == 1


def test_the_header_is_overwritten_before_the_name_goes(box) -> None:
    """Act 21(2): what is left on the disk opens for nobody."""
    box.record()
    path, place = first(box)
    before = place.read_bytes()
    assert box.opens(path)
    box.condemn()
    kept = box.root / "kept"

    def step(name: str) -> None:
        if name == "E3":
            kept.write_bytes(place.read_bytes())

    box.finish(step=step)
    after = kept.read_bytes()
    header = len(after) - len(after.lstrip(b"\0"))
    assert 100 < header < 1000
    assert after[header:] == before[header:]
    assert b"age-encryption" not in after


def test_a_salvaged_segment_goes_with_its_tail(box) -> None:
    box.record_salvaged()
    (row,) = box.rows()
    assert row.has_tail
    box.condemn()
    shredded: list[bytes] = []

    def step(name: str) -> None:
        if name == "E3":
            shredded.extend(
                (box.vault_path / each).read_bytes()[:22] for each in (row.path, row.path + ".tail")
            )

    assert box.finish(step=step).erased == 1
    assert shredded == [bytes(22), bytes(22)]
    assert box.names() == []


def test_nothing_is_condemned_or_erased_in_untrusted_time(box) -> None:
    box.record()
    box.condemn()
    with box.catalogue() as catalogue:
        with pytest.raises(TimeUntrusted):
            erase.condemn(catalogue, [(1, "EXPIRED")], box.at(Trust.UNTRUSTED))
        with pytest.raises(TimeUntrusted):
            erase.finish(catalogue, box.vaults, box.state, box.at(Trust.UNTRUSTED), "x", limit=1)
    assert len(box.names()) == 1


def test_nothing_is_condemned_or_erased_before_the_catalogue_is_reconciled(box) -> None:
    box.record(count=2)
    assert box.condemn([1]) == [1]
    with box.catalogue() as catalogue:
        catalogue.set_meta("reconcile", "lost")
    assert box.condemn([2]) == []
    assert box.finish().reconciling
    assert len(box.names()) == 2


def test_a_row_that_cannot_be_true_or_has_no_settled_time_is_not_condemned(box) -> None:
    """B19: and does not stand before the others."""
    box.record(count=4)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE segment SET kept_from_ms = NULL WHERE id = 1"))
        catalogue.write(lambda db: db.execute("UPDATE segment SET end_ms = start_ms - 1 WHERE id = 2"))
        catalogue.write(lambda db: db.execute("UPDATE segment SET start_ms = 'soon' WHERE id = 3"))
    assert box.condemn() == [4]


def test_a_bad_row_does_not_stand_before_the_others(box) -> None:
    """B19: a condemned row whose path is no segment's, and one of another camera's directory."""
    box.record(count=3)
    names = box.names()
    (box.vault_path / "notes").write_text("not ours")
    box.condemn()
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE segment SET path = '../notes' WHERE id = 1"))
        catalogue.write(
            lambda db: db.execute("UPDATE segment SET path = replace(path, 'cam1', 'cam2') WHERE id = 2")
        )
    report = box.finish()
    assert report.erased == 1
    assert [reason for _, reason in report.refused] == ["not a segment's path"] * 2
    assert box.names() == names[:2]


@pytest.mark.parametrize("content", [b"my own file", b"", b"\0" * 100, b"\0" * 10])
def test_a_foreign_file_in_a_segments_place_is_left_alone(box, content) -> None:
    """B14: what does not begin like an age file is somebody's own."""
    box.record()
    path, place = first(box)
    place.unlink()
    place.write_bytes(content)
    box.condemn()
    report = box.finish()
    if content:
        assert report.refused == [(path, "another file")]
        assert place.read_bytes() == content
        assert box.states() == {path: "GONE"}
        assert [(body["missing"], body["replaced"], body["shredded"]) for body in box.erased()] == [
            (True, True, False)
        ]
        assert box.finish().erased == 0
    else:  # an empty file holds nothing of anybody
        assert report.erased == 1


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "device"])
def test_no_link_is_followed_and_nothing_but_a_file_is_touched(box, kind) -> None:
    """B14."""
    box.record()
    path, place = first(box)
    theirs = box.root / "theirs"
    theirs.write_bytes(place.read_bytes())
    place.unlink()
    if kind == "file":
        place.symlink_to(theirs)
    elif kind == "directory":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/null")
    box.condemn()
    report = box.finish()
    assert (report.erased, report.missing) == (1, 1)
    assert report.refused == [(path, "not a regular file")]
    assert [body["replaced"] for body in box.erased()] == [True]
    assert theirs.read_bytes().startswith(b"age-encryption")
    assert os.path.lexists(place)


@pytest.mark.parametrize("level", ["day", "camera", "segments"])
def test_no_directory_that_is_a_link_is_followed(box, level) -> None:
    """B14: the whole library of somebody else behind a link."""
    box.record()
    _, place = first(box)
    where = {"day": place.parent, "camera": place.parent.parent, "segments": box.vault_path / "segments"}[
        level
    ]
    theirs = box.root / "theirs"
    where.rename(theirs)
    where.symlink_to(theirs)
    box.condemn()
    report = box.finish()
    assert report.erased == 0
    assert len(report.faults) == 1
    (found,) = [each for each in theirs.rglob("*") if each.is_file()]
    assert found.read_bytes().startswith(b"age-encryption")


def test_a_file_that_is_gone_already_is_told_so(box) -> None:
    box.record()
    path, place = first(box)
    place.unlink()
    box.condemn()
    report = box.finish()
    assert (report.erased, report.missing, report.unshredded) == (1, 1, 0)
    (tombstone,) = box.erased()
    assert (tombstone["missing"], tombstone["shredded"]) == (True, False)
    assert box.states() == {path: "GONE"}


def test_a_missing_vault_is_not_taken_for_erased(box) -> None:
    """I6: the disk is away, and another one is in its place."""
    box.record()
    box.condemn()
    (box.vault_path / "VAULT").rename(box.root / "VAULT")
    report = box.finish()
    assert [fault.code for fault in report.faults] == ["VAULT_MISSING"]
    assert report.erased == 0
    with box.catalogue() as catalogue:
        assert erase.finish(catalogue, {}, box.state, box.at(), "x", limit=9).erased == 0
    assert len(box.names()) == 1


def test_another_link_means_unlinked_and_not_shredded(box) -> None:
    box.record()
    _, place = first(box)
    backup = box.root / "backup"
    os.link(place, backup)
    box.condemn()
    report = box.finish()
    assert (report.erased, report.unshredded) == (1, 1)
    assert backup.read_bytes().startswith(b"age-encryption")
    assert box.erased()[0]["shredded"] is False


def test_a_damaged_header_is_overwritten_as_far_as_one_can_reach(box) -> None:
    box.record(size=200_000)
    _, place = first(box)
    data = bytearray(place.read_bytes())
    data[60] ^= 0xFF
    place.write_bytes(data)
    box.condemn()
    seen = []
    box.finish(step=lambda name: seen.append(place.read_bytes()) if name == "E3" else None)
    assert seen[0] == bytes(65_536) + bytes(data[65_536:])


def test_what_was_overwritten_before_is_overwritten_again(box) -> None:
    """I7: after a sync that failed, what the kernel shows may not be what the disk has."""
    disk = FailingDisk(lambda number, op, _: errno.EIO if op == "syncfs" else None)
    box.record()
    path, place = first(box)
    box.condemn()
    object.__setattr__(box.vault, "disk", disk)
    report = box.finish()
    assert [fault.code for fault in report.faults] == ["DISK_FAILED"]
    assert report.unsynced
    assert "unlink" not in disk.calls
    with box.catalogue() as catalogue:
        assert catalogue.meta("erasing") is None, "nothing is said to be shredded that may not be"
    assert place.read_bytes().startswith(bytes(100))
    assert box.states() == {path: "CONDEMNED"}
    disk.plan = lambda *_: None
    disk.calls.clear()
    assert box.finish().erased == 1
    assert disk.calls.count("overwrite") == disk.calls.count("syncfs") == 1
    assert box.erased()[0]["shredded"] is True


@pytest.mark.parametrize("careful", [False, True])
def test_no_name_goes_before_every_header_of_its_batch_is_durable(box, careful) -> None:
    """Act 21(2): one sync for the batch, or one for each file; between header and name there is one that was good."""
    box.record(count=5)
    box.record_salvaged(at_ms=T0 + 60_000)
    box.condemn()
    calls: list[tuple[str, str]] = []
    disk = FailingDisk(lambda number, op, path: calls.append((op, path.name)))
    object.__setattr__(box.vault, "disk", disk)
    assert box.finish(careful=careful).erased == 6
    ops = [op for op, _ in calls]
    assert ops.count("overwrite") == 7  # with a tail
    last = max(number for number, op in enumerate(ops) if op == "overwrite")
    syncs = [number for number, op in enumerate(ops) if op in ("syncfs", "fdatasync")]
    assert len(syncs) == (7 if careful else 1)
    assert max(syncs) > last
    assert ops.index("unlink") > max(syncs)
    if careful:
        assert [name for op, name in calls if op == "overwrite"] == [
            name for op, name in calls if op == "fdatasync"
        ]
    else:
        opened = min(number for number, (op, name) in enumerate(calls) if (op, name) == ("open", "vault"))
        assert opened < ops.index("overwrite"), "a sync tells the faults since its descriptor was opened"


def test_after_a_batch_that_could_not_be_synced_one_bad_file_stops_only_itself(box) -> None:
    """B19: a header that cannot be written makes every sync of its batch fail, so the next one goes file by file."""
    box.record(count=6)
    box.condemn()
    bad = sorted(box.names())[2]

    def plan(number, op, path):
        # A write into the cache succeeds; that the disk does not take it shows when it is synced.
        return errno.EIO if op == "syncfs" or (op == "fdatasync" and str(path).endswith(bad)) else None

    object.__setattr__(box.vault, "disk", FailingDisk(plan))
    report = box.finish()
    assert (report.erased, report.unsynced) == (0, True)
    report = box.finish(careful=True)
    assert (report.erased, len(report.faults), report.unsynced) == (5, 1, False)
    assert box.names() == [bad]
    object.__setattr__(box.vault, "disk", FailingDisk())
    assert box.finish().erased == 1
    assert all(body["shredded"] for body in box.erased())


def test_a_batch_ends_when_its_time_is_over_and_says_that_there_is_more(box, monkeypatch) -> None:
    """Holds wait for the lock; at least one goes each time."""
    box.record(count=3)
    box.condemn()
    monkeypatch.setattr("agent.storage.keep.batch.E3_S", -1.0)
    for left in (2, 1, 0):
        report = box.finish()
        assert (report.erased, report.more) == (1, left > 0)


def unmounting(box: Kept, at: str, away) -> None:
    """Erase, and have the disk replaced by the empty place below it after a step."""

    def step(name: str) -> None:
        if name == at and not away.exists():
            box.vault_path.rename(away)
            box.vault_path.mkdir()

    box.finish(step=step)


@pytest.mark.parametrize("at", ["E3", "E3a", "E3b", "E4", "E5"])
def test_a_disk_that_goes_in_the_middle_of_a_batch_buries_nothing_that_is_there(box, at) -> None:
    """B15, I6: the batch goes on, on the disk that it began on; what was gone before waits until that is sure."""
    box.record(count=3)
    box.condemn()
    lost = box.names()[0]
    (box.vault_path / lost).unlink()
    away = box.root / "away"
    unmounting(box, at, away)
    assert list(box.vault_path.iterdir()) == []
    # Those whose names it took away are gone, truly; the other one cannot be told from one that is merely away.
    assert [*box.states().values()] == ["CONDEMNED", "GONE", "GONE"]
    assert list(away.rglob("*.age")) == []
    box.vault_path.rmdir()
    away.rename(box.vault_path)
    report = box.finish()
    assert (report.erased, report.missing) == (1, 1)
    assert {body["path"]: body.get("missing") for body in box.erased()}[lost] is True
    assert len(box.erased()) == 3


def test_what_another_disk_hides_is_not_missing(box, monkeypatch) -> None:
    """I6: a directory on another file system than its vault's says nothing of what the vault has."""
    box.record(count=2)
    box.condemn()
    path, place = first(box)
    place.unlink()
    day = place.parent.stat().st_ino

    class Other(FailingDisk):
        def status(self, fd, path):
            found = super().status(fd, path)
            if found.st_ino == day:
                found = os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))
            return found

    object.__setattr__(box.vault, "disk", Other())
    report = box.finish()
    assert report.refused == [(path, "its directory is on another disk")]
    assert [*box.states().values()] == ["CONDEMNED", "GONE"]


def test_old_days_directories_go_when_they_are_empty_and_nothing_else_does(box) -> None:
    box.record()
    box.record(at_ms=T0 + DAY_MS)
    box.record("cam2")
    days = sorted((box.vault_path / "segments/cam1").iterdir())
    notes = days[0] / "notes.txt"
    notes.write_text("not ours")
    box.clock.utc_ms += 40 * DAY_MS
    box.condemn()
    assert box.finish().erased == 3
    assert sorted((box.vault_path / "segments/cam1").iterdir()) == [days[0]]
    assert notes.read_text() == "not ours"
    assert list((box.vault_path / "segments/cam2").iterdir()) == []


def test_todays_directory_stays_for_the_recorder(box) -> None:
    box.record()
    box.condemn()
    box.finish()
    assert len(list((box.vault_path / "segments/cam1").iterdir())) == 1


def test_a_limit_is_kept_and_the_rest_follows(box) -> None:
    box.record(count=5)
    assert len(box.condemn()) == 5
    assert [box.finish(limit=2).erased for _ in range(4)] == [2, 2, 1, 0]
    assert len(box.erased()) == 5


def test_condemned_twice_is_condemned_once(box) -> None:
    box.record()
    assert box.condemn() == [1]
    assert box.condemn(cause="EVICTED") == []
    assert box.condemn([99]) == []
    box.finish()
    assert box.condemn() == []
    assert [body["cause"] for body in box.erased()] == ["EXPIRED"]


def test_a_vault_with_a_hold_that_has_no_row_is_not_touched(box) -> None:
    box.record()
    box.place(order())
    with box.catalogue() as catalogue:
        for table in ("hold_segment", "hold_camera", "hold"):
            catalogue.write(lambda db, table=table: db.execute(f"DELETE FROM {table}"))
    assert box.condemn() == [1]
    report = box.finish()
    assert report.blocked == [(UUID, "h1")]
    assert report.erased == 0
    box.tend()
    report = box.finish()
    assert (report.spared, report.erased, report.blocked) == (1, 0, [])
    assert set(box.states().values()) == {"COMMITTED"}


def test_held_is_not_condemned_by_a_millisecond(box) -> None:
    box.record(count=3)
    box.place(order(span=Span(T0 + 1999, T0 + 2000)))
    assert box.condemn() == [1, 3]


def test_a_hold_of_every_camera_covers_one_that_comes_later(box) -> None:
    box.place(order(cameras=("*",)))
    box.record("cam3")
    assert box.condemn() == []
    assert box.tend().linked == 1
    assert len(box.links()) == 1


def test_a_salvaged_segment_is_held_a_little_beyond_what_its_row_claims(box) -> None:
    box.record_salvaged()
    (row,) = box.rows()
    box.place(order("near", span=Span(row.end_ms + 9_999, row.end_ms + 20_000)))
    assert box.condemn() == []
    box.release("near")
    box.place(order("far", span=Span(row.end_ms + 10_000, row.end_ms + 20_000)))
    assert box.condemn() == [1]


@pytest.mark.parametrize("trouble", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_refuses_is_asked_once(box, trouble) -> None:
    box.record(count=30)
    box.condemn()
    disk = FailingDisk(lambda number, op, _: trouble if op == "overwrite" else None)
    object.__setattr__(box.vault, "disk", disk)
    report = box.finish()
    assert len(report.faults) == 1
    assert disk.calls.count("overwrite") == 1
    assert len(box.names()) == 30


def test_files_that_fail_do_not_stand_before_the_others(box) -> None:
    """B19."""
    box.record(count=6)
    box.condemn()
    bad = sorted(box.names())[:3]
    disk = FailingDisk(
        lambda number, op, path: errno.EIO if op == "overwrite" and str(path).endswith(tuple(bad)) else None
    )
    object.__setattr__(box.vault, "disk", disk)
    report = box.finish(limit=2)
    assert (report.erased, len(report.faults)) == (2, 3)
    assert box.finish(limit=2).erased == 1
    assert sorted(box.names()) == bad
