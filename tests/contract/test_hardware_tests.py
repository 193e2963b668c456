"""hardware_tests/: each starts, says what it needs where that is missing, and is listed; what can be tried here is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
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


def test_one_that_could_not_write_its_evidence_does_not_begin(tmp_path):
    """Run from a stick that is mounted to be read, it would fail after an hour."""
    (tmp_path / "file").touch()
    done = start("fsync_latency.py", "--folder", str(tmp_path), out=tmp_path / "file/evidence")
    assert done.returncode == 77, done
    assert "cannot be written" in done.stdout


def test_the_folder_works_where_it_is_copied_to_and_the_stick_has_it(tmp_path):
    stick = (ROOT / "tools/stick").read_text()
    copied = "cp hardware_tests/*.py hardware_tests/README.md"
    assert f'{copied} "$stick/hardware_tests/"' in stick
    (tmp_path / "root/hardware_tests").mkdir(parents=True)
    subprocess.run(["sh", "-c", f"{copied} {tmp_path}/root/hardware_tests/"], cwd=ROOT, check=True)
    done = subprocess.run(
        [sys.executable, "hardware_tests/fsync_latency.py", "--folder", str(tmp_path), "--seconds", "1"],
        cwd=tmp_path / "root", capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done
    (file,) = (tmp_path / "root/docs/evidence/hardware").iterdir()
    assert "- sync, longest: " in file.read_text()


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


class TestUntold:
    """What lies between segments must be a gap: for the drill with a disk that is pulled."""

    @pytest.fixture
    def untold(self, monkeypatch):
        monkeypatch.syspath_prepend(str(FOLDER))
        import cut

        return lambda segments, gaps, **more: cut.untold(
            ["cam01"], {"cam01": segments}, {"cam01": gaps}, 100_000, 300_000, **more
        )

    def test_what_is_stored_or_a_gap_is_told(self, untold):
        assert untold([(0, 400_000)], []) == []
        assert untold([(0, 150_000), (250_000, 400_000)], [(150_000, 250_000)]) == []
        assert untold([(250_000, 400_000), (0, 150_000)], [(140_000, 249_600)]) == [], "in any order"

    @pytest.mark.parametrize(
        ("segments", "gaps", "missing"),
        [
            ([], [], "100000 to 300000"),
            ([(0, 150_000), (250_000, 400_000)], [], "150000 to 250000"),
            ([(0, 150_000), (250_000, 400_000)], [(150_000, 200_000)], "200000 to 250000"),
            ([(0, 150_000)], [(150_000, 200_000)], "200000 to 300000"),
            ([(350_000, 400_000)], [(100_000, 120_000)], "120000 to 300000"),
            ([(0, 280_000), (120_000, 130_000)], [], "280000 to 300000"),
        ],
    )
    def test_what_is_neither_is_said(self, untold, segments, gaps, missing):
        assert untold(segments, gaps) == [f"cam01: nothing says why {missing} is missing"]

    def test_a_camera_of_which_nothing_is_known_is_missing(self, monkeypatch):
        monkeypatch.syspath_prepend(str(FOLDER))
        import cut

        assert cut.untold({"cam02"}, {}, {}, 0, 1000) == ["cam02: nothing says why 0 to 1000 is missing"]


class TestBoard:
    @pytest.fixture
    def board(self, monkeypatch):
        monkeypatch.syspath_prepend(str(FOLDER))
        import analogue_board

        return analogue_board

    @pytest.mark.parametrize(
        ("more", "hardware", "word"),
        [
            ({"codec": "hevc"}, set(), "codec is hevc"),
            ({"size": "640x480"}, set(), "size is 640x480"),
            ({"errors": "error while decoding"}, set(), "cannot be decoded"),
            ({"pictures": 1484}, set(), "missing"),
            ({"pictures": 0, "planned": 0}, set(), "missing"),
            ({"gaps": ["stream_damaged 300 ms"]}, set(), "gap"),
            ({"encoder": "libx264"}, {"h264_rkmpp"}, "not the hardware"),
        ],
    )
    def test_it_is_judged_by_what_it_says(self, board, more, hardware, word):
        good = {"codec": "h264", "size": "720x576", "pictures": 1485, "planned": 1500}
        well = {**good, "gaps": [], "errors": "", "encoder": "libx264"}
        assert board.wrong(board.Board(**well), "720x576", set()) == []
        (found,) = board.wrong(board.Board(**{**well, **more}), "720x576", hardware)
        assert word in found

    def test_what_the_hardware_encodes_or_the_board_itself_is_well(self, board):
        for encoder in ("h264_v4l2m2m", ""):
            seen = board.Board("mjpeg", "720x576", 1500, 1500, [], "", encoder)
            assert board.wrong(seen, "720x576", {"h264_v4l2m2m"}) == []

    def test_which_encoders_the_kernel_knows(self, board, tmp_path):
        assert board.known_encoders(tmp_path) == set()
        for number, name in enumerate(("USB Camera", "bcm2835-codec-encode")):
            place = tmp_path / f"sys/class/video4linux/video{number}"
            place.mkdir(parents=True)
            (place / "name").write_text(f"{name}\n")
            assert board.known_encoders(tmp_path) == ({"h264_v4l2m2m"} if number else set())
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev/mpp_service").touch()
        assert board.known_encoders(tmp_path) == {"h264_v4l2m2m", "h264_rkmpp"}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("30s", 30), ("1min 30s", 90), ("2min", 120), ("1h 1min 500ms", 3660.5), ("0", 0), ("", 0), ("1d", 86_400),
     ("infinity", float("inf"))],
)  # fmt: skip
def test_spans_are_read_as_systemd_writes_them(monkeypatch, said, seconds):
    monkeypatch.syspath_prepend(str(FOLDER))
    # By its place: a library has this name, too.
    place = spec_from_file_location("watchdog_drill", FOLDER / "watchdog.py")
    drill = module_from_spec(place)
    place.loader.exec_module(drill)
    assert drill.span_s(said) == seconds
