"""Placing, releasing and tending holds, killed after each of their steps (A2), and holds that race with erasing (I2)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.storage.catalogue import FILE, Catalogue
from agent.storage.keep import holds
from tests.procedure.dying import die_at
from tests.procedure.fate import HELD, check, filled, held
from tests.unit.keep.kept import DAY_MS, UUID, Kept, order
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ORDER = order(span=HELD)


@pytest.fixture
def children() -> Iterator[Callable[[Callable[[], bool]], int]]:
    """Give what runs work in a process of its own, which ends with 0 if the work says so; none outlives the test."""
    pids: list[int] = []

    def fork(work: Callable[[], bool]) -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = 0 if work() else 2
            finally:
                os._exit(status)
        pids.append(pid)
        return pid

    yield fork
    for pid in pids:
        with contextlib.suppress(ChildProcessError):  # it has ended, and its number may be another's by now
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def ended(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


def steps_of(work) -> list[str]:
    steps: list[str] = []
    work(steps.append)
    return steps


def lose_the_catalogue(box: Kept) -> None:
    """Begin a new catalogue, and give it the segments that are found; their time is settled as `pasu keep` does."""
    for place in box.state.glob(FILE + "*"):
        place.unlink()
    Catalogue.prepare(box.state).close()
    with box.catalogue() as catalogue:
        catalogue.add_vault(UUID, str(box.vault_path), T0)
    box.reconcile()
    box.salvage()
    with box.catalogue() as catalogue:
        catalogue.write(
            lambda db: db.execute("UPDATE segment SET kept_from_ms = start_ms, end_ms = start_ms + 1000")
        )
    box.reconcile()


def test_a_placing_that_is_killed_holds_from_h3_on_or_not_at_all(tmp_path) -> None:
    """A2: held lost 0; links and rows agree after one tick of the keeper."""
    box = filled(tmp_path / "whole")
    steps = steps_of(lambda step: box.place(ORDER, step=step))
    assert set(steps) == {"H1", "H2", "H3", "H4", "H5", "H6"}
    check(box)
    for at, name in enumerate(steps):
        box = filled(tmp_path / str(at))
        assert die_at(lambda step, box=box: box.place(ORDER, step=step), at)
        assert set(box.condemn()) & {1, 2, 3} == (set() if name >= "H3" else {1, 2, 3})
        box.tend()
        # Its file was written: so it holds, and what was condemned before it had rows comes back.
        box.finish()
        box.reconcile()
        check(box)
        assert len(held(box)) == 3
        assert [body["path"].split("/")[1] for body in box.erased()] == ["cam1", "cam2", "cam2"]
        with box.catalogue() as catalogue:
            (hold,) = holds.active(catalogue)
        assert hold.terms() == ORDER.terms()
        shutil.rmtree(tmp_path / str(at))


def test_a_placing_that_is_killed_is_finished_by_giving_it_again(tmp_path) -> None:
    box = filled(tmp_path / "whole")
    for at in range(len(steps_of(lambda step: box.place(ORDER, step=step)))):
        box = filled(tmp_path / str(at))
        assert die_at(lambda step, box=box: box.place(ORDER, step=step), at)
        assert box.place(ORDER).segments == 3
        check(box)
        assert box.kinds().count("hold.placed") == 1
        shutil.rmtree(tmp_path / str(at))


def test_a_placing_that_is_killed_survives_the_loss_of_the_catalogue(tmp_path) -> None:
    """B11: from H1 on the vault alone is enough."""
    box = filled(tmp_path / "whole")
    for at in range(len(steps_of(lambda step: box.place(ORDER, step=step)))):
        box = filled(tmp_path / str(at))
        assert die_at(lambda step, box=box: box.place(ORDER, step=step), at)
        shutil.rmtree(box.state / "holds", ignore_errors=True)
        lose_the_catalogue(box)
        box.clock.utc_ms += 31 * DAY_MS
        box.condemn()
        box.finish()
        assert len(held(box)) == 3
        check(box)
        shutil.rmtree(tmp_path / str(at))


def test_a_release_that_is_killed_is_finished_by_the_keeper(tmp_path) -> None:
    """A2: from R1 on it does not hold; before, it does. Nothing is destroyed by it."""
    box = filled(tmp_path / "whole")
    box.place(ORDER)
    steps = steps_of(lambda step: box.release(step=step))
    assert set(steps) == {"R1", "R2", "R3", "R4", "R5"}
    check(box)
    for at in range(len(steps)):
        box = filled(tmp_path / str(at))
        before = box.names()
        box.place(ORDER)
        assert die_at(lambda step, box=box: box.release(step=step), at)
        assert box.names() == before
        assert len(box.condemn()) == 6
        box.finish()
        box.tend()
        box.finish()
        check(box)
        assert box.names() == []
        shutil.rmtree(tmp_path / str(at))


def test_a_release_that_is_killed_while_the_catalogue_is_lost_errs_to_holding(tmp_path) -> None:
    box = filled(tmp_path / "whole")
    box.place(ORDER)
    steps = steps_of(lambda step: box.release(step=step))
    for at, name in enumerate(steps):
        box = filled(tmp_path / str(at))
        before = box.names()
        box.place(ORDER)
        assert die_at(lambda step, box=box: box.release(step=step), at)
        lose_the_catalogue(box)
        assert box.names() == before
        with box.catalogue() as catalogue:
            assert bool(holds.active(catalogue)) == (name == "R1")  # the file did not know yet
        shutil.rmtree(tmp_path / str(at))


def test_tending_that_is_killed_goes_on_where_it_was(tmp_path) -> None:
    """A hold into the future, of which segments wait for their links, and a restored one."""

    def prepared(root) -> Kept:
        box = Kept(root)
        box.place(order("future", cameras=("*",)))
        box.place(order("lost", span=HELD))
        with box.catalogue() as catalogue:
            for table, column in (("hold_segment", "hold"), ("hold_camera", "hold"), ("hold", "id")):
                query = f"DELETE FROM {table} WHERE {column} = 'lost'"
                catalogue.write(lambda db, query=query: db.execute(query))
        (box.vault_path / "holds/future/HOLD").unlink()
        box.record(count=3)
        box.record_salvaged(at_ms=T0 + 5000)
        return box

    box = prepared(tmp_path / "whole")
    steps = steps_of(lambda step: box.tend(step=step))
    assert set(steps) == {"T1", "T2", "T4", "H4", "H5", "H6"}
    for at in range(len(steps)):
        box = prepared(tmp_path / str(at))
        assert die_at(lambda step, box=box: box.tend(step=step), at)
        box.tend()
        check(box)
        assert len(box.links()) == 5 + 3
        shutil.rmtree(tmp_path / str(at))


@pytest.mark.parametrize("cut", ["E3", "E3b", "E4", "E5", "E6"])
@pytest.mark.parametrize("number", [0, 2, 5])
def test_a_hold_that_arrives_while_its_span_is_erased(tmp_path, children, cut, number) -> None:
    """I2: a real second process erases and is stopped after a step; the hold waits for its batch, and no longer."""
    box = filled(tmp_path / "box")
    box.condemn()
    ready_out, ready_in = os.pipe()
    go_out, go_in = os.pipe()
    wanted = 1 if cut in ("E3b", "E5", "E6") else number + 1

    def erase() -> bool:
        os.close(go_in)
        seen: list[str] = []

        def step(name: str) -> None:
            seen.append(name)
            if name == cut and seen.count(name) == wanted:
                os.write(ready_in, b"!")
                os.read(go_out, 1)

        return box.finish(limit=6, step=step).erased == 6

    def hold() -> bool:
        placed = box.place(ORDER)
        # The batch had begun: all of it came too late, and the answer names it.
        return len(placed.late) == 3 and not placed.spared

    keeper = children(erase)
    os.close(ready_in)
    assert os.read(ready_out, 1) == b"!"
    officer = children(hold)
    # Nothing of the hold may be anywhere while the batch is under way: it waits for the lock.
    wait_for_lock(officer)
    assert box.names("holds") == []
    os.write(go_in, b"!")
    assert [ended(pid) for pid in (keeper, officer)] == [0, 0]
    for fd in (ready_out, go_out, go_in):
        os.close(fd)
    check(box)
    assert held(box) == []


def test_a_hold_that_arrives_between_two_batches_saves_the_rest(tmp_path, children) -> None:
    """I2: condemned together, erased two at a time; what still has its header comes back."""
    box = filled(tmp_path / "box")
    box.condemn()
    assert box.finish(limit=2).erased == 2

    def hold() -> bool:
        placed = box.place(ORDER)
        return (len(placed.late), len(placed.spared)) == (2, 1)

    assert ended(children(hold)) == 0
    box.finish()
    check(box)
    assert len(held(box)) == 1


def test_holds_and_erasing_at_once_lose_nothing_that_was_said_to_be_held(tmp_path, children) -> None:
    """I2: one process condemns and erases, another places holds; whatever a hold answered to have is there."""
    box = Kept(tmp_path / "box")
    box.record(count=40)

    def keep() -> bool:
        for first in range(1, 41, 2):
            box.condemn([first, first + 1])
            box.finish(limit=1)
        while box.finish().erased:
            pass
        return True

    keeper = children(keep)
    answers = []
    for number in range(8):
        span = type(HELD)(T0 + number * 5000, T0 + number * 5000 + 3000)
        answers.append((span, box.place(order(f"h{number}", span=span))))
    assert ended(keeper) == 0
    box.tend()
    box.finish()
    check(box)
    stored = {row.start_ms for row in box.rows()}
    for span, placed in answers:
        late = {row.start_ms for row in placed.late}
        wanted = set(range(span.start_ms, span.end_ms, 1000))
        assert wanted - late == wanted & stored
        assert placed.segments == len(wanted - late)


def wait_for_lock(pid: int) -> None:
    """Wait until a process sleeps in flock, as the kernel tells; fail when it ends instead."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        assert done == 0, f"it did not wait: {status}"
        locks = Path("/proc/locks").read_text()
        if any("->" in line and f" {pid} " in line for line in locks.splitlines()):
            return
        time.sleep(0.01)
    raise AssertionError("it never came to the lock")
