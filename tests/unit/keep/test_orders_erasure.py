"""`erasure.confirm`: the privacy officer, or who does it for them, signs what automatic erasure did (Standard Guideline art. 10(4))."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.model import utc_day
from tests.unit.keep.kept import DAY_MS
from tests.unit.keep.ordered import Ordered
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path) -> Ordered:
    return Ordered(tmp_path)


def days(box: Ordered, count: int) -> None:
    for _ in range(count):
        box.turn()
        box.pass_time(DAY_MS)


def today(box: Ordered) -> dict[str, str]:
    return {"day": utc_day(box.clock.utc_ms)}


def test_guideline_10_4_the_privacy_officer_signs_the_days_that_nobody_has_signed(box: Ordered) -> None:
    box.record(count=2)
    days(box, 33)
    assert box.erased()
    checks = box.bodies("retention.confirmed")
    name = box.send("privacy 1", "erasure.confirm", {"day": checks[9]["day"]})
    reply = box.answer(name)
    assert (reply["status"], reply["detail"]["days"]) == ("done", 10)
    assert reply["detail"]["erased"] == {"EXPIRED": 0, "EVICTED": 0}
    rest = box.ask("department 1", "erasure.confirm", today(box))["detail"]
    checks = box.bodies("retention.confirmed")
    assert (rest["days"], rest["erased"]) == (len(checks) - 10, {"EXPIRED": 2, "EVICTED": 0})
    first, second = box.bodies("retention.signed")
    assert (first["holder"], first["by"], second["holder"]) == ("privacy 1", name, "department 1")
    assert (first["from_ms"], second["to_ms"]) == (checks[0]["from_ms"], checks[-1]["to_ms"])
    assert first["to_seq"] < second["from_seq"] <= second["to_seq"]
    # What is signed is not signed again, and what is to come not before.
    again = box.ask("officer 1", "erasure.confirm", today(box))
    assert (again["status"], again["code"]) == ("refused", "ERASURE_NOTHING")
    early = box.ask("officer 1", "erasure.confirm", {"day": utc_day(T0 - DAY_MS)})
    assert early["code"] == "ERASURE_NOTHING"
    assert len(box.bodies("retention.signed")) == 2


def test_after_seven_days_without_a_signature_it_is_said(box: Ordered) -> None:
    told = []
    for _ in range(9):
        box.turn()
        told.append(box.conditions.get("retention.unsigned"))
        box.pass_time(DAY_MS)
    assert told == [None] * 7 + ["7 d", "8 d"]
    box.ask("officer 1", "erasure.confirm", today(box))
    box.turn()
    assert "retention.unsigned" not in box.conditions


def test_of_two_that_came_together_one_signs(box: Ordered) -> None:
    days(box, 2)
    asked = [box.send("officer 1", "erasure.confirm", today(box)) for _ in range(2)]
    box.tick(3)
    said = {reply["id"]: reply for reply in box.replies()}
    assert {said[name]["code"] for name in asked} == {"", "ERASURE_NOTHING"}
    assert len(box.bodies("retention.signed")) == 1
