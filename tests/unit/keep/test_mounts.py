"""Which file systems make overwriting worthless."""

from __future__ import annotations

import os

import pytest

from agent.storage.keep.mounts import MOUNTS, keeps_copies
from tests.procedure.loop import loop_disk


def line(number: str, mounted: str, kind: str, options: str) -> str:
    return f"36 35 {number} / {mounted} rw,noatime shared:1 - {kind} /dev/sda1 {options}\n"


@pytest.fixture
def number(tmp_path) -> str:
    device = tmp_path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("ext4", "rw", ""),
        ("ext4", "rw,errors=remount-ro,data=ordered", ""),
        ("ext4", "rw,data=journal", "ext4 data=journal"),
        ("xfs", "rw", ""),
        ("btrfs", "rw,space_cache", "btrfs"),
        ("f2fs", "rw", "f2fs"),
    ],
)
def test_what_a_mount_says(tmp_path, number, kind, options, said) -> None:
    table = line("1:99", "/", "ext4", "rw,data=journal") + line(number, "/vault", kind, options)
    assert keeps_copies(tmp_path, table) == said


def test_a_subvolume_is_found_by_where_it_is_mounted(tmp_path) -> None:
    table = line("1:98", "/", "ext4", "rw") + line("1:99", str(tmp_path), "btrfs", "rw")
    assert keeps_copies(tmp_path / "vault", table) == ""  # not there: nothing is said
    (tmp_path / "vault").mkdir()
    assert keeps_copies(tmp_path / "vault", table) == "btrfs"
    assert (
        keeps_copies(
            tmp_path / "vault", line("1:99", "/", "btrfs", "rw") + line("1:98", str(tmp_path), "xfs", "rw")
        )
        == ""
    )


def test_lines_that_are_none_say_nothing(tmp_path) -> None:
    assert keeps_copies(tmp_path, "\n - \nodd\n36 35 1:2 / - ext4\n") == ""


def test_a_real_ext4_with_a_data_journal_is_seen(tmp_path) -> None:
    """threat-model.md: there the carver found every header."""
    with loop_disk(tmp_path / "disk.img", tmp_path / "disk") as disk:
        assert keeps_copies(disk.place) == "", MOUNTS.read_text()
        disk.unmount()
        disk.mount("data=journal")
        assert keeps_copies(disk.place) == "ext4 data=journal", MOUNTS.read_text()
