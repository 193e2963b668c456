"""What keeper and uplink tell each other of live streams."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agent import grants
from agent.grants import MOST_CAMERAS, MOST_GRANTS, Grant, Most, Report, Stage, Unreadable

NAME = "0123456789abcdef" * 2
GRANT = Grant(NAME, "cam01", "8d1f0c52-0b7a-4d8e-9a51-2f1f0c9f6a10", 900_000, has_sub=True)
REPORT = Report(NAME, Stage.FLOWING, flowed=True, reason="", sent_bytes=12, left_out=3)


def test_what_is_written_is_read() -> None:
    assert grants.parse_grant(grants.encode_grant(GRANT)) == GRANT
    more = replace(GRANT, centre="disaster-office", rank=3, before_s=30, most=Most.SUB)
    assert grants.parse_grant(grants.encode_grant(more)) == more
    for stage in Stage:
        report = replace(REPORT, stage=stage, reason="timeout")
        assert grants.parse_report(grants.encode_report(report)) == report


def test_f12_a_grant_ends_by_the_clock_of_its_boot_and_in_no_other() -> None:
    assert GRANT.is_open(GRANT.boot, 899_999)
    assert not GRANT.is_open(GRANT.boot, 900_000)
    assert not GRANT.is_open("8d1f0c52", 0)


@pytest.mark.parametrize(
    ("member", "wrong"),
    [
        ("v", 2),
        ("grant", "../" + NAME),
        ("grant", NAME + "\n"),
        ("grant", 7),
        ("camera", "../cam01"),
        ("camera", ""),
        ("boot", "x y"),
        ("until_boot_ms", -1),
        ("until_boot_ms", True),
        ("until_boot_ms", 1 << 60),
        ("until_boot_ms", 1.5),
        ("has_sub", 1),
        ("centre", "../x"),
        ("centre", None),
        ("rank", -1),
        ("rank", 100),
        ("before_s", 31),
        ("before_s", 0.5),
        ("most", "keyframes"),
        ("most", ["main"]),
    ],
)
def test_a_grant_that_is_none(member: str, wrong: Any) -> None:
    body = json.loads(grants.encode_grant(GRANT)) | {member: wrong}
    with pytest.raises(Unreadable):
        grants.parse_grant(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("member", "wrong"),
    [
        ("stage", "done"),
        ("flowed", 0),
        ("reason", "가"),
        ("reason", "x" * 81),
        ("sent_bytes", -1),
        ("left_out", None),
    ],
)
def test_a_report_that_is_none(member: str, wrong: Any) -> None:
    body = json.loads(grants.encode_report(REPORT)) | {member: wrong}
    with pytest.raises(Unreadable):
        grants.parse_report(json.dumps(body).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 3000, b" " * 5000])
def test_what_is_no_message_of_ours(data: bytes) -> None:
    for parse in (grants.parse_grant, grants.parse_report):
        with pytest.raises(Unreadable):
            parse(data)


def test_members_that_nobody_knows_and_such_that_are_missing() -> None:
    body = json.loads(grants.encode_grant(GRANT))
    with pytest.raises(Unreadable):
        grants.parse_grant(json.dumps(body | {"more": 1}).encode())
    del body["boot"]
    with pytest.raises(Unreadable):
        grants.parse_grant(json.dumps(body).encode())


def test_f11_only_so_many() -> None:
    """F11: a hundred grants."""
    cameras = [f"cam{number}" for number in range(MOST_CAMERAS)]
    assert grants.may_be_added(cameras[1:], "other")
    assert grants.may_be_added(cameras, "cam0")
    assert not grants.may_be_added(cameras, "other")
    assert not grants.may_be_added(["cam0"] * MOST_GRANTS, "cam0")
