"""D14: a camera that was taken over attacks its box. Network namespaces, the real kernel, the real command.

    camera  c0 10.0.0.11 ---- cam0 10.0.0.1  box  out0 192.0.2.2 ---- o0 192.0.2.1  outside

The box is made to forward and to learn (which pasu.sysctl.conf forbids), so that what holds is the fence alone; each
attack is tried before it stands, too, and succeeds then.
"""

from __future__ import annotations

import contextlib
import json
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
SYN, FIN, NULL, XMAS, ACK = 0x02, 0x01, 0x00, 0x29, 0x10
RST = 0x04
ELSEWHERE = "10.0.0.99"
"""Another address than the camera's own, which it gives itself."""


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


def fence(net: Net, site: Site, folder: Path, more: str = "anew=False") -> str:
    """Have it put up by the command, as the unit does, and what it writes be what the next boot loads."""
    code = (
        "import sys; from pathlib import Path; from agent.fence import side; from agent.config import load;"
        "file = Path(sys.argv[2]);"
        f"made = side.wanted(load(sys.argv[1]), file, {more}); side.apply(made, file); print(made)"
    )
    kept = folder / "cameras.nft"
    said = net.at(net.box, str(PASU.parent / "python"), "-P", "-c", code, str(site.config), str(kept))
    net.at(net.box, "nft", "flush", "ruleset")
    net.at(net.box, "nft", "-f", str(kept))  # as pasu-fence.service does
    return said


def scan(
    net: Net, target: str, flags: int = SYN, *, source: str = CAMERA, last: int = 65535
) -> dict[int, int]:
    """Send a segment with these flags to every port of the box; return by port the flags of what it answered."""
    with inside(net.camera):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    raw.bind((source, 0))
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
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    for port in range(1, last + 1):
        segment = struct.pack(">HHIIBBHHH", 40000, port, 1, 0, 5 << 4, flags, 1024, 0, 0)
        total = sum(struct.unpack(">16H", addresses + b"\x00\x06\x00\x14" + segment))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        with contextlib.suppress(OSError):
            raw.sendto(segment[:16] + struct.pack(">H", ~total & 0xFFFF) + segment[18:], (target, 0))
    listener.join(60)
    raw.close()
    return answers


def opened(answers: dict[int, int]) -> set[int]:
    """Return the ports that said that they are open."""
    return {port for port, flags in answers.items() if flags & 0x12 == 0x12}


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
        assert opened(scan(net, BOX)) == {22, 8443}
        assert reached(net.camera, BOX, there) == {*SHUT}
        assert reached(net.camera, OUTSIDE, beyond) == {9000}
        wait_for("a router to be believed", lambda: announce(net) or learned(net), 90)
        net.at(net.box, "ip", "-6", "route", "flush", "proto", "ra")

        assert "interfaces=('cam0',)" in fence(net, site, tmp_path)
        for target in (BOX, BOX_OUT):  # its other addresses, too
            assert scan(net, target) == {}
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


@pytest.mark.parametrize("flags", [SYN, FIN, NULL, XMAS, ACK])
def test_d14_no_kind_of_scan_tells_an_open_port_from_one_that_is_closed(
    net: Net, tmp_path: Path, flags: int
) -> None:
    """A kernel answers FIN, nothing at all and XMAS where a port is closed, and says nothing where one is open."""

    def looks() -> tuple[set[int | None], set[int | None]]:
        found = scan(net, BOX, flags, last=9000)
        return {found.get(port) for port in (22, 8443)}, {found.get(port) for port in (21, 23, 8442, 8444)}

    with listening(net.box, 22, 8443, kind=socket.SOCK_STREAM):
        there, shut = looks()
        assert (there == shut) is (flags == ACK)  # the attack is a real one without the fence
        fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}), tmp_path)
        there, shut = looks()
        assert there == shut == ({RST} if flags == ACK else {None})


def test_d14_answers_resets_and_ends_come_through(net: Net, tmp_path: Path) -> None:
    fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}), tmp_path)
    with inside(net.box), pytest.raises(ConnectionRefusedError):
        socket.create_connection((CAMERA, 555), timeout=30)
    with listening(net.camera, 554, kind=socket.SOCK_STREAM) as there, inside(net.box):
        for linger, end in ((0, b""), (1, None)):
            here = socket.create_connection((CAMERA, 554), timeout=30)
            there[554].setblocking(True)
            far, _ = there[554].accept()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
            here.sendall(b"x")
            assert far.recv(10) == b"x"
            far.close()
            if end is None:
                with pytest.raises(ConnectionResetError):
                    here.recv(10)
            else:
                assert here.recv(10) == end
            here.close()


