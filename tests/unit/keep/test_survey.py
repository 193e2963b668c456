"""The survey offers the oldest that nobody holds, and touches few rows. Rows: B2, B19, K6."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.config.hours import begun_ms, day_begun_ms, parse
from agent.model import UTC_DAY_MS, Instant, Trust
from agent.storage.keep import survey
from agent.storage.keep.outlook import Outlook
from agent.storage.keep.retention import Marks, Room, VaultView, View
from agent.storage.keep.rollover import Rules
from agent.storage.keep.stock import HOUR_MS, Stock
from agent.storage.keep.stored import HELD
from agent.storage.keep.survey import Unseen, between, condemned, held_spans, odd_row, oldest, room, unsettled
from tests.unit.keep.rows import VAULT, catalogue, hold, plant, release

T0 = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
MONTH = 30 * UTC_DAY_MS


@pytest.fixture
def made(tmp_path):
    opened = catalogue(tmp_path / "state", VAULT, "vault-2")
    yield opened
    opened.close()


def ids(made, camera="cam1", vault=VAULT, **more):
    shelf = oldest(made, vault, camera, held_spans(made), **{"limit": 100, **more})
    return [each.id for each in shelf.candidates]


def test_oldest_first_and_what_lies_behind_is_told(made):
    two, one = plant(made, "cam1", T0 + MINUTE), plant(made, "cam1", T0)
    assert ids(made) == [one, two]
    shelf = oldest(made, VAULT, "cam1", {}, limit=1)
    assert ([each.id for each in shelf.candidates], shelf.more) == ([one], True)
    assert not oldest(made, VAULT, "cam1", {}, limit=2).more


def test_until_bounds_by_where_retention_begins(made):
    one = plant(made, "cam1", T0)
    plant(made, "cam1", T0 + 1)
    assert ids(made, until_ms=T0 + 1) == [one]


def test_other_cameras_other_vaults_and_other_states_are_not_offered(made):
    plant(made, "cam2", T0)
    plant(made, "cam1", T0, vault="vault-2")
    for minute, state in enumerate(("CONDEMNED", "GONE", "LOST"), 1):
        plant(made, "cam1", T0 + minute * MINUTE, state=state)
    plant(made, "cam1", T0 + 9 * MINUTE, kept_from_ms=None)
    assert ids(made) == []
    assert unsettled(made) == 1


@pytest.mark.parametrize("cameras", [["cam1"], ["*"]])
def test_what_a_hold_covers_by_a_millisecond_is_not_offered_until_it_is_released(made, cameras):
    segments = [plant(made, "cam1", T0 + number * MINUTE) for number in range(5)]
    hold(made, "h1", cameras, T0 + 2 * MINUTE - 1, T0 + 3 * MINUTE + 1)
    assert ids(made) == [segments[0], segments[4]]
    release(made, "h1", T0)
    assert ids(made) == segments


def test_a_leap_over_a_hold_does_not_pass_over_what_began_its_retention_late(made):
    """Settled late: its start is far from where its retention begins, which lies in a held span."""
    late = plant(made, "cam1", T0 - 50 * UTC_DAY_MS, kept_from_ms=T0 + MINUTE)
    plant(made, "cam1", T0 + MINUTE)
    after = plant(made, "cam1", T0 + 9 * MINUTE)
    hold(made, "h1", ["cam1"], T0, T0 + 5 * MINUTE)
    assert ids(made) == [late, after]


def test_b19_odd_rows_are_passed_over_and_found(made):
    """B19: rows that cannot be true, as many as the survey looks at, hide nothing behind them."""
    for number in range(70):
        plant(made, "cam1", T0 + number * MINUTE, end_ms=0)
    good = plant(made, "cam1", T0 + 70 * MINUTE)
    assert ids(made, limit=64) == [good]
    assert odd_row(made, VAULT, "cam1", T0) is None
    assert odd_row(made, VAULT, "cam1", T0 + 1) is not None
    strange = plant(made, "cam2", T0, kept_from_ms="soon")
    assert ids(made, "cam2") == []
    assert odd_row(made, VAULT, "cam2", T0) == strange


def test_condemned_is_counted_and_its_age_told(made):
    plant(made, "cam1", T0, state="CONDEMNED", cause="EXPIRED")
    plant(made, "cam1", T0 + MINUTE, state="CONDEMNED", cause="EXPIRED")
    plant(made, "cam2", T0 - 5, state="CONDEMNED", cause="EVICTED")
    found = condemned(made, VAULT)
    assert (found.files, found.bytes, found.oldest) == (3, 3000, {"cam1": T0})
    assert condemned(made, "vault-2").files == 0


def test_the_survey_agrees_with_a_walk_through_all_rows(made):
    chance = random.Random(5)
    for camera in ("cam1", "cam2"):
        at = T0
        for _ in range(120):
            at += chance.choice([MINUTE, MINUTE, 5 * MINUTE, 61_000])
            later = {"kept_from_ms": at + chance.randrange(200) * MINUTE} if chance.random() < 0.1 else {}
            path = {} if chance.random() < 0.8 else {"path": f"segments/{camera}/x/{at}.salvaged.mp4.age"}
            plant(made, camera, at, end_ms=at + chance.choice([0, 1, MINUTE]), **path, **later)
    for turn in range(40):
        from_ms = T0 + chance.randrange(300) * MINUTE
        hold(
            made,
            f"h{turn}",
            [chance.choice(["cam1", "cam2", "*"])],
            from_ms,
            from_ms + chance.randrange(1, 40) * MINUTE,
        )
        if turn >= 6:
            release(made, f"h{turn - 6}", 0)
        for camera in ("cam1", "cam2"):
            for until in (survey.END, T0 + 100 * MINUTE):
                walked = made.read(
                    f"SELECT id FROM segment WHERE camera = ? AND kept_from_ms < ? AND NOT {HELD} ORDER BY kept_from_ms, id",
                    (camera, until),
                )
                assert ids(made, camera, limit=1000, until_ms=until) == [row[0] for row in walked]
                assert ids(made, camera, limit=7, until_ms=until) == [row[0] for row in walked][:7]


def test_between_leaves_out_only_what_is_certainly_held():
    assert [*between([], 5)] == [(survey.BEGIN, 5)]
    assert [*between([(10, 20), (15, 30), (40, 50)], 45)] == [(survey.BEGIN, 11), (30, 41)]
    assert [*between([(10, 20)], 5)] == [(survey.BEGIN, 5)]
    assert [*between([(10, 20)], 20)] == [(survey.BEGIN, 11)]


@pytest.mark.parametrize("query", [survey.KEPT, survey.LATE, survey.KEPT_HERE, survey.LATE_HERE, survey.ODD])
def test_no_query_walks_the_whole_table(made, query):
    values = {"vault": VAULT, "camera": "cam1", "from_ms": 0, "until_ms": 1, "limit": 1}
    plan = [row[3] for row in made.read("EXPLAIN QUERY PLAN " + query, values)]
    assert not [line for line in plan if line.startswith("SCAN segment") or "B-TREE" in line], plan


def test_room_that_cannot_be_told_is_unknown(tmp_path):
    assert room(tmp_path / "nothing", 7, 2) == Room(None, None, None, None, 7, 2)
    found = room(tmp_path)
    assert found.total_bytes >= found.free_bytes > 0
    # Some file systems count no inodes; they say 0 of 0.
    assert room(Path("/proc")).free_bytes is None


def test_b2_erased_bytes_count_until_they_show_or_for_a_while():
    """B2: a file system that frees late is waited for."""
    unseen = Unseen()
    before = Room(1000, 100, 50, 10)
    assert unseen.rest(before, 0) == (0, 0)
    unseen.erased(before, 300, 3, 1.0)
    assert unseen.rest(before, 2.0) == (300, 3)
    assert unseen.rest(Room(1000, 250, 50, 12), 3.0) == (150, 1)
    unseen.erased(Room(1000, 250, 50, 12), 100, 1, 4.0)
    assert unseen.rest(Room(1000, 350, 50, 13), 5.0) == (150, 1)
    assert unseen.rest(Room(1000, 500, 50, 14), 6.0) == (0, 0)
    assert unseen.rest(before, 7.0) == (0, 0)
    unseen.erased(before, 300, 3, 8.0)
    assert unseen.rest(before, 8.0 + Unseen.WHILE_S) == (0, 0)


def test_k6_a_burst_shortens_the_forecast_at_once(made):
    """K6: the last day's rate tells, and not what was planned when the disk was bought."""
    now = T0 - T0 % UTC_DAY_MS + UTC_DAY_MS // 2
    for day in range(1, 8):
        for hour in range(24):
            plant(made, "cam1", now - day * UTC_DAY_MS + hour * 3_600_000, sealed_bytes=100)
    stock = Stock(30 * UTC_DAY_MS)
    assert not stock.advance(made, ["cam1"], now, lambda: True)
    assert stock.advance(made, ["cam1"], now, lambda: False)
    spare = 2400 * 30 - 7 * 2400
    found = stock.forecast(VAULT, now, lambda _: 30 * UTC_DAY_MS, spare)
    assert (found.day_tenths, found.allowed_tenths, found.bytes_per_day) == (300, 300, 2400)
    assert 290 <= found.week_tenths <= 330
    assert stock.forecast("vault-2", now, lambda _: UTC_DAY_MS, spare) is None
    for minute in range(60):
        plant(made, "cam1", now + minute * MINUTE, sealed_bytes=10)
    later = now + 3_600_000
    assert stock.advance(made, ["cam1"], later, lambda: False)
    burst = stock.forecast(VAULT, later, lambda _: 30 * UTC_DAY_MS, spare - 600)
    assert burst.bytes_per_day == 2400 - 100 + 600
    assert 240 <= burst.day_tenths <= 250


