"""A2: killed after each step of putting a box in place, it is not configured at all, or wholly; begun again it comes to its end."""

from __future__ import annotations

import copy
import errno
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from agent.config import load
from agent.config.secrets import Login, Secrets
from agent.errors import ConfigError, StorageFault
from agent.field.setup.answers import with_log_ins
from agent.field.setup.place import Places, change, install
from agent.log_ins import LogIns
from agent.machine import Machine
from tests.init_lab import ANSWERS, PASSWORD, Box, box
from tests.unit.storage.box import FailingDisk

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["box"]

SIZE = 4 << 30
STEPS = ("1", "2", "3", "4", "5", "6", "7")
INSTALL = """
import os, signal, sys
from pathlib import Path
from agent.config.load import read_toml
from agent.field.setup import draft, drives, place, works

def step(number):
    if number == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

answers = read_toml(Path(sys.argv[1]))
answers["storage"]["loss_window_s"] = 1.0
device = answers["disk"]["device"]
found = drives.find(works.disks("/var/lib/pasu/vault", device), device)
places = place.Places(Path("/etc/pasu/agent.toml"))
draft.keep(places, answers)
place.install(places, answers, found[0], step=step)
"""
CHANGE = """
import os, signal, sys
from pathlib import Path
from agent.config.load import read_toml
from agent.field.setup import place

def step(number):
    if number == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

places = place.Places(Path("/etc/pasu/agent.toml"))
before = read_toml(places.config)
after = {**before, "box": {**before["box"], "site": "another place"}}
camera = dict(before["camera"][0], id="cam02", url="rtsp://10.0.0.12/main", username="recorder", password="Second-Word-5")
if len(before["camera"]) == 1:
    after["camera"] = [*before["camera"], camera]
place.change(places, before, after, step=step)
"""
EXCHANGE = """
import os, signal, sys
from pathlib import Path
from agent.config.load import read_toml
from agent.field.setup import place
from agent.field.setup.answers import with_log_ins
from agent.log_ins import LogIns

def step(number):
    if number == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

places = place.Places(Path("/etc/pasu/agent.toml"))
before = with_log_ins(read_toml(places.config), LogIns(places.config).read())
cameras = [each for each in before["camera"] if each["id"] != "cam01"]
if len(cameras) == 1:
    cameras[0] = {**cameras[0], "url": "rtsp://10.0.0.22/main", "password": "Third-Word-7"}
place.change(places, before, {**before, "camera": cameras}, step=step)
"""


def empty_disk(box: Box) -> str:
    device = box.disk()
    box.run("mkfs.ext4", "-q", "-F", device, check=True)
    return device


@pytest.mark.parametrize("step", STEPS)
def test_a2_killed_after_each_step_of_a_new_box(box: Box, step: str) -> None:
    """A2."""
    device = empty_disk(box)
    file = box.answers(f'device = "{device}"')
    killed = box.run(sys.executable, "-P", "-c", INSTALL, str(file), step)
    assert killed.returncode == -9, killed.stderr
    assert box.has("/etc/pasu/agent.toml") is (step in "67")
    if step in "67":
        assert box.pasu("config", "check").returncode == 0
        assert box.log_ins()["camera"]["cam01"]["password"] == PASSWORD
        assert box.run("findmnt", "/var/lib/pasu/vault").returncode == 0
    else:
        assert box.has("/etc/pasu/agent.toml.draft")
    done = box.pasu("init", "--answers", str(file))
    assert done.returncode == 0, done.stderr
    assert box.pasu("config", "check").returncode == 0
    assert box.log_ins()["camera"]["cam01"]["password"] == PASSWORD
    assert box.run("findmnt", "-no", "SOURCE", "/var/lib/pasu/vault").stdout.strip() == device
    assert box.read("/etc/fstab").count("/var/lib/pasu/vault") == 1
    assert not box.has("/etc/pasu/agent.toml.draft")
    assert not box.has("/etc/pasu/agent.toml.new")
    assert not box.has("/etc/pasu/secrets.toml.new")


