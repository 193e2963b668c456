"""Conditions: their registry, and since when they hold."""

from __future__ import annotations

import pytest

from agent.health import CONDITIONS, Change, Raised, Severity, Tracker, read_health, silent_s, write_health
from agent.model import Instant, Trust

ONE, TWO = Instant(1000, Trust.SYNCED), Instant(2000, Trust.HOLDOVER)


@pytest.mark.parametrize("code", CONDITIONS)
def test_every_condition_speaks_both_languages_and_says_what_to_do(code, monkeypatch):
    condition = CONDITIONS[code]
    texts = set()
    for locale in ("ko_KR.UTF-8", "C"):
        monkeypatch.setenv("LC_ALL", locale)
        texts |= {condition.what, condition.next}
    assert len(texts) == 4
    assert all(texts)
    assert any("가" <= letter <= "힣" for letter in condition.what_korean)
    assert condition.what_english.isascii()
    assert condition.next_english.isascii()


def test_a_condition_holds_since_it_came():
    tracker = Tracker()
    missing = Raised("vault.missing", "/a", "no file")
    assert tracker.update([missing], ONE) == [Change(missing, came=True)]
    again = Raised("vault.missing", "/a", "still")
    other = Raised("vault.missing", "/b")
    assert tracker.update([again, other], TWO) == [Change(other, came=True)]
    assert [
        (each["subject"], each["detail"], each["since_ms"], each["trust"]) for each in tracker.to_json()
    ] == [
        ("/a", "still", 1000, "SYNCED"),
        ("/b", "", 2000, "HOLDOVER"),
    ]
    assert tracker.update([other], TWO) == [Change(again, came=False)]
    assert tracker.update([], TWO) == [Change(other, came=False)]
    assert tracker.to_json() == []


def test_the_worst_comes_first():
    tracker = Tracker()
    tracker.update([Raised("hold.review_soon"), Raised("time.untrusted"), Raised("vault.failing")], ONE)
    assert [each["severity"] for each in tracker.to_json()] == [
        Severity.CRITICAL,
        Severity.ALARM,
        Severity.WARNING,
    ]


def test_what_was_written_is_read(tmp_path):
    assert read_health(tmp_path, "keep") is None
    write_health(tmp_path, "keep", {"process": "keep"})
    assert read_health(tmp_path, "keep") == {"process": "keep"}
    (tmp_path / "keep.json").write_text("[]")
    assert read_health(tmp_path, "keep") is None


@pytest.mark.parametrize(
    ("health", "silent"),
    [
        (None, None),
        ({}, None),
        ({"boot_ms": "1"}, None),
        ({"boot_ms": 99_000}, 1.0),
        ({"boot_ms": 100_001}, None),
    ],
)
def test_how_long_a_process_is_silent(health, silent):
    assert silent_s(health, 100.0) == silent
