"""A check that repairs is killed after each of its steps, and run again: the same end as without the kill."""

from __future__ import annotations

import os

import pytest

from agent.model import GapCause
from agent.storage.catalogue import Catalogue
from agent.storage.keep.check import Check, Selection
from agent.storage.keep.check_findings import Level
from tests.procedure.dying import die_at
from tests.unit.keep.shelf import AT, Shelf

STEPS = ("L1", "L2", "L3")


def repair(shelf: Shelf, step=lambda _: None) -> Check:
    catalogue = Catalogue.open(shelf.state)
    try:
        selection = Selection("all", Level.DIGESTS)
        made = Check(
            catalogue,
            shelf.vaults,
            shelf.state,
            selection,
            lambda: AT,
            disk=shelf.disk,
            repair=True,
            step=step,
        )
        assert made.run(lambda: True)
    finally:
        catalogue.close()
    return made


def killed_at(shelf: Shelf, at: int) -> bool:
    """Repair in another process, which kills itself after step number `at`; tell whether it came so far."""
    shelf.catalogue.close()
    killed = die_at(lambda step: repair(shelf, step), at)
    shelf.catalogue = Catalogue.open(shelf.state)
    return killed


@pytest.mark.parametrize("again", [1, 3])
def test_killed_after_each_step_and_run_again(tmp_path, again) -> None:
    """A2, B13: nothing is erased, each lost span is one gap, told once; what is held stays."""
    for at in range(11):
        shelf = Shelf(tmp_path / f"{at}")
        whole, gone, cut = shelf.add(0), shelf.add(1), shelf.add(2)
        tailed, held = shelf.add(3, tail=True), shelf.add(6)
        link = shelf.hold(held)
        shelf.at(gone).unlink()
        os.truncate(shelf.at(cut), 4000)
        os.truncate(shelf.at(tailed), 5000)
        os.truncate(shelf.at(held), 6000)
        contents = sorted(path.read_bytes() for path in shelf.vault.root.rglob("*.age*"))
        killed = [killed_at(shelf, at) for _ in range(again)]
        repair(shelf)
        assert [row.path for row in shelf.catalogue.segments("cam1")] == [whole.path, held.path]
        assert [(gap.span, gap.cause) for gap in shelf.gaps()] == [
            (row.span, GapCause.SEGMENT_LOST) for row in (gone, cut, tailed)
        ]
        assert len(shelf.facts("segment.lost")) == 3
        assert sorted(path.read_bytes() for path in shelf.vault.root.rglob("*.age*")) == contents
        assert link.stat().st_ino == shelf.at(held).stat().st_ino
        shelf.catalogue.close()
        if not killed[0]:
            assert at >= len(STEPS) * 2
            return
    raise AssertionError("it never came to its end")
