"""Who watches the clock: what is published, what is told, and how what was recorded in doubt gets its time back."""

from __future__ import annotations

import errno
import json
import os

import pytest

from agent import timefile
from agent.clock import SystemClock, read
from agent.errors import StorageFault
from agent.model import Gap, GapCause, Instant, Span, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.keep.time import TimeKeeper, begin_boot, confirm, mark_boot, published, read_word
from agent.trust import HOLDOVER_MS, Reason
from tests.unit.clocks import T0, FakeSource
from tests.unit.keep.rows import catalogue as make
from tests.unit.keep.rows import row
from tests.unit.storage.box import FailingDisk

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


class Site:
    """A box with a catalogue, its keeper of time and one recorder's clock."""

    def __init__(self, state, source: FakeSource, disk: FailingDisk | None = None) -> None:
        self.state = state
        self.source = source
        self.disk = disk or FailingDisk()
        self.catalogue = make(state)
        self.files = 0
        self.boot()

    def boot(self) -> None:
        """Start recorder and keeper."""
        begin_boot(self.state, source=self.source)
        mark_boot(self.catalogue, source=self.source)
        self.restart()

    def restart(self) -> None:
        self.keeper = TimeKeeper(self.state, source=self.source, disk=self.disk)
        self.clock = SystemClock(self.state, self.source)

    def tick(self, ms: int = 1000) -> Instant:
        self.source.run(ms)
        now = self.keeper.observe()
        self.keeper.tell(self.catalogue)
        return now

    def record(self, camera: str = "cam1", minutes: int = 1) -> None:
        """Record a segment a minute, watched all the while."""
        for _ in range(minutes):
            start = self.clock.now()
            for _ in range(60):
                self.tick()
            end_ms = self.clock.now().utc_ms
            self.files += 1
            path = f"segments/{camera}/day/{self.files}.mp4.age"
            segment = row(camera, start.utc_ms, end_ms=end_ms, trust=start.trust.value, path=path)
            assert self.catalogue.commit_segment(segment, self.clock.now())

    def miss(self, camera: str = "cam1") -> None:
        """Miss a minute."""
        start_ms = self.clock.now().utc_ms
        for _ in range(60):
            self.tick()
        now = self.clock.now()
        self.catalogue.add_gap(Gap(camera, Span(start_ms, now.utc_ms), GapCause.CAMERA_SILENT), now)

    def confirm(self) -> None:
        confirm(self.state, "kim", read(self.source))

    def settle(self, limit: int = 5000) -> int:
        total = 0
        while count := self.keeper.settle(self.catalogue, limit):
            total += count
        return total

    def rows(self, table: str = "segment") -> list[tuple]:
        kept = ", kept_from_ms" if table == "segment" else ""
        return self.catalogue.read(
            f"SELECT start_ms, end_ms, trust, relabelled_from_ms{kept} FROM {table} ORDER BY id"
        )

    def facts(self, kind: str = "") -> list[tuple[str, dict]]:
        return [
            (entry.kind, json.loads(entry.body))
            for entry in self.catalogue.ledger(0, 100_000)
            if entry.kind.startswith(kind or ("clock.", "time."))
        ]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.facts()]


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "state", FakeSource(synced=True))
    yield made
    made.catalogue.close()


@pytest.fixture
def lost(tmp_path):
    """A box without a battery: it begins in 1970."""
    made = Site(tmp_path / "state", FakeSource(20_000))
    yield made
    made.catalogue.close()


# Watching ------------------------------------------------------------------------------------------------------


def test_c2_a_step_is_in_the_ledger_within_the_second(site):
    site.tick()
    site.source.step(40 * DAY_MS)
    before = site.tick()
    assert before == Instant(T0 + 2000, Trust.UNTRUSTED)
    assert site.facts("clock.step") == [
        ("clock.step", {"from_ms": T0 + 2000, "to_ms": T0 + 2000 + 40 * DAY_MS, "delta_ms": 40 * DAY_MS})
    ]
    assert site.kinds()[-1] == "clock.untrusted"
    status = site.keeper.status()
    assert (status.state, status.reason) == (Trust.UNTRUSTED, Reason.STEPPED)
    assert status.real_ms == T0 + 2000 + 40 * DAY_MS
    assert status.since_ms == T0 + 2000


