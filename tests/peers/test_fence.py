"""D14: a camera that was taken over attacks its box. Network namespaces, the real kernel, the real command.

    camera  c0 10.0.0.11 ---- cam0 10.0.0.1  box  out0 192.0.2.2 ---- o0 192.0.2.1  outside

The box is made to forward and to learn (which pasu.sysctl.conf forbids), so that what holds is the fence alone; each
attack is tried before it stands, too, and succeeds then.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.lab import Site, wait_for
from tests.peer import need
from tests.tunnel_lab import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

PASU = Path(sys.executable).parent / "pasu"
CAMERA, BOX, BOX_OUT, OUTSIDE = "10.0.0.11", "10.0.0.1", "192.0.2.2", "192.0.2.1"
SHUT = (80, 161, 1900, 3702, 5353, 5355, 8443, 30000, 61000)
"""Ports of UDP on which somebody on the box may listen."""


class Net:
    """Three namespaces and two wires."""

    def __init__(self) -> None:
        mark = f"{os.getpid()}-{random.randrange(1000)}"
        self.camera, self.box, self.outside = (f"{name}-{mark}" for name in ("cam", "box", "out"))

    def __enter__(self) -> Self:
        for name in (self.camera, self.box, self.outside):
            run("ip", "netns", "add", name)
            self.at(name, "ip", "link", "set", "lo", "up")
        self.wire(self.camera, "c0", f"{CAMERA}/24", "cam0", f"{BOX}/24")
        self.wire(self.outside, "o0", f"{OUTSIDE}/24", "out0", f"{BOX_OUT}/24")
        self.at(self.box, "ip", "route", "add", "default", "via", OUTSIDE)
        self.at(self.camera, "ip", "route", "add", "default", "via", BOX)
        self.at(self.outside, "ip", "route", "add", "10.0.0.0/24", "via", BOX_OUT)
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.camera, self.box, self.outside):
            subprocess.run(["ip", "netns", "delete", name], check=False, timeout=60)

    def at(self, namespace: str, *words: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", namespace, *words, check=check)

    def wire(self, there: str, name: str, address: str, here: str, own: str) -> None:
        run(
            "ip", "link", "add", name, "netns", there, "type", "veth", "peer", "name", here, "netns", self.box
        )
        self.at(there, "ip", "address", "add", address, "dev", name)
        self.at(self.box, "ip", "address", "add", own, "dev", here)
        for namespace, link in ((there, name), (self.box, here)):
            self.at(namespace, "ip", "link", "set", link, "up")

    def let(self) -> None:
        """Have the box do what the package's settings forbid."""
        for name, value in (
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "0"),
            ("ipv6/conf/cam0/accept_ra", "2"),
            ("ipv4/conf/all/accept_redirects", "1"),
        ):
            self.at(self.box, "sh", "-c", f"echo {value} > /proc/sys/net/{name}")


