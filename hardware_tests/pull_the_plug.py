"""The plug is pulled while a box records, and pulled again; afterwards everything is looked at.

Set-up    an installed box that records its cameras (`pasu doctor` is green), a power strip with a switch that you can
          reach, and a second computer from which you can log in. Cameras have another power supply. As root, with this
          folder in /root (README.md).
Drill     1  on the second computer:   ssh root@BOX /opt/pasu/bin/python hardware_tests/pull_the_plug.py watch \\
             | tee cuts.txt
             It prints the time and how far each camera is stored, several times a second.
          2  wait until every line says that all cameras record; pull the plug; note what the box was doing
          3  wait ten seconds, put the plug back, and do not touch the box
          4  when it answers again go on with 1 (tee -a), as often as you mean to: twenty times at least, and once while
             it starts up
          5  take cuts.txt to the box:  /opt/pasu/bin/python hardware_tests/pull_the_plug.py check cuts.txt
Expected  of each cut: at most 2.0 s lost per camera, recording again within 20 s of the kernel's start, a gap that says
          so; `pasu check --level digests` and `pasu ledger verify` find nothing; no question of fsck at the console.
Writes    docs/evidence/hardware/pull-the-plug-<machine>.md
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import cut
from bench import ask, box, conclude, need, options, pasu, run, said

EVERY_S = 0.2


def boots() -> list[int]:
    """Return when each boot of this machine began, UTC ms, from the journal."""
    done = subprocess.run(
        ["journalctl", "--list-boots", "-o", "json"], check=False, capture_output=True, text=True
    )
    if done.returncode == 0 and done.stdout.strip():
        return sorted(each["first_entry"] // 1000 for each in json.loads(done.stdout))
    return [(time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000_000]


def watch(config) -> int:
    while True:
        cameras = said(config, "record").get("cameras", {})
        recording = sum(each["state"] == "recording" for each in cameras.values())
        line = {"utc_ms": time.time_ns() // 1_000_000, "recording": recording, "of": len(cameras)}
        print(json.dumps(line), flush=True)
        time.sleep(EVERY_S)


def cuts(path: Path) -> list[int]:
    """Return the last sign of life before each pause of more than five seconds, and at the end; all recorded then."""
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:  # the line that the cut tore
            continue
    return [
        line["utc_ms"]
        for number, line in enumerate(lines)
        if (number + 1 == len(lines) or lines[number + 1]["utc_ms"] - line["utc_ms"] > 5000)
        and line["of"]
        and line["recording"] == line["of"]
    ]


def check(given, config) -> int:
    found = cuts(given.file)
    need(found, f"{given.file} holds no cut at which all cameras recorded")
    started = boots()
    wrong, lost, away = [], [], []
    for cut_ms in found:
        boot_ms = min((each for each in started if each > cut_ms), default=None)
        if boot_ms is None:
            wrong.append(f"cut at {cut_ms}: no boot after it is in the journal (is it kept over boots?)")
            continue
        segments, gaps = cut.look(config.storage.state, cut_ms - 3_600_000)
        verdict = cut.judge(cut_ms, boot_ms, segments, gaps)
        wrong += [f"cut at {cut_ms}: {each}" for each in verdict.wrong]
        lost += [each.lost_ms for each in verdict.cameras]
        away += [each.away_ms for each in verdict.cameras if each.away_ms is not None]
    for command in (("check", "--level", "digests"), ("ledger", "verify")):
        done = pasu(*command, "--config", str(given.config))
        if done.returncode:
            wrong.append(f"pasu {' '.join(command)}: {done.stdout[-300:]}{done.stderr[-300:]}")
    flaps = ask(config.storage.state, "select count(*) from ledger where kind = 'box.flapping'")
    seen = {
        "cuts": len(found),
        "lost before a cut": f"at most {max(lost, default=0)} ms of a camera",
        "from the kernel's start to the first picture": f"at most {max(away, default=0)} ms",
        "said to be starting again and again": flaps[0][0] if flaps else 0,
        "wrong": "; ".join(wrong) or "nothing",
    }
    return conclude(given, "The plug, pulled", seen, not wrong, config.storage.vaults[0])


def test() -> int:
    given = options(
        __doc__,
        ("what", {"choices": ("watch", "check")}),
        ("file", {"type": Path, "nargs": "?", "help": "what `watch` wrote"}),
        ("--config", {"type": Path, "default": Path("/etc/pasu/agent.toml")}),
    )
    config = box(given.config)
    if given.what == "watch":
        return watch(config)
    need(given.file and given.file.exists(), "name the file that `watch` wrote")
    return check(given, config)


if __name__ == "__main__":
    run(test)
