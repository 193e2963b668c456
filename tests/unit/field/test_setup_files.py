"""Answers of `pasu init`: what is wrong with them, what becomes of them, and how a configuration is amended."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.load import load_text
from agent.config.secrets import Login
from agent.field.setup import amend, answers
from agent.language import speaking
from tests.init_lab import ANSWERS, PASSWORD

GOOD = tomllib.loads(ANSWERS.replace("@DISK@", 'device = "/dev/sdb"'))
FILE = Path("/etc/pasu/agent.toml")


def wrong(**tables) -> list[str]:
    with speaking("en"):
        return [each.key for each in answers.problems({**copy.deepcopy(GOOD), **tables}, "a")]


def camera(**more) -> list[dict[str, object]]:
    return [{**GOOD["camera"][0], **more}]


def test_good_answers_become_a_good_configuration_without_a_password() -> None:
    assert wrong() == []
    text = answers.config_text(GOOD)
    config = load_text(text.encode(), FILE)
    assert (config.box.id, str(config.storage.vaults[0]), config.cameras[0].allow_basic_auth) == (
        "gn-0007",
        answers.VAULT,
        False,
    )
    assert PASSWORD not in text
    assert "/dev/sdb" not in text
    secrets = tomllib.loads(answers.secrets_text(GOOD))
    assert secrets == {"camera": {"cam01": {"username": "recorder", "password": PASSWORD}}}


def test_a_draft_is_what_was_answered_less_the_passwords() -> None:
    """D15."""
    draft = tomllib.loads(answers.draft_text(GOOD))
    assert PASSWORD not in str(draft)
    expected = copy.deepcopy(GOOD)
    del expected["camera"][0]["password"]
    assert draft == expected
    assert tomllib.loads(answers.draft_text({"box": GOOD["box"]})) == {"box": GOOD["box"]}


@pytest.mark.parametrize(
    ("tables", "keys"),
    [
        ({"disk": 3}, ["disk"]),
        ({"disk": {}}, ["disk"]),
        ({"disk": {"device": "/dev/sdb", "system_disk": True}}, ["disk"]),
        ({"disk": {"device": "/dev/sdb", "system_disk": False}}, []),
        ({"disk": {"device": ""}}, ["disk.device"]),
        ({"disk": {"device": "/dev/sdb", "format": 3}}, ["disk.format"]),
        ({"disk": {"system_disk": "yes"}}, ["disk.system_disk", "disk"]),
        ({"disk": {"device": "/dev/sdb", "colour": "blue"}}, ["disk.colour"]),
        ({"enrolment": {"request": "/root/r"}}, []),
        ({"enrolment": {"request": "/root/r", "bundle": "/root/b", "city": "0123 4567"}}, []),
        ({"enrolment": {"bundle": "/root/b"}}, ["enrolment.city"]),
        ({"enrolment": {"bundle": "/root/b", "city": 7}}, ["enrolment.city"]),
        ({"enrolment": [1]}, ["enrolment"]),
        ({"storage": {"vault": ["/a", "/b"]}}, ["storage.vault"]),
        ({"camera": camera(username="a:b")}, ["camera[1].username"]),
        ({"camera": camera(username="")}, ["camera[1].username"]),
        ({"camera": camera(password=7)}, ["camera[1].password"]),
        ({"camera": camera(password="")}, []),
        ({"camera": [{"id": "x", "password": "p"}]}, ["camera[1].username"]),
        ({"camera": camera(waive=["factory-password"])}, []),
        ({"camera": camera(waive=[])}, []),
        ({"camera": camera(waive="factory-password")}, ["camera[1].waive"]),
        ({"camera": camera(waive=["sound"])}, ["camera[1].waive"]),
        ({"camera": 7}, []),
        ({"camera": [7]}, []),
    ],
)
def test_what_is_wrong_is_named(tables, keys) -> None:
    assert wrong(**tables) == keys


def test_storage_that_is_no_table_is_left_to_the_check() -> None:
    assert answers.completed({"storage": 3}) == {"storage": 3}
    assert wrong(storage=3) == []


def test_what_cannot_be_read_stays_for_the_check() -> None:
    assert answers.config_tables({"camera": 7})["camera"] == 7
    assert answers.config_tables({"camera": [7, {"id": "a"}]})["camera"] == [7, {"id": "a"}]


VALUES = st.one_of(
    st.text(max_size=20),
    st.booleans(),
    st.integers(-1000, 1000),
    st.floats(0.2, 10),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 9), max_size=2),
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=4))
def test_whatever_is_written_is_read_again(values) -> None:
    written = answers.draft_text({"extra": values, "box": {"id": "a"}, "camera": [{"id": "c"}, {"id": "d"}]})
    read = tomllib.loads(written)
    assert read == {"extra": values, "box": {"id": "a"}, "camera": [{"id": "c"}, {"id": "d"}]}
    assert list(read)[:2] == ["box", "camera"]


def test_cameras_are_written_as_they_are_added() -> None:
    added = tomllib.loads(answers.camera_tables(camera(id="cam02")))
    assert added["camera"][0]["id"] == "cam02"
    assert "password" not in added["camera"][0]


def test_d12_what_was_waived_is_a_comment_beside_the_camera_and_no_key() -> None:
    remark = "[[camera]]\n# waived when it was added: factory-password\nid = "
    factory = camera(id="cam02", username="admin", password="admin", waive=["factory-password"])
    own = camera(id="cam03", waive=["factory-password"])
    both = {**GOOD, "camera": [*factory, *own]}
    for written in (answers.config_text(both), answers.camera_tables([*factory, *own])):
        assert written.count("waive") == 1
        assert remark + '"cam02"' in written
        assert all("waive" not in each for each in tomllib.loads(written)["camera"])


HAND = """# by hand
[box]  # the box
id = "gn-0007" # stays
site = "a # b"
contact = "c"

