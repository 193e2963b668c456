"""A vault that is away while the catalogue is begun anew (B11, B15): its rows come back with it, and nothing is lost."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from agent.storage.catalogue import FILE, Catalogue, mark_damaged
from agent.storage.desk import Desk
from agent.storage.envelope import X25519Recipient
from agent.storage.keep import rebuild
from agent.storage.keep.keeper import Keeper
from agent.storage.keep.rollover import Rules
from agent.storage.keep.time import TimeKeeper
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
        self.keeper = Keeper(
            "box-1",
            Rules({}, MONTH_MS, "who"),
            self.state,
            self.paths,
            TimeKeeper(self.state, source=self.source),
            run=root / "run",
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
