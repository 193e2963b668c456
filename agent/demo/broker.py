"""The demo's broker: Debian's mosquitto, configured as `pasu centre broker mosquitto` does it; else one in Python."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING

from agent.centre import broker_files
from agent.demo.child import Child
from agent.errors import UplinkFault
from agent.language import say

if TYPE_CHECKING:
    from pathlib import Path

    from agent.centre.city import City

START_S = 30.0
HOST = "127.0.0.1"
_PLACES = "/usr/sbin:/usr/local/sbin"  # where Debian keeps it, which is not in everybody's PATH


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in found]


def mosquitto() -> str | None:
    """Return the path of mosquitto, None where there is none."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:{_PLACES}")


class Broker:
    """A city's broker, on the loopback interface alone."""

    def __init__(self, city: City, program: str | None, log: Path) -> None:
        """Write its configuration.

        program  mosquitto's path; None takes the one in Python
        Raises   UplinkFault DEMO_BROKER_MISSING when that is not installed either
        """
        self._city = city
        folder = city.at("broker", "mosquitto")
        broker_files.write(city, "mosquitto", folder, str(folder))
        self.name = "mosquitto"
        if program is not None:
            command = [program, "-c", str(_for_this_computer(folder / "mosquitto.conf", city))]
        elif importlib.util.find_spec("amqtt") is not None:
            self.name = "amqtt"
            ports = [address.rpartition(":")[2] for address in (city.broker, city.inside)]
            command = [sys.executable, "-P", "-m", "agent.demo.small_broker", str(folder), *ports]
        else:
            raise UplinkFault(
                "DEMO_BROKER_MISSING",
                say("MQTT 브로커가 없습니다", "there is no MQTT broker"),
                hint=say(
                    "mosquitto를 설치하거나(apt-get install mosquitto), 파이썬으로 된 것을 쓰십시오: "
                    "pip install 'pasu-agent[demo]'",
                    "install mosquitto (apt-get install mosquitto), or the one in Python: "
                    "pip install 'pasu-agent[demo]'",
                ),
            )
        self._child = Child(command, log)

    def start(self) -> bool:
        """Start it, and wait until it answers; false when it does not, because somebody took a port meanwhile."""
        self._child.start()
        up = False
        try:
            until = time.monotonic() + START_S
            while not up and time.monotonic() < until and not self._child.has_ended:
                time.sleep(0.05)
                up = self._answers()
        finally:
            if not up:
                self.stop()
        return up

    @property
    def last_words(self) -> str:
        """Return the end of its log."""
        return self._child.last_words

    def stop(self) -> None:
        """End it."""
        self._child.stop()

    def _answers(self) -> bool:
        """Tell whether this city's broker answers on both ports: another's has another certificate."""
        context = ssl.create_default_context(cafile=str(self._city.at("ca", "ca.pem")))
        context.load_cert_chain(self._city.at("client", "centre.pem"), self._city.at("client", "centre.key"))
        try:
            for address in (self._city.broker, self._city.inside):
                port = int(address.rpartition(":")[2])
                with socket.create_connection((HOST, port), 1) as plain:
                    context.wrap_socket(plain, server_hostname=HOST).close()
        except OSError:
            return False
        return True


def _for_this_computer(file: Path, city: City) -> Path:
    """Let mosquitto be heard on this computer alone, and read its key where root started it; return the file."""
    port = city.broker.rpartition(":")[2]
    text = file.read_text(encoding="utf-8").replace(f"listener {port}\n", f"listener {port} {HOST}\n")
    if os.geteuid() == 0:  # else it becomes a user that may not read this folder
        text = "user root\n" + text
    changed = file.with_name("demo.conf")
    changed.write_text(text, encoding="utf-8")
    return changed