[storage]
# keys of the centre
recipients = [
  "one",  # in the safe
  "two",
]
loss_window_s = 1.0

[[camera]]
id = "cam01"
site = "not the box's"
"""


@pytest.mark.parametrize(
    ("wanted", "old", "new"),
    [
        (("box", "site", "x"), 'site = "a # b"\n', 'site = "x"\n'),
        (("box", "id", "y"), 'id = "gn-0007" # stays', 'id = "y"  # stays'),
        (("box", "contractor", "z"), "[box]  # the box\n", '[box]  # the box\ncontractor = "z"\n'),
        (("box", "contact", amend.GONE), 'contact = "c"\n', ""),
        (("box", "contractor", amend.GONE), "", ""),
        (("page", "port", amend.GONE), "", ""),
        (
            ("storage", "recipients", ["three"]),
            'recipients = [\n  "one",  # in the safe\n  "two",\n]\n',
            'recipients = ["three"]\n',
        ),
        (("storage", "loss_window_s", 2.0), "loss_window_s = 1.0", "loss_window_s = 2.0"),
    ],
)
def test_one_value_is_changed_and_nothing_else(wanted, old: str, new: str) -> None:
    assert old in HAND
    assert amend.amended(HAND, [wanted]) == HAND.replace(old, new, 1)


def test_a_table_comes_and_goes() -> None:
    more = amend.amended(HAND, [("page", "listen", "10.0.0.1"), ("page", "port", 8443)])
    assert tomllib.loads(more)["page"] == {"listen": "10.0.0.1", "port": 8443}
    less = amend.amended(more, [("page", "listen", amend.GONE), ("page", "port", amend.GONE)])
    assert "page" not in tomllib.loads(less)
    assert amend.amended("", [("page", "port", 1)]) == "\n[page]\nport = 1\n"
    assert amend.amended("a = 1", [("page", "port", 1)]) == "a = 1\n\n[page]\nport = 1\n"


def test_a_line_that_cannot_be_read_is_passed_over() -> None:
    assert amend.amended('[box]\nid = "never closed\n', [("box", "site", "x")]).startswith(
        '[box]\nsite = "x"\n'
    )


def test_what_differs() -> None:
    after = {**GOOD, "box": {**GOOD["box"], "site": "x"}, "uplink": {"broker": "b"}}
    before = {**GOOD, "page": {"listen": "10.0.0.1"}}
    assert amend.changes(before, after) == [
        ("box", "site", "x"),
        ("uplink", "broker", "b"),
        ("page", "listen", amend.GONE),
    ]


@given(st.text(max_size=30), st.sampled_from(["site", "contact", "contractor"]))
def test_any_text_comes_through(text: str, key: str) -> None:
    amended = tomllib.loads(amend.amended(HAND, [("box", key, text)]))
    assert amended == {**tomllib.loads(HAND), "box": {**tomllib.loads(HAND)["box"], key: text}}


CAMERAS = """[box]
id = "gn-0007"

