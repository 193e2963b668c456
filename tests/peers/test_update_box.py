"""A box under systemd that is updated: real packages, real dpkg, real cameras, and the plug pulled in the middle.

Three minutes of it are the watch of a version that records nothing, which nobody can shorten: the campaign runs it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from agent.demo.server import CameraProcess
from tests import package_lab
from tests.box_scene import Scene, settle, specs
from tests.container_lab import Container
from tests.lab import wait_for
from tests.releases import Release, architecture
from tests.vm_lab import STICK, base, patience

if TYPE_CHECKING:
    from pathlib import Path

FIRST, GOOD, BAD = "0.1.1", "0.1.2", "0.1.3"


@pytest.fixture
def packages(tmp_path):
    """Three packages that trust one release key: the one to begin with, a good one, and one that records nothing."""
    release, found = Release(), []
    whole = package_lab.built()
    for version in (FIRST, GOOD, BAD):

        def change(root: Path, version: str = version) -> None:
            (tree,) = (root / "usr/lib/pasu-agent").iterdir()
            (tree / "share/release-keys/test.pub").write_text(release.public)
            if version == BAD:
                agent = tree / "lib/python3.11/site-packages/agent"
                (agent / "app.py").write_text("raise SystemExit('deaf')\n")
                for compiled in (agent / "__pycache__").glob("app.*"):
                    compiled.unlink()

        made = package_lab.repack(whole, tmp_path, version, change)
        found.append(made.rename(tmp_path / f"{version}.pkg"))
        comment = f"file:pasu-agent_{version}_{architecture()}.deb\tversion:{version}\tarch:{architecture()}"
        found.append(release.sign_file(found[-1], comment))
    first = tmp_path / "pasu-agent.deb"
    first.hardlink_to(found[0])
    yield [first, *found]
    for place in (first, *found):
        place.unlink()


def status(box: Container) -> dict:
    said, out, wrong = box.try_run("pasu", "update", "status", "--json")
    return json.loads(out) if said == 0 else {"wrong": wrong}


def phase(box: Container) -> str:
    said, out, _ = box.try_run("cat", "/var/lib/pasu-update/private/journal.json")
    return json.loads(out)["phase"] if said == 0 else ""


@pytest.mark.campaign
def test_j1_j3_a_good_version_stays_and_a_deaf_one_goes_over_a_power_cut(tmp_path, packages):
    """J1, J3: the cut comes while dpkg works; at boot the unit finishes in its sandbox, and takes the version back."""
    with (
        Container(tmp_path / "box", base(packages[0]), stick=packages) as box,
        CameraProcess(specs(2, box.neighbour), tmp_path / "ledger") as cameras,
    ):
        scene = Scene(tmp_path, box, cameras, box.neighbour)
        box.plug_in()
        box.wait_up()
        scene.install()
        scene.init("system_disk = true")
        settle(scene, 3)
        assert "UPDATE_NO_WAY_BACK" in box.try_run("pasu", "update", "apply", f"{STICK}/{GOOD}.pkg")[2]
        box.run("pasu", "update", "keep", f"{STICK}/{FIRST}.pkg", seconds=120)

        box.run("pasu", "update", "apply", f"{STICK}/{GOOD}.pkg", seconds=patience(600))
        assert (status(box)["installed"], status(box)["kept"]) == (GOOD, GOOD)
        assert box.run("cat", "/opt/pasu/share/version") == GOOD
        settle(scene, 3)
        units = "pasu-record pasu-keep pasu-clock"
        assert box.sh(f"systemctl is-active {units}").split() == ["active"] * 3

        box.sh(f"setsid pasu update apply {STICK}/{BAD}.pkg >/root/update.log 2>&1 </dev/null & sleep 1")
        wait_for("dpkg", lambda: phase(box) == "install", patience(120))
        time.sleep(2.0)
        scene.cut()
        box.wait_up()
        wait_for("an end", lambda: (status(box).get("last") or {}).get("version") == BAD, patience(600))
        found = status(box)
        assert (found["installed"], found["kept"], found["phase"]) == (GOOD, GOOD, None)
        assert (found["last"]["outcome"], found["last"]["why"]) == ("rolled_back", "silent")
        settle(scene, 3)
        scene.nothing_failed()
        shown = box.run("runuser", "-u", "pasu", "--", "pasu", "ledger", "show", "--kind", "update", "--json")
        kinds = [json.loads(line)["kind"] for line in shown.splitlines()]
        assert kinds == ["update.applied", "update.rolled_back"]
        box.shut_down()
        verdicts = scene.read()
    for verdict in verdicts.values():
        verdict.clean()
