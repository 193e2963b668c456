import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.command import counters
from agent.command.counters import MOST_OPEN, Counter, Take
from agent.command.offences import Offences

KID, OTHER = "0" * 16, "1" * 16
numbers = st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=30)


@given(numbers)
def test_e1_no_number_runs_twice(uses: list[tuple[int, bool]]) -> None:
    counter, ran = Counter(), set()
    for number, alone in uses:
        if counter.is_new(number) if alone else counter.is_unused(number):
            assert number not in ran
            ran.add(number)
            counter = counter.taken(number, ran=True)
        assert not any(map(counter.is_unused, ran))


@given(numbers, numbers)
def test_two_memories_together_know_what_either_knows(
    one: list[tuple[int, bool]], two: list[tuple[int, bool]]
) -> None:
    first, second = Counter(), Counter()
    for number, ran in one:
        first = first.taken(number, ran=ran)
    for number, ran in two:
        second = second.taken(number, ran=ran)
    both = first.joined(second)
    assert both == second.joined(first)
    for number in range(1, 32):
        assert both.is_unused(number) == (first.is_unused(number) and second.is_unused(number))


def test_e1_below_the_first_number_after_a_loss_nothing_is_open() -> None:
    found = counters.after({KID: Counter(3)}, [Take(KID, 5), Take(OTHER, 5, ran=False)], forgotten=True)
    assert found == {KID: Counter(5, (4,)), OTHER: Counter(5, (5,))}


def test_a_number_that_did_not_run_stays_open_for_a_second_signature() -> None:
    counter = Counter().taken(3, ran=False)
    assert counter == Counter(3, (1, 2, 3))
    assert not counter.is_new(3)
    assert counter.is_unused(3)
    assert counter.taken(3, ran=True) == Counter(3, (1, 2))


def test_a_jump_costs_no_more_than_it_may() -> None:
    far = Counter().taken((1 << 53) - 1, ran=False)
    assert len(far.open) == MOST_OPEN
    assert len(Counter(5).joined(far).open) == MOST_OPEN


def test_counters_are_written_and_read() -> None:
    found = counters.after({}, [Take(KID, 2), Take(OTHER, 1, ran=False), Take(KID, 3)])
    assert found == {KID: Counter(3, (1,)), OTHER: Counter(1, (1,))}
    assert counters.decode(counters.encode(found)) == (found, False)
    assert counters.decode(counters.encode({}, forgotten=True)) == ({}, True)
    assert counters.joined(found, {}) == found
    assert counters.joined({}, found) == found
    assert counters.joined(found, {KID: Counter(9)})[KID] == Counter(9)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"v": 2, "counters": {}},
        {"v": 1, "forgotten": 2, "counters": {}},
        {"v": 1, "forgotten": False, "counters": []},
        {"v": 1, "forgotten": False, "counters": {"x": {"mark": 1, "open": []}}},
        {"v": 1, "forgotten": False, "counters": {KID: 1}},
        {"v": 1, "forgotten": False, "counters": {KID: {"mark": 1}}},
        {"v": 1, "forgotten": False, "counters": {KID: {"mark": "1", "open": []}}},
        {"v": 1, "forgotten": False, "counters": {KID: {"mark": 1, "open": 1}}},
        {"v": 1, "forgotten": False, "counters": {KID: {"mark": 1, "open": [2]}}},
    ],
)
def test_anything_else_is_no_counters(wrong: object) -> None:
    with pytest.raises(ValueError, match="not"):
        counters.decode(wrong)


def test_safety_standard_5_6_five_bad_signatures_shut_a_key_for_ten_minutes() -> None:
    offences = Offences()
    assert [offences.note(KID, at) for at in (0.0, 1.0, 2.0, 3.0)] == [False] * 4
    assert not offences.is_shut(KID, 3.0)
    assert offences.note(KID, 4.0)
    assert offences.shut(4.0) == {KID}
    assert not offences.note(KID, 5.0)  # it does not become longer by more of them
    assert offences.is_shut(KID, 603.9)
    assert not offences.is_shut(KID, 604.0)
    assert offences.shut(604.0) == frozenset()
    assert not offences.is_shut(OTHER, 4.0)
    assert not any(offences.note(OTHER, at) for at in (0.0, 200.0, 400.0, 599.0, 600.0, 800.0, 1000.0))
