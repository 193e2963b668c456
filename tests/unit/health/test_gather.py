"""All processes of a box together, and those that say nothing any more."""

from __future__ import annotations

import pytest

from agent.health import Raised, Tracker, gather, silences, silent_s
from agent.model import Instant, Trust

NOW = Instant(5_000_000, Trust.SYNCED)


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


def test_h3_a_process_that_is_silent_is_told_within_a_minute():
    healths = {"record": {"boot_ms": 944_000}, "keep": {"boot_ms": 946_000}, "uplink": None}
    assert silences(healths, 1000.0) == [
        Raised("process.silent", "record", "56 s"),
        Raised("process.silent", "uplink", "1000 s"),
    ]
    assert silences(healths, 1000.0, since_s=945.0) == []


def said(at_ms, *raised, **more):
    tracker = Tracker()
    tracker.update(raised, Instant(at_ms, Trust.SYNCED), 0.0)
    return {"boot_ms": 1_000_000, "at_ms": at_ms, "conditions": tracker.to_json(), **more}


def test_the_conditions_of_all_are_put_together_the_worst_and_oldest_first():
    healths = {
        "record": said(2000, Raised("camera.refused", "cam01"), Raised("process.silent", "keep", "61 s")),
        "keep": said(1000, Raised("vault.failing", "/b"), Raised("hold.review_due", "h1"), boot_ms=1000),
        "uplink": said(500, Raised("uplink.taken_over"), Raised("process.silent", "keep", "60 s")),
        "other": {"conditions": [{"code": "from.the.future"}]},
    }
    found = gather(healths, 1000.0, NOW, since_s=950.0, also=[Raised("uplink.not_enrolled")])
    assert [(each["code"], each["subject"], each["since_ms"]) for each in found] == [
        ("vault.failing", "/b", 1000),
        ("camera.refused", "cam01", 2000),
        ("process.silent", "keep", 2000),
        ("uplink.taken_over", "", 500),
        ("hold.review_due", "h1", 1000),
        ("uplink.not_enrolled", "", NOW.utc_ms),
    ]


def test_silence_began_when_the_process_spoke_last():
    healths = {"keep": said(4000, boot_ms=100_000), "record": said(4000, boot_ms=2_000_000)}
    assert [(each["subject"], each["since_ms"]) for each in gather(healths, 1000.0, NOW)] == [
        ("record", NOW.utc_ms - 1_000_000),  # in an earlier boot: silent in all of this one
        ("keep", NOW.utc_ms - 900_000),
    ]


def test_who_never_spoke_is_silent_for_longer_at_each_look():
    for boot_s in (100.0, 1000.0, 50_000.0):
        (each,) = gather({"record": None}, boot_s, NOW)
        assert (each["since_ms"], each["detail"]) == (NOW.utc_ms - boot_s * 1000, f"{boot_s:.0f} s")
    (each,) = gather({"record": None}, 1000.0, NOW, since_s=900.0)
    assert each["since_ms"] == NOW.utc_ms - 100_000
