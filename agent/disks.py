"""Ask the disks under vaults and state what they say of themselves: smartctl, as root, from time to time.

Nothing else of Pasu has the rights for that; this does one thing and ends. The rest reads `<run>/disks.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.health.smart import examine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SYS = Path("/sys")
MOUNTS = Path("/proc/self/mountinfo")
ASK_S = 60.0  # a disk that sleeps has to spin up; one that is dying may take longer, and says nothing then
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where smartctl is looked for: never where whoever calls us says."""


def look(places: Iterable[Path]) -> dict[str, Any]:
    """Ask every disk that one of these directories lies on, each once.

    Returns  the body of disks.json: process, at_ms, boot_ms, disks (`health.smart.examine`)
    """
    under: dict[str, list[str]] = {}
    for place in places:
        for device in devices_of(place):
            under.setdefault(device, []).append(str(place))
    return {
        "process": "disks",
        "pid": os.getpid(),
        "at_ms": time.time_ns() // 1_000_000,
        "boot_ms": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000),
        "disks": [examine(device, found, ask(device)) for device, found in sorted(under.items())],
    }


def ask(device: str, *, path: str = PATH) -> Any:
    """Return what smartctl says of a disk, None when it says nothing that can be read.

    Its status is not looked at: it tells in one number of what the report tells in full.
    """
    try:
        done = subprocess.run(
            ["smartctl", "--json", "--all", f"/dev/{device}"],
            capture_output=True,
            timeout=ASK_S,
            check=False,
            env={"PATH": path, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
        )
        return json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None


def devices_of(place: Path, *, sys: Path = SYS, mounts: Path = MOUNTS) -> list[str]:
    """Return the names of the disks that a directory lies on; several below a RAID, none where there is no disk."""
    try:
        number = place.stat().st_dev
    except OSError:
        return []
    if os.major(number) == 0:  # btrfs and the like: the file system has a number of its own
        number = _mounted(place, mounts)
    return sorted({*_disks(sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}")})


def _disks(block: Path) -> Iterator[str]:
    """Yield the disks below a block device: a partition's disk, and what a RAID or a mapped device is made of."""
    device = block.resolve()
    if not device.is_dir():
        return
    if (device / "partition").exists():
        device = device.parent
    below = [*(device / "slaves").glob("*")]
    for each in below:
        yield from _disks(each)
    if not below:
        yield device.name


def _mounted(place: Path, mounts: Path) -> int:
    """Return the number of the device that is mounted at or above a directory; 0 for none.

    Source  proc_pid_mountinfo(5): mount point in field 5, device in the second after the hyphen
    """
    best, number = "", 0
    path = f"{place.resolve()}/"
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ").rstrip("/") + "/"
        if path.startswith(point) and len(point) >= len(best):
            try:
                best, number = point, Path(after.split()[1]).stat().st_rdev
            except OSError:  # "tmpfs": no device
                best, number = point, 0
    return number
