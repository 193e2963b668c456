"""`pasu doctor` and `pasu aim` on a box that records virtual cameras: well, and with each thing wrong that can be made so.

A vault on a disk of its own is a file system in memory, and that the kernel's clock is synchronised is said by a
`sitecustomize`: neither can be had on every machine that runs tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent.config import load
from agent.config.values import Camera, Purpose
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.errors import CameraFault
from agent.field.doctor.sniff import listen
from agent.field.looking import Looking
from agent.field.picture import Verdict, judge
from agent.log_ins import LogIns
from tests.lab import Site, centre_key, wait_for
from tests.live import Running
from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Iterator

PASU = Path(sys.executable).parent / "pasu"
SYNCED = """
import ctypes

_get = ctypes.CDLL.__getattr__
ctypes.CDLL.__getattr__ = lambda self, name: (lambda timex: 0) if name == "adjtimex" else _get(self, name)
"""


class Well(Site):
    """A site in which nothing is wrong: two keys, none of them on the box, a log-in, no sound, a disk of its own."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        """Write all of it, and mount the vault."""
        box, centre = folder / "box", folder / "centre"
        super().__init__(
            box, urls, segment_s=5, command=("run",), secrets=dict.fromkeys(urls, ("rec", "kX9-qv2"))
        )
        LogIns(self.config).seal()
        centre.mkdir()
        self.key = self.key.rename(centre / "one.key")
        _, second = centre_key(centre / "two.key")
        text = self.config.read_text()
        self.config.write_text(text.replace('recipients = ["', f'recipients = ["{second}", "'))
        customize = folder / "customize"
        customize.mkdir()
        (customize / "sitecustomize.py").write_text(SYNCED)
        self.environment = {**os.environ, "LANG": "C.UTF-8", "PYTHONPATH": str(customize)}
        self.vault.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4T,mode=0700", "pasu-test", self.vault], check=True
        )

    def start(self) -> None:
        """Start it by its own clock."""
        with (self.folder / "record.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(PASU), "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.environment,
            )

    def pasu(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on this box."""
        environment = {**self.environment, **more}
        return subprocess.run(
            [str(PASU), *arguments, "--config", str(self.config)],
            capture_output=True, text=True, timeout=240, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def doctor(self, *arguments: str) -> tuple[int, dict[str, dict[str, str]], str]:
        """Examine it; return the exit status, what was found that is not well or not applicable, and the text."""
        short = [] if "--seconds" in arguments else ["--seconds", "3"]
        done = self.pasu("doctor", "--json", "--wire-seconds", "1", *short, *arguments)
        found: dict[str, dict[str, str]] = {}
        for each in json.loads(done.stdout)["checks"]:
            found.setdefault(each["state"], {})[each["check"]] = f"{each['subject']} {each['measured']}"
        return done.returncode, found, done.stdout

    def end(self) -> None:
        """Stop it, and give the disk back."""
        self.kill()
        subprocess.run(["umount", "--lazy", self.vault], check=False)


def camera(number: int, **more: Any) -> CameraSpec:
    plan = {"prepared": True, "fps": 20, "audio": "none", "username": "rec", "password": "kX9-qv2", **more}
    return CameraSpec(number, **plan)


@contextlib.contextmanager
def site(folder: Path, *specs: CameraSpec) -> Iterator[tuple[Well, CameraProcess]]:
    need("mount")
    with CameraProcess(specs) as cameras:
        box = Well(folder, {f"cam{number:02d}": url for number, url in cameras.urls.items()})
        try:
            (box.run / "x").parent.mkdir(parents=True, exist_ok=True)
            box.pasu("disks")
            box.start()
            box.wait_recording(bound_s=90)
            wait_for("a segment of each", lambda: all(box.committed(each) for each in box.cameras), 90)
            wait_for(
                "rates", lambda: all(each.get("fps_tenths") for each in box.health()["cameras"].values()), 90
            )
            wait_for("trust", lambda: _said(box, "keep").get("trust") == "SYNCED", 90)
            wait_for("disks", lambda: _said(box, "keep").get("disks") is not None, 90)
            yield box, cameras
        finally:
            box.end()


def _said(box: Site, process: str) -> dict[str, Any]:
    try:
        return json.loads((box.run / f"{process}.json").read_text())
    except (OSError, ValueError):
        return {}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Iterator[tuple[Well, CameraProcess]]:
    with site(tmp_path_factory.mktemp("good"), camera(1, prepared=False), camera(2, codec="h265")) as made:
        yield made


def test_a_site_in_which_all_is_well_is_green_and_is_not_disturbed(good):
    """D8, D12, H1: nothing fails; and no picture is lost, no session made anew, while one looks."""
    box, _ = good
    before = box.health()["cameras"]
    status, found, text = box.doctor("--seconds", "30")
    # Nobody can give a machine without a battery clock one.
    assert set(found.get("warning", {})) <= {"clock.rtc"}, found
    assert "failure" not in found, found
    assert status == (3 if "warning" in found else 0)
    assert set(found["n/a"]) <= {
        "tunnel", "broker", "broker.certificate", "page", "command", "sealing.canary", "unit", "hardening.unit",
        "camera.password", "fence",
    }, found  # fmt: skip
    for check in (
        "camera.frames",
        "camera.picture",
        "audio.wire",
        "sealing.segment",
        "disk.sync",
        "retention.forecast",
    ):
        assert check in found["ok"]
    after = box.health()["cameras"]
    for name, told in after.items():
        assert told["reconnects"] == before[name]["reconnects"]
        assert told["runs"] == before[name]["runs"]
        assert not box.gaps(name)
    assert "rtsp://" not in text
    assert "kX9" not in text
    (body,) = [body for _, _, body in box.facts("box.examined")][-1:]
    assert body["failures"] == 0
    assert body["sha256"] == hashlib.sha256(text.removesuffix("\n").encode()).hexdigest()
    assert not [*box.vault.rglob(".*")], "nothing is left in the vault"


def test_an_examination_that_was_broken_off_is_none(good):
    """The ledger says that somebody looked, and not that all was well."""
    box, _ = good
    command = [
        str(PASU),
        "doctor",
        "--json",
        "--seconds",
        "600",
        "--wire-seconds",
        "0",
        "--config",
        str(box.config),
    ]
    before = len(box.facts("box.examined"))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=box.environment) as examining:
        wait_for("an eye", lambda: "agent.field.eye" in _commands(examining.pid), 60)
        examining.send_signal(signal.SIGINT)
        assert examining.wait(60) != 0
    (body,) = [body for _, _, body in box.facts("box.examined")][before:]
    assert body["sha256"] == ""


