"""The keeper's turns: what it erases, when it does not, and what it says. Rows: B3, B15, B19, C8, I1, I5."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace

import pytest

from agent.health import CONDITIONS, read_health
from agent.model import Instant, Span, Trust
from agent.storage import locks
from agent.storage.keep import daily, erase, holds, outgoing, retention, rollover, survey
from agent.storage.keep.time import confirm
from agent.storage.proof import prune
from agent.storage.vault import IDENTITY
from tests.unit.keep.handing import wanted
from tests.unit.keep.keeping import MONTH_MS, Kept30
from tests.unit.keep.kept import DAY_MS, RESPONSIBLE, order
from tests.unit.storage.box import T0, FailingDisk


@pytest.fixture
def box(tmp_path):
    made = Kept30(tmp_path / "box")
    yield made
    made.keeper.close()


def bodies(box, kind):
    return [body for found, body in box.facts() if found == kind]


def test_i1_what_is_thirty_days_old_is_erased_and_nothing_else(box):
    """I1: to the keeper's cycle of ten seconds."""
    box.record(count=20)
    box.pass_time(MONTH_MS - 20_000)
    box.turn()
    assert "GONE" not in box.states().values()
    box.turn(2)
    # The clock stands at T0 + 30 d + 10 s: eleven segments have begun by then.
    assert list(box.states().values()) == ["GONE"] * 11 + ["COMMITTED"] * 9
    box.turn(2)
    assert set(box.states().values()) == {"GONE"}
    assert [body["start_ms"] for body in box.erased()] == [T0 + number * 1000 for number in range(20)]
    assert {(body["cause"], body["responsible"]) for body in box.erased()} == {("EXPIRED", RESPONSIBLE)}
    assert box.names() == []


def test_a_camera_with_a_shorter_retention_loses_only_its_own(box):
    box.keeper = box.start(retention={"cam1": DAY_MS, "cam2": MONTH_MS})
    box.record("cam1")
    box.record("cam2")
    box.pass_time(DAY_MS + 1000)
    box.turn()
    assert [body["camera"] for body in box.erased()] == ["cam1"]


def test_what_is_held_stays_until_it_is_released(box):
    box.record(count=3)
    box.place(order(span=Span(T0 + 1000, T0 + 2000)))
    box.pass_time(MONTH_MS + DAY_MS)
    box.turn()
    assert [*box.states().values()] == ["GONE", "COMMITTED", "GONE"]
    assert box.keeper._rollover.overdue_ms == 0
    box.release()
    box.turn()
    assert [*box.states().values()] == ["GONE"] * 3


def test_what_a_hold_will_cover_is_linked_when_it_is_recorded(box):
    box.record()
    box.place(order(span=Span(T0, T0 + DAY_MS)))
    box.record(at_ms=T0 + 60_000)
    box.turn()
    assert len(box.links()) == 2


def test_by_an_untrusted_clock_nothing_is_erased_and_a_jump_is_told(box):
    """C8 and C2 seen from the keeper; the naive way would lose everything here."""
    box.record(count=3)
    box.turn()
    box.source.step(400 * DAY_MS)
    box.turn(3)
    assert set(box.states().values()) == {"COMMITTED"}
    assert "time.untrusted" in box.conditions
    health = read_health(box.run, "keep")
    assert health["retention"]["blocked"] == "time.untrusted"
    assert health["retention"]["overdue_ms"] is None
    confirm(box.state, "kim", box.keeper._clock._seen)
    box.turn()
    assert set(box.states().values()) == {"GONE"}
    assert "time.untrusted" not in box.conditions


