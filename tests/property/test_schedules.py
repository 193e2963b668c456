"""Sixty days of a box, at random: holds, releases, outages, jumps of the clock. Rows: I9, I1, C1-C4, C8, B2.

After every step: held segments lost 0, unheld ones beyond 30 days and an hour 0, erased while the time was untrusted
0, erased before its time without EVICTED 0, tombstones that are double or missing 0.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.model import Instant, Trust
from tests.property.schedules import CAMERAS, DAY_MS, HOUR_MS, RETENTION_MS, T0, Schedule

ERAS = (0, 951_782_400_000, 2_085_978_496_000, 2_147_483_648_000, 4_294_967_296_000)
"""1970, 29 February 2000, NTP's era 1 (2036), the end of 32 bits (2038, 2106)."""
JUMPS = (-400 * DAY_MS, -40 * DAY_MS, -DAY_MS, -5000, 5000, HOUR_MS, 31 * DAY_MS, 40 * DAY_MS, 366 * DAY_MS)
ANYTIME = st.one_of(st.sampled_from(ERAS), st.integers(0, 4_294_967_296_000))


TOTALS: Counter[str] = Counter()
"""What the schedules of this process came to."""


class Days(RuleBasedStateMachine):
    """Each rule is something that happens to a box; a third of them are time that passes."""

    @initialize()
    def begin(self) -> None:
        self.box = Schedule.begin()

    def teardown(self) -> None:
        if hasattr(self, "box"):
            TOTALS.update(
                schedules=1,
                segments=len(self.box.recorded),
                expired=self.box.expired,
                evicted=self.box.evicted,
                held=self.box.held_ever,
                days=(self.box.true_ms - T0) // DAY_MS,
            )
            self.box.end()

    @rule(hours=st.integers(1, 72))
    def record(self, hours: int) -> None:
        for day in range(0, hours, 24):
            self.box.pass_time(min(24, hours - day) * HOUR_MS)
            self.box.tick()

    @rule(days=st.integers(1, 9))
    def record_for_days(self, days: int) -> None:
        for _ in range(days):
            self.box.pass_time(DAY_MS)
            self.box.tick()

    @rule(days=st.integers(1, 9))
    def be_looked_after(self, days: int) -> None:
        """Somebody puts the time right, and all is well for some days."""
        self.box.synchronise()
        self.box.confirm()
        self.record_for_days(days)

    @rule(days=st.integers(1, 9))
    def see_no_cameras(self, days: int) -> None:
        self.box.pass_time(days * DAY_MS, record=False)
        self.box.tick()

    @rule(hours=st.integers(1, 200))
    def be_without_keeper(self, hours: int) -> None:
        self.box.stop_keeper()
        self.box.pass_time(hours * HOUR_MS)
        self.box.start_keeper()
        self.box.tick()

    @rule()
    def restart_keeper(self) -> None:
        self.box.stop_keeper()
        self.box.start_keeper()
        self.box.tick()

    @rule(
        camera=st.sampled_from(CAMERAS),
        ago_h=st.integers(-240, 960),
        length_h=st.integers(1, 400),
    )
    @precondition(lambda self: len(self.box.active) < 5)
    def place(self, camera: str, ago_h: int, length_h: int) -> None:
        from_ms = self.box.clock.now().utc_ms - ago_h * HOUR_MS
        self.box.hold(camera, from_ms, from_ms + length_h * HOUR_MS)

    @precondition(lambda self: self.box.active)
    @rule(which=st.integers(0, 4))
    def release(self, which: int) -> None:
        names = sorted(self.box.active)
        self.box.release(names[which % len(names)])
        self.box.tick()

    @rule(
        off_ms=st.integers(1, 600).map(lambda minutes: minutes * 60_000)
        | st.integers(1, 45).map(lambda days: days * DAY_MS),
        utc_ms=st.none() | ANYTIME,
    )
    def cut_the_power(self, off_ms: int, utc_ms: int | None) -> None:
        """For minutes, or to lie in a store; with a battery, or without."""
        self.box.reboot(off_ms, utc_ms)
        self.box.tick()

    @rule(utc_ms=ANYTIME, by_ms=st.none() | st.sampled_from(JUMPS))
    def set_the_clock_wrong(self, utc_ms: int, by_ms: int | None) -> None:
        """Somebody does, or a time service that lies."""
        self.box.source.utc = utc_ms if by_ms is None else self.box.source.utc + by_ms
        self.box.tick()

    @rule()
    def synchronise(self) -> None:
        self.box.synchronise()
        self.box.tick()

    @rule()
    def lose_synchronisation(self) -> None:
        self.box.source.synced = False
        self.box.tick()

    @rule()
    def confirm(self) -> None:
        self.box.confirm()
        self.box.tick()

    @rule()
    def confirm_and_synchronise(self) -> None:
        self.box.synchronise()
        self.box.confirm()
        self.box.tick()

    @rule(missing=st.integers(1, 12))
    def fill_the_disk(self, missing: int) -> None:
        self.box.fill_disk(missing)
        before = self.box.evicted
        self.box.tick()
        self.box.tick()
        # B2: from the low mark up to the high one (an eighth above, 6.25 segments), and not one more.
        assert self.box.evicted - before <= missing + 7
        self.box.empty_disk()

    @invariant()
    def nothing_held_is_lost(self) -> None:
        if hasattr(self, "box"):
            self.box.check_held()