def test_what_was_erased_is_counted_anew_and_what_is_too_old_is_not_stored(made):
    now = T0 - T0 % UTC_DAY_MS + 1000
    number = plant(made, "cam1", now - 3 * UTC_DAY_MS, sealed_bytes=500)
    plant(made, "cam1", now - HOUR, sealed_bytes=24)
    stock = Stock(30 * UTC_DAY_MS)
    stock.advance(made, ["cam1"], now, lambda: False)
    assert stock.forecast(VAULT, now, lambda _: 30 * UTC_DAY_MS, 0).day_tenths == 524 * 10 // (24 * 24)
    assert stock.forecast(VAULT, now, lambda _: UTC_DAY_MS, 0).day_tenths == 24 * 10 // (24 * 24)
    made.write(lambda db: db.execute("UPDATE segment SET state = 'GONE' WHERE id = ?", (number,)))
    stock.forget("cam1", now - 3 * UTC_DAY_MS)
    stock.advance(made, ["cam1"], now + 1, lambda: False)
    assert stock.forecast(VAULT, now, lambda _: 30 * UTC_DAY_MS, 0).day_tenths == 24 * 10 // (24 * 24)
    assert stock.advance(made, [], now, lambda: True)


def recorded(made, minutes: int, until: int, camera: str = "cam1", each: int = 1000) -> None:
    """Plant a segment a minute, the last one ending then."""
    for minute in range(1, minutes + 1):
        plant(made, camera, until - minute * MINUTE, sealed_bytes=each)


