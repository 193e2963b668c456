"""C1, C3 with B11: what a row was corrected to is on its file too, and is not lost with the catalogue."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from agent.clock import read
from agent.model import Trust
from agent.storage.keep.stamps import AGAIN_MS, Stamps, Wanted, marked
from agent.storage.keep.time import confirm, mark_boot
from agent.storage.vault import Vault
from tests.unit.keep.keeping import Kept30
from tests.unit.keep.kept import DAY_MS
from tests.unit.storage.box import T0, FailingDisk, pattern, start

SLOW_MS = 20 * DAY_MS


@pytest.fixture
def box(tmp_path):
    box = Kept30(tmp_path, disk=FailingDisk())
    yield box
    box.keeper.close()


def record_in_doubt(box, off_ms: int) -> int:
    """Record with a clock that is off by so much, as its battery clock says; return when it truly ended."""
    box.turn(2)
    for _ in range(25):
        box.pass_time(DAY_MS)
        box.keeper.tick()
    box.keeper.close()
    box.source.reboot(off_ms)
    box.clock.utc_ms = box.source.utc
    with box.catalogue() as catalogue:
        mark_boot(catalogue, source=box.source)
    box.keeper = box.start()
    box.keeper.tick()
    desk, at = box.desk(), box.source.utc
    desk.begin(start("cam1", at, trust=Trust.UNTRUSTED))
    desk.write("cam1", pattern(30_000, 1), at + 1000, 25)
    desk.end("cam1", at + 1000)
    desk.stop()
    desk.close()
    for file in box.vault_path.rglob("*.age"):
        wrong_ns = (at + 1000) * 1_000_000 + 5
        os.utime(file, ns=(wrong_ns, wrong_ns))
    box.pass_time(60_000)
    return at + 1000 - off_ms


def set_right(box, off_ms: int) -> None:
    box.source.step(-off_ms)
    box.source.synced = True
    box.clock.utc_ms = box.source.utc
    confirm(box.state, "kim", read(box.source))


def lose_catalogue(box) -> None:
    box.keeper.close()
    for ending in ("", "-wal", "-shm"):
        (box.state / f"catalogue.db{ending}").unlink(missing_ok=True)
    shutil.rmtree(box.state / "aside", ignore_errors=True)
    assert box.prepare().began == "missing"
    box.keeper = box.start()
    box.turn(5)


def row(box) -> tuple:
    with box.catalogue() as catalogue:
        query = "SELECT start_ms, end_ms, kept_from_ms, trust, path FROM segment ORDER BY id DESC LIMIT 1"
        return catalogue.read(query)[0]


def test_what_was_relabelled_keeps_its_age_when_the_catalogue_is_lost(box):
    """C1, C3, B11: a clock 20 days slow, put right; catalogue and copies lost: not erased 20 days early."""
    end_ms = record_in_doubt(box, -SLOW_MS)
    set_right(box, -SLOW_MS)
    box.turn(3)
    begun, ended, kept, trust, path = row(box)
    assert (ended, kept, trust) == (end_ms, begun, "HOLDOVER")
    assert (box.vault_path / path).stat().st_mtime_ns == end_ms * 1_000_000
    lose_catalogue(box)
    again = row(box)
    assert again[4] == path
    assert again[0] <= begun
    assert again[1:4] == (end_ms, end_ms, "HOLDOVER")
    for _ in range(29):
        box.pass_time(DAY_MS)
        box.turn()
    assert path in box.states()
    for _ in range(2):
        box.pass_time(DAY_MS)
        box.turn()
    assert not (box.vault_path / path).exists()


def test_what_lay_in_the_future_gets_its_true_time_again(box):
    """C3, B11: a clock 20 days fast."""
    end_ms = record_in_doubt(box, SLOW_MS)
    set_right(box, SLOW_MS)
    box.turn(3)
    lose_catalogue(box)
    assert row(box)[1:4] == (end_ms, end_ms, "HOLDOVER")


def test_what_can_never_be_placed_is_kept_from_the_day_it_was_settled_also_then(box):
    """C3, B11: the boot ended in doubt."""
    record_in_doubt(box, -SLOW_MS)
    begun = row(box)[0]
    box.keeper.close()
    box.source.reboot(SLOW_MS, synced=True)
    box.clock.utc_ms = box.source.utc
    confirm(box.state, "kim", read(box.source))
    with box.catalogue() as catalogue:
        mark_boot(catalogue, source=box.source)
    box.keeper = box.start()
    box.turn(3)
    kept = row(box)[2]
    assert kept > begun + SLOW_MS
    lose_catalogue(box)
    assert row(box)[0] == begun
    assert kept - 600_000 <= row(box)[2] <= kept


def test_a_row_waits_for_a_file_that_its_disk_refuses_and_somebody_is_told(box):
    """C3, B7: refused once, told, and done an hour later; meanwhile it has no age."""
    end_ms = record_in_doubt(box, -SLOW_MS)
    box.disk.plan = lambda _number, op, _path: errno.EIO if op == "stamp" else None
    set_right(box, -SLOW_MS)
    box.turn(3)
    assert row(box)[2:4] == (None, "UNTRUSTED")
    assert "keeper.trouble clock" in box.conditions
    box.disk.plan = lambda *_: None
    box.turn(2)
    assert row(box)[2] is None
    box.pass_time(AGAIN_MS)
    box.turn(2)
    assert row(box)[1] == end_ms
    assert row(box)[3] == "HOLDOVER"
    assert "keeper.trouble clock" not in box.conditions


def test_what_is_not_there_waits_for_its_vault_and_not_for_its_file(tmp_path):
    """B7: a file that is gone keeps no row waiting; one of a disk that is away does."""
    vault, stamps = Vault.create(tmp_path / "vault", "u", created_ms=T0), Stamps()
    wanted = [Wanted(7, "u", "segments/none.age", T0, sure=True)]
    assert stamps.put(wanted, {"u": vault}, 0) == {7}
    (tmp_path / "vault").rename(tmp_path / "away")
    assert stamps.put(wanted, {"u": vault}, 0) == set()
    (tmp_path / "vault").write_bytes(b"")
    assert stamps.put(wanted, {"u": vault}, 0) == set()
    assert [fault.code for fault in stamps.faults.values()]
    assert stamps.waiting(AGAIN_MS - 1) == [7]
    assert stamps.waiting(AGAIN_MS) == []


def test_a_file_is_written_on_once(tmp_path):
    disk = FailingDisk()
    vault, stamps = Vault.create(tmp_path / "vault", "u", created_ms=T0, disk=disk), Stamps()
    file = vault.at("segments/one.age")
    file.write_bytes(b"x")
    for sure in (True, True, False, False):
        assert stamps.put([Wanted(1, "u", "segments/one.age", T0, sure=sure)], {"u": vault}, 0) == {1}
        assert marked(file.stat().st_mtime_ns) == sure
    assert disk.calls.count("stamp") == 2