def test_what_is_known_outlives_the_keeper(site):
    site.tick()
    site.source.step(40 * DAY_MS)
    site.tick()
    site.restart()
    assert site.tick() == Instant(T0 + 3000, Trust.UNTRUSTED)
    site.source.step(-40 * DAY_MS)
    assert site.tick() == Instant(T0 + 4000, Trust.SYNCED)


def test_a_step_while_nobody_watches_is_told_by_the_next_keeper(site):
    site.tick()
    site.source.run(HOUR_MS)
    site.source.step(-DAY_MS)
    site.restart()
    assert site.tick() == Instant(T0 + HOUR_MS + 2000, Trust.UNTRUSTED)
    assert site.facts("clock.step")[0][1]["delta_ms"] == -DAY_MS


def test_facts_wait_on_disk_for_the_ledger(tmp_path):
    source = FakeSource()
    state = tmp_path / "state"
    assert begin_boot(state, source=source) == Instant(T0, Trust.UNTRUSTED)
    keeper = TimeKeeper(state, source=source)
    assert [fact.kind for fact in keeper.facts()] == ["clock.untrusted"]
    made = make(state)
    assert keeper.tell(made) == 1
    assert keeper.facts() == []
    assert keeper.tell(made) == 0
    made.close()
    assert TimeKeeper(state, source=source).facts() == []


def test_b17_the_clock_is_not_saved_every_second(site):
    site.tick()
    site.disk.calls.clear()
    for _ in range(3600):
        site.tick()
    assert site.disk.calls.count("rename") == 6


def test_a_disk_that_refuses_changes_nothing_in_what_is_decided(tmp_path):
    refusing = []
    disk = FailingDisk(lambda _number, op, _path: errno.ENOSPC if refusing and op == "write" else None)
    site = Site(tmp_path / "state", FakeSource(synced=True), disk)
    site.tick()
    refusing.append(True)
    site.source.step(DAY_MS)
    assert site.tick() == Instant(T0 + 2000, Trust.UNTRUSTED)
    fault = site.keeper.status().fault
    assert fault is not None
    assert fault.code == "DISK_FULL"
    assert site.clock.now() == Instant(T0 + 2000, Trust.UNTRUSTED)  # recorders see it without being told
    refusing.clear()
    site.tick()
    assert site.keeper.status().fault is None
    known = published(site.state)
    assert known is not None
    assert known.reason is Reason.STEPPED
    site.catalogue.close()


def test_a_state_directory_that_is_gone_is_no_reason_to_stop(tmp_path):
    keeper = TimeKeeper(tmp_path / "nowhere", source=FakeSource(synced=True))
    assert keeper.observe() == Instant(T0, Trust.SYNCED)
    assert keeper.status().fault is not None


def test_only_one_line_is_begun_in_a_boot(tmp_path):
    """The keeper and the recorder start together; the clock is set between their first looks."""
    source = FakeSource(20_000)
    state = tmp_path / "state"
    state.mkdir()
    keeper = TimeKeeper(state, source=source)
    begin_boot(state, source=source)
    source.run(1000)
    source.step(T0)
    assert keeper.observe() == Instant(21_000, Trust.UNTRUSTED)
    assert begin_boot(state, source=source) == Instant(21_000, Trust.UNTRUSTED)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff", b'{"magic":"pasu-time","version":1}'])
def test_a_lost_or_damaged_file_is_no_first_installation(site, content):
    """I6: the ledger's last trusted entry says that this box has known the time."""
    site.tick()
    for way in ("damaged", "gone"):
        file = site.state / timefile.FILE
        file.write_bytes(content) if way == "damaged" else file.unlink()
        site.source.reboot(40 * DAY_MS, synced=True)
        site.restart()
        assert site.tick().trust is Trust.UNTRUSTED
        assert site.keeper.status().reason is Reason.ABSENT
        anchor = site.keeper.status().anchor
        assert anchor is not None
        assert anchor.source == "ledger"


