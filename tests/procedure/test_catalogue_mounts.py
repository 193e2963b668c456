"""B15 at the start, on real mounts: a disk that is not mounted, or another one in its place, gets not a byte."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.errors import StorageFault
from agent.storage.prepare import prepare
from tests.procedure.loop import loop_disk
from tests.unit.keep.test_rebuild import fill, lose
from tests.unit.storage.box import T0, Box, StillClock

if TYPE_CHECKING:
    from pathlib import Path


def start_up(box: Box, *more: Path) -> dict[str, str]:
    report = prepare(
        [box.vault_path, *more],
        box.state,
        box.cameras,
        box.clock.now(),
        box="box-1",
        new_uuid=lambda: "uuid-2",
    )
    return {path.name: fault.code for path, fault in report.vault_faults.items()}


def everything(top: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (str(path.relative_to(top)), path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in top.rglob("*")
    )


def test_an_unmounted_disk_gets_nothing_below_its_mount_point(tmp_path) -> None:
    mount, second = tmp_path / "vault", tmp_path / "second"
    with loop_disk(tmp_path / "image", mount) as disk:
        box = Box(tmp_path)
        fill(box, [T0])
        assert start_up(box, second) == {}
        for lost in (False, True):
            disk.unmount()
            if lost:
                lose(box)
            with pytest.raises(StorageFault, match="VAULT_MISSING"):
                start_up(box)
            assert start_up(box, second) == {"vault": "VAULT_MISSING"}
            assert os.listdir(mount) == []
            disk.mount()
            assert start_up(box, second) == {}
        assert {path.name for path in mount.iterdir()} >= {"VAULT", "VAULTS", "segments"}


def test_another_boxs_disk_in_its_place_is_left_as_it_is(tmp_path) -> None:
    mount, elsewhere = tmp_path / "vault", tmp_path / "theirs" / "vault"
    with loop_disk(tmp_path / "theirs.image", elsewhere) as theirs:
        prepare(
            [elsewhere],
            tmp_path / "theirs" / "state",
            ["cam1"],
            StillClock().now(),
            box="box-2",
            new_uuid=lambda: "uuid-9",
        )
        with loop_disk(tmp_path / "image", mount) as disk:
            box = Box(tmp_path)
            fill(box, [T0])
            disk.unmount()
            theirs.unmount()
            subprocess.run(["mount", theirs.device, mount], check=True)
            before = everything(mount)
            with pytest.raises(StorageFault, match="VAULT_FOREIGN"):
                start_up(box)
            lose(box)
            with pytest.raises(StorageFault, match="VAULT_FOREIGN"):
                start_up(box)
            assert everything(mount) == before
            disk.unmount()
            disk.mount()
            assert start_up(box) == {}
