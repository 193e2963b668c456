"""How long the disk takes to make a second of recording durable.

Set-up    the disk for recordings, mounted; nothing else writes to it.
Run       python hardware_tests/fsync_latency.py --folder /var/lib/pasu/vault [--cameras 16 --kbit 4000 --seconds 120]
Expected  99 of 100 syncs within 0.5 s (what a power cut may cost besides the loss window), none over 5 s.
Writes    docs/evidence/hardware/fsync-latency-<machine>.md
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench import conclude, need, options, run

MOST_S, WORST_S = 0.5, 5.0


def test() -> int:
    given = options(
        __doc__,
        ("--folder", {"type": Path, "default": Path("/var/lib/pasu/vault")}),
        ("--cameras", {"type": int, "default": 16}),
        ("--kbit", {"type": int, "default": 4000}),
        ("--seconds", {"type": float, "default": 120}),
    )
    need(given.folder.is_dir(), f"{given.folder} is not there: name a folder on the disk for recordings")
    from agent.storage.files import Disk

    disk = Disk()  # as recording does it: this file system alone, whatever else the box writes to
    bytes_each = given.kbit * 125
    block = os.urandom(bytes_each)
    took = []
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="pasu-fsync-") as place:
        files = [
            os.open(Path(place, str(number)), os.O_WRONLY | os.O_CREAT) for number in range(given.cameras)
        ]
        until = time.monotonic() + given.seconds
        while (begun := time.monotonic()) < until:
            for each in files:
                os.write(each, block)
            sync = time.monotonic()
            disk.syncfs(files[0], given.folder)
            took.append(time.monotonic() - sync)
            time.sleep(max(0.0, begun + 1.0 - time.monotonic()))
        for each in files:
            os.close(each)
    took.sort()
    p99 = took[len(took) * 99 // 100]
    seen = {
        "load": f"{given.cameras} cameras at {given.kbit} kbit/s, a sync each second, {len(took)} syncs",
        "sync, median": f"{took[len(took) // 2] * 1000:.1f} ms",
        "sync, 99 of 100": f"{p99 * 1000:.1f} ms",
        "sync, longest": f"{took[-1] * 1000:.1f} ms",
        "loss_window_s that fits": f"{max(1.0, round(4 * p99, 1))}",
    }
    return conclude(given, "What a sync costs", seen, p99 <= MOST_S and took[-1] <= WORST_S, given.folder)


if __name__ == "__main__":
    run(test)
