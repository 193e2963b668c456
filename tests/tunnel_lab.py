"""A box, a line, and the centre's hub, each a network namespace; real wireguard-go, real nftables.

    box  up0 192.0.2.2 ----- lb 192.0.2.1  line  lh 198.51.100.1 ----- hu0 198.51.100.5  hub
         cam0 10.0.0.2

Whatever leaves the box by its line is counted where it arrives, frame by frame, by whom it is from and what it is.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from agent.centre import broker_files, founding, registry, tunnels
from agent.config import load
from agent.enrolment import box as enrolled
from agent.enrolment import form
from agent.health import read_health
from agent.storage.files import Disk
from agent.tunnel import keys
from tests.lab import ROOT, tree, wait_for
from tests.peer import need
from tests.town import no_passphrase
from tests.unit.config.samples import RIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GROUP = 4242
ENDPOINT, PORT = "198.51.100.5", 51820
INSIDE = "10.77.0.1"
SINK = 7000
PACKET_STATISTICS = 6
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def need_all() -> None:
    for program in ("ip", "nft", "wg", "wireguard-go"):
        need(program)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace: sockets made meanwhile stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert _libc.setns(other, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert _libc.setns(own, _CLONE_NEWNET) == 0
        os.close(own)
        os.close(other)


class Capture:
    """Counts frames from one hardware address, where they arrive."""

    def __init__(self, namespace: str, interface: str, mac: bytes) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._socket.bind((interface, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._socket.settimeout(0.2)
        self._mac = mac
        self._stop = False
        self.counts: Counter[str] = Counter()
        self.outside: list[str] = []
        self.lost = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            try:
                frame = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:  # the link went down, and comes again
                time.sleep(0.01)
                continue
            if frame[6:12] == self._mac:
                kind = classify(frame)
                self.counts[kind] += 1
                if kind not in ("arp", "wireguard"):
                    self.outside.append(f"{kind} {frame[:74].hex()}")

    def stop(self) -> Capture:
        self._stop = True
        self._thread.join(10)
        _, self.lost = struct.unpack("II", self._socket.getsockopt(263, PACKET_STATISTICS, 8))
        self._socket.close()
        return self


def classify(frame: bytes) -> str:
    """Say what a frame is: arp, wireguard to the endpoint, dns, or what else."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0806:
        return "arp"
    if kind == 0x86DD:
        if frame[20] in (
            0,
            58,
        ):  # a neighbour, a router, a group: the kernel's own, of an interface with IPv6
            return "icmpv6"
        return "dns" if frame[20] in (6, 17) and frame[56:58] == b"\0\x35" else "ipv6"
    if kind != 0x0800:
        return f"ethertype {kind:04x}"
    protocol, length = frame[23], (frame[14] & 15) * 4
    there = socket.inet_ntoa(frame[30:34])
    port = int.from_bytes(frame[14 + length + 2 : 14 + length + 4], "big")
    if protocol == 17 and there == ENDPOINT and port == PORT:
        said = frame[14 + length + 8 : 14 + length + 12]  # a type of four, and three zeros (white paper, 5.4)
        return "wireguard" if said[:1] in (b"\1", b"\2", b"\3", b"\4") and said[1:] == b"\0\0\0" else "plain"
    if protocol in (6, 17) and port == 53:
        return "dns"
    return f"ip protocol {protocol} to {there}:{port}"


UPLINK = """
import os, socket, sys, time
inside, sink, group, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.setgroups([]); os.setgid(group); os.setuid(65534)
def to(family, where, kind=socket.SOCK_DGRAM):
    try:
        s = socket.socket(family, kind); s.setblocking(False)
        if kind == socket.SOCK_DGRAM:
            s.sendto(b"leak" + seed.encode(), where)
        else:
            s.connect(where)
        s.close()
    except OSError:
        pass
stream = None
line = socket.if_nametoindex("up0")
while True:
    to(socket.AF_INET, (inside, 5000))
    to(socket.AF_INET, ("192.0.2.1", 53)); to(socket.AF_INET, ("8.8.8.8", 53)); to(socket.AF_INET, (inside, 53))
    to(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_STREAM)
    to(socket.AF_INET, ("198.51.100.5", 9)); to(socket.AF_INET, ("198.51.100.5", 51820))
    to(socket.AF_INET, ("198.51.100.5", 80), socket.SOCK_STREAM)
    to(socket.AF_INET6, ("2001:db8:1::1", 53)); to(socket.AF_INET6, ("ff02::1", 9, 0, line))
    if stream is None:
        stream = socket.socket(); stream.setblocking(False)
        try: stream.connect((inside, sink))
        except BlockingIOError: pass
        except OSError: stream.close(); stream = None
        began = time.monotonic()
    else:
        try: stream.send(b"x" * 1000)
        except BlockingIOError:
            if time.monotonic() - began > 20: stream.close(); stream = None
        except OSError: stream.close(); stream = None
        else: began = time.monotonic()
    time.sleep(0.01)
"""