def _commands(parent: int) -> str:
    """Return the command lines of a process's children."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return " ".join(Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ") for child in children)
    except OSError:
        return ""


def test_what_a_person_reads_is_in_both_languages(good):
    box, _ = good
    for language, words in (
        ("ko_KR.UTF-8", ("보관 일수", "카메라의 그림")),
        ("C.UTF-8", ("days of retention",)),
    ):
        done = box.pasu("doctor", "--seconds", "1", "--wire-seconds", "0", LANG=language)
        assert done.returncode in (0, 3), done.stdout
        assert all(word in done.stdout for word in words)


def test_the_centre_opens_the_canary_and_another_word_fails(good, tmp_path):
    box, _ = good
    file = tmp_path / "canary.age"
    status, found, _ = box.doctor("--canary", str(file), "--seconds", "1")
    assert "sealing.canary" in found["warning"]
    assert b"pasu-canary" not in file.read_bytes()
    read = subprocess.run(
        [PASU, "centre", "canary", "--identity", box.key, file], capture_output=True, text=True, check=True
    )
    word = read.stdout.split()[-1]
    assert word not in Path(f"{file}.check").read_text()
    _, found, _ = box.doctor("--canary", str(file), "--word", word.lower(), "--seconds", "1")
    assert "sealing.canary" in found["ok"]
    status, found, _ = box.doctor("--canary", str(file), "--word", "AAAAAAAA", "--seconds", "1")
    assert (status, "sealing.canary" in found["failure"]) == (1, True)
    stored = box.segments()[0].path
    other = subprocess.run(
        [PASU, "centre", "canary", "--identity", box.key, stored], capture_output=True, text=True, check=False
    )
    assert other.returncode == 1
    assert "CANARY_OTHER" in other.stderr


def test_files_that_others_can_read_and_a_key_that_lies_about(good):
    """H1: a private key on the box, and passwords that everybody reads."""
    box, _ = good
    (box.folder / "left.txt").write_text(box.key.read_text())
    LogIns(box.config).open()
    (box.folder / "secrets.toml").chmod(0o644)
    box.state.chmod(0o755)
    try:
        status, found, _ = box.doctor("--seconds", "1")
    finally:
        (box.folder / "left.txt").unlink()
        (box.folder / "secrets.toml").chmod(0o600)
        LogIns(box.config).seal()
        box.state.chmod(0o700)
    assert status == 1
    assert set(found["failure"]) == {"sealing.no_key", "permission", "secrets.sealed"}, found
    assert "CONFIG_SECRETS_MODE" in found["failure"]["secrets.sealed"]
    assert "left.txt" in found["failure"]["sealing.no_key"]
    assert "camera.password" in found["warning"]


def test_a_covered_camera_is_told(good):
    """The picture turns grey: what is measured says so, and nothing else fails."""
    box, cameras = good
    cameras.command("show", what="grey", camera=1)
    try:
        time.sleep(3)
        status, found, _ = box.doctor("--seconds", "1")
    finally:
        cameras.command("show", what="scene", camera=1)
    assert status == 1
    assert set(found["failure"]) == {"camera.picture"}, found
    assert found["failure"]["camera.picture"].startswith("cam01 covered")


def test_aim_says_a_line_a_second_and_the_ledger_who_looked(good):
    box, _ = good
    done = box.pasu("aim", "cam02", "--seconds", "6", "--json", SUDO_USER="kim")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert 3 <= len(lines) <= 7
    assert lines[-1]["verdict"] == "good"
    assert lines[-1]["best"] >= lines[-1]["measures"]["sharpness"] > 300
    facts = [body for _, _, body in box.facts("camera.aimed")][-2:]
    assert [body["seconds"] is None for body in facts] == [True, False]
    assert {(body["camera"], body["by"]) for body in facts} == {("cam02", "kim")}
    assert "CAMERA_UNKNOWN" in box.pasu("aim", "cam99").stderr


def test_who_looks_can_do_nothing_else(good):
    """What meets libav has no rights: no file can be opened, none grows, no core, no user of ours."""
    box, _ = good
    config = load(box.config)
    known = config.camera("cam01")
    assert known is not None
    from agent.config.secrets import Login

    with Looking(box.run, known, Login("rec", "kX9-qv2")) as looking:
        found = looking.next(30)
        assert found is not None
        assert judge(found) is Verdict.GOOD
        pid = looking._process.pid
        said = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert said["NoNewPrivs"] == "1"
        assert said["CapEff"].strip("0") == ""
        assert set(said["Uid"].split()) == {"65534"}
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        for name in ("Max core file size", "Max file size"):
            assert next(line for line in limits if line.startswith(name)).split()[-3:-1] == ["0", "0"]
        assert b"kX9" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"kX9" not in Path(f"/proc/{pid}/environ").read_bytes()
        opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [each for each in opened if str(box.folder) in each]
        assert looking.confined is not False or not _has_landlock()


def _has_landlock() -> bool:
    try:
        return "landlock" in Path("/sys/kernel/security/lsm").read_text()
    except OSError:
        return False


def test_no_code_of_the_folder_that_one_stands_in_is_run(good, tmp_path, monkeypatch):
    """A technician types sudo in a folder where anybody may have left something."""
    for name in ("agent/__init__.py", "agent/field/__init__.py", "agent/field/eye.py", "av.py", "numpy.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"open({str(tmp_path / 'was run')!r}, 'w')\n")
    box, _ = good
    known = load(box.config).camera("cam01")
    assert known is not None
    from agent.config.secrets import Login

    monkeypatch.chdir(tmp_path)
    with Looking(box.run, known, Login("rec", "kX9-qv2")) as looking:
        assert looking.next(60) is not None
    assert not (tmp_path / "was run").exists()


def test_a_camera_that_is_not_there_cannot_be_aimed(good):
    box, _ = good
    known = load(box.config).camera("cam01")
    assert known is not None
    import dataclasses

    gone = dataclasses.replace(known, id="gone", url="rtsp://127.0.0.1:9/main")
    with Looking(box.run, gone, None) as looking, pytest.raises(CameraFault, match="AIM_ENDED"):
        looking.next(30)
    board = dataclasses.replace(known, id="board", url="v4l2:/dev/video9")
    with pytest.raises(CameraFault, match="AIM_NOT_RECORDED"):
        Looking(box.run, board, None)


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg", "mpeg4"])
def test_what_is_handed_out_live_is_looked_at_without_a_second_session(tmp_path, codec):
    """The camera allows one session, which is recording's; without a live socket there is nothing to look at."""
    only = camera(1, codec=codec, username="", password="", quirks="one_session_only")
    with CameraProcess([only]) as cameras, Running(tmp_path, {"cam01": cameras.urls[1]}) as recording:
        wait_for("pictures", lambda: recording.units("cam01"), 60)
        plan = Camera(
            "cam01", "gate", cameras.urls[1], None, "tcp", Purpose.CRIME_PREVENTION, "law", 30, (), False, None, None, None, 5, None,
        )  # fmt: skip
        with Looking(tmp_path, plan, None) as looking:
            found = looking.next(60)
            assert found is not None
            assert judge(found) is Verdict.GOOD
        with Looking(tmp_path / "none", plan, None) as looking, pytest.raises(CameraFault, match="AIM_ENDED"):
            looking.next(60)


