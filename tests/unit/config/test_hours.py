"""Hours of the week, in Korean time."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import hours
from agent.config.hours import (
    ALWAYS,
    DAYS,
    WEEK_MS,
    Hours,
    Week,
    begun_ms,
    day_begun_ms,
    lessens,
    parse,
    rests,
)
from agent.model import Span

KOREA = timezone(timedelta(hours=9))


def at(day: int, hour: int, minute: int = 0) -> int:
    """Return a moment of the week that begins on Monday, 2 November 2026; UTC ms."""
    return int(datetime(2026, 11, 1 + day, hour, minute, tzinfo=KOREA).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mon-fri 08:00-20:00", Hours((0, 1, 2, 3, 4), 480, 1200)),
        ("sat,sun 00:00-24:00", Hours((5, 6), 0, 1440)),
        ("fri-mon 22:00-06:00", Hours((0, 4, 5, 6), 1320, 360)),
        ("mon,wed-thu 09:30-09:31", Hours((0, 2, 3), 570, 571)),
        ("08:00-20:00", Hours((0, 1, 2, 3, 4, 5, 6), 480, 1200)),
        ("mon-mon 08:00-20:00", Hours((0,), 480, 1200)),
    ],
)
def test_hours_as_they_are_written(text: str, found: Hours) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "mon", "mon 8:00-20:00", "mon-fri 08:00", "mon-fri 08:00-08:00", "mon 24:00-06:00", "mon 08:00-24:01",
        "mon 08:60-09:00", "mon 08:00-09:60", "xyz 08:00-09:00", "mon-fri-sat 08:00-09:00", "mon, 08:00-09:00",
        "mon  08:00-09:00", "MON 08:00-09:00", "mon 08:00-20:00\n", "mon ０8:00-20:00", "mon 08:00-25:00",
    ],
)  # fmt: skip
def test_what_is_no_hours(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_a_moment_lies_in_hours_from_their_begin_to_before_their_end() -> None:
    work = parse("mon-fri 08:00-20:00")
    assert work.begun_ms(at(1, 8)) == at(1, 8)
    assert work.begun_ms(at(1, 8) - 1) is None
    assert work.begun_ms(at(5, 20) - 1) == at(5, 8)
    assert work.begun_ms(at(5, 20)) is None
    assert work.begun_ms(at(6, 12)) is None


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    night = parse("fri 22:00-06:00")
    assert night.begun_ms(at(5, 23)) == night.begun_ms(at(6, 5, 59)) == at(5, 22)
    assert night.begun_ms(at(6, 6)) is None
    assert night.begun_ms(at(5, 5)) is None


def test_a_whole_day_and_the_last_hours_that_began() -> None:
    day = parse("sun 00:00-24:00")
    assert day.begun_ms(at(7, 0)) == day.begun_ms(at(8, 0) - 1) == at(7, 0)
    assert day.begun_ms(at(8, 0)) is None
    both = [parse("08:00-20:00"), parse("12:00-13:00")]
    assert begun_ms(both, at(3, 12, 30)) == at(3, 12)
    assert begun_ms(both, at(3, 13)) == at(3, 8)
    assert begun_ms(both, at(3, 21)) is None


def test_a_day_is_koreas() -> None:
    assert day_begun_ms(at(3, 0)) == day_begun_ms(at(3, 23, 59)) == at(3, 0)
    assert hours.KOREA_MS == 9 * 3_600_000


@st.composite
def some_hours(draw: st.DrawFn) -> Hours:
    begin, end = draw(st.integers(0, 1439)), draw(st.integers(0, 1440))
    days = draw(st.sets(st.integers(0, 6), min_size=1))
    return Hours(tuple(sorted(days)), begin, (begin + 1) % 1441 if begin == end else end)


@given(some_hours())
def test_hours_are_written_as_they_are_read(each: Hours) -> None:
    assert parse(str(each)) == each


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("fri,mon,tue 08:00-20:00", "mon-tue,fri 08:00-20:00"),
        ("mon-sun 00:00-24:00", "00:00-24:00"),
        ("sun-mon 22:00-06:00", "mon,sun 22:00-06:00"),
        ("sat 06:05-07:00", "sat 06:05-07:00"),
    ],
)
def test_the_same_hours_are_always_written_alike(text: str, written: str) -> None:
    assert str(parse(text)) == written


@given(st.lists(some_hours(), min_size=1, max_size=6), st.integers(0, 4_000_000_000_000))
def test_a_stretch_has_one_answer_and_another_one_at_its_ends(several: list[Hours], at_ms: int) -> None:
    """The other way to know is each hours' own: whether a moment lies in any of them."""
    found = Week(several).stretch(at_ms)
    assert found.from_ms <= at_ms < found.until_ms
    assert found.on == (begun_ms(several, at_ms) is not None)
    if found == ALWAYS:
        assert all(begun_ms(several, at_ms + step) is not None for step in range(0, WEEK_MS, 60_000))
        return
    assert found.until_ms - found.from_ms <= WEEK_MS
    for at in (found.from_ms, (found.from_ms + found.until_ms) // 2, found.until_ms - 1):
        assert (begun_ms(several, at) is not None) == found.on
    for at in (found.from_ms - 1, found.until_ms):
        assert (begun_ms(several, at) is not None) != found.on


@given(st.lists(some_hours(), min_size=1, max_size=4), st.integers(0, 1 << 42), st.integers(0, 5 * WEEK_MS))
def test_a_span_is_cut_at_the_turns_and_nothing_of_it_is_left_out(
    several: list[Hours], start_ms: int, length_ms: int
) -> None:
    span = Span(start_ms, start_ms + length_ms)
    parts = Week(several).stretches(span, 1 << 20)
    assert sum(part.until_ms - part.from_ms for part in parts) == length_ms
    assert [part.from_ms for part in parts[1:]] == [part.until_ms for part in parts[:-1]]
    assert all(before.on != after.on for before, after in itertools.pairwise(parts))
    assert rests(several, span, 1 << 20) == [Span(*part[1:]) for part in parts if not part.on]


def test_a_span_of_years_costs_no_more_than_one_of_weeks() -> None:
    """Of what is behind the last turn that is looked at nothing is said to be a rest."""
    noon = [parse("12:00-13:00")]
    span = Span(0, 3000 * WEEK_MS)
    assert len(Week(noon).stretches(span, 9)) == 9
    assert Week(noon).stretches(span, 9)[-1].until_ms == span.end_ms
    assert len(rests(noon, span)) == 32
    assert rests(noon, span)[-1].end_ms < 5 * WEEK_MS
    assert rests([], span) == []


@pytest.mark.parametrize(
    ("before", "after", "less"),
    [
        ([], [], False),
        (["08:00-20:00"], [], False),
        ([], ["08:00-20:00"], True),
        ([], ["08:00-20:00", "20:00-08:00"], False),
        (["mon-fri 08:00-20:00"], ["08:00-20:00"], False),
        (["mon-fri 08:00-20:00"], ["mon-fri 08:01-20:00"], True),
        (["mon 08:00-20:00"], ["tue 08:00-20:00"], True),
        (["sun 22:00-06:00"], ["mon 00:00-06:00", "sun 22:00-24:00"], False),
    ],
)
def test_less_is_recorded_where_any_minute_is_left_out(
    before: list[str], after: list[str], less: bool
) -> None:
    assert lessens(map(parse, before), map(parse, after)) is less


def test_the_days_begin_with_monday() -> None:
    assert DAYS[0] == "mon"


@given(st.lists(some_hours(), min_size=1, max_size=4), st.integers(0, 1 << 41), st.integers(0, 3 * WEEK_MS))
def test_how_much_of_a_span_they_are(several: list[Hours], start_ms: int, length_ms: int) -> None:
    week, span = Week(several), Span(start_ms, start_ms + length_ms)
    assert week.on_within_ms(span) == length_ms - sum(
        rest.length_ms for rest in rests(several, span, 1 << 20)
    )
    assert week.on_ms == week.on_within_ms(Span(start_ms, start_ms + WEEK_MS))


def test_hours_that_together_are_always_are_the_whole_week() -> None:
    week = hours.Week([hours.parse("08:00-20:00"), hours.parse("20:00-08:00")])
    assert week.on_ms == hours.WEEK_MS
    assert week.on_within_ms(Span(7, 12 + 3 * hours.WEEK_MS)) == 3 * hours.WEEK_MS + 5
