"""Passes that the centre issues: only the code's hash is sent, and the page's door takes the code."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agent import passes
from agent.config import load
from agent.field.page.door import Door, Entered, Times
from agent.passes import Why
from agent.storage import passbook
from agent.storage.proof.prune import about_rights
from tests.unit.config.samples import RIGHT
from tests.unit.keep.ordered import Ordered

HOUR_MS = 3_600_000
CODE = passes.new_code(b"a code of chance")
OTHER = passes.new_code(b"another one here")
PHONE = "192.168.77.20"


class Killed(BaseException):
    pass


class Box(Ordered):
    """A box with a page, and the page's door."""

    def with_page(self, root) -> Box:
        text = RIGHT.replace("/var/lib/pasu", str(root)).replace("cam01", "cam1")
        text += f'[page]\nlisten = "192.168.77.1"\nport = 8443\nfolder = "{root}/page"\n'
        self.config_file.write_text(text, encoding="utf-8")
        self.folder = load(self.config_file).page.folder
        passbook.make(self.folder, self.disk)
        self.door = Door(self.folder, self.times)
        return self

    def times(self) -> Times:
        return Times(self.source.utc, self.source.boot_id(), int(self.source.boot_at))

    def issue(self, who: str = "officer 1", code: str = CODE, **more: Any) -> dict[str, Any]:
        return self.ask(who, "pass.issue", terms(code, **more))


def terms(code: str = CODE, **more: Any) -> dict[str, Any]:
    return {"name": "김정비", "company": "한빛보안", "hours": 4, "digest": passes.digest_of(code)} | more


@pytest.fixture
def box(tmp_path) -> Box:
    made = Box(tmp_path / "box").with_page(tmp_path)
    made.tick()
    made.replies()
    return made


def test_the_code_opens_the_page_once_and_the_fact_says_who_let_whom_in(box: Box) -> None:
    reply = box.issue()
    assert reply["status"] == "done", reply
    detail = reply["detail"]
    assert detail["address"] == "https://192.168.77.1:8443/enter"
    (body,) = box.bodies("pass.issued")
    assert (body["id"], body["name"], body["company"]) == (detail["pass"], "김정비", "한빛보안")
    assert (body["by"], body["until_ms"]) == ("officer 1", detail["until_ms"])
    (accepted,) = box.bodies("command.accepted")
    assert body["order"] == accepted["id"]
    assert abs(detail["until_ms"] - box.source.utc - 4 * HOUR_MS) <= 2000
    assert isinstance(box.door.enter(OTHER, PHONE), Why)
    entered = box.door.enter(CODE, PHONE)
    assert isinstance(entered, Entered)
    assert entered.by.name == "김정비"
    assert box.door.enter(CODE, PHONE) is Why.USED


def test_the_code_is_nowhere_on_the_wire_nor_on_the_box(box: Box, tmp_path) -> None:
    text = box.sign("officer 1", "pass.issue", terms())
    box.put(text)
    box.tick(3)
    said = json.dumps(box.replies()) + text
    plain = CODE.replace("-", "")
    for place in (path for path in tmp_path.rglob("*") if path.is_file()):
        data = place.read_bytes()
        assert CODE.encode() not in data
        assert plain.encode() not in data
    assert CODE not in said
    assert plain not in said


def test_it_ends_with_its_hours_whatever_the_clock_is_set_to(box: Box) -> None:
    box.issue(hours=1)
    box.pass_time(HOUR_MS + 1000)
    assert box.door.enter(CODE, PHONE) is Why.EXPIRED
    box.source.utc -= 5 * HOUR_MS
    assert box.door.enter(CODE, PHONE) is Why.EXPIRED


def test_e1_the_same_letter_again_makes_no_second_pass(box: Box) -> None:
    """E1."""
    text = box.sign("officer 1", "pass.issue", terms())
    box.put(text)
    box.tick(2)
    box.replies()
    box.put(text)
    box.tick(2)
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_REPLAYED"]
    assert len(passbook.listed(box.folder)) == 1
    assert len(box.bodies("pass.issued")) == 1


def test_a_code_that_was_issued_once_is_issued_to_nobody_again(box: Box) -> None:
    first = box.issue()["detail"]["pass"]
    assert isinstance(box.door.enter(CODE, PHONE), Entered)
    again = box.issue("department 1", hours=100)
    assert (again["status"], again["code"]) == ("refused", "PASS_KNOWN")
    assert box.door.enter(CODE, PHONE) is Why.USED
    assert [one.id for one in passbook.listed(box.folder)] == [first]


@pytest.mark.parametrize("who", ["operator 1", "technician 1", "service 1"])
def test_e6_nobody_else_lets_anybody_in(box: Box, who: str) -> None:
    """E6: nor takes a pass back."""
    reply = box.issue(who)
    assert (reply["status"], reply["code"]) == ("refused", "COMMAND_ROLE")
    issued = box.issue()["detail"]["pass"]
    reply = box.ask(who, "pass.revoke", {"pass": issued, "reason": "no"})
    assert (reply["status"], reply["code"]) == ("refused", "COMMAND_ROLE")
    assert len(passbook.listed(box.folder)) == 1


