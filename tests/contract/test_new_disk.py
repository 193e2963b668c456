"""A vault's disk died and an empty one is in its place: what the guide has a technician type, done on loop devices."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.init_lab import PASU, PATIENCE_S, Box, box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["box"]

SIZE = 4 << 30
VAULT, NEW = "/var/lib/pasu/vault", "/var/lib/pasu/vault2"
DOCS = Path(__file__).parents[2] / "docs"


@contextmanager
def working(box: Box, what: str = "record") -> Iterator[subprocess.Popen[bytes]]:
    """Have the box record, or keep; at the end what is open is finished."""
    log = (box.folder / f"{what}.log").open("wb")
    words = [*box.inside, *PASU, what, "--config", "/etc/pasu/agent.toml"]
    with log, subprocess.Popen(words, stdout=log, stderr=log, env=box.environment("en")) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def files(box: Box, folder: str, ending: str) -> list[str]:
    found = box.run("find", f"{folder}/segments", "-name", f"*{ending}", "-size", "+4k")
    return sorted(found.stdout.split())


def wait_for(true: Callable[[], object], box: Box, what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, (box.folder / f"{what}.log").read_text()
        time.sleep(0.1)


def record_into(box: Box, folder: str) -> list[str]:
    """Record until something is there; return the segments that are sealed and whole."""
    with working(box) as process:
        wait_for(lambda: process.poll() is not None or files(box, folder, ""), box, "record")
    assert process.returncode == 0, (box.folder / "record.log").read_text()
    return files(box, folder, ".mp4.age")


def typed(language: str) -> list[str]:
    """Return the lines that the guide has typed for a disk, those that only show something or need systemd left out."""
    guide = (DOCS / ("guide.ko.md" if language == "ko" else "guide.md")).read_text()
    begin, end = (
        ("**디스크 교체.**", "**하드웨어 시험.**") if language == "ko" else ("**A disk.**", "**Trying")
    )
    section = guide[guide.index(begin) : guide.index(end)]
    blocks = re.findall(r"^```sh?\n(.*?)^```$|^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in "".join(block).splitlines() if line.strip()]
    return [line for line in lines if not re.search(r"lsblk|systemctl|pasu doctor|nano", line)]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_b15_an_empty_disk_takes_the_place_of_one_that_died_as_the_guide_says(
    box: Box, tmp_path: Path, language: str
) -> None:
    """B15: recording goes on, on a disk that was looked at before it was formatted; what is away is not taken for erased."""
    dead = box.disk("dead")
    with CameraProcess([CameraSpec(1, width=320, height=240, fps=10, gop=10)], tmp_path) as cameras:
        file = box.answers(
            f'device = "{dead}"\nformat = "{SIZE}"',
            ("rtsp://10.0.0.11/main", cameras.urls[1]),
            ("[storage]", f'[storage]\nrun = "{box.folder}/run"'),
            ('username = "recorder"\npassword = "Fern-Kettle-82"\n', ""),
        )
        (box.folder / "run").mkdir()
        done = box.pasu("init", "--answers", str(file))
        assert done.returncode == 0, done.stderr
        before = record_into(box, VAULT)
        assert before

        box.run("umount", VAULT, check=True)
        fresh = box.disk("fresh")
        # At the old place nobody takes an empty disk for the vault.
        box.run("mkfs.ext4", "-q", "-F", fresh, check=True)
        box.run("mount", fresh, VAULT, check=True)
        with working(box) as process:
            assert process.wait(PATIENCE_S) != 0
        assert "VAULT_MISSING" in (box.folder / "record.log").read_text()
        assert box.run("ls", VAULT).stdout.split() == ["lost+found"]
        box.run("umount", VAULT, check=True)
        box.run("wipefs", "-aq", fresh, check=True)

        script = "\n".join(typed(language)).replace("sudo ", "").replace("/dev/sdb", fresh)
        script = script.replace("WD-WX12A3456789", str(SIZE)).replace("/root/", f"{box.folder}/")
        pasu = f'pasu() {{ {" ".join(PASU)} "$@"; }}\n'
        told = box.run("bash", "-ec", pasu + script)
        assert told.returncode == 0, script + told.stdout + told.stderr
        assert box.run("findmnt", "-no", "SOURCE", NEW).stdout.split() == [fresh]
        fstab = box.read("/etc/fstab")
        assert re.findall(r" (/var/lib/pasu/\S+) ", fstab) == [NEW]
        assert f'vault = "{NEW}"' in box.read("/etc/pasu/agent.toml")
        assert box.run("stat", "-c", "%a", "/etc/pasu/agent.toml").stdout.strip() == "640"
        after = record_into(box, NEW)
        assert after
        # What is on the dead disk is told as missing, and not as erased.
        with working(box, "keep"):
            wait_for(lambda: "vault.missing" in box.pasu("health", "--json").stdout, box, "keep")
    said = json.loads(box.pasu("segments", "cam01", "--each", "--json").stdout)
    names = {Path(row["path"]).name for row in said["rows"] if row.get("path")}
    assert {Path(path).name for path in (*before, *after)} <= names
