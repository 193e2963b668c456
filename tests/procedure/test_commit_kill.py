"""A2: the commit procedure of agent/storage/writer.py, killed after each of its steps, C1 to C9."""

from __future__ import annotations

import errno
import itertools
from typing import TYPE_CHECKING

import pytest

from agent.storage.catalogue import COMMITTED
from tests.procedure import scenario
from tests.unit.storage.box import Box, FailingDisk

if TYPE_CHECKING:
    from collections.abc import Callable


def count_to(at: int) -> Callable[[str], bool]:
    """Return what says at its call number `at`, counted from 0, that it is time to die."""
    calls = itertools.count()
    return lambda _: next(calls) == at


def walk(root) -> tuple[list[str], list[scenario.Promise]]:
    """Run to the end; return every step, and what was promised when it was done."""
    box = Box(root)
    steps: list[str] = []
    promises: list[scenario.Promise] = []
    now = scenario.Promise(frozenset(), {})

    def step(name: str) -> None:
        steps.append(name)
        promises.append(now)

    def on_flush(promise: scenario.Promise) -> None:
        nonlocal now
        now = promise

    desk = box.desk(step=step)
    scenario.run(desk, on_flush)
    desk.close()
    scenario.check(box, now)
    return steps, promises


def test_killed_after_each_step_nothing_promised_is_lost(tmp_path) -> None:
    steps, promises = walk(tmp_path / "whole")
    assert set(steps) == {"C1", "C2", "C3a", "C3b", "C3c", "C4", "C5", "C6", "C7", "C8", "C9"}
    # Steps of one kind behave alike in the same place of a segment: the second segment has every case.
    first, last = steps.index("C8"), len(steps) - steps[::-1].index("C3c")
    for at in [0, 1, 2, *range(first - 6, last), *range(last, len(steps))]:
        root = tmp_path / str(at)
        box = Box(root)
        scenario.run_and_die(box, count_to(at))
        restarted = Box(root)
        assert restarted.report.faults == []
        scenario.check(restarted, promises[at])
        again = restarted.salvage()
        assert (again.salvaged, again.adopted, again.quarantined) == (0, 0, 0)
        scenario.check(restarted, promises[at])


def test_finished_and_killed_before_its_row_is_committed_whole(tmp_path) -> None:
    steps, _ = walk(tmp_path / "whole")
    for name in ("C4", "C5", "C6", "C7"):
        root = tmp_path / name
        box = Box(root)
        scenario.run_and_die(box, count_to(steps.index(name)))
        rows = Box(root).rows()
        assert [row.state for row in rows if row.start_ms == scenario.start_ms(0)][:1] == [COMMITTED]


def test_a_new_recorder_goes_on_where_the_killed_one_was(tmp_path) -> None:
    steps, _ = walk(tmp_path / "whole")
    root = tmp_path / "killed"
    scenario.run_and_die(Box(root), count_to(steps.index("C9") + 5))
    box = Box(root)
    box.clock.utc_ms += 1_000_000
    recorder = box.recorder()
    for camera in scenario.INIT:
        ends = [row.end_ms for row in box.rows() if row.camera == camera]
        assert recorder.covered_until(camera) == max(ends)
    assert recorder.close(10)


def test_a_live_recorders_files_are_left_alone(tmp_path) -> None:
    box = Box(tmp_path)
    desk = box.desk()
    desk.begin(scenario.start("cam1"))
    desk.write("cam1", scenario.fragment("cam1", 0, 0), scenario.T0 + 1000, 25)
    desk.flush()
    before = box.names()
    report = box.salvage()
    assert report.live == 1
    assert box.names() == before
    desk.stop()
    desk.close()
    box.check()
    assert len(box.rows()) == 1


def test_the_tail_of_a_slow_camera_holds_what_no_chunk_does(tmp_path) -> None:
    steps, _ = walk(tmp_path / "whole")
    root = tmp_path / "killed"
    scenario.run_and_die(Box(root), count_to(steps.index("C3c")))
    box = Box(root)
    (row,) = [row for row in box.rows() if row.camera == "cam1"]
    assert (row.has_tail, row.plain_bytes, row.frames) == (True, 0, 25)
    assert (
        scenario.recovered(box, "cam1", 0)
        == scenario.plaintext("cam1", 0)[: len(scenario.INIT["cam1"]) + 30_000]
    )


@pytest.mark.parametrize("trouble", [errno.EIO, errno.ENOSPC])
def test_killed_while_the_disk_fails(tmp_path, trouble) -> None:
    """A sync that failed, and then the kill: what the last good sync covered is there all the same."""

    def plan(_number: int, op: str, _path) -> int | None:
        return trouble if op == "syncfs" and disk.calls.count("syncfs") == 3 else None

    disk = FailingDisk(plan)
    _, promises = walk(tmp_path / "whole")
    box = Box(tmp_path / "killed", disk=disk)
    scenario.run_and_die(box, lambda _: disk.calls.count("syncfs") == 3)
    after = Box(tmp_path / "killed")
    second = next(p for p in promises if p.durable and p.durable["cam2", 0] > 250_000)
    for camera in scenario.INIT:
        first = scenario.recovered(after, camera, 0)
        assert scenario.plaintext(camera, 0).startswith(first)
        assert len(first) >= second.durable[camera, 0]
