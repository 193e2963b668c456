"""When cameras may rest, as an update writes it down before it begins: the same as their hours say, for ever after."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.hours import WEEK_MS, Hours, Week, parse
from agent.field.updating import plan
from agent.field.updating.plan import Journal, Package, Phase
from agent.field.updating.stage import when_they_rest

AT_MS = 1_790_000_000_000
NEW = Package("1.1.0", "amd64", "1" * 64, "KID", 5)
DAYS = st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days)))
TIMES = st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda times: times[0] != times[1])
HOURS = st.lists(st.builds(lambda days, times: Hours(days, *times), DAYS, TIMES), min_size=1, max_size=4)


@dataclass(frozen=True)
class Camera:
    id: str
    hours: tuple[Hours, ...] = ()


def journal(at_ms, *cameras):
    names = tuple(camera.id for camera in cameras)
    return Journal(
        "0" * 16, Phase.WATCH, NEW, None, "1.0.0", "kim", at_ms, names, True, (), "/state", "/run", (),
        rests=when_they_rest(cameras, at_ms),
    )  # fmt: skip


@given(hours=HOURS, at_ms=st.integers(0, 4 * WEEK_MS), later_ms=st.integers(-9 * WEEK_MS, 9 * WEEK_MS))
def test_j3_a_camera_may_rest_just_where_its_hours_are_off(hours, at_ms, later_ms):
    """J3."""
    found = journal(AT_MS + at_ms, Camera("cam01"), Camera("cam02", tuple(hours)))
    found = plan.parse(plan.encode(found))
    utc_ms = AT_MS + at_ms + later_ms
    assert found.may_rest("cam02", utc_ms) is not Week(hours).stretch(utc_ms).on
    assert not found.may_rest("cam01", utc_ms)
    assert not found.may_rest("cam03", utc_ms)


def test_j3_as_many_hours_as_a_file_may_have_are_all_written_down():
    """J3: a part that was left out would send a good version back."""
    many = tuple(
        parse(f"{hour:02}:{minute:02}-{hour:02}:{minute + 1:02}") for hour in range(24) for minute in (1, 31)
    )
    found, week = journal(AT_MS, Camera("cam01", many)), Week(many)
    for at_ms in range(AT_MS, AT_MS + WEEK_MS, 60_000):
        assert found.may_rest("cam01", at_ms) is not week.stretch(at_ms).on


@pytest.mark.parametrize("words", [("mon-sun 00:00-24:00",), ("00:00-12:00", "12:00-00:00")])
def test_hours_that_are_all_of_the_week_have_no_rest(words):
    assert when_they_rest([Camera("cam01", tuple(map(parse, words)))], AT_MS) == ()
