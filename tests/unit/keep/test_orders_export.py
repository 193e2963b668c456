"""Exports that a city orders: who may, with how many signatures; from the letter to the bundle, and back."""

from __future__ import annotations

import pytest

from agent.consignment import Where
from agent.model import UTC_DAY_MS, utc_day
from agent.storage.keep import outgoing
from agent.storage.keep.outgoing_order import State
from tests.unit.config.samples import RIGHT
from tests.unit.keep.handing import ID, Handing, wanted
from tests.unit.keep.ordered import Ordered
from tests.unit.storage.box import T0


class Box(Ordered, Handing):
    """A box with some seconds of cam1, that a city commands."""


@pytest.fixture
def box(tmp_path) -> Box:
    made = Box(tmp_path / "box")
    text = RIGHT.replace("/var/lib/pasu", str(tmp_path)).replace("cam01", "cam1")
    made.config_file.write_text(text, encoding="utf-8")
    made.record(count=4)
    made.pass_time(60_000)
    made.turn()
    made.replies()
    return made


def terms(**more) -> dict:
    values = {
        "camera": "cam1",
        "from_ms": T0,
        "to_ms": T0 + 3000,
        "ground": "investigation",
        "purpose": "crime-prevention",
        "recipient": "강릉경찰서 형사과",
        "authority": "강릉경찰서 2026-1234",
        "due": utc_day(T0 + 40 * UTC_DAY_MS),
        "to": "mqtt",
    }
    return values | more


def test_a_departments_order_becomes_a_bundle_and_is_answered_with_what_is_missing(box) -> None:
    """Art. 28(1), table 2-8: provision is the department's."""
    name = box.send("department 1", "export.request", terms(to_ms=T0 + 6000))
    reply = box.answer(name)
    assert (reply["status"], reply["detail"]["export"], reply["detail"]["segments"]) == ("done", name, 4)
    assert reply["detail"]["missing"] == [[T0 + 4000, T0 + 6000]]
    box.turn()
    assert box.export(name).state is State.BUNDLED
    order = box.order(name)
    assert order is not None
    assert len(order.parts) == 7
    (body,) = box.told("export.requested")
    assert box.city.signers["department 1"].kid in body["person"]


def test_an_officer_alone_hands_out_only_in_an_emergency_with_its_case(box) -> None:
    """Art. 28(2), table 2-8."""
    assert box.ask("officer 1", "export.request", terms())["code"] == "COMMAND_ROLE"
    assert box.ask("officer 1", "export.request", terms(emergency=True))["code"] in (
        "COMMAND_ROLE",
        "EXPORT_TEXT",
    )
    name = box.send("officer 1", "export.request", terms(emergency=True, case="2026-77"))
    assert box.answer(name)["status"] == "done"
    assert box.told("export.requested")[0]["case"] == "2026-77"


def test_another_purpose_than_the_cameras_needs_a_second_signature(box) -> None:
    """Art. 26(3)."""
    other = terms(purpose="illegal-parking")
    assert box.ask("department 1", "export.request", other)["code"] == "COMMAND_SECOND"
    assert box.told("export.requested") == []
    name = box.send_two("department 1", "department 2", "export.request", other)
    assert box.answer(name)["status"] == "done"
    assert box.told("export.requested")[0]["purpose"] == "illegal-parking"


def test_of_a_camera_that_was_taken_out_two_hand_out(box) -> None:
    """Art. 26(3): what it was there for is not known any more."""
    text = box.config_file.read_text(encoding="utf-8")
    box.config_file.write_text(text.replace('id = "cam1"', 'id = "cam2"'), encoding="utf-8")
    assert box.ask("department 1", "export.request", terms())["code"] == "COMMAND_SECOND"
    name = box.send_two("department 1", "department 2", "export.request", terms())
    assert box.answer(name)["status"] == "done"


def test_nothing_is_handed_out_beyond_the_tunnel(box) -> None:
    """Art. 28(1): one stolen key sends nothing to a place of its choice."""
    for to in ("https://evil.example", "https://203.0.113.66:8443"):
        assert box.ask("department 1", "export.request", terms(to=to))["code"] == "EXPORT_TO"
    assert box.told("export.requested") == []
    name = box.send("department 1", "export.request", terms(to="https://10.77.0.9:8443"))
    assert box.answer(name)["status"] == "done"


