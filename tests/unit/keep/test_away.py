"""A vault that is away while the catalogue is begun anew (B11, B15): its rows come back with it, and nothing is lost."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from agent.storage.catalogue import FILE, Catalogue, mark_damaged
from agent.storage.desk import Desk
from agent.storage.envelope import X25519Recipient
from agent.storage.keep import rebuild
from agent.storage.keep.keeper import Keeper
from agent.storage.keep.rollover import Rules
from agent.storage.keep.time import TimeKeeper
from agent.storage.keep.unread import FIRST_S, LONGEST_S, UNREAD, Pauses, unread
from agent.storage.prepare import KNOWN, open_vaults, prepare, renew
from tests.unit.clocks import FakeSource
from tests.unit.keep.keeping import MONTH_MS
from tests.unit.keep.kept import DAY_MS
from tests.unit.storage.box import SECRET, T0, StillClock, pattern, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAMERAS = ["cam1", "cam2"]


class Pair:
    """Two disks, one for each camera, of which the second can be unplugged."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self.paths = [root / "first", root / "second"]
        self.away = root / "away"
        self.clock = StillClock()
        self.source = FakeSource(utc_ms=T0, synced=True)
        numbers = itertools.count(1)
        prepare(
            self.paths,
            self.state,
            CAMERAS,
            self.clock.now(),
            box="box-1",
            new_uuid=lambda: f"uuid-{next(numbers)}",
        )
        self.desk = Desk(
            open_vaults(self.state, self.paths)[0],
            self.state,
            [X25519Recipient.parse(str(SECRET.to_public()))],
            self.clock,
            "record",
            homes={"cam1": 0, "cam2": 1},
        )
        (root / "run").mkdir()
        self.run = root / "run"
        self.keeper = self.start(self.paths)

    def start(self, paths: list[Path]) -> Keeper:
        return Keeper(
            "box-1",
            Rules({}, MONTH_MS, "who"),
            self.state,
            paths,
            TimeKeeper(self.state, source=self.source),
            run=self.run,
            monotonic=lambda: self.source.boot_at / 1000,
        )

    def record(self, camera: str, at_ms: int) -> None:
        self.desk.begin(start(camera, at_ms))
        self.desk.write(camera, pattern(30_000, at_ms % 97), at_ms + 1000, 25)
        self.desk.end(camera, at_ms + 1000)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.source.run(10_000)
            self.clock.utc_ms = self.source.utc
            self.clock.mono += 10
            while self.keeper.tick() == 0:
                pass

    def lose(self) -> str:
        """Unplug the second disk, and lose the catalogue; return why another was begun."""
        self.paths[1].rename(self.away)
        for ending in ("", "-wal", "-shm"):
            (self.state / (FILE + ending)).unlink(missing_ok=True)
        return renew(self.paths, self.state, CAMERAS, self.clock.now(), box="box-1")

    def rows(self) -> dict[tuple[str, str], int]:
        catalogue = Catalogue.open(self.state)
        try:
            found = catalogue.read("SELECT vault, state, COUNT(*) FROM segment GROUP BY 1, 2")
        finally:
            catalogue.close()
        return {(vault, state): count for vault, state, count in found}

    def causes(self) -> list[str]:
        catalogue = Catalogue.open(self.state)
        try:
            return [cause for (cause,) in catalogue.read("SELECT cause FROM gap WHERE camera = 'cam2'")]
        finally:
            catalogue.close()

    def conditions(self) -> set[str]:
        return {each["code"] for each in self.keeper._teller.tracker.to_json()}

    def footage(self) -> list[Path]:
        return [place for path in self.paths for place in (path / "segments").rglob("*.age")]


