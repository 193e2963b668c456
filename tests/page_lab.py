"""A box with a page, whose health files a test writes; clients, and a browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.config import Config, load
from agent.field import issuing
from agent.field.page.door import clock
from agent.health import Raised, Tracker, write_health
from agent.health.files import folder_of
from agent.model import Instant, Trust
from agent.passes import CODE_BYTES, Pass
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from agent.storage.keep import day
from tests.unit.config.samples import RIGHT

CAMERAS = (("cam01", "주차장 입구"), ("cam02", "놀이터 정문"), ("cam03", "해변 산책로"))
ROOT = Path(__file__).parents[1]


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as made:
        made.bind((host, 0))
        return made.getsockname()[1]


def boot_ms() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)


def said(process: str, *raised: Raised, **more: Any) -> dict[str, Any]:
    """Return a health file that says that conditions have held for a while."""
    now_ms = time.time_ns() // 1_000_000
    tracker = Tracker()
    tracker.update(raised, Instant(now_ms - 900_000, Trust.SYNCED), 0.0)
    tracker.update(raised, Instant(now_ms, Trust.SYNCED), 1e6)
    return {
        "process": process, "version": "0.1.0", "pid": 77, "at_ms": now_ms, "boot_ms": boot_ms(), "trust": "SYNCED",
        "conditions": tracker.to_json(), **more,
    }  # fmt: skip


VITALS = {
    "cpu_percent": 34, "memory_percent": 41, "swap_percent": 0, "load_hundredths": [71, 60, 58], "uptime_s": 1_273_000,
    "hottest": {"sensor": "coretemp", "celsius": 61, "limit_celsius": 95}, "throttles": 0, "is_slowed": False,
    "low_voltage": False, "on_battery": False, "battery_percent": 100,
}  # fmt: skip
VAULT = {
    "uuid": "0f3c", "path": "/var/lib/pasu/vault", "total_bytes": 4_000_000_000_000, "free_bytes": 620_000_000_000,
    "free_files": None, "reserve_bytes": 1, "bytes_per_day": 98_000_000_000, "forecast_tenths_of_days": 384,
    "forecast_week_tenths_of_days": None,
}  # fmt: skip
DISK = {
    "device": "sda", "model": "WD40PURZ-85TTDY0", "serial": "WD-WCC7K4", "bytes": 4_000_000_000_000, "celsius": 38,
    "hours": 11_200, "passed": True, "reallocated": 0, "pending": 0, "uncorrectable": 0, "worn_percent": None,
    "unavailable": "", "places": ["/var/lib/pasu/vault"],
}  # fmt: skip
UPLINK = {
    "connected": True,
    "protocol": 5,
    "reason": "",
    "trouble": "",
    "backlog": 0,
    "certificate_days": 312,
}
TUNNEL = {"up": True, "handshake_s": 41, "lacks": []}


def recording(**more: Any) -> dict[str, Any]:
    return {
        "state": "recording", "codec": "h264", "width": 1920, "height": 1080, "fps": 15.0, "kbit_s": 4096,
        "segments": 12, "gaps": 0, **more,
    }  # fmt: skip


def slots(now_ms: int, *holes: tuple[int, int, str]) -> dict[str, Any]:
    """Return a camera's last day: full, but for holes (from which slot, how many, which letter)."""
    drawn = list("9" * day.SLOTS)
    for at, many, letter in holes:
        drawn[at : at + many] = letter * many
    return {"begin_ms": day.begin_of(now_ms), "at_ms": now_ms, "slots": "".join(drawn)}