def play(count: int, number: int) -> None:
    machine = seed(number)(Days)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_i9_a_sample_of_schedules():
    """I9."""
    play(300, 20261121)
    # A sample in which nothing comes of age, or nothing is held, would show nothing.
    assert min(TOTALS["expired"], TOTALS["evicted"], TOTALS["held"]) > 1000, TOTALS


def test_c8_a_time_service_that_lies_after_a_long_absence_is_not_believed_by_waiting():
    """C8: what the campaign found: nothing may be trusted that is forty days behind."""
    for wait_days in (0, 1, 5):
        days = Days()
        days.begin()
        try:
            stored = len(days.box.recorded)
            days.cut_the_power(off_ms=40 * DAY_MS, utc_ms=None)
            days.synchronise()
            days.record(hours=24 * wait_days or 1)
            days.set_the_clock_wrong(utc_ms=0, by_ms=-40 * DAY_MS)
            days.record_for_days(days=9)
            assert (days.box.trust, len(days.box.gone)) == (Trust.UNTRUSTED, 0)
            days.confirm_and_synchronise()
            assert (days.box.trust, len(days.box.gone)) == (Trust.SYNCED, stored)
        finally:
            days.teardown()


SHARD = 250


def play_shard(number: int) -> Counter[str]:
    """Play some schedules in this process, and count what they came to."""
    TOTALS.clear()
    play(SHARD, number)
    return Counter(TOTALS)


@pytest.mark.campaign
def test_i9_ten_thousand_schedules():
    """I9, the whole count, in as many processes as there are processors; the evidence says what they came to."""
    total: Counter[str] = Counter()
    began = time.monotonic()
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for done, part in enumerate(pool.map(play_shard, range(1, 10_000 // SHARD + 1)), 1):
            total.update(part)
            print(f"{done * SHARD} asked, {dict(total)}", file=sys.__stderr__, flush=True)
    assert total["schedules"] >= 10_000
    write_evidence(total, time.monotonic() - began)


def write_evidence(total: Counter[str], took_s: float) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    lines = (
        "# Random schedules of sixty days",
        "",
        f"`make campaign ARGS='-k ten_thousand_schedules'`, {day}: {took_s / 60:.0f} min on {os.cpu_count()} cores.",
        f"Seeds 1 to {10_000 // SHARD}, {SHARD} schedules each (tests/property/test_schedules.py).",
        "",
        "| | |",
        "| --- | --- |",
        f"| schedules | {total['schedules']} |",
        f"| days, together | {total['days']} ({total['days'] / total['schedules']:.0f} each) |",
        f"| segments recorded | {total['segments']} |",
        f"| expired | {total['expired']} |",
        f"| evicted for space | {total['evicted']} |",
        f"| held at some time | {total['held']} |",
        "| held segments lost | 0 |",
        "| unheld segments beyond 30 d + 1 h of trusted time | 0 |",
        "| erased while the time was untrusted | 0 |",
        "| erased before 30 days without EVICTED | 0 |",
        "| double or missing tombstones | 0 |",
        "",
        "Zeros are asserted after every step: one that is not would have ended the run.",
        "",
    )
    (Path(__file__).parents[2] / "docs/evidence/schedules.md").write_text("\n".join(lines))


def test_c2_the_naive_way_loses_everything_by_one_jump_and_this_one_nothing():
    """C2: a rule that subtracts from the wall clock, as recorders do, beside ours: 1000 of 1000, and 0."""
    box = Schedule.begin()
    box.total *= 2  # room for all
    try:
        for number in range(1000):
            label = Instant(T0 + number * 60_000, Trust.SYNCED)
            box.record("cam9", label.utc_ms, label, 60_000)
        box.pass_time(1000 * 60_000, record=False)
        box.tick()
        box.source.step(40 * DAY_MS)
        for _ in range(3):
            box.tick()
        rows = [*box.catalogue.segments("cam9")]
        naive = [row for row in rows if box.source.utc - row.start_ms >= RETENTION_MS]
        assert (len(rows), len(naive), len(box.gone)) == (1000, 1000, 0)
    finally:
        box.end()
