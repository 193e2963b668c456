"""Nothing leaves a real box past its tunnel, with systemd, its units, and the kernel's own WireGuard.

Set-up    a box that is enrolled with a tunnel, `line` named in [tunnel], pasu-egress, pasu-tunnel and pasu-uplink
          enabled by systemd, the hub and its broker reachable. As root.
Run       python hardware_tests/tunnel_systemd.py [--config /etc/pasu/agent.toml] [--rounds 20]
Expected  of all frames that leave by the line none but WireGuard to the endpoint, ARP and DHCP, over restarts, kills
          and the interface deleted; the uplink connected again after each; a process with the uplink's limits, which
          binds to nothing, reaches nobody by the line, also while the nftables rules are away (systemd's own lines).
Writes    docs/evidence/hardware/tunnel-<machine>.md
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from bench import box, conclude, need, options
from bench import run as start

from agent.health.files import folder_of
from agent.tunnel import keys

BACK_S = 120.0
OUTGOING = 4
LEAK = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'leak', ({!r}, 9))"


def run(*command: str, check: bool = True) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check).stdout


class Line:
    """Counts frames that leave by an interface."""

    def __init__(self, interface: str, endpoint: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind((interface, 0))
        self._endpoint, self._port = endpoint, port
        self.counts: Counter[str] = Counter()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                frame, address = self._socket.recvfrom(65536)
            except OSError:
                time.sleep(0.05)
                continue
            if address[2] == OUTGOING:
                self.counts[self._kind(frame)] += 1

    def _kind(self, frame: bytes) -> str:
        kind = frame[12:14]
        if kind == b"\x08\x06":
            return "arp"
        if kind != b"\x08\x00":
            return f"ethertype {kind.hex()}"
        start = 14 + (frame[14] & 15) * 4
        source, port = (int.from_bytes(frame[place : place + 2], "big") for place in (start, start + 2))
        if frame[23] == 17 and (socket.inet_ntoa(frame[30:34]), port) == (self._endpoint, self._port):
            return "wireguard"
        return (
            "dhcp"
            if frame[23] == 17 and (source, port) == (68, 67)
            else f"ip protocol {frame[23]} port {port}"
        )


def connected(run_folder: Path) -> bool:
    try:
        said = json.loads((folder_of(run_folder, "uplink") / "uplink.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(said["connected"]) and time.clock_gettime(time.CLOCK_BOOTTIME) - said["boot_ms"] / 1000 < 10


def wait_back(run_folder: Path) -> float:
    """Return after how many seconds the uplink was connected again; infinity when it never was."""
    began = time.monotonic()
    time.sleep(3)
    while time.monotonic() - began < BACK_S:
        if connected(run_folder):
            return time.monotonic() - began
        time.sleep(0.5)
    return float("inf")


def refused(to: str) -> bool:
    """Tell whether a process with the uplink's group and limits is refused what it sends past the tunnel."""
    properties = ("RestrictNetworkInterfaces", "IPAddressDeny", "IPAddressAllow", "Group", "User")
    said = run("systemctl", "show", "pasu-uplink", *(f"-p{name}" for name in properties)).splitlines()
    limits = [f"-p{line}" for line in said if not line.endswith("=")]
    command = ["systemd-run", "--quiet", "--wait", "--pipe", *limits, sys.executable, "-c", LEAK.format(to)]
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def test() -> int:
    given = options(
        __doc__,
        ("--config", {"type": Path, "default": Path("/etc/pasu/agent.toml")}),
        ("--rounds", {"type": int, "default": 20}),
    )
    config = box(given.config)
    terms = keys.load(config.storage.state)
    need(
        config.tunnel is not None and config.tunnel.line is not None and terms is not None,
        "the box needs a tunnel, and `line` in [tunnel]: pasu centre tunnel init, pasu enrol",
    )
    interface, folder = config.tunnel.interface, config.storage.run
    line = Line(config.tunnel.line, terms.host, terms.port)
    transitions = {
        "restart pasu-uplink": ("systemctl", "restart", "pasu-uplink"),
        "kill pasu-uplink": ("systemctl", "kill", "-s", "KILL", "pasu-uplink"),
        "restart pasu-tunnel": ("systemctl", "restart", "pasu-tunnel"),
        "kill pasu-tunnel": ("systemctl", "kill", "-s", "KILL", "pasu-tunnel"),
        "delete the interface": ("ip", "link", "delete", "dev", interface),
        "load the rules again": ("systemctl", "restart", "pasu-egress"),
    }
    done: Counter[str] = Counter()
    slowest = 0.0
    for _ in range(given.rounds):
        name = random.choice([*transitions])
        run(*transitions[name], check=False)
        done[name] += 1
        slowest = max(slowest, wait_back(folder))
    kinds = dict(line.counts)
    with_rules = refused(terms.host)
    run("systemctl", "stop", "pasu-tunnel", check=False)
    run("nft", "delete", "table", "inet", "pasu_egress", check=False)
    without_rules = refused(terms.host)
    run("systemctl", "restart", "pasu-egress", "pasu-tunnel", "pasu-uplink", check=False)
    outside = {kind: count for kind, count in kinds.items() if kind not in ("arp", "wireguard", "dhcp")}
    good = not outside and kinds.get("wireguard", 0) > 0 and slowest < BACK_S and with_rules and without_rules
    kernels = "wireguard" in run("ip", "-d", "link", "show", "dev", interface, check=False)
    seen = {
        "WireGuard": "the kernel's" if kernels else "wireguard-go",
        "transitions": json.dumps(done),
        "frames that left by the line": json.dumps(kinds),
        "slowest return of the uplink": f"{slowest:.0f} s",
        "refused past the tunnel": f"with the rules {with_rules}, by systemd alone {without_rules}",
    }
    return conclude(given, "The tunnel under systemd", seen, good)


if __name__ == "__main__":
    start(test)
