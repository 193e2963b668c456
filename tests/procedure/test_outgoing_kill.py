"""Exports, killed after each of their steps, and killed again: before or after, never between (A2, A5)."""

from __future__ import annotations

import contextlib
import errno
import shutil
from typing import TYPE_CHECKING

from agent.centre import verify
from agent.errors import StorageFault
from agent.model import Span
from agent.storage.keep.outgoing_order import State
from tests.procedure.dying import die_at
from tests.unit.keep.handing import ID, OTHER, Handing, wanted
from tests.unit.keep.kept import order
from tests.unit.storage.box import T0, FailingDisk

if TYPE_CHECKING:
    from pathlib import Path

SPAN = Span(T0, T0 + 10_000)
"""Of cam1: the first three segments, the second of them salvaged, with a tail."""


def filled(root: Path) -> Handing:
    box = Handing(root)
    box.record()
    box.record_salvaged(at_ms=T0 + 1000)
    box.record(at_ms=T0 + 6000)
    box.record(at_ms=T0 + 3_600_000)
    box.record("cam2", count=2)
    box.clock.utc_ms = T0 + 4_000_000
    return box


def ask_and_hand(box: Handing, step=lambda _: None) -> None:
    box.request(wanted(span=SPAN), step=step)
    box.hand(step=step)


def check_bundle(box: Handing) -> None:
    """Assert that the bundle is whole, once, and that the uplink has its order."""
    assert box.export().state is State.BUNDLED
    report = verify.verify(box.bundle(), verify.read_key(box.vkey()), None, lambda *_: None)
    assert {one.what for one in report.problems} <= {verify.UNEXPLAINED}
    assert (len(report.proven), len(report.tails)) == (3, 1)
    told = [kind for kind in box.kinds() if kind.startswith("export.")]
    assert told == ["export.requested", "export.bundled"]
    sent = box.order()
    assert sent is not None
    assert {part.name for part in sent.parts} == {
        str(path.relative_to(box.bundle())) for path in box.bundle().rglob("*") if path.is_file()
    }


def steps_of(work) -> list[str]:
    steps: list[str] = []
    work(steps.append)
    return steps


def test_killed_after_each_step_of_making_a_bundle_is_made_once(tmp_path) -> None:
    """A2, I6: counted once, and whole."""
    box = filled(tmp_path / "whole")
    steps = steps_of(lambda step: ask_and_hand(box, step))
    assert set(steps) == {f"O{number}" for number in range(1, 10)}
    check_bundle(box)
    for at in range(len(steps)):
        box = filled(tmp_path / str(at))
        assert die_at(lambda step, box=box: ask_and_hand(box, step), at)
        box.request(wanted(span=SPAN))
        box.hand()
        check_bundle(box)
        shutil.rmtree(tmp_path / str(at))


def erased_meanwhile(root: Path) -> Handing:
    """Return a box whose export is over, two of whose three segments retention erased meanwhile; one is held."""
    box = filled(root)
    ask_and_hand(box)
    box.place(order(span=Span(T0, T0 + 500)))
    box.condemn([2, 3])
    assert box.finish().outgoing == 2
    box.cancel()
    return box


def check_cleared(box: Handing) -> None:
    assert box.outgoing() == []
    erased = sorted(body["path"] for body in box.erased())
    assert len(erased) == 2
    assert sorted(body["path"] for body in box.told("segment.shredded")) == erased
    assert box.export().cleared
    box.check()
    first = next(path for path in box.states() if path not in erased)
    assert box.opens(first)


def test_killed_after_each_step_of_clearing_it_is_shredded_once_and_a_hold_keeps_its_own(tmp_path) -> None:
    """A2, I9."""
    box = erased_meanwhile(tmp_path / "whole")
    steps = steps_of(lambda step: box.hand(step=step))
    assert set(steps) == {"D2", "D3", "D4", "D5", "D6", "D7"}
    check_cleared(box)
    for at in range(len(steps)):
        box = erased_meanwhile(tmp_path / str(at))
        assert die_at(lambda step, box=box: box.hand(step=step), at)
        box.hand()
        check_cleared(box)
        shutil.rmtree(tmp_path / str(at))


