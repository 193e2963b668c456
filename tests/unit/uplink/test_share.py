"""Who gets the line: down quickly, up slowly, by rank."""

from __future__ import annotations

from agent.uplink.ladder import Meter, Step
from agent.uplink.share import (
    AT_ONCE,
    FRESH_S,
    SETTLED_S,
    STUCK,
    UP_FIRST_S,
    UP_MOST_S,
    WINDOW_S,
    Key,
    Share,
    Stand,
)

KEYS, SUB, MAIN, PAUSED = Step.KEYFRAMES, Step.SUB, Step.MAIN, Step.PAUSED
ALL = (KEYS, SUB, MAIN)
NO_SUB = (KEYS, MAIN)
ONE: Key = ("cam01", "")
RATES = {KEYS: 12_500.0, SUB: 62_500.0, MAIN: 500_000.0}


class Site:
    """Relays on a line that carries so many bytes a second.

    line    bytes a second, None for as many as come
    deaf    centres whose server takes nothing
    """

    def __init__(self, relays: dict[Key, tuple[int, tuple[Step, ...]]], line: float | None = None) -> None:
        self.share = Share()
        self.relays = relays
        self.line = line
        self.deaf: set[str] = set()
        self.away: set[Key] = set()
        self.now = 1000.0
        self.acked: dict[Key, float] = {}
        self.steps: dict[Key, Step] = {}
        self.backlog: dict[Key, float] = {}
        self.shed: dict[Key, float] = {}
        self.history: list[dict[Key, Step]] = []

    def run(self, seconds: int) -> dict[Key, Step]:
        for _ in range(seconds):
            self.now += 1.0
            self._second()
        return self.steps

    def _second(self) -> None:
        coming = {
            key: 0.0 if key in self.away else RATES.get(self.steps.get(key, PAUSED), 0.0)
            for key in self.relays
        }
        for key, much in coming.items():
            self.backlog[key] = self.backlog.get(key, 0.0) + much
        left = float("inf") if self.line is None else self.line
        hungry = [key for key in coming if self.backlog[key] and key[1] not in self.deaf]
        while hungry and left > 1:  # TCP: evenly, and what one does not need is the others'
            part = left / len(hungry)
            for key in list(hungry):
                took = min(part, self.backlog[key])
                self.backlog[key] -= took
                self.acked[key] = self.acked.get(key, 0.0) + took
                left -= took
                if not self.backlog[key]:
                    hungry.remove(key)
        stands = {}
        for key, (rank, steps) in self.relays.items():
            waits = self.backlog[key] > 0
            shed = self.backlog[key] > 1.5 * coming[key] and waits
            if shed:
                self.backlog[key] = 0.0
            rates = {step: RATES[step] for step in steps if self.steps.get(key, PAUSED) >= step}
            stands[key] = Stand(
                rank,
                steps,
                flowing=self.steps.get(key, PAUSED) is not PAUSED and key not in self.away,
                away=key in self.away,
                shed=shed,
                waiting=waits,
                acked=int(self.acked.get(key, 0)),
                rates=rates,
            )
        self.steps = self.share.judge(self.now, stands)
        self.history.append(self.steps)


def one(
    share: Share, now: float, *, shed: bool = False, steps: tuple[Step, ...] = ALL, **more: object
) -> Step:
    return share.judge(now, {ONE: Stand(25, steps, shed=shed, **more)})[ONE]  # type: ignore[arg-type]


def test_f7_twice_too_much_is_too_much() -> None:
    """F7: with a shed each 1.5 s, both steps are taken within ten seconds, and below them it does not go alone."""
    share = Share()
    steps = [one(share, now / 2, shed=now % 3 == 0) for now in range(20)]
    assert steps[0] is MAIN
    assert SUB in steps
    assert steps[-1] is KEYS
    assert {one(share, 10 + now, shed=True) for now in range(20)} == {KEYS}


def test_once_is_an_accident() -> None:
    share = Share()
    assert one(share, 1.0, shed=True) is MAIN
    assert one(share, 2.0 + WINDOW_S, shed=True) is MAIN


def test_what_is_known_to_be_too_much_needs_no_second_time() -> None:
    for carried, step in ((100, MAIN), (90, KEYS)):
        share = Share()
        one(share, 0.0, steps=NO_SUB, waiting=True, rates={MAIN: 110.0})
        one(share, 1.0, steps=NO_SUB, waiting=True, rates={MAIN: 110.0}, acked=carried)
        assert share.capacity == carried
        assert (
            one(share, 1.5, steps=NO_SUB, shed=True, waiting=True, acked=carried, rates={MAIN: 110.0}) is step
        )