@pytest.mark.parametrize("who", ["operator", "technician", "service"])
def test_nobody_else_hands_anything_out(box, who) -> None:
    """Art. 12(1)."""
    assert box.ask(f"{who} 1", "export.request", terms())["code"] == "COMMAND_ROLE"
    assert box.told("export.requested") == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ground": "curiosity"}, "EXPORT_GROUND"),
        ({"camera": "cam9"}, "CAMERA_UNKNOWN"),
        ({"to_ms": T0 + UTC_DAY_MS}, "EXPORT_SPAN"),
        ({"due": "1999-01-01"}, "EXPORT_DUE"),
    ],
)
def test_what_cannot_stand_is_refused_before_it_is_accepted(box, change, code) -> None:
    assert box.ask("department 1", "export.request", terms(**change))["code"] == code
    assert box.told("export.requested") == []


def test_a_span_that_is_not_stored_is_answered_so(box) -> None:
    reply = box.ask("department 1", "export.request", terms(from_ms=T0 - 9000, to_ms=T0 - 1000))
    assert (reply["status"], reply["code"]) == ("failed", "EXPORT_EMPTY")


def test_i8_a_denied_approval_takes_it_back_and_says_what_had_left(box) -> None:
    """I8: art. 28(2)."""
    name = box.send("department 1", "export.request", terms())
    box.answer(name)
    box.turn()
    box.say(Where.SENDING, name, gone=4321)
    reply = box.ask("officer 1", "export.cancel", {"export": name})
    assert (reply["status"], reply["detail"]["gone_bytes"]) == ("done", 4321)
    order = box.order(name)
    assert order is not None
    assert order.recalled, "before the reply is sent"
    box.turn()
    assert box.outgoing() == []
    assert box.ask("officer 1", "export.cancel", {"export": "f" * 32})["code"] == "EXPORT_UNKNOWN"


@pytest.mark.parametrize("who", ["service 1", "officer 1", "department 1"])
def test_e7_only_a_signed_word_writes_that_an_export_was_received(box, who) -> None:
    """E7: a rogue broker says what it likes; its word ends nothing."""
    name = box.send("department 1", "export.request", terms())
    box.answer(name)
    assert box.ask(who, "export.received", {"export": "f" * 32, "good": True})["code"] == "EXPORT_UNKNOWN"
    box.turn()
    box.say(Where.RECEIVED, name, gone=99_999)
    box.turn()
    assert (box.export(name).state, box.told("export.received")) == (State.SENT, [])
    assert box.outgoing() != []
    arguments = {"export": name, "good": True}
    for other in ("technician 1", "operator 1"):
        assert box.ask(other, "export.received", arguments)["code"] == "COMMAND_ROLE"
    reply = box.ask(who, "export.received", arguments)
    assert (reply["status"], reply["detail"]) == ("done", {"export": name, "state": "received"})
    (body,) = box.told("export.received")
    assert body["good"] is True
    assert box.city.signers[who].kid in body["by"]
    box.turn()
    assert (box.outgoing(), box.order(name)) == ([], None)
    assert box.ask(who, "export.received", arguments | {"good": False})["detail"]["state"] == "received"
    assert len(box.told("export.received")) == 1


def test_what_has_no_bundle_yet_cannot_have_arrived(box) -> None:
    with box.catalogue() as catalogue:
        outgoing.request(catalogue, box.vaults, wanted(), box.at())
    reply = box.ask("service 1", "export.received", {"export": ID, "good": True})
    assert (reply["status"], reply["code"]) == ("refused", "EXPORT_NOT_SENT")


def test_in_a_lockdown_what_is_on_its_way_stops_and_goes_on_when_it_is_lifted(box) -> None:
    name = box.send("department 1", "export.request", terms())
    box.answer(name)
    box.turn()
    box.say(Where.SENDING, name, gone=4321)
    assert box.order(name) is not None
    assert box.ask("officer 1", "lockdown", {"on": True})["status"] == "done"
    assert box.order(name) is None, "before the reply is sent"
    box.turn(2)
    assert box.order(name) is None
    assert box.export(name).state is State.BUNDLED
    assert box.answer(box.send_two("officer 1", "officer 2", "lockdown", {"on": False}))["status"] == "done"
    box.turn()
    order = box.order(name)
    assert order is not None
    assert (order.recalled, len(order.parts)) == (False, 6)
    reply = box.ask("department 1", "export.cancel", {"export": name})
    assert reply["detail"]["gone_bytes"] == 4321


def test_in_a_lockdown_nothing_is_handed_out_and_what_is_can_be_taken_back(box) -> None:
    name = box.send("department 1", "export.request", terms())
    box.answer(name)
    box.ask("officer 1", "lockdown", {"on": True})
    assert box.ask("department 1", "export.request", terms())["code"] == "COMMAND_LOCKDOWN"
    assert box.ask("officer 1", "export.cancel", {"export": name})["status"] == "done"
