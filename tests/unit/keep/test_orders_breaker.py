"""E15: what would let much footage go early needs two persons and a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent.model import Instant, Trust
from tests.unit.keep.kept import DAY_MS
from tests.unit.keep.ordered import Ordered
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000


@pytest.fixture
def box(tmp_path: Path) -> Ordered:
    """Twenty segments of forty days ago, all held, in two holds: two of them, and eighteen."""
    box = Ordered(tmp_path)
    box.record(count=20)
    for name, start, end in (("small", 0, 1000), ("large", 1000, 20_000)):
        arguments = {
            "cameras": ["cam1"],
            "from_ms": T0 + start,
            "to_ms": T0 + end,
            "ground": "investigation",
            "authority": name,
            "review": "2027-02-10",
        }
        assert (
            box.ask("officer 1", "hold.place", arguments, id=name.encode().hex().ljust(32, "0"))["status"]
            == "done"
        )
    box.turn(2)
    box.pass_time(40 * DAY_MS)
    # Of the time since then there is as much that is not held and young.
    box.record(at_ms=box.clock.utc_ms - 100_000, count=40)
    box.turn(2)
    assert len(box.linked_rows()) == 20
    assert len(box.states()) == 60
    return box


SMALL, LARGE = (name.encode().hex().ljust(32, "0") for name in ("small", "large"))


def release(box: Ordered, hold: str, **more: Any) -> dict[str, Any]:
    name = box.send_two(
        "officer 1", "department 1", "hold.release", {"hold": hold, "reason": "수사 종결"}, **more
    )
    return box.answer(name)


def erased(box: Ordered) -> int:
    return len(box.erased())


def test_a_little_goes_at_once(box: Ordered) -> None:
    reply = release(box, SMALL)
    assert reply["status"] == "done"
    box.turn(2)
    assert erased(box) == 1


def test_much_waits_for_a_day_and_is_seen(box: Ordered) -> None:
    reply = release(box, LARGE)
    assert (reply["status"], reply["code"]) == ("delayed", "COMMAND_DELAYED")
    assert reply["detail"] == {"due_ms": box.clock.utc_ms + DAY_MS, "erasable_ms": 19_000}
    assert f"command.delayed {reply['id']}" in box.conditions
    assert [each["id"] for each in box.health["orders"]["delayed"]] == [reply["id"]]
    box.pass_time(DAY_MS - 20_000)
    box.restart()
    box.turn(1)
    assert box.bodies("hold.released") == []
    box.turn(2)
    (done,) = box.replies()
    assert (done["id"], done["status"]) == (reply["id"], "done")
    box.turn(2)
    assert erased(box) == 19
    assert box.health["orders"]["delayed"] == []
    assert not any(code.startswith("command.delayed") for code in box.conditions)


def test_small_ones_add_up_within_a_day(box: Ordered) -> None:
    assert release(box, SMALL)["status"] == "done"
    for second in (1, 2, 3, 4):
        arguments = {
            "cameras": ["cam1"],
            "from_ms": T0 + second * 1000,
            "to_ms": T0 + (second + 1) * 1000 - 1,
            "ground": "trial",
            "authority": "법원",
            "review": "2027-03-20",
        }
        assert box.ask("officer 2", "hold.place", arguments)["status"] == "done"
    box.turn(2)
    # All that is held is held twice: to release the large one lets nothing of that go.
    reply = release(box, LARGE)
    assert reply["status"] == "delayed"
    assert reply["detail"]["erasable_ms"] == 15_000


def test_a_delayed_command_is_given_up_by_one(box: Ordered) -> None:
    waiting = release(box, LARGE)["id"]
    assert box.ask("operator 1", "command.cancel", {"id": waiting})["code"] == "COMMAND_ROLE"
    name = box.send("officer 2", "command.cancel", {"id": waiting})
    box.tick(2)
    said = {(reply["id"], reply["status"], reply["code"]) for reply in box.replies()}
    assert said == {(name, "done", ""), (waiting, "failed", "COMMAND_CANCELLED")}
    assert box.ask("officer 2", "command.cancel", {"id": waiting})["code"] == "COMMAND_NONE_WAITS"
    box.pass_time(2 * DAY_MS)
    box.turn(3)
    assert erased(box) == 0
    assert len(box.bodies("command.cancelled")) == 1


def test_it_lapses_with_a_signer(box: Ordered) -> None:
    waiting = release(box, LARGE)["id"]
    kid = box.city.signers["department 1"].kid
    assert box.ask("officer 2", "key.revoke", {"kid": kid})["status"] == "done"
    box.pass_time(DAY_MS)
    box.tick(2)
    (reply,) = box.replies()
    assert (reply["id"], reply["status"], reply["code"]) == (waiting, "failed", "COMMAND_REVOKED")
    box.turn(3)
    assert erased(box) == 0


def test_it_waits_on_while_the_time_is_not_trusted(box: Ordered) -> None:
    release(box, LARGE)
    box.source.step(3 * DAY_MS)
    box.clock.utc_ms = box.source.utc
    box.tick(3)
    assert box.keeper._clock.now().trust is Trust.UNTRUSTED
    box.pass_time(2 * DAY_MS)
    box.tick(3)
    assert box.bodies("hold.released") == []
    assert box.replies() == []


def test_in_a_lockdown_it_waits_until_that_is_lifted(box: Ordered) -> None:
    release(box, LARGE)
    assert box.ask("officer 1", "lockdown", {"on": True})["status"] == "done"
    box.pass_time(2 * DAY_MS)
    box.turn(2)
    assert box.bodies("hold.released") == []
    name = box.send_two("officer 1", "officer 2", "lockdown", {"on": False})
    assert box.answer(name)["status"] == "done"
    box.turn(1)
    assert len(box.bodies("hold.released")) == 1


def test_retention_zero_by_one_is_refused_and_by_two_waits(box: Ordered) -> None:
    """The Frigate case: a change of configuration that erases everything."""
    from tests.unit.keep.test_orders_config import toml, write

    write(box)
    short = {"toml": toml(box, retention=1), "consultation": "협의 2026-11"}
    assert box.ask("officer 1", "config.propose", short)["code"] == "COMMAND_SECOND"
    box.pass_time(2 * DAY_MS)
    name = box.send_two("officer 1", "department 1", "config.propose", short)
    reply = box.answer(name)
    assert (reply["status"], reply["detail"]["erasable_ms"]) == ("delayed", 40_000)
    assert "retention_days = 30" in box.config_file.read_text()


def test_the_sums_agree_with_what_is_stored(box: Ordered) -> None:
    from agent.storage.keep import hold_rows, orders_weight
    from agent.storage.keep.orders_run import Context, Turn

    with box.catalogue() as catalogue:
        context = Context.of(
            box.keeper._desk._place,
            Turn(catalogue, box.vaults, Instant(box.clock.utc_ms, Trust.SYNCED)),
            box.keeper._desk._ring,
        )
        large = hold_rows.find(catalogue, LARGE)
        assert orders_weight.released_ms(context, large) == 19_000
        assert orders_weight.shortened_ms(context, lambda _: 0) == 40_000
        assert orders_weight.shortened_ms(context, lambda _: 30 * DAY_MS) == 0
        assert orders_weight.of(context, 0) == orders_weight.LIGHT
        assert not orders_weight.of(context, 3000).delayed  # 5 % of 60 s
        assert orders_weight.of(context, 3001).delayed
