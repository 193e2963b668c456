from __future__ import annotations

import errno
import os
import shutil

import pytest

from agent.errors import StorageFault
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.prepare import open_vault, prepare
from agent.storage.vault import Vault
from tests.unit.storage.box import T0, Box, FailingDisk, StillClock, pattern, start

NOW = StillClock().now()


def record(box: Box, camera: str = "cam1", at_ms: int = T0) -> None:
    desk = box.desk()
    desk.begin(start(camera, at_ms))
    desk.write(camera, pattern(100_000, 1), at_ms + 1000, 25)
    desk.end(camera, at_ms + 1000)
    desk.stop()
    desk.close()


def refused(box: Box, code: str, **more) -> None:
    with pytest.raises(StorageFault) as caught:
        prepare(
            more.get("vault", box.vault_path), more.get("state", box.state), ["cam1"], NOW, uuid="uuid-other"
        )
    assert caught.value.code == code
    assert caught.value.hint


def test_the_first_start_makes_everything_and_the_second_nothing(tmp_path) -> None:
    box = Box(tmp_path)
    vault = open_vault(box.state, box.vault_path)
    assert vault.uuid == "uuid-1"
    assert box.state.stat().st_mode & 0o777 == 0o700
    catalogue = Catalogue.open(box.state)
    assert catalogue.vaults() == {"uuid-1": str(box.vault_path)}
    assert catalogue.cameras() == ["cam1", "cam2"]
    catalogue.close()
    prepare(box.vault_path, box.state, ["cam3"], NOW, uuid="uuid-2")
    assert open_vault(box.state, box.vault_path).uuid == "uuid-1"


def test_an_interrupted_first_start_is_finished_by_the_next(tmp_path) -> None:
    counting = FailingDisk()
    prepare(tmp_path / "v", tmp_path / "s", [], NOW, uuid="uuid-1", disk=counting)
    for at in range(len(counting.calls)):
        disk = FailingDisk(lambda number, _op, _path, at=at: errno.EIO if number >= at else None)
        root = tmp_path / str(at)
        root.mkdir()
        with pytest.raises(StorageFault):
            prepare(root / "v", root / "s", [], NOW, uuid="uuid-1", disk=disk)
        prepare(root / "v", root / "s", [], NOW, uuid="uuid-2")
        assert open_vault(root / "s", root / "v").uuid in ("uuid-1", "uuid-2")


def test_an_unmounted_vault_is_refused_and_not_made(tmp_path) -> None:
    box = Box(tmp_path)
    record(box)
    box.vault_path.rename(tmp_path / "unmounted")
    refused(box, "VAULT_MISSING")
    box.vault_path.mkdir()
    refused(box, "VAULT_MISSING")
    assert os.listdir(box.vault_path) == []
    with pytest.raises(StorageFault, match="VAULT_MISSING"):
        open_vault(box.state, box.vault_path)
    assert len(box.rows()) == 1


def test_another_disk_in_its_place_is_refused(tmp_path) -> None:
    box, other = Box(tmp_path / "one"), Box(tmp_path / "two")
    record(other)
    shutil.rmtree(box.vault_path)
    shutil.copytree(other.vault_path, box.vault_path)
    (box.vault_path / "VAULT").write_text((box.vault_path / "VAULT").read_text().replace("uuid-1", "uuid-9"))
    refused(box, "VAULT_FOREIGN")
    with pytest.raises(StorageFault, match="VAULT_FOREIGN"):
        open_vault(box.state, box.vault_path)


def test_a_lost_catalogue_beside_a_full_vault_is_not_made_anew(tmp_path) -> None:
    box = Box(tmp_path)
    record(box)
    for name in (FILE, FILE + "-wal", FILE + "-shm"):
        (box.state / name).unlink(missing_ok=True)
    refused(box, "CATALOGUE_MISSING")
    assert not (box.state / FILE).exists()
    shutil.rmtree(box.state)
    refused(box, "CATALOGUE_MISSING")
    assert not box.state.exists()


def test_a_vault_with_recordings_of_another_box_is_refused_at_a_new_place_too(tmp_path) -> None:
    box, other = Box(tmp_path / "one"), Box(tmp_path / "two")
    record(other)
    (other.vault_path / "VAULT").write_text(
        (other.vault_path / "VAULT").read_text().replace("uuid-1", "uuid-9")
    )
    refused(box, "VAULT_FOREIGN", vault=other.vault_path)


def test_a_vault_may_move_and_a_second_one_be_added(tmp_path) -> None:
    box = Box(tmp_path)
    record(box)
    moved = tmp_path / "moved"
    box.vault_path.rename(moved)
    prepare(moved, box.state, [], NOW, uuid="uuid-2")
    assert open_vault(box.state, moved).uuid == "uuid-1"
    prepare(tmp_path / "second", box.state, [], NOW, uuid="uuid-2")
    assert open_vault(box.state, tmp_path / "second").uuid == "uuid-2"
    Vault.create(tmp_path / "third", "uuid-3", created_ms=T0)
    prepare(tmp_path / "third", box.state, [], NOW, uuid="uuid-4")
    assert open_vault(box.state, tmp_path / "third").uuid == "uuid-3"
    Vault.create(tmp_path / "fourth", "uuid-5", created_ms=T0)
    with pytest.raises(StorageFault, match="VAULT_FOREIGN"):
        open_vault(box.state, tmp_path / "fourth")


def test_a_directory_with_other_things_is_no_place_for_a_vault(tmp_path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").touch()
    with pytest.raises(StorageFault, match="VAULT_NOT_EMPTY"):
        prepare(tmp_path / "home", tmp_path / "state", [], NOW, uuid="uuid-1")
    assert os.listdir(tmp_path / "home") == ["letter.txt"]


def test_progress_files_go_when_all_they_told_is_in_the_catalogue(tmp_path) -> None:
    box = Box(tmp_path)
    record(box)
    place = box.state / "open" / "record.json"
    assert place.exists()
    box.prepare()
    assert not place.exists()
