"""What a killed recorder left open in a day that no start looks at (A1): the keeper's check puts it in order."""

from __future__ import annotations

import os

import pytest

from agent.storage import progress
from agent.storage.files import try_lock
from agent.storage.layout import Kind, stem_of
from tests.unit.keep.keeping import Kept30
from tests.unit.keep.kept import DAY_MS
from tests.unit.storage.box import T0, pattern, start


@pytest.fixture
def box(tmp_path):
    box = Kept30(tmp_path)
    for day in range(6):
        box.record(at_ms=T0 + day * DAY_MS)
    pid = os.fork()
    if pid == 0:
        try:
            desk = box.desk()
            desk.begin(start("cam1", T0 + 5000))
            for number in range(4):
                desk.write("cam1", pattern(30_000, number), T0 + 6000 + 1000 * number, 25)
            desk.flush()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.utime(part(box), (0, T0 // 1000 + 9))
    os.utime(tail(box), (0, T0 // 1000 + 9))
    yield box
    box.keeper.close()


def part(box: Kept30):
    return box.vault.at(stem_of("cam1", T0 + 5000).path(Kind.PART))


def tail(box: Kept30):
    return box.vault.at(stem_of("cam1", T0 + 5000).path(Kind.TAIL))


def forget(box: Kept30) -> None:
    for place in (box.state / progress.DIRECTORY).glob("*.json"):
        place.unlink()


def salvaged(box: Kept30) -> list[str]:
    return [state for path, state in box.states().items() if ".salvaged." in path]


def test_it_is_salvaged_and_erased_in_its_time(box) -> None:
    """A1, I1: no personal data outlives its time because no row names it."""
    forget(box)
    box.pass_time(5 * DAY_MS)
    assert box.prepare().salvaged == 0
    assert part(box).exists()
    box.turn(30)
    assert salvaged(box) == ["SALVAGED"]
    assert not part(box).exists()
    assert not tail(box).exists()
    for _ in range(32):
        box.pass_time(DAY_MS)
        box.turn()
    assert box.names() == []


@pytest.mark.parametrize("why", ["young", "locked", "told"])
def test_what_a_recorder_may_have_in_hand_is_left_alone(box, why) -> None:
    """A1: written lately, locked, or told of in a progress file."""
    box.pass_time(DAY_MS // 2 if why == "young" else 5 * DAY_MS)
    if why != "told":
        forget(box)
    fd = os.open(part(box), os.O_RDONLY)
    try:
        if why == "locked":
            assert try_lock(fd)
        box.turn(30)
    finally:
        os.close(fd)
    assert part(box).exists()
    assert tail(box).exists()
    assert salvaged(box) == []


def test_the_tail_of_a_committed_segment_goes_with_its_time(box) -> None:
    """A1: S6 that was never reached, in a day that no start looks at."""
    left = box.vault.at(stem_of("cam1", T0).path(Kind.TAIL))
    left.write_bytes(tail(box).read_bytes())
    os.utime(left, (0, T0 // 1000))
    box.pass_time(5 * DAY_MS)
    box.turn(30)
    assert not left.exists()
    assert box.states()[stem_of("cam1", T0).path(Kind.FINAL)] == "COMMITTED"


def test_what_a_progress_file_tells_stays_while_the_vault_is_away(box) -> None:
    """B15: the worker that comes after knows no more of the file than this."""
    (told,) = [one for one in progress.read_all(box.state).values() if one.start_ms == T0 + 5000]
    desk = box.desk(retry_s=1.0)
    away = box.root / "away"
    box.vault_path.rename(away)
    box.vault_path.mkdir()
    desk.begin(start("cam2", T0 + 9000))
    desk.write("cam2", pattern(30_000, 1), T0 + 10_000, 25)
    desk.flush()
    desk._write_progress()
    assert told in progress.read_all(box.state).values()
    box.vault_path.rmdir()
    away.rename(box.vault_path)
    part(box).rename(part(box).with_name("gone"))
    desk._write_progress()
    assert told not in progress.read_all(box.state).values()
    desk.close()
