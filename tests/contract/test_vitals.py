"""The machine's vital signs, read from the real kernel; sensors that this machine lacks are put before it. Row: K5."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent.config import load
from agent.health import read_health, write_health
from agent.keeping import make_keeper
from agent.vitals import PERIOD_S, Vitals, Watch
from tests.peer import need
from tests.unit.config.samples import RIGHT

ROOT = Path(__file__).parents[2]
# Each line that comes is a look, ten seconds later: what is raised, and the body.
CHILD = """
import json, sys
from agent.vitals import Watch
watch = Watch(None)
for number, _ in enumerate(sys.stdin):
    raised, body = watch.look(10.0 * number)
    print(json.dumps([{each.code: each.detail for each in raised}, body["vitals"]]), flush=True)
"""


def meminfo() -> dict[str, int]:
    lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    return {words[0].rstrip(":"): int(words[1]) for words in lines}


def test_what_is_read_is_what_the_kernel_says():
    vitals = Vitals()
    assert vitals.read().cpu_percent is None, "no time has passed yet"
    until = time.monotonic() + 60
    while True:  # others work on this machine too
        before, seen, after = meminfo(), vitals.read(), meminfo()
        used = [100 - 100 * each["MemAvailable"] / each["MemTotal"] for each in (before, after)]
        if min(used) - 1 <= seen.memory_percent <= max(used) + 1:
            break
        assert time.monotonic() < until, (used, seen)
    assert 0 <= seen.cpu_percent <= 100
    assert 0 <= seen.swap_percent <= 100
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert uptime - 60 <= seen.uptime_s <= uptime + 1
    assert len(seen.load_hundredths) == 3
    assert all(type(load) is int for load in seen.load_hundredths)
    named = {
        f"{chip} {each.label}".strip()
        for chip, all_ in psutil.sensors_temperatures().items()
        for each in all_
    }
    assert {each.sensor for each in seen.temperatures} == named


def test_a_busy_processor_is_seen():
    vitals = Vitals()
    vitals.read()
    until = time.monotonic() + 60
    while (vitals.read().cpu_percent or 0) < 20:
        assert time.monotonic() < until
        busy_until = time.process_time() + 0.3
        while time.process_time() < busy_until:
            pass


def test_a_look_is_taken_from_time_to_time_and_knows_the_disks(tmp_path):
    watch = Watch(tmp_path)
    raised, body = watch.look(100.0)
    assert body["disks"] is None
    failing = {"device": "sda", "model": "M", "serial": "S", "passed": False}
    write_health(tmp_path, "disks", {"boot_ms": 100_000, "disks": [failing]})
    assert watch.look(100.0 + PERIOD_S - 0.1) == (raised, body)
    raised, body = watch.look(100.0 + PERIOD_S)
    assert [(each.code, each.subject) for each in raised if each.code.startswith("disk")] == [
        ("disk.failing", "sda")
    ]
    assert body["disks"] == [failing]


def test_without_a_run_directory_the_machine_is_still_looked_at():
    _, body = Watch(None).look(1.0)
    assert body["vitals"]["uptime_s"] > 0


class Machine:
    """A process that sees our tree in the place of /sys/class."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.put("hwmon/hwmon0/name", "coretemp")
        command = 'mount --bind "$1" /sys/class && exec "$2" -c "$3"'
        self.process = subprocess.Popen(
            [need("unshare"), "--mount", "sh", "-c", command, "sh", tree, sys.executable, CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def put(self, name: str, text: object) -> None:
        file = self.tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def look(self) -> tuple[dict[str, str], dict]:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        raised, vitals = json.loads(self.process.stdout.readline())
        # What this machine itself says beside our sensors is not the matter here.
        ours = {"box.hot", "box.throttled", "box.power_low", "box.on_battery"}
        return {code: detail for code, detail in raised.items() if code in ours}, vitals


@pytest.fixture
def machine(tmp_path):
    if os.geteuid() != 0:
        pytest.fail("run as root: the tree is mounted") if os.environ.get("CI") else pytest.skip(
            "run as root"
        )
    made = Machine(tmp_path / "class")
    yield made
    made.process.stdin.close()
    made.process.wait(60)


def test_k5_a_hot_box_is_told_from_the_sensors_file(machine):
    """K5: the kernel's file is what psutil reads; only the number in it is ours."""
    machine.put("hwmon/hwmon0/temp1_label", "Package id 0")
    machine.put("hwmon/hwmon0/temp1_max", 95_000)
    machine.put("hwmon/hwmon0/temp1_crit", 105_000)
    machine.put("hwmon/hwmon0/temp1_input", 61_000)
    raised, vitals = machine.look()
    assert raised == {}
    assert vitals["hottest"] == {"sensor": "coretemp Package id 0", "celsius": 61, "limit_celsius": 95}
    machine.put("hwmon/hwmon0/temp1_input", 96_500)
    assert machine.look()[0] == {"box.hot": "coretemp Package id 0: 96 C"}
    machine.put("thermal/cooling_device0/type", "thermal-cpufreq-0")
    machine.put("thermal/cooling_device0/cur_state", 2)
    machine.put("thermal/cooling_device1/type", "pwm-fan")
    machine.put("thermal/cooling_device1/cur_state", 3)
    assert set(machine.look()[0]) == {"box.hot", "box.throttled"}
    machine.put("hwmon/hwmon0/temp1_input", 70_000)
    machine.put("thermal/cooling_device0/cur_state", 0)
    assert machine.look()[0] == {}
    (machine.tree / "hwmon/hwmon0/temp1_input").unlink()
    raised, vitals = machine.look()
    assert (raised, vitals["hottest"], vitals["is_slowed"]) == ({}, None, False)


def test_power_is_told_where_the_machine_tells_it(machine):
    raised, vitals = machine.look()
    assert (raised, vitals["low_voltage"], vitals["on_battery"]) == ({}, None, None)
    machine.put("hwmon/hwmon1/name", "rpi_volt")  # Raspberry Pi: undervoltage as the firmware sees it
    machine.put("hwmon/hwmon1/in0_lcrit_alarm", 0)
    machine.put("hwmon/hwmon2/in7_alarm", 1)  # a board whose limits nobody set
    assert machine.look()[1]["low_voltage"] is False
    machine.put("hwmon/hwmon1/in0_lcrit_alarm", 1)
    assert "box.power_low" in machine.look()[0]
    machine.put("power_supply/AC/type", "Mains")
    machine.put("power_supply/AC/online", 1)
    machine.put("power_supply/mouse/type", "Battery")
    machine.put("power_supply/mouse/scope", "Device")
    machine.put("power_supply/mouse/capacity", 3)
    raised, vitals = machine.look()
    assert (vitals["on_battery"], vitals["battery_percent"]) == (None, None), "it has no battery of its own"
    machine.put("power_supply/UPS0/type", "UPS")
    machine.put("power_supply/UPS0/capacity", 87)
    assert machine.look()[1]["on_battery"] is False
    machine.put("power_supply/AC/online", 0)
    raised, vitals = machine.look()
    assert raised["box.on_battery"] == "87 %"


def test_the_keeper_that_a_configuration_makes_watches_its_machine(tmp_path):
    """Also while its catalogue is away: the machine may be why."""
    text = RIGHT.replace("/var/lib/pasu", str(tmp_path)).replace(
        "[storage]", f'[storage]\nrun = "{tmp_path}/run"'
    )
    (tmp_path / "agent.toml").write_text(text, encoding="utf-8")
    (tmp_path / "state").mkdir()
    keeper = make_keeper(load(tmp_path / "agent.toml"))
    keeper.tick()
    keeper.close()
    health = read_health(tmp_path / "run", "keep")
    assert health["vitals"]["uptime_s"] > 0
    assert "catalogue.unavailable" in {each["code"] for each in health["conditions"]}
