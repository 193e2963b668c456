"""Which conditions are shown, since when."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.health import CONDITIONS, Change, Raised, Severity, Tracker
from agent.model import Instant, Trust

ONE, TWO = Instant(1000, Trust.SYNCED), Instant(2000, Trust.HOLDOVER)
UNREACHABLE = Raised("camera.unreachable", "cam01", "camera_unreachable")
FLOOR = Raised("camera.below_floor", "cam01")  # shown after a while; hidden while its camera is unreachable
WHILE_S = CONDITIONS["camera.below_floor"].visible_s


def shown(tracker):
    return [(each["code"], each["subject"]) for each in tracker.to_json()]


def test_a_condition_holds_since_it_came():
    tracker = Tracker()
    missing = Raised("vault.missing", "/a", "no file")
    assert tracker.update([missing], ONE, 0.0) == [Change(missing, came=True)]
    again = Raised("vault.missing", "/a", "still")
    other = Raised("vault.missing", "/b")
    assert tracker.update([again, other], TWO, 1.0) == [Change(other, came=True)]
    assert [
        (each["subject"], each["detail"], each["since_ms"], each["trust"]) for each in tracker.to_json()
    ] == [
        ("/a", "still", 1000, "SYNCED"),
        ("/b", "", 2000, "HOLDOVER"),
    ]
    assert tracker.update([other], TWO, 2.0) == [Change(again, came=False)]
    assert tracker.update([], TWO, 3.0) == [Change(other, came=False)]
    assert tracker.to_json() == []


def test_the_worst_comes_first():
    tracker = Tracker()
    tracker.update([Raised("hold.review_soon"), Raised("time.untrusted"), Raised("vault.failing")], ONE, 0.0)
    assert [each["severity"] for each in tracker.to_json()] == [
        Severity.CRITICAL,
        Severity.ALARM,
        Severity.WARNING,
    ]


def test_what_passes_soon_is_never_shown():
    tracker = Tracker()
    assert WHILE_S > 0
    assert tracker.update([FLOOR], ONE, 0.0) == []
    assert tracker.update([FLOOR], TWO, WHILE_S - 0.1) == []
    assert tracker.update([], TWO, WHILE_S) == []
    assert tracker.update([FLOOR], TWO, 100.0) == []
    assert tracker.update([FLOOR], TWO, 100.0 + WHILE_S) == [Change(FLOOR, came=True)]
    assert tracker.to_json()[0]["since_ms"] == TWO.utc_ms


def test_what_comes_of_another_is_hidden_while_that_holds():
    tracker = Tracker()
    tracker.update([FLOOR], ONE, 0.0)
    assert tracker.update([FLOOR], ONE, WHILE_S) == [Change(FLOOR, came=True)]
    changes = tracker.update([FLOOR, UNREACHABLE], ONE, WHILE_S + 1.0)
    assert changes == [
        Change(FLOOR, came=False, hidden_by="camera.unreachable"),
        Change(UNREACHABLE, came=True),
    ]
    assert shown(tracker) == [("camera.unreachable", "cam01")]
    assert tracker.hidden() == [
        {"code": "camera.below_floor", "subject": "cam01", "hidden_by": "camera.unreachable"}
    ]
    assert tracker.update([FLOOR], ONE, WHILE_S + 2.0) == [
        Change(UNREACHABLE, came=False),
        Change(FLOOR, came=True),
    ]
    assert tracker.hidden() == []


def test_another_cameras_trouble_hides_nothing_and_the_boxs_own_does():
    tracker = Tracker()
    tracker.update([Raised("camera.frozen", "cam02"), UNREACHABLE], ONE, 0.0)
    assert ("camera.frozen", "cam02") in shown(tracker)
    busy, hot = Raised("box.throttled", "cpu0"), Raised("box.hot")
    tracker.update([busy, hot], ONE, 0.0)
    tracker.update([busy, hot], ONE, 60.0)
    assert shown(tracker) == [("box.hot", "")]


CODES = sorted(code for code, each in CONDITIONS.items() if each.depends_on)
CODES += sorted({cause for code in CODES for cause in CONDITIONS[code].depends_on} - set(CODES))
HOLDING = st.sets(st.tuples(st.sampled_from(CODES), st.sampled_from(["", "one", "two"])), max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(HOLDING, st.integers(0, 200)), max_size=30))
def test_nothing_is_shown_too_early_and_nothing_is_hidden_for_nothing(story):
    """Whatever holds for its time is shown, or leads to something that is."""
    tracker, since, mono = Tracker(), {}, 0.0
    seen = set()
    for holding, passed_s in story:
        mono += passed_s
        since = {key: since.get(key, mono) for key in holding}
        changes = tracker.update([Raised(*key) for key in sorted(holding)], ONE, mono)
        for change in changes:
            key = (change.raised.code, change.raised.subject)
            assert change.came == (key not in seen), "a change is one"
            seen ^= {key}
        assert set(shown(tracker)) == seen
        assert seen <= holding
        ripe = {key for key in holding if mono - since[key] >= CONDITIONS[key[0]].visible_s}
        assert seen <= ripe
        hidden_by = {(each["code"], each["subject"]): each["hidden_by"] for each in tracker.hidden()}
        assert not seen & set(hidden_by)
        for key in ripe - seen:
            while key not in seen:
                cause, subject = hidden_by[key], key[1]
                key = (cause, subject) if (cause, subject) in ripe else (cause, "")
                assert key in ripe
