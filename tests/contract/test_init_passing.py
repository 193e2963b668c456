"""Cameras at addresses that are not private, on a box that `pasu init` makes ready: the unit's drop-in, at its real place."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.init_lab import PASU, Box, box
from tests.peer import need

if TYPE_CHECKING:
    import pytest

__all__ = ["box"]

UNITS = Path(__file__).parents[2] / "systemd"
DROP_IN = "/etc/systemd/system/pasu-record.service.d/pasu-cameras.conf"
REVIEW = ", q to drop changes: "
DISCOVERED = """
import os
import sys
from pathlib import Path
from agent.cli.discover import _add
from agent.field.discovering import Known
from agent.onvif.proposal import Addition

class Chosen:
    def additions(self, found, knows, waived):
        return [Addition("cam02", "gate", "rtsp://198.51.100.2/main", "", "crime-prevention", "basis")]

_add(Chosen(), [], Known(), (), Path("/etc/pasu/agent.toml"))
"""


def allowed(box: Box) -> list[str]:
    lines = box.read(DROP_IN).splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith("IPAddressAllow=")]


def test_a_camera_at_a_public_address_is_let_pass_alone_and_no_longer_than_it_is_there(box: Box) -> None:
    device = box.disk()
    box.run("mkfs.ext4", "-q", "-F", device, check=True)
    file = box.answers(f'device = "{device}"', ("rtsp://10.0.0.11/main", "rtsp://203.0.113.7/main"))
    done = box.pasu("init", "--answers", str(file))
    assert done.returncode == 0, done.stderr
    assert "203.0.113.7" in done.stdout
    assert DROP_IN in done.stdout
    assert allowed(box) == ["203.0.113.7"]
    assert box.run("stat", "-c", "%U %a", DROP_IN).stdout.split() == ["root", "644"]
    first = box.run("stat", "-c", "%i", DROP_IN).stdout
    assert box.pasu("init", "--answers", str(file)).returncode == 0
    assert box.run("stat", "-c", "%i", DROP_IN).stdout == first  # done twice, it is not written twice

    found = box.run(sys.executable, "-P", "-c", DISCOVERED)
    assert found.returncode == 0, found.stderr
    assert "198.51.100.2, 203.0.113.7" in found.stdout
    assert allowed(box) == ["198.51.100.2", "203.0.113.7"]

    # systemd itself reads it, and would say of a line that it cannot read where it stands.
    told = verified(box)
    assert "pasu-cameras.conf" not in told, told
    box.run("sh", "-c", f"echo IPAddressAllow=camera.example >> {DROP_IN}", check=True)
    assert "pasu-cameras.conf" in verified(box)

    box.run("sed", "-i", r"s/203\.0\.113\.7/10.0.0.11/", "/etc/pasu/agent.toml", check=True)
    with box.talk() as talk:  # nothing is changed but what was an address too many
        talk.answer("Enter to end, q to drop changes: ")
        assert talk.rest() == 0
    assert allowed(box) == ["198.51.100.2"]
    box.run("sed", "-i", r"s/198\.51\.100\.2/gate.example/", "/etc/pasu/agent.toml", check=True)
    with box.talk(language="ko") as talk:
        talk.answer("고칠 번호, Enter: 끝냅니다, 버리려면 q: ")
        assert talk.rest() == 0
    assert "gate.example" in talk.screen
    assert not box.has(DROP_IN)


def test_another_configuration_than_the_boxs_own_changes_nothing(box: Box) -> None:
    device = box.disk()
    box.run("mkfs.ext4", "-q", "-F", device, check=True)
    file = box.answers(f'device = "{device}"', ("rtsp://10.0.0.11/main", "rtsp://203.0.113.7/main"))
    done = box.pasu("init", "--answers", str(file), "--config", str(box.folder / "agent.toml"))
    assert done.returncode == 0, done.stderr
    assert not box.has(DROP_IN)


SYSTEMD = """
mount -t tmpfs none /run && mkdir -p /run/systemd/system
mkdir {0}/bin && printf '#!/bin/sh\necho "$@" >> {0}/asked\n' > {0}/bin/systemctl && chmod +x {0}/bin/systemctl
"""


def test_the_units_are_started_once_systemd_knows_the_drop_in_and_the_disks_are_asked(box: Box) -> None:
    device = box.disk()
    box.run("mkfs.ext4", "-q", "-F", device, check=True)
    box.run("sh", "-ec", SYSTEMD.format(box.folder), check=True)
    file = box.answers(
        f'device = "{device}"\n\n[page]\nlisten = "192.168.77.1"',
        ("rtsp://10.0.0.11/main", "rtsp://203.0.113.7/main"),
    )
    path = f"PATH={box.folder}/bin:{os.environ['PATH']}"
    done = box.run("env", path, *PASU, "init", "--answers", str(file))
    assert done.returncode == 0, done.stderr
    asked = (box.folder / "asked").read_text().splitlines()
    assert asked[:2] == ["daemon-reload", "try-restart pasu-record.service"]
    assert "https://192.168.77.1:8443 " in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("next: sudo pasu doctor")
    starts = [line for line in asked if line.startswith("start ")]
    assert starts[0].startswith("start pasu.target ")
    assert starts[1:] == ["start --no-block pasu-disks.service"]
    again = box.run("env", path, *PASU, "init", "--answers", str(file))
    assert again.returncode == 0, again.stderr
    assert (box.folder / "asked").read_text().count(
        "try-restart"
    ) == 1  # nothing changed: nothing is started anew


def test_a_page_that_is_added_moved_or_taken_out_is_begun_anew_and_nothing_else(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = box.disk()
    box.run("mkfs.ext4", "-q", "-F", device, check=True)
    assert box.pasu("init", "--answers", str(box.answers(f'device = "{device}"'))).returncode == 0
    box.run("sh", "-ec", SYSTEMD.format(box.folder), check=True)
    monkeypatch.setenv("PATH", f"{box.folder}/bin:{os.environ['PATH']}")
    asked = box.folder / "asked"
    for known, typed, begun in (
        ("-", "", 0),
        ("-", "192.168.77.1", 1),
        ("192.168.77.1", "192.168.77.2", 1),
        ("192.168.77.2", "-", 1),
    ):
        asked.unlink(missing_ok=True)
        with box.talk() as talk:
            talk.answer(REVIEW, "3")
            talk.answer(f"IP address of the maintenance port [{known}]: ", typed)
            talk.answer(REVIEW)
            assert talk.rest() == 0
        told = asked.read_text().splitlines() if asked.exists() else []
        assert told == ["restart pasu-page.service"] * begun
        assert (f"https://{typed}:8443" in talk.screen) == typed.startswith("192")


def verified(box: Box) -> str:
    box.run("cp", str(UNITS / "pasu-record.service"), "/etc/systemd/system/", check=True)
    done = box.run(need("systemd-analyze"), "verify", "/etc/systemd/system/pasu-record.service")
    return done.stderr
