"""Erasing, killed after each of its steps, and killed again: before or after, never between (A2)."""

from __future__ import annotations

import shutil

from tests.procedure.dying import die_at
from tests.procedure.fate import check, filled


def walk(root) -> list[str]:
    box = filled(root)
    box.condemn()
    steps: list[str] = []
    box.finish(step=steps.append)
    check(box)
    assert set(box.states().values()) == {"GONE"}
    return steps


def test_killed_after_each_step_each_segment_is_stored_or_erased_once(tmp_path) -> None:
    """A2: double tombstones 0, and each says truly what was done, whoever did it."""
    steps = walk(tmp_path / "whole")
    assert set(steps) == {"E3", "E3a", "E3b", "E4", "E5", "E6"}
    for at in range(len(steps)):
        box = filled(tmp_path / str(at))
        box.condemn()
        assert die_at(lambda step, box=box: box.finish(step=step), at)
        box.finish()
        check(box)
        assert set(box.states().values()) == {"GONE"}
        assert box.names() == []
        shutil.rmtree(tmp_path / str(at))


def test_killed_again_and_again_it_comes_to_the_same_end(tmp_path) -> None:
    """A5: each run is killed after its first steps, until one is not."""
    for at in range(1, 4):
        box = filled(tmp_path / str(at))
        box.condemn()
        kills = 0
        while die_at(lambda step, box=box: box.finish(limit=2, step=step), at) and kills < 50:
            kills += 1
        assert kills > 0
        while box.finish(limit=2).erased:
            pass
        check(box)
        assert set(box.states().values()) == {"GONE"}


def test_killed_between_plan_and_erasing_nothing_is_lost_that_a_hold_covers(tmp_path) -> None:
    """I2: condemned, killed, held, and then the keeper goes on."""
    from tests.procedure.fate import HELD
    from tests.unit.keep.kept import order

    steps = walk(tmp_path / "whole")
    for at in range(len(steps)):
        box = filled(tmp_path / str(at))
        box.condemn()
        die_at(lambda step, box=box: box.finish(step=step), at)
        placed = box.place(order(span=HELD))
        saved = [row.path for row in placed.spared]
        assert len(saved) + len(placed.late) == 3
        assert all(box.states()[path] in ("COMMITTED", "SALVAGED") for path in saved)
        box.finish()
        check(box)
        assert sorted(row.path for row in box.rows()) == sorted(saved)
        shutil.rmtree(tmp_path / str(at))