@pytest.fixture
def pair(tmp_path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    for number in range(3):
        for camera in CAMERAS:
            pair.record(camera, T0 + number * 1000)
    pair.desk._write_progress()  # as its next flush does: nothing is open any more
    pair.turn(2)
    yield pair
    pair.keeper.close()
    pair.desk.close()


def test_it_gets_its_rows_when_it_is_back_and_the_others_wait_for_nothing(pair) -> None:
    """B11: the other vault is kept meanwhile; nothing is called lost that lies on the one that is away."""
    assert pair.lose() == "missing"
    pair.turn(3)
    assert pair.rows() == {("uuid-1", "COMMITTED"): 3}
    assert "catalogue.reconciling" not in pair.conditions()
    assert "vault.missing" in pair.conditions()
    pair.away.rename(pair.paths[1])
    pair.turn(3)
    assert pair.rows() == {("uuid-1", "COMMITTED"): 3, ("uuid-2", "COMMITTED"): 3}
    assert "record_lost" not in pair.causes()
    assert not pair.conditions() & {"vault.missing", "catalogue.reconciling"}
    for _ in range(31):
        pair.source.run(DAY_MS)
        pair.turn()
    assert pair.footage() == []


def test_erasing_on_the_others_goes_on_while_it_is_away(pair) -> None:
    """B11: personal data on the disk that is there does not outlive its time for the sake of one that is not."""
    pair.lose()
    for _ in range(31):
        pair.source.run(DAY_MS)
        pair.turn()
    assert pair.rows() == {("uuid-1", "GONE"): 3}


def test_a_vault_that_the_catalogue_never_heard_of_does_not_stop_the_recorder(pair) -> None:
    """B11: also the list of vaults is lost, with all copies; who records to it tells the catalogue, and its older
    files get their rows before anything is erased.
    """
    (pair.state / KNOWN).unlink()
    (pair.paths[0] / "VAULTS").unlink()
    assert pair.lose() == "missing"
    assert pair.rows() == {}
    pair.turn(2)
    pair.away.rename(pair.paths[1])
    pair.record("cam2", T0 + 100_000)
    pair.clock.mono += 5
    pair.desk.retry()
    assert pair.desk.waiting() == {}
    assert pair.rows() == {("uuid-1", "COMMITTED"): 3, ("uuid-2", "COMMITTED"): 1}
    pair.turn(2)
    assert pair.rows() == {("uuid-1", "COMMITTED"): 3, ("uuid-2", "COMMITTED"): 4}


def test_old_copies_stay_while_a_vault_is_away_whose_rows_only_they_tell(pair) -> None:
    """B11: the catalogue is lost four times while the disk is away; what is not settled is not made old by that."""
    catalogue = Catalogue.open(pair.state)
    catalogue.write(lambda db: db.execute("UPDATE segment SET trust = 'UNTRUSTED', kept_from_ms = NULL"))
    catalogue.close()
    pair.paths[1].rename(pair.away)
    for _ in range(4):
        mark_damaged(pair.state / FILE, (pair.state / FILE).stat().st_ino)
        assert renew(pair.paths, pair.state, CAMERAS, pair.clock.now(), box="box-1") == "damaged"
        pair.turn(3)
    asides = pair.state / "aside"
    assert len(list(asides.iterdir())) == 4
    pair.away.rename(pair.paths[1])
    catalogue = Catalogue.open(pair.state)
    vaults = {vault.uuid: vault for vault in open_vaults(pair.state, pair.paths)[0]}
    progress = rebuild.advance(catalogue, vaults, pair.state, pair.clock.now(), 60)
    rows = catalogue.read("SELECT codec, kept_from_ms FROM segment WHERE vault = 'uuid-2'")
    catalogue.close()
    assert progress is not None
    assert progress.done
    assert rows == [("h264", None)] * 3
    assert len(list(asides.iterdir())) == 3


class Deaf:
    """A disk on which some directories cannot be listed; counts how often they were asked for."""

    def __init__(self, monkeypatch, *places: Path) -> None:
        self.places = {str(place) for place in places}
        self.asked = 0
        listdir = os.listdir

        def refuse(place="."):
            if str(place) in self.places:
                self.asked += 1
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(place))
            return listdir(place)

        monkeypatch.setattr(os, "listdir", refuse)


def lose(pair: Pair) -> None:
    for ending in ("", "-wal", "-shm"):
        (pair.state / (FILE + ending)).unlink(missing_ok=True)
    assert renew(pair.paths, pair.state, CAMERAS, pair.clock.now(), box="box-1") == "missing"


def meta(pair: Pair, key: str) -> str | None:
    catalogue = Catalogue.open(pair.state)
    try:
        return catalogue.meta(key)
    finally:
        catalogue.close()


def rebuilt(pair: Pair) -> int:
    catalogue = Catalogue.open(pair.state)
    try:
        return catalogue.read("SELECT COUNT(*) FROM ledger WHERE kind = 'catalogue.rebuilt'")[0][0]
    finally:
        catalogue.close()


