"""Live streams that a city grants: who may, for how long, and what the ledger says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent import grants
from agent.command.keyring import Role
from agent.grants import MOST_CAMERAS, Grant, Report, Stage
from agent.storage.granted import Granted
from agent.storage.keep.streams import REPORT_MS
from tests.unit.config.samples import RIGHT
from tests.unit.keep.ordered import Ordered

UPLINK = '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"\n[tunnel]\ninterface = "pasu0"\n'
SECOND = """
[[camera]]
id = "cam2"
name = "지하"
url = "file:///srv/cam2.mp4"
purpose = "fire-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""


class Killed(BaseException):
    pass


class Box(Ordered):
    """A box with a media server, and the uplink's side of its exchange."""

    @property
    def uplink(self) -> Granted:
        return Granted(self.state)

    def granted(self) -> dict[str, Grant]:
        return self.uplink.grants()

    def say(self, name: str, stage: Stage, **more: Any) -> None:
        self.uplink.put(Report(name, stage, **more))

    def grant(self, who: str = "operator 1", **more: Any) -> str:
        name = self.send(who, "stream.grant", terms(**more))
        reply = self.answer(name)
        assert reply["status"] == "done", reply
        return name

    @property
    def now_boot_ms(self) -> int:
        return int(self.source.boot_at)


@pytest.fixture
def box(tmp_path) -> Box:
    made = Box(tmp_path / "box")
    text = RIGHT.replace("/var/lib/pasu", str(tmp_path)).replace("cam01", "cam1") + SECOND + UPLINK
    made.config_file.write_text(text, encoding="utf-8")
    made.tick()
    made.replies()
    return made


def terms(**more: Any) -> dict[str, Any]:
    values = {
        "camera": "cam1",
        "operator": "operator 1",
        "purpose": "crime-prevention",
        "ground": "monitoring",
        "minutes": 15,
    }
    return values | more


def test_a_grant_reaches_the_uplink_and_stands_in_the_ledger(box: Box) -> None:
    """Duties, section 5-2-2: one camera, one operator, 15 minutes at most, logged with its purpose."""
    name = box.send("operator 1", "stream.grant", terms())
    before = box.now_boot_ms
    reply = box.answer(name)
    (found,) = box.granted().values()
    assert (found.grant, found.camera, found.has_sub) == (name, "cam1", False)
    assert 899_000 <= found.until_boot_ms - before <= 902_000
    assert reply["detail"]["grant"] == name
    (body,) = box.bodies("stream.granted")
    assert (body["grant"], body["camera"], body["operator"]) == (name, "cam1", "operator 1")
    assert (body["purpose"], body["ground"], body["minutes"]) == ("crime-prevention", "monitoring", 15)
    assert box.city.signers["operator 1"].kid in body["person"]


def test_from_its_begin_to_its_end_by_time(box: Box) -> None:
    """F12, S11."""
    name = box.grant(minutes=1)
    box.say(name, Stage.WAITING)
    box.tick()
    assert box.bodies("stream.started") == []
    box.say(name, Stage.FLOWING, flowed=True, sent_bytes=100)
    box.tick(3)
    assert box.bodies("stream.started") == [{"grant": name, "camera": "cam1"}]
    box.tick(60)
    assert box.granted() == {}
    box.say(name, Stage.OVER, flowed=True, reason="expired", sent_bytes=7000, left_out=2)
    box.tick(3)
    assert box.bodies("stream.stopped") == [
        {
            "grant": name, "camera": "cam1", "reason": "expired", "flowed": True, "sent_bytes": 7000, "left_out": 2,
            "reported": True,
        }
    ]  # fmt: skip
    assert box.uplink.reports() == {}
    box.tick(30)
    assert len(box.bodies("stream.stopped")) == 1


def test_f12_revoked_the_file_is_gone_before_the_reply_is_sent(box: Box) -> None:
    """F12, and art. 28(2): the reply says how many bytes had left."""
    name = box.grant()
    box.say(name, Stage.FLOWING, flowed=True, sent_bytes=4321)
    box.tick()
    reply = box.ask("officer 1", "stream.revoke", {"grant": name, "reason": "승인 거부"})
    assert (reply["status"], reply["detail"]["sent_bytes"]) == ("done", 4321)
    assert box.granted() == {}
    (body,) = box.bodies("stream.revoked")
    assert body["reason"] == "승인 거부"
    box.say(name, Stage.OVER, flowed=True, reason="revoked", sent_bytes=5000)
    box.tick()
    (stopped,) = box.bodies("stream.stopped")
    assert (stopped["reason"], stopped["sent_bytes"]) == ("revoked", 5000)
    assert box.ask("officer 1", "stream.revoke", {"grant": name, "reason": "x"})["code"] == "STREAM_UNKNOWN"


