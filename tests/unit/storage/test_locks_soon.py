"""The lock on a folder that somebody else may hold for ever."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent.errors import StorageFault
from agent.storage import locks

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_held_by_one_at_a_time_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with locks.soon(tmp_path, 1):
        with pytest.raises(StorageFault) as caught, locks.soon(tmp_path, 0.2, 0.05):
            pytest.fail("two hold it")
        assert caught.value.code == "FOLDER_BUSY"
        assert str(caught.value.context["process"]).startswith(f"{os.getpid()} ")
    with locks.soon(tmp_path, 0):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(StorageFault) as caught, locks.soon(tmp_path / "gone", 1):
        pytest.fail("nothing was locked")
    assert caught.value.code == "DISK_MISSING"


def test_who_holds_it_is_told_as_far_as_the_kernel_tells(tmp_path: Path) -> None:
    status = tmp_path.stat()
    assert locks._holder(status, tmp_path) == ""
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    (tmp_path / "locks").write_text(
        f"1: POSIX  ADVISORY  WRITE 7 {file} 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 00:00:1 0 EOF\n"
    )
    assert locks._holder(status, tmp_path) == ""
    (tmp_path / "locks").write_text(f"2: FLOCK  ADVISORY  WRITE 9 {file} 0 EOF\n")
    assert locks._holder(status, tmp_path) == "9"
