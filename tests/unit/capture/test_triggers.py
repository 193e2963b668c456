"""Which facts follow from what bells and sensors say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.capture.triggers import BURST, PAUSE_S, Tally, Trigger


def test_the_first_is_told_at_once_and_what_follows_together() -> None:
    tally = Tally()
    assert tally.next_s(0.0) is None
    tally.heard("bell01")
    assert tally.next_s(0.0) == 0.0
    assert tally.due(0.0) == [("bell01", 1)]
    for _ in range(999):
        tally.heard("bell01")
        assert tally.due(1.0) == []
    assert tally.next_s(1.0) == pytest.approx(PAUSE_S - 1.0)
    assert tally.due(PAUSE_S - 0.01) == []
    assert tally.due(PAUSE_S) == [("bell01", 999)]
    assert tally.next_s(PAUSE_S) is None
    tally.heard("bell01", 3)
    assert tally.due(5 * PAUSE_S) == [("bell01", 3)]


def test_all_together_have_a_bound_and_the_quiet_one_comes_first() -> None:
    tally = Tally()
    names = [f"sensor{number:02}" for number in range(BURST + 20)]
    for name in names:
        tally.heard(name)
    first = tally.due(0.0)
    assert [name for name, _ in first] == names[:BURST]
    assert tally.due(0.0) == []
    assert tally.next_s(0.0) == pytest.approx(1.0)
    later = 0.0
    while tally.due(later + 1.0):
        later += 1.0
    assert later == 20.0
    for name in names:
        tally.heard(name)
    tally.due(later + 1.0)  # what room there was is taken
    tally.heard("bell01")
    assert tally.due(later + 2.0) == [("bell01", 1)]


def test_a_clock_that_stands_gives_nothing_away() -> None:
    tally = Tally()
    for number in range(BURST):
        tally.heard(f"sensor{number}")
    assert len(tally.due(5.0)) == BURST
    tally.heard("bell01")
    assert tally.due(4.0) == []
    assert tally.due(5.0) == [("bell01", 1)]


def test_at_the_end_the_rest_is_told() -> None:
    tally = Tally()
    tally.heard("bell01")
    tally.due(0.0)
    tally.heard("bell01", 2)
    tally.heard("bell02")
    assert tally.rest() == [("bell01", 2), ("bell02", 1)]
    assert tally.rest() == []


def test_one_that_is_taken_out_is_told_to_its_end_and_forgotten() -> None:
    tally = Tally()
    tally.heard("bell01")
    tally.heard("bell02")
    tally.due(0.0)
    tally.heard("bell01")
    tally.forget(["bell03"])
    assert tally.due(1.0) == []
    tally.heard("bell02")
    assert tally.due(1.0) == [("bell02", 1)]  # it was forgotten, and is new
    assert tally.due(PAUSE_S) == [("bell01", 1)]


@given(
    st.lists(
        st.tuples(st.floats(0, 5, allow_nan=False), st.integers(0, 30), st.integers(1, 1000)), max_size=60
    )
)
def test_nothing_is_lost_and_no_bound_is_broken(steps: list[tuple[float, int, int]]) -> None:
    tally, now, heard, told = Tally(), 0.0, 0, 0
    times: dict[str, float] = {}
    facts: list[float] = []
    for pause, number, count in steps:
        now += pause
        tally.heard(f"bell{number}", count)
        heard += count
        for name, counted in tally.due(now):
            assert now - times.get(name, -PAUSE_S) >= PAUSE_S
            times[name] = now
            facts.append(now)
            told += counted
    assert told + sum(count for _, count in tally.rest()) == heard
    for place, begun in enumerate(facts):
        for later in range(place, len(facts)):
            assert later - place + 1 <= BURST + (facts[later] - begun) + 1e-6


def test_a_trigger_goes_over_the_socket_and_hides_its_log_in() -> None:
    full = Trigger(
        "bell01", "mqtt", ("10.0.0.5", 1883, "site/bell01"), b"on", ("cam01",), ("pasu", "s3cret-word")
    )
    bare = Trigger("door", "gpio", ("gpiochip0", 17, "falling"), None, ())
    for each in (full, bare):
        assert Trigger.from_json(each.to_json()) == each
    assert "s3cret-word" not in repr(full)
    assert full.to_fact(7) == {"trigger": "bell01", "count": 7, "source": "mqtt", "cameras": ["cam01"]}
