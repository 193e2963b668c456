from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from agent.errors import StorageFault
from agent.storage import shelf as module
from agent.storage.files import fault
from agent.storage.shelf import PROBE, Shelf, known_vaults
from agent.storage.vault import IDENTITY, Vault
from tests.unit.storage.box import T0, Box, FailingDisk


def code(work) -> str:
    with pytest.raises(StorageFault) as caught:
        work()
    return caught.value.code


def test_configured_vaults_are_known_also_while_they_are_away(tmp_path) -> None:
    """B15: one that comes back later is used; nothing is made in its place."""
    box = Box(tmp_path)
    box.vault_path.rename(tmp_path / "away")
    (vault,) = known_vaults(box.state, [box.vault_path, tmp_path / "new"])
    assert (vault.root, vault.uuid) == (box.vault_path, "uuid-1")
    assert code(Shelf(vault, 0).check) == "VAULT_MISSING"
    assert not box.vault_path.exists()
    assert code(lambda: known_vaults(box.state, [tmp_path / "new"])) == "VAULT_MISSING"


def test_another_vault_or_none_is_found_by_looking(tmp_path) -> None:
    """B15."""
    box = Box(tmp_path)
    shelf = Shelf(box.vault, 0)
    assert shelf.device is None
    shelf.check()
    assert shelf.device == os.stat(box.vault_path).st_dev
    shelf.check()
    box.vault_path.rename(tmp_path / "away")
    assert code(shelf.check) == "VAULT_MISSING"
    Vault.create(box.vault_path, "uuid-2", created_ms=T0)
    assert code(shelf.check) == "VAULT_FOREIGN"
    (box.vault_path / IDENTITY).unlink()
    assert code(shelf.check) == "VAULT_MISSING"


def test_the_same_vault_at_another_place_on_the_disk_is_a_new_mount(tmp_path) -> None:
    box = Box(tmp_path)
    shelf = Shelf(box.vault, 0)
    shelf.check()
    box.vault_path.rename(tmp_path / "away")
    Vault.create(box.vault_path, "uuid-1", created_ms=T0)
    assert code(shelf.check) == "DISK_MISSING"
    shelf.forget()
    shelf.check()


def test_a_probe_writes_syncs_and_leaves_nothing(tmp_path) -> None:
    disk = FailingDisk()
    box = Box(tmp_path, disk=disk)
    before = sorted(path.name for path in box.vault_path.iterdir())
    Shelf(box.vault, 0).probe()
    assert {"write", "fdatasync", "rename", "fsync", "unlink"} <= set(disk.calls)
    assert sorted(path.name for path in box.vault_path.iterdir()) == before
    disk.plan = lambda _n, op, _p: errno.EROFS if op == "create" else None
    assert code(Shelf(box.vault, 0).probe) == "DISK_READ_ONLY"
    assert not (box.vault_path / PROBE).exists()


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (SimpleNamespace(f_bavail=10, f_frsize=4096, f_files=100, f_favail=100), "DISK_FULL"),
        (SimpleNamespace(f_bavail=1 << 20, f_frsize=4096, f_files=100, f_favail=0), "DISK_FULL"),
        (SimpleNamespace(f_bavail=1 << 20, f_frsize=4096, f_files=0, f_favail=0), None),
        (OSError(errno.EIO, "unknown"), "DISK_FAILED"),
    ],
)
def test_a_full_disk_works_again_when_it_has_room_and_says_so(tmp_path, monkeypatch, room, expected) -> None:
    """Errors of statvfs are unknown, never plenty."""

    def statvfs(_path):
        if isinstance(room, OSError):
            raise room
        return room

    box = Box(tmp_path)
    shelf = Shelf(box.vault, 0)
    shelf.fault = fault("write", box.vault_path, OSError(errno.ENOSPC, "full"))
    monkeypatch.setattr(module.os, "statvfs", statvfs)
    if expected is None:
        shelf.probe()
    else:
        assert code(shelf.probe) == expected
