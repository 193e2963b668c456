"""The tunnel with real wireguard-go and nftables, in network namespaces: what leaves the box, and what does not."""

from __future__ import annotations

import contextlib
import errno
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
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.centre import registry
from agent.cli import centre_tunnel
from agent.config import load
from agent.enrolment import box as enrolled
from agent.storage.files import Disk
from agent.tunnel import conf, keys
from tests.lab import ROOT, tree, wait_for
from tests.town import no_passphrase
from tests.tunnel_lab import ENDPOINT, GROUP, INSIDE, PORT, SINK, Capture, Lab, inside


@pytest.fixture
def lab(tmp_path):
    with Lab(tmp_path) as made:
        yield made


def quiet(capture: Capture, *, line: bool = True, guarded: bool = True) -> None:
    """Nothing left the box but WireGuard to the one endpoint, and ARP; none of it was a question for a name.

    line     whether the guard has the whole line; without it the kernel's own IPv6 neighbourhood is not the uplink's
    guarded  whether there is a guard; without it the kernel tells the hub by ICMP that nobody has WireGuard's port
    """
    capture.stop()
    if not guarded:
        capture.outside = [
            each for each in capture.outside if not each.startswith(f"ip protocol 1 to {ENDPOINT}:")
        ]
    if not line:
        capture.outside = [each for each in capture.outside if not each.startswith("icmpv6 ")]
    assert capture.lost == 0, "frames were not counted"
    assert capture.counts["wireguard"] > 0, "not even the tunnel sent"
    assert capture.outside == []
    assert capture.counts["dns"] == 0


def test_f2_without_the_guard_all_of_it_would_leave(lab):
    """F2, F3, F4: what the other tests send does leave a box that has no guard, so that their zero means something."""
    capture = lab.capture()
    lab.link_up()
    lab.start_uplink()
    kinds = ("dns", "ipv6", "plain", f"ip protocol 17 to {INSIDE}:5000", f"ip protocol 6 to {ENDPOINT}:80")
    wait_for("leaks", lambda: all(capture.counts[kind] for kind in kinds))


def test_the_tunnel_comes_up_and_carries(lab):
    """F3: traffic goes through the tunnel, and nothing beside it, from the moment the line is plugged in."""
    capture = lab.capture()
    lab.hub_up()
    lab.start_uplink()
    lab.boot()
    lab.watch()
    lab.wait_traffic()
    wait_for("a handshake in health", lambda: lab.health().get("handshake_s") is not None)
    said = lab.health()
    assert (said["up"], said["lacks"], said["conditions"], said["kernel"]) == (True, [], [], False)
    shown = json.loads(lab.pasu("tunnel", "status", "--json").stdout)
    assert (shown["up"], shown["fresh"], shown["guarded"], shown["from"]) == (True, True, True, "192.0.2.2")
    assert shown["endpoint"] == f"{ENDPOINT}:{PORT}"
    assert "198.51.100" not in json.dumps(said)
    quiet(capture)


def in_box(lab: Lab, code: str, *, group: int = GROUP) -> str:
    """Run Python on the box as a process of a group."""
    drop = f"import os; os.setgroups([]); os.setgid({group})\n"
    return lab.at(lab.box, sys.executable, "-c", drop + code)


def stream_once(lab: Lab, most: int = 0) -> subprocess.Popen[bytes]:
    """Start what connects once, bound to the tunnel, and sends for as long as that connection lives."""
    code = (
        f"import os, socket\nos.setgid({GROUP})\nfrom agent.tunnel.bind import bind_to\n"
        f"s = socket.socket(); bind_to(s, {lab.interface!r}); s.connect(({INSIDE!r}, {SINK}))\n"
        f"sent = 0\nwhile not {most} or sent < {most}:\n    sent += s.send(b'y' * 4000)\n"
        "    import time; time.sleep(0.001)\n"
    )
    command = ["ip", "netns", "exec", lab.box, sys.executable, "-c", code]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    lab.processes.append(process)
    return process


