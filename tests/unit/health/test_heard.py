"""The uplink's health file, which may be anything once that process is taken over (fault E7)."""

from __future__ import annotations

import json

import pytest

from agent.health import Raised, gather, heard, read_health, silences, write_health
from agent.health.heard import MOST, MOST_CONDITIONS, MOST_LETTERS, MOST_STREAMS, STEPS
from agent.model import Instant, Trust
from agent.uplink.ladder import Step
from agent.uplink.streams import MOST_RELAYS

NOW = Instant(5_000_000, Trust.SYNCED)
OWN = {
    "code": "uplink.offline", "severity": "alarm", "subject": "", "detail": "no route", "since_ms": 4_000_000,
    "trust": "SYNCED",
}  # fmt: skip
STREAM = {
    "camera": "cam01", "centre": "", "rank": 25, "flowing": True, "as": "main", "reason": "", "sent_bytes": 9,
    "left_out": 0, "sheds": 0,
}  # fmt: skip
SAID = {
    "process": "uplink", "version": "0.1.0", "box": "gn-0007", "pid": 77, "at_ms": 4_999_000, "trust": "SYNCED",
    "boot_ms": 99_000, "connected": False, "protocol": 0, "reason": "refused", "trouble": "", "backlog": 3,
    "certificate_days": None, "sent_bytes": 1, "received_bytes": 2, "dropped": {"flood": 1}, "streams": [STREAM],
    "conditions": [OWN],
}  # fmt: skip


def test_what_is_in_order_is_taken_as_it_is():
    assert heard.uplink(SAID) == SAID
    assert heard.uplink({}) == {}
    assert heard.uplink({"certificate_days": -3}) == {"certificate_days": -3}


def test_what_the_uplink_can_say_of_its_streams_can_be_heard():
    assert tuple(step.name.lower() for step in Step) == STEPS
    assert MOST_RELAYS == MOST_STREAMS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 1),
        ("pid", True),
        ("pid", -1),
        ("boot_ms", 10**400),
        ("boot_ms", float("inf")),
        ("at_ms", MOST + 1),
        ("connected", "yes"),
        ("protocol", "MQTT"),
        ("certificate_days", "9"),
        ("certificate_days", -(10**400)),
        ("dropped", []),
        ("dropped", {"a": "b"}),
        ("dropped", {str(n): n for n in range(MOST_CONDITIONS + 1)}),
        ("streams", {}),
        ("streams", [STREAM] * (MOST_STREAMS + 1)),
        ("streams", ["cam01"]),
        ("streams", [STREAM | {"as": "all"}]),
        ("streams", [STREAM | {"flowing": 1}]),
        ("streams", [STREAM | {"rank": -1}]),
        ("conditions", {}),
        ("conditions", [OWN] * (MOST_CONDITIONS + 1)),
        ("conditions", ["uplink.offline"]),
        ("conditions", [{}]),
        ("conditions", [OWN | {"code": []}]),
        ("conditions", [OWN | {"subject": None}]),
        ("conditions", [OWN | {"since_ms": "now"}]),
        ("conditions", [OWN | {"trust": "MINE"}]),
        ("conditions", [{name: OWN[name] for name in OWN if name != "detail"}]),
    ],
)
def test_e7_a_value_that_is_not_what_its_key_stands_for_is_no_word_at_all(tmp_path, key, value):
    """E7: whoever reads it stumbles over nothing; the uplink is taken for silent, and so told."""
    (tmp_path / "uplink").mkdir()
    write_health(tmp_path, "uplink", SAID | {key: value})
    said = read_health(tmp_path, "uplink")
    assert said is None
    assert [each["code"] for each in gather({"uplink": said}, 1000.0, NOW)] == ["process.silent"]


def test_e7_it_speaks_of_itself_alone():
    """E7: no disk fails and nobody is silent because a process that talks to the outside says so."""
    lies = [OWN | {"code": code} for code in ("vault.failing", "process.silent", "camera.refused", "made.up")]
    said = heard.uplink(
        SAID | {"conditions": [*lies, OWN | {"severity": "critical"}], "cameras": {}, "vaults": 1}
    )
    assert said == SAID


def test_e7_what_it_says_does_nothing_to_a_terminal():
    """E7: control codes become question marks, and what is endless is cut."""
    bad = "\x1b]0;all is well\x07\u202e\n"
    said = heard.uplink(SAID | {"reason": bad, "conditions": [OWN | {"detail": bad + "x" * 9999}]})
    assert said is not None
    assert said["reason"] == "?]0;all is well???"
    assert said["conditions"][0]["detail"] == "?]0;all is well???" + "x" * (MOST_LETTERS - 18)


def test_e7_its_file_lies_apart_and_the_others_cannot_be_said_from_there(tmp_path):
    """E7: <run>/uplink/record.json is nobody's, and <run>/uplink.json is not the uplink's."""
    (tmp_path / "uplink").mkdir()
    write_health(tmp_path, "uplink", SAID)
    assert [path.name for path in tmp_path.iterdir()] == ["uplink"]
    for name in ("record", "keep"):
        (tmp_path / "uplink" / f"{name}.json").write_text(json.dumps({"boot_ms": 999_000}))
        assert read_health(tmp_path, name) is None
    (tmp_path / "uplink.json").write_text("{}")
    assert read_health(tmp_path, "uplink") == SAID
    (tmp_path / "uplink" / "uplink.json").unlink()
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "uplink" / "uplink.json").symlink_to(tmp_path / "elsewhere.json")
    assert read_health(tmp_path, "uplink") is None


def test_a_time_that_is_none_is_no_word():
    """A number that no float holds stopped the parent of `pasu run`, which reads all of these files."""
    for boot_ms in (10**400, -(10**400), -1):
        assert silences({"keep": {"boot_ms": boot_ms}}, 1000.0) == [
            Raised("process.silent", "keep", "1000 s")
        ]


def test_the_pages_word_is_taken_with_the_same_care():
    said = {
        "process": "page",
        "pid": 7,
        "serving": {"10.0.0.1:8443": 1},
        "fingerprint": "AB",
        "visitors": 1,
        "locked": False,
    }
    assert heard.page(said) == said
    assert heard.page(said | {"conditions": [OWN], "vaults": []}) == said
    for wrong in ({"locked": "no"}, {"visitors": -1}, {"serving": [1]}, {"fingerprint": 7}):
        assert heard.page(said | wrong) is None


@pytest.mark.parametrize("process", ["record", "keep", "uplink", "page"])
def test_every_user_of_the_box_may_read_health_whatever_the_umask(tmp_path, process):
    """The page has a user of its own."""
    import os

    (tmp_path / "uplink").mkdir()
    (tmp_path / "page").mkdir()
    before = os.umask(0o077)
    try:
        write_health(tmp_path, process, {"process": process})
    finally:
        os.umask(before)
    (file,) = tmp_path.rglob("*.json")
    assert file.stat().st_mode & 0o777 == 0o644
    assert read_health(tmp_path, process) == {"process": process}
