"""A real disk that is unmounted while segments on it are being erased."""

from __future__ import annotations

import subprocess

import pytest

from tests.procedure.loop import loop_disk
from tests.unit.keep.kept import Kept
from tests.unit.storage.box import T0


@pytest.fixture
def box(tmp_path):
    with loop_disk(tmp_path / "disk.img", tmp_path / "box" / "vault") as disk:
        made = Kept(tmp_path / "box")
        made.record(count=3)
        yield made, disk


@pytest.mark.parametrize("at", ["E3", "E3a", "E3b", "E4", "E5"])
def test_unmounted_in_the_middle_of_a_batch_nothing_is_buried_that_is_there(box, at) -> None:
    """B15, I6: also not when the place below the mount point looks like a vault without segments."""
    box, disk = box
    lost, *others = box.names()
    (box.vault_path / lost).unlink()
    box.condemn()

    def step(name: str) -> None:
        if name == at and disk.place.is_mount():
            disk.take_away()

    box.finish(step=step)
    assert not disk.place.is_mount()
    assert box.states() == {lost: "CONDEMNED"} | dict.fromkeys(others, "GONE")
    assert box.finish().erased == 0
    disk.mount()
    # What was said to be gone is gone from the disk itself; what was not sure is judged now.
    assert box.names() == []
    report = box.finish()
    assert (report.erased, report.missing) == (1, 1)
    assert [body["path"] for body in box.erased() if body.get("missing")] == [lost]


def test_what_is_mounted_over_a_camera_hides_nothing_for_good(box) -> None:
    """I6: the directory that is looked into must be on the vault's own disk."""
    box, _ = box
    box.record("cam2", at_ms=T0)
    box.condemn()
    place = box.vault_path / "segments/cam1"
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        report = box.finish()
        assert {reason for _, reason in report.refused} == {"its directory is on another disk"}
        assert [*box.states().values()] == ["CONDEMNED"] * 3 + ["GONE"]
    finally:
        subprocess.run(["umount", place], check=True)
    assert box.finish().erased == 3
    assert all(body["shredded"] and "missing" not in body for body in box.erased())
