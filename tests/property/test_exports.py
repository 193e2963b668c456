"""Exports, holds, retention, kills and a lost catalogue at random, on real files. Rows: I9, A2, B11.

After every step: held segments lost 0, stored ones lost 0, erased ones that can be opened though no export has them 0.
After everything is over: sealed bytes that anybody could open 0, told of each exactly once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage
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

from agent.consignment import Where
from agent.model import Span, Trust
from agent.storage.keep import batch
from agent.storage.keep.outgoing_order import ExportRefused, State
from tests.procedure.dying import die_at
from tests.unit.keep.handing import Handing, wanted
from tests.unit.keep.kept import DAY_MS, order
from tests.unit.storage.box import SECRET, T0

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_MS = 3_600_000
TOTALS: Counter[str] = Counter()


def scratch() -> Path:
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="pasu-exports-", dir=memory if memory.is_dir() else None))


class Days(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.root = scratch()
        self.box = Handing(self.root / "box")
        self.files: dict[int, int] = {}  # by segment's id: a descriptor that keeps what became of its bytes
        self.held: dict[str, set[int]] = {}
        self.exports: list[str] = []
        self.holds = 0
        self.record(2)

    def teardown(self) -> None:
        if not hasattr(self, "box"):
            return
        try:
            self.end_all()
        finally:
            for fd in self.files.values():
                os.close(fd)
            shutil.rmtree(self.root)

    # --- what happens --------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 5))
    def record(self, count: int) -> None:
        self.box.record("cam1", at_ms=self.box.clock.utc_ms, count=count, size=500)
        self.box.clock.utc_ms += HOUR_MS
        with self.box.catalogue() as catalogue:
            rows = catalogue.read("SELECT id, path FROM segment")
        for number, path in rows:
            if number not in self.files:
                self.files[number] = os.open(self.box.vault_path / path, os.O_RDONLY)

    @rule(from_h=st.integers(0, 900), length_h=st.integers(1, 300))
    @precondition(lambda self: len(self.exports) < 8)
    def ask(self, from_h: int, length_h: int) -> None:
        now = self.box.clock.utc_ms
        start = max(T0, now - (from_h + 1) * HOUR_MS)
        span = Span(start, max(start + 1, min(now, start + length_h * HOUR_MS)))
        export = f"{len(self.exports):032x}"
        if self.tried(lambda: self.box.request(wanted(export, span=span, due="2099-01-01")), "EXPORT_EMPTY"):
            self.exports.append(export)

    def tried(self, work: Callable[[], object], allowed: str) -> bool:
        """Do what may be refused for one reason; tell whether it was done."""
        try:
            work()
        except ExportRefused as refused:
            if refused.code != allowed:
                raise
            return False
        return True

    @rule(
        kill=st.none() | st.integers(0, 10) | st.integers(0, 3), settled=st.booleans(), trusted=st.booleans()
    )
    def hand(self, kill: int | None, settled: bool, trusted: bool) -> None:
        trust = Trust.SYNCED if trusted else Trust.UNTRUSTED
        if kill is not None:
            TOTALS["kills"] += die_at(
                lambda step: self.box.hand(step=step, settled=settled, trust=trust), kill
            )
        else:
            self.box.hand(settled=settled, trust=trust)

    @precondition(lambda self: self.exports)
    @rule(which=st.integers(0, 7), where=st.sampled_from(list(Where)))
    def hear(self, which: int, where: Where) -> None:
        self.box.say(where, self.exports[which % len(self.exports)], gone=1)

    @precondition(lambda self: self.exports)
    @rule(which=st.integers(0, 7))
    def cancel(self, which: int) -> None:
        self.tried(lambda: self.box.cancel(self.exports[which % len(self.exports)]), "EXPORT_UNKNOWN")

    @rule(from_h=st.integers(0, 900), length_h=st.integers(1, 400))
    @precondition(lambda self: len(self.held) < 3)
    def place(self, from_h: int, length_h: int) -> None:
        self.holds += 1
        name = f"h{self.holds}"
        start = self.box.clock.utc_ms - from_h * HOUR_MS
        span = Span(start, start + length_h * HOUR_MS)
        self.box.place(order(name, span=span, review_ms=self.box.clock.utc_ms + 30 * DAY_MS))
        self.held[name] = set()
        self.note_held()

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 2))
    def release(self, which: int) -> None:
        name = sorted(self.held)[which % len(self.held)]
        self.box.release(name)
        del self.held[name]

    @rule(days=st.integers(0, 20), kill=st.none() | st.integers(0, 6))
    def expire(self, days: int, kill: int | None) -> None:
        self.box.clock.utc_ms += days * DAY_MS
        self.box.tend()
        self.note_held()
        oldest = self.box.clock.utc_ms - 30 * DAY_MS
        with self.box.catalogue() as catalogue:
            due = [row[0] for row in catalogue.read("SELECT id FROM segment WHERE start_ms <= ?", (oldest,))]
        self.box.condemn(due)
        if kill is not None:
            TOTALS["kills"] += die_at(lambda step: self.box.finish(step=step), kill)
        more = True
        while more:  # a batch ends where it takes long: on a busy machine after any segment
            report = self.box.finish()
            assert (report.unshredded, report.missing, report.refused, report.faults) == (0, 0, [], [])
            TOTALS["erased while exported"] += report.outgoing
            more = report.more

    @rule()
    def lose_rows(self) -> None:
        """The catalogue was lost, and everything but exports is in the new one."""
        with self.box.catalogue() as catalogue:
            for table in ("export_segment", "export"):
                catalogue.write(lambda db, table=table: db.execute(f"DELETE FROM {table}"))

    # --- what must be so -----------------------------------------------------------------------------------------

    def rows(self) -> dict[int, tuple[str, str, int, int]]:
        with self.box.catalogue() as catalogue:
            query = "SELECT id, path, state, start_ms, end_ms FROM segment"
            return {row[0]: row[1:] for row in catalogue.read(query)}

    def note_held(self) -> None:
        from agent.storage.keep import holds

        with self.box.catalogue() as catalogue:
            active = {hold.id: hold for hold in holds.active(catalogue)}
        for name, numbers in self.held.items():
            for number, (path, state, start, end) in self.rows().items():
                if state in ("COMMITTED", "SALVAGED") and active[name].covers("cam1", Span(start, end), path):
                    numbers.add(number)
                    TOTALS["held"] += 1

    def is_open(self, number: int) -> bool:
        fd = self.files[number]
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        try:
            return len(pyrage.decrypt(data, [SECRET])) == 500
        except pyrage.DecryptError:
            return False

    @invariant()
    def nothing_is_lost_and_nothing_is_left(self) -> None:
        if not hasattr(self, "box"):
            return
        rows = self.rows()
        held = set().union(*self.held.values())
        linked = {Path(name).name for name in self.box.outgoing()}
        for number, (path, state, *_) in rows.items():
            if number in held:
                assert state != "GONE", f"{number} was held"
            if state in ("COMMITTED", "SALVAGED"):
                assert self.is_open(number), f"{number} is stored and cannot be opened"
                assert os.path.samestat(os.fstat(self.files[number]), os.stat(self.box.vault_path / path))
            elif state == "GONE" and Path(path).name not in linked:
                assert not self.is_open(number), f"{number} was erased and can be opened"

    def end_all(self) -> None:
        for name in [*self.held]:
            self.release(0)
            assert name
        self.box.hand()
        for export in self.exports:
            self.tried(lambda export=export: self.box.cancel(export), "EXPORT_UNKNOWN")
        self.expire(60, None)
        self.box.hand()
        self.nothing_is_lost_and_nothing_is_left()
        assert self.box.names() == self.box.names("outgoing") == self.box.names("holds") == []
        assert not any(self.is_open(number) for number in self.files)
        unshredded = {body["path"] for body in self.box.erased() if not body["shredded"]}
        told = Counter(body["path"] for body in self.box.told("segment.shredded"))
        assert set(told) == unshredded, "a tombstone that was left open, or closed twice"
        assert set(told.values()) <= {1}
        with self.box.catalogue() as catalogue:
            states = catalogue.read("SELECT state, cleared FROM export")
        assert all(
            State(state) not in ("requested", "bundled", "sent") and cleared for state, cleared in states
        )
        TOTALS.update(schedules=1, segments=len(self.files), exports=len(self.exports), shredded=len(told))


def play(count: int, number: int) -> None:
    run_state_machine_as_test(
        seed(number)(Days),
        settings=settings(
            max_examples=count,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_i9_a_sample_of_exports() -> None:
    """I9."""
    TOTALS.clear()
    play(200, 20261122)
    assert min(TOTALS["shredded"], TOTALS["kills"], TOTALS["held"]) > 30, TOTALS


@pytest.mark.parametrize("seconds", [-1.0, 60.0])
def test_i9_a_schedule_that_records_all_the_time_is_erased_too(monkeypatch, seconds) -> None:
    """I9: more than a keeper erases in one turn, on a machine that is too busy for more than one, and on an idle one."""
    monkeypatch.setattr(batch, "E3_S", seconds)
    days = Days()
    days.begin()
    for _ in range(24):
        days.record(count=5)
    assert len(days.files) > 100
    days.teardown()


@pytest.mark.campaign
def test_i9_two_thousand_schedules_of_exports() -> None:
    """I9."""
    TOTALS.clear()
    play(2000, 1)
    print(TOTALS)
