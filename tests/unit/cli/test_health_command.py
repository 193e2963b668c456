"""`pasu health` and `pasu disks`: what a contractor sees, in both languages, from health files alone."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from agent.cli.health_view import age, bar
from agent.cli.main import main
from agent.health import CONDITIONS, Raised, Tracker, write_health
from agent.health.smart import examine
from agent.model import Instant, Trust
from tests.unit.config.samples import RIGHT
from tests.unit.health.reports import VIRTUAL, ata, attribute

VITALS = {
    "cpu_percent": 34,
    "memory_percent": 41,
    "swap_percent": 3,
    "load_hundredths": [71, 60, 58],
    "uptime_s": 273_000,
    "hottest": {"sensor": "coretemp Package id 0", "celsius": 61, "limit_celsius": 95},
    "throttles": 0,
    "is_slowed": False,
    "low_voltage": False,
    "on_battery": True,
    "battery_percent": 63,
}
VAULT = {
    "uuid": "0f3c",
    "path": "/srv/vault",
    "total_bytes": 4_000_000_000_000,
    "free_bytes": 1_000_000_000_000,
    "free_files": None,
    "reserve_bytes": 1,
    "bytes_per_day": 130_000_000_000,
    "forecast_tenths_of_days": 274,
    "forecast_week_tenths_of_days": None,
}
RECORDING = {
    "state": "recording", "codec": "h264", "width": 1920, "height": 1080, "fps": 15.0, "kbit_s": 4096,
    "segments": 12, "gaps": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def site(tmp_path):
    text = RIGHT.replace("/var/lib/pasu", str(tmp_path))
    text = text.replace("[[camera]]", f'run = "{tmp_path}/run"\n\n[[camera]]', 1)
    (tmp_path / "agent.toml").write_text(text, encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "state").mkdir()
    return tmp_path


def said(process, *raised, ago_s=1.0, **more):
    now_ms = time.time_ns() // 1_000_000
    tracker = Tracker()
    tracker.update(raised, Instant(now_ms - 300_000, Trust.SYNCED), 0.0)
    tracker.update(raised, Instant(now_ms, Trust.SYNCED), 1e6)
    boot_ms = int((time.clock_gettime(time.CLOCK_BOOTTIME) - ago_s) * 1000)
    return {
        "process": process, "version": "0.1.0", "pid": 77, "at_ms": now_ms, "boot_ms": boot_ms,
        "trust": "SYNCED", "conditions": tracker.to_json(), **more,
    }  # fmt: skip


def well(site, **more):
    write_health(site / "run", "record", said("record", cameras={"cam01": RECORDING}))
    write_health(site / "run", "keep", said("keep", vaults=[VAULT], vitals=VITALS, disks=[], **more))


def health(site, capsys, *more):
    assert main(["health", "--config", str(site / "agent.toml"), *more]) == 0
    return capsys.readouterr().out


def test_a_box_that_is_well_shows_what_it_does(site, capsys):
    well(site)
    text = health(site, capsys)
    for part in (
        "gn-0007 · 경포해변 3지점",
        "Nothing is wrong.",
        "주차장 입구",
        "H264 1920x1080",
        "4.10",
        "█████████░░░",
        "75 %",
        "1.0 TB / 4.0 TB",
        "27.4 days",
        "34 %, load 0.71 0.60 0.58",
        "41 %, swap 3 %",
        "61 °C (limit 95 °C, coretemp Package id 0)",
        "voltage good, mains gone, battery 63 %",
    ):
        assert part in text, part
    assert any(line.split() == ["up", "3", "d"] for line in text.splitlines())
    assert "rtsp" not in text


def test_what_a_dead_process_said_last_is_not_how_it_is(site, capsys):
    write_health(site / "run", "record", said("record", ago_s=600.0, cameras={"cam01": RECORDING}))
    write_health(site / "run", "keep", said("keep", vaults=[VAULT]))
    text = health(site, capsys)
    assert CONDITIONS["process.silent"].what_english in text
    assert "H264" not in text
    assert "27.4 days" in text


def test_what_is_wrong_comes_first_with_what_to_do(site, capsys, monkeypatch):
    lost = {"state": "lost", "codec": "", "gaps": 2}
    raised = (Raised("hold.review_soon", "h1"), Raised("camera.refused", "cam01", "401"))
    write_health(site / "run", "record", said("record", *raised, cameras={"cam01": lost}))
    write_health(site / "run", "keep", said("keep", Raised("box.hot", detail="cpu: 90 C"), ago_s=100))
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    lines = health(site, capsys).splitlines()
    places = [
        next(number for number, line in enumerate(lines) if part in line)
        for part in (
            "위급  cam01 (주차장 입구): 카메라가 접속을 거절합니다",
            "5분 전부터 · camera.refused · 401",
            "→ 카메라의 설정을 보고",
            "위급  keep: 파수의 프로세스가 응답하지 않습니다",
            "경보  박스가 뜨겁습니다",
            "주의  h1: 보존 명령의 재검토일이 다가옵니다",
            "끊김",
        )
    ]
    assert places == sorted(places)


def test_what_many_cameras_have_is_said_once(site, capsys):
    plain = [Raised("camera.plaintext_leg", f"cam0{number}", detail) for number, detail in enumerate("aaba")]
    well(site)
    write_health(site / "run", "record", said("record", *plain[1:3], cameras={}))
    assert " info  cam01 (주차장 입구), cam02: the picture" in health(site, capsys).replace(
        "info     ", "info "
    )
    write_health(site / "run", "record", said("record", *plain, cameras={}))
    text = health(site, capsys)
    assert text.count("without encryption") == 1
    assert "cam00, cam01, cam02, cam03: the picture" in text
    assert "camera.plaintext_leg · a · b" in text


def test_where_nothing_runs_both_processes_are_silent(site, capsys):
    found = json.loads(health(site, capsys, "--json"))
    assert [(each["code"], each["subject"]) for each in found["conditions"]] == [
        ("process.silent", "record"),
        ("process.silent", "keep"),
    ]
    assert found["processes"] == {"record": None, "keep": None}
    assert "process.silent" in health(site, capsys)


def test_the_tunnel_is_expected_where_it_is_configured(site, capsys):
    file = site / "agent.toml"
    file.write_text(file.read_text() + '\n[tunnel]\ninterface = "pasu0"\n')
    assert "process.silent" in health(site, capsys)
    lacking = Raised("tunnel.unguarded", "", "rules of chain uplink were changed")
    state = {"up": True, "handshake_s": 75, "lacks": ["rules of chain uplink were changed"]}
    write_health(site / "run", "tunnel", said("tunnel", lacking, **state))
    shown = health(site, capsys)
    for words in ("tunnel.unguarded", "rules of chain uplink were changed", "1 min ago", "open"):
        assert words in shown
    write_health(
        site / "run", "tunnel", said("tunnel", **{**state, "lacks": [], "up": False, "handshake_s": None})
    )
    shown = health(site, capsys)
    assert "not up" in shown
    assert "barred" in shown


def test_the_uplink_is_expected_where_it_is_configured(site, capsys):
    file = site / "agent.toml"
    file.write_text(file.read_text() + '\n[uplink]\nbroker = "mqtts://10.77.0.1:8883"\n')
    well(site)
    assert "uplink.not_enrolled" in health(site, capsys)
    (site / "state" / "uplink").mkdir()
    for name in ("ca.pem", "box.pem", "box.key"):
        (site / "state" / "uplink" / name).touch()
    assert "process.silent" in health(site, capsys)
    state = {"connected": True, "protocol": 5, "trouble": "", "backlog": 7, "certificate_days": 29}
    (site / "run" / "uplink").mkdir()
    write_health(site / "run", "uplink", said("uplink", **state))
    text = health(site, capsys)
    assert "process.silent" not in text
    for part in ("state            connected · MQTT 5", "entries to send  7", "29 days left"):
        assert part in text
    one = {
        "camera": "cam01",
        "centre": "",
        "rank": 1,
        "reason": "",
        "sent_bytes": 0,
        "left_out": 0,
        "sheds": 0,
    }
    ways = [("main", True), ("main", True), ("keyframes", True), ("paused", False), ("sub", False)]
    state["streams"] = [one | {"as": way, "flowing": flowing} for way, flowing in ways]
    write_health(site / "run", "uplink", said("uplink", **state))
    assert "main 2, keyframes alone 1, paused for the line 1, not flowing 1" in health(site, capsys)


def test_a_file_that_cannot_be_read_is_an_error_and_no_silence(site, capsys):
    (site / "run" / "keep.json").symlink_to("keep.json")
    assert main(["health", "--config", str(site / "agent.toml")]) == 1
    assert "keep.json" in capsys.readouterr().err
    (site / "run" / "keep.json").unlink()
    os.mkfifo(site / "run" / "keep.json")  # nor is it waited for
    assert main(["health", "--config", str(site / "agent.toml")]) == 1
    assert "keep.json" in capsys.readouterr().err


def test_who_may_not_see_whether_the_box_is_enrolled_is_not_told_that_it_is_not(site, capsys):
    """Absence is never emptiness: the uplink's folder speaks for it, and where it does not, nothing is claimed."""
    file = site / "agent.toml"
    file.write_text(file.read_text() + '\n[uplink]\nbroker = "mqtts://10.77.0.1:8883"\n')
    well(site)
    (site / "state" / "uplink").symlink_to("uplink")  # root, too, cannot look into this one
    for command in ("health", "status"):
        assert main([command, "--json", "--config", str(file)]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert "ENROLMENT_UNSEEN" in said.err
    (site / "run" / "uplink").mkdir()
    text = health(site, capsys)
    assert "uplink.not_enrolled" not in text
    assert "process.silent" in text


def test_e7_whatever_the_uplink_writes_the_others_are_shown(site, capsys):
    """E7: one that was taken over hides nothing but itself."""
    file = site / "agent.toml"
    file.write_text(file.read_text() + '\n[uplink]\nbroker = "mqtts://10.77.0.1:8883"\n')
    (site / "state" / "uplink").mkdir()
    for name in ("ca.pem", "box.pem", "box.key"):
        (site / "state" / "uplink" / name).touch()
    well(site)
    (site / "run" / "uplink").mkdir()
    place = site / "run" / "uplink" / "uplink.json"
    for plant in (lambda: os.mkfifo(place), lambda: place.symlink_to(place), lambda: place.write_text("[")):
        plant()
        text = health(site, capsys)
        assert "H264 1920x1080" in text
        assert text.count("process.silent") == 1
        place.unlink()


def test_watching_goes_on_until_it_is_stopped(site):
    well(site)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "agent.cli.main", "health", "--watch", "--config", site / "agent.toml"]
    environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown, until = b"", time.monotonic() + 60
    interrupted = False
    while time.monotonic() < until and child.poll() is None:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
        if shown.count(b"Nothing is wrong") >= 2 and not interrupted:
            interrupted = True
            child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0, shown
    assert interrupted
    assert b"Traceback" not in shown
    os.close(ours)


