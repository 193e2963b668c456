"""A broker at a site as it is found there: no TLS, perhaps with a log-in; and a bell that speaks to it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker import free_port
from tests.peer import need

if TYPE_CHECKING:
    from pathlib import Path

USER, PASSWORD = "pasu", "bell-log-in-3f9c"


class SiteBroker:
    """A mosquitto on a loopback port."""

    def __init__(self, folder: Path, *, login: bool = False, more: str = "", port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.login = login
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if login else 'true'}",
            "max_queued_messages 0",
            "log_dest stderr",
            f"user {os.environ.get('USER', 'root')}",
        ]
        if login:
            need("mosquitto_passwd")
            subprocess.run(
                ["mosquitto_passwd", "-b", "-c", folder / "users", USER, PASSWORD], check=True, timeout=60
            )
            lines.append(f"password_file {folder / 'users'}")
        self._configuration = folder / "site.conf"
        self._configuration.write_text("\n".join([*lines, more]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with (self.folder / "site.log").open("ab") as log:
            self._process = subprocess.Popen(
                [need("mosquitto"), "-v", "-c", self._configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError(self.log())

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def log(self) -> str:
        return (self.folder / "site.log").read_text(errors="replace")

    def topic(self, name: str) -> str:
        return f"mqtt://127.0.0.1:{self.port}/{name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Bell:
    """Publishes at a site's broker."""

    def __init__(self, broker: SiteBroker) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        if broker.login:
            self._client.username_pw_set(USER, PASSWORD)
        self._client.max_inflight_messages_set(1000)
        self._client.connect("127.0.0.1", broker.port, 60)
        self._client.loop_start()

    def ring(self, topic: str, payload: bytes | str = "on", *, times: int = 1, retain: bool = False) -> None:
        for _ in range(times):
            last = self._client.publish(topic, payload, qos=1, retain=retain)
        last.wait_for_publish(120)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
