"""A2: kill -9 after each step of a deletion for a subject, and again and again: done once, told once, or never begun."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from agent.model import Span
from tests.procedure.dying import die_at
from tests.unit.keep.kept import order as hold
from tests.unit.keep.ordered import Ordered
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED = 20_270_115
OWN, OTHER = "a" * 32, "b" * 32
SPAN = {"from_ms": T0 + 20_000, "to_ms": T0 + 24_500}
GOING = 5 + 1
"""Segments of the span, and one that was salvaged, of which only the reach may lie in it."""
STAYS = 20 + 150 + 10 - 5


def scene(root: Path) -> tuple[Ordered, str]:
    """A box with a deletion waiting at its door: some of the span held for the request, what is beside by another."""
    box = Ordered(root)
    box.record(count=20)
    box.record_salvaged(at_ms=T0 + 10_500)
    box.record("cam2", count=150, size=1000)  # else it would be too much for a day
    box.record(at_ms=T0 + 20_000, count=10)
    box.pass_time(3_600_000)
    place(box, OWN, "access-request", T0 + 21_000, T0 + 23_000)
    place(box, OTHER, "investigation", T0 + 25_000, T0 + 27_000)
    box.turn(2)
    assert len(box.linked_rows()) == 5, "the salvaged one may reach into the first"
    box.replies()
    order = {"camera": "cam1", **SPAN, "ground": "erasure-request", "request": "2027-17", "hold": OWN}
    name = box.send_two("officer 1", "privacy 1", "delete.subject", order)
    box.keeper.close()
    return box, name


def place(box: Ordered, name: str, ground: str, from_ms: int, to_ms: int) -> None:
    arguments: dict[str, Any] = {
        "cameras": ["cam1"],
        "from_ms": from_ms,
        "to_ms": to_ms,
        "ground": ground,
        "authority": "2027-17",
        "review": "2027-02-10",
    }
    assert box.ask("officer 2", "hold.place", arguments, id=name)["status"] == "done"


def work(box: Ordered, step: Callable[[str], None], turns: int = 3) -> None:
    box.start(step=step)
    box.turn(turns)


def check(box: Ordered, name: str, when: str) -> None:
    """Done, once, with one tombstone each and one answer; and nothing of the other hold is touched."""
    erased = box.erased()
    assert len({body["path"] for body in erased}) == len(erased) == GOING, when
    assert {body["cause"] for body in erased} == {"REQUESTED"}, when
    assert all(
        body["start_ms"] < SPAN["to_ms"] and body["end_ms"] + 10_000 > SPAN["from_ms"] for body in erased
    )
    assert all(body["shredded"] and "missing" not in body for body in erased), when
    assert not any((box.vault_path / body["path"]).exists() for body in erased), when
    assert len(box.bodies("deletion.begun")) == len(box.bodies("deletion.ended")) == 1, when
    assert [body["hold"] for body in box.bodies("hold.released")] == [OWN], when
    replies = [reply for reply in box.replies() if reply["id"] == name]
    assert replies[-1]["status"] == "done", when
    assert (replies[-1]["detail"]["erased"], replies[-1]["detail"]["left"]) == (GOING, 0), when
    assert len({str(reply["detail"]) for reply in replies if reply["status"] == "done"}) == 1
    assert box.bodies("command.failed") == box.bodies("command.refused") == [], when
    rows = box.rows()
    assert len(rows) == STAYS
    assert all(box.opens(row.path) for row in rows), when
    assert len(box.links()) == len(box.linked_rows()) == 2
    assert all(f"/{OTHER}/" in link for link in box.links()), when


def test_killed_after_each_step_it_is_done_once(tmp_path: Path) -> None:
    whole, name = scene(tmp_path / "whole")
    steps: list[str] = []
    work(whole, steps.append)
    check(whole, name, "not killed")
    whole.keeper.close()
    ours = {"F1", "F2", "R2", "R3", "R4", "R5", "E3", "E3a", "E3b", "E4", "E5", "E6", "J5", "J6", "J7", "J8"}
    assert ours <= set(steps)
    # Each kind of step once, the first and the last time it is taken; the campaign takes every single one.
    wanted = {steps.index(each) for each in set(steps)}
    wanted |= {len(steps) - 1 - steps[::-1].index(each) for each in ours}
    for at in sorted(wanted):
        kill_once(tmp_path / str(at), at, steps[at])


@pytest.mark.campaign
def test_killed_after_every_single_step_it_is_done_once(tmp_path: Path) -> None:
    whole, _ = scene(tmp_path / "whole")
    steps: list[str] = []
    work(whole, steps.append)
    whole.keeper.close()
    for at, step in enumerate(steps):
        kill_once(tmp_path / str(at), at, step)


def kill_once(root: Path, at: int, what: str) -> None:
    box, name = scene(root)
    assert die_at(lambda step: work(box, step), at)
    begun = box.bodies("deletion.begun")
    if not begun:
        assert len(box.rows()) == STAYS + GOING, "it was never begun: nothing is gone, nor condemned"
        assert (len(box.links()), box.bodies("hold.released")) == (6, [])
    work(box, lambda _: None, 4)
    check(box, name, f"step {at}: {what}")
    box.keeper.close()
    shutil.rmtree(root)


def test_killed_again_and_again_it_comes_to_its_end(tmp_path: Path) -> None:
    """A5: less often than a command is taken up, each time somewhere else."""
    chance = random.Random(SEED)
    for number in range(3):
        box, name = scene(tmp_path / str(number))
        for _ in range(4):
            die_at(lambda step, box=box: work(box, step), chance.randrange(5, 60))
        work(box, lambda _: None, 4)
        check(box, name, f"seed {SEED}, box {number}")
        box.keeper.close()


def test_killed_and_held_by_another_in_between_what_is_held_stays(tmp_path: Path) -> None:
    """I2: begun, killed, a hold comes, and then the keeper goes on: the hold wins where it came in time, and that is told."""
    chance = random.Random(SEED)
    whole, _ = scene(tmp_path / "whole")
    steps: list[str] = []
    work(whole, steps.append)
    whole.keeper.close()
    kept = 0
    begins = steps.index("F2")
    for at in [begins, *sorted(chance.sample(range(begins + 1, len(steps)), 8))]:
        box, name = scene(tmp_path / f"held {at}")
        die_at(lambda step, box=box: work(box, step), at)
        placed = box.place(hold("late", span=Span(T0 + 22_000, T0 + 24_000)))
        saved = [row.path for row in placed.spared]
        assert len(saved) + len(placed.late) == 3, "the salvaged one among them"
        work(box, lambda _: None, 4)
        headers = {(box.vault_path / path).read_bytes()[:21] for path in saved}
        assert headers <= {b"age-encryption.org/v1"}, f"step {at}"
        erased = [body["path"] for body in box.erased()]
        assert len(erased) == len({*erased}) == GOING - len(saved)
        last = [reply for reply in box.replies() if reply["id"] == name][-1]
        ended = "failed" if saved else "done"
        assert (last["status"], last["detail"].get("kept")) == (ended, len(saved)), f"step {at}"
        kept += len(saved)
        box.keeper.close()
    assert kept, "none of them came in time"
