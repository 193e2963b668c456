"""A day of recording, with cameras that reboot: nothing is left behind by it.

Set-up    the disk for recordings, mounted, with room for the load.
Run       python hardware_tests/soak.py --folder /var/lib/pasu/vault [--hours 24 --cameras 16 --kbit 2000 --every 300]
Expected  every gap has its cause, and lies where a camera was away; after the first hour memory grows by less than
          1 % a day; no more files are open at the end than after the first hour.
Writes    docs/evidence/hardware/soak-<machine>.md
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from bench import Recording, conclude, cpu_and_memory, need, options, run

AWAY_S = 5.0


def test() -> int:
    given = options(
        __doc__,
        ("--folder", {"type": Path, "default": Path("/var/lib/pasu/vault")}),
        ("--hours", {"type": float, "default": 24.0}),
        ("--cameras", {"type": int, "default": 16}),
        ("--kbit", {"type": int, "default": 2000}),
        ("--every", {"type": float, "default": 300.0, "help": "seconds between two reboots of a camera"}),
    )
    need(given.folder.is_dir(), f"{given.folder} is not there: name a folder on the disk for recordings")
    chance, seconds, reboots = random.Random(1), given.hours * 3600, []
    with Recording(given.folder, given.cameras, given.kbit) as recording:
        recording.wait_recording()
        begun = time.monotonic()
        warm_s = min(3600.0, seconds / 4)
        warm, due = None, begun + given.every
        while (now := time.monotonic()) - begun < seconds:
            time.sleep(1)
            if now >= due:
                due = now + given.every
                name = chance.choice(sorted(recording.names))
                reboots.append((name, time.time_ns() // 1_000_000))
                recording.cameras.command("reboot", camera=int(name[3:]), seconds=AWAY_S)
            if warm is None and now - begun >= warm_s:
                warm = cpu_and_memory(recording.process.pid)
                warm_at = now
        ended = time.monotonic() + 30  # a gap is written when its camera is back
        while len(recording.gaps()) < len(reboots) and time.monotonic() < ended:
            time.sleep(1)
        recording.wait_recording()
        cpu, memory, files = cpu_and_memory(recording.process.pid)
        days = (time.monotonic() - warm_at) / 86_400
        gaps = recording.gaps()
    unexplained = [
        gap for gap in gaps
        if not any(name == gap[0] and at - 2000 <= gap[1] <= at + 60_000 for name, at in reboots)
    ]  # fmt: skip
    growth = (memory / warm[1] - 1) * 100
    causes = sorted({gap[3] for gap in gaps})
    seen = {
        "load": f"{given.cameras} cameras at {given.kbit} kbit/s for {given.hours:g} h",
        "reboots of a camera": len(reboots),
        "gaps": f"{len(gaps)}, of which {len(unexplained)} not after a reboot; causes {causes}",
        "memory": f"{warm[1] / 1e6:.1f} MB after {warm_s / 60:.0f} min, {memory / 1e6:.1f} MB at the end",
        "memory, a day": f"{growth / days:+.2f} %",
        "open files": f"{warm[2]}, then {files}",
        "recorder": f"{(cpu - warm[0]) / (days * 86_400):.2f} of a core",
    }
    # What a minute's run grows by says nothing of a day.
    grows = growth / days >= 1 if given.hours >= 12 else growth >= 10
    good = not unexplained and len(gaps) >= len(reboots) and not grows and files <= warm[2] + 2
    return conclude(given, "A soak", seen, good, given.folder)


if __name__ == "__main__":
    run(test)