@pytest.mark.parametrize("below", ["segments", "segments/cam1", "segments/cam1/DAY"])
def test_one_directory_that_cannot_be_listed_keeps_no_other_disk_from_erasing(
    pair, monkeypatch, below
) -> None:
    """B7, B11: it waits as if it were away, and is done when it can be read; nothing of it is called lost."""
    first = pair.paths[0]
    (day,) = os.listdir(first / "segments/cam1")
    deaf = Deaf(monkeypatch, first / below.replace("DAY", day))
    lose(pair)
    pair.turn(3)
    assert pair.rows() == {("uuid-2", "COMMITTED"): 3}
    assert meta(pair, rebuild.RECONCILE) is None
    assert "vault.failing" in pair.conditions()
    assert not pair.conditions() & {"keeper.trouble", "catalogue.reconciling"}
    asked = deaf.asked
    for _ in range(40):
        pair.source.run(DAY_MS)
        pair.turn()
    assert set(pair.rows()) == {("uuid-2", "GONE")}
    assert not list((pair.paths[1] / "segments").rglob("*.age"))
    assert len(list((first / "segments").rglob("*.age"))) == 3
    assert rebuilt(pair) == 1
    assert deaf.asked > asked
    deaf.places.clear()
    pair.source.run(DAY_MS)
    pair.turn(2)
    assert ("uuid-1", "COMMITTED") in pair.rows() or ("uuid-1", "GONE") in pair.rows()
    assert meta(pair, "unreconciled") is None
    assert meta(pair, UNREAD) is None
    assert rebuilt(pair) == 2
    assert "vault.failing" not in pair.conditions()


def test_what_can_be_read_of_a_disk_has_its_rows_and_it_is_asked_less_and_less(pair, monkeypatch) -> None:
    """B7: also after the keeper was started again; nothing is kept from erasing by asking."""
    pair.record("cam2", T0 + DAY_MS)
    pair.desk._write_progress()
    pair.source.run(2 * DAY_MS)
    pair.turn()
    deaf = Deaf(monkeypatch)
    day = min(os.listdir(pair.paths[1] / "segments/cam2"))
    deaf.places = {str(pair.paths[1] / "segments/cam2" / day)}
    lose(pair)
    pair.turn(3)
    assert pair.rows() == {("uuid-1", "COMMITTED"): 3, ("uuid-2", "COMMITTED"): 1}
    assert "record_lost" not in pair.causes()
    asked = []
    for _ in range(3):
        before = deaf.asked
        pair.turn(360)
        asked.append(deaf.asked - before)
    assert asked[0] < 10
    assert asked[-1] <= 1
    pair.keeper.close()
    pair.keeper._pauses = Pauses(pair.keeper._monotonic)
    pair.turn(5)
    assert rebuilt(pair) == 1
    deaf.places.clear()
    pair.turn(7)
    assert pair.rows() == {("uuid-1", "COMMITTED"): 3, ("uuid-2", "COMMITTED"): 4}
    assert "record_lost" in pair.causes()  # the day between


def test_a_disk_that_only_seems_to_answer_blocks_erasing_rarely(pair, monkeypatch) -> None:
    """B7: what it gives when it is asked, and not when it is read, costs a rebuilding after each pause."""
    lose(pair)
    monkeypatch.setattr(rebuild, "days_of", lambda _: ([], ["segments"]))
    pair.turn(3)
    assert rebuilt(pair) == 1
    pair.turn(500)
    assert meta(pair, rebuild.RECONCILE) is None
    assert 4 <= rebuilt(pair) <= 8


def test_one_that_cannot_be_read_is_left_out_when_another_comes_back(pair, monkeypatch) -> None:
    """B7, B15: the other's rows do not wait for it, nor does erasing."""
    deaf = Deaf(monkeypatch, pair.paths[0] / "segments/cam1")
    pair.lose()
    pair.turn(3)
    assert pair.rows() == {}
    asked = deaf.asked
    pair.away.rename(pair.paths[1])
    pair.turn(2)
    assert pair.rows() == {("uuid-2", "COMMITTED"): 3}
    assert meta(pair, rebuild.RECONCILE) is None
    assert deaf.asked == asked


