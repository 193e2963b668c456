"""A2: a lost catalogue, with the recovery itself killed: after each step of aside.py and rebuild.py, and fifty times (A5)."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import select
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.errors import StorageFault
from agent.storage import locks
from agent.storage.catalogue import FILE, Catalogue, mark_damaged
from agent.storage.layout import MARKING
from agent.storage.prepare import prepare
from tests.procedure.dying import die_at
from tests.procedure.test_catalogue_states import START, checkpointed, content, overwrite
from tests.unit.keep.test_rebuild import STARTS, aged, corrupt, fill, go_on, meta, table
from tests.unit.storage.box import T0, Box, FailingDisk

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = T0 + 60_000


def make(root: Path) -> Box:
    """Make a box whose catalogue is marked as damaged, and can be read."""
    box = aged(root)
    fill(box, STARTS)
    corrupt(box)
    box.clock.utc_ms = NOW_MS
    return box


def copy(box: Box, root: Path) -> Box:
    """Copy a box that is not running; the mark names the copied file."""
    shutil.copytree(box.root, root, symlinks=True)
    other = Box.__new__(Box)
    other.__dict__.update(box.__dict__)
    other.root, other.vault_path, other.state = root, root / "vault", root / "state"
    vaults = root / "state" / "vaults.json"
    vaults.write_text(vaults.read_text().replace(str(box.vault_path), str(other.vault_path)))
    if (root / "state" / "catalogue-damaged").exists():
        corrupt(other)
    return other


def start_up(box: Box, step: Callable[[str], None] = lambda _: None, **more) -> str:
    return prepare(
        [box.vault_path],
        box.state,
        box.cameras,
        box.clock.now(),
        box="box-1",
        new_uuid=lambda: "uuid-9",
        step=step,
        **more,
    ).began


def end_of(box: Box) -> tuple[list[tuple], list[tuple]]:
    """Finish everything; return the rows, and the gaps."""
    start_up(box)
    progress = go_on(box)
    assert progress is None or progress.done
    kinds = box.kinds()
    assert kinds.count("ledger.began") == 1
    assert kinds.count("catalogue.rebuilt") == 1
    assert meta(box, "reconcile") is None
    assert not (box.state / "catalogue-damaged").exists()
    assert start_up(box) == ""
    gaps = [(gap.camera, gap.span, gap.cause) for gap in box.gaps()]
    assert len(gaps) == len(set(gaps))
    return table(box), sorted(gaps, key=str)


def test_killed_after_each_step_of_beginning_anew(tmp_path) -> None:
    made = make(tmp_path / "made")
    expected, before = table(made), content(made)
    steps: list[str] = []
    whole = copy(made, tmp_path / "whole")
    assert start_up(whole, steps.append) == "damaged"
    assert steps == ["A1", "A2", "A3", "A4", "A5", "A6", "A7"]
    end = end_of(whole)
    assert end[0] == expected
    for at in range(len(steps)):
        box = copy(made, tmp_path / str(at))
        assert die_at(lambda step, box=box: start_up(box, step), at)
        die_at(lambda step, box=box: start_up(box, step), 0)
        assert end_of(box) == end
        assert content(box) == before
        assert len(list((box.state / "aside").iterdir())) == 1
        shutil.rmtree(box.root)


def test_killed_after_each_step_of_rebuilding(tmp_path) -> None:
    made = make(tmp_path / "made")
    expected = table(made)
    assert start_up(made) == "damaged"
    steps: list[str] = []
    whole = copy(made, tmp_path / "whole")
    go_on(whole, step=steps.append)
    assert set(steps) == {"R1", "R2", "R3", "R4", "R5", "R6"}
    end = end_of(whole)
    assert end[0] == expected
    for at in range(len(steps)):
        box = copy(made, tmp_path / str(at))
        assert die_at(lambda step, box=box: go_on(box, step=step), at)
        die_at(lambda step, box=box: go_on(box, step=step), 0)
        assert end_of(box) == end
        shutil.rmtree(box.root)


@pytest.mark.parametrize("seed", range(3))
def test_fifty_kills_in_a_row_come_to_the_same_end(tmp_path, seed) -> None:
    """A5: power that flaps, also inside the recovery: each attempt dies after the first few steps that it does."""
    made = make(tmp_path / "made")
    expected, before = table(made), content(made)
    whole = copy(made, tmp_path / "whole")
    start_up(whole)
    go_on(whole)
    end = end_of(whole)
    box = copy(made, tmp_path / "flaps")
    chance = random.Random(seed)
    died = 0
    for _ in range(50):

        def work(step: Callable[[str], None]) -> None:
            start_up(box, step)
            go_on(box, step=step)

        died += die_at(work, chance.randrange(3))
        # The clock of the box stands still, so a second moving aside would bear the same name.
        assert content(box) == before
    assert died > 5
    assert end_of(box) == end
    assert end[0] == expected


def test_lost_again_and_again_while_it_is_being_rebuilt(tmp_path) -> None:
    """Each new catalogue is damaged too, before its rows are all there: rows are asked of every copy."""
    box = make(tmp_path / "made")
    expected = table(box)
    start_up(box)
    for turn in range(2):
        die_at(lambda step: go_on(box, step=step), 3)
        overwrite(checkpointed(box), 0, 200)
        box.clock.utc_ms += 1000
        assert start_up(box) == "damaged", turn
    assert go_on(box).done
    assert table(box) == expected
    assert len(list((box.state / "aside").iterdir())) == 3


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_disk_that_refuses_at_any_call_loses_nothing(tmp_path, error) -> None:
    made = make(tmp_path / "made")
    expected, before = table(made), content(made)
    counting = FailingDisk()
    whole = copy(made, tmp_path / "whole")
    start_up(whole, disk=counting)
    end = end_of(whole)
    assert len(counting.calls) > 15
    for at in range(len(counting.calls)):
        box = copy(made, tmp_path / str(at))
        disk = FailingDisk(lambda number, _op, _path, at=at: error if number == at else None)
        with contextlib.suppress(StorageFault):
            start_up(box, disk=disk)
        assert content(box) == before
        assert end_of(box) == end
        shutil.rmtree(box.root)
    assert end[0] == expected


def test_what_a_keeper_writes_into_the_old_file_is_not_taken_for_done(tmp_path) -> None:
    """A connection that was opened before fails after the moving aside, and its catalogue says so."""
    box = aged(tmp_path)
    fill(box, STARTS)
    keeper = Catalogue.open(box.state)
    assert keeper.counts()["segment"] == len(STARTS) * 2
    corrupt(box)
    assert start_up(box) == "damaged"
    with pytest.raises(StorageFault, match="CATALOGUE_MISSING"):
        keeper.write(lambda db: db.execute("UPDATE segment SET state = 'CONDEMNED'"))
    keeper.close()
    assert go_on(box).done
    assert {row[START + 12] for row in table(box)} == {"COMMITTED"}
    assert (box.state / FILE).exists()


def test_who_finds_a_damage_never_writes_over_where_the_catalogue_is_moved_to(tmp_path) -> None:
    """A2, B11: killed between A3 and A4, WAL and database must come to one place; a late finder, also of the file that
    was damaged before, must leave the mark as it is.
    """
    box = make(tmp_path)
    place = box.state / FILE
    inode = place.stat().st_ino
    assert die_at(lambda step: start_up(box, step), 2)
    (there,) = (box.state / "aside").iterdir()
    mark = (box.state / "catalogue-damaged").read_bytes()
    mark_damaged(place, inode)
    mark_damaged(place, inode + 1)
    assert (box.state / "catalogue-damaged").read_bytes() == mark
    box.clock.utc_ms += 1000
    start_up(box)
    assert [each.name for each in (box.state / "aside").iterdir()] == [there.name]
    assert (there / FILE).exists()


def test_who_finds_a_damage_waits_for_whoever_begins_to_move_it(tmp_path) -> None:
    """A2, B11: he has seen no mark, and A1 is done before he writes his."""
    mark = tmp_path / "catalogue-damaged"
    os.mkfifo(mark)
    pipe = os.open(mark, os.O_RDWR | os.O_NONBLOCK)  # who reads the mark by waiting waits for this
    go, tell = os.pipe()
    pid = os.fork()  # before the lock is taken: a child has its parent's open files
    if pid == 0:
        os.close(pipe)
        os.read(go, 1)
        mark_damaged(tmp_path / FILE, 7)
        os._exit(0)
    stat = Path(f"/proc/{pid}/stat")
    with locks.held(tmp_path / MARKING):
        os.write(tell, b"!")
        while select.select([go], [], [], 0)[0] or stat.read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.01)
        (tmp_path / "moved").write_text('{"aside":"there","inode":7,"reason":"damaged"}')
        (tmp_path / "moved").rename(mark)
        os.close(pipe)
    os.waitpid(pid, 0)
    os.close(go)
    os.close(tell)
    assert json.loads(mark.read_bytes())["aside"] == "there"