def test_killed_while_it_links_and_erased_then_each_tombstone_is_closed_once(tmp_path) -> None:
    """A2: links that no row tells of yet keep what is erased open, too; the ledger says when their headers went."""
    making = steps_of(lambda step: ask_and_hand(filled(tmp_path / "whole"), step))
    for at in range(making.index("O1"), making.index("O6") + 1):
        for clearing in range(6):
            box = filled(tmp_path / f"{at}-{clearing}")
            assert die_at(lambda step, box=box: ask_and_hand(box, step), at)
            box.condemn([1, 2, 3])
            report = box.finish()
            waiting = report.outgoing
            while report.more:
                report = box.finish()
                waiting += report.outgoing
            box.hand(settled=False)  # goes on linking, and finds nothing there any more
            box.cancel()
            die_at(lambda step, box=box: box.hand(step=step), clearing)
            box.hand()
            assert box.outgoing() == []
            left_open = [body["path"] for body in box.erased() if not body["shredded"]]
            assert len(left_open) == waiting == min(making[: at + 1].count("O3"), 3)
            assert sorted(body["path"] for body in box.told("segment.shredded")) == left_open
            shutil.rmtree(tmp_path / f"{at}-{clearing}")


def test_killed_again_and_again_it_comes_to_the_same_end(tmp_path) -> None:
    """A5: each run is killed after its first steps, until one is not."""
    for at in range(1, 4):
        box = erased_meanwhile(tmp_path / str(at))
        kills = 0
        while die_at(lambda step, box=box: box.hand(step=step), at) and kills < 50:
            kills += 1
        assert kills > 0
        box.hand()
        check_cleared(box)


def test_killed_at_each_step_and_then_without_its_rows_nothing_is_lost(tmp_path) -> None:
    """A2, B11: the catalogue's rows of exports are gone, at whatever step: what was recorded is as it was."""
    box = filled(tmp_path / "whole")
    steps = steps_of(lambda step: ask_and_hand(box, step))
    for at in range(len(steps)):
        box = filled(tmp_path / str(at))
        before = box.names()
        die_at(lambda step, box=box: ask_and_hand(box, step), at)
        with box.catalogue() as catalogue:
            for table in ("export_segment", "export"):
                catalogue.write(lambda db, table=table: db.execute(f"DELETE FROM {table}"))
        box.hand()
        assert box.outgoing() == []
        assert box.names() == before
        box.check()
        shutil.rmtree(tmp_path / str(at))


def test_erasing_killed_at_each_step_while_two_exports_link_tells_the_truth(tmp_path) -> None:
    """A2: what a tombstone leaves open, exactly one fact closes; and nobody is alarmed."""
    box = filled(tmp_path / "whole")
    box.condemn()
    steps = steps_of(lambda step: box.finish(step=step))
    for at in range(len(steps)):
        box = filled(tmp_path / str(at))
        ask_and_hand(box)
        box.request(wanted(OTHER, span=SPAN))
        box.hand()
        box.condemn()
        die_at(lambda step, box=box: box.finish(step=step), at)
        report = box.finish()
        assert (report.unshredded, report.missing) == (0, 0)
        waiting = {body["path"] for body in box.erased() if not body["shredded"]}
        assert waiting == {body["path"] for body in box.erased() if "outgoing" in body}
        assert len(waiting) == 3
        for export in (ID, OTHER):
            box.received(export)
            box.hand()
        told = [body["path"] for body in box.told("segment.shredded")]
        assert (len(told), set(told)) == (3, waiting)
        assert box.outgoing() == box.names() == []
        shutil.rmtree(tmp_path / str(at))


def failing_once(box: Handing, at: int) -> FailingDisk:
    """Have the disk refuse its call number `at` from now on, once."""
    disk = FailingDisk(lambda number, _op, _path: errno.EIO if number == at else None)
    box.disk = disk
    object.__setattr__(box.vault, "disk", disk)
    return disk


def heal(box: Handing) -> None:
    box.disk = FailingDisk()
    object.__setattr__(box.vault, "disk", box.disk)


def test_each_call_of_making_failing_once_costs_nothing_but_a_turn(tmp_path) -> None:
    """A2, B6: what the disk refuses is tried again, and the bundle is made once."""
    box = filled(tmp_path / "whole")
    box.request(wanted(span=SPAN))
    calls = failing_once(box, -1).calls
    box.hand()
    for at in range(0, len(calls), 3):
        box = filled(tmp_path / str(at))
        box.request(wanted(span=SPAN))
        failing_once(box, at)
        with contextlib.suppress(StorageFault):
            box.hand()
        heal(box)
        box.hand()
        check_bundle(box)
        shutil.rmtree(tmp_path / str(at))


def test_each_call_of_clearing_failing_once_shreds_all_the_same(tmp_path) -> None:
    """A2, B6, I9."""
    box = erased_meanwhile(tmp_path / "whole")
    calls = failing_once(box, -1).calls
    box.hand()
    for at in range(len(calls)):
        box = erased_meanwhile(tmp_path / str(at))
        failing_once(box, at)
        with contextlib.suppress(StorageFault):
            box.hand()
        heal(box)
        box.hand()
        check_cleared(box)
        shutil.rmtree(tmp_path / str(at))
