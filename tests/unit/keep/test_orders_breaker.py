"""E15: what would let much footage go early needs two persons and a day."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Instant, Span, Trust
from agent.storage.catalogue import COMMITTED, Catalogue, Segment
from agent.storage.keep import hold_rows, orders_weight
from agent.storage.keep.hold import Hold
from agent.storage.keep.orders_run import Context, Turn
from agent.storage.keep.rollover import Rules
from tests.unit.keep.kept import DAY_MS
from tests.unit.keep.ordered import Ordered
from tests.unit.storage.box import T0

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
    revoke = box.send_two("officer 2", "department 2", "key.revoke", {"kid": kid})
    assert box.answer(revoke)["status"] == "done"
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


@pytest.mark.parametrize("behind_ms", [2 * DAY_MS, None])
def test_e15_what_is_accepted_in_doubt_waits_for_a_day_of_trusted_time(
    box: Ordered, behind_ms: int | None
) -> None:
    """Also C2: a box without a battery starts in 1970, where nothing is old; its labels then leap to the true time."""
    true_ms = box.source.utc
    box.source.reboot(utc_ms=DAY_MS if behind_ms is None else true_ms - behind_ms)
    box.restart()
    box.tick(2)
    assert box.keeper._clock.now().trust is Trust.UNTRUSTED
    box.clock.utc_ms = true_ms  # the centre's
    challenge = box.health["challenge"]
    wanted = {"hold": LARGE, "reason": "수사 종결"}
    inner = box.sign("officer 1", "hold.release", wanted, challenge=challenge)
    waiting = box.ask("department 1", "countersign", {"order": inner}, challenge=challenge)
    assert (waiting["status"], waiting["trust"]) == ("delayed", "UNTRUSTED")
    box.source.utc, box.source.synced = true_ms + 60_000, True
    box.tick(2)
    begins_ms = box.keeper._clock.now().utc_ms
    box.tick()
    (again,) = box.replies()
    assert (again["id"], again["status"], again["trust"]) == (waiting["id"], "delayed", "SYNCED")
    assert again["detail"]["due_ms"] == pytest.approx(begins_ms + DAY_MS, abs=5000)
    box.pass_time(DAY_MS - 20_000)
    box.turn()
    assert box.bodies("hold.released") == []
    box.turn(3)
    assert erased(box) == 19


def test_e15_in_doubt_all_that_a_shorter_retention_covers_is_weighed(box: Ordered) -> None:
    with box.catalogue() as catalogue:
        context = Context.of(
            box.keeper._desk._place,
            Turn(catalogue, box.vaults, Instant(DAY_MS, Trust.UNTRUSTED)),
            box.keeper._desk._ring,
        )
        assert sum(orders_weight.shortened_ms(context, lambda _: 29 * DAY_MS)) == 40_000
        assert sum(orders_weight.shortened_ms(context, lambda _: 30 * DAY_MS)) == 0


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
    with box.catalogue() as catalogue:
        context = Context.of(
            box.keeper._desk._place,
            Turn(catalogue, box.vaults, Instant(box.clock.utc_ms, Trust.SYNCED)),
            box.keeper._desk._ring,
        )
        large = hold_rows.find(catalogue, LARGE)
        assert sum(orders_weight.released_ms(context, large)) == 19_000
        assert sum(orders_weight.shortened_ms(context, lambda _: 0)) == 40_000
        assert sum(orders_weight.shortened_ms(context, lambda _: 30 * DAY_MS)) == 0
        assert orders_weight.of(context, [0, 0]) == orders_weight.LIGHT
        assert not orders_weight.of(context, [2999, 0, 1]).delayed  # 5 % of 60 s
        assert orders_weight.of(context, [3000, 1]).delayed


holds_at_random = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from(["cam1", "cam2", "*"])),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(holds=holds_at_random, kept=st.integers(0, 30), over=st.integers(0, 30), shorter=st.integers(0, 30))
def test_e15_what_is_weighed_is_what_would_go(
    holds: list[tuple[int, int, str]], kept: int, over: int, shorter: int
) -> None:
    """Against a count by hand: thirty seconds of two cameras, a few holds, of which the first is released."""
    now_ms, second = T0 + 30_000, 1000
    rules = Rules({}, now_ms - (T0 + over * second), "")  # what is older than `over` has had its time
    spans = [(T0 + start * second, T0 + (start + length) * second, camera) for start, length, camera in holds]
    rows = [
        (camera, T0 + at * second, T0 + (at + 1) * second)
        for camera in ("cam1", "cam2")
        for at in range(kept)
    ]

    def held(row: tuple[str, int, int], by: list[tuple[int, int, str]]) -> bool:
        return any(
            row[0] == camera or camera == "*" for start, end, camera in by if row[1] < end and row[2] > start
        )

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Catalogue.prepare(Path(folder))) as catalogue,
    ):
        _fill(catalogue, rows, spans)
        context = Context(
            "b",
            Path(folder),
            None,
            None,
            rules,
            catalogue,
            {},
            None,
            Instant(now_ms, Trust.SYNCED),
            0.0,
            None,
            None,
            None,
            str,
        )  # type: ignore[arg-type]
        first = hold_rows.find(catalogue, "h0")
        assert first is not None
        gone = [
            row
            for row in rows
            if held(row, spans[:1]) and not held(row, spans[1:]) and row[1] < T0 + over * second
        ]
        assert sum(orders_weight.released_ms(context, first)) == len(gone) * second
        early = [
            row
            for row in rows
            if not held(row, spans) and T0 + over * second <= row[1] < T0 + shorter * second
        ]
        after = {"cam1": now_ms - (T0 + shorter * second), "cam2": now_ms - (T0 + shorter * second)}
        assert sum(orders_weight.shortened_ms(context, after.__getitem__)) == len(early) * second
        assert orders_weight.of(context, [len(gone) * second]).delayed == (len(gone) * 100 > len(rows) * 5)


def _fill(catalogue: Catalogue, rows: list[tuple[str, int, int]], spans: list[tuple[int, int, str]]) -> None:
    catalogue.add_vault("v", "/v", 0)
    catalogue.add_cameras(["cam1", "cam2"], 0)
    for camera, start, end in rows:
        values = (
            "v",
            camera,
            "r",
            f"{camera}/{start}",
            start,
            end,
            "SYNCED",
            "h264",
            1,
            1,
            1,
            1,
            1,
            1,
            "",
            True,
        )
        catalogue.commit_segment(Segment(*values, COMMITTED, False), Instant(T0, Trust.SYNCED))
    for number, (start, end, camera) in enumerate(spans):
        hold = Hold(f"h{number}", (camera,), Span(start, end), "trial", "a", 0, number, "SYNCED")
        catalogue.write(lambda db, hold=hold: hold_rows.insert(db, hold))
