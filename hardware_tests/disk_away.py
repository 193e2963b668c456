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

from bench import ask, box, conclude, need, options, pasu, run, said, wait_for

TOLD = {"vault.missing", "vault.failing", "storage.trouble", "vault.foreign"}


def codes(config) -> set[str]:
    return {
        each["code"] for process in ("record", "keep") for each in said(config, process).get("conditions", [])
    }


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
    rows = len(ask(config.storage.state, "select 1 from segment"))
    input("Pull the disk, and press Enter at the same moment. ")
    pulled = time.monotonic()
    wait_for("a word that the disk is away", lambda: codes(config) & TOLD, 300)
    told_s = time.monotonic() - pulled
    below = sorted(path.name for path in mount.rglob("*")) if not os.path.ismount(mount) else []
    left = max(0.0, given.away - told_s)
    print(f"Told after {told_s:.0f} s. Wait for {left:.0f} s more.")
    time.sleep(left)
    input("Put it back, mount it if the system does not, and press Enter. ")
    back = time.monotonic()
    wait_for(
        "a segment on it",
        lambda: not codes(config) & TOLD and len(ask(config.storage.state, "select 1 from segment")) > rows,
        600,
    )
    back_s = time.monotonic() - back
    gaps = ask(config.storage.state,
               "select cause, count(*), sum(end_ms - start_ms) from gap where start_ms > ? group by cause",
               time.time_ns() // 1_000_000 - 3_600_000)  # fmt: skip
    checked = pasu("check", "--config", str(given.config))
    seen = {
        "told after": f"{told_s:.0f} s",
        "recording on it again after": f"{back_s:.0f} s",
        "gaps of the last hour (cause, how many, ms)": gaps,
        "below the mount point": below or "nothing",
        "pasu check": f"exit status {checked.returncode}",
    }
    good = told_s <= 60 and back_s <= 120 and not below and checked.returncode == 0
    return conclude(given, "The disk, pulled and put back", seen, good, vault)


if __name__ == "__main__":
    run(test)