def run(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or not check, f"{words}: {done.stderr}{done.stdout}"
    return done.stdout


@pytest.fixture
def net() -> Iterator[Net]:
    need("ip")
    need("nft")
    if os.geteuid() != 0:
        pytest.fail("needs root") if os.environ.get("CI") else pytest.skip("needs root")
    with Net() as made:
        made.let()
        yield made


def configured(folder: Path, urls: dict[str, str], more: str = "") -> Site:
    site = Site(folder, urls, segment_s=5)
    with site.config.open("a") as file:
        file.write(more)
    return site


def fence(net: Net, site: Site, folder: Path) -> str:
    """Have it put up by the command, as the unit does, and what it writes be what the next boot loads."""
    code = (
        "import sys; from pathlib import Path; from agent.fence import side; from agent.config import load;"
        "made = side.wanted(load(sys.argv[1])); side.apply(made, Path(sys.argv[2])); print(made)"
    )
    kept = folder / "cameras.nft"
    said = net.at(net.box, str(PASU.parent / "python"), "-P", "-c", code, str(site.config), str(kept))
    net.at(net.box, "nft", "flush", "ruleset")
    net.at(net.box, "nft", "-f", str(kept))  # as pasu-fence.service does
    return said


def scan(net: Net, target: str) -> dict[str, int]:
    """Send a SYN to every port of the box; return how many ports said that they are open, and how many that they are not."""
    with inside(net.camera):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    raw.settimeout(2)
    answers: dict[int, int] = {}

    def hear() -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                packet = raw.recv(65536)
                head = 4 * (packet[0] & 15)
                port, to = struct.unpack_from(">HH", packet, head)
                if to == 40000:
                    answers[port] = packet[head + 13]

    listener = threading.Thread(target=hear)
    listener.start()
    addresses = socket.inet_aton(CAMERA) + socket.inet_aton(target)
    for port in range(1, 65536):
        segment = struct.pack(">HHIIBBHHH", 40000, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
        total = sum(struct.unpack(">16H", addresses + b"\x00\x06\x00\x14" + segment))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        with contextlib.suppress(OSError):
            raw.sendto(segment[:16] + struct.pack(">H", ~total & 0xFFFF) + segment[18:], (target, 0))
    listener.join(60)
    raw.close()
    return {
        "open": sum(flags & 0x12 == 0x12 for flags in answers.values()),
        "refused": sum(bool(flags & 4) for flags in answers.values()),
    }


@contextlib.contextmanager
def listening(
    namespace: str, *ports: int, kind: int = socket.SOCK_DGRAM
) -> Iterator[dict[int, socket.socket]]:
    with inside(namespace):
        made = {port: socket.socket(socket.AF_INET, kind) for port in ports}
        for port, each in made.items():
            each.bind(("0.0.0.0", port))
            each.setblocking(False)
            if kind == socket.SOCK_STREAM:
                each.listen()
    try:
        yield made
    finally:
        for each in made.values():
            each.close()


def reached(namespace: str, target: str, there: dict[int, socket.socket]) -> set[int]:
    """Send a datagram to each port, some times; return the ports that got one."""
    found: set[int] = set()
    with inside(namespace):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(5):
        for port in there:
            with contextlib.suppress(OSError):
                sender.sendto(b"x", (target, port))
        time.sleep(0.1)
        for port, each in there.items():
            with contextlib.suppress(BlockingIOError):
                each.recv(10)
                found.add(port)
    sender.close()
    return found


def announce(net: Net) -> None:
    """Announce a router to the box, by IPv6."""
    with inside(net.camera):
        sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        index = socket.if_nametoindex("c0")
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    with contextlib.suppress(OSError):  # its own address is not ready yet
        sender.sendto(struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, index))
    sender.close()


def learned(net: Net) -> bool:
    return "default" in net.at(net.box, "ip", "-6", "route", "show", "proto", "ra")


def test_d14_a_camera_that_scans_finds_no_port_and_gets_nowhere(net: Net, tmp_path: Path) -> None:
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"})
    with (
        listening(net.box, 22, 8443, kind=socket.SOCK_STREAM),
        listening(net.box, *SHUT) as there,
        listening(net.outside, 9000) as beyond,
    ):
        # Without the fence all of it succeeds: the attacks are real ones.
        assert scan(net, BOX)["open"] == 2
        assert reached(net.camera, BOX, there) == {*SHUT}
        assert reached(net.camera, OUTSIDE, beyond) == {9000}
        wait_for("a router to be believed", lambda: announce(net) or learned(net), 90)
        net.at(net.box, "ip", "-6", "route", "flush", "proto", "ra")

        assert "interfaces=('cam0',)" in fence(net, site, tmp_path)
        for target in (BOX, BOX_OUT):  # its other addresses, too
            assert scan(net, target) == {"open": 0, "refused": 0}
            assert reached(net.camera, target, there) == set()
        assert reached(net.camera, OUTSIDE, beyond) == set()
        for _ in range(5):
            announce(net)
        assert not learned(net)
        # What is forwarded is counted, and it is none, from either side.
        assert reached(net.outside, CAMERA, {9000: next(iter(beyond.values()))}) == set()
        # From outside, where the maintenance port is, nothing is barred by it.
        with inside(net.outside):
            came = socket.create_connection((BOX_OUT, 8443), timeout=30)
        came.close()


def test_d14_with_another_address_it_finds_no_port_either(net: Net, tmp_path: Path) -> None:
    """The interface is barred, not the address that a camera says it has."""
    fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}), tmp_path)
    net.at(net.camera, "ip", "address", "flush", "dev", "c0")
    net.at(net.camera, "ip", "address", "add", "10.0.0.99/24", "dev", "c0")
    with listening(net.box, 22, kind=socket.SOCK_STREAM), inside(net.camera), pytest.raises(TimeoutError):
        socket.create_connection((BOX, 22), timeout=3)


def test_d14_on_a_shared_wire_cameras_are_barred_and_the_technician_is_not(net: Net, tmp_path: Path) -> None:
    more = f'[page]\nlisten = "{BOX}"\n'
    said = fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}, more), tmp_path)
    assert "interfaces=()" in said
    net.at(net.camera, "ip", "address", "add", "10.0.0.200/24", "dev", "c0")  # a telephone at the same switch
    with listening(net.box, 8443, kind=socket.SOCK_STREAM):
        assert scan(net, BOX) == {"open": 0, "refused": 0}
        with inside(net.camera):
            came = socket.create_connection((BOX, 8443), timeout=30, source_address=("10.0.0.200", 0))
        came.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_d14_recording_goes_on_behind_the_fence_and_while_it_is_put_up(
    net: Net, tmp_path: Path, transport: str
) -> None:
    spec = CameraSpec(1, width=320, height=240, fps=10, gop=10, host=CAMERA)
    cameras = CameraProcess([spec], tmp_path / "ledger")
    with inside(net.camera):
        cameras.start()
    with contextlib.ExitStack() as stack:
        stack.callback(cameras.stop)
        site = Site(
            tmp_path / "site",
            {"cam01": cameras.urls[1]},
            segment_s=5,
            camera_options={"cam01": {"transport": transport}},
            within=("ip", "netns", "exec", net.box),
        )
        with site:
            site.wait_recording(bound_s=90)
            fence(net, site, tmp_path)
            for _ in range(3):
                fence(net, site, tmp_path)
            had = len(site.segments("cam01"))
            wait_for("segments after the fence", lambda: len(site.segments("cam01")) >= had + 2, 90)
            # The first gap is that of the start; a machine that is busy may be late, and breaks no session.
            causes = {gap.cause for gap in site.gaps("cam01")[1:]}
            assert not causes & {"camera_closed", "camera_unreachable", "camera_refused"}, causes
            site.kill()
            site.start()
            site.wait_recording(bound_s=90)


def test_the_command_says_how_it_stands(net: Net, tmp_path: Path) -> None:
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"})
    fence(net, site, tmp_path)
    status = ("pasu", "fence", "status", "--json", "--config", str(site.config))
    said = net.at(net.box, "env", f"PATH={PASU.parent}:{os.environ['PATH']}", *status)
    assert '"lacks": []' in said
    net.at(net.box, "nft", "flush", "ruleset")
    said = net.at(net.box, "env", f"PATH={PASU.parent}:{os.environ['PATH']}", *status, check=False)
    assert "the kernel has no such rules" in said