def counted(made, now: int, *cameras: str) -> Stock:
    stock = Stock(MONTH)
    assert stock.advance(made, cameras or ("cam1",), now, lambda: False)
    return stock


@pytest.mark.parametrize("minutes", [10, 15, 30, 59, 60, 300])
def test_a_new_box_forecasts_at_the_rate_of_what_it_has_recorded(made, minutes):
    """Recording began minutes ago: the rate is that of these minutes, and not of the hour they are a part of."""
    now = T0 + 50_000  # the segment that is open is neither counted nor its time
    recorded(made, minutes, T0)
    found = counted(made, now).forecast(VAULT, now, lambda _: MONTH, 1440_000 * 30)
    assert found.bytes_per_day == 1440_000
    assert found.day_tenths == (1440_000 * 30 + minutes * 1000) * 10 // 1440_000
    assert found.steady is (minutes >= 60)


def test_what_was_counted_before_is_not_taken_for_what_was_written_by_now(made):
    recorded(made, 12, T0)
    stock = counted(made, T0)
    assert stock.forecast(VAULT, T0 + 9 * MINUTE, lambda _: MONTH, 0).bytes_per_day == 1440_000


def test_a_few_minutes_are_no_forecast_but_count_beside_other_cameras(made):
    recorded(made, 9, T0, "cam2")
    assert counted(made, T0, "cam2").forecast(VAULT, T0, lambda _: MONTH, 10**9) is None
    recorded(made, 24 * 60, T0)
    found = counted(made, T0, "cam1", "cam2").forecast(VAULT, T0, lambda _: MONTH, 10**9)
    assert found.bytes_per_day == 1440_000 + 9 * 1440_000 // 10
    assert found.steady


def test_a_camera_that_has_stopped_is_not_taken_as_if_it_went_on(made):
    """Another has come in its place: both together are what one of them writes."""
    recorded(made, 60, T0 - 60 * MINUTE, "cam1")
    recorded(made, 60, T0, "cam2")
    found = counted(made, T0, "cam1", "cam2").forecast(VAULT, T0, lambda _: MONTH, 10**9)
    assert found.bytes_per_day == 1440_000 + 720_000