def test_c8_a_box_from_the_store_erases_after_two_words_and_not_before(box):
    """C8: forty days off; everything over age goes within the hour after the time was doubly confirmed."""
    box.record(count=4)
    box.turn()
    box.keeper.close()
    box.source.reboot(40 * DAY_MS, synced=True)
    box.clock.utc_ms = box.source.utc
    box.keeper = box.start()
    box.turn(5)
    assert set(box.states().values()) == {"COMMITTED"}
    confirm(box.state, "kim", box.keeper._clock._seen)
    box.turn()
    assert set(box.states().values()) == {"GONE"}
    assert len(box.erased()) == 4


def test_nothing_is_erased_while_the_catalogue_is_not_whole(box, monkeypatch):
    box.record()
    box.pass_time(MONTH_MS + 60_000)
    with box.catalogue() as catalogue:
        catalogue.set_meta("reconcile", "lost")
    # The rebuilding itself is another's; here it is never finished.
    monkeypatch.setattr(type(box.keeper), "_rebuild", lambda *_: False)
    box.turn(2)
    assert set(box.states().values()) == {"COMMITTED"}
    assert read_health(box.run, "keep")["retention"]["blocked"] == "catalogue.reconciling"
    assert box.conditions["retention.lag"] == "1 min" if box.keeper._rollover.overdue_ms > 1_800_000 else True
    with box.catalogue() as catalogue:
        catalogue.set_meta("reconcile", None)
    box.turn()
    assert set(box.states().values()) == {"GONE"}


def test_nothing_is_erased_before_holds_are_reconciled(box, monkeypatch):
    box.record()
    box.pass_time(MONTH_MS + 1000)

    def fails(*_, **__):
        raise locks.StorageFault("DISK_FAILED", "no")

    with monkeypatch.context() as patch:
        patch.setattr("agent.storage.keep.holds.Tender.turn", fails)
        box.turn(2)
        assert set(box.states().values()) == {"COMMITTED"}
        assert "keeper.trouble holds" in box.conditions
    box.turn()
    assert set(box.states().values()) == {"GONE"}


def test_b15_a_vault_that_is_away_is_left_alone_and_its_rows_stay(box):
    """B15: absence is never emptiness; when it comes back, it goes on."""
    box.record(count=2)
    box.turn()
    away = box.root / "away"
    box.vault_path.rename(away)
    box.vault_path.mkdir()
    box.pass_time(MONTH_MS + 60_000)
    box.turn(2)
    assert set(box.states().values()) == {"COMMITTED"}
    assert box.conditions[f"vault.missing {box.vault_path}"] == "VAULT_MISSING"
    assert [*box.vault_path.iterdir()] == []
    box.vault_path.rmdir()
    away.rename(box.vault_path)
    box.turn()
    assert set(box.states().values()) == {"GONE"}
    assert not [code for code in box.conditions if code.startswith("vault.missing")]


def test_b15_another_disk_in_its_place_is_not_touched(box):
    """B15."""
    box.record()
    box.turn()
    identity = json.loads((box.vault_path / IDENTITY).read_text())
    (box.vault_path / IDENTITY).write_text(json.dumps({**identity, "uuid": "somebody-else"}))
    box.pass_time(MONTH_MS + 60_000)
    box.turn(2)
    assert set(box.states().values()) == {"COMMITTED"}
    assert len(box.names()) == 1
    assert f"vault.foreign {box.vault_path}" in box.conditions


def test_a_vault_that_goes_away_between_plan_and_erasing_is_left_alone(box):
    """B15: its files are not there then, which must not be taken for erased."""
    box.record(count=3)
    box.turn()
    box.pass_time(MONTH_MS + 60_000)
    away = box.root / "away"
    box.keeper.close()
    box.keeper = box.start(step=lambda name: box.vault_path.rename(away) if name == "K2" else None)
    box.turn()
    assert set(box.states().values()) == {"CONDEMNED"}
    assert box.erased() == []
    away.rename(box.vault_path)
    box.keeper = box.start()
    box.turn()
    assert set(box.states().values()) == {"GONE"}
    assert [body.get("missing") for body in box.erased()] == [None] * 3