def test_d14_of_udp_a_camera_sees_the_ports_that_the_box_speaks_from_and_no_other(
    net: Net, tmp_path: Path
) -> None:
    """As docs/threat-model.md says it."""
    fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}), tmp_path)

    def told_shut(port: int) -> bool:
        with inside(net.camera), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect((BOX, port))
            sender.settimeout(3)
            sender.send(b"x")
            try:
                sender.recv(10)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                return False
        return False

    with listening(net.box, 40002):
        assert [told_shut(port) for port in (40001, 40002, 32767, 61000)] == [True, False, False, False]


def foreign(net: Net) -> None:
    """Have the camera give itself another address than its own."""
    net.at(net.camera, "ip", "address", "flush", "dev", "c0")
    net.at(net.camera, "ip", "address", "add", f"{ELSEWHERE}/24", "dev", "c0")


def test_d14_with_another_address_it_finds_no_port_either(net: Net, tmp_path: Path) -> None:
    """The interface is barred, not the address that a camera says it has."""
    fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}), tmp_path)
    foreign(net)
    with listening(net.box, 22, kind=socket.SOCK_STREAM):
        assert scan(net, BOX, source=ELSEWHERE) == {}


@pytest.mark.parametrize("lost", ["address", "carrier", "link", "route"])
def test_d14_what_was_barred_stays_barred_while_its_wire_is_dead(net: Net, tmp_path: Path, lost: str) -> None:
    """A switch that is slower than the box, or a camera that drops its carrier, opens nothing."""
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"})
    assert "interfaces=('cam0',)" in fence(net, site, tmp_path)
    if lost == "carrier":
        net.at(net.camera, "ip", "link", "set", "c0", "down")
    if lost in ("carrier", "address"):  # networkd takes it away with the carrier
        net.at(net.box, "ip", "address", "flush", "dev", "cam0")
    if lost == "link":
        net.at(net.box, "ip", "link", "set", "cam0", "down")
    if lost == "route":
        net.at(net.box, "ip", "route", "delete", "10.0.0.0/24", "dev", "cam0")
    for _ in range(2):
        assert "interfaces=('cam0',)" in fence(net, site, tmp_path)
    # The kernel's rules are lost, or the file is: each alone is enough to know.
    net.at(net.box, "nft", "flush", "ruleset")
    assert "interfaces=('cam0',)" in fence(net, site, tmp_path)
    (tmp_path / "cameras.nft").unlink()
    assert "interfaces=('cam0',)" in fence(net, site, tmp_path)
    net.at(net.camera, "ip", "link", "set", "c0", "up")
    net.at(net.box, "ip", "link", "set", "cam0", "up")
    net.at(net.box, "ip", "address", "flush", "dev", "cam0")
    net.at(net.box, "ip", "address", "add", f"{BOX}/24", "dev", "cam0")
    foreign(net)
    with listening(net.box, 22, 8443, kind=socket.SOCK_STREAM):
        assert scan(net, BOX, source=ELSEWHERE) == {}


def comes_in(net: Net) -> None:
    """Have somebody beside the camera, at another address, come to the box."""
    net.at(net.camera, "ip", "address", "replace", "10.0.0.200/24", "dev", "c0")
    with listening(net.box, 8443, kind=socket.SOCK_STREAM), inside(net.camera):
        came = socket.create_connection((BOX, 8443), timeout=30, source_address=("10.0.0.200", 0))
    came.close()


def test_d14_what_comes_to_lead_outside_is_opened_and_the_cameras_are_not(net: Net, tmp_path: Path) -> None:
    """The line was put to that port: whoever comes by it is not locked out."""
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"})
    fence(net, site, tmp_path)
    net.at(net.box, "ip", "route", "replace", "default", "via", "10.0.0.200", "dev", "cam0")
    assert "interfaces=()" in fence(net, site, tmp_path)
    comes_in(net)
    with listening(net.box, 22, kind=socket.SOCK_STREAM):
        assert scan(net, BOX) == {}
    net.at(net.box, "ip", "route", "replace", "default", "via", OUTSIDE)
    assert "interfaces=('cam0',)" in fence(net, site, tmp_path)


def test_d14_what_leads_outside_by_several_ways_at_once_is_opened(net: Net, tmp_path: Path) -> None:
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"})
    fence(net, site, tmp_path)
    hops = ("nexthop", "via", OUTSIDE, "dev", "out0", "nexthop", "via", "10.0.0.200", "dev", "cam0")
    net.at(net.box, "ip", "route", "replace", "default", *hops)
    assert "interfaces=()" in fence(net, site, tmp_path)


def test_d14_what_the_page_is_moved_to_is_opened(net: Net, tmp_path: Path) -> None:
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"})
    fence(net, site, tmp_path)
    with site.config.open("a") as file:
        file.write(f'[page]\nlisten = "{BOX}"\n')
    assert "interfaces=()" in fence(net, site, tmp_path)
    comes_in(net)