# the gate, exchanged in 2024
[[camera]]
id = "cam01"  # never another
name = "gate"
url = "rtsp://10.0.0.11/main"
fps = 15

[[camera]]
# waived when it was added: basic-only
id = "cam02"
name = "door"
url = "rtsp://10.0.0.12/main"

# the tunnel's end
[tunnel]
interface = "pasu0"
"""
THERE = tomllib.loads(CAMERAS)["camera"]


def test_one_camera_is_changed_and_nothing_of_another_is_touched() -> None:
    new = [THERE[0], {**THERE[1], "name": "gate", "view": "the door"}]
    changed = amend.amended_cameras(CAMERAS, THERE, new)
    assert changed == CAMERAS.replace('name = "door"', 'name = "gate"').replace(
        "[[camera]]\n# waived", '[[camera]]\nview = "the door"\n# waived'
    )
    without = {key: what for key, what in THERE[0].items() if key != "fps"}
    assert amend.amended_cameras(CAMERAS, THERE, [without, THERE[1]]) == CAMERAS.replace("fps = 15\n", "")


def test_a_camera_goes_with_its_own_comments_alone() -> None:
    first = amend.amended_cameras(CAMERAS, THERE, [THERE[1]])
    assert (
        first == CAMERAS[: CAMERAS.index("\n# the gate")] + CAMERAS[CAMERAS.index("\n[[camera]]\n# waived") :]
    )
    second = amend.amended_cameras(CAMERAS, THERE, [THERE[0]])
    assert (
        second
        == CAMERAS[: CAMERAS.index("\n[[camera]]\n# waived")] + CAMERAS[CAMERAS.index("\n# the tunnel") :]
    )
    tight = 'a = 1\n# of a\n[[camera]]\nid = "x"\n[[camera]]\nid = "y"'
    there = tomllib.loads(tight)["camera"]
    assert amend.amended_cameras(tight, there, [there[1]]) == 'a = 1\n# of a\n[[camera]]\nid = "y"'
    assert amend.amended_cameras(tight, there, []) == "a = 1\n# of a\n"


WORDS = """# by hand
[camera.cam01]  # gate
username = "recorder"
password = "old"  # of 2024

[broker."10.0.0.5"]
username = "pasu"
password = "kept"
"""


def test_log_ins_are_changed_added_and_taken_out_and_others_stay_as_they_are_written() -> None:
    new = amend.amended_log_ins(WORDS, {"cam01": Login("recorder", "new"), "cam.2": Login("a", "b#")})
    assert new.startswith(WORDS.replace('"old"', '"new"'))
    assert tomllib.loads(new)["camera"]["cam.2"] == {"username": "a", "password": "b#"}
    wanted = {"cam01": Login("recorder", "new"), "cam.2": Login("a", "b#")}
    assert amend.secrets_wanted(WORDS, wanted) == tomllib.loads(new)
    assert amend.secrets_wanted(WORDS, {"cam01": None}) == {"broker": tomllib.loads(WORDS)["broker"]}
    assert "cam01" not in (less := amend.amended_log_ins(WORDS, {"cam01": None, "cam07": None}))
    assert tomllib.loads(less) == {"broker": {"10.0.0.5": {"username": "pasu", "password": "kept"}}}
    listed = "odd = [\n[[1]\n]]\n" + WORDS  # a line that looks like a heading and is none
    assert amend.amended_log_ins(listed, {"cam01": Login("recorder", "old")}) == listed
    other = 'camera = { cam01 = { username = "x", password = "y" } }\n'  # what cannot be amended is left, or spoiled
    assert amend.amended_log_ins(other, {"cam01": None}) == other


SOME = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=6)


@given(st.lists(st.tuples(SOME, SOME), min_size=1, max_size=4), st.data())
def test_any_change_of_any_cameras_reads_as_wanted(names: list[tuple[str, str]], data: st.DataObject) -> None:
    there = [{"id": f"cam{n}", "name": name, "view": view} for n, (name, view) in enumerate(names)]
    text = answers.HEAD + answers.camera_tables(there)
    wanted = [
        {**each, "name": data.draw(SOME)} if data.draw(st.booleans()) else each
        for each in there
        if data.draw(st.booleans())
    ]
    assert tomllib.loads(amend.amended_cameras(text, there, wanted)).get("camera", []) == wanted