def test_an_empty_ledger_knows_no_time(tmp_path):
    source = FakeSource(synced=True)
    make(tmp_path / "state").close()
    assert TimeKeeper(tmp_path / "state", source=source).observe() == Instant(T0, Trust.SYNCED)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "catalogue.db").write_bytes(b"no database" * 100)
    assert TimeKeeper(tmp_path / "broken", source=source).observe() == Instant(T0, Trust.SYNCED)


def test_a_word_that_cannot_be_read_is_none(tmp_path):
    assert read_word(tmp_path) is None
    for content in (b"\xff", b"{}", b"[1]"):
        (tmp_path / timefile.CONFIRMED_FILE).write_bytes(content)
        assert read_word(tmp_path) is None


def test_status_explains_in_both_languages(site, monkeypatch):
    seen = set()
    for language in ("C.UTF-8", "ko_KR.UTF-8"):
        monkeypatch.setenv("LC_ALL", language)
        for reason in Reason:
            site.tick()
            status = site.keeper.status()
            object.__setattr__(status, "reason", reason)
            object.__setattr__(status, "confirmed", False)
            assert status.what
            seen.add((status.what, status.next))
            object.__setattr__(status, "confirmed", True)
            assert status.what + status.next
    assert len(seen) == 2 * len(Reason)


def test_status_before_the_first_look_is_what_one_would_decide(site):
    site.tick()
    site.source.synced = False
    site.source.run(HOUR_MS)
    status = TimeKeeper(site.state, source=site.source).status()
    assert (status.state, status.reason, status.kernel_synced) == (Trust.HOLDOVER, Reason.HOLDOVER, False)
    assert status.held_ms == HOUR_MS + 1000
    assert status.left_ms == HOLDOVER_MS - HOUR_MS - 1000
    fresh = TimeKeeper(site.state / "other", source=FakeSource()).status()
    assert (fresh.state, fresh.reason, fresh.anchor, fresh.left_ms) == (
        Trust.UNTRUSTED,
        Reason.UNSYNCED,
        None,
        0,
    )


def test_c8_a_box_from_a_store_waits_for_two_words(site):
    site.record()
    site.source.reboot(40 * DAY_MS)
    site.boot()
    assert site.tick().trust is Trust.UNTRUSTED
    site.confirm()
    site.tick()
    status = site.keeper.status()
    assert (status.state, status.reason, status.confirmed) == (Trust.UNTRUSTED, Reason.ABSENT, True)
    assert site.settle() == 0
    site.source.synced = True
    now = site.tick()
    assert now.trust is Trust.SYNCED
    assert [kind for kind in site.kinds() if "trusted" in kind] == [
        "clock.trusted",
        "clock.untrusted",
        "clock.trusted",
    ]


def test_c8_a_time_that_was_refused_is_remembered_over_a_restart_of_the_keeper(site):
    """C8: forty days in a store; the time service that was refused alone tries another time, an hour after the last."""
    site.source.reboot(40 * DAY_MS, synced=True)
    site.boot()
    assert site.tick().trust is Trust.UNTRUSTED
    site.source.step(-40 * DAY_MS + 3_600_000)
    site.boot()
    assert site.tick().trust is Trust.UNTRUSTED
    assert site.keeper.status().reason is Reason.BACKWARD
    site.confirm()
    assert site.tick().trust is Trust.SYNCED


# Settling ------------------------------------------------------------------------------------------------------


