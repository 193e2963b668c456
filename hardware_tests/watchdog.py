"""The machine hangs as a whole: its hardware watchdog starts it again, and it records again without a hand.

Set-up    an installed box that records, with a hardware watchdog that systemd feeds: RuntimeWatchdogSec=30s in
          /etc/systemd/system.conf.d/. Nothing on it is needed for the next minutes. As root, at the console.
Drill     1  python hardware_tests/watchdog.py before
          2  python hardware_tests/watchdog.py hang        stops the kernel at once: only the watchdog helps now
          3  when it answers again:  python hardware_tests/watchdog.py after
Expected  the machine comes back by itself within two minutes, and records within 20 s of the kernel's start; what is
          missing is a gap.
Writes    docs/evidence/hardware/watchdog-<machine>.md
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from pathlib import Path

import cut
from bench import box, conclude, need, need_root, options, run, said, text

BACK_S = 120.0
UNITS_S = {
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0,
}  # fmt: skip


def span_s(said: str) -> float:
    """Read a span as systemd writes it ("1min 30s", "0", "infinity": whatever the device does by itself), seconds."""
    if said == "infinity":
        return math.inf
    parts = re.findall(r"([0-9.]+) ?([a-z]*)", said)
    return sum(float(number) * UNITS_S[unit or "us"] for number, unit in parts)


def limit_s() -> float:
    """Return after how long systemd lets the hardware start the machine again; 0: never."""
    done = subprocess.run(
        ["systemctl", "show", "-p", "RuntimeWatchdogUSec", "--value"],
        check=False,
        capture_output=True,
        text=True,
    )
    return span_s(done.stdout.strip())


def test() -> int:
    given = options(
        __doc__,
        ("what", {"choices": ("before", "hang", "after")}),
        ("--config", {"type": Path, "default": Path("/etc/pasu/agent.toml")}),
    )
    need(Path("/dev/watchdog").exists(), "there is no hardware watchdog (/dev/watchdog)")
    config = box(given.config)
    notes = config.storage.state / "hardware-test-watchdog.json"
    if given.what == "before":
        need(limit_s() > 0, "systemd does not feed the watchdog: set RuntimeWatchdogSec=30s, and reboot")
        cameras = said(config, "record").get("cameras", {})
        need(
            cameras and all(each["state"] == "recording" for each in cameras.values()),
            "not all cameras record",
        )
        print(f"{text('/sys/class/watchdog/watchdog0/identity')}, fed by systemd, {limit_s():g} s. Now: hang")
        return 0
    if given.what == "hang":
        need_root()
        need(limit_s() > 0, "systemd does not feed the watchdog: the machine would not come back")
        Path("/proc/sys/kernel/sysrq").write_text("1")
        Path("/proc/sys/kernel/panic").write_text("0")  # or the kernel would start again by itself
        notes.write_text(json.dumps({"at_ms": time.time_ns() // 1_000_000}))
        subprocess.run(["sync"], check=True)
        Path("/proc/sysrq-trigger").write_text("c")
        return 1
    need(notes.exists(), f"{notes} is not there: begin with `before` and `hang`")
    hung_ms = json.loads(notes.read_text())["at_ms"]
    boot_ms = (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000_000
    segments, gaps = cut.look(config.storage.state, hung_ms - 3_600_000)
    verdict = cut.judge(hung_ms, boot_ms, segments, gaps, lost_s=3.0)
    first = max((each.away_ms or 0 for each in verdict.cameras), default=0)
    seen = {
        "watchdog": f"{text('/sys/class/watchdog/watchdog0/identity')}, {limit_s():g} s",
        "started again": f"{(boot_ms - hung_ms) / 1000:.0f} s after it hung",
        "first picture": f"at most {first} ms after the kernel's start",
        "wrong": "; ".join(verdict.wrong) or "nothing",
    }
    return conclude(
        given, "A machine that hangs", seen, not verdict.wrong and boot_ms - hung_ms <= BACK_S * 1000
    )


if __name__ == "__main__":
    run(test)
