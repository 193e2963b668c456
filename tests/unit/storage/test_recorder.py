from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from agent.errors import StorageFault
from agent.model import Fact, Gap, GapCause, Instant, Span, Trust
from agent.storage import progress
from agent.storage.catalogue import FILE, SALVAGED
from agent.storage.layout import Kind, stem_of
from tests.unit.storage.box import T0, Box, FailingDisk, pattern, start
from tests.unit.storage.small import holding

AT = Instant(T0, Trust.SYNCED)


def until(state, bound_s: float = 20.0) -> None:
    """Wait until a state is reached, with a generous bound."""
    end = time.monotonic() + bound_s
    while not state():
        assert time.monotonic() < end, "not reached"
        time.sleep(0.005)


class Gate(FailingDisk):
    """A disk that hangs in a system call for as long as a test wants."""

    def __init__(self, op: str) -> None:
        super().__init__(self._wait)
        self.op = op
        self.free = threading.Event()
        self.hanging = threading.Event()

    def _wait(self, _number, op, _path):
        if op == self.op and not self.free.is_set():
            self.hanging.set()
            self.free.wait(30)


def locked(box: Box) -> sqlite3.Connection:
    lock = sqlite3.connect(box.state / FILE, isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    return lock


def unlock(lock: sqlite3.Connection) -> None:
    lock.execute("ROLLBACK")
    lock.close()


def test_a_hanging_disk_makes_the_backlog_grow_and_nobody_wait(tmp_path) -> None:
    gate = Gate("syncfs")
    box = Box(tmp_path, disk=gate)
    recorder = box.recorder()
    recorder.begin(start())
    recorder.write("cam1", b"x" * 1000, T0 + 1000, 25)
    recorder.flush()
    assert gate.hanging.wait(20)
    assert recorder.backlog_bytes() == 0
    for i in range(2, 12):
        recorder.write("cam1", b"x" * 1000, T0 + 1000 * i, 25)
        recorder.flush()
    assert recorder.backlog_bytes() == 10_000
    assert recorder.close(0.2) is False
    gate.free.set()
    until(lambda: recorder.close(0.1))
    assert recorder.backlog_bytes() == 0
    (row,) = box.rows()
    assert (row.frames, row.end_ms) == (275, T0 + 11_000)
    box.check()


def test_a_locked_catalogue_holds_facts_and_not_pictures(tmp_path) -> None:
    box = Box(tmp_path)
    recorder = box.recorder()
    lock = locked(box)
    for i in range(3):
        recorder.begin(start(at_ms=T0 + 1000 * i))
        recorder.write("cam1", pattern(100_000, i), T0 + 1000 * (i + 1), 25)
        recorder.fact(Fact("camera.note", AT, {"n": i}))
        recorder.end("cam1", T0 + 1000 * (i + 1))
    recorder.gap(Gap("cam1", Span(T0 - 5, T0), GapCause.CAMERA_SILENT), AT)
    until(lambda: len([name for name in box.names() if name.endswith(".age")]) == 3)
    until(lambda: "catalogue" in recorder.trouble())
    assert recorder.trouble()["catalogue"].code == "CATALOGUE_BUSY"
    assert recorder.totals()["cam1"]["segments"] == 0
    unlock(lock)
    box.clock.mono += 5
    assert recorder.close(20)
    assert recorder.trouble() == {}
    assert box.kinds() == ["camera.note", "segment.committed"] * 3 + ["gap"]
    assert recorder.totals()["cam1"]["gaps"] == 1
    box.check()


def test_a_catalogue_that_stays_locked_is_told_at_the_end_and_salvage_does_the_rest(tmp_path) -> None:
    box = Box(tmp_path)
    recorder = box.recorder()
    lock = locked(box)
    recorder.begin(start())
    recorder.write("cam1", pattern(100_000, 1), T0 + 1000, 25)
    recorder.end("cam1", T0 + 1040)
    assert recorder.close(0.3) is False
    until(lambda: not any(thread.name == "recorder" for thread in threading.enumerate()))
    unlock(lock)
    assert box.rows() == []
    report = Box(tmp_path).report
    assert report.adopted == 1
    (row,) = box.rows()
    assert (row.run, row.end_ms, row.frames) == ("run-1", T0 + 1040, 25)
    box.check()


def test_a_catalogue_that_vanishes_is_waited_for(tmp_path) -> None:
    box = Box(tmp_path)
    desk = box.desk()
    (box.state / FILE).rename(box.state / "hidden")
    desk.gap(Gap("cam1", Span(T0, T0 + 5), GapCause.CLOCK_JUMP), AT)
    assert desk.waiting()["catalogue"].code == "CATALOGUE_MISSING"
    assert desk.retry() == 1.0
    assert not (box.state / FILE).exists()
    (box.state / "hidden").rename(box.state / FILE)
    box.clock.mono += 1
    assert desk.retry() is None
    assert desk.waiting() == {}
    desk.close()
    assert len(box.gaps()) == 1


def test_a_recorder_without_a_catalogue_does_not_begin(tmp_path) -> None:
    box = Box(tmp_path)
    (box.state / FILE).unlink()
    with pytest.raises(StorageFault, match="CATALOGUE_MISSING"):
        box.recorder()


def test_a_bug_in_the_thread_ends_the_process_with_a_traceback(tmp_path) -> None:
    code = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from tests.unit.storage.box import Box, start, T0
        box = Box(Path(sys.argv[1]))
        def step(name):
            if name == "C2":
                raise RuntimeError("a bug of ours")
        recorder = box.recorder(step=step)
        recorder.begin(start())
        recorder.write("cam1", b"x" * 100_000, T0 + 1000, 25)
        time.sleep(30)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 70
    assert "RuntimeError: a bug of ours" in done.stderr


def test_what_cannot_be_stored_is_said_at_once(tmp_path) -> None:
    recorder = Box(tmp_path).recorder()
    with pytest.raises(ValueError):
        recorder.begin(start("../cam1"))
    with pytest.raises(ValueError):
        recorder.begin(start(run="\ud800"))
    with pytest.raises(ValueError):
        recorder.fact(Fact("\ud800", AT))
    assert recorder.close(10)


def test_a_disk_that_comes_back_is_used_again_by_itself(tmp_path) -> None:
    broken = True
    disk = FailingDisk(lambda _n, op, _p: errno.EIO if broken and op == "create" else None)
    box = Box(tmp_path, disk=disk)
    recorder = box.recorder(retry_s=1.0)
    recorder.begin(start())
    recorder.write("cam1", b"init", T0, 0)
    recorder.write("cam1", pattern(30_000, 1), T0 + 1000, 25)
    until(lambda: recorder._memory.held == recorder.backlog_bytes() == 30_004)
    assert "disk" in recorder.trouble()
    broken = False
    box.clock.mono += 10
    recorder.flush()
    until(lambda: any(name.endswith(".part") for name in box.names()))
    recorder.flush()
    until(lambda: recorder.trouble() == {})
    assert recorder.close(10)
    (row,) = box.rows()
    assert (row.start_ms, row.frames, row.keyframe_start) == (T0, 25, True)
    assert box.open(row) == b"init" + pattern(30_000, 1)
    assert box.kinds() == ["storage.failed", "storage.recovered", "segment.committed"]
    assert box.gaps() == []


def test_a_refusing_disk_is_tried_often_for_minutes_and_then_less(tmp_path) -> None:
    """B1: a disk that comes back within the time that memory bridges is found within two seconds."""
    disk = FailingDisk(lambda _n, op, _p: errno.EROFS if op == "create" else None)
    box = Box(tmp_path, disk=disk)
    desk = box.desk()
    desk.begin(start())
    waits = []
    while box.clock.mono < 1400:
        waits.append(desk.retry())
        box.clock.mono += waits[-1]
    assert waits[:150] == [2.0] * 150
    assert waits[150:] == [4.0, 8.0] + [10.0] * (len(waits) - 152)
    assert box.kinds() == ["storage.failed"]
    (fact,) = box.facts()
    assert fact[1] == {
        "cameras": ["cam1"],
        "code": "DISK_READ_ONLY",
        "errno": "EROFS",
        "op": "create",
        "vault": box.vault.uuid,
    }


def test_a_vault_that_is_unmounted_while_recording_gets_nothing_in_its_place(tmp_path) -> None:
    broken = False
    disk = FailingDisk(lambda _n, op, _p: errno.EIO if broken and op == "syncfs" else None)
    box = Box(tmp_path, disk=disk)
    desk = box.desk()
    desk.begin(start())
    desk.write("cam1", pattern(30_000, 1), T0 + 1000, 25)
    desk.flush()
    away = tmp_path / "away"
    box.vault_path.rename(away)
    box.vault_path.mkdir()
    (box.vault_path / "segments").mkdir()
    broken = True
    desk.flush()
    assert desk.waiting()["disk"].code == "VAULT_MISSING"
    assert list(box.vault_path.rglob("*")) == [box.vault_path / "segments"]
    broken = False
    (box.vault_path / "segments").rmdir()
    box.vault_path.rmdir()
    away.rename(box.vault_path)
    box.clock.mono += 10
    desk.retry()
    desk.flush()
    desk.stop()
    assert desk.drain()
    desk.close()
    assert sum(row.frames for row in box.rows()) >= 25
    assert box.gaps() == []
    box.check()


def test_when_nothing_supersedes_a_tail_it_is_kept_with_the_salvaged_segment(tmp_path) -> None:
    broken = False
    disk = FailingDisk(lambda *_: errno.EIO if broken else None)
    box = Box(tmp_path, disk=disk)
    desk = box.desk(memory=holding(1000), retry_s=1.0)
    desk.begin(start())
    for i in range(1, 4):
        desk.write("cam1", pattern(30_000, i), T0 + 1000 * i, 25)
        desk.flush()
    desk.write("cam1", pattern(30_000, 4), T0 + 4000, 25)
    broken = True
    desk.flush()
    broken = False
    box.clock.mono += 10
    desk.retry()
    desk.write("cam1", pattern(30_000, 5), T0 + 5000, 25)
    desk.flush()
    desk.end("cam1", T0 + 5000)
    desk.stop()
    desk.close()
    salvaged, later = box.rows()
    assert (salvaged.state, salvaged.has_tail) == (SALVAGED, True)
    assert (salvaged.end_ms, salvaged.frames) == (T0 + 3000, 75)
    (gap,) = box.gaps()
    assert gap.span == Span(salvaged.end_ms, T0 + 4000)
    assert (later.start_ms, later.end_ms, later.keyframe_start) == (T0 + 4000, T0 + 5000, False)
    box.check()


def test_what_is_cut_before_one_whole_picture_and_lost_is_quarantined(tmp_path) -> None:
    broken = False
    disk = FailingDisk(lambda *_: errno.EIO if broken else None)
    box = Box(tmp_path, disk=disk)
    desk = box.desk(memory=holding(1000), retry_s=1.0)
    desk.begin(start())
    desk.write("cam1", pattern(80_000, 1), T0 + 100, 25)  # one chunk, and a rest too short for a tail
    desk.flush()
    broken = True
    desk.flush()
    broken = False
    box.clock.mono += 10
    desk.retry()
    desk.flush()
    desk.stop()
    desk.close()
    assert len(box.names("quarantine")) == 1
    assert box.kinds().count("segment.quarantined") == 1
    assert [gap.span for gap in box.gaps()] == [Span(T0, T0 + 100)]


def test_what_another_worker_left_open_stays_told(tmp_path) -> None:
    """A camera that moved to a worker of its own is salvaged there, perhaps after its old worker wrote its file anew."""
    box = Box(tmp_path)
    place = box.state / "open" / "record.json"
    stem = stem_of("cam9", T0)
    mark = progress.Mark(1, T0 + 500, 12)
    left = progress.Open(
        "uuid-1",
        stem.path(Kind.FINAL),
        "cam9",
        "run-9",
        T0,
        "SYNCED",
        "h264",
        1,
        1,
        90_000,
        True,
        mark,
        mark,
        None,
    )
    progress.write(box.disk, place, [left], sync=False)
    part = box.vault.at(box.vault.new_stem("cam9", T0).path(Kind.PART))
    part.touch()
    desk = box.desk()
    desk.begin(start())
    desk.write("cam1", b"x", T0 + 1000, 25)
    desk.flush()
    assert progress.read_all(box.state)["uuid-1", left.path] == left
    part.unlink()
    desk.write("cam1", b"x", T0 + 2000, 25)
    desk.flush()
    assert ("uuid-1", left.path) not in progress.read_all(box.state)
    desk.stop()
    desk.close()


def test_a_state_on_another_file_system_is_synced_by_itself(tmp_path) -> None:
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("no second file system here: mount a tmpfs on /dev/shm")
    import tempfile

    for apart in (False, True):
        disk = FailingDisk()
        box = Box(tmp_path / str(apart), disk=disk)
        with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
            if apart:
                os.rmdir(box.state / "open")
                os.symlink(other, box.state / "open")
            desk = box.desk()
            desk.begin(start())
            desk.write("cam1", b"x", T0 + 1000, 25)
            disk.calls.clear()
            desk.flush()
            assert ("fdatasync" in disk.calls) == apart
            desk.stop()
            desk.close()


def test_a_progress_file_that_cannot_be_written_stops_nothing(tmp_path) -> None:
    def plan(_number, _op, path):
        return errno.ENOSPC if "record.json" in path.name else None

    box = Box(tmp_path, disk=FailingDisk(plan))
    desk = box.desk()
    desk.begin(start())
    desk.write("cam1", pattern(100_000, 1), T0 + 1000, 25)
    desk.flush()
    assert set(desk.waiting()) == {"progress"}
    desk.end("cam1", T0 + 1000)
    desk.stop()
    desk.close()
    assert box.kinds() == ["segment.committed"]


def test_memory_is_let_go_when_it_is_durable(tmp_path) -> None:
    box = Box(tmp_path)
    desk = box.desk()
    desk.begin(start())
    for i in range(1, 30):
        desk.write("cam1", pattern(100_000, 0), T0 + 1000 * i, 25)
        segment = desk._cameras["cam1"].open
        assert segment is not None
        assert sum(len(fragment.data) for fragment in segment._kept) <= 300_000
        desk.flush()
    desk.stop()
    desk.close()
