"""A cluster of RabbitMQ nodes on this machine, configured as `pasu centre broker rabbitmq` writes it, behind one address.

Nothing of the system's own RabbitMQ is touched: names, ports, cookie, data and the port mapper are this test's. Each
node gets the written files with a port of its own; a forwarder stands for the address that a cluster has.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.broker import free_port
from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPTS = "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"
START_S = 120.0


class Forwarder:
    """One address before several: a connection goes to the first port that takes it, in turn."""

    def __init__(self, ports: Sequence[int] = ()) -> None:
        self.ports = list(ports)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._turn = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._others: dict[socket.socket, socket.socket] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)
        for each in (*self._others, self._listening):
            each.close()
        self._selector.close()

    def cut(self) -> None:
        """Break every connection."""
        for each in [*self._others]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.1):
                if key.fileobj is self._listening:
                    self._accept()
                else:
                    self._pass(key.fileobj)

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        for _ in self.ports:
            self._turn += 1
            with contextlib.suppress(OSError):
                far = socket.create_connection(("127.0.0.1", self.ports[self._turn % len(self.ports)]), 1)
                far.settimeout(30)
                near.settimeout(30)
                for one, other in ((near, far), (far, near)):
                    self._others[one] = other
                    self._selector.register(one, selectors.EVENT_READ)
                return
        near.close()

    def _pass(self, source: socket.socket) -> None:
        if source not in self._others:
            return
        try:
            data = source.recv(1 << 16)
            self._others[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (source, self._others.pop(source)):
                self._others.pop(each, None)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(each)
                each.close()


class Node:
    """One node of a cluster."""

    def __init__(self, cluster: Rabbits, number: int) -> None:
        self.cluster = cluster
        self.name = f"pasu{number}-{cluster.mark}@localhost"
        self.folder = cluster.folder / f"node{number}"
        self.folder.mkdir(parents=True)
        self.port, self.own_port, self.peer_port = free_port(), free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.cluster.folder),
            "ERL_EPMD_PORT": str(self.cluster.mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_PORT": str(self.own_port),
            "RABBITMQ_DIST_PORT": str(self.peer_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            # Two cores for all: schedulers that spin would take them from each other.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def configure(self, written: Path) -> None:
        """Take the files that the city's command wrote, with a port of our own."""
        text = (written / "rabbitmq.conf").read_text()
        text, count = re.subn(r"(mqtt\.listeners\.ssl\.default = ).*", rf"\g<1>{self.port}", text)
        assert count == 1
        (self.folder / "rabbitmq.conf").write_text(text)
        shutil.copy(written / "enabled_plugins", self.folder / "enabled_plugins")

    def start(self) -> None:
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.cluster.scripts / "rabbitmq-server")],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.name} does not start: {self.log()}")

    def kill(self) -> None:
        """Take it away as a power cut does: its whole session, shell and virtual machine."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)

    def log(self) -> str:
        return (self.folder / "node.log").read_text(errors="replace")[-6000:]


class Rabbits:
    """A cluster. The files that the city wrote are given to `start`."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        need("rabbitmq-server")
        self.scripts = max(Path("/").glob(SCRIPTS.lstrip("/")))
        self.folder = folder
        folder.mkdir(parents=True)
        # Short, since the names of nodes on one machine must differ from any other's.
        self.mark = secrets.token_hex(3)
        self.mapper_port = free_port()
        cookie = folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16).upper())
        cookie.chmod(0o400)
        self.nodes = [Node(self, number) for number in range(1, count + 1)]
        self.address = Forwarder([node.port for node in self.nodes])
        self._mapper = subprocess.Popen(
            ["epmd", "-port", str(self.mapper_port), "-address", "127.0.0.1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def names(self) -> list[str]:
        return [node.name for node in self.nodes]

    def start(self, written: Path) -> None:
        # One after the other: nodes whose MQTT plug-ins begin at one moment may each take themselves for the first.
        for node in self.nodes:
            node.configure(written)
            node.start()
            node.wait()
        until = time.monotonic() + START_S
        while len(self.members()) < len(self.nodes):
            assert time.monotonic() < until, self.ask("cluster_status")
            time.sleep(0.5)

    def ask(self, *arguments: str) -> str:
        """Ask the first node that lives."""
        node = next(each for each in self.nodes if each.process and each.process.poll() is None)
        done = subprocess.run(
            [str(self.scripts / "rabbitmqctl"), "-n", node.name, "--timeout", "60", *arguments],
            env=node.environment,
            cwd=node.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout + done.stderr

    def members(self) -> set[str]:
        """Return which nodes run together, as one of them sees it."""
        said = self.ask("eval", "rabbit_nodes:all_running().")
        return {name for name in self.names if name in said}

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
        self._mapper.kill()
        self._mapper.wait(30)
        self.address.close()
