"""What a start finds, and what it makes of it: B15 (wrong disks), and the first start."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from agent.errors import StorageFault
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.prepare import open_vaults, prepare
from agent.storage.vault import Vault
from tests.unit.storage.box import T0, Box, FailingDisk, StillClock, pattern, start

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.salvage import Report

NOW = StillClock().now()


def record(box: Box, camera: str = "cam1", at_ms: int = T0) -> None:
    desk = box.desk()
    desk.begin(start(camera, at_ms))
    desk.write(camera, pattern(100_000, 1), at_ms + 1000, 25)
    desk.end(camera, at_ms + 1000)
    desk.stop()
    desk.close()


def begin(vaults: list[Path], state: Path, *, box: str = "box-1", disk=None, first: int = 1) -> Report:
    numbers = itertools.count(first)
    return prepare(vaults, state, ["cam1"], NOW, box=box, new_uuid=lambda: f"uuid-{next(numbers)}", disk=disk)


def refused(box: Box, code: str, **more) -> StorageFault:
    with pytest.raises(StorageFault) as caught:
        begin(
            [more.get("vault", box.vault_path)], more.get("state", box.state), box=more.get("name", "box-1")
        )
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def opened(state: Path, *paths: Path) -> list[str]:
    return [vault.uuid for vault in open_vaults(state, paths)[0]]


def rename_box(vault: Path, uuid: str, box: str) -> None:
    """Make a vault another box's."""
    place = vault / "VAULT"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"uuid": uuid, "box": box}))


def lose(state: Path) -> None:
    for name in (FILE, FILE + "-wal", FILE + "-shm"):
        (state / name).unlink(missing_ok=True)


def test_the_first_start_makes_everything_and_the_second_nothing(tmp_path) -> None:
    box = Box(tmp_path)
    (vault,) = open_vaults(box.state, [box.vault_path])[0]
    assert (vault.uuid, vault.box) == ("uuid-1", "box-1")
    assert box.state.stat().st_mode & 0o777 == 0o700
    assert (box.state / FILE).stat().st_mode & 0o777 == 0o600
    catalogue = Catalogue.open(box.state)
    assert catalogue.vaults() == {"uuid-1": str(box.vault_path)}
    assert catalogue.cameras() == ["cam1", "cam2"]
    assert catalogue.meta("reconcile") is None
    catalogue.close()
    report = begin([box.vault_path], box.state, first=2)
    assert (report.began, report.vault_faults) == ("", {})
    assert opened(box.state, box.vault_path) == ["uuid-1"]
    assert box.kinds() == []


def test_an_interrupted_first_start_is_finished_by_the_next(tmp_path) -> None:
    counting = FailingDisk()
    begin([tmp_path / "v"], tmp_path / "s", disk=counting)
    assert len(counting.calls) > 10
    for at in range(len(counting.calls)):
        disk = FailingDisk(lambda number, _op, _path, at=at: errno.EIO if number >= at else None)
        root = tmp_path / str(at)
        root.mkdir()
        try:
            report = begin([root / "v"], root / "s", disk=disk)
            assert report.faults  # the copy of the list of vaults in the vault itself
        except StorageFault:
            pass
        report = begin([root / "v"], root / "s", first=2)
        assert (report.vault_faults, report.faults) == ({}, [])
        assert opened(root / "s", root / "v")[0] in ("uuid-1", "uuid-2")
        assert begin([root / "v"], root / "s", first=3).began == ""


def test_an_unmounted_vault_is_refused_and_not_made(tmp_path) -> None:
    """B15: known by the catalogue, by the state directory's list without it, and by a sibling's list without both."""
    box = Box(tmp_path)
    second = tmp_path / "second"
    begin([box.vault_path, second], box.state, first=2)
    record(box)
    box.vault_path.rename(tmp_path / "unmounted")
    refused(box, "VAULT_MISSING")
    box.vault_path.mkdir()
    refused(box, "VAULT_MISSING")
    assert os.listdir(box.vault_path) == []
    found, faults = open_vaults(box.state, [box.vault_path])
    assert (found, [fault.code for fault in faults.values()]) == ([], ["VAULT_MISSING"])
    assert len(box.rows()) == 1
    lose(box.state)
    refused(box, "VAULT_MISSING")
    shutil.rmtree(box.state)
    report = begin([box.vault_path, second], box.state, first=7)
    assert {path: fault.code for path, fault in report.vault_faults.items()} == {
        box.vault_path: "VAULT_MISSING"
    }
    assert os.listdir(box.vault_path) == []
    assert opened(box.state, box.vault_path, second) == ["uuid-2"]