class Transitions:
    """All that may happen to a tunnel, one thing after the other, by a seed."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.chance = random.Random(seed)
        self.names = [name for name in dir(self) if name.startswith("do_")]
        self.done: Counter[str] = Counter()
        self.dead = False

    def one(self) -> None:
        name = self.chance.choice(self.names)
        self.done[name] += 1
        getattr(self, name)()
        if self.lab.watching is None:
            self.lab.watch()
        if self.lab.uplink is None:
            self.lab.start_uplink()
        time.sleep(self.chance.random() * 0.3)  # another moment of what comes next

    def do_watch_stopped(self) -> None:
        self.lab.stop_watch()

    def do_watch_killed(self) -> None:
        self.lab.stop_watch(signal.SIGKILL)

    def do_daemon_killed(self) -> None:
        self.lab.kill_daemon()

    def do_link_deleted(self) -> None:
        self.lab.delete_link()

    def do_link_deleted_and_uplink_killed(self) -> None:
        """What the kernel has still to send of a process that is dead has no way any more."""
        self.lab.kill_uplink()
        self.lab.delete_link()

    def do_uplink_killed(self) -> None:
        self.lab.kill_uplink()

    def do_all_killed(self) -> None:
        self.lab.stop_watch(signal.SIGKILL)
        self.lab.kill_daemon()
        self.lab.kill_uplink()

    def do_down(self) -> None:
        self.lab.pasu("tunnel", "down", check=False)  # the watch may bring it up at the same moment

    def do_up(self) -> None:
        self.lab.pasu("tunnel", "up", check=False)

    def do_roam(self) -> None:
        self.lab.roam()

    def do_endpoint_dead_or_back(self) -> None:
        self.dead = not self.dead
        self.lab._do("ip", "-n", self.lab.line, "link", "set", "lh", "down" if self.dead else "up")

    def do_line_unplugged(self) -> None:
        self.lab._do("ip", "-n", self.lab.box, "link", "set", "up0", "down")
        self.lab.link_up()

    def do_rules_loaded_again(self) -> None:
        self.lab.at(self.lab.box, "nft", "-f", str(self.lab.folder / "root/etc/pasu/egress.nft"))

    def end(self) -> None:
        if self.dead:
            self.do_endpoint_dead_or_back()


def transitions(lab: Lab, count: int, seed: int) -> None:
    lab.hub_up()
    capture = lab.capture()
    lab.start_uplink()
    lab.boot()
    lab.watch()
    lab.wait_traffic()
    some = Transitions(lab, seed)
    for number in range(count):
        some.one()
        if number % 50 == 49:
            some.end()
            lab.wait_traffic()
    some.end()
    lab.wait_traffic(180)
    print(sorted(some.done.items()), capture.counts)
    quiet(capture, line=lab.has_line)


def test_f2_nothing_leaves_in_a_sample_of_transitions(lab):
    """F1, F2, F3, F4, F6: started, stopped, killed, deleted, dead, moved: nothing but the tunnel's own packets leaves."""
    transitions(lab, 26, seed=7)


def test_f2_nothing_leaves_where_the_line_is_shared(tmp_path):
    """F2: cameras on the same interface, so that only what the uplink sends is barred: the same transitions."""
    with Lab(tmp_path, line=False) as lab:
        transitions(lab, 26, seed=8)


@pytest.mark.campaign
def test_f2_nothing_leaves_in_five_hundred_transitions(lab):
    """F1, F2, F3, F4, F6: the same, five hundred times."""
    transitions(lab, 500, seed=int(os.environ.get("PASU_SEED", "1")))


@pytest.mark.campaign
def test_f2_five_hundred_transitions_of_a_shared_line(tmp_path):
    """F1, F2, F3, F6: five hundred where cameras are on the same interface."""
    with Lab(tmp_path, line=False) as lab:
        transitions(lab, 500, seed=int(os.environ.get("PASU_SEED", "1")))


