"""The interview of `pasu init`, driven without a terminal, a disk or a network."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.config.values import Purpose
from agent.errors import ConfigError, StorageFault
from agent.field.setup import by_file, camera_talk, disk_talk, fit, interview, session
from agent.field.setup import requests as wants
from agent.field.setup.drives import Content, Drive
from agent.language import speaking
from agent.onvif.model import LogIn, Stream
from tests.init_lab import ANSWERS, KEYS, PASSWORD

GOOD = tomllib.loads(ANSWERS.replace("@DISK@", 'device = "/dev/sdb"'))
TB = 10**12
SYSTEM = Drive("/dev/sda", "disk", TB, mounts=("/",), content=Content())
BLANK = Drive("/dev/sdb", "disk", 4 * TB, model="WDC", serial="WD-1", bus="sata", content=Content(blank=True))
EMPTY = Drive("/dev/sdb", "disk", 4 * TB, content=Content(signature="ext4", opened=True))
QUICK = fit.Cost((8000,) * 100, 4 * TB, 4 * TB)
FAULT = StorageFault("INIT_MEASURE", "no", hint="look", reason="why")


class Person:
    """Answers by the key of a question, one after another; whatever else is wanted is done by `does`."""

    def __init__(self, does: dict[type, Any] | None = None, **said: str | list[str]) -> None:
        self.does = does or {}
        self.said: dict[str, Iterator[str]] = {
            key.replace("__", "."): iter([words] if isinstance(words, str) else words)
            for key, words in said.items()
        }
        self.heard: list[str] = []
        self.asked: list[wants.Ask] = []
        self.wanted: list[wants.Request] = []

    def talk(self, conversation: Any) -> Any:
        with speaking("en"):
            try:
                want = next(conversation)
                while True:
                    reply = self._reply(want)
                    want = (
                        conversation.throw(reply)
                        if isinstance(reply, Exception)
                        else conversation.send(reply)
                    )
            except StopIteration as end:
                return end.value

    def _reply(self, want: wants.Request) -> Any:
        self.wanted.append(want)
        match want:
            case wants.Ask():
                self.asked.append(want)
                return next(self.said[want.key]) if want.key in self.said else ""
            case wants.Tell():
                return self.heard.append(want.text)
            case wants.Rows():
                return self.heard.append("\n".join(" ".join(row) for row in want.rows))
            case wants.Keep():
                return None
            case wants.Try() if wants.Try not in self.does:
                return tuple(
                    Stream(each.url, codec="h264", shown=True, log_in=LogIn.GOOD) for each in want.trials
                )
        does = self.does[type(want)]
        if isinstance(does, list):
            does = does.pop(0) if len(does) > 1 else does[0]
        return does(want) if isinstance(does, Callable) else does  # type: ignore[arg-type]  # a function or a value

    def heard_of(self, text: str) -> bool:
        return any(text in each for each in self.heard)


BOX = {"box__id": "gn-0007", "box__site": "here", "box__operator": "city", "box__contact": "me"}
CAMERA = {
    "camera": ["2", "3"],
    "camera__url": "rtsp://10.0.0.11/main",
    "camera__name": "gate",
    "camera__purpose": "1",
    "camera__username": "recorder",
    "camera__password": PASSWORD,
}
WORLD: dict[type, Any] = {wants.Disks: (SYSTEM, EMPTY), wants.Measure: QUICK, wants.Format: None}


def test_a_new_box_from_the_first_question_to_the_last() -> None:
    person = Person(WORLD, **BOX, **CAMERA, storage__recipients=[*KEYS, ""])
    made = person.talk(session.first(None))
    assert made["box"] == {"id": "gn-0007", "site": "here", "operator": "city", "contact": "me"}
    assert made["storage"] == {"recipients": list(KEYS), "loss_window_s": 1.0}
    assert made["disk"] == {"device": "/dev/sdb"}
    assert made["camera"] == [
        {
            "id": "cam01",
            "name": "gate",
            "url": "rtsp://10.0.0.11/main",
            "purpose": "crime-prevention",
            "legal_basis": "개인정보 보호법 제25조제1항제2호",
            "username": "recorder",
            "password": PASSWORD,
        }
    ]
    assert not person.heard_of(PASSWORD)
    assert [each.key for each in person.asked if each.secret] == ["camera.password"]
    assert {"uplink", "tunnel", "page"}.isdisjoint(made)


def test_every_question_exists_in_both_languages() -> None:
    def titles(language: str) -> set[tuple[str, str]]:
        person = Person(WORLD, **BOX, **CAMERA, storage__recipients=[*KEYS, ""])
        with speaking(language):  # type: ignore[arg-type]  # ko or en
            conversation, reply = session.first(None), None
            try:
                while True:
                    reply = person._reply(conversation.send(reply))
            except StopIteration:
                return {(each.key, each.title) for each in person.asked}

    korean, english = dict(titles("ko")), dict(titles("en"))
    assert set(korean) == set(english)
    assert not [key for key in korean if korean[key] == english[key]]


def test_what_is_not_allowed_is_told_and_asked_for_again() -> None:
    said = {**BOX, "box__id": ["", "GN 7", "gn-0007"], "box__contractor": ["x" * 300, "Hanbit"]}
    made = Person(**said).talk(interview.box({}))
    assert (made["box"]["id"], made["box"]["contractor"]) == ("gn-0007", "Hanbit")
    again = Person(box__contractor="-").talk(interview.box(made))
    assert again["box"] == {key: what for key, what in made["box"].items() if key != "contractor"}


@pytest.mark.parametrize(
    ("words", "said"), [("ㅇ", True), ("Y", True), ("아니요", False), ("no", False), ("", False)]
)
def test_yes_and_no(words: str, said: bool) -> None:
    assert Person(q=["perhaps", words]).talk(interview.yes("q", "?", usual=False)) is said
    assert Person().talk(interview.yes("q", "?", usual=True)) is True


def test_keys_one_by_one_from_a_file_and_one_alone() -> None:
    person = Person(
        {wants.ReadText: [None, f"# keys\n{KEYS[0]}\n{KEYS[1]}", "none here"]},
        storage__recipients=["", "age1zz", "/a", "/b", "/c", KEYS[0], ""],
    )
    made = person.talk(interview.keys({"storage": {"vault": "/v"}}))
    assert made["storage"] == {"vault": "/v", "recipients": list(KEYS)}
    assert person.heard_of("cannot read the file: /a")
    assert person.heard_of("no new public key")
    lonely = Person(storage__recipients=[KEYS[0], "", "", ""], one_recipient=["no", "yes"])
    assert lonely.talk(interview.keys({}))["storage"]["recipients"] == [KEYS[0]]
    assert lonely.heard_of("no recording can ever be opened")


def test_reports_and_the_tunnel() -> None:
    known = {"storage": {"recipients": list(KEYS)}}
    with_tunnel = Person(uplink__broker=["http://x", "mqtts://10.77.0.1:8883"]).talk(interview.keys(known))
    assert with_tunnel["uplink"] == {"broker": "mqtts://10.77.0.1:8883"}
    assert with_tunnel["tunnel"] == {"interface": "pasu0"}
    live = Person(uplink__media=["x", "rtsp://10.77.0.1:8554"]).talk(interview.keys(with_tunnel))
    assert live["uplink"] == {"broker": "mqtts://10.77.0.1:8883", "media": "rtsp://10.77.0.1:8554"}
    assert Person().talk(interview.keys(live))["uplink"] == live["uplink"]
    assert "media" not in Person(uplink__media="-").talk(interview.keys(live))["uplink"]
    without = Person(tunnel__interface="-").talk(interview.keys(with_tunnel))
    assert ("uplink" in without, "tunnel" in without) == (True, False)
    assert "uplink" not in Person(uplink__broker="-").talk(interview.keys(with_tunnel))


def test_the_page() -> None:
    made = Person(page__listen=["0.0.0.0", "192.168.77.1"]).talk(interview.page({}))
    assert made == {"page": {"listen": "192.168.77.1"}}
    assert Person().talk(interview.page({"page": {"listen": "10.0.0.1", "port": 1}}))["page"]["port"] == 1
    assert Person(page__listen="-").talk(interview.page(made)) == {}
    several = {"page": {"listen": ["10.0.0.1", "10.0.0.2"]}}
    assert Person().talk(interview.page(several)) == several


def test_cameras_that_were_found_bring_their_rates() -> None:
    table = {**GOOD["camera"][0], "id": "cam07"}
    rates: dict[str, int] = {}
    found = [(table, 2048), ({**table, "id": "cam08"}, None)]
    person = Person(
        {wants.Search: [FAULT, found]}, camera=["1", "9", "1", "3"], discover=["x", "10.0.0.0/24, 10.0.0.9"]
    )
    made = person.talk(camera_talk.cameras({}, rates))
    assert [each["id"] for each in made["camera"]] == ["cam07", "cam08"]
    assert rates == {"cam07": 2048}
    assert person.heard_of("INIT_MEASURE")
    searches = [want for want in person.wanted if isinstance(want, wants.Search)]
    assert searches[1].where == ("10.0.0.0/24", "10.0.0.9")


def test_d12_a_factory_password_is_asked_about() -> None:
    """D12: and what is no log-in at all is told."""
    said = {
        **CAMERA,
        "camera__purpose": ["0", "99", "3"],
        "camera__id": ["cam01", "cam02"],
        "camera__view": "the gate",
        "camera__username": ["a:b", "admin", "admin", "recorder"],
        "camera__password": ["admin", "\x07", PASSWORD],
        "factory_password": "no",
    }
    made = Person(**said).talk(camera_talk.cameras({"camera": [GOOD["camera"][0]]}, {}))["camera"][1]
    assert (made["id"], made["purpose"], made["view"]) == ("cam02", Purpose.PARKING_MANAGEMENT, "the gate")
    assert (made["username"], made["password"]) == ("recorder", PASSWORD)
    said |= {"camera__username": "admin", "camera__password": "admin", "factory_password": "yes"}
    said |= {"camera__purpose": "1", "camera__id": "", "camera__view": "-"}
    made = Person(**said).talk(camera_talk.cameras({}, {}))["camera"][0]
    assert made["password"] == "admin"


def test_a_device_or_an_open_camera_has_no_log_in() -> None:
    said = {**CAMERA, "camera__url": "v4l2:/dev/video0"}
    assert "username" not in Person(**said).talk(camera_talk.cameras({}, {}))["camera"][0]
    assert (
        "username"
        not in Person(**{**CAMERA, "camera__username": ""}).talk(camera_talk.cameras({}, {}))["camera"][0]
    )


ANSWERED = {"box": GOOD["box"], "camera": GOOD["camera"], "storage": {"recipients": list(KEYS)}}


def choose(world: dict[type, Any], **said: str | list[str]) -> tuple[Any, Person]:
    person = Person({**WORLD, **world}, **said)
    return person.talk(disk_talk.disk(copy.deepcopy(ANSWERED), {})), person


def test_a_blank_disk_is_formatted_only_for_its_own_number() -> None:
    made, person = choose(
        {wants.Disks: (SYSTEM, BLANK)}, disk__device=["1", "2", "2"], disk__format=["wd-1", "WD-1"]
    )
    assert made["disk"] == {"device": "/dev/sdb"}
    formats = [want for want in person.wanted if isinstance(want, wants.Format)]
    assert formats == [wants.Format(BLANK, "WD-1")]
    assert person.heard_of("INIT_DISK_SYSTEM")
    assert person.heard_of("Not formatted")


def test_a_disk_that_cannot_be_formatted_or_measured_is_asked_for_again() -> None:
    refusal = StorageFault("INIT_DISK_BUSY", "busy")
    made, person = choose(
        {wants.Disks: (SYSTEM, BLANK), wants.Format: [refusal, None], wants.Measure: [FAULT, QUICK]},
        disk__device=["2", "2", "2"],
        disk__format=["WD-1", "WD-1", "WD-1"],
        storage__loss_window_s=["x", "20", "0.5"],
    )
    assert made["storage"]["loss_window_s"] == 0.5
    assert person.heard_of("INIT_DISK_BUSY")
    assert person.heard_of("INIT_MEASURE")


def test_a_disk_is_named_by_its_path_or_looked_for_again() -> None:
    loop = Drive("/dev/loop7", "loop", 4 * TB, content=Content(signature="ext4", opened=True))
    said = ["sdb", "7", "/dev/nothing", "r", "/dev/loop7"]
    made, person = choose({wants.Disks: (SYSTEM, BLANK, loop)}, disk__device=said)
    assert made["disk"] == {"device": "/dev/loop7"}
    assert sum("no such disk" in each for each in person.heard) == 3
    assert wants.Disks("/dev/loop7") in person.wanted


def test_the_systems_disk_is_for_a_box_that_has_no_other() -> None:
    made, person = choose({}, disk__device=["s", "2"])
    assert made["disk"] == {"device": "/dev/sdb"}
    assert person.heard_of("There is another disk")
    made, person = choose(
        {wants.Disks: (SYSTEM,)}, disk__device=["", "s", "s"], disk__system_disk=["no", "yes"]
    )
    assert made["disk"] == {"system_disk": True}
    assert person.heard_of("one dead disk takes system, recordings")


def test_what_a_disk_holds_is_said_and_a_slow_one_is_warned_of() -> None:
    small = fit.Cost((2_000_000,) * 10, TB // 10, TB // 10)
    made, person = choose({wants.Measure: small})
    assert made["storage"]["loss_window_s"] == 10.0
    assert person.heard_of("too slow")
    assert person.heard_of("It does not hold 30 days")
    assert person.heard_of("1 of them taken as 4 Mbit/s")
    person = Person(WORLD)
    person.talk(disk_talk.disk(copy.deepcopy(ANSWERED), {"cam01": 1024}))
    assert not person.heard_of("taken as")
    assert person.heard_of("1 camera, 1.0 Mbit/s")


def test_the_review_changes_a_piece_or_stops() -> None:
    draft = {
        **ANSWERED,
        "disk": {"device": "/dev/sdb"},
        "storage": {"recipients": list(KEYS), "loss_window_s": 1.0},
    }
    person = Person(WORLD, review=["x", "1", ""], box__site="there", camera__password=PASSWORD)
    assert person.talk(session.first(copy.deepcopy(draft)))["box"]["site"] == "there"
    assert [each.key for each in person.asked][:2] == ["draft", "camera.password"]
    with pytest.raises(wants.Stopped):
        Person(WORLD, review="q").talk(session.first(copy.deepcopy(draft)))


def test_a_draft_may_be_dropped_or_have_no_camera_yet() -> None:
    person = Person(WORLD, **BOX, **CAMERA, storage__recipients=[*KEYS, ""], draft="no")
    assert person.talk(session.first({"box": {"id": "gn-1"}}))["box"]["id"] == "gn-0007"
    person = Person(WORLD, **CAMERA, storage__recipients=[*KEYS, ""])
    assert person.talk(session.first({"box": GOOD["box"]}))["box"] == GOOD["box"]
    open_camera = {
        key: what for key, what in GOOD["camera"][0].items() if key not in ("username", "password")
    }
    person = Person(WORLD, storage__recipients=[*KEYS, ""])
    person.talk(session.first({"box": GOOD["box"], "camera": [open_camera], "disk": {"system_disk": True}}))
    assert not any(each.secret for each in person.asked)


PRESENT = {
    "box": GOOD["box"],
    "storage": {"vault": "/v", "state": "/s", "recipients": list(KEYS), "loss_window_s": 2.0},
    "camera": [{key: what for key, what in GOOD["camera"][0].items() if key not in ("username", "password")}],
    "page": {"listen": ["10.0.0.1", "10.0.0.2"]},
}


def test_a_configured_box_is_shown_and_nothing_is_changed_unasked() -> None:
    person = Person()
    assert person.talk(session.again(PRESENT)) == PRESENT
    assert person.heard_of("10.0.0.1, 10.0.0.2")
    assert person.heard_of("costs at most 2 s")
    with pytest.raises(wants.Stopped):
        Person(piece="q").talk(session.again(PRESENT))


def test_pieces_of_a_configured_box() -> None:
    person = Person(
        {wants.Measure: [FAULT, QUICK]}, piece=["x", "1", "5", "5", ""], box__id="gn-9", box__site="there"
    )
    made = person.talk(session.again(PRESENT))
    assert made["box"] == {**GOOD["box"], "site": "there"}
    assert made["storage"]["loss_window_s"] == 1.0
    assert person.heard_of("keeps its name")
    assert person.heard_of("INIT_MEASURE")
    several = {**PRESENT, "storage": {**PRESENT["storage"], "vault": ["/v", "/w"]}}
    person = Person({wants.Measure: QUICK}, piece=["5", "3", "4", ""], camera="3")
    assert person.talk(session.again(several))["storage"]["vault"] == ["/v", "/w"]
    assert next(want for want in person.wanted if isinstance(want, wants.Measure)).folder == "/v"


def follow(world: dict[type, Any], **tables: Any) -> tuple[Any, Person]:
    person = Person({**WORLD, **world})
    return person.talk(by_file.follow({**copy.deepcopy(GOOD), **tables})), person


def test_a_file_is_followed() -> None:
    made, person = follow({})
    assert made["storage"]["loss_window_s"] == 1.0
    assert not any(isinstance(want, wants.Ask) for want in person.wanted)
    made, person = follow({wants.Disks: (BLANK,)}, disk={"device": "/dev/sdb", "format": "WD-1"})
    assert wants.Format(BLANK, "WD-1") in person.wanted
    storage = {"recipients": list(KEYS), "loss_window_s": 0.5}
    made, _ = follow({}, storage=storage)
    assert made["storage"] == storage
    made, person = follow({wants.Measure: fit.Cost((2_000_000,), TB, TB)})
    assert made["storage"]["loss_window_s"] == 10.0
    made, _ = follow({wants.Disks: (SYSTEM,)}, disk={"system_disk": True})
    assert made["disk"] == {"system_disk": True}


@pytest.mark.parametrize(
    ("there", "disk", "code"),
    [
        ((SYSTEM, EMPTY), {"system_disk": True}, "INIT_DISK_NOT_ONLY"),
        ((SYSTEM,), {"device": "/dev/sdb"}, "INIT_DISK_UNKNOWN"),
        ((), {"device": "/dev/sdb"}, "INIT_DISK_UNKNOWN"),
        ((SYSTEM,), {"device": "/dev/sda", "format": "1"}, "INIT_DISK_SYSTEM"),
        ((BLANK,), {"device": "/dev/sdb"}, "INIT_DISK_FORMAT"),
    ],
)
def test_what_a_file_may_not_want(there: Any, disk: Any, code: str) -> None:
    with pytest.raises(StorageFault) as refused:
        follow({wants.Disks: there}, disk=disk)
    assert refused.value.code == code
    assert refused.value.hint


def with_passwords(**more: Any) -> list[dict[str, Any]]:
    """Three cameras: one with a factory password, one without a log-in, one with a password of its own."""
    camera = {**GOOD["camera"][0], "username": "root", "password": "root"}
    none = {key: what for key, what in camera.items() if key not in ("username", "password")}
    return [{**camera, **more}, {**none, "id": "cam02"}, {**camera, "id": "cam03", "password": PASSWORD}]


@pytest.mark.parametrize("waive", [{}, {"waive": []}])
def test_d12_a_factory_password_in_a_file_is_refused_before_anything_is_asked(waive: dict[str, Any]) -> None:
    person = Person(WORLD)
    cameras = [*with_passwords(**waive), {**with_passwords(waive=["factory-password"])[0], "id": "cam04"}]
    with pytest.raises(ConfigError) as refused:
        person.talk(by_file.follow({**copy.deepcopy(GOOD), "camera": cameras}))
    assert (refused.value.code, refused.value.context["cameras"]) == ("INIT_FACTORY_PASSWORD", "cam01")
    assert 'waive = ["factory-password"]' in refused.value.hint
    assert person.wanted == []


def test_d12_a_factory_password_that_a_file_puts_up_with_is_warned_of() -> None:
    made, person = follow({}, camera=with_passwords(waive=["factory-password"]))
    assert [each for each in person.heard if "factory" in each] == [
        "cam01: a factory password; change it in the camera."
    ]
    assert [each["id"] for each in made["camera"]] == ["cam01", "cam02", "cam03"]


def test_a_file_for_a_box_that_is_configured() -> None:
    from agent.field.setup.answers import config_tables

    present = config_tables(GOOD)
    present["storage"]["loss_window_s"] = 2.0
    by_file.unchanged(GOOD, present)
    with pytest.raises(ConfigError) as refused:
        by_file.unchanged({**GOOD, "box": {**GOOD["box"], "site": "there"}}, present)
    assert refused.value.context["found"] == "box"


def test_a_fault_is_told_with_what_to_do() -> None:
    assert interview.told(FAULT).text == "no why  [INIT_MEASURE]\nlook"
    assert interview.told(StorageFault("X", "no")).text == "no  [X]"
