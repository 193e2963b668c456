"""B6: a disk that fails, at every single call: nothing handed in is lost while memory can hold it, and what is lost has a gap."""

from __future__ import annotations

import errno
import functools
import random
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.model import GapCause, Span
from agent.storage.catalogue import COMMITTED
from tests.procedure.scenario import plain_of
from tests.unit.storage.box import T0, Box, FailingDisk, pattern, start
from tests.unit.storage.small import holding

if TYPE_CHECKING:
    from agent.storage.desk import Desk

MEMORY = Path("/dev/shm")  # hundreds of runs, each with dozens of syncs; real disks are in the other tests
CAMERAS = {"cam1": 30_000, "cam2": 100_000}
SEGMENTS, FRAGMENTS = 2, 4
INIT = b"an init segment of thirty bytes"
END_MS = T0 + SEGMENTS * FRAGMENTS * 1000


@functools.cache
def fragment(camera: str, number: int) -> bytes:
    return pattern(CAMERAS[camera], int(camera[-1]) * 100 + number)


def run(box: Box, desk: Desk) -> None:
    for number in range(SEGMENTS * FRAGMENTS):
        for camera in CAMERAS:
            if number % FRAGMENTS == 0:
                desk.begin(start(camera, T0 + 1000 * number))
                desk.write(camera, INIT, T0 + 1000 * number, 0)
            desk.write(camera, fragment(camera, number), T0 + 1000 * (number + 1), 25)
        desk.flush()
        box.clock.mono += 1
        desk.retry()
    for camera in CAMERAS:
        desk.end(camera, END_MS)
    desk.flush()
    desk.stop()
    assert desk.drain()
    desk.close()


