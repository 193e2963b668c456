"""Times as people type and read them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.parser import UsageError
from agent.cli.times import (
    iso_utc,
    offsets,
    parse_span,
    parse_time,
    show_bare,
    show_length,
    show_span,
    show_time,
)
from agent.model import Span

KST = timezone(timedelta(hours=9))
NOW = 1_795_255_500_123  # 2026-11-21T10:05:00.123Z, 19:05 in Korea


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("now", "2026-11-21T10:05:00.123Z"),
        ("-10m", "2026-11-21T09:55:00.123Z"),
        ("-90s", "2026-11-21T10:03:30.123Z"),
        ("-2h", "2026-11-21T08:05:00.123Z"),
        ("-1d", "2026-11-20T10:05:00.123Z"),
        ("+2h", "2026-11-21T12:05:00.123Z"),
        ("+30d", "2026-12-21T10:05:00.123Z"),
        ("-999999d", "1970-01-01T00:00:00.000Z"),
        ("2026-11-21T10:00", "2026-11-21T01:00:00.000Z"),
        ("2026-11-21 10:00:30", "2026-11-21T01:00:30.000Z"),
        (" 2026-11-21T10:00:30.5 ", "2026-11-21T01:00:30.500Z"),
        ("2026-11-21", "2026-11-20T15:00:00.000Z"),
        ("2026-11-21T10:00Z", "2026-11-21T10:00:00.000Z"),
        ("2026-11-21T10:00+02:00", "2026-11-21T08:00:00.000Z"),
        ("10:00", "2026-11-21T01:00:00.000Z"),
        ("9:30:15", "2026-11-21T00:30:15.000Z"),
        ("19:05", "2026-11-21T10:05:00.000Z"),
        ("19:06", "2026-11-20T10:06:00.000Z"),  # not yet today: the last one that has passed
        ("23:59", "2026-11-20T14:59:00.000Z"),
    ],
)
def test_times_that_are_understood(text, shown):
    assert iso_utc(parse_time(text, NOW, KST)) == shown


def test_the_machines_own_zone(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    try:
        assert iso_utc(parse_time("2026-11-21T10:00", NOW, None)) == "2026-11-21T01:00:00.000Z"
        assert iso_utc(parse_time("10:00", NOW, None)) == "2026-11-21T01:00:00.000Z"
        assert show_time(NOW, None) == "2026-11-21 19:05:00+09:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    ["", "ten", "25:00", "10:60", "-10", "-m", "-5w", "10m", "2026-13-01", "2026-11-31", "1969-12-31T00:00Z", "9999-01-01",
     "0001-01-01", "9999-12-31T23:59:59-23:59", "2026-11-21T10:00+99:00", "10:00+09:00", "１０:００x", "10:00\n"],
)  # fmt: skip
def test_times_that_are_not(text):
    if text == "10:00\n":  # a shell's line end is no reason to refuse
        assert parse_time(text, NOW, KST) == parse_time("10:00", NOW, KST)
        return
    with pytest.raises(UsageError) as caught:
        parse_time(text, NOW, KST)
    assert caught.value.code == "TIME_UNREADABLE"
    assert caught.value.exit_code == 2


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_the_one_error(text):
    try:
        taken, code = parse_time(text, NOW, KST), ""
    except UsageError as error:
        taken, code = 0, error.code
    assert taken >= 0
    assert code in ("", "TIME_UNREADABLE")


@given(st.integers(min_value=0, max_value=200_000_000_000_000))
def test_what_is_written_for_programs_is_read_back(utc_ms):
    assert parse_time(iso_utc(utc_ms), NOW, KST) == utc_ms


def test_spans():
    assert parse_span("-10m", "now", NOW, UTC) == Span(NOW - 600_000, NOW)
    assert parse_span("23:00", "01:00", NOW, KST).length_ms == 2 * 3_600_000
    for start, end in (("now", "-10m"), ("now", "now")):
        with pytest.raises(UsageError) as caught:
            parse_span(start, end, NOW, KST)
        assert caught.value.code == "SPAN_EMPTY"
        assert "+09:00" in str(caught.value)


def test_zones_are_always_written():
    assert show_time(NOW, KST) == "2026-11-21 19:05:00+09:00"
    assert show_time(NOW, UTC) == "2026-11-21 10:05:00Z"


def test_spans_name_once_what_both_ends_share():
    assert show_span(NOW, NOW + 60_000, KST) == "2026-11-21 19:05:00 - 19:06:00 +09:00"
    assert show_span(NOW, NOW + 86_400_000, KST) == "2026-11-21 19:05:00 - 2026-11-22 19:05:00 +09:00"
    assert show_bare(NOW, KST) == "2026-11-21 19:05:00"
    assert show_bare(NOW + 60_000, KST, beside_ms=NOW) == "19:06:00"
    assert show_bare(NOW + 86_400_000, KST, beside_ms=NOW) == "2026-11-22 19:05:00"
    assert offsets([NOW, NOW + 1], KST) == {"+09:00"}


def test_a_span_over_a_change_of_the_zone_names_both():
    from zoneinfo import ZoneInfo

    berlin = ZoneInfo("Europe/Berlin")
    change = parse_time("2026-10-25T01:00Z", NOW, UTC)
    assert (
        show_span(change - 60_000, change, berlin) == "2026-10-25 02:59:00+02:00 - 2026-10-25 02:00:00+01:00"
    )
    assert offsets([change - 60_000, change], berlin) == {"+01:00", "+02:00"}


@pytest.mark.parametrize(
    ("length_ms", "shown"),
    [
        (0, "0.0 s"),
        (1234, "1.2 s"),
        (9_999, "10.0 s"),
        (10_000, "0:10"),
        (59_600, "1:00"),
        (61_000, "1:01"),
        (3_600_000, "1:00:00"),
        (90_061_000, "25:01:01"),
    ],
)
def test_lengths(length_ms, shown):
    assert show_length(length_ms) == shown
