"""What the benches of the wire share: a city founded by the real code, its mosquitto, and a box with 16 cameras."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from agent.centre import authority, broker_files, founding, registry
from agent.config import load
from agent.enrolment import form
from agent.model import utc_day, utc_name
from agent.storage.proof.signing import BoxKey
from tests.broker import free_port
from tests.peer import need

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from agent.centre.city import City
    from agent.config import Config

CAMERAS = 16
DAY_S = 86_400
DAY_MS = 1000 * DAY_S
SEGMENT_MS = 60_000
CITY = "seoul"
RECIPIENT = "age1mxdx3dknvr6lmqtwdshxw650ye3c7wcqlnehytsg4q6za5rk4eaq9k23xx"


def refuse(path: Path) -> bytes:
    raise AssertionError(f"nobody locked {path}")


def raise_descriptors(wanted: int) -> None:
    """Let this process, and those it starts, have so many open files. Raises OSError where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))


def found(folder: Path, host: str = "127.0.0.1", *more: str) -> City:
    """Found a city whose broker is at an address of this machine, and at more of them."""
    addresses = f"{host}:{free_port()}", f"127.0.0.1:{free_port()}"
    plan = founding.Plan(CITY, "서울특별시", *addresses, ("localhost", *more))
    return founding.found(folder, plan, datetime.now(UTC), None)


def enrol(city: City, box: str, into: Path) -> BoxKey:
    """Enrol a box; write what its uplink needs into a folder, and return the key that signs its checkpoints."""
    own, tls = BoxKey(box, Ed25519PrivateKey.generate()), authority.new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, box)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(name).sign(tls, hashes.SHA256())
    now_ms = time.time_ns() // 1_000_000
    request = form.Request(
        box, "강남구 역삼동", "강남구 도시관제과", asked.public_bytes(Encoding.DER), str(own.verifier), now_ms
    )
    text = registry.enrol(city, form.signed(request, own.sign), 90, datetime.now(UTC), refuse)
    bundle = form.read_bundle(text.encode())
    into.mkdir(parents=True, exist_ok=True)
    (into / "ca.pem").write_text(bundle.city.ca)
    (into / "box.pem").write_text(bundle.certificate)
    (into / "box.key").write_bytes(tls.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (into / "box.key").chmod(0o600)
    return own


def configured(folder: Path, box: str, broker: str) -> Config:
    """Return the configuration of a box with 16 cameras, all of whose directories are below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    cameras = "".join(
        f"""
[[camera]]
id = "cam{number:02d}"
name = "역삼로 {number}번 교차로"
url = "rtsp://10.0.0.{number}/main"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""
        for number in range(1, CAMERAS + 1)
    )
    (folder / "agent.toml").write_text(
        f"""
[box]
id = "{box}"
site = "강남구 역삼동"
operator = "강남구 도시관제과"
contact = "02-000-0000"

[storage]
vault = "{folder / "vault"}"
state = "{folder / "state"}"
run = "{folder / "run"}"
recipients = ["{RECIPIENT}"]

[uplink]
broker = "mqtts://{broker}"
{cameras}""",
        encoding="utf-8",
    )
    return load(folder / "agent.toml")


