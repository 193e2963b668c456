"""Down quickly, up slowly."""

from __future__ import annotations

from agent.uplink.ladder import SETTLED_S, UP_FIRST_S, UP_MOST_S, WINDOW_S, Ladder, Meter, Step


def observe(ladder: Ladder, now_s: float, *, shed: bool = False, capacity=None, rate=None) -> Step:
    return ladder.observe(now_s, shed=shed, capacity=capacity, rate=rate)


def test_f7_twice_too_much_is_too_much() -> None:
    """F7: with a shed each 1.5 s, both steps are taken within ten seconds."""
    ladder = Ladder(has_sub=True)
    ladder.begin(0.0)
    steps = [observe(ladder, now / 2, shed=now % 3 == 0) for now in range(1, 20)]
    assert Step.SUB in steps
    assert steps[-1] is Step.KEYFRAMES


def test_once_is_an_accident() -> None:
    ladder = Ladder(has_sub=True)
    assert observe(ladder, 1.0, shed=True) is Step.MAIN
    assert observe(ladder, 2.0 + WINDOW_S, shed=True) is Step.MAIN


def test_what_is_known_to_be_too_much_needs_no_second_time() -> None:
    ladder = Ladder(has_sub=False)
    assert observe(ladder, 1.0, shed=True, capacity=100.0, rate=110.0) is Step.MAIN
    ladder = Ladder(has_sub=False)
    assert observe(ladder, 1.0, shed=True, capacity=90.0, rate=110.0) is Step.KEYFRAMES
    assert observe(ladder, 2.0, shed=True, capacity=90.0, rate=110.0) is Step.KEYFRAMES


def test_up_after_a_calm_and_more_slowly_after_each_failure() -> None:
    ladder = Ladder(has_sub=True)
    ladder.begin(0.0)
    observe(ladder, 1.0, shed=True)
    assert observe(ladder, 2.0, shed=True) is Step.SUB
    waits, now = [], 2.0
    for _ in range(7):
        down = now
        while observe(ladder, now) is Step.SUB:
            now += 0.5
        waits.append(now - down)
        now += 1.0
        observe(ladder, now, shed=True)
        assert observe(ladder, now + 1, shed=True) is Step.SUB
        now += 1.0
    assert waits[:3] == [UP_FIRST_S, UP_FIRST_S * 2, UP_FIRST_S * 4]
    assert waits[-1] == UP_MOST_S
    while observe(ladder, now) is Step.SUB:
        now += 0.5
    assert observe(ladder, now + SETTLED_S) is Step.MAIN  # and it stays: forgotten
    now += SETTLED_S
    observe(ladder, now + 1, shed=True)
    observe(ladder, now + 2, shed=True)
    assert observe(ladder, now + 2 + UP_FIRST_S) is Step.MAIN


def test_every_step_up() -> None:
    ladder = Ladder(has_sub=True, step=Step.KEYFRAMES)
    ladder.begin(0.0)
    assert observe(ladder, UP_FIRST_S) is Step.SUB
    assert observe(ladder, UP_FIRST_S + SETTLED_S) is Step.SUB
    assert observe(ladder, UP_FIRST_S * 2) is Step.MAIN
    alone = Ladder(has_sub=False, step=Step.KEYFRAMES)
    alone.begin(0.0)
    assert observe(alone, UP_FIRST_S) is Step.MAIN


def test_a_camera_that_gives_no_second_stream() -> None:
    ladder = Ladder(has_sub=True, step=Step.SUB)
    assert ladder.second_is_gone(1.0) is Step.KEYFRAMES
    assert not ladder.has_sub
    other = Ladder(has_sub=True)
    assert other.second_is_gone(1.0) is Step.MAIN


def test_the_meter_counts_what_was_acknowledged_while_more_waited() -> None:
    meter = Meter()
    meter.sample(0.0, acked=0, came=500_000, waiting=True)
    meter.sample(1.0, acked=1000, came=900_000, waiting=True)
    assert (meter.capacity, meter.rate) == (1000.0, None)  # what came at first was kept, not sent just now
    meter.sample(2.0, acked=4000, came=900_500, waiting=False)
    assert (meter.capacity, meter.rate) == (1000.0, 500.0)
    meter.sample(3.0, acked=4000, came=901_500, waiting=True)
    assert (meter.capacity, meter.rate) == (1000.0, 750.0)
    meter.sample(4.0, acked=6000, came=902_250, waiting=True)
    assert meter.capacity == 1500.0
    meter.sample(4.0, acked=6000, came=902_250, waiting=True)
    assert meter.capacity == 1500.0
