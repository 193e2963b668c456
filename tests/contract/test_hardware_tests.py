"""hardware_tests/: each starts, says what it needs where that is missing, and is listed; what can be tried here is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ROOT

FOLDER = ROOT / "hardware_tests"
SHARED = {"bench.py", "cut.py"}
FILES = sorted(path.name for path in FOLDER.glob("*.py") if path.name not in SHARED)
NOTHING = "/nowhere/agent.toml"
NEEDS = {
    "analogue_board.py": (["/dev/no-video"], "connect a board"),
    "dead_clock_battery.py": (["before", "--config", NOTHING], "install and configure the box first"),
    "disk_away.py": (["--config", NOTHING], "install and configure the box first"),
    "fsync_latency.py": (["--folder", "/nowhere"], "name a folder on the disk for recordings"),
    "gpio_line.py": ([], "name a real line with --chip"),
    "network_flaps.py": (["--interface", "eth9"], "--interface and --url go together"),
    "pull_the_plug.py": (["check", "--config", NOTHING], "install and configure the box first"),
    "soak.py": (["--folder", "/nowhere"], "name a folder on the disk for recordings"),
    "sustained_write.py": (["--folder", "/nowhere"], "name a folder on the disk for recordings"),
    "temperature.py": (["--folder", "/nowhere"], "no temperature|name a folder"),
    "tunnel_systemd.py": (["--config", NOTHING], "install and configure the box first"),
    "watchdog.py": (
        ["before", "--config", NOTHING],
        "no hardware watchdog|install and configure the box first",
    ),
}


def start(name: str, *arguments: str, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / name), *arguments, "--out", str(out)],
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, env={**os.environ, "LANG": "C.UTF-8"},
    )  # fmt: skip


def test_the_readme_lists_all_of_them():
    listed = re.findall(r"^\| `(\w+\.py)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == FILES == sorted(NEEDS)


@pytest.mark.parametrize("name", FILES)
def test_each_says_its_setup_what_is_expected_and_what_it_writes(name, tmp_path):
    said = start(name, "--help", out=tmp_path).stdout
    for word in ("Set-up ", "Expected ", "Writes "):
        assert word in said
    assert re.search(r"Writes\s+docs/evidence/hardware/[\w-]+-<machine>\.md", said)


@pytest.mark.parametrize("name", FILES)
def test_each_skips_with_the_reason_where_the_hardware_is_not_there(name, tmp_path):
    if name == "gpio_line.py" and Path("/sys/kernel/config/gpio-sim").exists():
        return  # this kernel has what it needs
    arguments, reason = NEEDS[name]
    done = start(name, *arguments, out=tmp_path)
    assert done.returncode == 77, done
    assert re.search(rf"skipped: .*({reason})", done.stdout), done
    assert list(tmp_path.iterdir()) == []


def test_what_needs_no_hardware_leaves_its_evidence(tmp_path):
    done = start(
        "fsync_latency.py",
        "--folder",
        str(tmp_path),
        "--seconds",
        "2",
        "--cameras",
        "2",
        out=tmp_path / "out",
    )
    assert done.returncode in (0, 1), done  # how fast this machine's disk is, is not what is asked
    (file,) = (tmp_path / "out").iterdir()
    text = file.read_text()
    for word in ("- box: ", "- firmware: ", "- disk: ", "- sync, 99 of 100: ", "Result: "):
        assert word in text


def test_the_planned_load_is_recorded_and_told(tmp_path):
    done = start(
        "sustained_write.py", "--folder", str(tmp_path), "--seconds", "6", "--cameras", "2", "--kbit", "500",
        out=tmp_path / "out",
    )  # fmt: skip
    (file,) = (tmp_path / "out").iterdir()
    assert "- gaps: 0" in file.read_text(), done
    assert not (tmp_path / "pasu-bench-vault").exists(), "it takes its own recordings away"


class TestCut:
    """A4: the judgement of a power cut, for the drill with a plug."""

    CUT, BOOT = 1_000_000, 1_020_000

    @pytest.fixture
    def judge(self, monkeypatch):
        monkeypatch.syspath_prepend(str(FOLDER))
        import cut

        return lambda segments, gaps: cut.judge(self.CUT, self.BOOT, {"cam01": segments}, {"cam01": gaps})

    def test_a4_what_a_cut_may_cost_is_no_fault(self, judge):
        found = judge([(900_000, 998_800), (1_033_000, 1_060_000)], [(998_800, 1_033_000)])
        assert found.wrong == []
        (camera,) = found.cameras
        assert (camera.lost_ms, camera.away_ms, camera.is_told) == (1200, 13_000, True)

    @pytest.mark.parametrize(
        ("segments", "gaps", "word"),
        [
            ([(900_000, 997_000), (1_030_000, 1_060_000)], [(997_000, 1_030_000)], "3000 ms were lost"),
            ([(900_000, 999_000), (1_045_000, 1_060_000)], [(999_000, 1_045_000)], "25000 ms after the boot"),
            ([(900_000, 999_000), (1_030_000, 1_060_000)], [], "no gap says"),
            ([(900_000, 999_000), (1_030_000, 1_060_000)], [(1_005_000, 1_030_000)], "no gap says"),
            ([(900_000, 999_000)], [], "nothing is recorded since"),
            ([(1_030_000, 1_060_000)], [], "nothing is stored of before"),
        ],
    )
    def test_a4_what_is_wrong_is_said(self, judge, segments, gaps, word):
        found = judge(segments, gaps)
        assert any(word in each for each in found.wrong), found.wrong

    def test_a4_a_box_without_anything_is_wrong(self, judge, monkeypatch):
        import cut

        assert cut.judge(self.CUT, self.BOOT, {}, {}).wrong