def test_f2_killed_after_each_step_of_coming_up(lab):
    """F2: whichever step it was, nothing left, and the whole again comes to the same end."""
    lab.hub_up()
    capture = lab.capture()
    lab.start_uplink()
    lab.boot()
    for wanted in ("T1", "T2", "T3", "T4", "T5", "T6", "T7"):
        code = (
            "import os\nfrom agent.config import load\nfrom agent.tunnel import link\n"
            "from agent.tunnel.watch import wanted\n"
            f"want = wanted(load({str(lab.config_file)!r}))\n"
            "link.up(want.terms, want.pair, want.interface, want.rules, "
            f"lambda step: os._exit(9) if step == {wanted!r} else None)\n"
        )
        command = ["ip", "netns", "exec", lab.box, sys.executable, "-c", code]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
        assert done.returncode == 9
        lab.delete_link()
    lab.pasu("tunnel", "up")
    lab.wait_traffic()
    assert json.loads(lab.pasu("tunnel", "status", "--json").stdout)["up"]
    lab.pasu("tunnel", "up")  # again: nothing to do
    quiet(capture)


def test_f1_an_endpoint_that_is_dead_is_told_and_nothing_leaves(lab):
    """F1: the tunnel stays, nothing goes another way, and all goes on when the endpoint is back."""
    lab.hub_up()
    capture = lab.capture()
    lab.start_uplink()
    lab.boot()
    lab.watch()
    lab.wait_traffic()
    lab._do("ip", "-n", lab.line, "link", "set", "lh", "down")
    before = lab.bytes_received()
    sent = capture.counts["wireguard"]
    wait_for("handshakes that are asked for in vain", lambda: capture.counts["wireguard"] > sent + 20, 120)
    assert lab.health()["up"]
    assert lab.bytes_received() - before < 100_000
    lab._do("ip", "-n", lab.line, "link", "set", "lh", "up")
    lab.wait_traffic()
    quiet(capture)


def test_f4_router_advertisements_get_no_answer(lab):
    """F4: no address is made of them, and not one packet of IPv6 leaves, from before the line is plugged in."""
    lab.hub_up()
    advertisement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + socket.inet_pton(
        socket.AF_INET6, "2001:db8:1::"
    )
    with inside(lab.line):
        sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        index = socket.if_nametoindex("lb")
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)

    def advertise() -> bool:
        try:
            sender.sendto(advertisement + prefix, ("ff02::1", 0, 0, index))
        except OSError:  # the other end of the line has no address before the line is there
            return False
        return True

    def addresses() -> str:
        return lab._do("ip", "-n", lab.box, "-6", "address", "show", "dev", "up0", "scope", "global")

    lab.link_up()  # without anything of ours: an address is made at once
    wait_for("an address from the line", lambda: advertise() and "2001:db8:1:" in addresses())
    lab._do("ip", "-n", lab.box, "link", "set", "up0", "down")
    capture = lab.capture()
    lab.start_uplink()
    lab.boot()
    lab.watch()
    wait_for("advertisements", advertise)
    for _ in range(20):
        advertise()
        time.sleep(0.05)
    lab.wait_traffic()
    lab._do("ip", "-n", lab.box, "link", "set", "up0", "down")
    lab.link_up()
    wait_for("advertisements", advertise)
    for _ in range(20):
        advertise()
        time.sleep(0.05)
    sender.close()
    assert lab._do("ip", "-n", lab.box, "-6", "address", "show", "dev", "up0") == ""
    assert lab._do("ip", "-n", lab.box, "-6", "address", "show", "dev", lab.interface) == ""
    # Were IPv6 switched on again, the kernel would speak at once; the guard does not let it.
    assert lab.dropped("line") == 0
    lab.at(lab.box, "sysctl", "-qw", "net.ipv6.conf.up0.disable_ipv6=0")
    wait_for("the kernel to try", lambda: lab.dropped("line") > 0)
    quiet(capture)


def test_f5_a_path_of_1280_bytes_that_says_nothing(lab):
    """F5: what is too large is dropped without a word on the way; the tunnel's packets are never that large."""
    lab._do("ip", "-n", lab.line, "link", "set", "lh", "mtu", "1280")
    lab.at(lab.line, "nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }")
    lab.at(lab.line, "nft", "add rule inet t o meta l4proto icmp drop")
    lab.hub_up()
    capture = lab.capture()
    lab.boot()
    lab.watch()
    wait_for("the interface", lab.health)
    wait_for("the tunnel", lambda: lab.health().get("up"))
    stream_once(lab, 3_000_000)
    wait_for("three megabytes", lambda: lab.bytes_received() >= 3_000_000, 120)
    quiet(capture)