def test_a_missing_catalogue_is_told_and_the_keeper_goes_on_when_it_is_back(box):
    box.record()
    box.turn()
    aside = box.root / "aside"
    aside.mkdir()
    box.keeper.close()
    for place in box.state.glob("catalogue.db*"):
        place.rename(aside / place.name)
    box.pass_time(MONTH_MS + 1000)
    box.turn(2)
    assert box.conditions["catalogue.unavailable"] == "CATALOGUE_MISSING"
    assert not (box.state / "catalogue.db").exists()
    for place in aside.iterdir():
        place.rename(box.state / place.name)
    box.turn()
    assert set(box.states().values()) == {"GONE"}


def test_by_a_catalogue_that_was_moved_aside_nothing_more_is_erased(box):
    """Another file stands in its place: the keeper takes that one, and reconciles holds again."""
    box.record(count=2)
    box.turn()
    old = box.keeper._catalogue
    copy = box.root / "copy.db"
    shutil.copy(box.state / "catalogue.db", copy)
    with box.catalogue() as catalogue:
        catalogue.read("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(box.state / "catalogue.db", copy)
    os.replace(copy, box.state / "catalogue.db")
    for left in box.state.glob("catalogue.db-*"):
        left.unlink()
    box.turn()
    assert box.keeper._catalogue is not old
    assert box.keeper._reconciled == {"uuid-1"}


@pytest.mark.parametrize("late", [False, True])
def test_b12_yesterdays_catalogue_is_begun_anew_by_the_keeper_alone(box, late):
    """B12: by its rows nothing is erased or buried again; what is stored has its rows again, without a person.

    late   the state directory is yesterday's as a whole, and the vault that knows better comes a while later
    """
    box.record(count=3)
    box.turn(2)
    box.pass_time(70_000)
    box.turn()
    box.keeper.close()
    yesterday = box.root / "yesterday"
    shutil.copytree(box.state, yesterday)
    box.keeper = box.start()
    box.record(at_ms=T0 + DAY_MS, count=3)
    for _ in range(30):
        box.pass_time(DAY_MS)
        box.keeper.tick()
    box.pass_time(70_000)
    box.turn(3)
    assert len(box.erased()) == 3
    kept = box.names()
    box.keeper.close()
    for place in box.state.glob("catalogue.db*"):
        place.unlink()
    for name in ["catalogue.db", *(["CHECKPOINT"] if late else [])]:
        shutil.copy(yesterday / name, box.state / name)
    away = box.root / "away"
    if late:
        box.vault_path.rename(away)
    box.keeper = box.start()
    if late:
        box.turn()
        assert "vault.missing" in "".join(box.conditions)
        away.rename(box.vault_path)
    box.turn(3)
    began = bodies(box, "ledger.began")
    assert [body["reason"] for body in began] == ["old"]
    assert box.erased() == []
    assert box.kinds().count("tamper.ledger") == 0
    assert set(box.states().values()) == {"COMMITTED"}
    assert sorted(box.states()) == box.names() == kept
    assert read_health(box.run, "keep")["retention"]["blocked"] == ""
    box.pass_time(DAY_MS)
    box.turn(2)
    assert len(box.erased()) == 3
    assert box.prepare().began == ""


def short(box, free, total=1 << 30):
    """Make the disk look short: `free` bytes are left of it."""
    marks = retention.byte_marks(total, 0)
    return lambda path, *more: retention.Room(total, marks.low - free, 1000, 900, *more)


def test_b1_a_short_disk_loses_the_oldest_with_a_record_and_an_alarm(box, monkeypatch):
    """B1: EVICTED is another cause than EXPIRED, and no more goes than is needed."""
    box.record(count=10, size=3_000_000)
    size = box.rows()[0].sealed_bytes
    marks = retention.byte_marks(1 << 30, 0)
    free = [marks.high - 2 * size - 1]
    monkeypatch.setattr(retention, "byte_marks", lambda *_: replace(marks, low=marks.high))
    monkeypatch.setattr(
        survey, "room", lambda _, *more: retention.Room(1 << 30, free[0], 1_000_000, 900_000, *more)
    )
    box.turn(3)  # the file system shows nothing of it yet
    assert [body["cause"] for body in box.erased()] == ["EVICTED"] * 3
    assert [body["start_ms"] for body in box.erased()] == [T0, T0 + 1000, T0 + 2000]
    assert box.conditions["vault.evicting uuid-1"] == "3 segments"
    raised = [body for body in bodies(box, "condition.raised") if body["code"] == "vault.evicting"]
    assert raised == [
        {"code": "vault.evicting", "subject": "uuid-1", "severity": "alarm", "detail": "3 segments"}
    ]
    free[0] += 3 * size
    box.turn(10)
    assert len(box.erased()) == 3
    assert read_health(box.run, "keep")["retention"]["erased_today"] == {
        "EXPIRED": 0,
        "EVICTED": 3,
        "REQUESTED": 0,
    }


def test_b15_the_room_of_another_disk_evicts_nothing(box, monkeypatch):
    """B15, B1: the vault goes away when it was looked at, and the disk below its mount point is full."""
    box.record(count=20)
    box.turn()
    away = box.root / "away"

    def room(*_):
        if not away.exists():
            box.vault_path.rename(away)
            box.vault_path.mkdir()
        return retention.Room(10 << 30, 0, None, None)

    with monkeypatch.context() as patch:
        patch.setattr(survey, "room", room)
        box.turn()
    assert box.conditions["vault.room_unknown uuid-1"] == ""
    box.vault_path.rmdir()
    away.rename(box.vault_path)
    box.turn(3)
    assert set(box.states().values()) == {"COMMITTED"}
    assert len(box.names()) == 20
    assert "vault.room_unknown uuid-1" not in box.conditions


def test_b3_a_disk_full_of_holds_loses_none_of_them_and_the_rest_rotates(box, monkeypatch):
    """B3: a critical condition; what is not held goes, oldest first, down to the last."""
    box.record(count=4)
    box.place(order(span=Span(T0, T0 + 3000)))
    monkeypatch.setattr(
        survey, "room", lambda _, *more: retention.Room(1 << 30, 0, 1_000_000, 900_000, *more)
    )
    box.turn(2)
    assert [*box.states().values()] == ["COMMITTED"] * 3 + ["GONE"]
    assert "vault.held_full uuid-1" in box.conditions
    assert len(box.links()) == 3
    box.release()
    box.turn(2)
    assert set(box.states().values()) == {"GONE"}
    box.turn()
    assert "vault.full uuid-1" in box.conditions


def test_b3_a_short_disk_evicts_nothing_that_an_export_links(box, monkeypatch):
    """B3: of what is linked no room comes, however much of it is erased; what is not goes, and only what is needed."""
    box.record(count=8)
    box.pass_time(60_000)
    with box.catalogue() as catalogue:
        outgoing.request(catalogue, box.vaults, wanted(span=Span(T0, T0 + 5000)), box.at())
    box.turn(2)
    links = [*box.vault_path.glob("outgoing/*/segments/**/*.age")]
    assert len(links) == 5
    size = box.rows()[0].sealed_bytes
    marks = retention.byte_marks(1 << 30, 0)
    monkeypatch.setattr(retention, "byte_marks", lambda *_: replace(marks, low=marks.high))
    wants = [2]  # segments, of what the file system has; what is linked twice gives none back

    def room(_, *more):
        gone = 8 - len({path.stat().st_ino for path in box.vault_path.rglob("*.mp4.age")})
        return retention.Room(1 << 30, marks.high - (wants[0] - gone) * size, 1_000_000, 900_000, *more)

    monkeypatch.setattr(survey, "room", room)
    box.turn(10)
    assert [*box.states().values()] == ["COMMITTED"] * 5 + ["GONE"] * 2 + ["COMMITTED"]
    wants[0] = 20
    box.turn(10)
    assert [*box.states().values()] == ["COMMITTED"] * 5 + ["GONE"] * 3
    assert "vault.full uuid-1" in box.conditions
    assert all(path.exists() for path in links)


def test_room_that_cannot_be_told_erases_nothing_and_is_told(box, monkeypatch):
    box.record(count=2)
    monkeypatch.setattr(survey, "room", lambda _, *more: retention.Room(None, None, None, None, *more))
    box.turn(2)
    assert set(box.states().values()) == {"COMMITTED"}
    assert "vault.room_unknown uuid-1" in box.conditions


def test_b19_a_row_that_cannot_be_does_not_stop_the_others(box):
    """B19: it is left, and told."""
    box.record(count=3)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE segment SET end_ms = 5 WHERE id = 1"))
        catalogue.write(lambda db: db.execute("UPDATE segment SET sealed_bytes = -1 WHERE id = 2"))
    box.pass_time(MONTH_MS + 60_000)
    box.turn(4)
    assert sorted(box.states().values()) == ["COMMITTED", "GONE", "GONE"]
    assert box.conditions["catalogue.odd_rows"] == "segment 1"


def test_b19_what_nobody_thought_of_in_holds_stops_erasing_and_nothing_else(box, monkeypatch, caplog):
    """B19: the keeper lives, says so once with where it was, and erases when holds can be read again."""
    box.record()
    box.turn()
    good = holds.Tender.turn

    def odd(*_, **__):
        raise TypeError("'<' not supported")

    monkeypatch.setattr(holds.Tender, "turn", odd)
    box.pass_time(MONTH_MS + 1000)
    box.turn(3)
    assert box.conditions["keeper.trouble holds"] == "TypeError"
    assert [record.message for record in caplog.records if record.exc_info] == ["holds"]
    assert box.erased() == []
    assert read_health(box.run, "keep")["retention"]["blocked"] == "holds.unreconciled"
    monkeypatch.setattr(holds.Tender, "turn", good)
    box.turn()
    assert len(box.erased()) == 1
    assert "keeper.trouble holds" not in box.conditions


def test_b19_a_row_of_another_type_under_a_hold_does_not_end_the_keeper(box):
    box.record(count=3)
    box.turn()
    box.place(order(span=Span(T0, T0 + 3_600_000)))
    box.turn()
    box.record(at_ms=T0 + 20_000)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE segment SET end_ms = '' WHERE id = 4"))
    box.turn(2)
    box.pass_time(MONTH_MS)
    box.turn()
    assert box.erased() == []


def test_b19_a_file_that_is_not_ours_does_not_stop_the_others(box):
    """B19, B14: a condemned row with something else in its place: that is left alone, and told; the row does not stay."""
    box.record(count=3)
    path = next(iter(box.states()))
    (box.vault_path / path).write_bytes(b"somebody's notes")
    box.pass_time(MONTH_MS + 60_000)
    box.turn()
    assert [*box.states().values()] == ["GONE"] * 3
    (moved,) = (box.vault_path / "quarantine").iterdir()  # as what has no row is, at once
    assert moved.read_bytes() == b"somebody's notes"
    assert "erase.refused" in box.conditions
    assert [body["path"] for body in box.erased() if body.get("replaced")] == [path]


def test_i5_what_stays_too_long_is_an_alarm(box):
    """I5: also a condemned segment that cannot be erased counts, and the alarm comes within the hour."""
    box.record()
    (box.vault_path / next(iter(box.states()))).unlink()
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE segment SET path = 'odd'"))
    box.pass_time(MONTH_MS + 1_700_000)
    box.turn()
    assert "retention.lag" not in box.conditions
    assert read_health(box.run, "keep")["retention"]["overdue_ms"] == 1_710_000
    box.pass_time(120_000)
    box.turn()
    assert box.conditions["retention.lag"] == "30 min"
    assert read_health(box.run, "keep")["conditions"][0]["severity"] in ("critical", "alarm")


def test_c8_batches_grow_with_a_backlog_as_long_as_nobody_waits_long_for_the_lock(box, monkeypatch):
    """C8: a hold waits about a second for a batch, not more; without a backlog the batches are small again."""
    monkeypatch.setattr(rollover, "FINISH_FILES", 4)
    monkeypatch.setattr(rollover, "MOST_FILES", 16)
    limits, slow = [], [0]
    finish = erase.finish

    def counting(*args, **more):
        limits.append(more["limit"])
        box.source.run(slow[0])
        return finish(*args, **more)

    monkeypatch.setattr(erase, "finish", counting)
    box.record(count=40)
    box.pass_time(MONTH_MS + 60_000)
    box.turn()
    assert limits[:4] == [4, 8, 16, 16]
    assert set(box.states().values()) == {"GONE"}
    box.record(at_ms=T0 + DAY_MS, count=30)
    box.pass_time(DAY_MS)
    limits.clear()
    slow[0] = 1500
    box.turn()
    assert limits[:3] == [4, 2, 1]
    box.turn()
    assert limits[-1] == 4


def test_b19_after_a_sync_that_failed_the_next_batch_goes_file_by_file(box):
    """B19: and when nothing fails any more, batches are synced as a whole again."""
    box.record(count=3)
    box.turn()
    bad = box.names()[1]
    box.pass_time(MONTH_MS + 60_000)
    well = []
    disk = FailingDisk(
        lambda _, op, path: (
            errno.EIO
            if not well and (op == "syncfs" or (op == "fdatasync" and str(path).endswith(bad)))
            else None
        )
    )
    box.keeper.close()
    box.disk = disk
    box.keeper = box.start()
    box.turn(2)
    assert [*box.states().values()] == ["GONE", "CONDEMNED", "GONE"]
    assert "erase.failing" in box.conditions
    well.append(True)
    box.turn()
    assert set(box.states().values()) == {"GONE"}
    box.record(at_ms=T0 + DAY_MS)
    box.pass_time(DAY_MS)
    before = disk.calls.count("syncfs")
    box.turn()
    assert disk.calls.count("syncfs") == before + 1
    assert "erase.failing" not in box.conditions


def test_a_short_state_directory_is_told_as_long_as_it_is(box, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(prune, "short", lambda _: 12_345)
        box.turn()
        assert box.conditions["state.short"] == "12345 bytes free"
    box.turn()
    assert "state.short" not in box.conditions


def test_the_daily_check_of_automatic_erasure_is_told_once_a_day_over_restarts(box):
    """Standard Guideline 42(2): the cycle, when it was checked, and who is responsible."""
    box.record(count=2)
    box.turn(3)
    (first,) = bodies(box, "retention.confirmed")
    assert (first["cycle_s"], first["responsible"], first["oldest_ms"]) == (10, RESPONSIBLE, T0)
    box.keeper.close()
    box.keeper = box.start()
    box.turn()
    assert len(bodies(box, "retention.confirmed")) == 1
    box.pass_time(MONTH_MS)
    box.turn()
    box.pass_time(DAY_MS)
    box.turn()
    second, third = bodies(box, "retention.confirmed")[1:]
    # What was erased in the very turn of a confirmation stands in the next one.
    assert (second["erased"], third["erased"]) == (
        {"EXPIRED": 0, "EVICTED": 0, "REQUESTED": 0},
        {"EXPIRED": 2, "EVICTED": 0, "REQUESTED": 0},
    )
    assert third["from_ms"] == second["to_ms"]


def test_c8_the_daily_check_goes_on_after_a_clock_that_was_a_year_ahead(box):
    """C8: its confirmation from next year does not stand for the days until then."""
    box.turn()
    with box.catalogue() as catalogue:
        ahead = Instant(box.source.utc + 365 * DAY_MS, Trust.SYNCED)
        assert daily.confirm(catalogue, ahead, cycle_s=10, responsible="x", oldest_ms=None, overdue_ms=0)
    for _ in range(3):
        box.turn()
        box.pass_time(DAY_MS)
    told = bodies(box, "retention.confirmed")[2:]
    assert [body["day"] for body in told] == ["2027-01-15", "2027-01-16", "2027-01-17"]
    assert all(body["from_ms"] <= body["to_ms"] for body in told)


def test_rows_of_what_was_erased_long_ago_go_and_tombstones_stay(box):
    box.record(count=2)
    box.pass_time(MONTH_MS + 60_000)
    box.turn()
    assert len(box.states()) == 2
    box.pass_time(6 * DAY_MS)
    box.turn()
    assert len(box.states()) == 2
    box.pass_time(DAY_MS)
    box.turn()
    assert len(box.states()) == 1  # the last row keeps its number taken
    assert len(box.erased()) == 2


def test_the_number_of_a_segment_is_never_given_again(box):
    """Holds and the clock remember numbers: a new segment with an old one would be passed over."""
    box.record(count=2)
    box.pass_time(MONTH_MS + 60_000)
    box.turn()
    box.pass_time(8 * DAY_MS)
    box.turn()
    box.record(at_ms=box.clock.utc_ms)
    with box.catalogue() as catalogue:
        assert catalogue.read("SELECT MAX(id) FROM segment") == [(3,)]


def test_the_ledger_is_signed_and_the_checkpoint_lies_on_the_vault(box):
    box.record()
    box.turn()
    assert (box.vault_path / "CHECKPOINT").exists()
    assert "ledger.unsigned" not in box.conditions


def test_a_ledger_that_was_rewritten_is_a_condition(box):
    box.record()
    box.turn()
    with box.catalogue() as catalogue:
        catalogue.add_fact(locks_fact())
    box.turn()
    assert "ledger.broken" in box.conditions


def locks_fact():
    from agent.model import Fact

    return Fact("tamper.ledger", Instant(T0, Trust.SYNCED), {"verdict": "edited"})


def test_a_hold_whose_review_has_come_is_a_condition(box):
    box.record()
    box.place(order(review_ms=T0 + 10 * DAY_MS))
    box.pass_time(4 * DAY_MS)
    box.turn()
    assert "hold.review_soon h1" in box.conditions
    box.pass_time(7 * DAY_MS)
    box.turn()
    assert "hold.review_due h1" in box.conditions
    assert "hold.review_soon h1" not in box.conditions


def test_guideline_44_the_ten_days_to_answer_a_request_are_counted(box):
    """Standard Guideline 44(4), regulation art. 29(2): told on the seventh day, and from the tenth until it is released."""
    box.record()
    box.place(order("asked", ground="access-request", placed_ms=box.clock.utc_ms))
    box.place(order("police", placed_ms=box.clock.utc_ms))
    told = []
    for _ in range(12):
        box.turn()
        told.append({each for each in box.conditions if each.startswith("hold.answer")})
        box.pass_time(DAY_MS)
    assert told == [set()] * 7 + [{"hold.answer_soon asked"}] * 3 + [{"hold.answer_due asked"}] * 2
    box.release("asked")
    box.turn()
    assert not [each for each in box.conditions if each.startswith("hold.answer")]
    assert "hold.released" in box.kinds()


def test_a_disk_that_is_too_small_is_told_days_before(box, monkeypatch):
    """K6, from the keeper's side: the forecast is an alarm while nothing is evicted yet."""
    box.record(count=3, size=1_000_000)
    box.pass_time(6 * 3_600_000)
    total = 1 << 30
    monkeypatch.setattr(
        survey, "room", lambda _, *more: retention.Room(total, total // 2, 1_000_000, 900_000, *more)
    )
    box.turn(2)
    assert not [code for code in box.conditions if code.startswith("vault.retention_short")]
    monkeypatch.setattr(
        survey,
        "room",
        lambda _, *more: retention.Room(total, total // 20 + 30_000_000, 1_000_000, 900_000, *more),
    )
    box.turn()
    assert box.conditions["vault.retention_short uuid-1"].endswith(" days")
    assert box.erased() == []
    forecast = read_health(box.run, "keep")["retention"]["forecast_tenths_of_days"]
    assert 20 <= forecast < 300


def test_every_condition_that_the_keeper_raises_is_registered():
    import re
    from pathlib import Path

    folder = Path(survey.__file__).parent
    text = "\n".join(
        (folder / name).read_text() for name in ("keeper.py", "rollover.py", "outlook.py", "disks.py")
    )
    raised = {*re.findall(r'"((?:[a-z]+)\.[a-z_]+)"', text)} - {"tamper.ledger", "pasu.keep"}
    assert raised - {"holds.unreconciled", "config.on_trial"} <= set(CONDITIONS)
    assert len(raised) > 20


def test_one_keeper_at_a_time(box):
    lock = locks.only_keeper(box.state)
    with pytest.raises(locks.StorageFault) as caught:
        locks.only_keeper(box.state)
    assert caught.value.code == "KEEPING_ALREADY"
    os.close(lock)
    os.close(locks.only_keeper(box.state))


def test_a_tick_is_due_each_second_and_a_cycle_every_ten(box):
    box.pass_time(10_000)
    assert box.keeper.tick() == 1.0
    assert box.steps.count("K2") == 1
    for _ in range(9):
        box.pass_time(1000)
        assert box.keeper.tick() == 1.0
    assert box.steps.count("K2") == 1
    box.pass_time(1000)
    box.keeper.tick()
    assert box.steps.count("K2") == 2


def test_many_are_erased_in_one_go_without_waiting_for_the_next_cycle(box):
    """C8: a month of a box must go within the hour, so work that is left over does not wait."""
    box.record(count=150, size=100)
    box.pass_time(MONTH_MS + 200_000)
    box.turn()
    assert set(box.states().values()) == {"GONE"}


def test_i5_nothing_is_erased_until_every_link_was_looked_at_however_many_turns_that_takes(box, monkeypatch):
    """I5: and the keeper is heard after each page."""
    monkeypatch.setattr("agent.storage.keep.linking.BATCH", 1)
    monkeypatch.setattr("agent.storage.keep.keeper.WORK_S", 0)
    box.record(count=4)
    box.record("cam2")
    box.place(order(span=Span(T0, T0 + 4000)))
    box.pass_time(MONTH_MS + 10_000)
    for _ in range(8):  # four links, four rows
        assert box.keeper.tick() == 0
        assert box.states()[list(box.states())[-1]] == "COMMITTED"
        assert read_health(box.run, "keep")["retention"]["blocked"] == "holds.unreconciled"
    assert box.steps.count("T4") == 8
    box.turn(2)
    assert list(box.states().values()) == ["COMMITTED"] * 4 + ["GONE"]


def test_c1_what_is_given_its_time_is_linked_by_the_hold_that_covers_it_then(box, monkeypatch):
    """A row that was labelled anew is older than what the hold looked at last."""
    box.record(count=2)
    box.place(order(span=Span(T0 - 100_000, T0 - 90_000)))
    box.turn()
    assert box.links() == []
    given = [1]

    def settle(catalogue, **_):
        if not given:
            return 0
        query = "UPDATE segment SET start_ms = ?, end_ms = ? WHERE id = 1"
        catalogue.write(lambda db: db.execute(query, (T0 - 95_000, T0 - 94_000)))
        return given.pop()

    monkeypatch.setattr(box.keeper._clock, "settle", settle)
    box.turn()
    assert len(box.links()) == 1