def test_a_vault_that_is_missing_costs_the_others_nothing(tmp_path) -> None:
    """B15: several vaults; one disk is away, and comes back at a later start."""
    box = Box(tmp_path)
    second = tmp_path / "second"
    assert begin([box.vault_path, second], box.state, first=2).vault_faults == {}
    record(box)
    box.vault_path.rename(tmp_path / "away")
    report = begin([box.vault_path, second], box.state)
    assert {path: fault.code for path, fault in report.vault_faults.items()} == {
        box.vault_path: "VAULT_MISSING"
    }
    assert opened(box.state, box.vault_path, second) == ["uuid-2"]
    assert not box.vault_path.exists()
    (tmp_path / "away").rename(box.vault_path)
    assert begin([box.vault_path, second], box.state).vault_faults == {}
    assert opened(box.state, box.vault_path, second) == ["uuid-1", "uuid-2"]
    assert begin([second, box.vault_path], box.state).vault_faults == {}
    box.check()


@pytest.mark.parametrize("name", ["box-1", "box-2", ""])
def test_another_disk_in_its_place_is_refused(tmp_path, name) -> None:
    """B15: swapped; also for one that this box made, and that its catalogue does not know."""
    box, other = Box(tmp_path / "one"), Box(tmp_path / "two")
    record(other)
    rename_box(other.vault_path, "uuid-9", name)
    shutil.rmtree(box.vault_path)
    shutil.copytree(other.vault_path, box.vault_path)
    before = sorted(str(path) for path in box.vault_path.rglob("*"))
    assert refused(box, "VAULT_FOREIGN").context["found"] == "uuid-9"
    _, faults = open_vaults(box.state, [box.vault_path])
    assert [fault.code for fault in faults.values()] == ["VAULT_FOREIGN"]
    assert sorted(str(path) for path in box.vault_path.rglob("*")) == before


def test_a_copy_of_a_disk_beside_the_disk_is_refused(tmp_path) -> None:
    """B15: cloned."""
    box = Box(tmp_path)
    record(box)
    copy = tmp_path / "copy"
    shutil.copytree(box.vault_path, copy)
    report = begin([box.vault_path, copy], box.state)
    assert {path: fault.code for path, fault in report.vault_faults.items()} == {copy: "VAULT_DOUBLE"}
    found, faults = open_vaults(box.state, [box.vault_path, copy])
    assert ([vault.root for vault in found], [fault.code for fault in faults.values()]) == (
        [box.vault_path],
        ["VAULT_DOUBLE"],
    )


