"""`pasu uplink` as it runs on a box: a real catalogue, a real broker, a real process that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.health import read_health
from agent.model import Fact, Instant, Trust, canonical_json
from agent.storage.catalogue import Catalogue
from agent.uplink.payloads import read
from tests.broker import Listener, Mosquitto
from tests.lab import wait_for
from tests.unit.storage.box import T0, Box
from tests.uplink_box import check_schemas

PASU = Path(sys.executable).parent / "pasu"
CAMERA = "10.77.66.55"
TOML = """
[box]
id = "box-1"
site = "시험장"
operator = "강릉시 정보산업과"
contact = "033-000-0000"
[storage]
vault = "{root}/vault"
state = "{root}/state"
run = "{root}/run"
recipients = ["age1mxdx3dknvr6lmqtwdshxw650ye3c7wcqlnehytsg4q6za5rk4eaq9k23xx"]
[[camera]]
id = "cam1"
name = "주차장 입구"
url = "rtsp://{camera}/main"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
{uplink}
"""


class Reporting(Box):
    """A box that is enrolled with the city of a broker."""

    def __init__(self, root: Path, broker: Mosquitto, *, enrolled: bool = True) -> None:
        super().__init__(root, ("cam1",))
        self.broker = broker
        self.config = root / "agent.toml"
        self.write(f'[uplink]\nbroker = "{broker.url}"')
        if enrolled:
            broker.authority.install(self.state, "box-1")
        self.processes: list[subprocess.Popen[bytes]] = []

    def write(self, uplink: str) -> None:
        self.config.write_text(TOML.format(root=self.root, uplink=uplink, camera=CAMERA))

    def start(self, command: str = "uplink") -> subprocess.Popen[bytes]:
        with (self.root / "uplink.log").open("ab") as log:
            process = subprocess.Popen(
                [str(PASU), command, "--config", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"LC_ALL": "C.UTF-8"},
            )
        self.processes.append(process)
        return process

    def add(self, count: int, kind: str = "gap") -> None:
        catalogue = Catalogue.open(self.state)
        for n in range(count):
            catalogue.add_fact(Fact(kind, Instant(T0 + n, Trust.SYNCED), {"camera": "cam1", "n": n}))
        catalogue.close()

    @property
    def size(self) -> int:
        catalogue = Catalogue.open(self.state, read_only=True)
        try:
            return catalogue.counts()["ledger"]
        finally:
            catalogue.close()

    @property
    def health(self) -> dict:
        return read_health(self.root / "run", "uplink") or {}

    @property
    def log(self) -> str:
        return (self.root / "uplink.log").read_text(errors="replace")

    def reply(self, number: int, **more) -> None:
        body = {
            "v": 1, "box": "box-1", "id": f"{number:032x}", "command": "facts.resend", "status": "done",
            "code": "", "at_ms": 1, "trust": "SYNCED", "detail": {},
        }  # fmt: skip
        part = self.state / "exchange" / "replies" / ".part"
        part.write_text(json.dumps(body | more))
        part.rename(part.with_name(f"{number:016d}.json"))


@pytest.fixture
def broker(tmp_path):
    made = Mosquitto(tmp_path / "broker")
    yield made
    made.stop()


@pytest.fixture
def listener(broker):
    made = Listener(broker)
    yield made
    made.close()


@pytest.fixture
def box(tmp_path, broker):
    made = Reporting(tmp_path / "box", broker)
    yield made
    for process in made.processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(30)


def entries(listener: Listener) -> dict[int, str]:
    """Return what the centre has, by seq. What comes twice must be the same."""
    found: dict[int, str] = {}
    for batch in listener.of("facts"):
        for each in batch["entries"]:
            text = canonical_json(each)
            assert found.setdefault(each["seq"], text) == text
    return found


def test_a_box_reports_takes_commands_and_says_goodbye(box, listener):
    """Also that no address of a camera leaves it, in no message and no line of the log (H11)."""
    box.add(5)
    process = box.start()
    wait_for("the facts", lambda: len(entries(listener)) == box.size, 60)
    wait_for("a health", lambda: listener.of("health"), 60)
    (birth,) = listener.of("birth")
    assert birth["site"] == "시험장"
    assert [camera["id"] for camera in birth["cameras"]] == ["cam1"]
    assert birth["ledger"] == listener.of("facts")[0]["ledger"]
    listener.publish("pasu/v1/box-1/command", "eyJ.eyJ.c2ln", qos=1)
    orders = box.state / "exchange" / "orders"
    wait_for("the command", lambda: list(orders.glob("*.json")), 60)
    (order,) = orders.glob("*.json")
    said = json.loads(order.read_bytes())
    assert (said["jws"], said["retained"], said["over"]) == ("eyJ.eyJ.c2ln", False, "mqtt")
    box.reply(1)
    wait_for("the reply", lambda: listener.of("reply"), 60)
    wait_for("its end", lambda: not list((box.state / "exchange" / "replies").iterdir()), 60)
    wait_for("its health", lambda: box.health.get("connected"), 60)
    assert box.health["pid"] == process.pid
    assert box.health["certificate_days"] is None  # without a keeper the time is not to be relied on
    assert box.health["backlog"] == 0
    process.terminate()
    assert process.wait(60) == 0
    wait_for("the goodbye", lambda: [each["online"] for each in listener.of("state")] == [True, False], 60)
    check_schemas(listener)
    assert CAMERA not in box.log
    for topic, data, _ in listener.messages:
        assert topic.endswith("/command") or CAMERA not in json.dumps(read(data))
    assert CAMERA not in json.dumps(box.health)


def test_a_cursor_is_kept_over_a_restart(box, listener):
    box.add(5)
    first = box.start()
    wait_for("the facts", lambda: len(entries(listener)) == box.size, 60)
    first.terminate()
    assert first.wait(60) == 0
    assert json.loads((box.state / "uplink" / "memory" / "cursor.json").read_bytes())["seq"] == box.size
    before = len(listener.of("facts"))
    box.add(1)
    box.start()
    wait_for("the new one", lambda: len(entries(listener)) == box.size, 60)
    assert [len(each["entries"]) for each in listener.of("facts")[before:]] == [1]


def played_centre(box: Reporting, listener: Listener, number: list[int]) -> bool:
    """Tell whether the centre has everything; where it misses entries, ask for them as keep would."""
    size, found = box.size, entries(listener)
    if len(found) == size:
        return True
    if box.health.get("connected") and box.health.get("backlog") == 0:
        missing = min(set(range(1, size + 1)) - set(found))
        number[0] += 1
        ledger = listener.of("facts")[-1]["ledger"]
        box.reply(number[0], detail={"resend": {"ledger": ledger, "from_seq": missing}})
        time.sleep(3)  # for the answer; a second question would do no harm
    return False


def killed(box: Reporting, listener: Listener, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    stopping = threading.Event()

    def write() -> None:
        while not stopping.is_set():
            with contextlib.suppress(Exception):
                box.add(chance.randrange(1, 30), chance.choice(["gap", "segment.committed"]))
            time.sleep(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    process = box.start()
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(0.2, 3.0))
            if chance.random() < 0.5:
                process.kill()
                process.wait(60)
                process = box.start()
            else:
                box.broker.restart()
    finally:
        stopping.set()
        writer.join(60)
    number = [0]
    wait_for("everything", lambda: played_centre(box, listener, number), 300)
    found = entries(listener)
    assert sorted(found) == list(range(1, box.size + 1))
    catalogue = Catalogue.open(box.state, read_only=True)
    for entry in catalogue.ledger(0, 1 << 30):
        said = json.loads(found[entry.seq])
        assert (said["kind"], said["at_ms"], said["body"]) == (
            entry.kind,
            entry.at_ms,
            json.loads(entry.body),
        )
    catalogue.close()


def test_killed_again_and_again_nothing_is_lost_or_doubled(box, listener):
    """Issue 4, point 2: a sample."""
    killed(box, listener, 10, seed=4)


@pytest.mark.campaign
def test_killed_two_hundred_times_nothing_is_lost_or_doubled(box, listener):
    """Issue 4, point 2."""
    killed(box, listener, 200, seed=5)


@pytest.mark.parametrize(
    ("uplink", "code"),
    [("", "UPLINK_NOT_CONFIGURED"), ('[uplink]\nbroker = "mqtts://127.0.0.1:1"', "UPLINK_NOT_ENROLLED")],
)
def test_who_cannot_report_says_what_to_do_and_ends(tmp_path, broker, uplink, code):
    box = Reporting(tmp_path / "box", broker, enrolled=False)
    box.write(uplink)
    assert box.start().wait(60) == 78
    assert code in box.log


def test_two_do_not_report_for_one_box(box):
    box.start()
    wait_for("the first", lambda: box.health.get("connected"), 60)
    second = box.start()
    assert second.wait(60) == 1
    assert "REPORTING_ALREADY" in box.log
    assert box.processes[0].poll() is None


def test_another_broker_in_the_configuration_ends_it_so_that_it_begins_anew(box, tmp_path):
    process = box.start()
    wait_for("the connection", lambda: box.health.get("connected"), 60)
    box.write('[uplink]\nbroker = "mqtts://127.0.0.1:1"')
    assert process.wait(60) == 0


def test_a_changed_camera_is_told_in_a_new_birth(box, listener):
    box.start()
    wait_for("the birth", lambda: listener.of("birth"), 60)
    text = box.config.read_text().replace("주차장 입구", "주차장 출구")
    box.config.write_text(text)
    wait_for("the new one", lambda: listener.of("birth")[-1]["cameras"][0]["name"] == "주차장 출구", 60)


def test_passwords_that_came_into_sight_end_it_so_that_it_begins_behind_the_fence_again(box):
    """E7: an unit hides the file that was there at the start, not one that is put in its place."""
    process = box.start()
    wait_for("the connection", lambda: box.health.get("connected"), 60)
    (box.root / "secrets.toml").touch(0o600)
    assert process.wait(60) == 0
    again = box.start()
    wait_for("the next", lambda: box.health.get("connected") and box.health["pid"] == again.pid, 60)


def test_e7_what_the_uplink_writes_lies_in_folders_of_its_own(box, listener):
    """E7: whoever takes it over writes no health file of others, and no certificate."""
    before = {path for path in box.root.rglob("*") if path.is_file()}
    box.add(5)
    box.start()
    wait_for("the facts", lambda: len(entries(listener)) == box.size, 60)
    listener.publish("pasu/v1/box-1/command", "eyJ.eyJ.c2ln", qos=1)
    wait_for("the command", lambda: list((box.state / "exchange" / "orders").glob("*.json")), 60)
    wait_for("its health", lambda: box.health.get("connected"), 60)
    box.processes[0].terminate()
    assert box.processes[0].wait(60) == 0
    written = {path for path in box.root.rglob("*") if path.is_file()} - before - {box.root / "uplink.log"}
    assert {str(path.parent.relative_to(box.root)) for path in written if "catalogue" not in path.name} == {
        "run/uplink",
        "state/uplink/memory",
        "state/exchange/orders",
    }


def test_who_is_silent_is_told(box, listener):
    """No process but this one runs here; after a minute that is a condition."""
    box.start()
    wait_for("the centre to know", lambda: (said := listener.of("health")) and said[-1]["conditions"], 120)
    own = json.loads((box.root / "run" / "uplink" / "uplink.json").read_bytes())
    silent = {each["subject"] for each in own["conditions"] if each["code"] == "process.silent"}
    assert silent == {"record", "keep"}


def test_pasu_run_reports_once_the_box_is_enrolled(tmp_path, broker, listener):
    box = Reporting(tmp_path / "box", broker, enrolled=False)
    process = box.start("run")
    try:
        wait_for("recording", lambda: read_health(box.root / "run", "record"), 60)
        broker.authority.install(box.state, "box-1")
        wait_for("the uplink", lambda: listener.of("birth"), 90)
        process.terminate()
        assert process.wait(90) == 0
    finally:
        process.kill()
        process.wait(30)
    wait_for("the goodbye", lambda: [each["online"] for each in listener.of("state")] == [True, False], 60)


def test_the_uplink_loads_nothing_that_erases_records_or_opens(box):
    """What talks outside has no code of capture, of keep, of the envelope, and no libav."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom agent.config import load\nfrom agent.clock import SystemClock\n"
        "from agent.reporting import Reporter\n"
        f"config = load(Path({str(box.config)!r}))\n"
        "reporter = Reporter(config, SystemClock(config.storage.state))\n"
        "[reporter.turn(float(n)) for n in range(5)]\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    loaded = set(done.stdout.split())
    assert "agent.uplink.post" in loaded
    for name in (
        "agent.capture",
        "agent.storage.keep",
        "agent.storage.envelope",
        "agent.centre",
        "sqlite_utils",
        "av",
        "cv2",
    ):
        assert not {each for each in loaded if each == name or each.startswith(name + ".")}, name
