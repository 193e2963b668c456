"""Log-ins sealed to the machine, on a box from its package on: L Safety 7(1), H1.

Debian 12's systemd opens them, in a container without a TPM: what they are sealed to is the system disk's key, and another
board is another key. A TPM in software is asked by tests/contract/test_sealing.py.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
from typing import TYPE_CHECKING

import pytest

from agent.demo.server import CameraProcess
from tests import package_lab
from tests.box_scene import PASSWORD, USER, Scene, specs
from tests.container_lab import Container
from tests.lab import wait_for
from tests.vm_lab import base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "/var/lib/systemd/credential.secret"
DROP_IN = "/etc/systemd/system/pasu-record.service.d/sealed.conf"
OLD = "# by hand\n[Service]\nLoadCredential=\nLoadCredentialEncrypted=secrets.toml:/etc/pasu/secrets.sealed\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose images, which are large, are not kept after a test that was well."""
    yield tmp_path
    for image in tmp_path.rglob("*.img"):
        image.unlink()


def states(scene: Scene) -> dict[str, str]:
    return {name: each["state"] for name, each in scene.health().get("cameras", {}).items()}


def conditions(scene: Scene) -> list[str]:
    said = scene.box.try_run("pasu", "health", "--json")[1]
    return [each["code"] for each in json.loads(said)["conditions"]]


def sealing(scene: Scene) -> str:
    """Return what the doctor finds of it."""
    scene.doctor(1)
    (found,) = [each["state"] for each in scene.examined if each["check"] == "secrets.sealed"]
    return str(found)


def give(scene: Scene, camera: str, *more: str) -> None:
    text = f"echo {PASSWORD} | pasu secrets set {camera} --user {USER} {' '.join(more)}"
    assert PASSWORD not in scene.box.sh(text)


def lies_about(scene: Scene) -> list[str]:
    """Return the files of the box in which the password is in clear."""
    where = f"--exclude-dir=credentials -e {PASSWORD} /etc /var /root /run /tmp"  # systemd's own, in memory that is never swapped
    return scene.box.sh(f"grep --recursive --files-with-matches --text {where} 2>&1 || true").split()


def test_h1_log_ins_are_sealed_from_the_beginning_and_a_board_that_opens_none_records_the_others(
    folder: Path,
) -> None:
    """H1, L Safety 7(1): init, a start anew, another board, log-ins given anew; nowhere is a password in clear."""
    deb = package_lab.built()
    watched, free = specs(2, "127.0.0.1")
    with Container(folder / "box", base(deb), stick=[deb]) as box:
        cameras = [
            dataclasses.replace(watched, host=box.neighbour),
            dataclasses.replace(free, host=box.neighbour, username="", password=""),
        ]
        with CameraProcess(cameras, folder / "ledger") as running:
            scene = Scene(folder, box, running, box.neighbour)
            box.plug_in()
            box.wait_up()
            scene.install()
            said = scene.init("system_disk = true")
            assert "/etc/pasu/secrets.sealed (sealed to this system disk's key)" in said
            box.run("pasu", "secrets", "forget", "cam02")
            box.run("shred", "-u", "/root/answers.toml")
            assert box.try_run("test", "-e", "/etc/pasu/secrets.toml")[0] != 0
            assert lies_about(scene) == []
            scene.wait_recording()
            assert sealing(scene) == "ok"
            assert "config.secrets_shut" not in conditions(scene)

            box.reboot()
            scene.wait_recording()

            box.sh(f"mv {KEY} /root/key && systemd-creds setup && systemctl restart pasu-record.service")
            wait_for("the camera without a log-in", lambda: states(scene).get("cam02") == "recording", 60)
            wait_for("somebody is told", lambda: "config.secrets_shut" in conditions(scene), 60)
            assert states(scene)["cam01"] != "recording"
            assert sealing(scene) == "failure"
            assert "pasu-log-ins.service" in box.sh("systemctl --failed --no-legend --plain --no-pager")
            assert box.try_run("sh", "-c", "echo x | pasu secrets set cam01 --user x")[0] == 78

            box.sh(f"mv {KEY} /root/other && mv /root/key {KEY} && systemctl restart pasu-record.service")
            scene.wait_recording()  # the old board was put back
            box.sh(f"mv /root/other {KEY}")
            give(scene, "cam01", "--anew")  # recording begins anew with it, by itself
            wait_for("a unit that is well", lambda: not box.sh("systemctl --failed --no-legend --plain"), 60)
            scene.wait_recording()
            wait_for("it is well", lambda: "config.secrets_shut" not in conditions(scene), 60)
            assert sealing(scene) == "ok"

            box.run("pasu", "secrets", "open", "--yes")
            box.run("systemctl", "restart", "pasu-record.service")
            scene.wait_recording()  # as on a box of an older version
            assert sealing(scene) == "warning"
            assert lies_about(scene) == ["/etc/pasu/secrets.toml"]
            box.run("pasu", "secrets", "seal")
            scene.wait_recording()

            box.sh(f"mkdir -p {DROP_IN.rpartition('/')[0]}")
            box.put(DROP_IN, OLD.encode(), "0644")
            box.run("systemctl", "daemon-reload")
            box.run("systemctl", "restart", "pasu-record.service")
            scene.wait_recording()  # an older box's drop-in goes on to serve
            box.run("/var/lib/dpkg/info/pasu-agent.postinst", "configure", "0", seconds=120)
            assert box.try_run("test", "-e", DROP_IN.rpartition("/")[0])[0] != 0
            scene.wait_recording()
            assert lies_about(scene) == []
            scene.nothing_failed()
            box.shut_down()
        with box.images[0].open("rb") as image, mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ) as disk:
            assert disk.find(PASSWORD.encode()) == -1, "nor in what was removed"
