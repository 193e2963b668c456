"""Log-ins sealed to the machine, on a box from its package on: L Safety 7(1), H1.

Debian 12's systemd opens them, in a container without a TPM: what they are sealed to is the system disk's key, and another
board is another key. A TPM in software is asked by tests/contract/test_sealing.py.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
from pathlib import Path
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

KEY = "/var/lib/systemd/credential.secret"
DROP_IN = "/etc/systemd/system/pasu-record.service.d/sealed.conf"
ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
WATCHES = "pasu-secrets.path pasu-secrets-clear.path"
HANDS_OVER = ("__init__", "hand_over", "links")
"""Of our own code, what the units of log-ins run."""
STAND_IN = """[Service]
Type=exec
WatchdogSec=0
ExecStart=
ExecStart=/bin/sh -c 'cat $CREDENTIALS_DIRECTORY/secrets.* > /var/lib/pasu/handed; [ ! -e /var/lib/pasu/wrong ] || exit 78; exec sleep 9999'
"""
"""In the place of recording: it notes what it was handed."""
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
            in_memory = "/run/pasu-log-ins/secrets.plain"  # root's alone, as long as they lie in clear
            assert sorted(lies_about(scene)) == ["/etc/pasu/secrets.toml", in_memory]
            box.run("pasu", "secrets", "seal")
            scene.wait_recording()

            box.sh(f"mkdir -p {DROP_IN.rpartition('/')[0]}")
            box.put(DROP_IN, OLD.encode(), "0644")
            box.run("systemctl", "daemon-reload")
            box.run("systemctl", "restart", "pasu-record.service")
            scene.wait_recording()  # an older box's drop-in goes on to serve
            sealing(scene)
            warned = [each["state"] for each in scene.examined if each["subject"] == DROP_IN]
            assert warned == ["warning"]
            box.run("/var/lib/dpkg/info/pasu-agent.postinst", "configure", "0", seconds=120)
            assert box.try_run("test", "-e", DROP_IN.rpartition("/")[0])[0] != 0
            scene.wait_recording()
            assert lies_about(scene) == []
            scene.nothing_failed()
            box.shut_down()
        with box.images[0].open("rb") as image, mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ) as disk:
            assert disk.find(PASSWORD.encode()) == -1, "nor in what was removed"


class Handed:
    """Our units of log-ins and of recording, with a stand-in for what they run, and a key for each board."""

    def __init__(self, box: Container) -> None:
        self.box = box
        for path in UNITS.glob("pasu-*"):
            if path.name.startswith(("pasu-record.service", "pasu-log-ins", "pasu-secrets")):
                box.put(f"/etc/systemd/system/{path.name}", path.read_bytes())
        for place, text in {
            "pasu-record.service.d/stand-in.conf": STAND_IN,
            "pasu-log-ins-again.service.d/soon.conf": "[Service]\nRestartSec=2\n",
            "pasu-log-ins-again.timer.d/soon.conf": "[Timer]\nOnActiveSec=\nOnActiveSec=2\n",
        }.items():
            box.sh(f"mkdir -p /etc/systemd/system/{place.partition('/')[0]}")
            box.put(f"/etc/systemd/system/{place}", text.encode())
        box.put("/usr/lib/sysusers.d/pasu.conf", (UNITS / "pasu.sysusers.conf").read_bytes())
        box.sh("systemd-sysusers; mkdir -p /etc/pasu /opt/pasu/bin; touch /etc/pasu/agent.toml")
        box.put(
            "/opt/pasu/bin/pasu",
            b'#!/bin/sh\n! grep -q slip "$CREDENTIALS_DIRECTORY/secrets.plain"\n',
            "0755",
        )
        box.put("/opt/pasu/bin/python", b'#!/bin/sh\nPYTHONPATH=/opt/pasu/lib exec python3.11 "$@"\n', "0755")
        box.sh("mkdir -p /opt/pasu/lib/agent")
        for name in HANDS_OVER:
            box.put(f"/opt/pasu/lib/agent/{name}.py", (ROOT / "agent" / f"{name}.py").read_bytes(), "0644")
        box.sh(f"systemctl daemon-reload; systemctl start {WATCHES}; systemd-creds setup; cp {KEY} /root/key")

    def seal(self, text: str) -> None:
        """As `pasu secrets set` does: the name is the new file's at once."""
        where = "/etc/pasu/secrets.new /etc/pasu/secrets.sealed"
        command = f"systemd-creds encrypt --name=secrets.toml - /etc/pasu/secrets.new && mv {where}"
        self.box.sh(f"rm -f /etc/pasu/secrets.new; printf {text} | {command}")

    def key(self, *, there: bool) -> None:
        """Have the board open what was sealed, or not."""
        self.box.sh(f"cp /root/key {KEY}" if there else f"rm -f {KEY}; systemd-creds setup")

    def now(self) -> str:
        """Return what recording was handed when it began last."""
        return self.box.sh("cat /var/lib/pasu/handed 2>&1 || true").strip()

    def start(self, verb: str = "restart") -> str:
        self.box.sh("rm -f /var/lib/pasu/handed")
        self.box.run("systemctl", verb, "pasu-record.service")
        return str(wait_for("a start", self.now, 30))

    def began(self) -> str:
        """Return which start of recording this is."""
        return self.box.sh("systemctl show --value -p InvocationID pasu-record.service").strip()

    def is_handed(self, text: str, bound_s: float = 60) -> None:
        wait_for(f"{text}, and not {self.now()}", lambda: self.now() == text, bound_s)


