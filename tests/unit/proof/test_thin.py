from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.storage.proof.thin import NEWEST, superfluous


@given(st.sets(st.integers(1, 10_000_000), max_size=300))
def test_few_stay_the_oldest_and_the_newest_among_them(sizes):
    gone = superfluous(sizes)
    stay = sorted(sizes - gone)
    assert gone <= sizes
    assert len(stay) <= NEWEST + 2 * 25
    assert stay[:1] == sorted(sizes)[:1]
    assert stay[-NEWEST:] == sorted(sizes)[-NEWEST:]


def test_every_age_is_covered_however_long_it_goes_on():
    kept: set[int] = set()
    for size in range(1, 20_000):
        kept.add(size)
        kept -= superfluous(kept)
    newest = max(kept)
    assert 1 in kept
    for power in range(6, 14):
        assert any(newest - (1 << power + 1) < size <= newest - (1 << power) for size in kept)
