"""Real disks in trouble: full, out of inodes, read-only, taken away, exchanged. Recording goes on, and recovers by itself.

After each: every row has its file with its size and hash, every file its row, and every second is in a segment or
in a gap with its cause.
"""

from __future__ import annotations

import os
import sqlite3

import pytest

from agent.model import GapCause, Span
from agent.storage import reserve
from agent.storage.catalogue import FILE
from agent.storage.vault import Vault
from tests.procedure.loop import MIB, loop_disk
from tests.unit.keep.keeping import Kept30
from tests.unit.keep.kept import order
from tests.unit.storage.box import T0, Box, start
from tests.unit.storage.test_desk import finish, piece, record

CAMERAS = ("cam1", "cam2")
BIG = 40_000  # bytes of a second: 0.8 MB between two looks of the keeper, which keeps 3 MB free on so small a disk


@pytest.fixture
def disk(tmp_path):
    with loop_disk(tmp_path / "disk.img", tmp_path / "box" / "vault") as made:
        yield made


def lost_ms(box: Box, seconds: int, cameras=CAMERAS) -> int:
    """Assert that everything is accounted for; return how much of it is lost."""
    box.check()
    lost = 0
    for camera in cameras:
        gaps = [gap for gap in box.gaps() if gap.camera == camera]
        assert {gap.cause for gap in gaps} <= {GapCause.STORAGE_FAILED, GapCause.STORAGE_SLOW}
        spans = [(row.start_ms, row.end_ms) for row in box.rows() if row.camera == camera]
        reach = T0
        for begin, end in sorted(spans + [(gap.span.start_ms, gap.span.end_ms) for gap in gaps]):
            assert begin <= reach, f"{camera}: nothing tells of {reach - T0}..{begin - T0} ms"
            reach = max(reach, end)
        assert reach == T0 + 1000 * seconds
        lost += sum(gap.span.length_ms for gap in gaps)
    return lost


def test_b9_a_file_system_that_turns_read_only_costs_nothing_for_a_minute(disk, tmp_path) -> None:
    """B9: found at once, bridged in memory, used again when it is repaired and mounted."""
    box = Box(tmp_path / "box")
    desk = box.desk()
    record(desk, box, CAMERAS, range(6))
    disk.turn_read_only()
    record(desk, box, CAMERAS, range(6, 9))
    assert desk.waiting()["disk"].code == "DISK_READ_ONLY"
    record(desk, box, CAMERAS, range(9, 66))
    disk.take_away()
    disk.repair()
    disk.mount()
    record(desk, box, CAMERAS, range(66, 72))
    assert desk.waiting() == {}
    finish(desk)
    assert lost_ms(box, 72) == 0
    assert box.kinds().count("storage.failed") == box.kinds().count("storage.recovered") == 1


def test_b15_a_vault_that_is_unmounted_gets_nothing_in_its_place(disk, tmp_path) -> None:
    """B15: found within the next flush; 0 bytes to the mount point below; used again when it is back."""
    box = Box(tmp_path / "box")
    desk = box.desk()
    record(desk, box, CAMERAS, range(6))
    disk.take_away()
    record(desk, box, CAMERAS, range(6, 7))
    assert desk.waiting()["disk"].code == "VAULT_MISSING"
    record(desk, box, CAMERAS, range(7, 66))
    assert os.listdir(disk.place) == []
    disk.mount()
    record(desk, box, CAMERAS, range(66, 72))
    assert desk.waiting() == {}
    finish(desk)
    assert lost_ms(box, 72) == 0


def test_b15_another_disk_in_its_place_is_refused(disk, tmp_path) -> None:
    """B15: a disk with another identity, mounted under the recorder, stays as it is to the last name."""
    box = Box(tmp_path / "box")
    desk = box.desk()
    record(desk, box, CAMERAS, range(6))
    disk.take_away()
    with loop_disk(tmp_path / "other.img", disk.place) as other:
        Vault.create(other.place, "another", created_ms=T0)
        before = sorted(other.place.rglob("*"))
        record(desk, box, CAMERAS, range(6, 30))
        assert desk.waiting()["disk"].code == "VAULT_FOREIGN"
        assert sorted(other.place.rglob("*")) == before
    disk.mount()
    record(desk, box, CAMERAS, range(30, 34))
    finish(desk)
    assert lost_ms(box, 34) == 0


def test_b15_the_same_disk_mounted_anew_is_noticed(disk, tmp_path) -> None:
    """B15: what is open on a mount that is gone is begun anew on the one that is there."""
    box = Box(tmp_path / "box")
    desk = box.desk()
    record(desk, box, CAMERAS, range(6))
    with loop_disk(tmp_path / "copy.img", tmp_path / "elsewhere") as copy:
        for path in sorted(disk.place.rglob("*")):
            target = copy.place / path.relative_to(disk.place)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                target.write_bytes(path.read_bytes())
        disk.take_away()
        copy.take_away()
        copy.place = disk.place
        copy.mount()
        record(desk, box, CAMERAS, range(6, 14))
        finish(desk)
        assert lost_ms(box, 14) == 0
    assert box.kinds().count("storage.failed") == 1


