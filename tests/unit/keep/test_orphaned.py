"""Files without a row, found by the keeper's check: they are as old as an old catalogue or the file says, not the name."""

from __future__ import annotations

import os
import shutil

import pytest

from agent.clock import read
from agent.model import Trust
from agent.storage.catalogue import FILE, mark_damaged
from agent.storage.keep.time import confirm
from tests.unit.keep.keeping import Kept30
from tests.unit.keep.kept import DAY_MS
from tests.unit.storage.box import T0, pattern, start

LATER = T0 + 40 * DAY_MS


@pytest.fixture
def box(tmp_path):
    box = Kept30(tmp_path)
    box.turn(1)
    yield box
    box.keeper.close()


def lose(box: Kept30) -> None:
    for ending in ("", "-wal", "-shm"):
        (box.state / (FILE + ending)).unlink(missing_ok=True)
    shutil.rmtree(box.state / "aside", ignore_errors=True)
    shutil.rmtree(box.state / "open")


@pytest.mark.parametrize("loss", ["rows", "catalogue"])
@pytest.mark.parametrize("left_open", [False, True])
def test_c8_footage_of_today_under_a_name_of_long_ago_is_not_erased(box, loss, left_open) -> None:
    """C8, I4: a box from the store, whose clock a time service has set, records along its old line until somebody names
    the time. What tells so is lost; the last write is two hours ago, by the right clock.
    """
    if left_open:
        pid = os.fork()
        if pid == 0:
            desk = box.desk()
            desk.begin(start("cam1", T0))
            for number in range(8):
                desk.write("cam1", pattern(30_000, number), T0 + 1000 * (number + 1), 25)
            desk.flush()
            os._exit(0)
        os.waitpid(pid, 0)
    else:
        box.record(count=3)
    before = len(box.names())
    for place in (box.vault_path / "segments").rglob("*.age*"):
        os.utime(place, ns=((LATER - 7_200_000) * 1_000_000 + 1,) * 2)
    box.source.reboot(utc_ms=LATER - 3_600_000, synced=True)
    box.clock.utc_ms = box.source.utc
    box.keeper.close()
    box.keeper = box.start()
    box.keeper.tick()
    confirm(box.state, "kim", read(box.source))
    box.keeper.tick()
    assert box.keeper._clock.status().state is Trust.SYNCED
    if loss == "rows":
        shutil.rmtree(box.state / "open")
        with box.catalogue() as catalogue:
            catalogue.write(lambda db: db.execute("DELETE FROM segment"))
        if left_open:
            box.prepare()
    else:
        box.keeper.close()
        lose(box)
        assert box.prepare().began == "missing"
        box.keeper = box.start()
    box.turn(12)
    assert set(box.states().values()) <= {"COMMITTED", "SALVAGED"}
    assert len(box.states()) == (1 if left_open else 3)
    assert box.erased() == []
    assert len(box.names()) == before
    for _ in range(31):
        box.pass_time(DAY_MS)
        box.turn()
    assert box.names() == []


def test_b11_what_comes_back_after_its_day_was_done_has_the_row_of_the_old_catalogue(box) -> None:
    """B11: a hold gives a file its name back (T3) while a catalogue is rebuilt, behind the place this has come to."""
    box.record(count=2)
    place = box.vault_path / box.names()[0]
    away = place.rename(box.root / "away")
    mark_damaged(box.state / FILE, (box.state / FILE).stat().st_ino)
    box.keeper.close()
    assert box.prepare().began == "damaged"
    box.keeper = box.start()
    box.turn(3)
    assert len(box.states()) == 1
    away.rename(place)
    box.turn(12)
    with box.catalogue() as catalogue:
        rows = catalogue.read(
            "SELECT run, codec, frames, start_ms, kept_from_ms FROM segment ORDER BY start_ms"
        )
    assert rows == [("run-1", "h264", 25, T0, T0), ("run-1", "h264", 25, T0 + 1000, T0 + 1000)]
