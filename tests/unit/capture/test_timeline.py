"""The timeline under every quirk of time that cameras are known for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.capture.timeline import SLEW_PPM, Stamp, Timeline

HZ = 90_000
STEP = 3600  # 25 pictures a second


def feed(timeline: Timeline, pictures: list[tuple[int, float]]) -> list[Stamp]:
    return [timeline.stamp(raw, arrival) for raw, arrival in pictures]


def even(
    count: int, *, start: int = 7_000_000, at: float = 100.0, step: int = STEP
) -> list[tuple[int, float]]:
    return [(start + number * step, at + number * 0.04) for number in range(count)]


def grows(stamps: list[Stamp]) -> bool:
    return all(later.dts > earlier.dts for earlier, later in itertools.pairwise(stamps))


def test_a_healthy_camera_is_left_alone() -> None:
    timeline = Timeline(HZ, 0)
    stamps = feed(timeline, even(500))
    assert [stamp.pts for stamp in stamps] == [number * STEP for number in range(500)]
    assert [stamp.dts for stamp in stamps] == [stamp.pts for stamp in stamps]
    assert not any(stamp.jump for stamp in stamps)
    assert timeline.repairs == {}


def test_utc_follows_the_box() -> None:
    timeline = Timeline(HZ, 0)
    timeline.sync(1_000_000.0, 100.0)
    feed(timeline, even(100))
    assert timeline.utc_ms(0) == 1_100_000
    assert timeline.utc_ms(HZ) == 1_101_000


def test_utc_before_any_clock_is_known_is_a_number() -> None:
    assert Timeline(HZ, 0).utc_ms(HZ) == 1000


def test_a_worthless_first_timestamp_costs_nothing() -> None:  # quirk 1
    timeline = Timeline(HZ, 0)
    stamps = feed(timeline, [(1, 100.0), *even(100, at=100.04)])
    assert not any(stamp.jump for stamp in stamps)
    assert grows(stamps)
    assert timeline.repairs == {"first_timestamp": 1}
    assert stamps[-1].pts == 100 * STEP


@pytest.mark.parametrize("leap", [HZ * 3600, -HZ * 3600])
def test_a_jump_of_the_media_clock_begins_anew_without_a_hole(leap: int) -> None:  # quirk 4
    timeline = Timeline(HZ, 0)
    before = even(100)
    after = [(raw + leap, arrival) for raw, arrival in even(200)[100:]]
    stamps = feed(timeline, before + after)
    assert [number for number, stamp in enumerate(stamps) if stamp.jump] == [100]
    assert grows(stamps)
    assert stamps[-1].pts == pytest.approx(199 * STEP, abs=STEP)


def test_equal_and_backward_timestamps_are_moved_on() -> None:  # quirk 3
    timeline = Timeline(HZ, 0)
    stamps = feed(timeline, [(0, 0.0), (3600, 0.04), (3600, 0.08), (3000, 0.12), (14400, 0.16)])
    assert grows(stamps)
    assert [stamp.pts for stamp in stamps] == [0, 3600, 3601, 3602, 14400]
    assert timeline.repairs == {"timestamp": 2}


def test_doubled_timestamps_with_reordering_are_told_apart() -> None:
    timeline = Timeline(HZ, 2)
    stamps = feed(timeline, [(0, 0.0), (3600, 0.04), (3600, 0.08), (3600, 0.12)])
    assert [stamp.pts for stamp in stamps] == [0, 3600, 3601, 3602]
    assert grows(stamps)


def test_announced_reordering_keeps_pts_and_dts_apart() -> None:  # quirk 5
    order = [0, 4, 2, 1, 3, 8, 6, 5, 7]
    timeline = Timeline(HZ, 2)
    stamps = feed(timeline, [(HZ + shown * STEP, place * 0.04) for place, shown in enumerate(order)])
    assert [stamp.pts for stamp in stamps] == [shown * STEP for shown in order]
    assert grows(stamps)
    assert all(stamp.pts >= stamp.dts for stamp in stamps)


def test_reordering_that_nobody_announced_is_found_out() -> None:  # quirk 5
    order = [0]
    for group in range(50):
        order += [group * 3 + 3, group * 3 + 1, group * 3 + 2]
    timeline = Timeline(HZ, None)
    stamps = feed(timeline, [(shown * STEP, place * 0.04) for place, shown in enumerate(order)])
    assert [stamp.pts for stamp in stamps] == [shown * STEP for shown in order]
    assert grows(stamps)
    assert all(stamp.pts >= stamp.dts for stamp in stamps[6:])


@pytest.mark.parametrize("factor", [10, 0.1, 1.6])
def test_a_media_clock_at_a_wrong_rate_is_replaced_by_the_arrivals(factor: float) -> None:  # quirk 7
    timeline = Timeline(HZ, 0)
    timeline.sync(0.0, 100.0)
    pictures = [(int(number * STEP * factor), 100 + number * 0.04) for number in range(1000)]
    stamps = feed(timeline, pictures)
    assert timeline.repairs["rate"] == 1
    assert any(stamp.jump for stamp in stamps[:150])
    assert grows(stamps)
    spent = (stamps[-1].pts - stamps[200].pts) / HZ
    assert spent == pytest.approx(799 * 0.04, rel=0.02)
    assert timeline.utc_ms(stamps[-1].pts) == pytest.approx(139_960, abs=100)


def test_a_pause_is_no_wrong_rate() -> None:
    timeline = Timeline(HZ, 0)
    paused = [(raw, arrival + (1.5 if place > 20 else 0.0)) for place, (raw, arrival) in enumerate(even(300))]
    feed(timeline, paused)
    assert "rate" not in timeline.repairs


def test_a_burst_on_connect_is_placed_where_it_belongs() -> None:  # quirk 12
    timeline = Timeline(HZ, 0)
    timeline.sync(0.0, 100.0)
    # Two seconds of old pictures at once, then the present.
    burst = [(number * STEP, 100.0) for number in range(50)]
    live = [(number * STEP, 100.0 + (number - 50) * 0.04) for number in range(50, 200)]
    stamps = feed(timeline, burst + live)
    assert not any(stamp.jump for stamp in stamps)
    assert timeline.utc_ms(stamps[0].pts) == pytest.approx(98_000, abs=50)
    assert timeline.utc_ms(stamps[-1].pts) == pytest.approx(105_960, abs=50)


def test_late_arrivals_do_not_move_the_place() -> None:
    timeline = Timeline(HZ, 0)
    timeline.sync(0.0, 100.0)
    pictures = [(number * STEP, 100 + number * 0.04 + (0.4 if number % 7 else 0.0)) for number in range(2000)]
    stamps = feed(timeline, pictures)
    assert not any(stamp.jump for stamp in stamps)
    assert timeline.utc_ms(stamps[-1].pts) == pytest.approx(100_000 + 1999 * 40, abs=20)


def test_drift_is_followed_slowly() -> None:  # quirk 11
    timeline = Timeline(HZ, 0)
    timeline.sync(0.0, 0.0)
    # The camera's clock is 100 ppm slow: over 20 minutes it falls 120 ms behind.
    pictures = [(round(number * STEP * (1 - 100e-6)), number * 0.04) for number in range(30_000)]
    last = [timeline.stamp(raw, arrival) for raw, arrival in pictures][-1]
    assert not timeline.repairs
    assert timeline.utc_ms(last.pts) == pytest.approx(29_999 * 40, abs=20)


def test_a_pause_of_the_camera_that_its_clock_does_not_know_is_a_step() -> None:
    timeline = Timeline(HZ, 0)
    timeline.sync(0.0, 100.0)
    pictures = [
        (raw, arrival + (4.0 if place >= 300 else 0.0))
        for place, (raw, arrival) in enumerate(even(900, at=100.0))
    ]
    stamps = feed(timeline, pictures)
    assert sum(stamp.jump for stamp in stamps) == 1
    assert timeline.repairs == {"step": 1}
    assert timeline.utc_ms(stamps[-1].pts) == pytest.approx(100_000 + 899 * 40 + 4000, abs=50)


def test_the_boxs_clock_is_slewed_for_little_and_stepped_for_much() -> None:
    timeline = Timeline(HZ, 0)
    assert timeline.step(5.0) == 0.0
    assert timeline.sync(5.0, 0.0) == 0.0
    assert timeline.sync(505.0, 10.0) == 0.0
    assert timeline.utc_ms(0) == round(5 + 10 * SLEW_PPM / 1000)
    assert timeline.step(40 * 86_400_000.0) > 0
    assert timeline.sync(40 * 86_400_000.0, 11.0) == pytest.approx(40 * 86_400_000.0 - 10, abs=1)
    assert timeline.utc_ms(0) == 40 * 86_400_000
    assert timeline.sync(-1e9, 12.0) < 0


@given(
    st.lists(st.tuples(st.integers(-(1 << 40), 1 << 40), st.floats(0, 20)), min_size=1, max_size=60),
    st.one_of(st.none(), st.integers(0, 40)),
)
def test_whatever_comes_decode_times_grow(steps: list[tuple[int, float]], reorder: int | None) -> None:
    timeline = Timeline(HZ, reorder)
    raw, arrival, last = 0, 0.0, None
    seen: list[int] = []
    for step, wait in steps:
        raw += step
        arrival += wait
        stamp = timeline.stamp(raw, arrival)
        assert last is None or stamp.dts > last
        assert stamp.pts not in seen[-16:]
        seen.append(stamp.pts)
        last = stamp.dts
