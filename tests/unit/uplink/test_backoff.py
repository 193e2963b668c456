from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.uplink.backoff import MOST_S, SHORTS, TAKEN_OVER_FOR_S, TAKEN_OVER_LEAST_S, Backoff


def test_waits_grow_to_a_minute_and_are_spread():
    backoff = Backoff()
    assert [backoff.failed(1.0) for _ in range(8)] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert backoff.failed(0.0) == 1
    assert backoff.failed(0.5) == 30.5


def test_after_a_good_connection_it_begins_with_the_least():
    backoff = Backoff()
    for _ in range(5):
        backoff.failed(1.0)
    assert backoff.ended(3600, 0.0, 1.0, taken_over=False) == 1
    assert backoff.failed(1.0) == 2


def test_e8_who_was_thrown_out_waits_five_seconds_at_least_and_longer_each_time():
    """E8."""
    backoff = Backoff()
    waits = [backoff.ended(0.5, float(n), 0.5, taken_over=True) for n in range(6)]
    assert waits[0] >= TAKEN_OVER_LEAST_S
    assert waits == sorted(waits)
    assert waits[-1] <= MOST_S
    assert backoff.is_taken_over(5.0 + TAKEN_OVER_FOR_S - 1)
    assert not backoff.is_taken_over(5.0 + TAKEN_OVER_FOR_S)


def test_e8_a_broker_without_the_word_for_it_is_understood_too():
    """E8: MQTT 3.1.1 just ends the connection."""
    backoff = Backoff()
    for n in range(SHORTS - 1):
        assert backoff.ended(1.0, float(n), 0.0, taken_over=False) >= TAKEN_OVER_LEAST_S
        assert not backoff.is_taken_over(float(n))
    assert backoff.ended(1.0, 9.0, 0.0, taken_over=False) >= TAKEN_OVER_LEAST_S
    assert backoff.is_taken_over(9.0)


def test_a_broker_that_dies_again_and_again_is_no_second_client():
    backoff = Backoff()
    for n in range(10):
        backoff.ended(1.0, float(n), 0.0, taken_over=False)
        backoff.failed(0.0)
    assert not backoff.is_taken_over(10.0)


def test_a_long_connection_between_is_no_storm():
    backoff = Backoff()
    for n in range(10):
        backoff.ended(1.0 if n % 2 else 31.0, float(n), 0.0, taken_over=False)
    assert not backoff.is_taken_over(10.0)


@given(
    st.lists(st.tuples(st.sampled_from(["failed", "ended", "thrown"]), st.floats(0, 1), st.floats(0, 1e5)))
)
def test_no_wait_is_shorter_than_a_second_or_longer_than_a_minute(steps):
    backoff = Backoff()
    for what, chance, lived in steps:
        if what == "failed":
            wait = backoff.failed(chance)
        else:
            wait = backoff.ended(lived, 0.0, chance, taken_over=what == "thrown")
        assert 1 <= wait <= MOST_S
        assert what != "thrown" or wait >= TAKEN_OVER_LEAST_S