def _of_pictures(found: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return what was found of cameras alone: the whole is longer than what a failure prints."""
    return {
        state: {check: text for check, text in checks.items() if check.startswith("camera.")}
        for state, checks in found.items()
    }


def test_what_only_the_box_itself_can_know_is_no_less_a_failure(tmp_path):
    """D3: a picture that stands still is sharp and bright; who hangs has said that all is well."""
    with site(tmp_path, camera(1), camera(2, prepared=False), camera(3)) as (box, cameras):
        cameras.command("show", what="frozen", camera=2)
        cameras.command("silence", camera=3)
        keeper = int(_said(box, "keep")["pid"])
        os.kill(keeper, signal.SIGSTOP)

        def silent_s() -> float:
            return time.clock_gettime(time.CLOCK_BOOTTIME) - _said(box, "keep")["boot_ms"] / 1000

        try:
            wait_for("silence", lambda: silent_s() > 61, 240)
            wait_for("a frozen picture", lambda: "camera.frozen" in str(box.health().get("conditions")), 240)
            status, found, text = box.doctor("--seconds", "1")
        finally:
            os.kill(keeper, signal.SIGCONT)
        assert status == 1, found
        assert found["failure"]["process"].startswith("keep "), found
        assert found["failure"]["camera.frames"].startswith("cam03 "), found
        assert "condition" in found["failure"], found
        assert "camera.frozen cam02" in text
        assert {"camera.frames", "camera.picture"} <= set(found["ok"]), _of_pictures(found)
        room = os.statvfs(box.vault)
        used = (room.f_blocks - room.f_bfree) * room.f_frsize
        subprocess.run(["mount", "-o", f"remount,size={used + (32 << 20)}", box.vault], check=True)
        status, found, _ = box.doctor("--seconds", "1")
        assert status == 1, found
        assert "disk.room" in found["failure"], found
        subprocess.run(["umount", "--lazy", box.vault], check=True)
        status, found, _ = box.doctor("--seconds", "1")
        assert status == 1, found
        assert {"disk.mount", "sealing.segment"} <= set(found["failure"]), found


def test_a_poor_site_fails_in_all_that_is_poor(tmp_path):
    """D8, D12: small, slow, with sound, a factory password, and a vault on the system's disk."""
    poor = camera(
        1, width=160, height=120, fps=10, audio="pcmu", username="admin", password="12345", scene="street"
    )
    with CameraProcess([poor]) as cameras:
        box = Site(
            tmp_path,
            {"cam01": cameras.urls[1]},
            segment_s=5,
            command=("run",),
            secrets={"cam01": ("admin", "12345")},
        )
        with box:
            box.wait_recording(bound_s=90)
            wait_for("a rate", lambda: box.health()["cameras"]["cam01"].get("fps_tenths"), 90)
            wait_for("a keeper", lambda: _said(box, "keep"), 90)
            done = subprocess.run(
                [PASU, "doctor", "--json", "--seconds", "2", "--wire-seconds", "0", "--config", box.config],
                capture_output=True, text=True, check=False, timeout=240, env={**os.environ, "LANG": "C.UTF-8"},
            )  # fmt: skip
            confirmed = subprocess.run(
                [PASU, "clock", "confirm", "--by", "kim", "--yes", "--config", box.config],
                capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "LANG": "C.UTF-8"},
            )  # fmt: skip
            assert "trusted now" in confirmed.stdout, confirmed
            again = subprocess.run(
                [PASU, "doctor", "--json", "--seconds", "1", "--wire-seconds", "0", "--config", box.config],
                capture_output=True, text=True, check=False, timeout=240, env={**os.environ, "LANG": "C.UTF-8"},
            )  # fmt: skip
        by_word = {each["check"]: each for each in json.loads(again.stdout)["checks"]}
        assert [by_word[check]["state"] for check in ("clock.synced", "clock.trust")] == ["warning"] * 2
        assert "by a person's word, until 20" in by_word["clock.synced"]["measured"]
        assert done.returncode == 1
        found = {each["check"]: each["state"] for each in json.loads(done.stdout)["checks"]}
        for check in (
            "camera.floor",
            "camera.password",
            "disk.mount",
            "sealing.no_key",
            "clock.synced",
            "clock.trust",
        ):
            assert found[check] == "failure", check
        for check in ("sealing.recipients", "audio.offered", "config.valid"):
            assert found[check] == "warning", check