def test_up_after_a_calm_and_more_slowly_after_each_failure() -> None:
    share = Share()
    one(share, 0.0, shed=True)
    assert one(share, 1.0, shed=True) is SUB
    waits, now = [], 1.0
    for _ in range(7):
        down = now
        while one(share, now) is SUB:
            now += 0.5
        waits.append(now - down)
        now += 1.0
        one(share, now, shed=True)
        now += 1.0
        assert one(share, now, shed=True) is SUB
    assert waits[:3] == [UP_FIRST_S, UP_FIRST_S * 2, UP_FIRST_S * 4]
    assert waits[-1] == UP_MOST_S
    while one(share, now) is SUB:
        now += 0.5
    now += SETTLED_S
    assert one(share, now) is MAIN  # and it stays: forgotten
    one(share, now + 1, shed=True)
    assert one(share, now + 2, shed=True) is SUB
    assert one(share, now + 2 + UP_FIRST_S) is MAIN


def test_a_camera_that_gives_no_second_stream_any_more() -> None:
    share = Share()
    one(share, 0.0, shed=True)
    assert one(share, 1.0, shed=True) is SUB
    assert one(share, 2.0, steps=NO_SUB) is KEYS
    assert one(share, 2.0 + UP_FIRST_S, steps=NO_SUB) is MAIN
    assert one(share, 60.0) is MAIN


def test_whoever_may_have_more_now_gets_it_at_once_unless_the_line_was_too_little() -> None:
    share = Share()
    assert one(share, 0.0, steps=(KEYS, SUB)) is SUB
    assert one(share, 1.0) is MAIN
    assert one(share, 2.0, steps=(KEYS, SUB)) is SUB
    one(share, 3.0, steps=(KEYS, SUB), shed=True)
    assert one(share, 4.0, steps=(KEYS, SUB), shed=True) is KEYS
    assert one(share, 5.0) is KEYS


def test_nothing_is_learnt_while_nothing_flows() -> None:
    share = Share()
    one(share, 0.0, shed=True)
    assert one(share, 1.0, shed=True) is SUB
    for now in range(2, 100):
        assert one(share, now, flowing=False, shed=now == 2) is SUB
    assert one(share, 98.0 + UP_FIRST_S) is SUB
    assert one(share, 99.0 + UP_FIRST_S) is MAIN


def test_the_low_in_rank_go_down_first_and_come_up_last() -> None:
    site = Site({("a", ""): (5, ALL), ("b", ""): (1, ALL), ("c", ""): (9, ALL)})
    assert set(site.run(5).values()) == {MAIN}
    site.line = 700_000.0
    assert site.run(10) == {("b", ""): MAIN, ("a", ""): SUB, ("c", ""): SUB}
    site.line = 100_000.0
    assert site.run(10) == {("b", ""): SUB, ("a", ""): KEYS, ("c", ""): KEYS}
    site.line = 15_000.0
    assert site.run(15) == {("b", ""): KEYS, ("a", ""): PAUSED, ("c", ""): PAUSED}
    site.line = None
    site.run(300)
    assert set(site.steps.values()) == {MAIN}
    ups = [
        key[0] for step in (SUB, MAIN) for key in sorted(site.relays, key=lambda key: _when(site, key, step))
    ]
    assert ups == ["b", "a", "c"] * 2


def _when(site: Site, key: Key, step: Step) -> tuple[int, int]:
    """Return since when a relay has a step, and its rank."""
    last = max(
        (place for place, steps in enumerate(site.history) if steps.get(key, PAUSED) < step), default=-1
    )
    return last, site.relays[key][0]


def test_equals_are_served_evenly() -> None:
    site = Site({(f"cam{number}", ""): (25, ALL) for number in range(6)}, 1_400_000.0)
    held = sorted(site.run(12).values())
    assert set(held) == {SUB, MAIN}
    site.line = 200_000.0
    held = sorted(site.run(12).values())
    assert set(held) == {KEYS, SUB}


def test_disaster_forty_eight_cameras_on_a_line_of_one_megabit() -> None:
    """All at once, by priority, within what the line carries; and all of them when it is well again."""
    site = Site({(f"cam{number:02d}", ""): (number % 9 + 1, ALL) for number in range(48)}, 125_000.0)
    site.run(20)
    carried = sum(RATES.get(step, 0) for step in site.steps.values())
    assert carried <= 125_000.0
    assert carried > 60_000.0
    served = [site.relays[key][0] for key, step in site.steps.items() if step is not PAUSED]
    rest = [site.relays[key][0] for key, step in site.steps.items() if step is PAUSED]
    assert max(served) <= min(rest)
    site.run(200)
    changes = [before != after for before, after in zip(site.history[20:], site.history[21:], strict=False)]
    assert sum(changes) <= 8
    site.line = None
    site.run(300)
    assert set(site.steps.values()) == {MAIN}


def test_nobody_has_a_second_stream_while_another_pauses() -> None:
    site = Site({(f"cam{number:02d}", ""): (number % 9 + 1, ALL) for number in range(48)}, 625_000.0)
    site.run(60)
    assert len([step for step in site.steps.values() if step is KEYS]) > 40
    assert max(site.steps.values()) is KEYS