def test_h1_each_start_of_recording_has_the_log_ins_that_open_then(folder: Path) -> None:
    """H1: a start after status 78, a TPM that was late, one that never comes, and many changes in a moment."""
    with Container(folder / "box", base(package_lab.built())) as box:
        box.plug_in()
        box.wait_up()
        handed = Handed(box)
        assert handed.start() == "#none#none"
        handed.seal("one")
        handed.is_handed("#noneone")

        # Recording ends for good, is given others, and is started: PathChanged= alone starts none that has ended.
        box.sh("touch /var/lib/pasu/wrong; systemctl restart pasu-record.service || true")
        wait_for("its end", lambda: "failed" in box.try_run("systemctl", "is-active", "pasu-record")[1], 30)
        # (What is on its way has looked at those before, and nothing tells it of others from here on.)
        box.sh(f"systemctl stop {WATCHES} pasu-secrets.service pasu-log-ins.service")
        handed.seal("two")
        box.sh("rm /var/lib/pasu/wrong")
        assert handed.start("start") == "#nonetwo"
        box.sh("rm /etc/pasu/secrets.sealed")
        assert handed.start() == "#none#none", "nothing stays of what is not there any more"

        # Killed, it is started by systemd itself.
        handed.seal("three")
        box.sh("systemctl kill --kill-who=main -s KILL pasu-record.service")
        handed.is_handed("#nonethree")

        # A TPM that is late: recording begins without, and is begun anew when it opens them, and once.
        handed.key(there=False)
        assert handed.start() == "#none#none"
        began = handed.began()
        wait_for(
            "another try",
            lambda: int(box.sh("systemctl show --value -p NRestarts pasu-log-ins-again")) > 1,
            60,
        )
        assert handed.began() == began, "recording is left alone while they do not open"
        handed.key(there=True)
        handed.is_handed("#nonethree")
        wait_for(
            "an end of trying",
            lambda: (
                box.try_run(
                    "systemctl", "is-active", "pasu-log-ins-again.service", "pasu-log-ins-again.timer"
                )[1].split()
                == ["inactive", "inactive"]
            ),
            60,
        )
        began = handed.began()

        # What does not open any more takes nothing from recording, and does not bar those in clear.
        box.sh(f"systemctl start {WATCHES}")
        handed.key(there=False)
        box.sh("touch /etc/pasu/secrets.sealed; sleep 5")
        assert (handed.began(), handed.now()) == (began, "#nonethree")
        box.put("/etc/pasu/secrets.toml", b"slip")
        wait_for("a check", lambda: "failed" in box.try_run("systemctl", "is-active", "pasu-secrets")[1], 30)
        assert (handed.began(), handed.now()) == (began, "#nonethree")
        box.put("/etc/pasu/secrets.toml", b"clear")
        handed.is_handed("clear#none")

        # What user pasu puts there in their place hands it nothing: no file of root's, no folder of them, and no wait.
        box.sh(f"systemctl stop {WATCHES} pasu-secrets.service pasu-log-ins.service")
        box.sh("chown root:pasu /etc/pasu; chmod 0770 /etc/pasu")
        for planted in ("ln -s /etc/shadow", "mkfifo", "ln -s /root", "mkdir"):
            box.sh(f"rm -rf /etc/pasu/secrets.toml; runuser -u pasu -- {planted} /etc/pasu/secrets.toml")
            assert handed.start() == "#none#none", planted
        box.sh("rm -rf /etc/pasu/secrets.toml; echo -n linked > /srv/log-ins")
        box.sh("ln -s /srv/log-ins /etc/pasu/secrets.toml")
        assert handed.start() == "linked#none", "a link of root's is followed"
        assert box.sh("stat -c %a:%U /run/pasu-log-ins /run/pasu-log-ins/*").split() == [
            "700:root",
            "600:root",
        ]
        box.sh("rm /etc/pasu/secrets.toml")
        assert handed.start() == "#none#none", "the copy goes with the file"
        box.sh(f"systemctl start {WATCHES}")

        handed.key(there=True)
        handed.seal("four")
        handed.is_handed("#nonefour")

        for number in range(12):
            handed.seal(f"many{number}")
            box.sh("sleep 0.3")
        # The last of many changes in a moment is handed over too, and none of them ends the watching.
        handed.is_handed("#nonemany11")
        assert box.run("systemctl", "is-active", *WATCHES.split()).split() == ["active", "active"]
        began = handed.began()
        box.sh("systemctl restart pasu-record.service; " * 8, seconds=120)
        assert (handed.began() != began, handed.now()) == (True, "#nonemany11"), (
            "nor does it start too often for them"
        )
        box.shut_down()
