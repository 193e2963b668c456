"""The desk while a disk refuses: segments wait in order, whole GOPs are let go, cameras move to another vault."""

from __future__ import annotations

import errno
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.model import GapCause, Span
from agent.mp4.fragment import Sample, fragment
from agent.storage.memory import Memory
from agent.storage.placement import RETURN_S
from agent.storage.shelf import PROBE
from agent.storage.vault import Vault
from tests.unit.storage.box import T0, Box, FailingDisk, pattern, start
from tests.unit.storage.small import holding

if TYPE_CHECKING:
    from pathlib import Path

INIT = b"an init segment"


class Switch(FailingDisk):
    """A disk that refuses for as long as a test wants."""

    def __init__(self) -> None:
        self.errno: int | None = None
        super().__init__(lambda _n, op, _p: self.errno if op != "unlink" else None)


def piece(second: int, *, keyframe: bool = True, size: int = 9_000) -> bytes:
    """Return one second of pictures that begins with a keyframe or holds none."""
    pictures = [
        Sample(pattern(size // 10, second * 10 + number), 9000, 0, keyframe and number == 0)
        for number in range(10)
    ]
    return fragment(second, second * 90_000, pictures, T0 + 1000 * second)


def record(desk, box: Box, cameras, seconds, *, segment_s=4, keyframe=lambda _second: True) -> None:
    for second in seconds:
        for camera in cameras:
            if second % segment_s == 0:
                desk.begin(start(camera, T0 + 1000 * second))
                desk.write(camera, INIT, T0 + 1000 * second, 0)
            desk.write(camera, piece(second, keyframe=keyframe(second)), T0 + 1000 * (second + 1), 10)
        desk.flush()
        box.clock.mono += 1
        desk.retry()


def finish(desk) -> None:
    desk.flush()
    desk.stop()
    assert desk.drain()
    desk.close()


def spans(box: Box, camera="cam1") -> list[tuple[int, int]]:
    return [
        ((row.start_ms - T0) // 1000, (row.end_ms - T0) // 1000) for row in box.rows() if row.camera == camera
    ]


def test_segments_that_ended_while_the_disk_was_away_are_kept_each_in_order(tmp_path) -> None:
    """B9: a minute without a disk is in memory, segment by segment, and nothing is missing afterwards."""
    disk = Switch()
    box = Box(tmp_path, disk=disk)
    desk = box.desk()
    record(desk, box, ["cam1", "cam2"], range(2))
    disk.errno = errno.EROFS
    record(desk, box, ["cam1", "cam2"], range(2, 62))
    assert desk.waiting()["disk"].code == "DISK_READ_ONLY"
    disk.errno = None
    record(desk, box, ["cam1", "cam2"], range(62, 65))
    finish(desk)
    assert desk.waiting() == {}
    for camera in ("cam1", "cam2"):
        found = spans(box, camera)
        assert found[0][0] == 0
        assert found[-1][1] == 65
        assert all(before[1] == after[0] for before, after in pairwise(found))
        assert len(found) >= 17
    assert box.gaps() == []
    assert box.kinds().count("storage.failed") == box.kinds().count("storage.recovered") == 1
    box.check()


def test_the_oldest_gops_of_the_last_camera_are_let_go_first(tmp_path) -> None:
    """B16: memory is bounded; whole GOPs of the camera that comes last in the configuration are lost, with a gap."""
    disk = Switch()
    box = Box(tmp_path, disk=disk)
    desk = box.desk(memory=holding(230_000, "cam1", "cam2"))
    disk.errno = errno.EIO
    record(desk, box, ["cam1", "cam2"], range(16), segment_s=60, keyframe=lambda second: second % 4 == 0)
    disk.errno = None
    record(desk, box, ["cam1", "cam2"], range(16, 20), segment_s=60, keyframe=lambda second: second % 4 == 0)
    finish(desk)
    assert spans(box, "cam1") == [(0, 20)]
    (gap,) = box.gaps()
    assert (gap.camera, gap.cause) == ("cam2", GapCause.STORAGE_FAILED)
    lost = gap.span.length_ms // 1000
    assert gap.span == Span(T0, T0 + 1000 * lost)
    assert lost == 12
    assert spans(box, "cam2") == [(lost, 20)]
    (row,) = [row for row in box.rows() if row.camera == "cam2"]
    assert row.keyframe_start
    assert box.open(row) == INIT + b"".join(
        piece(second, keyframe=second % 4 == 0) for second in range(lost, 20)
    )
    box.check()


def test_memory_stays_bounded_for_as_long_as_the_disk_is_away(tmp_path) -> None:
    """B16: however long it lasts; what is lost is one gap, and the rest is there."""
    disk = Switch()
    box = Box(tmp_path, disk=disk)
    memory = holding(60_000, "cam1", "cam2")
    desk = box.desk(memory=memory)
    disk.errno = errno.EIO
    for second in range(0, 400, 4):
        record(desk, box, ["cam1", "cam2"], range(second, second + 4))
        assert memory.held <= 60_000
        assert sum(camera.held_bytes() for camera in desk._cameras.values()) == memory.held
    disk.errno = None
    record(desk, box, ["cam1", "cam2"], range(400, 404))
    finish(desk)
    for camera in ("cam1", "cam2"):
        (gap,) = [gap for gap in box.gaps() if gap.camera == camera]
        found = spans(box, camera)
        assert gap.span == Span(T0, T0 + 1000 * found[0][0])
        assert found[-1][1] == 404
        assert all(before[1] == after[0] for before, after in pairwise(found))
    assert spans(box, "cam1")[0][0] < spans(box, "cam2")[0][0]
    box.check()


def test_a_gop_whose_beginning_was_lost_is_lost_to_its_end(tmp_path) -> None:
    disk = Switch()
    box = Box(tmp_path, disk=disk)
    desk = box.desk(memory=holding(30_000))
    disk.errno = errno.EIO
    record(desk, box, ["cam1"], range(9), segment_s=60, keyframe=lambda second: second in {0, 7})
    disk.errno = None
    record(desk, box, ["cam1"], range(9, 11), segment_s=60, keyframe=lambda _: False)
    finish(desk)
    assert [gap.span for gap in box.gaps()] == [Span(T0, T0 + 7000)]
    assert spans(box) == [(7, 11)]


def test_a_segment_that_was_lost_to_its_end_leaves_its_successor_whole(tmp_path) -> None:
    disk = Switch()
    box = Box(tmp_path, disk=disk)
    desk = box.desk(memory=holding(25_000))
    disk.errno = errno.EIO
    record(desk, box, ["cam1"], range(10), segment_s=8, keyframe=lambda second: second % 8 == 0)
    disk.errno = None
    finish(desk)
    assert [gap.span for gap in box.gaps()] == [Span(T0, T0 + 8000)]
    assert spans(box) == [(8, 10)]


def test_a_long_loss_is_written_down_in_parts(tmp_path) -> None:
    disk = Switch()
    box = Box(tmp_path, disk=disk)
    desk = box.desk(memory=holding(10_000))
    disk.errno = errno.EIO
    record(desk, box, ["cam1"], range(1300))
    assert len(box.gaps()) == 2
    disk.errno = None
    record(desk, box, ["cam1"], range(1300, 1304))
    finish(desk)
    gaps = [gap.span for gap in box.gaps()]
    assert len(gaps) == 3
    assert gaps[0].start_ms == T0
    assert all(one.end_ms == other.start_ms for one, other in pairwise(gaps))
    assert gaps[-1].end_ms == T0 + 1000 * spans(box)[0][0]


def test_what_the_disk_never_takes_is_a_gap_at_the_end(tmp_path) -> None:
    disk = Switch()
    box = Box(tmp_path, disk=disk)
    desk = box.desk()
    disk.errno = errno.EIO
    record(desk, box, ["cam1"], range(10))
    desk.stop()
    desk.drain()
    desk.close()
    assert [gap.span for gap in box.gaps()] == [Span(T0, T0 + 10_000)]
    assert box.rows() == []


class Pair:
    """A box with two vaults, each on a disk of its own."""

    def __init__(self, root: Path) -> None:
        self.first, self.second = Switch(), Switch()
        self.box = Box(root, cameras=("cam1", "cam2", "cam3"))
        self.box.disk = self.first
        self.vaults = [
            Vault.open(self.box.vault_path, disk=self.first),
            Vault.create(root / "second", "uuid-2", created_ms=T0, disk=self.second),
        ]
        from agent.storage.catalogue import Catalogue

        catalogue = Catalogue.open(self.box.state)
        catalogue.add_vault("uuid-2", str(root / "second"), T0)
        catalogue.close()
        from agent.storage.desk import Desk

        self.desk = Desk(
            self.vaults,
            self.box.state,
            [self.box.recipient],
            self.box.clock,
            "record",
            homes={"cam1": 0, "cam2": 1, "cam3": 2},
            memory=Memory(["cam1", "cam2", "cam3"]),
        )

    def homes(self, seconds) -> dict[str, list[str]]:
        """Return for each camera the vaults of the segments that begin in a span of seconds."""
        found: dict[str, list[str]] = {}
        for row in self.box.rows():
            if (row.start_ms - T0) // 1000 in seconds:
                found.setdefault(row.camera, []).append(row.vault)
        return found

    def check(self) -> None:
        for row in self.box.rows():
            vault = next(vault for vault in self.vaults if vault.uuid == row.vault)
            assert vault.at(row.path).stat().st_size == row.sealed_bytes
        names = [
            str(path.relative_to(vault.root))
            for vault in self.vaults
            for path in (vault.root / "segments").rglob("*")
            if path.is_file() and not path.name.endswith(".tail")
        ]
        assert sorted(names) == sorted(row.path for row in self.box.rows())


def test_cameras_are_spread_over_the_vaults(tmp_path) -> None:
    pair = Pair(tmp_path)
    record(pair.desk, pair.box, ["cam1", "cam2", "cam3"], range(4))
    finish(pair.desk)
    assert pair.homes(range(4)) == {"cam1": ["uuid-1"], "cam2": ["uuid-2"], "cam3": ["uuid-1"]}
    assert pair.box.kinds() == ["segment.committed"] * 3
    pair.check()


def test_a_vault_that_fails_gives_its_cameras_to_the_next(tmp_path) -> None:
    """B9, B6: read-only or gone, its cameras go on elsewhere at once; they return after ten good minutes."""
    pair = Pair(tmp_path)
    cameras = ["cam1", "cam2", "cam3"]
    record(pair.desk, pair.box, cameras, range(6))
    pair.first.errno = errno.EROFS
    record(pair.desk, pair.box, cameras, range(6, 16))
    assert pair.desk.waiting()["disk"].code == "DISK_READ_ONLY"
    (moved,) = [body for kind, body in pair.box.facts() if kind == "storage.moved"]
    assert moved == {"cameras": ["cam1", "cam3"], "code": "DISK_READ_ONLY", "from": "uuid-1", "to": "uuid-2"}
    pair.first.errno = None
    record(pair.desk, pair.box, cameras, range(16, 40))
    assert pair.desk.waiting() == {}
    assert set(pair.homes(range(16, 40))["cam1"]) == {"uuid-2"}
    pair.box.clock.mono += RETURN_S
    record(pair.desk, pair.box, cameras, range(40, 60))
    finish(pair.desk)
    assert pair.homes(range(52, 60)) == {
        "cam1": ["uuid-1", "uuid-1"],
        "cam2": ["uuid-2", "uuid-2"],
        "cam3": ["uuid-1", "uuid-1"],
    }
    assert [body for kind, body in pair.box.facts() if kind == "storage.moved"][1] == {
        "cameras": ["cam1", "cam3"],
        "code": "",
        "from": "uuid-2",
        "to": "uuid-1",
    }
    assert pair.box.gaps() == []
    for camera in cameras:
        found = sorted(spans(pair.box, camera))
        assert (found[0][0], found[-1][1]) == (0, 60)
        assert all(before[1] >= after[0] for before, after in pairwise(found))
    assert not (pair.vaults[0].root / PROBE).exists()
    pair.check()


def test_single_faults_leave_a_camera_where_it_is_until_there_are_too_many(tmp_path) -> None:
    """B6: k errors in t, and the disk counts as failing."""
    pair = Pair(tmp_path)
    faults = iter([False, True, False, True, False, True, False])

    def plan(_number, op, _path):
        return errno.EIO if op == "syncfs" and next(faults, False) else None

    pair.first.plan = plan
    record(pair.desk, pair.box, ["cam1"], range(4), segment_s=1)
    assert set(pair.homes(range(4))["cam1"]) == {"uuid-1"}
    record(pair.desk, pair.box, ["cam1"], range(4, 12), segment_s=1)
    finish(pair.desk)
    assert set(pair.homes(range(8, 12))["cam1"]) == {"uuid-2"}
    assert pair.box.gaps() == []
    pair.check()


def test_when_both_vaults_fail_memory_bridges_it(tmp_path) -> None:
    pair = Pair(tmp_path)
    cameras = ["cam1", "cam2", "cam3"]
    record(pair.desk, pair.box, cameras, range(3))
    pair.first.errno, pair.second.errno = errno.ENOSPC, errno.EIO
    record(pair.desk, pair.box, cameras, range(3, 20))
    pair.second.errno = None
    record(pair.desk, pair.box, cameras, range(20, 24))
    pair.first.errno = None
    finish(pair.desk)
    for camera in cameras:
        found = sorted(spans(pair.box, camera))
        assert (found[0][0], found[-1][1]) == (0, 24)
    assert pair.box.gaps() == []


def test_a_vault_is_not_probed_while_it_is_well(tmp_path) -> None:
    disk = FailingDisk()
    box = Box(tmp_path, disk=disk)
    desk = box.desk()
    record(desk, box, ["cam1"], range(40))
    box.clock.mono += 100
    desk.retry()
    assert disk.calls.count("syncfs") == 40
    finish(desk)