def test_a_command_that_came_too_late_lets_nobody_in(box: Box) -> None:
    text = box.sign("officer 1", "pass.issue", terms())
    box.pass_time(25 * HOUR_MS)
    box.put(text)
    box.tick(2)
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_EXPIRED"]
    assert passbook.listed(box.folder) == []


def test_in_a_lockdown_nobody_is_let_in_and_passes_are_taken_back(box: Box) -> None:
    issued = box.issue()["detail"]["pass"]
    box.ask("officer 1", "lockdown", {"on": True})
    assert box.issue(code=OTHER)["code"] == "COMMAND_LOCKDOWN"
    assert box.ask("officer 1", "pass.revoke", {"pass": issued, "reason": "잠금"})["status"] == "done"


def test_a_pass_that_is_revoked_lets_nobody_in_and_the_session_ends(box: Box) -> None:
    issued = box.issue()["detail"]["pass"]
    entered = box.door.enter(CODE, PHONE)
    assert box.door.who(entered.cookie) is not None
    reply = box.ask("department 1", "pass.revoke", {"pass": issued, "reason": "작업 마침"})
    assert reply["status"] == "done", reply
    assert box.door.who(entered.cookie) is None
    (body,) = box.bodies("pass.revoked")
    assert (body["id"], body["by"], body["reason"]) == (issued, "department 1", "작업 마침")
    unknown = box.ask("department 1", "pass.revoke", {"pass": "0" * 8, "reason": "x"})
    assert (unknown["status"], unknown["code"]) == ("refused", "PASS_UNKNOWN")
    # Again is no harm: it says who else wanted it.
    assert box.ask("officer 1", "pass.revoke", {"pass": issued, "reason": "x"})["status"] == "done"
    assert about_rights("pass.revoked")


def test_a_box_without_a_page_says_so(tmp_path) -> None:
    box = Box(tmp_path / "box")
    box.config_file.write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)).replace("cam01", "cam1"))
    box.tick()
    box.replies()
    for name, arguments in (("pass.issue", terms()), ("pass.revoke", {"pass": "0" * 8, "reason": "x"})):
        reply = box.ask("officer 1", name, arguments)
        assert (reply["status"], reply["code"]) == ("refused", "PASS_NO_PAGE")


def test_too_many_passes_are_refused_and_old_ones_make_room(box: Box) -> None:
    for number in range(passes.MOST_PASSES):
        one = passes.new_pass(
            f"{number:08x}",
            "0" * 64,
            name="a",
            company="b",
            by="c",
            hours=1,
            utc_ms=box.source.utc,
            boot="x",
            boot_ms=1,
        )
        passbook.put(box.folder, one, box.disk)
    reply = box.issue()
    assert (reply["status"], reply["code"]) == ("refused", "PASS_MANY")
    box.pass_time(31 * 24 * HOUR_MS)
    assert box.issue()["status"] == "done"
    assert len(passbook.listed(box.folder)) == 1


@pytest.mark.parametrize("dies", ["W1", "W2"])
def test_a2_killed_after_each_step_there_is_one_pass_and_one_fact(box: Box, dies: str) -> None:
    """A2."""

    def die(name: str) -> None:
        if name == dies:
            raise Killed

    box.restart(step=die)
    box.send("officer 1", "pass.issue", terms())
    with pytest.raises(Killed):
        box.tick(3)
    box.restart()
    box.tick(3)
    assert len(passbook.listed(box.folder)) == 1
    assert len(box.bodies("pass.issued")) == 1
    assert isinstance(box.door.enter(CODE, PHONE), Entered)


def test_a2_one_that_was_revoked_meanwhile_stays_so(box: Box) -> None:
    """A2: after a kill the command is carried out a second time."""

    def die(name: str) -> None:
        if name == "W2":
            raise Killed

    box.restart(step=die)
    box.send("officer 1", "pass.issue", terms())
    with pytest.raises(Killed):
        box.tick(3)
    (one,) = passbook.listed(box.folder)
    passbook.put(box.folder, replace(one, revoked_ms=1), box.disk)
    box.restart()
    box.tick(3)
    assert box.door.enter(CODE, PHONE) is Why.REVOKED


@pytest.mark.parametrize("dies", ["R1", "J6"])
def test_a2_a_revocation_that_was_cut_off_is_finished(box: Box, dies: str) -> None:
    """A2."""
    issued = box.issue()["detail"]["pass"]

    def die(name: str) -> None:
        if name == dies:
            raise Killed

    box.restart(step=die)
    box.send("officer 1", "pass.revoke", {"pass": issued, "reason": "x"})
    with pytest.raises(Killed):
        box.tick(3)
    assert box.door.enter(CODE, PHONE) is Why.REVOKED
    box.restart()
    box.tick(3)
    assert len(box.bodies("pass.revoked")) == 1