SINKS = """
import selectors, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("0.0.0.0", int(sys.argv[1]))); s.listen(64)
chosen = selectors.DefaultSelector(); chosen.register(s, selectors.EVENT_READ)
print("ready", flush=True); total = 0; said = 0
while True:
    for key, _ in chosen.select():
        if key.fileobj is s:
            c, _ = s.accept(); c.setblocking(False); chosen.register(c, selectors.EVENT_READ)
            continue
        try: data = key.fileobj.recv(1 << 16)
        except BlockingIOError: continue
        except OSError: data = b""
        if not data:
            chosen.unregister(key.fileobj); key.fileobj.close()
        total += len(data)
    if total != said:
        open(sys.argv[2], "w").write(str(total)); said = total
"""


class Lab:
    """Everything, made and taken away again. `within`: a program that starts the watch."""

    within: tuple[str, ...] = ()

    def __init__(self, folder: Path, *, line: bool = True, mtu: int = 1200) -> None:
        need_all()
        self.folder = folder
        self.mark = f"{os.getpid() % 100000}{random.randrange(10)}"
        self.box, self.line, self.hub = (f"pt{self.mark}{name}" for name in ("b", "l", "h"))
        self.interface, self.hub_interface = f"pb{self.mark}", f"ph{self.mark}"
        self.has_line = line
        self.mtu = mtu
        self.processes: list[subprocess.Popen[Any]] = []
        self.watching: subprocess.Popen[bytes] | None = None
        self.uplink: subprocess.Popen[bytes] | None = None
        self.captures: list[Capture] = []
        self.starts = 0

    def __enter__(self) -> Self:
        try:
            self._wire()
            self._enrol()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.captures:
            each._stop = True
        for process in (*self.processes, self.watching, self.uplink):
            if process is not None and process.poll() is None:
                for pid in reversed(tree(process.pid)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait(10)
        for namespace, interface in ((self.box, self.interface), (self.hub, self.hub_interface)):
            self._do("ip", "-n", namespace, "link", "del", interface, check=False)
            with contextlib.suppress(OSError):
                os.unlink(f"/run/wireguard/{interface}.sock")
        for pid in self._daemons(self.interface) + self._daemons(self.hub_interface):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for namespace in (self.box, self.line, self.hub):
            self._do("ip", "netns", "del", namespace, check=False)

    # wiring

    def _do(self, *words: str, check: bool = True, given: str | None = None) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, input=given)
        assert not check or done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def at(self, namespace: str, *words: str, check: bool = True, given: str | None = None) -> str:
        return self._do("ip", "netns", "exec", namespace, *words, check=check, given=given)

    def _wire(self) -> None:
        for namespace in (self.box, self.line, self.hub):
            self._do("ip", "netns", "add", namespace)
            self._do("ip", "-n", namespace, "link", "set", "lo", "up")
        for here, there, ours, theirs in (
            (self.box, self.line, "cam0", "cam1"),
            (self.box, self.line, "up0", "lb"),
            (self.hub, self.line, "hu0", "lh"),
        ):
            self._do(
                "ip", "-n", here, "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", there
            )
        for namespace, interface, address in (
            (self.box, "cam0", "10.0.0.2/24"),
            (self.line, "cam1", "10.0.0.11/24"),
            (self.line, "lb", "192.0.2.1/24"),
            (self.line, "lb", "2001:db8:1::1/64"),
            (self.line, "lh", "198.51.100.1/24"),
            (self.hub, "hu0", f"{ENDPOINT}/24"),
        ):
            self._do("ip", "-n", namespace, "address", "add", address, "dev", interface)
            self._do("ip", "-n", namespace, "link", "set", interface, "up")
        self.at(self.line, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self._do("ip", "-n", self.hub, "route", "add", "default", "via", "198.51.100.1")
        self._do("ip", "-n", self.box, "address", "add", "192.0.2.2/24", "dev", "up0")
        shown = json.loads(self._do("ip", "-n", self.box, "-j", "link", "show", "up0"))
        self.mac = bytes.fromhex(shown[0]["address"].replace(":", ""))

    def link_up(self) -> None:
        """Plug the line in."""
        self._do("ip", "-n", self.box, "link", "set", "up0", "up")
        self._do("ip", "-n", self.box, "route", "replace", "default", "via", "192.0.2.1")

    # enrolment

    def _enrol(self) -> None:
        plan = founding.Plan("gangneung", "강릉시", f"{INSIDE}:8883", "127.0.0.1:8884")
        self.city = founding.found(self.folder / "city", plan, datetime.now(UTC), None)
        private, public = keys.new_private()
        endpoint = f"{ENDPOINT}:{PORT}"
        hub = tunnels.Hub(endpoint, "10.77.0.0/16", INSIDE, (f"{INSIDE}/32",), self.mtu, 5, public)
        tunnels.found(self.city, hub, private)
        self.hire()
        self.config_file = self.configure("box", "gn-0007", self.interface)
        self.config = load(self.config_file)
        self.bundle = self.answer(self.config)
        enrolled.accept(self.config, self.bundle, Disk())

    def hire(self) -> None:
        """Give keys to whoever is to command the box; it is enrolled afterwards, and knows them."""

    def configure(self, folder: str, box: str, interface: str) -> Path:
        place = self.folder / folder
        place.mkdir(parents=True)
        (place / "state").mkdir()
        text = RIGHT.replace("gn-0007", box)
        for name in ("vault", "state"):
            text = text.replace(f"/var/lib/pasu/{name}", str(place / name))
        text = text.replace("[storage]\n", f'[storage]\nrun = "{place / "run"}"\n', 1)
        text += f'\n[uplink]\nbroker = "mqtts://{INSIDE}:8883"\n[tunnel]\ninterface = "{interface}"\ngroup = "{GROUP}"\n'
        if self.has_line and folder == "box":
            text += 'line = "up0"\n'
        (place / "agent.toml").write_text(text, encoding="utf-8")
        return place / "agent.toml"

    def answer(self, config: Any) -> form.Bundle:
        asked = enrolled.request(config, Disk(), time.time_ns() // 1_000_000)
        text = registry.enrol(self.city, asked, 90, datetime.now(UTC), no_passphrase)
        return form.read_bundle(text.encode())

    @property
    def address(self) -> str:
        return keys.load(self.config.storage.state).hosts[0]

    # the centre

    def hub_up(self) -> None:
        """Bring the hub up from what `pasu centre tunnel write` wrote, and a sink inside."""
        self.hub_written()
        if not self._daemons(self.hub_interface):
            self.at(self.hub, "wireguard-go", self.hub_interface)
        self.hub_load()
        self._do("ip", "-n", self.hub, "address", "replace", f"{INSIDE}/16", "dev", self.hub_interface)
        self._do("ip", "-n", self.hub, "link", "set", self.hub_interface, "mtu", str(self.mtu), "up")
        self.at(self.hub, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.received = self.folder / "received"
        self.received.write_text("0")
        command = (
            "ip",
            "netns",
            "exec",
            self.hub,
            sys.executable,
            "-c",
            SINKS,
            str(SINK),
            str(self.received),
        )
        sink = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(sink)
        assert sink.stdout.readline() == "ready\n"

    def hub_written(self) -> Path:
        from agent.cli import centre_tunnel

        folder = self.city.at("tunnel", "hub")
        hub = tunnels.load(self.city)
        places = centre_tunnel.places(self.city)
        tunnels.write(self.city, hub, places, folder, at=str(folder), interface=self.hub_interface)
        return folder

    def hub_load(self) -> None:
        """Have the hub read its configuration anew."""
        folder = self.city.at("tunnel", "hub")
        stripped = self._do("wg-quick", "strip", str(folder / f"{self.hub_interface}.conf"))
        self.at(self.hub, "wg", "syncconf", self.hub_interface, "/dev/stdin", given=stripped)
        self.at(self.hub, "nft", "-f", str(folder / "hub.nft"))

    def bytes_received(self) -> int:
        return int(self.received.read_text() or 0)

    def wait_traffic(self, bound_s: float = 90.0) -> None:
        """Wait until the centre gets more than it has."""
        before = self.bytes_received()
        wait_for("traffic through the tunnel", lambda: self.bytes_received() > before, bound_s)

    # the box

    def pasu(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["ip", "netns", "exec", self.box, sys.executable, "-m", "agent.cli.main", *words]
        done = subprocess.run(
            [*command, "--config", str(self.config_file)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def boot(self) -> None:
        """What stands before the line is plugged in: rules and settings, as `pasu tunnel install` writes them."""
        root = self.folder / "root"
        self.pasu("tunnel", "install", "--root", str(root))
        self.at(self.box, "nft", "-f", str(root / "etc/pasu/egress.nft"))
        self.at(self.box, "sysctl", "-q", "-p", str(root / "etc/sysctl.d/90-pasu-tunnel.conf"))
        self.link_up()

    def watch(self) -> None:
        command = ["ip", "netns", "exec", self.box, *self.within]
        command += [sys.executable, "-m", "agent.cli.main", "tunnel", "watch"]
        with (self.folder / "watch.log").open("ab") as log:
            self.watching = subprocess.Popen(
                [*command, "--config", str(self.config_file)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
            )

    def stop_watch(self, number: int = signal.SIGTERM) -> None:
        if self.watching is not None:
            self.watching.send_signal(number)
            self.watching.wait(60)
            self.watching = None

    def camera(self) -> None:
        """Have something listen where the box's camera is, on its camera network."""
        with inside(self.line):
            self._camera = socket.create_server(("10.0.0.11", 554))

    def reach_camera(self) -> None:
        """Connect to the camera, as recording does: not of the uplink's group."""
        with inside(self.box):
            socket.create_connection(("10.0.0.11", 554), 20).close()

    def start_uplink(self) -> None:
        """Start what does all that a broken uplink might: it is of the uplink's group, and binds to nothing."""
        self.starts += 1
        command = (
            "ip",
            "netns",
            "exec",
            self.box,
            sys.executable,
            "-c",
            UPLINK,
            INSIDE,
            str(SINK),
            str(GROUP),
        )
        self.uplink = subprocess.Popen([*command, str(self.starts)])

    def broker(self) -> None:
        """Start the city's mosquitto in the hub's namespace."""
        folder = self.city.at("broker", "mosquitto")
        broker_files.write(self.city, "mosquitto", folder, str(folder))
        with (folder / "mosquitto.conf").open("a") as file:
            file.write("user root\n")  # the folder is root's
        self.broker_log = self.folder / "mosquitto.log"
        with self.broker_log.open("wb") as log:
            command = [
                "ip",
                "netns",
                "exec",
                self.hub,
                need("mosquitto"),
                "-v",
                "-c",
                str(folder / "mosquitto.conf"),
            ]
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def report(self) -> subprocess.Popen[bytes]:
        """Start `pasu uplink` as a process of the guarded group."""
        start = ["setpriv", "--regid", str(GROUP), "--clear-groups"]
        command = ["ip", "netns", "exec", self.box, *start, sys.executable, "-m", "agent.cli.main", "uplink"]
        with (self.folder / "uplink.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--config", str(self.config_file)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
            )
        self.processes.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Return what this very uplink says of itself."""
        found = read_health(self.config.storage.run, "uplink") or {}
        return found if found.get("pid") in tree(process.pid) else {}

    def kill_uplink(self) -> None:
        if self.uplink is not None:
            self.uplink.kill()
            self.uplink.wait(10)
            self.uplink = None

    def health(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.config.storage.run / "tunnel.json").read_text())
        except (OSError, ValueError):
            return {}
        return found

    def conditions(self) -> set[str]:
        return {each["code"] for each in self.health().get("conditions", [])}

    def capture(self) -> Capture:
        made = Capture(self.line, "lb", self.mac)
        self.captures.append(made)
        return made

    def is_there(self) -> bool:
        with inside(self.box):
            try:
                socket.if_nametoindex(self.interface)
            except OSError:
                return False
        return True

    def delete_link(self) -> None:
        self._do("ip", "-n", self.box, "link", "del", self.interface, check=False)

    def kill_daemon(self) -> None:
        for pid in self._daemons(self.interface):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def dropped(self, chain: str, *, namespace: str = "", table: str = "pasu_egress") -> int:
        """Return how many packets the last rule of a chain has counted."""
        shown = self.at(namespace or self.box, "nft", "list", "chain", "inet", table, chain)
        return int(re.findall(r"counter packets (\d+) bytes \d+ drop", shown)[-1])

    def roam(self) -> str:
        """Give the box another address on its line, as a modem that dialled anew does."""
        new = f"192.0.2.{random.randrange(10, 250)}"
        self._do("ip", "-n", self.box, "address", "flush", "dev", "up0", "scope", "global")
        self._do("ip", "-n", self.box, "address", "add", f"{new}/24", "dev", "up0")
        self._do("ip", "-n", self.box, "route", "replace", "default", "via", "192.0.2.1")
        return new

    def _daemons(self, interface: str) -> list[int]:
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                    if file.read().rstrip(b"\0").split(b"\0")[-2:] == [b"wireguard-go", interface.encode()]:
                        found.append(int(entry))
        return found
