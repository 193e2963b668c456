"""A city founded by the real commands, its mosquitto as they configure it, and boxes that were really enrolled."""

from __future__ import annotations

import json
import os
import queue
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.centre import broker_files, founding, registry, rings
from agent.command import jws, order
from agent.command.keyring import Role, kid_of
from agent.config import load
from agent.enrolment import box as enrolled
from agent.enrolment import form
from agent.model import canonical_json
from agent.storage.files import Disk
from agent.storage.proof import leaf, merkle, note, signing
from agent.uplink import payloads
from agent.uplink.seal import Seal
from tests.broker import free_port
from tests.peer import need
from tests.unit.config.samples import RIGHT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PATIENCE_S = 60.0


def no_passphrase(path: Path) -> bytes:
    raise AssertionError(f"nobody locked {path}")


def wait_until(true: Callable[[], Any], what: str = "", within_s: float = PATIENCE_S) -> Any:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        found = true()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never: {what or true}")


def configured(folder: Path, box: str = "gn-0007") -> Any:
    """Return the configuration of a box whose directories are below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state").mkdir(exist_ok=True)
    text = RIGHT.replace("gn-0007", box)
    for name in ("vault", "state"):
        text = text.replace(f"/var/lib/pasu/{name}", str(folder / name))
    (folder / "agent.toml").write_text(text, encoding="utf-8")
    return load(folder / "agent.toml")


class Town:
    """A city in a folder, with its broker."""

    def __init__(self, folder: Path, port: int = 0, host: str = "127.0.0.1") -> None:
        """Found it.

        port  of a broker which has one listener for everybody
        host  where boxes reach the broker; the centre is beside it
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.host = host
        self.port, self.inside = port or free_port(), port or free_port()
        plan = founding.Plan(
            "gangneung", "강릉시", f"{host}:{self.port}", f"127.0.0.1:{self.inside}", ("localhost",)
        )
        self.city = founding.found(folder / "city", plan, datetime.now(UTC), None)
        self.broker_folder = self.city.at("broker", "mosquitto")
        self._process: subprocess.Popen[bytes] | None = None
        self.boxes: dict[str, Path] = {}

    def root_key(self) -> Ed25519PrivateKey:
        from agent.centre.city import read_signing_key

        return read_signing_key(self.city.at("root", "root.pem"), self.city.root.kid, no_passphrase)

    def hire(self, role: Role, holder: str, **more: Any) -> rings.Signer:
        """Give somebody a key; return who signs."""
        _, kid = rings.add_key(
            self.city,
            self.root_key(),
            rings.Grant(role, holder, **more),
            time.time_ns() // 1_000_000,
        )
        return self.signer(kid)

    def signer(self, who: str) -> rings.Signer:
        ring = rings.newest(self.city)
        key = rings.find(ring, who, None, time.time_ns() // 1_000_000)
        return rings.signer(self.city, key, no_passphrase)

    def service(self) -> rings.Signer:
        return self.signer(rings.SERVICE)

    def enrol(self, box: str, **more: Any) -> Path:
        """Enrol a box; return its state directory."""
        folder = self.folder / "boxes" / box
        config = configured(folder, box)
        asked = enrolled.request(config, Disk(), time.time_ns() // 1_000_000)
        text = registry.enrol(self.city, asked, 90, datetime.now(UTC), no_passphrase, **more)
        enrolled.accept(config, form.read_bundle(text.encode()), Disk())
        self.boxes[box] = folder / "state"
        return folder / "state"

    def start(self) -> None:
        """Start the broker, configured as the city's command does it."""
        broker_files.write(self.city, "mosquitto", self.broker_folder, str(self.broker_folder))
        self.restart()

    def restart(self) -> None:
        """Stop the broker, where it runs, and start it with the files that are there."""
        self.stop()
        file = self.broker_folder / "mosquitto.conf"
        text = file.read_text()
        if (
            os.geteuid() == 0 and "user root\n" not in text
        ):  # else it would become a user that may not read the key
            file.write_text("user root\n" + text)
        self._run()

    def _run(self) -> None:
        """Start it with the files that are there."""
        program, file = need("mosquitto"), self.broker_folder / "mosquitto.conf"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", str(file)], stdout=log, stderr=log)
        wait_until(self._answers, "the broker answers")

    def _answers(self) -> bool:
        import socket

        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "mosquitto.log").read_text()
        try:
            for port in (self.port, self.inside):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def reload(self) -> None:
        """Have the broker read its lists anew."""
        import signal

        broker_files.write(self.city, "mosquitto", self.broker_folder, str(self.broker_folder))
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self, *, forget: bool = False) -> None:
        """Kill -9 the broker; `forget` takes its store too."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if forget:
            for path in (self.broker_folder / "store").iterdir():
                path.unlink()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def connect(
        self,
        user: str,
        *,
        port: int | None = None,
        client_id: str | None = None,
        topics: tuple[str, ...] = (),
        expect: bool = True,
        version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    ) -> Client:
        """Connect with the certificate of a box, or of "centre"."""
        if user == "centre":
            certificate, key = self.city.at("client", "centre.pem"), self.city.at("client", "centre.key")
        else:
            uplink = self.boxes[user] / "uplink"
            certificate, key = uplink / "box.pem", uplink / "box.key"
        context = ssl.create_default_context(cafile=str(self.city.at("ca", "ca.pem")))
        context.load_cert_chain(certificate, key)
        where = port or (self.inside if user == "centre" else self.port)
        return Client(context, where, client_id or user, topics, expect=expect, version=version)


class Client:
    """A plain paho client: what it hears is in `heard`; gone_s: when its connection ended, on the monotonic clock."""

    def __init__(self, context, port, client_id, topics, *, expect, version) -> None:
        self.heard: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.connected, self.gone = threading.Event(), threading.Event()
        self.granted: list[bool] = []
        self.reason = ""
        self.gone_s = 0.0
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False
        )
        self.client.tls_set_context(context)
        self.client.on_connect = self._connect
        self.client.on_disconnect = self._disconnect
        self.client.on_message = lambda _c, _d, message: self.heard.put(message)
        self.client.on_subscribe = lambda _c, _d, _m, reasons, _p: self.granted.extend(
            not reason.is_failure for reason in reasons
        )
        self._topics = topics
        try:
            self.client.connect("127.0.0.1", port)
        except OSError as error:
            self.reason = str(error)
            self._disconnect()
            if expect:
                raise
            return
        self.client.loop_start()
        if expect:
            assert self.connected.wait(PATIENCE_S), self.reason
            wait_until(lambda: len(self.granted) == len(topics), "subscribed")

    def _connect(self, client, _data, _flags, reason, _properties) -> None:
        self.reason = str(reason)
        if not reason.is_failure:
            for topic in self._topics:
                client.subscribe(topic, 1)
            self.connected.set()

    def _disconnect(self, *_: object) -> None:
        self.gone_s = time.monotonic()
        self.gone.set()

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, **more: Any) -> bool:
        """Publish, and wait until it is sent; the broker may throw it away all the same."""
        info = self.client.publish(topic, payload, qos=qos, **more)
        info.wait_for_publish(PATIENCE_S)
        return info.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class FakeBox:
    """A box's end of the wire: a ledger in memory, signed by the box's own key, and answers to commands."""

    def __init__(self, town: Town, box: str, ledger: str = "00112233445566aa") -> None:
        self.town, self.box, self.ledger = town, box, ledger
        self.key = signing.load_or_create(town.boxes[box], box, Disk())
        self.entries: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        self.counters: dict[str, int] = {}
        self.answer = True
        self.resends = False
        self.client: Client | None = None
        self.session, self.connections, self.said = 1, 0, 0

    def connect(self) -> None:
        self.connections += 1
        self.client = self.town.connect(self.box, topics=(f"pasu/v1/{self.box}/command",))
        self.client.client.on_message = self._command
        self.send_state()

    def close(self) -> None:
        if self.client:
            self.client.close()

    def write(self, count: int, kind: str = "segment.committed", **body: Any) -> None:
        """Append entries to the ledger."""
        for _ in range(count):
            seq = len(self.entries) + 1
            self.entries.append(
                {
                    "seq": seq,
                    "at_ms": 1_800_000_000_000 + seq,
                    "trust": "SYNCED",
                    "kind": kind,
                    "body": body or {"camera": "cam01", "n": seq},
                }
            )

    def send_facts(self, first: int = 1, last: int | None = None, size: int = 100) -> None:
        end = len(self.entries) if last is None else last
        for begin in range(first, end + 1, size):
            batch = self.entries[begin - 1 : min(begin - 1 + size, end)]
            self.say("facts", ledger=self.ledger, session="s", first=begin, entries=batch)

    def note(self, size: int | None = None, ledger: str | None = None) -> str:
        wanted = self.entries[: len(self.entries) if size is None else size]
        root = merkle.root_of([leaf.object_hash(entry) for entry in wanted])
        head = note.Head(f"pasu/v1/{self.box}/{ledger or self.ledger}", len(wanted), root)
        return self.key.sign(note.write_head(head))

    def send_checkpoint(self, size: int | None = None, at_ms: int = 1) -> None:
        self.say("checkpoint", ledger=self.ledger, note=self.note(size), at_ms=at_ms, retain=True)

    def place(self) -> dict[str, Any]:
        """Return what puts a report in its place: it is the newest of all."""
        self.said += 1
        return {"session": f"{self.session:012x}", "n": self.said, "connection": self.connections, "at_ms": 1}

    def send_state(self, **more: Any) -> None:
        self.say("state", retain=True, **self.place() | {"online": True} | more)

    def send_birth(self, **more: Any) -> None:
        self.say("birth", retain=True, **self.place() | {"versions": {"pasu": "0.1.0"}} | more)

    def send_health(self, **more: Any) -> None:
        body = (
            self.place()
            | {
                "trust": "SYNCED",
                "challenge": "ab" * 16,
                "cameras": [[4, 150, 2000], [5, 0, 0]],
                "conditions": [],
                "vaults": [[120, 304]],
                "box_vitals": [10, 30, 45, 20],
                "backlog": 0,
                "seq": len(self.entries),
            }
            | more
        )
        self.say("health", retain=True, **body)

    def say(self, part: str, *, retain: bool = False, **body: Any) -> None:
        assert self.client is not None
        qos = 0 if part == "health" else 1
        data = self.written(part, {"v": 1, "box": self.box, **body})
        assert self.client.publish(f"pasu/v1/{self.box}/{part}", data, qos=qos, retain=retain)

    def written(self, part: str, body: dict[str, Any]) -> bytes:
        """Return a message as the box sends it: signed, where its kind is."""
        text = payloads.dump(body)
        if part not in payloads.SIGNED:
            return payloads.pack(text)
        key = self.town.boxes[self.box] / "uplink" / "box.key"
        return Seal(key.read_bytes()).put(f"pasu/v1/{self.box}/{part}", text.encode())

    def _command(self, _client, _data, message) -> None:
        text = message.payload.decode()
        header, body = jws.peek(text)
        ring = rings.newest(self.town.city)
        key = ring.find(header["kid"])
        jws.verify(text, key.public_key, order.TYP)
        letter = order.read(header, body)
        assert letter.box == self.box
        assert letter.counter > self.counters.get(letter.kid, 0)
        self.counters[letter.kid] = letter.counter
        self.orders.append(body)
        if self.resends and letter.command == "facts.resend":
            batch = self.entries[letter.arguments["from_seq"] - 1 :]
            facts = {
                "v": 1,
                "box": self.box,
                "ledger": self.ledger,
                "session": "s",
                "first": 1,
                "entries": batch,
            }
            self.client.client.publish(
                f"pasu/v1/{self.box}/facts", payloads.pack(payloads.dump(facts)), qos=1
            )
        if self.answer:
            reply = {
                "v": 1,
                "box": self.box,
                "id": letter.id,
                "command": letter.command,
                "status": "done",
                "code": "",
                "at_ms": 1,
                "trust": "SYNCED",
                "detail": {},
            }
            self.client.client.publish(f"pasu/v1/{self.box}/reply", self.written("reply", reply), qos=1)

    def ordered(self, command: str) -> list[dict[str, Any]]:
        return [body for body in self.orders if body["command"] == command]


def public_kid(key: Ed25519PrivateKey) -> str:
    return kid_of(key.public_key().public_bytes_raw())


def edited(entry: dict[str, Any], **more: Any) -> dict[str, Any]:
    return json.loads(canonical_json(entry)) | more
