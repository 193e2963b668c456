"""Cameras added to the configuration: killed after each step, refused by each call, and wrong in themselves."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from agent.config import ConfigProblems, Login, load, read_secrets
from agent.errors import ConfigError, StorageFault
from agent.field.cameras_file import add_cameras
from agent.field.setup.place import Places, change
from agent.log_ins import LogIns
from agent.onvif.proposal import Addition
from tests.unit.config.samples import RIGHT
from tests.unit.storage.box import FailingDisk

ROOT = Path(__file__).resolve().parents[2]
NEW = Addition(
    "cam02", "문 앞", "rtsp://10.0.0.12/main", "", "crime-prevention", "법", username="u", password="S3cret"
)
OLD_SECRETS = '# ours\n[camera.cam01]\nusername = "a"\npassword = "b"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "agent.toml"
    made.write_text("# ours\n" + RIGHT, encoding="utf-8")
    made.chmod(0o640)
    hidden = tmp_path / "secrets.toml"
    hidden.touch(mode=0o600)
    hidden.write_text(OLD_SECRETS, encoding="utf-8")
    return made


def ids(file: Path) -> list[str]:
    return [camera.id for camera in load(file).cameras]


def test_both_files_are_added_to_and_the_old_ones_kept(file: Path) -> None:
    before = file.read_bytes()
    told: list[str] = []
    add_cameras(file, [NEW], step=told.append)
    assert told == ["1", "2", "3", "4"]
    assert ids(file) == ["cam01", "cam02"]
    assert file.read_bytes().startswith(before)
    assert file.with_name("agent.toml.bak").read_bytes() == before
    hidden = file.with_name("secrets.toml")
    assert hidden.read_text(encoding="utf-8").startswith(OLD_SECRETS)
    assert read_secrets(hidden).login("cam02") == Login("u", "S3cret")
    for secret in file.parent.glob("secrets.toml*"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "agent.toml", "agent.toml.bak", "secrets.toml", "secrets.toml.bak",
    ]  # fmt: skip


def test_the_service_that_reads_them_still_can(file: Path) -> None:
    service = 1234 if os.geteuid() == 0 else os.geteuid()  # only root gives files away
    for each in file.parent.iterdir():
        os.chown(each, service, -1)
    add_cameras(file, [NEW])
    assert file.stat().st_uid == service
    for each in file.parent.glob("secrets*"):  # handed over by systemd: nobody but root is to read them here
        assert each.stat().st_uid == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_link_of_somebody_elses_is_not_followed(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "etc" / "agent.toml"
    link.parent.mkdir()
    link.symlink_to(file)
    os.chown(link, 1234, 1234, follow_symlinks=False)
    before = file.read_bytes()
    tables = tomllib.loads(before.decode())
    other = {**tables, "box": {**tables["box"], "site": "elsewhere"}}
    for write in (
        lambda: add_cameras(link, [NEW]),
        lambda: change(Places(link), tables, other),
    ):
        with pytest.raises(ConfigError) as caught:
            write()
        assert caught.value.code == "CONFIG_LINK"
    assert file.read_bytes() == before
    os.chown(link, 0, 0, follow_symlinks=False)
    change(Places(link), tables, other)
    assert link.is_symlink()
    assert load(file).box.site == "elsewhere"


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    link = elsewhere / "agent.toml"
    link.symlink_to(file)
    add_cameras(link, [NEW])
    assert link.is_symlink()
    assert ids(file) == ["cam01", "cam02"]
    lies_there = LogIns(link)  # as everybody looks who names the link, and systemd
    assert lies_there.read().login("cam02") == Login("u", "S3cret")
    assert file.with_name("secrets.toml").read_text(encoding="utf-8") == OLD_SECRETS


@pytest.mark.parametrize(
    "wrong",
    [
        Addition("cam01", "twice", "rtsp://10.0.0.12/main", "", "crime-prevention", "법"),
        Addition("cam02", "no purpose", "rtsp://10.0.0.12/main", "", "curiosity", "법"),
        Addition("cam02", "secret", "rtsp://10.0.0.12/user=a&password=S3cret", "", "crime-prevention", "법"),
        Addition(
            "cam02", "name", "rtsp://10.0.0.12/a", "", "crime-prevention", "법", username="a:b", password="x"
        ),
    ],
)
def test_what_config_check_would_refuse_is_not_written(file: Path, wrong: Addition) -> None:
    before = {each.name: each.read_bytes() for each in file.parent.iterdir()}
    with pytest.raises(ConfigProblems):
        add_cameras(file, [wrong])
    assert {each.name: each.read_bytes() for each in file.parent.iterdir()} == before


@pytest.mark.parametrize("number", range(40))
def test_whatever_call_fails_both_files_are_whole(file: Path, number: int) -> None:
    disk = FailingDisk(lambda at, _op, _path: errno.EIO if at == number else None)
    try:
        add_cameras(file, [NEW], disk=disk)
    except StorageFault:
        assert len(disk.calls) > number
    assert ids(file) in (["cam01"], ["cam01", "cam02"])
    if "cam02" in ids(file):
        assert read_secrets(file.with_name("secrets.toml")).login("cam02") is not None
    assert read_secrets(file.with_name("secrets.toml")).login("cam01") == Login("a", "b")


@pytest.mark.parametrize("step", ["1", "2", "3", "4"])
def test_killed_after_each_step_both_files_are_whole_and_doing_it_again_does_it(
    file: Path, step: str
) -> None:
    program = f"""
        import os, signal
        from pathlib import Path
        from agent.field.cameras_file import add_cameras
        from tests.procedure.test_cameras_file import NEW
        add_cameras(Path({str(file)!r}), [NEW], step=lambda done: os.kill(os.getpid(), signal.SIGKILL) if done == {step!r} else None)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, check=False)
    assert ended.returncode == -9
    assert ids(file) == (["cam01", "cam02"] if step == "4" else ["cam01"])
    secrets = read_secrets(file.with_name("secrets.toml"))
    assert (secrets.login("cam02") is not None) is (step in "34")
    if step in "123":
        add_cameras(file, [NEW])
        assert ids(file) == ["cam01", "cam02"]
