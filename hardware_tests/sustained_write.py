"""The planned load is recorded onto the disk for as long as it is planned, and nothing is lost.

Set-up    the disk for recordings, mounted. Virtual cameras run on the box itself, which takes some of its processor.
          Nothing else writes to the disk.
Run       python hardware_tests/sustained_write.py --folder /var/lib/pasu/vault [--cameras 16 --kbit 4000
          --seconds 3600]
Expected  no gap; at least 99 % of the planned bytes are stored; the device wrote at most 1.05 times as many (1.25
          below 3 Mbit/s a camera: what does not fill a chunk is written each window); the disk is never said to be
          slow.
Writes    docs/evidence/hardware/sustained-write-<machine>.md
"""

from __future__ import annotations

import time
from pathlib import Path

from bench import Recording, conclude, cpu_and_memory, need, options, run, text

SECTOR = 512


def written(device: str) -> int:
    fields = text(f"/sys/block/{device}/stat").split()
    return int(fields[6]) * SECTOR if fields else 0


def test() -> int:
    given = options(
        __doc__,
        ("--folder", {"type": Path, "default": Path("/var/lib/pasu/vault")}),
        ("--cameras", {"type": int, "default": 16}),
        ("--kbit", {"type": int, "default": 4000}),
        ("--seconds", {"type": float, "default": 3600}),
    )
    need(given.folder.is_dir(), f"{given.folder} is not there: name a folder on the disk for recordings")
    from agent import disks

    devices = disks.devices_of(given.folder)
    slow = 0
    with Recording(given.folder, given.cameras, given.kbit, segment_s=30) as recording:
        recording.wait_recording()
        begun, before = time.monotonic(), {each: written(each) for each in devices}
        cpu, _, _ = cpu_and_memory(recording.process.pid)
        while time.monotonic() - begun < given.seconds:
            time.sleep(5)
            slow += any(each["code"] == "vault.slow" for each in recording.health().get("conditions", []))
        lasted = time.monotonic() - begun
        core = (cpu_and_memory(recording.process.pid)[0] - cpu) / lasted
        on_device = sum(written(each) - before[each] for each in devices)
        gaps = recording.gaps()
        recording.stop()
        stored = recording.stored_bytes()
    most = 1.05 if given.kbit >= 3000 else 1.25
    planned = given.cameras * given.kbit * 125 * lasted
    seen = {
        "load": f"{given.cameras} cameras at {given.kbit} kbit/s for {lasted:.0f} s",
        "stored": f"{stored / 1e6:.0f} MB of {planned / 1e6:.0f} MB planned",
        "written to the device": f"{on_device / 1e6:.0f} MB, {on_device / stored:.3f} of what was stored"
        if on_device
        else "not known",
        "gaps": len(gaps),
        "looks at which the disk was slow": slow,
        "recorder": f"{core:.2f} of a core",
    }
    good = not gaps and not slow and stored >= 0.99 * planned and on_device <= most * stored
    return conclude(given, "The planned load, sustained", seen, good, given.folder)


if __name__ == "__main__":
    run(test)
