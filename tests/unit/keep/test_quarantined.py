"""Damaged segments in quarantine/: they go when their time has come, and nothing else there does."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace

import pytest

from agent.errors import TimeUntrusted
from agent.model import Span, Trust
from agent.storage.keep import quarantined
from agent.storage.keep.check_findings import Finding, Row, What
from agent.storage.keep.check_mend import Mender
from agent.storage.keep.quarantined import former
from agent.storage.keep.rollover import Rules
from tests.procedure.dying import die_at
from tests.unit.keep.keeping import MONTH_MS, Kept30
from tests.unit.keep.kept import DAY_MS, RESPONSIBLE, Kept, order
from tests.unit.storage.box import T0, FailingDisk

RULES = Rules({"cam1": MONTH_MS}, DAY_MS, RESPONSIBLE)


class Ward(Kept):
    """Some of its segments are damaged, and lie in quarantine."""

    def __init__(self, root, **more) -> None:
        super().__init__(root, **more)
        self.vault = replace(self.vault, created_ms=T0 - DAY_MS)

    def damage(self, number: int = 1) -> str:
        """Damage the segment of a row, and have it mended; return its path."""
        columns = "id, camera, path, start_ms, end_ms, sealed_bytes, sha256, state, has_tail"
        with self.catalogue() as catalogue:
            (found,) = catalogue.read(f"SELECT {columns} FROM segment WHERE id = ?", (number,))
            row = Row(*found)
            with (self.vault_path / row.path).open("r+b") as file:
                file.seek(-20, os.SEEK_END)
                file.write(b"damage")
            finding = Finding(self.vault.uuid, row.camera, row.path, What.DIGEST)
            Mender(catalogue, self.vault, self.state, self.at).mend(row, finding)
        assert self.states()[row.path] == "LOST"
        return row.path

    def stray(self, name: str, content: bytes, written_ms: int | None = None):
        place = self.vault_path / "quarantine" / name
        place.write_bytes(content)
        if written_ms is not None:
            os.utime(place, ns=(written_ms * 1_000_000 + 1,) * 2)  # as by a kernel, and no stamp
        return place

    def clear(self, *, trust: Trust = Trust.SYNCED, limit: int = 9, **more):
        with self.catalogue() as catalogue:
            return quarantined.clear(
                catalogue, self.vaults, self.state, self.at(trust), RULES, limit=limit, **more
            )

    def age(self, ms: int) -> None:
        self.clock.utc_ms += ms

    @property
    def ward(self) -> list[str]:
        return sorted(os.listdir(self.vault_path / "quarantine"))


@pytest.fixture
def box(tmp_path) -> Ward:
    made = Ward(tmp_path / "box")
    made.record(count=2)
    return made


def sealed(box: Ward) -> bytes:
    return (box.vault_path / box.names()[0]).read_bytes()


NAME = "cam1.2027-01-15.20270115T080000.000Z.mp4.age"  # of T0


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (NAME, "segments/cam1/2027-01-15/20270115T080000.000Z.mp4.age"),
        (NAME + ".7", "segments/cam1/2027-01-15/20270115T080000.000Z.mp4.age"),
        (NAME + ".part", "segments/cam1/2027-01-15/20270115T080000.000Z.mp4.age.part"),
        (NAME + ".tail.1", "segments/cam1/2027-01-15/20270115T080000.000Z.mp4.age.tail"),
        (
            "a.b-1.2027-01-15.20270115T080000.000Z.salvaged.mp4.age",
            "segments/a.b-1/2027-01-15/20270115T080000.000Z.salvaged.mp4.age",
        ),
    ],
)
def test_what_a_file_was_is_in_its_name(name, path) -> None:
    stem, kind = former(name)
    assert stem.path(kind) == path


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "cam1.2027-01-15",
        "cam1.2027-01-15.20270115T080000.000Z",
        "cam1.2027-01-15.20270115T080000.000Z.mp4",
        "cam1.2027-01-15.20271315T080000.000Z.mp4.age",
        "2027-01-15.20270115T080000.000Z.mp4.age",
        NAME + ".part.x",
        "x" + NAME + "\n",
    ],
)
def test_other_names_are_none_of_ours(name) -> None:
    assert former(name) is None


def test_a_damaged_segment_goes_when_its_time_has_come_and_not_before(box) -> None:
    """Gangneung regulation art. 31(1); the tombstone says what it was, its row that it is gone."""
    path = box.damage()
    assert box.ward == [NAME]
    box.age(MONTH_MS - 1)
    assert box.clear().erased == 0
    box.age(1)
    kept = box.root / "kept"
    place = box.vault_path / "quarantine" / NAME
    report = box.clear(step=lambda name: shutil.copy(place, kept) if name == "Z2" else None)
    assert report.erased == 1
    assert kept.read_bytes().startswith(bytes(100))
    assert b"X25519" not in kept.read_bytes()
    assert box.ward == []
    assert box.states()[path] == "GONE"
    (body,) = box.erased()
    row = next(iter(box.rows()))
    assert body == {
        "camera": "cam1",
        "path": path,
        "start_ms": T0,
        "end_ms": T0 + 1000,
        "sha256": body["sha256"],
        "sealed_bytes": row.sealed_bytes,
        "cause": "EXPIRED",
        "condemned_ms": T0 + MONTH_MS,
        "cycle_s": 10,
        "responsible": RESPONSIBLE,
        "shredded": True,
        "quarantined": True,
        "file": f"quarantine/{NAME}",
    }
    assert len(body["sha256"]) == 64
    assert box.clear().erased == 0
    assert len(box.names()) == 1


def test_one_without_a_row_goes_by_the_start_in_its_name(box) -> None:
    data = sealed(box)
    box.stray(NAME + ".part", data)
    box.stray("cam9.2027-01-16.20270116T080000.000Z.mp4.age.tail", data)  # another camera: a day
    box.age(2 * DAY_MS)
    assert box.clear().erased == 1
    assert box.ward == [NAME + ".part"]
    box.age(MONTH_MS)
    assert box.clear().erased == 1
    assert [body["camera"] for body in box.erased()] == ["cam9", "cam1"]
    assert {body["shredded"] for body in box.erased()} == {True}


def test_a_start_that_cannot_be_counts_from_when_it_was_moved_there(box, monkeypatch) -> None:
    """Late rather than early: ctime says when it was renamed. A clock that was wrong then, too, says nothing."""
    data = sealed(box)
    late = "cam1.2099-01-15.20990115T080000.000Z.mp4.age"
    early = "cam1.1970-01-15.19700115T080000.000Z.mp4.age"
    box.stray(late, data, written_ms=T0)
    box.stray(early, data, written_ms=1000)
    real = FailingDisk.status
    moved = T0 + 5 * DAY_MS

    class Disk(FailingDisk):
        def status(self, fd, path):
            found = real(self, fd, path)
            ms = {late: moved, early: 1000}.get(path.name)
            if ms is None:
                return found

            class Status:
                st_size, st_nlink, st_mtime_ns = found.st_size, found.st_nlink, found.st_mtime_ns
                st_ino, st_mode = found.st_ino, found.st_mode
                st_ctime_ns = ms * 1_000_000

            return Status

    object.__setattr__(box.vault, "disk", Disk())
    box.age(MONTH_MS + DAY_MS)  # of `early` nobody knows anything: it counts from here
    assert box.clear().erased == 0
    assert (box.vault_path / "quarantine" / early).stat().st_mtime_ns // 1_000_000 == box.clock.utc_ms
    box.age(4 * DAY_MS)
    assert box.clear().erased == 1
    assert box.ward == [early]
    box.age(MONTH_MS - 4 * DAY_MS - 1)
    assert box.clear().erased == 0
    box.age(1)
    assert box.clear().erased == 1


def test_c8_what_was_written_long_after_its_name_counts_from_then(box) -> None:
    """C8: a slow clock named it; nobody but its last write tells that it is two hours old. As in segments/."""
    now_ms = T0 + 2 * MONTH_MS
    box.stray(NAME + ".part", sealed(box), written_ms=now_ms - 7_200_000)
    stamped = box.stray("cam1.2027-01-15.20270115T080000.001Z.mp4.age", sealed(box))
    os.utime(stamped, ns=((now_ms - 7_200_000) * 1_000_000,) * 2)
    box.clock.utc_ms = now_ms
    assert box.clear().erased == 0
    box.age(MONTH_MS - 7_200_000 - 600_000 - 1)
    assert box.clear().erased == 0
    box.age(1)
    assert box.clear().erased == 1
    assert box.ward == [stamped.name]
    box.age(600_000)
    assert box.clear().erased == 1


@pytest.mark.parametrize(("from_ms", "held"), [(0, 1), (5 * DAY_MS - 1000, 1), (2 * DAY_MS, 0)])
def test_a_hold_keeps_it_by_its_name_and_by_its_last_write(box, from_ms, held) -> None:
    """I2: which of the two is right nobody knows."""
    box.stray(NAME + ".part", sealed(box), written_ms=T0 + 5 * DAY_MS)
    box.place(order(span=Span(T0 + from_ms, T0 + from_ms + 1000)))
    box.age(2 * MONTH_MS)
    report = box.clear()
    assert (report.erased, report.held) == (1 - held, held)


@pytest.mark.parametrize("linked", [False, True])
def test_a_new_file_of_a_name_that_was_just_erased_is_asked_for_its_age(box, linked) -> None:
    """A2: killed between Z4 and Z6; before the next look another file is moved there under the same name."""
    place = box.stray(NAME + ".part", sealed(box), written_ms=T0)
    if linked:
        os.link(place, box.root / "link")
    box.age(2 * MONTH_MS)

    def die(name: str) -> None:
        if name == "Z4":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        box.clear(step=die)
    assert box.ward == []
    box.stray(NAME + ".part", sealed(box), written_ms=box.clock.utc_ms - 1000)
    box.age(60_000)
    assert box.clear().erased == 1
    (body,) = box.erased()
    assert (body["file"], body["shredded"]) == (f"quarantine/{NAME}.part", not linked)
    assert box.ward == [NAME + ".part"]
    assert place.read_bytes() == sealed(box)
    assert box.clear().erased == 0
    box.age(MONTH_MS)
    assert box.clear().erased == 1
    assert box.ward == []


def test_what_was_noted_and_not_touched_is_asked_again(box) -> None:
    """A2: killed after Z1, and the clock was put right before the next look."""
    box.stray(NAME + ".part", sealed(box), written_ms=T0)
    box.age(2 * MONTH_MS)

    def die(name: str) -> None:
        if name == "Z1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        box.clear(step=die)
    box.age(-2 * MONTH_MS)  # put right meanwhile: it is not old
    assert box.clear().erased == 0
    assert box.ward == [NAME + ".part"]
    box.age(2 * MONTH_MS)
    assert box.clear().erased == 1


def test_a_row_whose_time_was_never_settled_counts_from_when_it_was_moved(box) -> None:
    box.damage()
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE segment SET kept_from_ms = NULL"))
    place = box.vault_path / "quarantine" / NAME
    moved_ms = place.stat().st_ctime_ns // 1_000_000  # by the clock of this machine
    box.vault = replace(box.vault, created_ms=moved_ms - DAY_MS)
    box.clock.utc_ms = moved_ms + MONTH_MS - 1
    assert box.clear().erased == 0
    box.age(1)
    assert box.clear().erased == 1


def test_what_is_held_stays(box) -> None:
    """I2: by its row, or by what its name tells; until the hold is released."""
    box.damage()
    box.stray(NAME + ".part", sealed(box))
    box.stray("cam1.1970-01-15.19700115T080000.000Z.mp4.age", sealed(box), written_ms=T0)
    box.place(order(span=Span(T0, T0 + 500)))
    # What was damaged before the hold came is in quarantine already; a row LOST is covered by its span.
    box.clock.utc_ms = max(T0, 4_000_000_000_000)
    report = box.clear()
    assert (report.erased, report.held) == (0, 3)
    assert len(box.ward) == 3
    box.release()
    assert box.clear().erased == 3


def test_nothing_goes_where_a_hold_has_no_row(box) -> None:
    box.damage()
    box.place(order())
    with box.catalogue() as catalogue:
        for table in ("hold_segment", "hold_camera", "hold"):
            catalogue.write(lambda db, table=table: db.execute(f"DELETE FROM {table}"))
    box.age(2 * MONTH_MS)
    assert box.clear().erased == 0
    assert box.ward == [NAME]


def test_a_link_of_a_hold_is_not_broken_and_another_link_is_told(box) -> None:
    box.place(order("old"))
    link = box.vault_path / box.links()[0]
    place = box.vault_path / "quarantine" / NAME
    os.link(link, place)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE hold SET released_ms = 1"))
    box.age(2 * MONTH_MS)
    report = box.clear()
    assert (report.erased, report.held) == (0, 1)
    box.vault.at("holds/old").rename(box.root / "old")
    assert box.clear().erased == 1
    assert box.erased()[0]["shredded"] is False
    assert box.ward == []
    assert sealed(box).startswith(b"age-encryption")


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_a_file_with_several_names_there_is_overwritten_before_the_last_goes(box, limit) -> None:
    """B10, I4: a hold that was released had it brought back and moved there again; no key of it outlives its names."""
    place = box.stray(NAME + ".part", sealed(box), written_ms=T0)
    for number in range(3):
        os.link(place, place.with_name(f"{place.name}.{number}"))
    with place.open("rb") as file:
        box.age(2 * MONTH_MS)
        reports = []
        while box.ward:
            reports.append(box.clear(limit=limit))
        assert os.fstat(file.fileno()).st_nlink == 0
        assert file.read(160) == bytes(160)
    assert sum(report.erased for report in reports) == 4
    assert len(box.erased()) == 4
    assert box.erased()[-1]["shredded"]
    assert sum(report.unshredded for report in reports) == {1: 3, 2: 2, 9: 0}[limit]


def test_a_name_elsewhere_is_told_by_the_keeper(tmp_path) -> None:
    """B10: nobody here made it, and the key in it is still on the disk."""
    box = Kept30(tmp_path / "box")
    try:
        box.record()
        (path,) = box.names("segments")
        place = box.vault_path / "quarantine" / (NAME + ".part")
        shutil.copy(box.vault_path / path, place)
        os.utime(place, ns=(T0 * 1_000_000 + 1,) * 2)
        os.link(place, box.root / "elsewhere")
        box.pass_time(3 * MONTH_MS)
        box.turn(10)
        assert not place.exists()
        assert box.conditions["erase.unshredded quarantine"] == "1"
    finally:
        box.keeper.close()


@pytest.mark.parametrize("content", [b"my own notes", b"", bytes(1000), b"\x7fELF" + bytes(9000)])
def test_what_is_not_ours_is_never_touched(box, content) -> None:
    """B14: another name, or a name of ours over something that is no sealed file, nor its remains."""
    strange = box.stray("notes.txt", sealed(box))
    named = box.stray(NAME + ".3", content)
    box.age(100 * MONTH_MS)
    assert box.clear().erased == 0
    assert strange.read_bytes() == sealed(box)
    assert named.read_bytes() == content
    assert box.clear().faults == []


def test_links_directories_and_fifos_are_never_touched(box) -> None:
    """B14."""
    theirs = box.root / "theirs"
    theirs.write_bytes(sealed(box))
    place = box.vault_path / "quarantine"
    (place / NAME).symlink_to(theirs)
    (place / (NAME + ".1")).mkdir()
    os.mkfifo(place / (NAME + ".2"))
    box.age(100 * MONTH_MS)
    report = box.clear()
    assert (report.erased, report.faults) == (0, [])
    assert len(box.ward) == 3
    assert theirs.read_bytes().startswith(b"age-encryption")


def test_a_header_that_is_damaged_but_still_has_a_key_in_it_goes(box) -> None:
    """Its first line can be guessed: what could be opened by hand does not stay."""
    data = sealed(box)
    box.stray(NAME, b"?" * 30 + data[30:])
    box.age(MONTH_MS)
    seen = []
    place = box.vault_path / "quarantine" / NAME
    report = box.clear(step=lambda name: seen.append(place.read_bytes()) if name == "Z2" else None)
    assert report.erased == 1
    assert seen == [bytes(len(data))]


def test_nothing_goes_in_untrusted_time_or_before_the_catalogue_is_whole(box) -> None:
    box.damage()
    box.age(2 * MONTH_MS)
    with pytest.raises(TimeUntrusted):
        box.clear(trust=Trust.UNTRUSTED)
    with box.catalogue() as catalogue:
        catalogue.set_meta("reconcile", "lost")
    assert box.clear().erased == 0
    (box.vault_path / "VAULT").rename(box.root / "VAULT")
    assert [fault.code for fault in box.clear().faults] == ["VAULT_MISSING"]
    assert box.ward == [NAME]


def test_a_limit_is_kept_and_the_rest_follows(box) -> None:
    for number in range(5):
        box.stray(f"{NAME}.{number}", sealed(box))
    box.age(MONTH_MS)
    assert [(box.clear(limit=2).erased, len(box.ward)) for _ in range(3)] == [(2, 3), (2, 1), (1, 0)]


def test_killed_after_each_step_each_goes_once(tmp_path) -> None:
    """A2: and its tombstone says truly what was done, whoever did it."""

    def made(name: str) -> Ward:
        box = Ward(tmp_path / name)
        box.record(count=2)
        box.damage(1)
        box.damage(2)
        box.stray(NAME + ".9", (box.vault_path / "quarantine" / NAME).read_bytes())
        box.age(2 * MONTH_MS)
        return box

    steps: list[str] = []
    made("whole").clear(step=steps.append)
    assert set(steps) == {"Z1", "Z2", "Z3", "Z4", "Z5", "Z6"}
    for at in range(len(steps)):
        box = made(str(at))
        assert die_at(lambda step, box=box: box.clear(step=step), at)
        box.clear()
        assert box.ward == []
        assert set(box.states().values()) == {"GONE"}
        assert [body["shredded"] and "missing" not in body for body in box.erased()] == [True] * 3
        assert len({body["file"] for body in box.erased()}) == 3
        with box.catalogue() as catalogue:
            assert catalogue.meta(quarantined.NOTED) is None


@pytest.mark.parametrize("on", [False, True], ids=["once", "from-there-on"])
@pytest.mark.parametrize("trouble", [errno.EIO, errno.EROFS])
def test_a_disk_that_fails_at_any_call_loses_no_tombstone(tmp_path, trouble, on) -> None:
    """B6: nothing is unlinked before its header is durable, and what failed goes the next time."""
    box = Ward(tmp_path / "box")
    box.record(count=2)
    data = sealed(box)
    disk = FailingDisk()
    object.__setattr__(box.vault, "disk", disk)

    def fill() -> int:
        before = len(box.erased())
        for number in range(2):
            box.stray(f"{NAME}.{number}", data)
        disk.calls.clear()
        return before

    box.age(MONTH_MS)
    fill()
    box.clear()
    calls = len(disk.calls)
    for at in range(calls):
        before = fill()
        disk.plan = lambda number, *_, at=at: trouble if (number >= at if on else number == at) else None
        box.clear()
        disk.plan = lambda *_: None
        box.clear()
        assert box.ward == [], at
        told = box.erased()[before:]
        assert [body["file"][-1] for body in sorted(told, key=lambda body: body["file"])] == ["0", "1"], at
        assert all(body["shredded"] for body in told), at


def test_the_keeper_looks_into_it(tmp_path) -> None:
    box = Kept30(tmp_path / "box")
    try:
        box.record(count=2)
        box.turn()
        data = sealed(box)
        place = box.vault_path / "quarantine" / NAME
        place.write_bytes(data)
        box.turn(8)
        assert place.exists()
        box.pass_time(MONTH_MS)
        box.turn(8)
        assert not place.exists()
        assert {body.get("quarantined", False) for body in box.erased()} == {False, True}
        place.write_bytes(data)
        disk = FailingDisk(lambda _, op, __: errno.EIO if op == "overwrite" else None)
        for vault in box.keeper._vaults.values():
            object.__setattr__(vault, "disk", disk)
        box.keeper._disk = disk
        box.turn(8)
        assert "erase.failing quarantine" in box.conditions
        assert place.exists()
    finally:
        box.keeper.close()