def test_f6_a_connection_outlives_other_addresses_of_the_line(lab):
    """F6: the line's address changes three times; it is the same connection that goes on, and the change is told."""
    lab.hub_up()
    capture = lab.capture()
    lab.boot()
    lab.watch()
    wait_for("the tunnel", lambda: lab.health().get("up"))
    stream = stream_once(lab)
    lab.wait_traffic()
    for _ in range(3):
        address = lab.roam()
        lab.wait_traffic()
        peers = lab.at(lab.hub, "wg", "show", lab.hub_interface, "endpoints")
        wait_for(
            "the hub to know it",
            lambda address=address: address in lab.at(lab.hub, "wg", "show", lab.hub_interface, "endpoints"),
        )
        assert peers
    wait_for("the change in health", lambda: lab.health().get("roamed", 0) >= 1)
    before = lab.bytes_received()
    wait_for("more of the same", lambda: lab.bytes_received() > before)
    assert stream.poll() is None
    quiet(capture)


def test_f2_packets_that_others_route_anew(tmp_path):
    """F2: a rule of somebody else's that marks what the uplink sends, and a route for that mark: nothing leaves by it."""
    with Lab(tmp_path, line=False) as lab:
        lab.hub_up()
        lab.boot()
        lab.watch()
        wait_for("the tunnel", lambda: lab.health().get("up") and not lab.health()["lacks"])
        lab._do("ip", "-n", lab.box, "rule", "add", "fwmark", "7", "lookup", "100")
        lab._do("ip", "-n", lab.box, "route", "add", "default", "via", "192.0.2.1", "table", "100")
        chain = "table inet other {\nchain o {\ntype route hook output priority 0\n"
        lab.at(
            lab.box, "nft", "-f", "-", given=f"{chain}meta skgid {GROUP} counter meta mark set 7\n}}\n}}\n"
        )
        capture = lab.capture()
        lab.start_uplink()
        marked = r"counter packets (\d+)"
        wait_for(
            "marks",
            lambda: (
                int(re.findall(marked, lab.at(lab.box, "nft", "list", "chain", "inet", "other", "o"))[0])
                > 500
            ),
        )
        capture.counts["wireguard"] += 1  # whether the tunnel carries meanwhile is not the question
        quiet(capture, line=False)