def test_b2_another_program_fills_the_disk(disk, tmp_path) -> None:
    """B2: pictures wait in memory, nothing is erased for it, and recording goes on when there is room."""
    box = Box(tmp_path / "box")
    desk = box.desk()
    record(desk, box, CAMERAS, range(6))
    place = disk.fill()
    record(desk, box, CAMERAS, range(6, 66))
    assert desk.waiting()["disk"].code == "DISK_FULL"
    place.unlink()
    record(desk, box, CAMERAS, range(66, 72))
    assert desk.waiting() == {}
    finish(desk)
    assert lost_ms(box, 72) == 0


def record_big(desk, box, seconds, *, segment_s: int) -> None:
    for second in seconds:
        for camera in CAMERAS:
            if second % segment_s == 0:
                desk.begin(start(camera, T0 + 1000 * second))
                desk.write(camera, b"init", T0 + 1000 * second, 0)
            desk.write(camera, piece(second, size=BIG), T0 + 1000 * (second + 1), 10)
        desk.flush()
        box.clock.mono += 1
        desk.retry()


def test_b1_a_disk_full_of_our_own_data_loses_the_oldest_and_nothing_new(tmp_path) -> None:
    """B1: the keeper makes room as far as it is needed; what is held stays; no second is missing."""
    with loop_disk(tmp_path / "disk.img", tmp_path / "box" / "vault") as disk:
        box = Kept30(tmp_path / "box")
        (disk.place / "something else").write_bytes(b"\xff" * 30 * MIB)
        room = disk.free()
        desk = box.desk()
        for second in range(0, 700, 10):  # 56 MB into some 28
            record_big(desk, box, range(second, second + 10), segment_s=10)
            if second == 20:
                box.place(order(cameras=CAMERAS, span=Span(T0, T0 + 12_000)))
            box.turn()
        finish(desk)
        box.keeper.close()
        erased = box.erased()
        assert {body["cause"] for body in erased} == {"EVICTED"}
        assert min(body["start_ms"] for body in erased) >= T0 + 12_000
        assert box.gaps() == []
        stored = sum(row.sealed_bytes for row in box.rows())
        assert stored > 0.7 * room  # no more was erased than was needed
        assert len(box.links()) == 4


def test_b5_no_inodes_left(tmp_path) -> None:
    """B5: as a full disk: the oldest make room, and recording goes on."""
    with loop_disk(tmp_path / "disk.img", tmp_path / "box" / "vault", mkfs=("-N", "160")):
        box = Kept30(tmp_path / "box")
        desk = box.desk()
        for second in range(0, 1200, 10):
            record(desk, box, CAMERAS, range(second, second + 10), segment_s=10)
            box.turn()
        finish(desk)
        box.keeper.close()
        assert box.gaps() == []
        assert len(box.rows()) + len(box.erased()) == 240
        assert {body["cause"] for body in box.erased()} == {"EVICTED"}


def test_b5_no_inodes_left_and_nobody_makes_room(tmp_path) -> None:
    """B5: without a keeper it waits in memory, like a full disk, and says what it is."""
    with loop_disk(tmp_path / "disk.img", tmp_path / "box" / "vault", mkfs=("-N", "64")) as disk:
        box = Box(tmp_path / "box")
        desk = box.desk()
        record(desk, box, CAMERAS, range(6))
        for number in range(100):
            try:
                (disk.place / f"f{number}").touch()
            except OSError:
                break
        record(desk, box, CAMERAS, range(6, 40))
        assert desk.waiting()["disk"].code == "DISK_FULL"
        for path in disk.place.glob("f*"):
            path.unlink()
        record(desk, box, CAMERAS, range(40, 48))
        finish(desk)
        assert lost_ms(box, 48) == 0


def test_b4_the_catalogues_disk_is_full(tmp_path) -> None:
    """B4: the reserve lets the transactions go on; after it rows wait, pictures do not; nothing is damaged."""
    with loop_disk(tmp_path / "disk.img", tmp_path / "box" / "state", mib=128) as disk:
        box = Box(tmp_path / "box")
        desk = box.desk()
        record(desk, box, CAMERAS, range(8))
        assert (box.state / reserve.FILE).exists()
        place = disk.fill()
        assert disk.free() == 0
        record(desk, box, CAMERAS, range(8, 40))
        assert desk.drain()
        assert not (box.state / reserve.FILE).exists()
        assert desk.waiting() == {}
        again = disk.fill("more")
        record(desk, box, CAMERAS, range(40, 60))
        waiting = desk.waiting()
        assert waiting["catalogue"].code == "CATALOGUE_FAILED"
        assert "disk" not in waiting
        place.unlink()
        again.unlink()
        box.clock.mono += 100
        record(desk, box, CAMERAS, range(60, 64))
        finish(desk)
        assert desk.waiting() == {}
        assert lost_ms(box, 64) == 0
        with sqlite3.connect(box.state / FILE) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert (box.state / reserve.FILE).exists()
