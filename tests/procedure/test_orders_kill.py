"""A2, E1: kill -9 after each step of taking a command: it runs once, is answered once and for all, and is never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent.command import ring
from agent.errors import StorageFault
from agent.storage.keep.orders import Desk
from agent.storage.keep.orders_carry import TRIES
from agent.storage.keep.orders_run import Handler
from tests.city import OTHER_RECIPIENT, RECIPIENT
from tests.procedure.dying import die_at
from tests.unit.keep.ordered import Ordered
from tests.unit.storage.box import T0, FailingDisk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACE = {
    "cameras": ["cam1"],
    "from_ms": T0 - 60_000,
    "to_ms": T0 + 60_000,
    "ground": "investigation",
    "authority": "강릉경찰서 2026-1234",
    "review": "2027-02-10",
}


def commands(box: Ordered) -> dict[str, tuple[Callable[[], str], Callable[[], int]]]:
    """Return, by name, what sends a command, and what counts how often it was done."""
    city = box.city

    def new_ring() -> str:
        city.epoch, city.recipients = 2, [RECIPIENT, OTHER_RECIPIENT]
        return box.send("service 1", "ring.replace", {"ring": city.ring()})

    return {
        "hold.place": (
            lambda: box.send("officer 1", "hold.place", PLACE),
            lambda: len(box.bodies("hold.placed")),
        ),
        "lockdown": (
            lambda: box.send("officer 1", "lockdown", {"on": True}),
            lambda: len(box.bodies("lockdown.changed")),
        ),
        "key.revoke": (
            lambda: box.send("officer 1", "key.revoke", {"kid": city.signers["operator 1"].kid}),
            lambda: len(box.bodies("rights.changed")),
        ),
        "ring.replace": (new_ring, lambda: len(box.bodies("key.ring"))),
    }


@pytest.mark.parametrize("command", ["hold.place", "lockdown", "key.revoke", "ring.replace"])
def test_killed_after_each_step_a_command_runs_once(tmp_path: Path, command: str) -> None:
    deaths = 0
    for at in range(40):
        box = Ordered(tmp_path / f"{at}")
        box.record(count=2)
        send, count = commands(box)[command]
        box.keeper.close()
        name = send()

        def work(step: Callable[[str], None], box: Ordered = box) -> None:
            box.start(step=step)
            box.pass_time(1000)
            box.keeper.tick()

        died = die_at(work, at)
        deaths += died
        box.start()
        box.tick(2)
        replies = [reply for reply in box.replies() if reply["id"] == name]
        assert replies
        assert {reply["status"] for reply in replies} == {"done"}, f"step {at}"
        assert count() == 1, f"step {at}"
        assert len(box.bodies("command.accepted")) == 1
        assert box.bodies("command.refused") == box.bodies("command.failed") == []
        assert box.waiting == []
        if command == "ring.replace":
            found = ring.load(box.state)
            assert found is not None
            assert found.epoch == 2
        box.keeper.close()
        if not died:
            break
    else:
        pytest.fail("it never came to its end")
    assert deaths >= 8


def test_killed_and_the_catalogue_lost_nothing_runs_twice(tmp_path: Path) -> None:
    """E1: after each step the catalogue is lost, too, and the letter is sent again."""
    for at in range(40):
        box = Ordered(tmp_path / f"{at}")
        box.keeper.close()
        text = box.sign("officer 1", "lockdown", {"on": True})
        box.put(text)

        def work(step: Callable[[str], None], box: Ordered = box) -> None:
            box.start(step=step)
            box.pass_time(1000)
            box.keeper.tick()

        died = die_at(work, at)
        ran = (box.state / "centre/lockdown.json").exists()
        for path in box.state.glob("catalogue.db*"):
            path.unlink()
        box.prepare()
        (box.state / "centre/lockdown.json").unlink(missing_ok=True)
        box.put(text)
        box.start()
        box.tick(3)
        again = (box.state / "centre/lockdown.json").exists()
        assert not (ran and again), f"step {at}: it ran twice"
        box.keeper.close()
        if not died:
            assert ran
            break
    else:
        pytest.fail("it never came to its end")


@pytest.mark.parametrize("op", ["create", "write", "fdatasync", "rename", "fsync", "unlink", "mkdir"])
def test_each_call_that_fails_once_costs_at_most_a_second(tmp_path: Path, op: str) -> None:
    """A2: whichever call on the state's disk fails, the command runs once, in a later turn."""
    for number in range(12):
        disk = FailingDisk()
        box = Ordered(tmp_path / f"{number}", disk=disk)
        box.tick()
        left = [number]

        def plan(_: int, now: str, path: Path, left: list[int] = left) -> int | None:
            if now != op or ("centre" not in str(path) and "exchange" not in str(path)):
                return None
            left[0] -= 1
            return 5 if left[0] == -1 else None

        name = box.send("officer 1", "lockdown", {"on": True})
        disk.plan = plan
        box.tick(4)
        disk.plan = lambda *_: None
        replies = [reply for reply in box.replies() if reply["id"] == name]
        assert {reply["status"] for reply in replies} <= {"done", "failed"}
        assert replies
        done = len(box.bodies("lockdown.changed"))
        assert done == (replies[-1]["status"] == "done")
        assert len(box.bodies("command.accepted")) == 1
        box.keeper.close()
        if left[0] >= 0:
            break  # that many calls there are not


def test_nothing_runs_before_its_number_is_in_the_file(tmp_path: Path) -> None:
    """E1: a disk that takes no counters.json keeps the command from running, and not from running later."""
    disk = FailingDisk()
    box = Ordered(tmp_path, disk=disk)
    box.tick()
    disk.plan = lambda _, op, path: 28 if "counters" in str(path) and op == "create" else None
    name = box.send("officer 1", "lockdown", {"on": True})
    box.tick(3)
    assert not (box.state / "centre/lockdown.json").exists()
    assert "keeper.trouble orders" in box.conditions
    box.restart()
    box.tick()
    assert not (box.state / "centre/lockdown.json").exists()
    disk.plan = lambda *_: None
    box.tick()
    assert [(reply["id"], reply["status"]) for reply in box.replies()] == [(name, "done")]
    assert len(box.bodies("lockdown.changed")) == 1


def test_a_command_that_ends_the_keeper_again_and_again_is_given_up(tmp_path: Path) -> None:
    def poison(*_: object) -> Any:
        raise StorageFault("CATALOGUE_FAILED", "as if the process had ended")

    box = Ordered(tmp_path)
    name = box.send("officer 1", "inspect")
    for _ in range(TRIES + 2):
        place = box.keeper._desk._place
        box.keeper._desk = Desk(place, {"inspect": Handler(poison)})
        box.tick()
        box.restart()
    assert [(reply["id"], reply["code"]) for reply in box.replies()] == [(name, "COMMAND_INTERRUPTED")]


def test_what_must_not_run_twice_says_that_it_was_cut_off(tmp_path: Path) -> None:
    box = Ordered(tmp_path)
    challenge = box.health["challenge"]
    name = box.send("service 1", "time.confirm", {"utc_ms": box.clock.utc_ms}, challenge=challenge)

    def dies(*_: object) -> Any:
        raise StorageFault("CATALOGUE_FAILED", "as if the process had ended")

    box.keeper._clock.confirm_signed = dies
    box.tick()
    box.restart()
    box.tick()
    assert [(reply["id"], reply["code"]) for reply in box.replies()] == [(name, "COMMAND_INTERRUPTED")]
