"""The box in its cabinet, all cores busy, while it records: how hot it gets, and whether it is slowed down.

Set-up    the box where it will stand, its cabinet closed, on a warm day; the disk for recordings mounted.
Run       python hardware_tests/temperature.py --folder /var/lib/pasu/vault [--cameras 16 --kbit 4000 --minutes 60]
Expected  no gap; nothing is slowed down; the hottest sensor stays 10 degrees below its limit, where it has one.
Writes    docs/evidence/hardware/temperature-<machine>.md
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench import Recording, conclude, need, options, run

ROOM = 10


def test() -> int:
    given = options(
        __doc__,
        ("--folder", {"type": Path, "default": Path("/var/lib/pasu/vault")}),
        ("--cameras", {"type": int, "default": 16}),
        ("--kbit", {"type": int, "default": 4000}),
        ("--minutes", {"type": float, "default": 60.0}),
    )
    from agent.vitals import Vitals

    vitals = Vitals()
    need(vitals.read().temperatures, "this machine shows no temperature")
    need(given.folder.is_dir(), f"{given.folder} is not there: name a folder on the disk for recordings")
    hottest, slowed, throttles = {}, 0, vitals.read().throttles or 0
    busy = []
    with Recording(given.folder, given.cameras, given.kbit) as recording:
        recording.wait_recording()
        try:
            busy = [
                subprocess.Popen(["nice", "-n", "19", sys.executable, "-S", "-c", "while True: pass"])
                for _ in range(os.cpu_count() or 1)
            ]
            until = time.monotonic() + given.minutes * 60
            while time.monotonic() < until:
                now = vitals.read()
                slowed += bool(now.is_slowed)
                for each in now.temperatures:
                    best = hottest.get(each.sensor)
                    if best is None or each.celsius > best.celsius:
                        hottest[each.sensor] = each
                time.sleep(2)
        finally:
            for each in busy:
                each.kill()
                each.wait()
        gaps = recording.gaps()
    throttled = (vitals.read().throttles or 0) - throttles
    near = [
        each for each in hottest.values() if each.limit_celsius and each.celsius > each.limit_celsius - ROOM
    ]
    seen = {
        "load": f"{given.cameras} cameras at {given.kbit} kbit/s and every core busy, {given.minutes:g} min",
        "hottest": ", ".join(
            f"{each.sensor} {each.celsius} °C (limit {each.limit_celsius})" for each in hottest.values()
        ),
        "slowed down": f"at {slowed} looks, {throttled} throttle events",
        "gaps": len(gaps),
    }
    return conclude(
        given, "Heat under load", seen, not gaps and not slowed and not throttled and not near, given.folder
    )


if __name__ == "__main__":
    run(test)
