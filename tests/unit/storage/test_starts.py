"""A5: starts without an orderly stop, counted from the ledger."""

from __future__ import annotations

import pytest

from agent.model import Fact, Instant, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.starts import flapping
from tests.unit.storage.box import T0, Box


@pytest.fixture
def catalogue(tmp_path):
    box = Box(tmp_path / "box")
    catalogue = Catalogue.open(box.state)
    yield catalogue
    catalogue.close()


def tell(catalogue: Catalogue, kind: str, at_ms: int) -> Instant:
    now = Instant(T0 + at_ms, Trust.HOLDOVER)
    catalogue.add_fact(Fact(kind, now, {}))
    return now


def test_the_fifth_start_within_ten_minutes_is_told_and_each_after_it(catalogue) -> None:
    told = [flapping(catalogue, tell(catalogue, "box.started", number * 12_000)) for number in range(50)]
    assert told[:4] == [None] * 4
    assert [fact.body for fact in told[4:]] == [{"starts": n, "within_s": 600} for n in range(5, 51)]
    assert all(fact.kind == "box.flapping" for fact in told[4:])


def test_an_orderly_stop_between_them_counts_anew(catalogue) -> None:
    for number in range(4):
        tell(catalogue, "box.started", number)
    tell(catalogue, "box.stopped", 5)
    told = [flapping(catalogue, tell(catalogue, "box.started", 10 + number)) for number in range(5)]
    assert [fact and fact.body["starts"] for fact in told] == [None] * 4 + [5]


def test_starts_over_more_than_ten_minutes_are_no_flapping(catalogue) -> None:
    for number in range(20):
        assert flapping(catalogue, tell(catalogue, "box.started", number * 150_001)) is None


def test_a_clock_that_stepped_between_them_breaks_nothing(catalogue) -> None:
    for number in range(8):
        tell(catalogue, "box.started", number - 30 * 86_400_000)
    assert flapping(catalogue, tell(catalogue, "box.started", 0)) is None