@pytest.mark.parametrize("step", ["C1", "C2", "C3"])
def test_a2_killed_after_each_step_of_a_change(box: Box, step: str) -> None:
    """A2."""
    device = empty_disk(box)
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"')))
    assert done.returncode == 0, done.stderr
    old = box.read("/etc/pasu/agent.toml")
    killed = box.run(sys.executable, "-P", "-c", CHANGE, step)
    assert killed.returncode == -9, killed.stderr
    assert (box.read("/etc/pasu/agent.toml") == old) is (step != "C3")
    assert box.pasu("config", "check").returncode == 0
    done = box.run(sys.executable, "-P", "-c", CHANGE, "none")
    assert done.returncode == 0, done.stderr
    config = tomllib.loads(box.read("/etc/pasu/agent.toml"))
    assert config["box"]["site"] == "another place"
    assert [each["id"] for each in config["camera"]] == ["cam01", "cam02"]
    logins = box.log_ins()["camera"]
    assert (logins["cam01"]["password"], logins["cam02"]["password"]) == (PASSWORD, "Second-Word-5")
    assert tomllib.loads(box.read("/etc/pasu/agent.toml.bak"))["box"]["site"] == "경포해변 3지점"


@pytest.mark.parametrize("step", ["C1", "C2", "C3", "C4"])
def test_a2_killed_after_each_step_of_a_camera_changed_and_another_removed(box: Box, step: str) -> None:
    """A2: whatever is configured has its log-in at every moment."""
    device = empty_disk(box)
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"')))
    assert done.returncode == 0, done.stderr
    assert box.run(sys.executable, "-P", "-c", CHANGE, "none").returncode == 0
    killed = box.run(sys.executable, "-P", "-c", EXCHANGE, step)
    assert killed.returncode == -9, killed.stderr
    assert box.pasu("config", "check").returncode == 0
    cameras = {each["id"] for each in tomllib.loads(box.read("/etc/pasu/agent.toml"))["camera"]}
    assert cameras == ({"cam02"} if step in ("C3", "C4") else {"cam01", "cam02"})
    assert cameras <= box.log_ins()["camera"].keys()
    done = box.run(sys.executable, "-P", "-c", EXCHANGE, "none")
    assert done.returncode == 0, done.stderr
    (left,) = tomllib.loads(box.read("/etc/pasu/agent.toml"))["camera"]
    assert (left["id"], left["url"]) == ("cam02", "rtsp://10.0.0.22/main")
    logins = box.log_ins()["camera"]
    assert logins["cam02"] == {"username": "recorder", "password": "Third-Word-7"}
    if step != "C3":  # the log-in of a camera that is gone already: nobody names it any more
        assert logins.keys() == {"cam02"}


def test_killed_while_it_formats_the_disk_is_begun_anew_and_no_configuration_is_there(box: Box) -> None:
    """A disk whose formatting was cut off is not taken for a good one."""
    device = box.disk()
    with open(device, "r+b") as disk:
        box.run("mkfs.ext4", "-q", "-F", device, check=True)
        disk.seek(1024)
        disk.write(bytes(1024))  # the first superblock, which mkfs writes last
    file = box.answers(f'device = "{device}"')
    refused = box.pasu("init", "--answers", str(file))
    assert (refused.returncode, "INIT_DISK_FORMAT" in refused.stderr) == (1, True), refused.stderr
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert done.returncode == 0, done.stderr


def answers_in(folder: Path) -> dict:
    answers = tomllib.loads(ANSWERS.replace("@DISK@", "system_disk = true"))
    answers["storage"] |= {"vault": str(folder / "data/vault"), "state": str(folder / "data/state")}
    return answers


def test_a2_each_call_of_a_new_box_fails_once(tmp_path: Path) -> None:
    """A2: a disk that refuses a call leaves a box that is not configured, or wholly; no password is left lying about."""
    counted = FailingDisk()
    install(Places(tmp_path / "0/pasu/agent.toml"), answers_in(tmp_path / "0"), None, disk=counted)
    assert len(counted.calls) > 20
    for number in range(len(counted.calls)):
        folder = tmp_path / f"box{number}"
        places = Places(folder / "pasu/agent.toml")
        failing = FailingDisk(lambda each, _op, _path, wanted=number: errno.EIO if each == wanted else None)
        try:
            install(places, answers_in(folder), None, disk=failing)
        except StorageFault:
            if places.config.exists():
                assert load(places.config).cameras[0].id == "cam01"
                assert LogIns(places.config).read().login("cam01") is not None
            if Machine().can_seal():
                assert not list(places.config.parent.glob("secrets.toml*"))
        install(places, answers_in(folder), None)
        assert LogIns(places.config).read().login("cam01").password == PASSWORD