def test_who_comes_while_all_others_are_away() -> None:
    away = Stand(1, ALL, away=True, flowing=False)
    share = Share()
    one(share, 0.0, shed=True)
    one(share, 1.0, shed=True)
    steps = share.judge(2.0, {ONE: away, ("cam02", ""): away})
    assert steps == {ONE: SUB, ("cam02", ""): MAIN}


def test_on_a_line_that_carries_more_than_comes_many_come_up_soon() -> None:
    site = Site({(f"cam{number:02d}", ""): (number // 10, ALL) for number in range(48)})
    site.run(1)
    assert [step for step in site.steps.values() if step is MAIN] == [MAIN] * AT_ONCE
    assert site.steps["cam00", ""] is MAIN
    assert site.steps["cam47", ""] is KEYS
    assert set(site.run(int(FRESH_S) * 9).values()) == {MAIN}
    assert set(site.run(100).values()) == {MAIN}


def test_who_comes_takes_from_the_lower_in_rank_and_leaves_it_to_them() -> None:
    low, high = ("low", ""), ("high", "")
    site = Site({low: (30, ALL), ("other", ""): (30, ALL)}, 700_000.0)
    assert site.run(12) == {low: MAIN, ("other", ""): SUB}
    site.relays = {**site.relays, high: (1, ALL)}
    steps = site.run(1)
    assert steps[high] >= SUB
    assert steps[low] is SUB
    assert max(site.run(30)[other] for other in (low, ("other", ""))) < MAIN
    site.relays = {high: (1, ALL)}
    assert site.run(60)[high] is MAIN
    site.relays = {}
    assert site.run(2) == {}
    site.relays = {low: (30, ALL)}
    assert site.run(1)[low] is MAIN


def test_all_go_while_the_line_is_too_little_and_another_comes() -> None:
    share = Share()
    one(share, 0.0, shed=True)
    one(share, 1.0, shed=True)
    assert share.judge(2.0, {}) == {}
    assert share.judge(3.0, {("cam02", ""): Stand(1, ALL)}) == {("cam02", ""): MAIN}


def test_a_server_that_takes_nothing_costs_nobody_else_a_step() -> None:
    site = Site({("a", "near"): (30, ALL), ("b", "far"): (1, ALL), ("c", "far"): (2, ALL)})
    site.run(5)
    site.deaf = {"far"}
    site.run(60)
    assert {steps["a", "near"] for steps in site.history} == {MAIN}
    site.deaf = set()
    assert set(site.run(120).values()) == {MAIN}


def test_a_stuck_one_is_not_counted() -> None:
    slow, deaf = ("slow", "x"), ("deaf", "y")
    share = Share()
    for now in range(STUCK + 2):
        stands = {
            slow: Stand(30, ALL, acked=100 * now, waiting=True, rates=RATES),
            deaf: Stand(1, ALL, waiting=True, shed=True, rates=RATES),
        }
        steps = share.judge(float(now), stands)
    assert steps[deaf] is not PAUSED
    before = steps[deaf]
    for now in range(10, 20):
        stands[slow] = Stand(30, ALL, acked=100 * now, waiting=True, shed=now % 3 == 0, rates=RATES)
        steps = share.judge(float(now), stands)
    assert steps[deaf] is before


def test_who_does_not_feel_the_line_keeps_its_step() -> None:
    """A centre behind a slow path of its own: who sends to another, and never waits, loses nothing."""
    share = Share()
    well, slow = ("well", "near"), ("slow", "far")
    for now in range(30):
        stands = {
            well: Stand(40, ALL, acked=500_000 * now, rates=RATES),
            slow: Stand(1, ALL, acked=1000 * now, waiting=True, shed=now % 2 == 0, rates=RATES),
        }
        steps = share.judge(float(now), stands)
    assert steps == {well: MAIN, slow: KEYS}


def test_who_is_away_takes_nothing_of_the_line_and_no_attempt() -> None:
    site = Site({("a", ""): (1, ALL), ("b", ""): (30, ALL)}, 700_000.0)
    assert site.run(12) == {("a", ""): MAIN, ("b", ""): SUB}
    site.line = None
    site.away = {("b", "")}
    assert site.run(60)["b", ""] is SUB
    site.away = set()
    assert site.run(60)["b", ""] is MAIN


def test_what_was_not_measured_costs_what_is_usual() -> None:
    plain = Stand(1, NO_SUB)
    assert plain.cost(MAIN) > plain.cost(KEYS) > plain.cost(PAUSED) == 0.0
    both = Stand(1, ALL)
    assert both.cost(SUB) > both.cost(KEYS) < plain.cost(KEYS)
    assert Stand(1, ALL, rates={SUB: 7.0}).cost(SUB) == 7.0
    assert Stand(1, ALL, away=True).cost(MAIN) == 0.0


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
