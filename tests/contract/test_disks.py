"""Asking the disks: which ones lie under a directory, and the real smartctl about this machine's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from agent import disks
from agent.health.smart import examine, judge_all
from tests.peer import need


@pytest.fixture
def tree(tmp_path):
    """Make a /sys in which sda has a partition, md0 lies on partitions of sdb and sdc, and dm-0 on md0."""
    sys = tmp_path / "sys"
    block = sys / "block"
    for disk in ("sda", "sdb", "sdc"):
        (block / disk / f"{disk}1").mkdir(parents=True)
        (block / disk / f"{disk}1" / "partition").write_text("1\n")
        (block / disk / "slaves").mkdir()
    for name, below in (("md0", ("sdb/sdb1", "sdc/sdc1")), ("dm-0", ("md0",))):
        (block / name / "slaves").mkdir(parents=True)
        for each in below:
            (block / name / "slaves" / Path(each).name).symlink_to(block / each)
    return sys


def number(place: Path) -> str:
    device = place.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


@pytest.mark.parametrize(
    ("on", "found"),
    [
        ("sda", ["sda"]),
        ("sda/sda1", ["sda"]),
        ("md0", ["sdb", "sdc"]),
        ("dm-0", ["sdb", "sdc"]),
    ],
)
def test_the_disks_below_a_directory_are_found(tree, tmp_path, on, found):
    (tree / "dev" / "block").mkdir(parents=True)
    (tree / "dev" / "block" / number(tmp_path)).symlink_to(tree / "block" / on)
    assert disks.devices_of(tmp_path, sys=tree) == found


def test_what_lies_on_no_disk_has_none(tmp_path):
    assert disks.devices_of(Path("/proc")) == []
    assert disks.devices_of(tmp_path / "gone") == []
    assert disks.devices_of(tmp_path, sys=tmp_path) == []


def test_a_file_system_with_a_number_of_its_own_is_looked_up_by_its_mount(tree, tmp_path):
    """As btrfs has: /proc/mounts knows the device, a directory's number does not."""
    names = [
        line.split()[3] for line in Path("/proc/partitions").read_text().splitlines()[2:] if line.strip()
    ]
    real = Path("/dev") / names[-1]
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "20 1 0:20 / / rw - rootfs rootfs rw\n"
        f"21 20 0:21 /sub /proc rw,relatime shared:1 - btrfs {real} rw\n"
        "22 21 0:22 / /proc/sys/fs rw - autofs systemd-1 rw\n"
    )
    (tree / "dev" / "block").mkdir(parents=True)
    device = real.stat().st_rdev
    (tree / "dev" / "block" / f"{os.major(device)}:{os.minor(device)}").symlink_to(tree / "block" / "sda")
    assert disks.devices_of(Path("/proc/sys"), sys=tree, mounts=mounts) == ["sda"]
    assert disks.devices_of(Path("/proc/sys/fs"), sys=tree, mounts=mounts) == []


def test_the_real_smartctl_is_understood(tmp_path):
    """A disk of this machine, virtual or not: either it says something, or why it does not."""
    need("smartctl")
    body = disks.look([tmp_path, tmp_path, Path("/proc")])
    assert json.loads(json.dumps(body)) == body
    for disk in body["disks"]:
        assert disk["places"] == [str(tmp_path)] * 2
        said = subprocess.run(["smartctl", "--json", "--all", f"/dev/{disk['device']}"], capture_output=True)
        status = json.loads(said.stdout).get("smart_status")
        assert bool(disk["unavailable"]) == (status is None), disk
        assert disk["passed"] == (status or {}).get("passed")
    raised, _ = judge_all(body, body["boot_ms"] / 1000, set())
    assert [each.code for each in raised if each.code == "disk.unwatched"] == []


def test_a_device_that_is_none_is_understood_too():
    need("smartctl")
    disk = examine("nonexistent", [], disks.ask("nonexistent"))
    assert disk["unavailable"] == "/dev/nonexistent: Unable to detect device type"


def test_a_machine_without_smartctl_says_so(tmp_path):
    disk = examine("sda", [], disks.ask("sda", path=str(tmp_path)))
    assert disk["unavailable"] == "no smartctl"
    (tmp_path / "smartctl").write_text("#!/bin/sh\necho half a repo")
    (tmp_path / "smartctl").chmod(0o755)
    assert disks.ask("sda", path=f"{tmp_path}:/bin") is None
