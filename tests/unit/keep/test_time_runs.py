"""Whole histories of a box: whatever happens to its clock, nothing is ever thought older than it is.

The clock is set, comes back, loses and finds its time service; the box sleeps, restarts, restarts in 1970; people
confirm the time when it is right. Beside it runs the true time, which the box never sees.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import trust
from agent.model import Trust
from tests.unit.clocks import T0, FakeSource
from tests.unit.keep.rows import row
from tests.unit.keep.test_time import Site

DAY_MS = 86_400_000
TOLERANCE_MS = (
    trust.STEP_MS + trust.HOLDOVER_MS * trust.DRIFT_PPM // 1_000_000 + 2000
)  # the most that holdover allows
OPERATIONS = st.one_of(
    st.tuples(st.just("record"), st.integers(1, 3)),
    st.tuples(st.just("open"), st.just(0)),  # a segment is begun, and committed much later
    st.tuples(st.just("commit"), st.just(0)),
    st.tuples(
        st.just("set"), st.sampled_from([5000, 60_000, -3_600_000, 40 * DAY_MS, -365 * DAY_MS, 31 * DAY_MS])
    ),
    st.tuples(st.just("mend"), st.just(0)),  # somebody sets the clock right
    st.tuples(st.just("sync"), st.just(0)),  # the time service sets it right, and keeps it
    st.tuples(st.just("unsync"), st.just(0)),
    st.tuples(st.just("confirm"), st.just(0)),
    st.tuples(st.just("sleep"), st.sampled_from([600_000, DAY_MS])),
    st.tuples(st.just("reboot"), st.sampled_from([60_000, DAY_MS, 40 * DAY_MS])),
    st.tuples(st.just("reboot in 1970"), st.sampled_from([60_000, 40 * DAY_MS])),
    st.tuples(st.just("restart"), st.just(0)),
)


class History:
    def __init__(self, state) -> None:
        self.site = Site(state, FakeSource(T0))
        self.true_ms = T0
        self.truth: dict[int, int] = {}  # the row's id: when it was truly recorded
        self.open: list[tuple[int, int, str]] = []
        self.count = 0

    def run(self, ms: int) -> None:
        self.true_ms += ms
        self.site.tick(ms)

    def begin(self) -> None:
        now = self.site.clock.now()
        self.open.append((now.utc_ms, self.true_ms, now.trust.value))

    def commit(self) -> None:
        for start_ms, true_ms, doubt in self.open:
            self.count += 1
            segment = row("cam1", start_ms, trust=doubt, path=f"segments/cam1/day/{self.count}.mp4.age")
            self.site.catalogue.commit_segment(segment, self.site.clock.now())
            number = self.site.catalogue.read("SELECT MAX(id) FROM segment")[0][0]
            self.truth[number] = true_ms
        self.open.clear()

    def do(self, what: str, how: int) -> None:
        source = self.site.source
        if what == "record":
            for _ in range(how):
                self.begin()
                self.run(60_000)
                self.commit()
        elif what == "open":
            self.begin()
        elif what == "commit":
            self.run(1000)
            self.commit()
        elif what == "set":
            source.synced = False
            source.step(how)
        elif what in ("mend", "sync"):
            source.utc = self.true_ms
            source.synced = source.synced or what == "sync"
        elif what == "unsync":
            source.synced = False
        elif what == "confirm":
            if source.utc == self.true_ms:
                self.site.confirm()
        elif what == "sleep":
            self.run(how)
        elif what.startswith("reboot"):
            source.reboot(how, utc_ms=20_000 if "1970" in what else None)
            self.true_ms += how
            self.commit()  # salvage, before anything is recorded
            self.site.boot()
        else:
            self.site.restart()
        self.run(1000)
        while self.site.keeper.settle(self.site.catalogue, 3):
            pass
        self.check()

    def check(self) -> None:
        for number, kept_ms in self.site.catalogue.read("SELECT id, kept_from_ms FROM segment"):
            if kept_ms is not None:
                assert kept_ms >= self.truth[number] - TOLERANCE_MS, "thought older than it is"
                assert kept_ms <= self.true_ms + TOLERANCE_MS, "kept from a time to come"

    def end(self) -> None:
        """Time is set right and stays so: then nothing is in doubt any more."""
        self.do("sync", 0)
        self.do("confirm", 0)
        self.do("commit", 0)
        assert self.site.keeper.now().trust is Trust.SYNCED
        assert abs(self.site.keeper.now().utc_ms - self.true_ms) <= TOLERANCE_MS
        assert self.site.catalogue.read("SELECT id FROM segment WHERE kept_from_ms IS NULL") == []
        self.site.catalogue.close()


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, max_size=25))
def test_c1_c2_c3_c8_nothing_is_thought_older_than_it_is(operations):
    run(operations)


@pytest.mark.campaign
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, max_size=60))
def test_c1_c2_c3_c8_nothing_is_thought_older_than_it_is_at_length(operations):
    run(operations)


def run(operations) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder) / "state")
        for what, how in operations:
            history.do(what, how)
        history.end()