def test_d14_a_port_that_the_cameras_have_left_is_opened(net: Net, tmp_path: Path) -> None:
    """They were moved to another interface: by their addresses, or by hand where that is not seen."""
    fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}), tmp_path)
    net.wire(net.camera, "c9", "10.9.0.11/24", "cam9", "10.9.0.1/24")
    moved = configured(tmp_path / "moved", {"cam01": "rtsp://10.9.0.11/main"})
    assert "interfaces=('cam9',)" in fence(net, moved, tmp_path)
    comes_in(net)
    # Behind a router of their own, they are seen nowhere: what was barred stays so until somebody says otherwise.
    far = configured(tmp_path / "far", {"cam01": "rtsp://172.16.0.11/main"})
    net.at(net.box, "ip", "route", "add", "172.16.0.0/16", "via", OUTSIDE)
    assert "interfaces=('cam9',)" in fence(net, far, tmp_path)
    assert "interfaces=()" in fence(net, far, tmp_path, "anew=True")


def test_d14_on_a_shared_wire_cameras_are_barred_and_the_technician_is_not(net: Net, tmp_path: Path) -> None:
    more = f'[page]\nlisten = "{BOX}"\n'
    said = fence(net, configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"}, more), tmp_path)
    assert "interfaces=()" in said
    net.at(net.camera, "ip", "address", "add", "10.0.0.200/24", "dev", "c0")  # a telephone at the same switch
    with listening(net.box, 8443, kind=socket.SOCK_STREAM):
        assert scan(net, BOX) == {}
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


def command(net: Net, site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ip", "netns", "exec", net.box, str(PASU), *words, "--config", str(site.config)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_says_how_it_stands(net: Net, tmp_path: Path) -> None:
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main"})
    fence(net, site, tmp_path)
    said = command(net, site, "fence", "status", "--json")
    assert (said.returncode, json.loads(said.stdout)["lacks"]) == (0, [])
    net.at(net.box, "nft", "flush", "ruleset")
    said = command(net, site, "fence", "status", "--json")
    assert (said.returncode, json.loads(said.stdout)["lacks"]) == (1, ["the kernel has no such rules"])


@pytest.fixture
def hosts(net: Net) -> Iterator[Path]:
    """The /etc/hosts of the box alone, by what ip-netns(8) puts in its place."""
    folder = Path("/etc/netns") / net.box
    folder.mkdir(parents=True)
    (folder / "hosts").write_text("127.0.0.1 localhost\n")
    yield folder / "hosts"
    (folder / "hosts").unlink()
    folder.rmdir()
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def test_d14_a_camera_by_name_is_barred_by_the_hosts_file_or_told_not_to_be(
    net: Net, tmp_path: Path, hosts: Path
) -> None:
    site = configured(tmp_path / "site", {"cam01": "rtsp://gate.site/main"})
    assert "interfaces=()" in fence(net, site, tmp_path)
    said = command(net, site, "fence", "status", "--json")
    assert said.returncode == 1
    assert json.loads(said.stdout) == {
        "interfaces": [],
        "cameras": [],
        "ports": [],
        "lacks": [],
        "unbarred": {"cam01": "gate.site"},
    }
    said = command(net, site, "fence", "status")
    assert said.returncode == 1
    assert "cam01 (gate.site)" in said.stdout
    hosts.write_text(f"127.0.0.1 localhost\n{CAMERA} gate.site\n")
    made = fence(net, site, tmp_path)
    assert "interfaces=('cam0',)" in made
    assert CAMERA in made
    assert command(net, site, "fence", "status").returncode == 0
    with listening(net.box, 22, kind=socket.SOCK_STREAM):
        assert scan(net, BOX) == {}


def test_d14_doctor_sees_a_fence_that_is_gone_and_a_camera_it_leaves_out(
    net: Net, tmp_path: Path, hosts: Path
) -> None:
    site = configured(tmp_path / "site", {"cam01": f"rtsp://{CAMERA}/main", "cam02": "rtsp://gate.site/main"})
    code = (
        "import sys; from pathlib import Path; from agent.config import load; from agent.field.doctor import fence;"
        "[print(each.state, each.subject) for each in fence.look(load(sys.argv[1]), Path(sys.argv[2]))]"
    )
    words = (str(PASU.parent / "python"), "-P", "-c", code, str(site.config), str(tmp_path / "cameras.nft"))
    assert net.at(net.box, *words) == "failure \nwarning cam02\n"
    fence(net, site, tmp_path)
    assert net.at(net.box, *words) == "ok \nwarning cam02\n"
    net.at(net.box, "nft", "flush", "chain", "inet", "pasu_cameras", "input")
    assert net.at(net.box, *words) == "failure \nwarning cam02\n"