def test_an_uplink_that_says_nothing_is_not_waited_for(box: Box) -> None:
    name = box.grant(minutes=1)
    box.tick(62 + REPORT_MS // 1000)
    (stopped,) = box.bodies("stream.stopped")
    assert (stopped["grant"], stopped["reported"], stopped["flowed"]) == (name, False, False)


def test_h9_a_key_is_for_its_cameras_and_an_operator_for_himself(box: Box) -> None:
    """H9: tickets per camera, operator and purpose; one for an unassigned camera is refused."""
    box.city.add("operator 9", Role.OPERATOR, cameras=["cam2"])
    box.city.epoch += 1
    box.city.enrol(box.state)
    box.tick(40)
    box.replies()
    assert box.ask("operator 9", "stream.grant", terms(operator="operator 9"))["code"] == "COMMAND_CAMERA"
    assert box.ask("operator 1", "stream.grant", terms(operator="officer 1"))["code"] == "COMMAND_ROLE"
    assert box.ask("technician 1", "stream.grant", terms())["code"] == "COMMAND_ROLE"
    assert box.granted() == {}
    name = box.grant("officer 1", operator="operator 1")
    assert box.ask("operator 9", "stream.revoke", {"grant": name, "reason": "x"})["code"] == "COMMAND_CAMERA"
    assert box.ask("operator 9", "streams")["detail"]["streams"] == []
    (one,) = box.ask("operator 1", "streams")["detail"]["streams"]
    assert (one["grant"], one["operator"], one["stage"]) == (name, "operator 1", "waiting")


def test_another_purpose_needs_two_and_a_ground(box: Box) -> None:
    """Art. 26(3), 28(1)."""
    other = terms(purpose="illegal-parking", ground="investigation")
    assert box.ask("officer 1", "stream.grant", other)["code"] == "COMMAND_SECOND"
    assert box.ask("officer 1", "stream.grant", terms(ground="curiosity"))["code"] == "STREAM_GROUND"
    alone = terms(purpose="illegal-parking")
    assert box.ask("officer 1", "stream.grant", alone)["code"] == "STREAM_GROUND"
    name = box.send_two("officer 1", "officer 2", "stream.grant", other)
    assert box.answer(name)["status"] == "done"
    assert list(box.granted()) == [name]
    assert box.bodies("stream.granted")[0]["purpose"] == "illegal-parking"


def test_what_cannot_be_shown_is_refused(box: Box) -> None:
    assert box.ask("officer 1", "stream.grant", terms(camera="cam9"))["code"] == "CAMERA_UNKNOWN"
    other = terms(camera="cam2", purpose="fire-prevention")
    assert box.ask("officer 1", "stream.grant", other)["code"] == "STREAM_SOURCE"
    box.config_file.write_text(box.config_file.read_text().replace("media =", "# media ="), encoding="utf-8")
    assert box.ask("officer 1", "stream.grant", terms())["code"] == "STREAM_NOT_CONFIGURED"
    assert box.bodies("stream.granted") == []


def test_f11_no_more_cameras_than_can_be_relayed(box: Box) -> None:
    """F11: a hundred requests."""
    text = box.config_file.read_text()
    for number in range(10, 10 + MOST_CAMERAS):
        text += SECOND.replace("cam2", f"cam{number}").replace("file:///srv/", "rtsp://10.0.0.9/")
    box.config_file.write_text(text.replace("fire-prevention", "crime-prevention"), encoding="utf-8")
    for number in range(10, 10 + MOST_CAMERAS):
        box.grant("officer 1", camera=f"cam{number}", operator="a")
    assert box.ask("officer 1", "stream.grant", terms())["code"] == "STREAM_BUSY"
    name = box.grant("officer 1", camera="cam10", operator="b")
    assert len(box.granted()) == MOST_CAMERAS + 1
    assert name in box.granted()


def test_a_lockdown_ends_every_stream(box: Box) -> None:
    name = box.grant()
    box.ask("officer 1", "lockdown", {"on": True})
    box.tick()
    assert box.granted() == {}
    assert box.ask("operator 1", "stream.grant", terms())["code"] == "COMMAND_LOCKDOWN"
    box.say(name, Stage.OVER, flowed=True, sent_bytes=1)
    box.tick()
    assert box.bodies("stream.stopped")[0]["reason"] == "lockdown"


def test_a_key_that_is_revoked_ends_its_streams(box: Box) -> None:
    """S11: within ten seconds; on personnel change, without delay."""
    box.grant()
    box.ask("officer 1", "key.revoke", {"kid": box.city.signers["operator 1"].kid})
    box.tick(3)
    assert box.granted() == {}


def test_a_grant_does_not_outlive_the_boot(box: Box) -> None:
    name = box.grant()
    box.source.reboot()
    box.restart()
    box.tick(2)
    assert box.granted() == {}
    assert box.bodies("stream.stopped")[0]["reason"] == "restarted"
    assert box.bodies("stream.stopped")[0]["grant"] == name


def test_a_keeper_that_restarts_goes_on(box: Box) -> None:
    name = box.grant()
    until = box.granted()[name].until_boot_ms
    box.restart()
    (box.state / "exchange" / "grants" / f"{name}.json").unlink()
    box.tick(2)
    assert box.granted()[name].until_boot_ms == until
    assert len(box.bodies("stream.granted")) == 1


@pytest.mark.parametrize("at", ["V3", "V4", "V5", "V6"])
def test_a2_killed_after_a_step_of_its_end_it_ends_once(box: Box, at: str) -> None:
    """A2."""
    name = box.grant(minutes=1)
    killed = False

    def step(said: str) -> None:
        nonlocal killed
        if said == at and not killed:
            killed = True
            raise Killed

    box.restart(step=step)
    for number in range(75):
        if number == 5:
            box.say(name, Stage.FLOWING, flowed=True, sent_bytes=5)
        if number == 63:
            box.say(name, Stage.OVER, flowed=True, reason="expired", sent_bytes=6)
        try:
            box.tick()
        except Killed:
            box.restart()
    assert killed
    assert box.granted() == {}
    assert box.uplink.reports() == {}
    assert len(box.bodies("stream.started")) == 1
    (stopped,) = box.bodies("stream.stopped")
    assert stopped["sent_bytes"] in (5, 6)


@pytest.mark.parametrize("at", ["V1", "V2"])
def test_a2_killed_after_a_step_it_is_granted_once_and_for_no_longer(box: Box, at: str) -> None:
    """A2."""

    def step(name: str) -> None:
        if name == at:
            raise Killed

    box.restart(step=step)
    name = box.send("operator 1", "stream.grant", terms())
    with pytest.raises(Killed):
        box.tick(3)
    before = box.now_boot_ms
    box.restart()
    box.pass_time(30_000)
    assert box.answer(name)["status"] == "done"
    (found,) = box.granted().values()
    assert found.until_boot_ms <= before + 15 * 60_000
    assert len(box.bodies("stream.granted")) == 1


def test_a2_killed_while_it_is_taken_back(box: Box) -> None:
    """A2."""
    name = box.grant()

    def step(said: str) -> None:
        if said == "V4":
            raise Killed

    box.restart(step=step)
    box.send("officer 1", "stream.revoke", {"grant": name, "reason": "끝"})
    with pytest.raises(Killed):
        box.tick(3)
    assert box.granted() == {}
    box.restart()
    box.tick(2)
    assert box.granted() == {}
    assert len(box.bodies("stream.revoked")) == 1


def test_a_file_of_which_no_row_tells_gives_nothing_for_long(box: Box) -> None:
    name = "f" * 32
    place = box.state / "exchange" / "grants"
    box.grant()
    forged = Grant(name, "cam1", box.keeper._clock.boot_id, box.now_boot_ms + 10**9)
    (place / f"{name}.json").write_bytes(grants.encode_grant(forged))
    (place / "README").write_text("left alone")
    box.tick()
    assert name not in box.granted()
    assert (place / "README").exists()


def test_what_cannot_be_read_gives_nothing(box: Box) -> None:
    name = box.grant()
    place = box.state / "exchange" / "grants" / f"{name}.json"
    place.write_text("{")
    assert box.granted() == {}
    place.write_bytes(grants.encode_grant(Grant("e" * 32, "cam1", "b", 1)))
    assert box.granted() == {}
    (box.state / "exchange" / "streams" / f"{name}.json").write_text("{")
    box.tick()
    assert box.bodies("stream.started") == []
    assert json.loads((box.run / "keep.json").read_text())["orders"]["waiting"] == 0
