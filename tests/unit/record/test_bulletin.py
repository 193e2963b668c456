"""What the parent of `pasu record` says of its cameras, and what it tells the ledger."""

from __future__ import annotations

import json
import types
from typing import TYPE_CHECKING, Any

import pytest

from agent import bulletin as module
from agent.bulletin import Bulletin, Familiar
from agent.capture.roster import Assignment
from agent.health import Raised
from agent.model import Instant, Trust
from tests.unit.config.samples import RIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import Config

MARKS = {"server": "aa", "realm": "", "formats": ["f1"]}


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def monotonic(self) -> float:
        return self.s

    def now(self) -> Instant:
        return Instant(1_790_000_000_000 + int(self.s * 1000), Trust.SYNCED)


class Supervisor:
    """What the bulletin asks of one."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, Any]] = {}
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self.lost = 0
        worker = types.SimpleNamespace(
            assignment=Assignment("rtsp-0", "rtsp", {"cam01": {}}), pid=7, state={}
        )
        self.workers = [worker]

    def cameras(self) -> dict[str, Any]:
        return {camera: dict(state) for camera, state in self.said.items()}

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self.facts.append((kind, body))


class Room:
    def __init__(self, folder: Path) -> None:
        from agent.config import load

        (folder / "agent.toml").write_text(RIGHT, encoding="utf-8")
        self.config: Config = load(folder / "agent.toml")
        self.run = folder / "run"
        self.clock, self.supervisor, self.familiar = Clock(), Supervisor(), Familiar({})
        self.bulletin = Bulletin(self.run, self.supervisor, self.clock, self.familiar)  # type: ignore[arg-type]

    def hear(self, seconds: float = 2.0, *raised: Raised, **state: Any) -> dict[str, Any]:
        self.clock.s += seconds
        self.supervisor.said = {"cam01": {"state": "recording", **state}} if state is not None else {}
        new = self.bulletin.hear(self.config, raised)
        self.bulletin.write("gn-0007", "recording", {"sha256": "x", "state": "applied"}, {"epoch": None}, {})
        return new

    def shown(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads((self.run / "record.json").read_text(encoding="utf-8"))
        return body

    def codes(self) -> list[str]:
        return [each["code"] for each in self.shown()["conditions"] if each["severity"] != "info"]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_the_health_file_has_what_every_one_has_and_its_own(room: Room) -> None:
    room.hear(picture_ms=40, fps_tenths=150, likeness=MARKS, conditions={})
    body = room.shown()
    assert {"process", "version", "box", "pid", "at_ms", "trust", "boot_ms", "conditions", "hidden"} <= set(
        body
    )
    assert body["boot_ms"] == 1_002_000
    assert body["cameras"] == {"cam01": {"state": "recording", "picture_ms": 40, "fps_tenths": 150}}
    assert body["config"] == {"sha256": "x", "state": "applied"}
    assert body["sealing"] == {"epoch": None}


def test_a_grave_condition_is_a_fact_once_in_ten_minutes(room: Room) -> None:
    for _ in range(3):
        room.hear(conditions={"camera.frozen": ""})
        assert room.codes() == ["camera.frozen"]
        room.hear(conditions={})
        assert room.codes() == []
    kinds = [kind for kind, _ in room.supervisor.facts]
    assert kinds == ["condition.raised", "condition.cleared", "condition.cleared", "condition.cleared"]
    body = {"code": "camera.frozen", "subject": "cam01", "severity": "alarm", "detail": ""}
    assert room.supervisor.facts[0][1] == body
    room.hear(module.AGAIN_S, conditions={"camera.frozen": ""})
    assert [kind for kind, _ in room.supervisor.facts][-1] == "condition.raised"


def test_what_is_not_grave_is_shown_and_no_fact(room: Room) -> None:
    room.hear(audio_offered=["PCMU"])
    assert {each["code"] for each in room.shown()["conditions"]} == {
        "camera.audio_offered",
        "camera.plaintext_leg",
    }
    assert room.supervisor.facts == []


def test_what_comes_of_another_is_hidden(room: Room) -> None:
    room.hear(conditions={}, identity=["server"])
    room.familiar.replace({"cam01": {**MARKS, "server": "bb"}})
    room.hear(likeness=MARKS)
    assert room.codes() == ["camera.identity_changed"]
    room.clock.s += 10
    room.supervisor.said["cam01"] = {"state": "lost", "cause": "camera_unreachable", "likeness": MARKS}
    room.bulletin.hear(room.config, [])
    room.bulletin.write("gn-0007", "recording", {}, {}, {})
    assert room.codes() == ["camera.unreachable"]
    assert [each["code"] for each in room.shown()["hidden"]] == ["camera.identity_changed"]
    assert room.supervisor.facts[-1][1].get("hidden_by") in (None, "camera.unreachable")


def test_what_is_wrong_elsewhere_is_shown_too(room: Room) -> None:
    room.supervisor.workers[0].state = {"storage": {"disk": {"code": "DISK_FULL", "where": "/v"}}}
    for seconds in (2.0, 120.0):  # trouble that soon passes is not shown
        room.hear(seconds, Raised("config.invalid", "", "camera[1].url CONFIG_VALUE"))
    assert set(room.codes()) == {"config.invalid", "storage.trouble"}
    assert room.shown()["storage"] == {"rtsp-0": {"disk": {"code": "DISK_FULL", "where": "/v"}}}
    room.supervisor.workers[0].state = {}
    room.hear()
    assert room.codes() == []


def test_a_directory_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    room = Room(tmp_path)
    room.hear(conditions={"camera.frozen": ""})
    assert room.supervisor.facts


def test_d13_a_camera_is_learnt_once_and_known_again() -> None:
    familiar = Familiar({})
    state = {"cam01": {"likeness": MARKS}, "cam02": {}, "cam03": {"likeness": {}}}
    assert familiar.see(state) == {"cam01": MARKS}
    assert familiar.see(state) == {}
    assert familiar.differences("cam01") == []


def test_d13_another_device_is_no_lesson_until_somebody_says_so() -> None:
    familiar = Familiar({"cam01": MARKS})
    other = {"cam01": {"likeness": {**MARKS, "server": "bb", "formats": ["f2"]}}}
    assert familiar.see(other) == {"cam01": {**MARKS, "doubt": "server formats"}}, "nothing of it is learnt"
    assert familiar.see(other) == {}
    assert familiar.differences("cam01") == ["server", "formats"]
    familiar.replace({})  # `pasu camera accept`
    assert familiar.see(other) == {"cam01": other["cam01"]["likeness"]}
    assert familiar.differences("cam01") == []


def test_d13_another_host_may_be_anyone_and_what_the_one_before_said_last_is_not_its_own() -> None:
    before = {**MARKS, "host": "h1", "address": "a1"}
    familiar = Familiar({"cam01": before})
    assert familiar.see({"cam01": {"likeness": before}}) == {}, "its worker has not heard yet"
    other = {"cam01": {"likeness": {"server": "bb", "formats": ["f2"], "host": "h2", "address": "a2"}}}
    assert familiar.see(other) == {"cam01": other["cam01"]["likeness"]}
    assert familiar.differences("cam01") == []


def test_d13_another_path_brings_no_other_device_in_and_takes_no_alarm_away(room: Room) -> None:
    first = {**MARKS, "host": "h1", "address": "a1"}
    room.hear(likeness=first)
    room.hear(likeness={**first, "address": "a2", "formats": ["f2"]})
    assert room.codes() == [], "other pictures of the same device"
    room.hear(likeness={**first, "address": "a2", "formats": ["f9"]})
    assert room.codes() == ["camera.identity_changed"]
    for address in ("a3", "a2"):
        room.hear(likeness={**first, "address": address, "formats": ["f9"]})
        assert room.codes() == ["camera.identity_changed"]
    room.hear(likeness={**first, "address": "a3", "server": "bb"})
    assert room.shown()["conditions"][0]["detail"] == "server"
