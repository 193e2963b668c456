"""A disk that is slow or stalls, with the real queue and thread in front of it: memory stays bounded, the first camera whole."""

from __future__ import annotations

import time

from agent.model import Gap, GapCause, Span
from agent.storage.files import Disk
from agent.storage.memory import Memory
from tests.unit.storage.box import T0, Box, start
from tests.unit.storage.test_desk import piece
from tests.unit.storage.test_recorder import until

CAMERAS = ("cam1", "cam2", "cam3")
SECOND = 100_000  # bytes of a camera
MEMORY = 2_000_000


class SlowDisk(Disk):
    """Takes so many bytes in a second, and stalls now and then."""

    def __init__(self) -> None:
        self.rate = 0
        self.stall_s = 0.0
        self.stalls = 0

    def call(self, op, path, function, *args):
        if op == "syncfs" and self.stall_s:
            self.stalls += 1
            if self.stalls % 8 == 1:
                time.sleep(self.stall_s)
        if op == "write" and self.rate:
            time.sleep(len(args[1]) / self.rate)
        return function(*args)


class Feeder:
    """Does what capture does with a camera: whole GOPs give way while there is no room, and their gap is written."""

    def __init__(self, recorder, box: Box, camera: str) -> None:
        self.recorder, self.box, self.camera = recorder, box, camera
        self.open = False
        self.lost_from: int | None = None

    def second(self, number: int) -> None:
        at_ms = T0 + 1000 * number
        if not self.recorder.room(self.camera):
            if self.open:
                self.recorder.end(self.camera, at_ms)
                self.open, self.lost_from = False, at_ms
            elif self.lost_from is None:
                self.lost_from = at_ms
            return
        if not self.open:
            if self.lost_from is not None:
                gap = Gap(self.camera, Span(self.lost_from, at_ms), GapCause.STORAGE_SLOW)
                self.recorder.gap(gap, self.box.clock.now())
                self.lost_from = None
            self.recorder.begin(start(self.camera, at_ms))
            self.recorder.write(self.camera, b"init", at_ms, 0)
            self.open = True
        self.recorder.write(self.camera, piece(number, size=SECOND), at_ms + 1000, 10)


def run(box: Box, disk: SlowDisk, seconds: int, slow: range, *, pace_s: float) -> tuple[list[int], set[str]]:
    """Record; return what waited after each second, and the cameras that gave way."""
    recorder = box.recorder(memory=Memory(CAMERAS, most=MEMORY))
    feeders = [Feeder(recorder, box, camera) for camera in CAMERAS]
    waited = []
    for second in range(seconds):
        disk.rate = 600_000 if second in slow else 0
        disk.stall_s = 2.0 if second in slow else 0.0
        for feeder in feeders:
            feeder.second(second)
        recorder.flush()
        waited.append(recorder.backlog_bytes())
        time.sleep(pace_s)
    until(lambda: recorder.backlog_bytes() == 0, 60)
    for feeder in feeders:
        feeder.second(seconds)
    assert recorder.close(60)
    return waited, {gap.camera for gap in box.gaps()}


def test_b16_a_slow_disk_costs_the_last_cameras_whole_gops_and_never_the_memory(tmp_path) -> None:
    """B16: 3 MB in a second are wanted where 0.6 go; 2 s stalls. Bounded, with gaps, the first camera last to give way."""
    disk = SlowDisk()
    box = Box(tmp_path, cameras=CAMERAS, disk=disk)
    waited, gave_way = run(box, disk, 80, range(10, 50), pace_s=0.1)
    assert max(waited) <= MEMORY + len(CAMERAS) * 2 * SECOND
    assert "cam3" in gave_way
    assert disk.stalls
    box.check()
    lost = dict.fromkeys(CAMERAS, 0)
    for gap in box.gaps():
        assert gap.cause == GapCause.STORAGE_SLOW
        lost[gap.camera] += gap.span.length_ms
    assert lost["cam1"] <= lost["cam2"] <= lost["cam3"]
    for camera in CAMERAS:
        spans = [(row.start_ms, row.end_ms) for row in box.rows() if row.camera == camera]
        spans += [(gap.span.start_ms, gap.span.end_ms) for gap in box.gaps() if gap.camera == camera]
        reach = T0
        for begin, end in sorted(spans):
            assert begin <= reach, (camera, begin - T0, reach - T0)
            reach = max(reach, end)
        assert reach == T0 + 81_000


def test_b16_short_stalls_cost_nothing(tmp_path) -> None:
    """B16: what memory bridges is not lost, and a disk that does not answer is said to be within seconds."""
    disk = SlowDisk()
    box = Box(tmp_path, cameras=CAMERAS, disk=disk)
    recorder = box.recorder(memory=Memory(CAMERAS, most=MEMORY))
    feeders = [Feeder(recorder, box, camera) for camera in CAMERAS]
    for second in range(4):
        for feeder in feeders:
            feeder.second(second)
        recorder.flush()
    until(lambda: recorder.backlog_bytes() == 0)
    disk.stall_s = 1.0
    recorder.flush()
    until(lambda: disk.stalls > 0)
    box.clock.mono += 5
    assert recorder.trouble()["disk"].code == "DISK_STALLED"
    for feeder in feeders:
        feeder.second(4)
    disk.stall_s = 0
    until(lambda: recorder.trouble() == {})
    assert recorder.close(60)
    assert box.gaps() == []
    assert [row.frames for row in box.rows()] == [50] * 3
    box.check()