@pytest.mark.parametrize("name", ["box-2", ""])
def test_another_boxs_vault_is_refused_also_where_the_catalogue_is_lost(tmp_path, name) -> None:
    box, other = Box(tmp_path / "one"), Box(tmp_path / "two")
    record(other)
    rename_box(other.vault_path, "uuid-9", name)
    refused(box, "VAULT_FOREIGN", vault=other.vault_path)
    refused(box, "VAULT_FOREIGN", vault=other.vault_path, state=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_vault_may_move_and_a_second_one_be_added(tmp_path) -> None:
    box = Box(tmp_path)
    record(box)
    moved = tmp_path / "moved"
    box.vault_path.rename(moved)
    begin([moved], box.state, first=2)
    assert opened(box.state, moved) == ["uuid-1"]
    begin([moved, tmp_path / "second"], box.state, first=2)
    assert opened(box.state, moved, tmp_path / "second") == ["uuid-1", "uuid-2"]
    Vault.create(tmp_path / "third", "uuid-3", created_ms=T0)
    begin([tmp_path / "third"], box.state, first=4)
    assert opened(box.state, tmp_path / "third") == ["uuid-3"]
    Vault.create(tmp_path / "fourth", "uuid-5", created_ms=T0)
    _, faults = open_vaults(box.state, [tmp_path / "fourth"])
    assert [fault.code for fault in faults.values()] == ["VAULT_FOREIGN"]
    known = json.loads((box.state / "vaults.json").read_text())["vaults"]
    assert known == json.loads((tmp_path / "third" / "VAULTS").read_text())["vaults"]
    assert sorted(known) == ["uuid-1", "uuid-2", "uuid-3"]


def test_a_damaged_vault_is_left_alone(tmp_path) -> None:
    box = Box(tmp_path)
    (box.vault_path / "VAULT").write_text("{")
    report = begin([box.vault_path, tmp_path / "second"], box.state, first=2)
    assert [fault.code for fault in report.vault_faults.values()] == ["VAULT_DAMAGED"]
    refused(box, "VAULT_DAMAGED")


def test_a_directory_with_other_things_is_no_place_for_a_vault(tmp_path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").touch()
    with pytest.raises(StorageFault, match="VAULT_NOT_EMPTY"):
        begin([tmp_path / "home"], tmp_path / "state")
    assert os.listdir(tmp_path / "home") == ["letter.txt"]
    report = begin([tmp_path / "home", tmp_path / "vault"], tmp_path / "state")
    assert [fault.code for fault in report.vault_faults.values()] == ["VAULT_NOT_EMPTY"]
    assert os.listdir(tmp_path / "home") == ["letter.txt"]


def test_progress_files_go_when_all_they_told_is_in_the_catalogue(tmp_path) -> None:
    box = Box(tmp_path)
    record(box)
    place = box.state / "open" / "record.json"
    assert place.exists()
    box.vault_path.rename(tmp_path / "away")
    begin([box.vault_path, tmp_path / "second"], box.state, first=2)
    assert place.exists(), "it may tell of the vault that is away"
    (tmp_path / "away").rename(box.vault_path)
    box.prepare()
    assert not place.exists()


def test_a_vault_from_an_earlier_life_gets_its_rows_later(tmp_path) -> None:
    """B13: a disk of this box that its catalogue never saw; its recordings are not left to fill the disk."""
    box = Box(tmp_path / "one")
    record(box)
    state = tmp_path / "state"
    begin([tmp_path / "other"], state, first=5)
    report = begin([tmp_path / "other", box.vault_path], state, first=6)
    assert report.vault_faults == {}
    catalogue = Catalogue.open(state)
    assert catalogue.meta("reconcile") == "vault"
    assert json.loads(catalogue.meta("unreconciled") or "") == ["uuid-1"]
    catalogue.close()


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_whichever_page_is_damaged_the_first_start_begins(tmp_path, fill) -> None:
    """B11: what the ends of the tables do not show stops no start; what a start itself needs is found by it."""
    box = Box(tmp_path / "box")
    for number in range(3):
        record(box, at_ms=T0 + number * 2000)
    place = box.state / FILE
    db = sqlite3.connect(place)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    needed = ("meta", "vault", "camera", "segment", "ledger", "idx_segment_vault_path")
    roots = [
        root
        for (root,) in db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name IN (?, ?, ?, ?, ?, ?)", needed
        )
    ]
    db.close()
    assert len(roots) == len(needed)
    saved = tmp_path / "saved"
    shutil.copytree(box.state, saved)
    for page in range(1, place.stat().st_size // 4096 + 1):
        shutil.rmtree(box.state)
        shutil.copytree(saved, box.state)
        with place.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(fill * 4096)
        began = box.prepare().began
        assert began == "damaged" or page not in roots, page


@pytest.mark.parametrize("bad", ["segments", "segments/cam1", "segments/cam1/2027-01-15"])
def test_b6_a_directory_that_the_disk_does_not_give_is_no_reason_not_to_record(tmp_path, monkeypatch, bad):
    """B6, I6: EIO while listing one camera's day; what the other camera left open is put in order all the same."""
    box = Box(tmp_path)
    for camera in ("cam1", "cam2"):
        record(box, camera)
    held_back = box.vault_path / bad
    real = os.listdir

    def listdir(place="."):
        if str(place) == str(held_back):
            raise OSError(errno.EIO, "Input/output error", str(place))
        return real(place)

    left = next((box.vault_path / "segments/cam2").glob("*/*.age"))
    catalogue = Catalogue.open(box.state)
    catalogue.write(lambda db: db.execute("DELETE FROM segment WHERE camera = 'cam2'"))
    catalogue.close()
    monkeypatch.setattr(os, "listdir", listdir)
    report = begin([box.vault_path], box.state)
    assert held_back.is_dir()
    faults = [*report.faults, *report.vault_faults.values()]
    assert [fault.code for fault in faults] == ["DISK_FAILED"]
    assert report.adopted == (0 if bad == "segments" else 1)
    assert left.exists()


@pytest.mark.parametrize("state_lost", [False, True])
def test_b7_a_vault_that_cannot_be_listed_is_not_taken_for_an_empty_one(
    tmp_path, monkeypatch, state_lost
) -> None:
    """B7, I6: it is taken to hold something; rows are awaited of it, and nobody is kept from recording elsewhere."""
    box = Box(tmp_path)
    second = tmp_path / "second"
    begin([box.vault_path, second], box.state, first=2)
    lose(box.state)
    (box.state / "vaults.json").unlink()
    for path in (box.vault_path, second):
        (path / "VAULTS").unlink(missing_ok=True)
    if not state_lost:
        begin([box.vault_path], box.state)
    real = os.listdir

    def listdir(place="."):
        if str(place) == str(second / "segments"):
            raise OSError(errno.EIO, "Input/output error", str(place))
        return real(place)

    monkeypatch.setattr(os, "listdir", listdir)
    report = begin([box.vault_path, second], box.state)
    assert report.began == ("missing" if state_lost else "")
    assert {path: fault.code for path, fault in report.vault_faults.items()} == {second: "DISK_FAILED"}
    catalogue = Catalogue.open(box.state)
    assert "uuid-2" in (catalogue.meta("unreconciled") or "")
    assert catalogue.meta("reconcile")
    catalogue.close()