def test_disks_are_asked_and_told(site, capsys):
    assert main(["disks", "--json", "--config", str(site / "agent.toml")]) == 0
    body = json.loads(capsys.readouterr().out)
    assert json.loads((site / "run" / "disks.json").read_text()) == body
    assert main(["disks", "--config", str(site / "agent.toml")]) == 0
    out = capsys.readouterr().out
    assert all(disk["device"] in out for disk in body["disks"])
    assert body["disks"] or "No vault lies on a disk." in out


def test_a_run_directory_that_is_not_there_is_told(site, capsys):
    (site / "run").rmdir()
    assert main(["disks", "--config", str(site / "agent.toml")]) == 1
    assert "run" in capsys.readouterr().err


def test_disks_stand_in_the_table(site, capsys):
    worn = ata(
        attribute(5, "Reallocated_Sector_Ct", "3"), attribute(177, "Wear_Leveling_Count", "1", value=9)
    )
    disks = [
        examine("sda", ["/srv/vault"], worn),
        examine("sdb", ["/srv/b"], ata(passed=False)),
        examine("vda", ["/"], VIRTUAL),
    ]
    well(site)
    write_health(site / "run", "keep", said("keep", disks=disks))
    text = health(site, capsys)
    for part in (
        "EXAMPLE SV4000",
        "4.0 TB",
        "38 °C",
        "good, reallocated 3, worn 91 %",
        "failing",
        "/srv/vault",
    ):
        assert part in text, part
    assert "none (Unable to detect device type)" in text


def test_bars_and_ages():
    assert [bar(part) for part in (-1, 0, 0.5, 1, 2)] == [
        "░" * 12, "░" * 12, "█" * 6 + "░" * 6, "█" * 12, "█" * 12,
    ]  # fmt: skip
    assert [age(seconds) for seconds in (-3, 0, 59, 60, 7199, 7200, 200_000)] == [
        "0 s", "0 s", "59 s", "1 min", "1 h", "2 h", "2 d",
    ]  # fmt: skip
