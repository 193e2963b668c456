"""Hours of the week, in Korean time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from agent.config import hours
from agent.config.hours import Hours, begun_ms, day_begun_ms, parse

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
