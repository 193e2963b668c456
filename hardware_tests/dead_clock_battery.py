"""A box boots with a clock that forgot the time: it records at once, erases nothing, and puts its times right later.

Set-up    an installed box that records; its clock's battery taken out, or the clock set back by this test; no network
          to a time service at boot. As root.
Drill     1  python hardware_tests/dead_clock_battery.py before       writes down what is stored, sets the battery clock
                                                                      to 1970 (also where the battery is good)
          2  pull the line to the time service; switch the box off, and on again
          3  after five minutes put the line back; when `pasu clock` says that the time is trusted:
             python hardware_tests/dead_clock_battery.py after
Expected  recording goes on; nothing that was stored before is gone; what was recorded in doubt has its right time
          now, and the ledger says so.
Writes    docs/evidence/hardware/dead-clock-battery-<machine>.md
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from bench import ask, box, conclude, need, need_root, options, run, said

STORED = "select id, path from segment where state in ('COMMITTED', 'SALVAGED')"


def before(config, notes: Path) -> int:
    need(Path("/dev/rtc0").exists(), "there is no battery clock (/dev/rtc0)")
    need_root()
    rows = ask(config.storage.state, STORED)
    need(rows, "nothing is stored yet")
    notes.write_text(json.dumps({"at_ms": time.time_ns() // 1_000_000, "paths": [path for _, path in rows]}))
    subprocess.run(["hwclock", "--set", "--date", "1970-01-02 00:00:00", "--utc"], check=True)
    print("Pull the line to the time service, and switch the box off and on. Then: after")
    return 0


def after(given, config, notes: Path) -> int:
    need(notes.exists(), f"{notes} is not there: begin with `before`")
    known = json.loads(notes.read_text())
    need(
        said(config, "keep").get("trust") in ("SYNCED", "HOLDOVER"),
        "the time is not trusted yet: see `pasu clock`",
    )
    state = config.storage.state
    there = {path for _, path in ask(state, STORED)}
    erased = {
        json.loads(body).get("path")
        for (body,) in ask(state, "select body from ledger where kind = 'segment.erased'")
    }
    gone = sorted(set(known["paths"]) - there - erased)
    rushed = ask(state, "select count(*) from ledger where kind = 'segment.erased' and trust = 'UNTRUSTED'")[
        0
    ][0]
    doubted = ask(
        state,
        "select count(*) from segment where relabelled_from_ms is not null and end_ms > ?",
        known["at_ms"],
    )[0][0]
    waiting = ask(
        state,
        "select count(*) from segment where trust = 'UNTRUSTED' and relabelled_from_ms is null"
        " and kept_from_ms is null",
    )[0][0]
    told = [
        kind
        for (kind,) in ask(
            state,
            "select kind from ledger where kind glob 'clock.*' or kind glob 'time.*'",
        )
    ]
    boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    seen = {
        "stored before": len(known["paths"]),
        "gone without a tombstone": gone or "nothing",
        "erased while the time was not trusted": rushed,
        "segments whose time was put right": doubted,
        "segments that still wait for it": waiting,
        "told": ", ".join(sorted(set(told))),
        "since the boot": f"{boot_s:.0f} s",
    }
    return conclude(
        given,
        "A clock without a battery",
        seen,
        not gone and not rushed and doubted > 0 and not waiting,
        config.storage.vaults[0],
    )


def test() -> int:
    given = options(
        __doc__,
        ("what", {"choices": ("before", "after")}),
        ("--config", {"type": Path, "default": Path("/etc/pasu/agent.toml")}),
    )
    config = box(given.config)
    notes = config.storage.state / "hardware-test-clock.json"
    return before(config, notes) if given.what == "before" else after(given, config, notes)


if __name__ == "__main__":
    run(test)