class Broker:
    """The city's mosquitto, as `pasu centre broker` configures it, and a listener more that tells what it counts."""

    def __init__(self, city: City, folder: Path) -> None:
        self.city, self.folder = city, folder
        self.counted: dict[str, str] = {}
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        broker_files.write(city, "mosquitto", folder, str(folder))
        (folder / "sys.acl").write_text("topic read $SYS/#\n")
        (folder / "sys.acl").chmod(0o600)
        file = folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""  # else it becomes one that may not read the key
        more = f"\nsys_interval 1\nlistener {self._port} 127.0.0.1\nallow_anonymous true\nacl_file {folder}/sys.acl\n"
        file.write_text(user + file.read_text() + more)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("$SYS/broker/#")
        self._client.on_message = self._hear
        self._told = threading.Event()

    def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            command = [need("mosquitto"), "-c", str(self.folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        ports = [int(address.rpartition(":")[2]) for address in (self.city.broker, self.city.inside)]
        for host, port in ((self.city.broker.rpartition(":")[0], ports[0]), ("127.0.0.1", ports[1])):
            until = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
                    break
                assert self._process.poll() is None, (self.folder / "broker.log").read_text()[-2000:]
                assert time.monotonic() < until, "mosquitto does not answer"
                time.sleep(0.02)

    def listen(self) -> None:
        """Hear what it counts, from now on."""
        self._client.connect("127.0.0.1", self._port, 30)
        self._client.loop_start()

    def kill(self) -> None:
        """Take it away as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def count(self, name: str) -> int:
        """Return a counter of it as of now, at most two seconds old: "publish/messages/received"."""
        self._told.clear()
        self._told.wait(5.0)
        return int(self.counted.get(f"$SYS/broker/{name}", "0"))

    def _hear(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.counted[message.topic] = message.payload.decode("utf-8", "replace")
        if message.topic == "$SYS/broker/uptime":  # the first of each telling
            self._told.set()


def cpu_s(process: psutil.Process) -> float:
    """Return processor seconds that a process has taken, user and system."""
    times = process.cpu_times()
    return times.user + times.system


def committed(chance: random.Random, camera: int, at_ms: int) -> dict[str, Any]:
    """Return the body of a segment's fact, as the catalogue writes it, with chance where it is."""
    start_ms = at_ms - SEGMENT_MS - 150
    return {
        "camera": f"cam{camera:02d}",
        "run": f"{utc_name(at_ms - at_ms % DAY_MS)}-{900_000 + camera * 7919:x}",
        "path": f"segments/cam{camera:02d}/{utc_day(start_ms)}/{utc_name(start_ms)}.mp4.age",
        "start_ms": start_ms,
        "end_ms": at_ms - 150 + chance.randrange(-40, 40),
        "codec": "h264",
        "frames": 1500 + chance.randrange(-3, 4),
        "sealed_bytes": 30_000_000 + chance.randrange(-500_000, 500_000),
        "sha256": hashlib.sha256(chance.randbytes(8)).hexdigest(),
    }


def erased(chance: random.Random, camera: int, at_ms: int) -> dict[str, Any]:
    """Return the body of the tombstone of a segment of thirty days ago."""
    start_ms = at_ms - 30 * DAY_MS
    return {
        "camera": f"cam{camera:02d}",
        "path": f"segments/cam{camera:02d}/{utc_day(start_ms)}/{utc_name(start_ms)}.mp4.age",
        "start_ms": start_ms,
        "end_ms": start_ms + SEGMENT_MS + chance.randrange(-40, 40),
        "sha256": hashlib.sha256(chance.randbytes(8)).hexdigest(),
        "sealed_bytes": 30_000_000 + chance.randrange(-500_000, 500_000),
        "cause": "EXPIRED",
        "condemned_ms": at_ms - 500,
        "cycle_s": 10,
        "responsible": "강남구 도시관제과",
        "shredded": True,
    }


def record_says(chance: random.Random) -> dict[str, Any]:
    """Return what of a recorder's health file an uplink reads: 16 cameras that record."""
    return {
        "cameras": {
            f"cam{number:02d}": {
                "state": "recording",
                "fps": chance.randrange(147, 154) / 10,
                "kbit_s": chance.randrange(3700, 4300),
            }
            for number in range(1, CAMERAS + 1)
        },
        "sealing": {"recipients": [RECIPIENT]},
        "conditions": [],
    }


def keep_says(chance: random.Random) -> dict[str, Any]:
    """Return what of a keeper's health file an uplink reads."""
    return {
        "vaults": [
            {
                "total_bytes": 8 << 40,
                "free_bytes": (8 << 40) // 10,
                "forecast_tenths_of_days": chance.randrange(300, 310),
            }
        ],
        "challenge": chance.randbytes(16).hex(),
        "vitals": {
            "cpu_percent": chance.randrange(5, 25),
            "memory_percent": chance.randrange(30, 40),
            "hottest": {"celsius": chance.randrange(45, 60)},
            "load_hundredths": [chance.randrange(10, 90)],
        },
        "conditions": [],
    }
