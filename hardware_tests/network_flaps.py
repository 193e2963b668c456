"""The network of the cameras goes away and comes back, again and again.

Set-up    either nothing: cameras in a network namespace of this machine, behind a virtual cable (as root); or the box's
          own interface to its cameras, and their addresses: --interface eth1 --url rtsp://10.0.0.11/main ...
Run       python hardware_tests/network_flaps.py [--flaps 20 --down 6]
Expected  after each return all cameras are recorded again within 10 s; an outage costs each camera one gap at most
          (none where it was so short that TCP sent again what was lost).
Writes    docs/evidence/hardware/network-flaps-<machine>.md
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time

from bench import ROOT, Recording, conclude, need, need_root, options, run, text

BACK_S = 10.0
HERE, THERE, SPACE = "pasu-flap0", "pasu-flap1", "pasu-flap"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


class Space:
    """Cameras behind a cable of our own."""

    def __init__(self, cameras: int) -> None:
        need_root()
        need(shutil.which("ip"), "iproute2 is not installed")
        subprocess.run(["ip", "netns", "del", SPACE], check=False, capture_output=True)
        ip("netns", "add", SPACE)
        ip("link", "add", HERE, "type", "veth", "peer", "name", THERE, "netns", SPACE)
        ip("addr", "add", "10.213.7.1/24", "dev", HERE)
        ip("link", "set", HERE, "up")
        ip("-n", SPACE, "addr", "add", "10.213.7.2/24", "dev", THERE)
        ip("-n", SPACE, "link", "set", THERE, "up")
        ip("-n", SPACE, "link", "set", "lo", "up")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", SPACE, sys.executable, "-m", "agent.demo.server", "--cameras", str(cameras),
             "--host", "10.213.7.2", "--port", "8600", "--prepared", "--size", "640x360"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        listening = json.loads(self.process.stdout.readline())
        self.urls = {f"cam{each['number']:02d}": each["url"] for each in listening["cameras"]}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        subprocess.run(["ip", "netns", "del", SPACE], check=False, capture_output=True)


def test() -> int:
    given = options(
        __doc__,
        ("--flaps", {"type": int, "default": 20}),
        ("--down", {"type": float, "default": 6.0}),
        ("--cameras", {"type": int, "default": 16}),
        ("--interface", {}),
        ("--url", {"action": "append"}),
    )
    need(bool(given.interface) == bool(given.url), "--interface and --url go together")
    space = None
    if given.interface:
        need_root()
        need(text(f"/sys/class/net/{given.interface}/operstate"), f"there is no {given.interface}")
        interface, urls = given.interface, {f"cam{n:02d}": url for n, url in enumerate(given.url, 1)}
    else:
        space = Space(given.cameras)
        interface, urls = HERE, space.urls
    took = []
    try:
        with Recording(None, urls=urls, segment_s=10) as recording:
            recording.wait_recording()
            for _ in range(given.flaps):
                time.sleep(2)
                before = len(recording.gaps())
                ip("link", "set", interface, "down")
                time.sleep(given.down)
                ip("link", "set", interface, "up")
                back_ms = time.time_ns() // 1_000_000
                recording.wait_recording()
                new = recording.gaps()[before:]
                took += [(end - back_ms) / 1000 for _, _, end, _ in new]
            recording.stop()
            gaps = recording.gaps()
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "set", interface, "up")
        if space is not None:
            space.close()
    took.sort()
    seen = {
        "cameras": f"{len(urls)} on {interface}, {'a cable of our own' if space else 'the box’s own'}",
        "outages": f"{given.flaps} of {given.down:g} s",
        "gaps": f"{len(gaps)}, {len(took)} of them seen to end; causes {sorted({gap[3] for gap in gaps})}",
        "recorded again": f"median {took[len(took) // 2]:.1f} s, at most {took[-1]:.1f} s"
        if took
        else "never missed",
    }
    return conclude(given, "A network that flaps", seen, bool(took) and took[-1] <= BACK_S)


if __name__ == "__main__":
    run(test)