def test_pauses_grow_to_six_hours_and_end_when_a_vault_was_away() -> None:
    """B7: four times a day is enough for a disk that takes half a minute for each answer."""
    now = 0.0

    class Some:
        uuid = "u"

        def at(self, _place: str) -> Path:
            raise AssertionError("asked too early")

    class Told:
        def meta(self, _key: str) -> str:
            return '{"u": ["segments"]}'

    pauses = Pauses(lambda: now)
    there = {"u": Some()}
    pauses.failed("u")
    now = FIRST_S - 1
    assert pauses.ready(Told(), there, ["u"]) == set()
    for _ in range(20):
        pauses.failed("u")
    now += LONGEST_S - 1
    assert pauses.ready(Told(), there, ["u"]) == set()
    assert pauses.ready(Told(), {}, ["u"]) == set()
    with pytest.raises(AssertionError):
        pauses.ready(Told(), there, ["u"])


def put_back(pair: Pair, *, with_disk: bool) -> list[Path]:
    """Put yesterday's state back, break the first disk and replace it, and take the second one, still mounted, out of
    the configuration; return what is configured.
    """
    pair.keeper.close()
    backup = pair.state.with_name("backup")
    shutil.copytree(pair.state, backup)
    pair.keeper = pair.start(pair.paths)
    for number in range(3, 6):
        for camera in CAMERAS:
            pair.record(camera, T0 + number * 1000)
    pair.desk._write_progress()
    pair.turn(12)
    pair.desk.stop()
    pair.desk.close()
    pair.keeper.close()
    shutil.rmtree(pair.state)
    backup.rename(pair.state)
    pair.paths[0].rename(pair.away)
    third = [pair.away.with_name("third")]
    report = prepare(third, pair.state, CAMERAS, pair.clock.now(), box="box-1", new_uuid=lambda: "uuid-3")
    assert report.began == ""  # what a start may look at tells it nothing
    if not with_disk:
        shutil.move(third[0], pair.away.with_name("unplugged"))
    pair.keeper = pair.start(third)
    return third


def test_an_old_catalogue_is_begun_anew_also_by_the_word_of_a_disk_that_is_not_configured(pair) -> None:
    """B12: it comes to an end, and rows come back from that disk; nothing that is due stays."""
    put_back(pair, with_disk=True)
    pair.turn(4)
    assert pair.rows() == {("uuid-2", "COMMITTED"): 6}
    assert not pair.conditions() & {"catalogue.unavailable", "ledger.unsigned", "catalogue.reconciling"}
    assert len(list((pair.state / "aside").iterdir())) == 1
    pair.source.run(2 * MONTH_MS)
    pair.turn(3)
    assert set(pair.rows()) == {("uuid-2", "GONE")}


def test_where_no_new_one_can_be_begun_the_keeper_goes_on_and_erases_nothing(pair) -> None:
    """B12, B15: no configured disk is there. Nothing is signed by the old one either; it ends with the disk."""
    third = put_back(pair, with_disk=False)
    signed = (pair.state / "CHECKPOINT").read_text(), (pair.paths[1] / "CHECKPOINT").read_text()
    pair.source.run(2 * MONTH_MS)
    for _ in range(3):
        pair.turn(8)
        assert {"catalogue.unavailable", "ledger.unsigned"} <= pair.conditions()
        pair.keeper.close()
        pair.keeper = pair.start(third)
    pair.turn(2)
    assert pair.keeper._blocked == "catalogue.unavailable"
    assert pair.keeper._holds_known
    assert set(pair.rows()) == {("uuid-1", "COMMITTED"), ("uuid-2", "COMMITTED")}
    assert signed == ((pair.state / "CHECKPOINT").read_text(), (pair.paths[1] / "CHECKPOINT").read_text())
    shutil.move(pair.away.with_name("unplugged"), third[0])
    pair.turn(12)
    assert not pair.conditions() & {"catalogue.unavailable", "ledger.unsigned", "catalogue.reconciling"}
    assert set(pair.rows()) == {("uuid-2", "GONE")}


@pytest.mark.parametrize("text", ['{"x', "[1]", '{"u": 1}', "7", None])
def test_a_damaged_note_of_what_could_not_be_read_says_nothing(text) -> None:
    """B19: the vault is tried once more."""
    assert unread(text) == {}
