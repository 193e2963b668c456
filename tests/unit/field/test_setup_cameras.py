"""Cameras in the interview of `pasu init`: tried before they are accepted, changed, removed; no camera and no network."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from agent.config.secrets import Login, Secrets
from agent.field.setup import answers as answers_
from agent.field.setup import by_file, camera_talk, session, trial
from agent.field.setup import requests as wants
from agent.language import speaking
from agent.onvif.model import LogIn, Stream
from tests.init_lab import KEYS, PASSWORD
from tests.unit.field.test_setup_talk import CAMERA, GOOD, PRESENT, WORLD, Person

URL = "rtsp://10.0.0.11/main"
SHOWN = Stream(URL, codec="h265", width=1920, height=1080, fps=15.0, shown=True, log_in=LogIn.GOOD)
REFUSED = Stream(URL, fault="auth_failed", log_in=LogIn.REFUSED)
SILENT = Stream(URL, fault="timeout")
NO_VIDEO = Stream(URL, fault="no_video")
KNOWN: dict[str, Any] = {**PRESENT["camera"][0], "url": URL, "username": "recorder", "password": PASSWORD}


def answering(*streams: Stream) -> dict[type, Any]:
    return {wants.Try: [(stream,) for stream in streams]}


def trials(person: Person) -> list[wants.Trial]:
    return [each for want in person.wanted if isinstance(want, wants.Try) for each in want.trials]


@pytest.mark.parametrize(
    ("stream", "good", "log_in", "words"),
    [
        (SHOWN, True, False, "it shows video: H265, 1920x1080, 15 pictures a second"),
        (Stream(URL, codec="h264", shown=True, log_in=LogIn.OPEN), True, False, "without a log-in"),
        (REFUSED, False, True, "it refuses user or password\ncheck them"),
        (Stream(URL, fault="auth_missing", log_in=LogIn.NEEDED), False, True, "it wants a log-in"),
        (Stream(URL, fault="auth_missing", log_in=LogIn.BASIC), False, True, "in clear (Basic)"),
        (SILENT, False, False, "it does not answer"),
        (NO_VIDEO, False, False, "no video"),
        (Stream(URL, fault="malformed_sdp"), False, False, "oddly (malformed_sdp)"),
    ],
)
def test_what_a_trial_means(stream: Stream, good: bool, log_in: bool, words: str) -> None:
    with speaking("en"):
        verdict = trial.judge(stream)
    assert (verdict.good, verdict.log_in) == (good, log_in)
    assert words in verdict.text
    with speaking("ko"):
        assert words not in trial.judge(stream).text


def test_every_fault_is_in_two_languages_with_what_to_do() -> None:
    for what_korean, what_english, next_korean, next_english in (*trial.FAULTS.values(), trial.ODD):
        assert all((what_korean, what_english, next_korean, next_english))
        assert what_english.isascii()
        assert next_english.isascii()
        assert not what_korean.isascii()


def test_a_camera_is_tried_with_its_log_in_before_it_is_accepted() -> None:
    person = Person(answering(SHOWN), **CAMERA)
    made = person.talk(camera_talk.cameras({}, {}))["camera"]
    assert trials(person) == [wants.Trial(URL, Login("recorder", PASSWORD))]
    assert made[0]["password"] == PASSWORD
    assert person.heard_of("it shows video")
    assert not any(each.key == "camera.trial" for each in person.asked)
    assert PASSWORD not in repr(person.wanted)


def test_a_wrong_password_is_typed_again_and_sent_only_when_that_was_chosen() -> None:
    said = {**CAMERA, "camera__password": ["Wrong-1", PASSWORD], "camera__trial": ["x", "1"]}
    said["camera__username"] = ["recorder", ""]
    person = Person(answering(REFUSED, SHOWN), **said)
    made = person.talk(camera_talk.cameras({}, {}))["camera"]
    assert [each.login for each in trials(person)] == [
        Login("recorder", "Wrong-1"),
        Login("recorder", PASSWORD),
    ]
    assert made[0]["password"] == PASSWORD
    assert person.heard_of("a number of the list")
    assert not person.heard_of("Wrong-1")


def test_the_password_that_was_typed_is_kept_by_enter() -> None:
    said = {**CAMERA, "camera__username": ["recordr", "recorder", ""], "camera__trial": ["1", "1"]}
    said |= {"camera__password": [PASSWORD, PASSWORD, ""]}
    person = Person(answering(REFUSED, REFUSED, SHOWN), **said)
    assert person.talk(camera_talk.cameras({}, {}))["camera"][0]["password"] == PASSWORD
    assert len(trials(person)) == 3
    asked = [each.explain for each in person.asked if each.key == "camera.password"]
    assert [("was refused just now" in explain) for explain in asked] == [False, False, True]


@pytest.mark.parametrize("typed", ["", "-"])
def test_enter_at_the_address_adds_no_camera(typed: str) -> None:
    person = Person(answering(SHOWN), camera=["2", "3"], camera__url=typed)
    made = person.talk(camera_talk.cameras(box_of(KNOWN), {}))["camera"]
    assert [each["id"] for each in made] == [KNOWN["id"]]
    assert trials(person) == []


def test_an_address_that_does_not_answer_is_typed_again_and_the_password_goes_to_no_other_host_unasked() -> (
    None
):
    said = {
        **CAMERA,
        "camera__url": [URL, "rtsp://10.0.0.11/second", "rtsp://10.0.0.12/second"],
        "camera__password": [PASSWORD, PASSWORD],
        "camera__username": ["recorder", ""],
        "camera__trial": ["1", "1"],
    }
    person = Person(answering(SILENT, NO_VIDEO, SHOWN), **said)
    made = person.talk(camera_talk.cameras({}, {}))["camera"]
    assert made[0]["url"] == "rtsp://10.0.0.12/second"
    assert [each.url for each in trials(person)] == said["camera__url"]
    # the same host: nothing asked; another: the log-in comes again, and Enter does not keep the password
    asked = [each for each in person.asked if each.key == "camera.password"]
    assert len(asked) == 2
    assert "keeps" not in asked[1].explain
    assert "is not sent there" in asked[1].explain


def test_a_camera_is_kept_as_it_is_or_left_out() -> None:
    kept = Person(answering(SILENT), **CAMERA, camera__trial="2").talk(camera_talk.cameras({}, {}))
    assert kept["camera"][0]["url"] == URL
    said = {**CAMERA, "camera": ["2", "2", "3"], "camera__url": [URL, "rtsp://10.0.0.13/main"]}
    said |= {"camera__name": ["gate", "door"], "camera__purpose": ["1", "1"], "camera__username": ["-", "-"]}
    person = Person(answering(SILENT, SHOWN), **said, camera__trial="3")
    made = person.talk(camera_talk.cameras({}, {}))["camera"]
    assert [each["name"] for each in made] == ["door"]


def test_what_cannot_be_tried_is_taken_as_it_is() -> None:
    said = {**CAMERA, "camera__url": "http://10.0.0.11/ts"}
    person = Person({wants.Try: None}, **said)
    assert person.talk(camera_talk.cameras({}, {}))["camera"][0]["username"] == "recorder"
    assert trials(person) == []
    assert trial.place("v4l2:/dev/video0") == ("", 0)
    assert trial.place(URL) == ("10.0.0.11", 554)


def test_a_file_is_told_what_its_cameras_show_and_goes_on() -> None:
    cameras = [
        GOOD["camera"][0],
        {**GOOD["camera"][0], "id": "cam02"},
        {**KNOWN, "id": "c3", "url": "file:/x"},
    ]
    person = Person({**WORLD, wants.Try: (REFUSED, SHOWN)})
    made = person.talk(by_file.follow({**copy.deepcopy(GOOD), "camera": cameras}))
    assert made["camera"] == cameras
    assert person.heard_of("cam01: it refuses user or password")
    assert person.heard_of("cam02: it shows video")
    assert person.heard_of("Asking 2 cameras")
    assert not person.heard_of(PASSWORD)
    person = Person(WORLD)
    person.talk(by_file.follow({**copy.deepcopy(GOOD), "camera": [{**KNOWN, "url": "file:/x"}]}))
    assert not trials(person)


def box_of(*cameras: dict[str, Any]) -> dict[str, Any]:
    return {**PRESENT, "camera": list(cameras)}


OTHER = {**KNOWN, "id": "cam02", "name": "door", "url": "rtsp://10.0.0.12/main"}


def test_a_camera_of_a_configured_box_gets_another_address_name_and_log_in() -> None:
    old = {**KNOWN, "sub_url": "rtsp://10.0.0.11/sub", "view": "the gate"}
    person = Person(
        answering(SHOWN),
        piece=["4", ""],
        camera=["4", "3"],
        camera__which=["x", "9", "cam01"],
        camera__url="rtsp://10.0.0.21/main",
        camera__name="new gate",
        camera__username="viewer",
        camera__password="Other-Word-19",
    )
    made = person.talk(session.again(box_of(old, OTHER)))
    assert made["camera"][1] == OTHER
    assert made["camera"][0] == {
        **old,
        "url": "rtsp://10.0.0.21/main",
        "sub_url": "rtsp://10.0.0.21/sub",
        "name": "new gate",
        "username": "viewer",
        "password": "Other-Word-19",
    }
    assert person.heard_of("there is no such camera")
    assert trials(person) == [wants.Trial("rtsp://10.0.0.21/main", Login("viewer", "Other-Word-19"), True)]


@pytest.mark.parametrize(
    ("before", "typed", "after"),
    [({}, "the gate", "the gate"), ({"view": "x"}, "-", None), ({"view": "x"}, "", "x"), ({}, "", None)],
)
def test_what_a_camera_looks_at_is_said_later(before: dict[str, str], typed: str, after: str | None) -> None:
    person = Person(
        answering(SHOWN), piece=["4", ""], camera=["4", "3"], camera__which="1", camera__view=typed
    )
    made = person.talk(session.again(box_of({**KNOWN, **before})))["camera"][0]
    assert made.get("view") == after


def test_enter_changes_nothing_and_sends_the_password_that_is_known() -> None:
    person = Person(answering(SHOWN), piece=["4", ""], camera=["4", "3"], camera__which="1")
    before = box_of({**KNOWN, "sub_url": "rtsp://10.0.0.99/sub"}, OTHER)
    assert person.talk(session.again(before)) == before
    assert trials(person)[0].login == Login("recorder", PASSWORD)
    person = Person(piece=["4", ""], camera=["4", "5", "3"], camera__which=["", ""])
    assert person.talk(session.again(before)) == before


def test_a_known_password_is_not_sent_to_another_host() -> None:
    person = Person(
        answering(SHOWN),
        piece=["4", ""],
        camera=["4", "3"],
        camera__which="1",
        camera__url="rtsp://10.0.0.66/a",
    )
    made = person.talk(session.again(box_of(KNOWN)))
    assert trials(person)[0].login == Login("recorder", "")
    assert made["camera"][0]["password"] == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"url": "http://10.0.0.1/ts"}, {"url": "http://10.9.9.9/ts"}),
        ({"url": "https://10.0.0.1/ts"}, {"url": "https://10.0.0.1:8443/ts"}),
        ({"url": "https://10.0.0.1/ts"}, {"url": "http://10.0.0.1/ts"}),
        ({"url": "rtsps://10.0.0.1/a"}, {"url": "rtsp://10.0.0.1:322/a"}),
        ({"url": "v4l2:/dev/video0"}, {"url": "http://10.9.9.9/ts"}),
        ({"url": URL, "sub_url": "rtsp://10.0.0.11/sub"}, {"sub_url": "rtsp://10.9.9.9/sub"}),
        ({"url": URL, "sub_url": "http://10.0.0.11/sub"}, {"sub_url": "http://10.9.9.9/sub"}),
    ],
)
def test_a_known_password_goes_elsewhere_by_no_stream_and_by_no_scheme(
    old: dict[str, str], new: dict[str, str]
) -> None:
    said = {f"camera__{key}": what for key, what in new.items()}
    person = Person(answering(SHOWN), piece=["4", ""], camera=["4", "3"], camera__which="1", **said)
    made = person.talk(session.again(box_of({**KNOWN, **old})))["camera"][0]
    assert {key: made[key] for key in new} == new
    (asked,) = [each for each in person.asked if each.key == "camera.password"]
    assert "is not sent there" in asked.explain
    assert made["password"] == ""
    assert PASSWORD not in repr([each.login and each.login.password for each in trials(person)])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"url": "http://10.0.0.1/ts"}, {"url": "http://10.0.0.1:80/other"}),
        ({"url": URL, "sub_url": "rtsp://10.0.0.11/sub"}, {"sub_url": "-"}),
        ({"url": URL, "sub_url": "rtsp://10.0.0.12/sub"}, {"url": "rtsp://10.0.0.12/main"}),
    ],
)
def test_where_a_password_is_offered_already_enter_keeps_it(old: dict[str, str], new: dict[str, str]) -> None:
    said = {f"camera__{key}": what for key, what in new.items()}
    person = Person(answering(SHOWN), piece=["4", ""], camera=["4", "3"], camera__which="1", **said)
    assert person.talk(session.again(box_of({**KNOWN, **old})))["camera"][0]["password"] == PASSWORD


def test_an_address_typed_again_sends_no_known_password_elsewhere_while_a_second_stream_stays() -> None:
    """The first stream goes back to where the log-in was typed for; the second one was never anywhere else."""
    person = Person(
        answering(NO_VIDEO, NO_VIDEO, SHOWN),
        camera=["4", "3"],
        camera__which="1",
        camera__url=[URL, "rtsp://10.0.0.12/main", "rtsp://10.0.0.66/main"],
        camera__trial=["1", "1"],
        camera__password=["", "Typed-Anew-3"],
    )
    before = {**KNOWN, "sub_url": "rtsp://10.0.0.12/sub"}
    made = person.talk(camera_talk.cameras(box_of(before), {}, ["cam01"]))["camera"][0]
    assert [each.login for each in trials(person)] == [
        Login("recorder", PASSWORD),
        Login("recorder", PASSWORD),
        Login("recorder", "Typed-Anew-3"),
    ]
    assert made["url"] == "rtsp://10.0.0.66/main"


def test_a_change_that_does_not_work_may_be_dropped() -> None:
    rates = {"cam01": 512}
    person = Person(
        answering(SILENT),
        camera=["4", "3"],
        camera__which="1",
        camera__url="rtsp://10.0.0.11/b",
        camera__trial="3",
    )
    before = box_of(KNOWN)
    assert person.talk(camera_talk.cameras(before, rates, ["cam01"])) == before
    assert rates == {"cam01": 512}
    person = Person(answering(SHOWN), camera=["4", "3"], camera__which="1", camera__url="rtsp://10.0.0.11/b")
    person.talk(camera_talk.cameras(before, rates, ["cam01"]))
    assert rates == {}


def test_a_camera_that_gets_its_first_log_in_sends_it_hashed_and_one_may_lose_its_log_in_and_second_stream() -> (
    None
):
    """D15."""
    open_ = {
        key: what for key, what in KNOWN.items() if key not in ("username", "password", "allow_basic_auth")
    }
    person = Person(
        answering(SHOWN),
        camera=["4", "3"],
        camera__which="1",
        camera__username="recorder",
        camera__password=PASSWORD,
    )
    made = person.talk(camera_talk.cameras(box_of(open_), {}, ["cam01"]))["camera"][0]
    assert made["allow_basic_auth"] is False
    assert trials(person)[0].basic is False
    person = Person(
        answering(SHOWN), camera=["4", "3"], camera__which="1", camera__username="-", camera__sub_url="-"
    )
    with_sub = {**KNOWN, "sub_url": "rtsp://10.0.0.11/sub"}
    made = person.talk(camera_talk.cameras(box_of(with_sub), {}, ["cam01"]))["camera"][0]
    assert {"username", "password", "sub_url"}.isdisjoint(made)


def test_a_device_has_no_host_that_its_second_stream_could_move_to() -> None:
    person = Person(camera=["4", "3"], camera__which="1", camera__url="v4l2:/dev/video0")
    with_sub = {**KNOWN, "sub_url": "rtsp://10.0.0.11/sub"}
    made = person.talk(camera_talk.cameras(box_of(with_sub), {}, ["cam01"]))["camera"][0]
    assert made["sub_url"] == with_sub["sub_url"]


def test_a_camera_is_removed_and_what_becomes_of_its_recordings_is_said() -> None:
    person = Person(
        piece=["4", ""],
        camera=["5", "5", "3"],
        camera__which=["cam01", "cam01"],
        camera__remove=["no", "yes"],
    )
    made = person.talk(session.again(box_of({**KNOWN, "retention_days": 15}, OTHER)))
    assert made["camera"] == [OTHER]
    assert person.heard_of("not erased now: it goes by itself after the box's 30 days")
    assert person.heard_of("The 15 days of this camera alone go")
    person = Person(camera=["5", "3"], camera__which="2", camera__remove="y")
    person.talk(camera_talk.cameras(box_of(KNOWN, OTHER), {}, ["cam01", "cam02"]))
    assert not person.heard_of("of this camera alone")


def test_the_id_of_a_removed_camera_is_given_to_no_other() -> None:
    said = {**CAMERA, "camera": ["5", "2", "3"], "camera__which": "1", "camera__remove": "yes"}
    person = Person(answering(SHOWN), **said, camera__id=["cam01", ""])
    made = person.talk(camera_talk.cameras(box_of(KNOWN, OTHER), {}, ["cam01", "cam02"]))["camera"]
    assert [each["id"] for each in made] == ["cam02", "cam03"]
    assert person.heard_of("that id is taken")


def test_the_last_camera_may_go_and_another_has_to_come() -> None:
    said = {**CAMERA, "camera": ["5", "3", "5", "4", "2", "3"], "camera__which": "1", "camera__remove": "yes"}
    person = Person(answering(SHOWN), **said)
    made = person.talk(camera_talk.cameras({"camera": [KNOWN]}, {}))["camera"]
    assert [each["name"] for each in made] == ["gate"]
    assert not person.heard_of("is not recorded any more")  # of a box that never was configured


def test_what_could_not_be_used_is_gone_on_with() -> None:
    before = box_of(KNOWN, OTHER)
    wanted = {**before, "box": {**before["box"], "site": "there"}}
    assert Person().talk(session.again(before, wanted)) == wanted


def test_the_passwords_of_a_draft_are_tried() -> None:
    draft = {**PRESENT, "storage": {**PRESENT["storage"], "recipients": list(KEYS)}, "disk": {"device": "/d"}}
    draft = {**draft, "camera": [{key: what for key, what in KNOWN.items() if key != "password"}]}
    person = Person(answering(REFUSED), camera__password="Wrong-1")
    made = person.talk(session.first(copy.deepcopy(draft)))
    assert made["camera"][0]["password"] == "Wrong-1"
    assert person.heard_of("cam01: it refuses user or password")


def test_the_question_says_where_a_password_will_go_and_no_log_in() -> None:
    draft = {"camera": [{"id": "cam01", "username": "u", "url": "https://me:Secret-1@10.0.0.9/x?y=a@b"}]}
    asked = next(session._passwords(draft))
    assert isinstance(asked, wants.Ask)
    assert "https://10.0.0.9/x?y=a@b" in asked.title
    assert "Secret-1" not in asked.title


def test_a_folder_of_the_state_that_is_not_the_usual_one_is_shown() -> None:
    assert "/srv/state" not in str(session.overview(PRESENT).rows)
    tables = {**PRESENT, "storage": {**PRESENT["storage"], "state": "/srv/state"}}
    assert "/srv/state" in str(session.overview(tables).rows)


def test_log_ins_and_tables() -> None:
    secrets = Secrets({"cam01": Login("recorder", PASSWORD), "cam09": Login("x", "y")})
    plain = PRESENT["camera"][0]
    tables = answers_.with_log_ins(box_of(plain, {**plain, "id": "cam02"}), secrets)
    assert tables["camera"][0]["password"] == PASSWORD
    assert "username" not in tables["camera"][1]
    assert answers_.log_ins(tables) == {"cam01": Login("recorder", PASSWORD)}
    after = {**tables, "camera": [tables["camera"][1], {**KNOWN, "id": "cam03"}]}
    written = answers_.cameras_as_written(tables, after)
    assert [each["id"] for each in written] == ["cam02", "cam03"]
    assert written[0] == {**plain, "id": "cam02"}
    assert written[1]["allow_basic_auth"] is False
    assert "password" not in written[1]
