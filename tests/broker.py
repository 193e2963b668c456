"""A real mosquitto for tests, with mutual TLS of a city that exists for one test, and a listener at the centre's end."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = dt.timedelta(days=1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Authority:
    """A city's CA: writes `<name>.pem` and `<name>.key` for whoever is named."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "city for tests")])
        self._certificate = self._build(self._name, self._key.public_key(), authority=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        days: tuple[int, int] = (-1, 90),
        file: str = "",
        names: tuple[str, ...] = ("localhost",),
    ) -> tuple[Path, Path]:
        """Return certificate and key for a name. `days`: from when to when it is valid, from now; `names`: of a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._build(subject, key.public_key(), days=days, names=names)
        certificate, secret = (self.folder / f"{file or name}.{ending}" for ending in ("pem", "key"))
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        secret.chmod(0o600)
        return certificate, secret

    def install(self, state: Path, box: str, **more: Any) -> None:
        """Put into a state directory what a box has after it was enrolled."""
        uplink = state / "uplink"
        uplink.mkdir(parents=True, exist_ok=True)
        certificate, secret = self.issue(box, **more)
        for source, name in ((self.file, "ca.pem"), (certificate, "box.pem"), (secret, "box.key")):
            (uplink / f"{name}.new").write_bytes(source.read_bytes())
            (uplink / f"{name}.new").rename(uplink / name)

    def _build(self, subject, public, *, authority=False, days=(-1, 90), names=()) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            found: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
            if "localhost" in names:
                found.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
        return builder.sign(self._key, hashes.SHA256())


class Mosquitto:
    """A mosquitto on a loopback port. Who connects needs a certificate of the city; its name is the user."""

    def __init__(
        self,
        folder: Path,
        authority: Authority | None = None,
        *,
        acl: str | None = None,
        more: str = "",
        persistence: bool = True,
        port: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.authority = authority or Authority(folder / "city")
        self.port = port or free_port()
        self.url = f"mqtts://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        certificate, key = self.authority.issue("127.0.0.1", file="broker")
        self._store = folder / "store"
        self._store.mkdir(exist_ok=True)
        lines = [
            "per_listener_settings false",
            f"listener {self.port} 127.0.0.1",
            f"cafile {self.authority.file}",
            f"certfile {certificate}",
            f"keyfile {key}",
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "max_queued_messages 0",
            f"user {os.environ.get('USER', 'root')}",
        ]
        if persistence:
            # Rarely by itself: tests kill it, and what it had not written is lost (E11).
            lines += ["persistence true", f"persistence_location {self._store}/", "autosave_interval 1"]
        if acl is not None:
            (folder / "acl").write_text(acl)
            (folder / "acl").chmod(0o600)
            lines.append(f"acl_file {folder / 'acl'}")
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text("\n".join([*lines, more]) + "\n")
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        program = need("mosquitto")
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", self._configuration], stdin=subprocess.DEVNULL, stderr=log, stdout=log
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"mosquitto does not start: {self.log()}")

    def kill(self) -> None:
        """Take it away as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self, *, lose_store: bool = False) -> None:
        """Kill it and start it again; without what it had stored, if so wished."""
        self.kill()
        if lose_store:
            for file in self._store.iterdir():
                file.unlink()
        self.start()

    def log(self) -> str:
        return (self.folder / "broker.log").read_text(errors="replace")[-4000:]


class Listener:
    """A client at the centre's end, with a thread of its own: keeps every message it is sent, in order."""

    def __init__(self, broker: Mosquitto, *topics: str, name: str = "centre") -> None:
        self.broker = broker
        self.messages: list[tuple[str, bytes, bool]] = []
        self.is_up = threading.Event()
        self._lock = threading.Lock()
        self._topics = topics or ("pasu/v1/#",)
        certificate, key = broker.authority.issue(name)
        context = ssl.create_default_context(cafile=str(broker.authority.file))
        context.load_cert_chain(certificate, key)
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, name, clean_session=False, protocol=mqtt.MQTTv311
        )
        self.client.tls_set_context(context)
        self.client.reconnect_delay_set(1, 1)
        self.client.max_inflight_messages_set(0)
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self.is_up.set()
        self.client.on_disconnect = lambda *_: self.is_up.clear()
        self.client.on_message = self._heard
        self.client.connect("127.0.0.1", broker.port, 30)
        self.client.loop_start()
        assert self.is_up.wait(60)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return what was said of one kind, read."""
        from agent.uplink.payloads import parse_topic, read

        with self._lock:
            messages = [*self.messages]
        return [read(data) for topic, data, _ in messages if (parse_topic(topic) or ("", ""))[1] == kind]

    def wait(self, what: str, state: Callable[[], object], timeout_s: float = 60.0) -> None:
        until = time.monotonic() + timeout_s
        while not state():
            assert time.monotonic() < until, f"waited in vain for {what}"
            time.sleep(0.02)

    def publish(self, topic: str, payload: bytes | str, **more: Any) -> None:
        self.client.publish(topic, payload, **more).wait_for_publish(60)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, client, *_) -> None:
        client.subscribe([(topic, 1) for topic in self._topics])

    def _heard(self, _client, _data, message) -> None:
        with self._lock:
            self.messages.append((message.topic, message.payload, message.retain))