def test_c1_what_was_recorded_in_1970_gets_its_time(lost):
    lost.tick()
    lost.record(minutes=3)
    lost.miss()
    lost.record("cam2")
    assert [row[2:] for row in lost.rows()] == [("UNTRUSTED", None, None)] * 4
    assert lost.settle() == 0
    before, gaps = lost.rows(), lost.rows("gap")
    # The network comes: the clock is set.
    lost.source.synced = True
    shift = T0 - lost.source.utc
    lost.source.step(shift)
    lost.tick()
    assert lost.settle() == 5
    assert lost.rows() == [
        (start + shift, end + shift, "HOLDOVER", start, start + shift) for start, end, *_ in before
    ]
    assert lost.rows("gap") == [(start + shift, end + shift, "HOLDOVER", start) for start, end, *_ in gaps]
    (fact,) = lost.facts("time.")
    starts = [one[0] for one in before + gaps]
    ends = [one[1] for one in before + gaps]
    assert fact == (
        "time.relabelled",
        {
            "segments": 4,
            "gaps": 1,
            "shift_ms": shift,
            "from": {"start_ms": min(starts), "end_ms": max(ends)},
            "to": {"start_ms": min(starts) + shift, "end_ms": max(ends) + shift},
        },
    )
    lost.tick(5000)
    lost.record()
    assert lost.rows()[-1][2] == "SYNCED"
    assert lost.settle() == 0


def test_c1_a_segment_that_is_committed_after_the_clock_was_set_is_settled_too(lost):
    """It began on the old line, and its row comes a minute later, when the first batch is long done."""
    lost.tick()
    begun = lost.clock.now()
    lost.source.synced = True
    shift = T0 - lost.source.utc
    lost.source.step(shift)
    for _ in range(60):
        lost.tick()
    lost.settle()
    lost.restart()
    segment = row("cam1", begun.utc_ms, end_ms=begun.utc_ms + 500, trust=begun.trust.value)
    lost.catalogue.commit_segment(segment, lost.clock.now())
    assert lost.settle() == 1
    assert lost.rows() == [
        (
            begun.utc_ms + shift,
            begun.utc_ms + 500 + shift,
            "HOLDOVER",
            begun.utc_ms,
            begun.utc_ms + shift,
        )
    ]


def test_c1_the_gap_from_the_boot_before_is_known_in_the_end(lost):
    """No recorder could measure it: what was recorded before lay in the future of 1970."""
    lost.source.synced = True
    lost.source.step(T0)
    lost.boot()
    lost.tick()
    lost.record()
    ended = lost.rows()[-1][1]
    lost.source.reboot(utc_ms=20_000)
    lost.boot()
    lost.tick()
    lost.record(minutes=2)
    lost.source.synced = True
    lost.source.step(ended + 2 * HOUR_MS - lost.source.utc)
    lost.tick()
    assert lost.settle(limit=1) == 2
    first = lost.rows()[1][0]
    assert first > ended + HOUR_MS
    assert [tuple(gap[:3]) for gap in lost.rows("gap")] == [(ended, first, "HOLDOVER")]
    assert lost.facts("gap")[0][1]["cause"] == "agent_killed"
    assert lost.rows()[2][0] >= lost.rows()[1][1]


def test_c2_what_was_recorded_after_a_step_keeps_its_time_when_the_clock_comes_back(site):
    site.record()
    site.source.step(40 * DAY_MS)
    site.tick()
    site.record(minutes=2)
    before = site.rows()
    assert [one[2] for one in before] == ["SYNCED", "UNTRUSTED", "UNTRUSTED"]
    assert site.settle() == 0
    site.source.step(-40 * DAY_MS)
    site.tick()
    assert site.settle() == 2
    assert [one[:2] for one in site.rows()] == [one[:2] for one in before]
    assert [one[4] for one in site.rows()] == [one[0] for one in before]
    assert [one[2] for one in site.rows()] == ["SYNCED", "HOLDOVER", "HOLDOVER"]
    assert site.facts("time.")[0][1]["shift_ms"] == 0


@pytest.mark.parametrize("by_ms", [40 * DAY_MS, 365 * DAY_MS, -HOUR_MS, -365 * DAY_MS])
def test_c2_c3_what_was_recorded_after_a_step_moves_when_the_new_time_is_confirmed(tmp_path, by_ms):
    site = Site(tmp_path / "state", FakeSource(T0 + 400 * DAY_MS, synced=True))
    site.record()
    site.source.step(by_ms)
    site.tick()
    site.record(minutes=2)
    site.miss()
    before = site.rows()
    site.confirm()
    site.tick()
    assert site.settle() == 3
    after = site.rows()
    assert after[0] == before[0], "what was recorded before the step was recorded in trusted time"
    assert [one[0] - old[0] for one, old in zip(after[1:], before[1:], strict=True)] == [by_ms, by_ms]
    assert [one[3] for one in after[1:]] == [old[0] for old in before[1:]]
    assert site.rows("gap")[0][0] - site.rows("gap")[0][3] == by_ms
    ids = [one[0] for one in site.catalogue.read("SELECT id FROM segment ORDER BY id")]
    assert len(set(ids)) == 3
    site.catalogue.close()


