"""The disk for recordings is pulled while a box records, and put back.

Set-up    an installed box that records, with the vault on a disk of its own that may be pulled (hot-swap frame, USB).
Run       python hardware_tests/disk_away.py [--config /etc/pasu/agent.toml], and do what it says
Expected  within a minute of the pull the box says that the disk is missing, and goes on in memory; within two minutes
          of the disk's return recording goes on there; what is missing is a gap; `pasu check` finds nothing; on the
          directory below the mount point nothing was written.
Writes    docs/evidence/hardware/disk-away-<machine>.md
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import cut
from bench import ask, box, conclude, need, options, pasu, run, said, wait_for

TOLD = {"vault.missing", "vault.failing", "storage.trouble", "vault.foreign"}


def codes(config) -> set[str]:
    return {
        each["code"] for process in ("record", "keep") for each in said(config, process).get("conditions", [])
    }


def recorded_since(config, since_ms: int) -> set[str]:
    found = ask(config.storage.state, "select distinct camera from segment where end_ms > ?", since_ms)
    return {camera for (camera,) in found}


def test() -> int:
    given = options(
        __doc__,
        ("--config", {"type": Path, "default": Path("/etc/pasu/agent.toml")}),
        ("--away", {"type": float, "default": 120.0, "help": "seconds for which the disk stays away"}),
    )
    config = box(given.config)
    vault = config.storage.vaults[0]
    need(vault.is_dir(), f"{vault} is not there")
    mount = next(each for each in (vault, *vault.parents) if os.path.ismount(each))
    need(str(mount) != "/", "the vault lies on the system's own disk, which cannot be pulled")
    need(said(config, "record"), "pasu record does not run")
    need(os.isatty(0), "it asks for hands: run it in a terminal")
    cameras = {
        name
        for name, each in said(config, "record").get("cameras", {}).items()
        if each["state"] == "recording"
    }
    need(cameras, "no camera records")
    input("Pull the disk, and press Enter at the same moment. ")
    pulled, pulled_ms = time.monotonic(), time.time_ns() // 1_000_000
    wait_for("a word that the disk is away", lambda: codes(config) & TOLD, 300)
    told_s = time.monotonic() - pulled
    below = sorted(path.name for path in mount.rglob("*")) if not os.path.ismount(mount) else []
    left = max(0.0, given.away - told_s)
    print(f"Told after {told_s:.0f} s. Wait for {left:.0f} s more.")
    time.sleep(left)
    input("Put it back, mount it if the system does not, and press Enter. ")
    back, back_ms = time.monotonic(), time.time_ns() // 1_000_000
    wait_for(
        "a segment of each camera that was recorded since, at least in part",
        lambda: not codes(config) & TOLD and cameras <= recorded_since(config, back_ms),
        600,
    )
    back_s = time.monotonic() - back
    gaps = ask(config.storage.state,
               "select cause, count(*), sum(end_ms - start_ms) from gap where end_ms > ? group by cause",
               pulled_ms)  # fmt: skip
    segments, told = cut.look(config.storage.state, pulled_ms - 3_600_000)
    untold = cut.untold(cameras, segments, told, pulled_ms, back_ms)
    checked = pasu("check", "--config", str(given.config))
    seen = {
        "told after": f"{told_s:.0f} s",
        "recording on it again after": f"{back_s:.0f} s",
        "gaps since the pull (cause, how many, ms)": gaps or "none",
        "missing, and no gap says so": "; ".join(untold) or "nothing",
        "below the mount point": below or "nothing",
        "pasu check": f"exit status {checked.returncode}",
    }
    good = told_s <= 60 and back_s <= 120 and not below and not untold and checked.returncode == 0
    return conclude(given, "The disk, pulled and put back", seen, good, vault)


if __name__ == "__main__":
    run(test)