def test_a2_each_call_of_a_change_fails_once(tmp_path: Path) -> None:
    """A2."""

    def changed(folder: Path, disk: FailingDisk | None = None) -> None:
        places = Places(folder / "pasu/agent.toml")
        before = tomllib.loads(places.config.read_text())
        after = copy.deepcopy(before)
        after["box"]["site"] = "there"
        if len(before["camera"]) == 1:
            more = {"id": "cam02", "url": "rtsp://10.0.0.12/x", "username": "u", "password": "Second-Word-5"}
            after["camera"].append({**before["camera"][0], **more})
        change(places, before, after, disk=disk)

    def new(name: str) -> Path:
        folder = tmp_path / name
        install(Places(folder / "pasu/agent.toml"), answers_in(folder), None)
        return folder

    counted = FailingDisk()
    changed(new("0"), counted)
    for number in range(len(counted.calls)):
        folder = new(f"box{number}")
        file = folder / "pasu/agent.toml"
        old = file.read_text()
        failing = FailingDisk(lambda each, _op, _path, wanted=number: errno.EIO if each == wanted else None)
        try:
            changed(folder, failing)
        except StorageFault:
            config = load(file)
            assert file.read_text() == old or config.box.site == "there"
            secrets = LogIns(file).read()
            assert all(secrets.login(camera.id) is not None for camera in config.cameras)
        changed(folder)
        assert (load(file).box.site, len(load(file).cameras)) == ("there", 2)


def shown(places: Places) -> dict:
    """Return what the interview begins with."""
    return with_log_ins(tomllib.loads(places.config.read_text()), LogIns(places.config).read())


def ready(folder: Path, *more: str) -> Places:
    """Return a box that is configured, with further cameras of the same log-in."""
    answers = answers_in(folder)
    answers["camera"] += [
        {**answers["camera"][0], "id": name, "url": f"rtsp://10.0.1.1/{name}"} for name in more
    ]
    places = Places(folder / "pasu/agent.toml")
    install(places, answers, None)
    return places


def test_a_log_in_that_somebody_changed_during_the_interview_is_not_taken_back(tmp_path: Path) -> None:
    """Only what the interview changed is written: another's new password stays, and so does what he took away."""
    places = ready(tmp_path, "cam02", "cam03", "cam04")
    before = shown(places)
    beside = LogIns(places.config)
    meanwhile = beside.read().with_one("camera", "cam01", Login("recorder", "Of-Another-4"))
    meanwhile = meanwhile.with_one("camera", "cam02", None)
    beside.put(meanwhile.with_one("camera", "cam09", Login("x", "y")).to_toml())
    cameras = copy.deepcopy(before["camera"])
    cameras[0]["name"], cameras[2]["password"] = "new name", "Third-Word-7"
    change(places, before, {**before, "camera": cameras[:3]})
    secrets = beside.read()
    assert secrets == Secrets(
        {
            "cam01": Login("recorder", "Of-Another-4"),
            "cam03": Login("recorder", "Third-Word-7"),
            "cam09": Login("x", "y"),
        }
    )
    assert load(places.config).cameras[0].name == "new name"
    lies = beside.sealed if beside.sealed.exists() else beside.clear
    content = lies.read_bytes()
    now = shown(places)
    change(places, now, {**now, "box": {**now["box"], "site": "there"}})
    assert lies.read_bytes() == content  # no log-in was changed: not even sealed anew


def test_where_agent_toml_is_a_link_log_ins_lie_beside_the_link(tmp_path: Path) -> None:
    """Whoever reads them looks beside the name that he was given."""
    places = ready(tmp_path)
    target = tmp_path / "elsewhere/box.toml"
    target.parent.mkdir()
    places.config.rename(target)
    places.config.symlink_to(target)
    before = shown(places)
    second = {**before["camera"][0], "id": "cam02", "url": "rtsp://10.0.0.12/x", "password": "Second-Word-5"}
    config = change(places, before, {**before, "camera": [*before["camera"], second]})
    assert places.config.is_symlink()
    assert "cam02" in target.read_text()
    assert LogIns(places.config).read().login("cam02") == Login("recorder", "Second-Word-5")
    assert LogIns(config.file).read() == LogIns(places.config).read()
    assert sorted(each.name for each in target.parent.iterdir()) == ["box.toml", "box.toml.bak"]


def test_log_ins_that_cannot_be_amended_are_named_as_they_lie_and_left(tmp_path: Path) -> None:
    places = ready(tmp_path)
    beside = LogIns(places.config)
    form = beside.put(f'camera = {{ cam01 = {{ username = "u", password = "{PASSWORD}" }} }}\n'.encode())
    before = shown(places)
    cameras = [{**before["camera"][0], "password": "Third-Word-7"}]
    with pytest.raises(ConfigError) as refused:
        change(places, before, {**before, "camera": cameras})
    assert refused.value.code == "INIT_AMEND"
    lies = {"sealed": beside.sealed, "clear": beside.clear}[form]
    assert refused.value.context["file"] == str(lies)
    assert "pasu secrets set" in refused.value.hint
    assert beside.read().login("cam01").password == PASSWORD