@dataclass
class Site:
    """A box."""

    root: Path
    config: Config

    @property
    def run(self) -> Path:
        return self.config.storage.run

    @property
    def folder(self) -> Path:
        return self.config.page.folder

    def write(self, process: str, *raised: Raised, **more: Any) -> None:
        (self.run / "uplink").mkdir(exist_ok=True)
        write_health(self.run, process, said(process, *raised, **more))

    def falls_silent(self, *processes: str) -> None:
        """Leave what they said as it is, said long ago."""
        for process in processes:
            file = folder_of(self.run, process) / f"{process}.json"
            write_health(self.run, process, {**json.loads(file.read_text(encoding="utf-8")), "boot_ms": 0})

    def is_well(self, *raised: Raised) -> None:
        """Write what all processes of a box say that is well, but for conditions of keep."""
        now_ms = time.time_ns() // 1_000_000
        days = {
            "cam01": slots(now_ms),
            "cam02": slots(now_ms, (40, 6, "0"), (46, 1, "4"), (200, 2, "0")),
            "cam03": slots(now_ms, (0, 96, "-"), (150, 1, "7")),
        }
        self.write("record", cameras={name: recording() for name, _ in CAMERAS})
        self.write(
            "keep", *raised, vaults=[VAULT], vitals=VITALS, disks=[DISK], day={"slot_s": 300, "cameras": days}
        )
        self.write("uplink", **UPLINK)
        self.write("tunnel", **TUNNEL)

    def issue(self, name: str = "김정비", company: str = "한빛보안", hours: int = 4) -> tuple[Pass, str]:
        state = self.config.storage.state
        return issuing.issue(
            state, self.folder, Disk(), at=SystemClock(state).now(), times=clock(),
            chance=os.urandom(CODE_BYTES + 4), name=name, company=company, hours=hours, by="officer",
        )  # fmt: skip


def site(root: Path, *, host: str = "127.0.0.1", metrics: bool = False) -> Site:
    """Make a box with its folders, and a catalogue."""
    text = RIGHT.replace("/var/lib/pasu", str(root)).replace(
        "[[camera]]", f'run = "{root}/run"\n\n[[camera]]', 1
    )
    for number, (name, called) in enumerate(CAMERAS[1:], 12):
        text += f"""
[[camera]]
id = "{name}"
name = "{called}"
url = "rtsp://10.0.0.{number}/main"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""
    text += f"""
[uplink]
broker = "mqtts://10.77.0.1:8883"
[tunnel]
interface = "lo"
[page]
listen = "{host}"
port = {free_port(host)}
folder = "{root}/page"
"""
    if metrics:
        text += f'metrics = "{host}"\nmetrics_port = {free_port(host)}\n'
    (root / "agent.toml").write_text(text, encoding="utf-8")
    for name in ("run", "state", "vault"):
        (root / name).mkdir()
    config = load(root / "agent.toml")
    Catalogue.prepare(config.storage.state).close()
    return Site(root, config)


@contextlib.contextmanager
def serving(box: Site, **more: Any):
    """Run `pasu page` in a process of its own, and end it."""
    log = (box.root / "page.log").open("wb")
    command = [sys.executable, "-P", "-m", "agent.cli.main", "page", "--config", box.config.file]
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, **more)
    try:
        ports = [(each, box.config.page.port) for each in box.config.page.listen]
        if box.config.page.metrics:
            ports.append((box.config.page.metrics, box.config.page.metrics_port))
        for place in ports:
            wait_for(lambda place=place: process.poll() is not None or _answers(place))
        assert process.poll() is None, (box.root / "page.log").read_text()
        yield process
        assert process.poll() is None, (box.root / "page.log").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        log.close()


def _answers(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, 1).close()
    except OSError:
        return False
    return True


def wait_for(true: Any, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def cookie(self) -> str:
        return self.headers.get("set-cookie", "").partition(";")[0]


def ask(
    box: Site,
    method: str = "GET",
    path: str = "/",
    body: str | None = None,
    source: str | None = None,
    **headers: str,
) -> Answer:
    """Make one request, as a browser would whose user has clicked the warning away."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.load_verify_locations(box.folder / "own" / "cert.pem")  # the one that the page made
    page = box.config.page
    made = http.client.HTTPSConnection(
        page.listen[0], page.port, timeout=30, context=trust, source_address=(source, 0) if source else None
    )
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
    with contextlib.closing(made):
        made.request(method, path, body, sent)
        got = made.getresponse()
        return Answer(
            got.status, {name.lower(): value for name, value in got.getheaders()}, got.read().decode()
        )


def enter(box: Site, code: str, **more: str) -> Answer:
    return ask(box, "POST", "/enter", f"code={code}", **more)


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")
