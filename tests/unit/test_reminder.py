"""What a disk that was away knows of the time, beside what is believed: every case (I4, C7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent import trust
from agent.model import UTC_DAY_MS, Trust
from agent.reminder import BEHIND_MS, placed, remind
from agent.trust import ABSENT_MS, ALWAYS_MS, Doubt, Observation, Reason

T0 = 1_800_000_000_000
MET = Observation("b", 20_000, T0, kernel_synced=True)
FIRST, _ = trust.observe(None, MET)
NOW = T0 + 60_000


def after(known_ms: int, known_from_ms: int = T0):
    return remind(replace(FIRST, known_from_ms=known_from_ms), known_ms, NOW, 80_000)


def test_the_first_clock_that_is_met_is_where_memory_begins() -> None:
    assert (FIRST.state, FIRST.reason, FIRST.known_from_ms) == (Trust.SYNCED, Reason.FIRST_SYNC, T0)
    later, _ = trust.observe(FIRST, Observation("b", 30_000, T0 + 10_000, kernel_synced=True))
    assert later.known_from_ms == T0
    again, _ = trust.observe(later, Observation("c", 30_000, T0 + 90_000, kernel_synced=True))
    assert (again.reason, again.known_from_ms) == (Reason.BACK_SYNCED, T0)


@pytest.mark.parametrize(
    ("known_ms", "known_from_ms"),
    [(T0 - ABSENT_MS, ALWAYS_MS), (T0, ALWAYS_MS), (T0 + 1, T0), (NOW + BEHIND_MS, T0)],
)
def test_a_time_that_goes_on_continues_the_memory_or_tells_nothing(known_ms, known_from_ms) -> None:
    assert after(known_ms) == (replace(FIRST, known_from_ms=known_from_ms), [])


@pytest.mark.parametrize(
    ("known_ms", "reason"),
    [(T0 - ABSENT_MS - 1, Reason.ABSENT), (NOW + BEHIND_MS + 1, Reason.BACKWARD)],
)
def test_one_that_does_not_asks_for_two_words_as_if_it_had_been_known(known_ms, reason) -> None:
    belief, told = after(known_ms)
    assert (belief.state, belief.reason, belief.known_from_ms) == (Trust.UNTRUSTED, reason, ALWAYS_MS)
    assert [(fact.kind, fact.body) for fact in told] == [("clock.untrusted", {"reason": str(reason)})]
    seen = Observation("b", 90_000, T0 + 70_000, kernel_synced=True)
    alone, _ = trust.observe(belief, seen)
    assert (alone.state, alone.reason) == (Trust.UNTRUSTED, reason)
    word = trust.Word("kim", "b", 90_000, T0 + 70_000)
    both, _ = trust.observe(alone, replace(seen, confirmed=word))
    assert (both.state, both.known_from_ms) == (Trust.SYNCED, 0)
    assert remind(both, known_ms, NOW, 90_000) == (both, [])


def test_what_is_not_trusted_is_not_judged() -> None:
    doubted = replace(FIRST, state=Trust.UNTRUSTED)
    assert remind(doubted, T0 - 40 * UTC_DAY_MS, NOW, 80_000) == (doubted, [])


def test_memory_that_a_vault_vouches_for_is_asked_only_for_what_lies_ahead() -> None:
    assert after(T0 - 40 * UTC_DAY_MS, ALWAYS_MS)[1] == []
    assert after(T0 + UTC_DAY_MS, ALWAYS_MS)[0].reason is Reason.BACKWARD


def test_a_label_that_is_known_to_be_off_is_put_right() -> None:
    doubts = (Doubt("a", 0, 10_000, 5_000_000, 5_000_100), Doubt("b", 0, 10_000, 1_000_000, 9_000_000))
    belief = replace(FIRST, doubts=doubts)
    assert placed(belief, 1_010_000) == 9_010_000
    assert placed(belief, 1_010_001) == 1_010_001
    assert placed(belief, 5_000_000) == 5_000_000  # by less than matters