def test_a_recorder_that_saw_what_the_keeper_missed(site):
    """The clock left and came back between two ticks: the label stayed on the line, and is right."""
    site.tick()
    site.source.step(DAY_MS)
    begun = site.clock.now()
    assert begun.trust is Trust.UNTRUSTED
    site.source.step(-DAY_MS)
    site.tick()
    site.catalogue.commit_segment(row("cam1", begun.utc_ms, trust=begun.trust.value), site.clock.now())
    assert site.settle() == 1
    assert site.rows()[0][:1] + site.rows()[0][2:] == (begun.utc_ms, "HOLDOVER", begun.utc_ms, begun.utc_ms)


def test_a_box_whose_clock_is_right_and_never_synchronised(tmp_path):
    site = Site(tmp_path / "state", FakeSource())
    site.record(minutes=2)
    before = site.rows()
    site.confirm()
    assert site.tick().trust is Trust.HOLDOVER
    assert site.settle() == 2
    assert [one[0] for one in site.rows()] == [one[0] for one in before]
    assert [one[4] for one in site.rows()] == [one[0] for one in before]
    site.catalogue.close()


def test_rows_of_a_boot_that_ended_in_doubt_are_kept_from_now(lost):
    """Twice in 1970 before the network comes: what the first boot's labels were off by nobody will ever know."""
    lost.tick()
    lost.record(minutes=2)
    lost.miss()
    old = lost.rows()
    lost.source.reboot(utc_ms=20_000)
    lost.boot()
    lost.tick()
    lost.record()
    lost.source.synced = True
    lost.source.step(T0)
    now = lost.tick()
    assert lost.settle() == 4
    rows = lost.rows()
    assert rows[:2] == [(start, end, "UNTRUSTED", None, now.utc_ms) for start, end, *_ in old]
    assert rows[2][2] == "HOLDOVER"
    assert rows[2][0] > T0
    assert lost.rows("gap")[0][2:] == ("UNTRUSTED", lost.rows("gap")[0][0])
    kind, body = lost.facts("time.unplaced")[0]
    assert (kind, body["segments"], body["gaps"], body["kept_from_ms"]) == ("time.unplaced", 2, 1, now.utc_ms)
    assert lost.settle() == 0


def test_rows_that_were_salvaged_after_a_restart_still_find_their_doubt(lost):
    """Trust came, then the power went before the open segment was committed."""
    lost.tick()
    begun = lost.clock.now()
    lost.source.synced = True
    shift = T0 - lost.source.utc
    lost.source.step(shift)
    lost.tick()
    lost.source.reboot(HOUR_MS, synced=True)
    segment = row("cam1", begun.utc_ms, end_ms=begun.utc_ms + 1000, trust="UNTRUSTED")
    lost.catalogue.commit_segment(segment, lost.clock.now())
    lost.boot()
    lost.tick()
    assert lost.settle() == 1
    assert lost.rows()[0][4] == begun.utc_ms + shift


def test_rows_are_settled_in_batches(lost):
    lost.tick()
    start_ms = lost.clock.now().utc_ms
    for number in range(25):
        segment = row("cam1", start_ms + number, trust="UNTRUSTED")
        lost.catalogue.commit_segment(segment, lost.clock.now())
    lost.source.synced = True
    lost.source.step(T0)
    lost.tick()
    assert [lost.keeper.settle(lost.catalogue, 10) for _ in range(4)] == [10, 10, 5, 0]
    assert [fact[1]["segments"] for fact in lost.facts("time.")] == [10, 10, 5]
    assert all(one[4] is not None for one in lost.rows())


