"""When health goes, and what is left of it where nobody listens."""

from __future__ import annotations

import itertools
import json

import pytest

from agent.uplink.pulse import EVERY_S, HISTORY_S, Action, History, Pulse, grave
from tests.unit.uplink.samples import health


def actions(pulse: Pulse, times, made=health, *, up=True) -> list[float]:
    return [at for at in times if pulse.take(made(), at, up=up) is not Action.NOTHING]


def test_every_thirty_seconds():
    assert actions(Pulse(), range(121)) == [0, 30, 60, 90, 120]


def test_a_health_is_taken_at_the_moment_when_it_is_due():
    pulse = Pulse()
    assert pulse.within_s(0.0, 1.0) == 1.0
    pulse.take(health(), 0.0, up=True)
    assert [pulse.within_s(at, 1.0) for at in (0.0, 28.5, 29.5, 30.0, 31.0)] == [1.0, 1.0, 0.5, 1.0, 1.0]


def test_a_grave_change_goes_at_once_but_not_more_often_than_every_two_seconds():
    pulse = Pulse()
    pulse.take(health(), 0.0, up=True)
    bad = health(conditions=[("vault.missing", "/vault", 1)])
    assert pulse.take(bad, 1.0, up=True) is Action.NOTHING
    assert pulse.take(bad, 2.0, up=True) is Action.SEND
    assert pulse.take(bad, 5.0, up=True) is Action.NOTHING
    assert pulse.take(health(), 6.0, up=True) is Action.SEND
    assert pulse.take(health(), EVERY_S - 0.5, up=True) is Action.NOTHING
    assert pulse.take(health(), EVERY_S, up=True) is Action.SEND


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ({"conditions": [("vault.missing", "v", 1)]}, True),
        ({"conditions": [("unheard.of", "", 1)]}, True),
        ({"conditions": [("uplink.backlog", "", 1)]}, False),
        ({"trust": "UNTRUSTED"}, True),
        ({"trust": "HOLDOVER"}, False),
        ({"cameras": [(5, 0, 0)]}, True),
        ({"cameras": [(4, 10, 1)]}, False),
        ({"backlog": 99999, "challenge": "", "vaults": []}, False),
    ],
)
def test_what_is_grave(change, matters):
    assert bool(grave(health(**change))) == matters


def test_while_nobody_listens_one_in_five_minutes_is_kept_and_what_is_grave():
    pulse = Pulse()
    kept = actions(pulse, range(1200), up=False)
    assert kept == [0, HISTORY_S, 2 * HISTORY_S, 3 * HISTORY_S]
    bad = health(conditions=[("vault.missing", "/vault", 1)])
    assert pulse.take(bad, 1201, up=False) is Action.KEEP
    assert pulse.take(bad, 1202, up=False) is Action.NOTHING
    assert pulse.take(health(), 1203, up=False) is Action.KEEP


def test_when_somebody_listens_again_the_next_goes_at_once():
    pulse = Pulse()
    pulse.take(health(), 0.0, up=True)
    assert pulse.take(health(), 5.0, up=True) is Action.NOTHING
    pulse.connected()
    assert pulse.take(health(), 5.0, up=True) is Action.SEND


def test_the_past_says_that_it_is_past():
    history = History()
    line, thinned = history.add(health(3))
    assert not thinned
    (said,) = history.first(10)
    assert json.loads(said) == health(3, historical=True).to_json()
    assert json.loads(said)["historical"] is True
    assert "historical" not in health().to_json()
    assert json.loads(line)["grave"] is True  # the first is a change from nothing


def test_what_was_told_is_forgotten_and_the_rest_is_left():
    history = History()
    for n in range(5):
        history.add(health(n))
    assert len(history.drop(2)) == 3
    assert json.loads(history.first(1)[0])["n"] == 2
    assert len(history) == len(history.lines) == 3


def test_lines_from_before_are_taken_up_and_torn_ones_left_out():
    history = History()
    line, _ = history.add(health(7))
    other = History()
    other.load([line, "", "{", line[:-5], '"text"', "[1]", "{}", line])
    assert len(other) == 2


def test_a_month_without_a_line_stays_within_its_bytes_and_what_was_grave_stays():
    bad = {"conditions": [("vault.missing", "/vault", 1)]}
    history = History(most_bytes=60_000)
    thinned = 0
    for n in range(1000):
        more = bad if n == 100 else {}
        thinned += history.add(health(n, **more))[1]
        assert sum(len(line.encode()) + 1 for line in history.lines) <= 60_000
    assert thinned > 0
    numbers = [json.loads(line)["health"]["n"] for line in history.lines]
    assert numbers == sorted(numbers)
    assert {0, 100, 101} <= set(numbers)  # the beginning, and the two changes
    assert numbers[-1] > 950
    assert max(b - a for a, b in itertools.pairwise(numbers)) < 40


def test_when_all_is_grave_the_oldest_go():
    history = History(most_bytes=20_000)
    for n in range(200):
        state = {"conditions": [("vault.missing", "/vault", 1)]} if n % 2 else {}
        history.add(health(n, **state))
    numbers = [json.loads(line)["health"]["n"] for line in history.lines]
    assert numbers == list(range(200 - len(numbers), 200))
    assert len(numbers) > 5
    history.drop(len(numbers))
    assert history.add(health(201))[0]
    assert history.add(health(202))[0]