def test_the_week_counts_from_where_the_first_day_begins(made):
    midnight = T0 - T0 % UTC_DAY_MS
    for hour in range(1, 27):  # from 22:00 of the day before yesterday
        plant(made, "cam1", midnight - hour * HOUR, sealed_bytes=100)
    plant(made, "cam1", midnight, sealed_bytes=100)
    now = midnight + HOUR
    assert (
        counted(made, now).forecast(VAULT, now, lambda _: MONTH, 2400).week_tenths
        == (2400 + 2700) * 10 // 2400
    )


def test_k6_nobody_is_alarmed_by_the_first_hour(made):
    """K6: the alarm is about the disk, and a few minutes after the start are no measure of it."""
    outlook = Outlook(Rules({}, MONTH, "me"))

    def raised(now: int) -> list[str]:
        room = Room(10_000_000, 100_000, 50, 10)
        marks = Marks(0, 0)
        seen = View(Instant(now, Trust.SYNCED), {}, MONTH, [VaultView(VAULT, room, marks, marks, ())])
        return [each.code for each in outlook.advance(made, seen, Instant(now, Trust.SYNCED), lambda: False)]

    recorded(made, 30, T0)
    assert raised(T0) == []
    assert outlook.forecasts[VAULT].day_tenths < 300
    recorded(made, 40, T0 + 40 * MINUTE)
    assert raised(T0 + 40 * MINUTE) == ["vault.retention_short"]


def test_a_camera_with_hours_stores_the_same_at_every_hour_of_its_week(made):
    """By the last 24 hours alone it would store four times as much on a Monday morning as it does."""
    hours = [parse("mon-fri 09:00-18:00")]
    begin = T0 - T0 % UTC_DAY_MS
    for hour in range(15 * 24):
        if begun_ms(hours, begin + hour * HOUR_MS) is not None:
            for part in range(6):
                plant(made, "cam1", begin + hour * HOUR_MS + part * 10 * MINUTE, sealed_bytes=100)
    told = set()
    for hour in range(8 * 24, 15 * 24, 5):
        now = begin + hour * HOUR_MS
        stock = Stock(30 * UTC_DAY_MS, {"cam1": hours})
        made_until = _Until(made, now)
        assert stock.advance(made_until, ["cam1"], now, lambda: False)
        found = stock.forecast(VAULT, now, lambda _: 30 * UTC_DAY_MS, 100_000)
        told.add(found.bytes_per_day)
    right = 45 * 600 // 7
    assert min(told) >= right * 9 // 10
    assert max(told) <= right * 11 // 10


@pytest.mark.parametrize("minutes", [4, 15, 59])
def test_a_night_makes_no_rate_steady_that_was_told_by_the_end_of_an_evening(made, minutes):
    """A box is put up at a quarter to eight, with hours to eight: what it stored tells nobody off all night."""
    eight = day_begun_ms(T0) + 20 * HOUR_MS
    recorded(made, minutes, eight)
    for since in range(0, 12 * 60, 25):
        now = eight + since * MINUTE
        stock = Stock(MONTH, {"cam1": [parse("08:00-20:00")]})
        assert stock.advance(made, ["cam1"], now, lambda: False)
        found = stock.forecast(VAULT, now, lambda _: MONTH, 100_000)
        assert (found is None) == (minutes < 10)
        assert found is None or not found.steady
    recorded(made, 60, eight - minutes * MINUTE)
    stock = Stock(MONTH, {"cam1": [parse("08:00-20:00")]})
    assert stock.advance(made, ["cam1"], eight + MINUTE, lambda: False)
    assert stock.forecast(VAULT, eight + MINUTE, lambda _: MONTH, 100_000).steady


def test_a_camera_that_was_recorded_outside_of_its_hours_alone_has_the_rate_it_had(made):
    hours = [parse("09:00-18:00")]
    night = day_begun_ms(T0) + 20 * HOUR_MS
    for minute in range(60):
        plant(made, "cam1", night + minute * MINUTE, sealed_bytes=100)
    now = night + HOUR_MS
    plain, timed = Stock(30 * UTC_DAY_MS), Stock(30 * UTC_DAY_MS, {"cam1": hours})
    for stock in (plain, timed):
        assert stock.advance(made, ["cam1"], now, lambda: False)
    one, other = (stock.forecast(VAULT, now, lambda _: 30 * UTC_DAY_MS, 100_000) for stock in (plain, timed))
    assert one == other


class _Until:
    """A catalogue as it was at a moment."""

    def __init__(self, catalogue, now_ms):
        self._catalogue, self._now_ms = catalogue, now_ms

    def read(self, query, values):
        camera, from_ms, until_ms = values
        return self._catalogue.read(query, (camera, from_ms, min(until_ms, self._now_ms)))