@pytest.mark.parametrize("table", ["segment", "gap"])
def test_a_row_that_cannot_be_true_is_left_and_the_others_are_settled(lost, table):
    """B11: one damaged row does not stop the keeper."""
    lost.record(minutes=3)
    lost.miss()
    lost.catalogue.write(lambda db: db.execute(f"UPDATE {table} SET start_ms = 'soon' WHERE id = 1"))
    lost.source.synced = True
    lost.source.step(T0 - lost.source.utc)
    lost.tick()
    assert lost.settle() == 3
    assert lost.rows(table)[0][0] == "soon"


def test_a_batch_asks_no_more_for_many_rows_than_for_few(lost):
    """It holds the catalogue's lock, and recorders wait: nothing in it may walk the table for each row."""
    asked: list[int] = []
    lost.tick()
    for count in (20, 400):
        for _ in range(count):
            lost.files += 1
            at = lost.clock.now()
            segment = row(
                "cam1", at.utc_ms + lost.files, trust="UNTRUSTED", path=f"segments/cam1/day/{lost.files}"
            )
            lost.catalogue.commit_segment(segment, at)
        if count == 20:
            lost.source.synced = True
            lost.source.step(T0)
            lost.tick()
        said: list[str] = []
        lost.catalogue._db.set_trace_callback(said.append)
        assert lost.keeper.settle(lost.catalogue) == count
        lost.catalogue._db.set_trace_callback(None)
        asked.append(sum(text.startswith("SELECT") for text in said))
        lost.clock = SystemClock(lost.state, FakeSource(20_000))  # as a recorder that has not looked yet
    assert asked[1] <= asked[0] <= 15


def test_a_gap_that_began_before_the_boot_keeps_its_beginning(tmp_path):
    """The clock was ahead after the restart: the recorder's gap reaches over from the old line to the new."""
    site = Site(tmp_path / "state", FakeSource(synced=True))
    site.record()
    ended = site.rows()[-1][1]
    site.source.reboot(20 * DAY_MS)
    site.boot()
    site.tick()
    first = site.clock.now()
    site.catalogue.add_gap(Gap("cam1", Span(ended, first.utc_ms), GapCause.AGENT_KILLED), first)
    site.record()
    site.source.step(HOUR_MS - 20 * DAY_MS)
    site.source.synced = True
    site.tick()
    site.settle()
    (gap,) = site.rows("gap")
    assert gap[0] == ended
    assert gap[1] == first.utc_ms + HOUR_MS - 20 * DAY_MS
    assert site.rows()[1][0] == gap[1]
    site.catalogue.close()


def test_nothing_is_settled_when_the_disk_refuses(lost):
    lost.tick()
    lost.record()
    lost.source.synced = True
    lost.source.step(T0)
    lost.tick()
    reading = Catalogue.open(lost.state, read_only=True)
    with pytest.raises(StorageFault):
        lost.keeper.settle(reading)
    reading.close()
    assert lost.settle() == 1


def test_a_recorder_without_anybody_who_watches_is_settled_when_somebody_comes(tmp_path):
    """`pasu record` alone: its labels are right, and nobody says so until the keeper is started."""
    source = FakeSource()
    state = tmp_path / "state"
    begin_boot(state, source=source)
    made = make(state)
    mark_boot(made, source=source)
    clock = SystemClock(state, source)
    made.commit_segment(row("cam1", clock.now().utc_ms, trust=clock.now().trust.value), clock.now())
    source.run(HOUR_MS)
    confirm(state, "kim", read(source))
    source.run(HOUR_MS)
    keeper = TimeKeeper(state, source=source)
    assert keeper.observe().trust is Trust.HOLDOVER
    assert keeper.settle(made) == 1
    assert made.read("SELECT start_ms, kept_from_ms FROM segment") == [(T0, T0)]
    made.close()


def test_files_of_time_are_for_their_owner_only(site):
    site.tick()
    site.confirm()
    for name in (timefile.FILE, timefile.CONFIRMED_FILE):
        assert os.stat(site.state / name).st_mode & 0o777 == 0o600