def test_a_box_that_does_not_record_fails(tmp_path):
    """Nothing runs: recording is missed by every check that asks it, and the examination ends in order."""
    need("mount")
    box = Well(tmp_path, {"cam01": "rtsp://127.0.0.1:9/main"})
    try:
        status, found, _ = box.doctor("--seconds", "1")
        assert status == 1
        assert {"process", "config.applied", "camera.frames", "sealing.recipients"} <= set(found["failure"])
    finally:
        box.end()


def test_sound_that_a_camera_pushes_is_seen_on_the_wire():
    """Art. 11(2): a camera that sends sound nobody asked for, seen by one who only listens."""
    import socket

    from agent.rtsp.client import ClientSession
    from agent.rtsp.events import ClientConfig, Described
    from agent.rtsp.url import parse_url

    with CameraProcess([camera(1, username="", password="", quirks="audio_pushed", audio="pcmu")]) as cameras:
        url = parse_url(cameras.urls[1])
        session = ClientSession(ClientConfig(url), ssrc=1, nonce=lambda: "n")
        import threading

        over = threading.Event()

        def watch() -> None:
            with socket.create_connection((url.host, url.port)) as line:
                line.settimeout(5)
                session.start(time.monotonic())
                while not over.is_set():
                    line.sendall(session.output())
                    for event in session.receive(line.recv(1 << 18), time.monotonic()):
                        assert not isinstance(event, Described) or event.audio

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            heard = wait_for(
                "sound", lambda: (wire := listen({(url.host, url.port)}, 2.0)).sound and wire, 60
            )
        finally:
            over.set()
            watcher.join(30)
    assert heard.sound[0].endswith(" 0 96"), heard.numbers  # type: ignore[attr-defined]
