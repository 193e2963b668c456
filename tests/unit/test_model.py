"""Values: spans, canonical JSON, times in names, far beyond 2038."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Span, canonical_json, parse_utc_name, uncovered, utc_day, utc_name

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


def test_spans_are_half_open() -> None:
    assert Span(0, 10).overlaps(Span(9, 20))
    assert not Span(0, 10).overlaps(Span(10, 20))
    assert Span(5, 12).length_ms == 7
    with pytest.raises(ValueError, match="ends before"):
        Span(2, 1)


@given(st.integers(-62_135_596_800_000, LAST_MS))
def test_names_agree_with_the_calendar(utc_ms: int) -> None:
    moment = EPOCH + timedelta(milliseconds=utc_ms)
    assert utc_name(utc_ms) == f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z".rjust(20, "0")
    assert utc_day(utc_ms) == f"{moment.year:04d}-{moment:%m-%d}"
    assert parse_utc_name(utc_name(utc_ms)) == utc_ms


@pytest.mark.parametrize(
    "name",
    [
        "",
        "20261121T101500.123",
        "20261121T101500.123Zx",
        "20261321T101500.123Z",
        "20260230T101500.123Z",
        "20261121T246000.123Z",
        "2026112１T101500.123Z",
        "2026112xT101500.123Z",
        "20261121t101500.123Z",
    ],
)
def test_what_is_no_time_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a segment time"):
        parse_utc_name(name)


def test_canonical_json_is_as_rfc_8785_asks() -> None:
    # Section 3.2.3: keys by UTF-16 code units, so U+1F600 comes before U+FB33.
    value = {"\ufb33": 1, "\U0001f600": 2, "b": [True, None, "\u00e9\n\u20ac"], "a": {"y": (1, 2), "x": -5}}
    expected = '{"a":{"x":-5,"y":[1,2]},"b":[true,null,"\u00e9\\n\u20ac"],"\U0001f600":2,"\ufb33":1}'
    assert canonical_json(value) == expected


@pytest.mark.parametrize("value", [1.5, [float("nan")], {"a": {"b": 0.0}}, {1: "a"}])
def test_what_the_ledger_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_holes_are_what_nothing_covers() -> None:
    span = Span(1000, 9000)
    assert uncovered([], span, 100) == [span]
    assert uncovered([Span(0, 3000), Span(3050, 5000), Span(6000, 20_000)], span, 100) == [Span(5000, 6000)]
    assert uncovered([Span(8950, 9000), Span(2000, 3000)], span, 100) == [Span(1000, 2000), Span(3000, 8950)]
    assert uncovered([Span(0, 100), Span(9500, 9900)], span, 100) == [span]


spans = st.tuples(st.integers(-50, 150), st.integers(0, 60)).map(
    lambda pair: Span(pair[0], pair[0] + pair[1])
)


@given(st.lists(spans, max_size=8))
def test_uncovered_is_exactly_what_nothing_covers(covered):
    span = Span(0, 100)
    left = uncovered(covered, span)
    missing = {ms for part in left for ms in range(part.start_ms, part.end_ms)}
    assert missing == {
        ms for ms in range(100) if not any(part.start_ms <= ms < part.end_ms for part in covered)
    }
    assert all(part.length_ms for part in left)
    assert all(one.end_ms < other.start_ms for one, other in pairwise(left))