def test_f9_a_stranger_on_the_line_hears_nothing(lab):
    """F9: 65 ports of TCP and UDP, the tunnel's own among them, and a ping: not one answer."""
    lab.hub_up()
    lab.boot()
    lab.watch()
    wait_for("the tunnel", lambda: lab.health().get("handshake_s") is not None)
    listening = lab.at(lab.box, "wg", "show", lab.interface, "listen-port").strip()
    lab.at(lab.box, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
    capture = lab.capture()
    ports = [*range(1, 60), 80, 443, 554, 1883, 8883, int(listening)]
    answers = []
    with inside(lab.line):
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = socket.socket(socket.AF_INET, kind)
                probe.settimeout(0.05)
                try:
                    probe.connect(("192.0.2.2", port))
                    if kind == socket.SOCK_DGRAM:
                        probe.send(b"\1" + os.urandom(147))
                        probe.recv(1)
                    answers.append((port, "open"))
                except TimeoutError:
                    pass
                except OSError as error:
                    answers.append((port, error.errno))
                probe.close()
    with inside(lab.line), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as echo:
        echo.sendto(struct.pack("!BBHHH", 8, 0, 0xF7FE, 0, 1), ("192.0.2.2", 0))
        echo.settimeout(0.5)
        with pytest.raises(TimeoutError):
            echo.recv(100)
    assert answers == []
    assert lab.dropped("strangers") > 100
    assert lab.dropped("line") == 0  # not even tried: what came in met nobody
    lab.start_uplink()
    lab.wait_traffic()
    quiet(capture)


def bound(namespace: str, port: int) -> socket.socket:
    """Open a UDP socket in a namespace that may shout, as DHCP does."""
    with inside(namespace):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    made.settimeout(0.3)
    made.bind(("0.0.0.0", port))
    return made


def passes(here: socket.socket, there: socket.socket, where: str) -> bool:
    """Tell whether a datagram comes from one socket to another."""
    said = os.urandom(16)
    try:
        here.sendto(said, (where, there.getsockname()[1]))
        return there.recv(100) == said
    except (TimeoutError, PermissionError):
        return False


def test_s_2_14_dhcp_passes_the_line_and_what_is_beside_it_does_not(lab):
    """Table 2-14: from 68 to 67, shouted and to a server, and back from 67 to 68; with 69 in the place of either, no."""
    before = [bound(lab.box, port) for port in (68, 69)]
    lab.boot()
    with contextlib.ExitStack() as stack:
        client, other = map(stack.enter_context, before)
        server, beside = (stack.enter_context(bound(lab.line, port)) for port in (67, 69))
        box = "192.0.2.2"
        assert passes(client, server, "192.0.2.1"), "a renewal asks its server"
        assert passes(client, server, "192.0.2.255"), "one that is not answered asks all"
        assert passes(server, client, box)
        assert not passes(client, beside, "192.0.2.1")
        assert not passes(other, server, "192.0.2.1")
        assert not passes(server, other, box)
        assert not passes(beside, client, box)
        assert lab.dropped("line") >= 2
        assert lab.dropped("strangers") >= 2


def test_f10_another_box_in_the_tunnel_reaches_nobody(lab):
    """F10, H10: the hub takes of it only its own address, and hands nothing on; were it to, the box would not take it."""
    lab.hub_up()
    lab.boot()
    lab.watch()
    lab.start_uplink()
    lab.wait_traffic()
    evil = Evil(lab)
    try:
        evil.join()
        victim = lab.address
        arriving = Inside(lab.box, lab.interface)
        at_hub = Inside(lab.hub, lab.hub_interface)
        wait_for(
            "a word of the other box at the hub", lambda: evil.send(INSIDE) or at_hub.sources[evil.address]
        )
        for _ in range(20):
            evil.send(victim)
            evil.send(victim, source=INSIDE)
            evil.send(INSIDE, source=victim)
        wait_for(
            "the hub to drop what is for the other box",
            lambda: lab.dropped("forward", namespace=lab.hub, table="pasu_hub") >= 20 or evil.send(victim),
        )
        seen = arriving.sources[INSIDE]
        wait_for("the box's own traffic", lambda: arriving.sources[INSIDE] > seen + 5)
        assert not arriving.marked
        assert at_hub.marked == {evil.address}
        # A hub that hands on whatever it gets, as one without its rules would.
        lab.at(lab.hub, "nft", "flush", "ruleset")
        for _ in range(20):
            evil.send(victim)
        seen = arriving.sources[INSIDE]
        wait_for("the box's own traffic", lambda: arriving.sources[INSIDE] > seen + 5)
        assert not arriving.marked
        # Nor does the hub let it further than the plan does, at the hub itself and behind it.
        lab.hub_load()
        lab._do("ip", "-n", lab.hub, "address", "add", "10.77.0.9/32", "dev", "lo")
        lab._do("ip", "-n", lab.hub, "route", "add", "10.77.0.10/32", "via", "198.51.100.1")
        wait_for(
            "the hub to drop",
            lambda: (
                evil.send("10.77.0.9")
                or evil.send("10.77.0.10")
                or all(lab.dropped(c, namespace=lab.hub, table="pasu_hub") for c in ("input", "forward"))
            ),
        )
        arriving.stop()
        at_hub.stop()
    finally:
        evil.close()
    # Nobody begins a connection to the box, not even the centre: there is no service behind it.
    assert not any(answers(lab, port) for port in (22, 80, 8080, 554, 9464))


def answers(lab: Lab, port: int) -> bool:
    """Tell whether the centre gets any word of a port of the box, from inside the tunnel."""
    with inside(lab.hub), socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((lab.address, port)) in {0, errno.ECONNREFUSED}


def test_h10_the_centre_reads_figures_where_they_are_configured_and_nothing_else(lab):
    """H10, F10: with [page] metrics one port is open to the centre's addresses inside the tunnel, and no other."""
    lab.hub_up()
    with lab.config_file.open("a") as file:
        file.write(
            f'[page]\nlisten = "127.0.0.1"\nmetrics = "{lab.address}"\nfolder = "{lab.folder / "page"}"\n'
        )
    lab.boot()
    lab.pasu("tunnel", "up")
    lab.at(lab.box, "nft", "list", "table", "inet", "pasu_egress")
    with inside(lab.box):
        figures = socket.create_server((lab.address, 9464))
    with figures:
        wait_for("the port", lambda: answers(lab, 9464))
        assert not any(answers(lab, port) for port in (22, 8443, 9463))
    assert json.loads(lab.pasu("tunnel", "status", "--json", check=False).stdout)["lacks"] == []


class Inside:
    """Counts packets that come out of a WireGuard interface, by their source."""

    def __init__(self, namespace: str, interface: str) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
            self._socket.bind((interface, 0))
        self._socket.settimeout(0.2)
        self._stop = False
        self.sources: Counter[str] = Counter()
        self.marked: set[str] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            try:
                packet, address = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if address[2] != 4:  # PACKET_OUTGOING
                self.sources[socket.inet_ntoa(packet[12:16])] += 1
                if b"evil" in packet:
                    self.marked.add(socket.inet_ntoa(packet[12:16]))

    def stop(self) -> None:
        self._stop = True
        self._thread.join(10)
        self._socket.close()


class Evil:
    """Another enrolled box, whose owner sends what he likes."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.namespace, self.interface = f"pt{lab.mark}e", f"pe{lab.mark}"

    def join(self) -> None:
        lab = self.lab
        lab._do("ip", "netns", "add", self.namespace)
        lab._do(
            "ip",
            "-n",
            self.namespace,
            "link",
            "add",
            "ev0",
            "type",
            "veth",
            "peer",
            "name",
            "le",
            "netns",
            lab.line,
        )
        lab._do("ip", "-n", lab.line, "address", "add", "203.0.113.1/24", "dev", "le")
        lab._do("ip", "-n", self.namespace, "address", "add", "203.0.113.2/24", "dev", "ev0")
        lab._do("ip", "-n", lab.line, "link", "set", "le", "up")
        lab._do("ip", "-n", self.namespace, "link", "set", "ev0", "up")
        lab._do("ip", "-n", self.namespace, "route", "add", "default", "via", "203.0.113.1")
        config = load(lab.configure("evil", "gn-0666", self.interface))
        enrolled.accept(config, lab.answer(config), Disk())
        terms, pair = keys.require(config.storage.state)
        self.address = terms.hosts[0]
        lab.hub_written()
        lab.hub_load()
        lab.at(self.namespace, "wireguard-go", self.interface)
        text = conf.settings(replace(terms, allowed=("10.77.0.0/16",)), pair.private)
        lab.at(self.namespace, "wg", "setconf", self.interface, "/dev/stdin", given=text)
        lab._do("ip", "-n", self.namespace, "address", "add", f"{self.address}/16", "dev", self.interface)
        lab._do("ip", "-n", self.namespace, "link", "set", self.interface, "up")
        with inside(self.namespace):
            self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, to: str, source: str = "") -> None:
        ends = socket.inet_aton(source or self.address) + socket.inet_aton(to)
        body = struct.pack("!HHHH", 4000, 4000, 12, 0) + b"evil"
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0) + ends
        with contextlib.suppress(OSError):
            self._raw.sendto(head + body, (to, 0))

    def close(self) -> None:
        lab = self.lab
        lab._do("ip", "-n", self.namespace, "link", "del", self.interface, check=False)
        for pid in lab._daemons(self.interface):
            os.kill(pid, signal.SIGKILL)
        lab._do("ip", "netns", "del", self.namespace, check=False)
        with contextlib.suppress(OSError):
            os.unlink(f"/run/wireguard/{self.interface}.sock")


def test_a_guard_that_is_taken_away_is_told_and_comes_back(lab):
    """F2: rules that somebody changes are put right and told; a process of the uplink sees by itself whether they hold."""
    lab.hub_up()
    lab.boot()
    lab.watch()
    wait_for("the tunnel", lambda: lab.health().get("up") and not lab.health()["lacks"])
    asked = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport time\nfrom agent.config import load\n"
        "from agent.tunnel import guard\n"
        f"config = load({str(lab.config_file)!r})\n"
        "verdict = guard.of_this_process(config, time.clock_gettime(time.CLOCK_BOOTTIME))\n"
        "print(';'.join(verdict.lacks), guard.refused())\n"
        "print('may' if verdict.holds else 'may not')\n"
    )
    assert in_box(lab, asked) == " True\nmay\n"
    other = in_box(lab, asked, group=4243)
    assert "not of the group" in other
    assert "False\nmay not" in other
    lab.at(lab.box, "nft", "flush", "chain", "inet", "pasu_egress", "uplink")
    wait_for("the condition", lambda: "tunnel.unguarded" in lab.conditions())
    wait_for("the rules again", lambda: in_box(lab, asked) == " True\nmay\n")
    lab._do("ip", "-n", lab.box, "route", "flush", "type", "unreachable")
    wait_for(
        "the barred ways again",
        lambda: lab._do("ip", "-n", lab.box, "route", "show", "type", "unreachable").startswith(
            f"unreachable {INSIDE}"
        ),
    )
    lab.stop_watch()
    lab.at(lab.box, "nft", "delete", "table", "inet", "pasu_egress")
    gone = in_box(lab, asked)
    assert "the kernel does not refuse what it should" in gone
    assert "may not" in gone
    assert json.loads(lab.pasu("tunnel", "status", "--json", check=False).stdout)["lacks"]
    lab.pasu("tunnel", "up")
    assert json.loads(lab.pasu("tunnel", "status", "--json", check=False).stdout)["lacks"] == []


def test_a_socket_that_is_bound_stays_in_the_tunnel_without_any_rule(lab):
    """F2: the uplink's own sockets need no guard to stay where they are."""
    lab.hub_up()
    lab.boot()
    lab.pasu("tunnel", "up")
    lab.at(lab.box, "nft", "flush", "ruleset")
    lab._do("ip", "-n", lab.box, "route", "flush", "type", "unreachable")
    capture = lab.capture()
    stream = stream_once(lab)
    lab.wait_traffic()
    lab.delete_link()
    again = stream_once(lab)
    assert again.wait(60) != 0  # no such device
    for pid in tree(stream.pid):  # the kernel goes on with what it has still to send
        os.kill(pid, signal.SIGKILL)
    stream.wait(60)
    time.sleep(2)
    quiet(capture, guarded=False)


def test_a_key_is_changed_while_everything_goes_on(lab):
    """The hub knows both keys; the box changes over by one rename, and the watch follows without a new interface."""
    lab.hub_up()
    capture = lab.capture()
    lab.start_uplink()
    lab.boot()
    lab.watch()
    lab.wait_traffic()
    state = lab.config.storage.state
    before, address = keys.require(state)[1], lab.address
    lab.pasu("tunnel", "rotate")
    bundle = lab.answer(lab.config)
    assert bundle.tunnel.key != before.public
    lab.hub_written()
    lab.hub_load()
    lab.wait_traffic()
    with inside(lab.box):
        index = socket.if_nametoindex(lab.interface)
    enrolled.accept(lab.config, bundle, Disk())
    wait_for(
        "the new key at the hub",
        lambda: f"{bundle.tunnel.key}\t0" not in (shown := handshakes(lab)) and bundle.tunnel.key in shown,
        90,
    )
    lab.wait_traffic()
    with inside(lab.box):
        assert socket.if_nametoindex(lab.interface) == index
    assert lab.address != address
    assert not before.path.exists()
    registry.retire(lab.city, "gn-0007")
    lab.hub_written()
    lab.hub_load()
    assert before.public not in handshakes(lab)
    lab.wait_traffic()
    assert before.private not in json.dumps(lab.health()) + (lab.folder / "watch.log").read_text()
    quiet(capture)


def test_h1_a_box_that_was_turned_out_has_no_tunnel_any_more(lab):
    """H1: a stolen box, as soon as the hub has read its configuration anew, a session that is up among it."""
    lab.hub_up()
    lab.boot()
    lab.watch()
    lab.start_uplink()
    lab.wait_traffic()
    public = keys.require(lab.config.storage.state)[1].public
    assert public in handshakes(lab)
    registry.turn_out(lab.city, "gn-0007", datetime.now(UTC), no_passphrase)
    centre_tunnel.refresh(lab.city)
    lab.hub_load()
    assert handshakes(lab) == ""
    arriving = Inside(lab.hub, lab.hub_interface)
    with inside(lab.box):
        before = sent(lab)
        wait_for("more that the box sends in vain", lambda: sent(lab) > before + 20_000, 60)
    assert not arriving.sources
    arriving.stop()


def sent(lab: Lab) -> int:
    return int(lab.at(lab.box, "wg", "show", lab.interface, "transfer").split()[-1])


def handshakes(lab: Lab) -> str:
    return lab.at(lab.hub, "wg", "show", lab.hub_interface, "latest-handshakes")


def test_f2_the_uplink_itself_stays_inside_whatever_dies(lab):
    """F2, F6: `pasu uplink` reports to a mosquitto in the tunnel; it, the interface and the watch are killed in turn."""
    lab.hub_up()
    lab.broker()
    capture = lab.capture()
    lab.boot()
    lab.watch()
    for number in range(4):
        process = lab.report()
        wait_for("the connection", lambda process=process: lab.said(process).get("connected"), 90)
        wait_for("a look at the guard", lambda: "handshake_s" in lab.health())
        wait_for(
            "no doubt about the guard",
            lambda process=process: (
                lab.said(process).get("conditions") is not None
                and "tunnel.unguarded" not in {each["code"] for each in lab.said(process)["conditions"]}
            ),
        )
        if number == 1:
            lab.delete_link()
        if number == 2:
            lab.kill_daemon()
        if number == 3:
            lab.roam()
            lab.stop_watch(signal.SIGKILL)
            lab.watch()
        for pid in reversed(tree(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait(30)
    assert f"New client connected from {lab.address}:" in lab.broker_log.read_text()
    quiet(capture)


def test_the_written_configurations_come_up_with_wg_quick(lab):
    """Either end can be brought up without Pasu: `wg-quick strip` and `wg` take both files as they are."""
    lab.hub_up()
    capture = lab.capture()
    lab.boot()
    file = lab.folder / "root" / "etc" / "wireguard" / f"{lab.interface}.conf"
    assert keys.require(lab.config.storage.state)[1].private not in file.read_text()
    lab.at(lab.box, "env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go", "wg-quick", "up", str(file))
    lab.start_uplink()
    lab.wait_traffic()
    quiet(capture)


def test_a_line_that_a_camera_is_on_is_not_barred(lab):
    """Recording comes first: whatever [tunnel] says, a camera is not cut off; what is not barred is told."""
    lab.camera()
    lab.hub_up()
    lab.boot()
    lab.watch()
    wait_for("the tunnel", lambda: lab.health().get("up") and not lab.health()["lacks"])
    lab.reach_camera()
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace('line = "up0"', 'line = "cam0"'))
    wait_for("word of it", lambda: lab.health().get("trouble") == "TUNNEL_LINE_CAMERA")
    said = lab.health()
    assert said["up"]
    assert said["lacks"]
    assert "cam0" not in lab.at(lab.box, "nft", "list", "ruleset")
    lab.reach_camera()
    lab.start_uplink()
    lab.wait_traffic()
    lab.config_file.write_text(text)
    wait_for("the line barred again", lambda: lab.health().get("lacks") == [] and not lab.health()["trouble"])
    assert 'oifname "up0" goto line' in lab.at(lab.box, "nft", "list", "ruleset")


def test_a_camera_keeps_its_way(lab):
    """Recording comes first: a tunnel over a camera's network, or a line that cameras are on, is refused."""
    lab.boot()
    text = lab.config_file.read_text()
    lab.config_file.write_text(text.replace('line = "up0"', 'line = "cam0"'))
    done = lab.pasu("tunnel", "up", check=False)
    assert done.returncode == 78
    assert "TUNNEL_LINE_CAMERA" in done.stderr
    lab.config_file.write_text(text)
    lab._do("ip", "-n", lab.box, "address", "add", "10.77.0.200/24", "dev", "cam0")
    done = lab.pasu("tunnel", "up", check=False)
    assert "TUNNEL_OVERLAP" in done.stderr
    assert not lab.is_there()