def found(box: Box) -> dict[str, set[int]]:
    """Return the whole fragments that can be had, by camera; anything else in a file fails the test."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for row in box.rows():
        plain = plain_of(box, row)
        assert plain.startswith(INIT)
        plain, size = plain[len(INIT) :], CAMERAS[row.camera]
        first = (row.start_ms - T0) // 1000
        known = row.run != "unknown"
        if known:
            assert row.start_ms == T0 + 1000 * first
            assert row.keyframe_start == (first % FRAGMENTS == 0)
        else:  # no progress file could be written; the name may have been moved on to be free
            assert row.start_ms <= T0 + 1000 * first + 10
        whole = len(plain) // size
        for i in range(whole):
            assert plain[i * size : (i + 1) * size] == fragment(row.camera, first + i)
            numbers[row.camera].add(first + i)
        rest = plain[whole * size :]
        assert fragment(row.camera, first + whole).startswith(rest) if rest else True
        # A row claims what its file holds: whole fragments, and nothing beyond.
        assert (row.end_ms - row.start_ms) // 1000 == row.frames // 25 <= whole
        assert known or row.frames == 0
        if row.state == COMMITTED:
            assert not rest
    return numbers


def check(box: Box) -> None:
    """Assert that files and rows agree, and that every fragment is found, or in a gap that says why."""
    box.check()
    numbers = found(box)
    gaps = box.gaps()
    assert {gap.cause for gap in gaps} <= {GapCause.STORAGE_FAILED}
    for camera in CAMERAS:
        for number in range(SEGMENTS * FRAGMENTS):
            span = Span(T0 + 1000 * number, T0 + 1000 * (number + 1))
            missed = [gap for gap in gaps if gap.camera == camera and gap.span.overlaps(span)]
            assert (number in numbers[camera]) or missed, (camera, number)


@pytest.fixture
def tmp_path():
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
        yield Path(root)


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> list[str]:
    disk = FailingDisk()
    box = Box(tmp_path_factory.mktemp("whole"), disk=disk)
    run(box, box.desk())
    check(box)
    assert box.kinds() == ["segment.committed"] * len(CAMERAS) * SEGMENTS
    return disk.calls


def test_the_run_uses_every_call_that_can_fail(calls) -> None:
    needed = {
        "create",
        "fallocate",
        "write",
        "truncate",
        "fdatasync",
        "syncfs",
        "rename",
        "unlink",
        "mkdir",
        "fsync",
    }
    assert needed <= set(calls)


@pytest.mark.parametrize("trouble", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_one_call_fails_and_nothing_is_lost(tmp_path, calls, trouble) -> None:
    for at, op in enumerate(calls):
        disk = FailingDisk(lambda number, _op, _path, at=at: trouble if number == at else None)
        box = Box(tmp_path / str(at), disk=disk)
        run(box, box.desk())
        disk.plan = lambda *_: None
        after = Box(tmp_path / str(at))  # a tail that could not be removed is put away at the next start
        assert after.report.faults == []
        check(after)
        assert box.gaps() == [], (at, op)
        kinds = box.kinds()
        assert kinds.count("storage.recovered") <= kinds.count("storage.failed") <= 1
        shutil.rmtree(tmp_path / str(at))  # what is reserved for segments would fill the memory


@pytest.mark.parametrize("trouble", ["short", errno.EINTR], ids=str)
def test_a_short_write_or_an_interruption_is_no_failure(tmp_path, calls, trouble) -> None:
    disk = FailingDisk(lambda number, _op, _path: trouble if number % 2 else None)
    box = Box(tmp_path, disk=disk)
    run(box, box.desk())
    check(box)
    assert box.kinds() == ["segment.committed"] * len(CAMERAS) * SEGMENTS


@pytest.mark.parametrize(
    "trouble", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.ENOENT], ids=errno.errorcode.get
)
def test_the_disk_fails_for_a_while(tmp_path, calls, trouble) -> None:
    """From any call on it refuses everything; then it comes back."""
    for at in range(0, len(calls), 3):
        for length in (2, 9, 40):
            disk = FailingDisk(
                lambda number, _op, _path, at=at, n=length: trouble if at <= number < at + n else None
            )
            box = Box(tmp_path / f"{at}-{length}", disk=disk)
            run(box, box.desk(retry_s=1.0, memory=holding(250_000)))
            disk.plan = lambda *_: None
            after = Box(tmp_path / f"{at}-{length}")  # a restart puts away what the run could not
            assert after.report.faults == []
            check(after)
            shutil.rmtree(tmp_path / f"{at}-{length}")


def test_a_disk_that_fails_by_chance(tmp_path, calls) -> None:
    """Bursts of every kind of failure, anywhere; afterwards every fragment is found or in a gap."""
    for seed in range(120):
        rng = random.Random(seed)
        rate, burst = rng.choice([0.01, 0.05, 0.2, 0.6]), 0
        kinds = [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EINTR, "short", None]

        def plan(_number, _op, _path, rng=rng, rate=rate, kinds=kinds):
            nonlocal burst
            if burst == 0 and rng.random() < rate:
                burst = rng.randint(1, 12)
            if burst == 0:
                return None
            burst -= 1
            return rng.choice(kinds)

        disk = FailingDisk(plan)
        box = Box(tmp_path / str(seed), disk=disk)
        run(box, box.desk(retry_s=1.0, memory=holding(rng.choice([0, 100_000, 10_000_000]))))
        disk.plan = lambda *_: None
        after = Box(tmp_path / str(seed))
        assert after.report.faults == []
        check(after)
        shutil.rmtree(tmp_path / str(seed))


def test_the_disk_never_comes_back(tmp_path, calls) -> None:
    for at in range(0, len(calls), 7):
        disk = FailingDisk(lambda number, _op, _path, at=at: errno.EIO if number >= at else None)
        box = Box(tmp_path / str(at), disk=disk)
        run(box, box.desk(memory=holding(250_000)))
        kinds = box.kinds()
        # Fewer only where all was stored before, and just the progress file or a tail is left.
        hindered = kinds.count("segment.committed") < len(CAMERAS) * SEGMENTS
        assert hindered <= kinds.count("storage.failed") <= 1
        assert "storage.recovered" not in kinds
        disk.plan = lambda *_: None
        check(Box(tmp_path / str(at)))
        shutil.rmtree(tmp_path / str(at))


def test_what_is_lost_is_one_gap_from_the_last_durable_picture(tmp_path) -> None:
    broken = False
    disk = FailingDisk(lambda *_: errno.EIO if broken else None)
    box = Box(tmp_path, disk=disk)
    desk = box.desk(memory=holding(150_000), retry_s=1.0)
    desk.begin(start("cam2"))
    desk.write("cam2", INIT, T0, 0)
    for number in range(8):
        broken = 3 <= number < 6
        desk.write("cam2", fragment("cam2", number % FRAGMENTS), T0 + 1000 * (number + 1), 25)
        desk.flush()
        box.clock.mono += 2
        desk.retry()
    desk.end("cam2", T0 + 8000)
    desk.stop()
    desk.close()
    (gap,) = box.gaps()
    assert (gap.cause, gap.detail) == (GapCause.STORAGE_FAILED, "DISK_FAILED")
    rows = box.rows()
    assert [row.start_ms for row in rows] == [T0, gap.span.end_ms]
    # The salvaged one may hold more than its row claims: its last fragment is cut.
    assert rows[0].end_ms == gap.span.start_ms
    assert rows[1].end_ms == T0 + 8000
    assert not rows[1].keyframe_start
    assert [row.state for row in rows] == ["SALVAGED", "COMMITTED"]
