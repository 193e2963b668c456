from __future__ import annotations

import errno
import sqlite3

import pytest

from agent.errors import StorageFault
from agent.storage import reserve
from agent.storage.catalogue import FILE, Catalogue, translate
from agent.storage.files import Disk
from tests.unit.storage.box import Box, FailingDisk


def test_the_reserve_is_made_once_given_back_and_made_again(tmp_path) -> None:
    """B4."""
    disk = FailingDisk()
    assert not reserve.release(tmp_path, disk)
    assert reserve.keep(tmp_path, disk)
    place = tmp_path / reserve.FILE
    assert place.stat().st_blocks * 512 >= reserve.BYTES
    calls = len(disk.calls)
    assert reserve.keep(tmp_path, disk)
    assert len(disk.calls) == calls
    assert reserve.release(tmp_path, disk)
    assert not place.exists()
    place.touch()  # a start that was killed between the two steps
    assert reserve.keep(tmp_path, disk)
    assert place.stat().st_blocks * 512 >= reserve.BYTES


@pytest.mark.parametrize("op", ["create", "fallocate"])
def test_a_disk_that_has_no_room_for_it_is_no_fault(tmp_path, op) -> None:
    assert not reserve.keep(
        tmp_path, FailingDisk(lambda _n, found, _p: errno.ENOSPC if found == op else None)
    )


def test_what_cannot_be_asked_is_not_taken_for_room(tmp_path) -> None:
    """Errors of statvfs are unknown, never plenty."""
    disk = FailingDisk()
    assert not reserve.keep(tmp_path / "gone", disk)
    assert disk.calls == []


def test_on_a_short_disk_none_is_made(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(reserve, "_ROOM", 1 << 40)
    assert not reserve.keep(tmp_path, Disk())
    assert not (tmp_path / reserve.FILE).exists()


def test_a_reserve_that_cannot_be_removed_frees_nothing(tmp_path) -> None:
    assert reserve.keep(tmp_path, Disk())
    assert not reserve.release(
        tmp_path, FailingDisk(lambda _n, op, _p: errno.EROFS if op == "unlink" else None)
    )
    assert (tmp_path / reserve.FILE).exists()


def test_a_catalogue_that_cannot_write_gives_the_reserve_back_and_one_that_is_busy_does_not(tmp_path) -> None:
    box = Box(tmp_path)
    reserve.keep(box.state, Disk())
    busy = sqlite3.connect(box.state / FILE, isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    catalogue = Catalogue.open(box.state, busy_s=0.01)
    with pytest.raises(StorageFault, match="CATALOGUE_BUSY"):
        catalogue.set_meta("x", "y")
    busy.execute("ROLLBACK")
    busy.close()
    assert (box.state / reserve.FILE).exists()
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert translate(box.state / FILE, full).code == "CATALOGUE_FAILED"
    assert not (box.state / reserve.FILE).exists()
    catalogue.close()
