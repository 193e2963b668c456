"""K1: the processor is taken by others, four busy loops on each core. Sixteen cameras are recorded without a loss.

The relay runs with the niceness of its unit, beside the recorder with the recorder's. What is offered comes over TCP
from cameras which, like real ones, do not run on the box: they have a priority of their own. CI asserts that nothing is
lost; how much of the live picture the relay left out meanwhile is told, and written by the campaign with heavier loads.
That what is shown is what gives way is asserted of a listener that gets no processor at all: it loses pictures of the
very camera of which the recording has each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from agent.demo.ledger import read_frames
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.checker import Frame, check
from tests.contract.test_relay_rogue import Rogue, refuse_by
from tests.evidence import write_section
from tests.lab import ROOT, Site, cpu_s, wait_for
from tests.live import Ear

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOOPS = 4
"""Busy loops per core, as the row has it."""
CI_S, CAMPAIGN_S = 8.0, 120.0
FPS, CLOCK_HZ = 15, 90_000
HEAVY = 4
HEAVY_BITS_S = 8_000_000
"""Of one camera more than the others: so that within CI_S more comes than is kept for who does not read."""
HEAD = """
# A processor that others take (K1)

`pytest --campaign tests/peers/test_starved.py`. Sixteen virtual cameras, two of them relayed by a process with the
niceness of the uplink's unit, beside busy loops of niceness 0. The share is what the scheduler gives to one of many:
the units' `CPUWeight=` is not in force here.
"""
RELAY = """
import json, sys, time
from agent.uplink.relaying import Relays, media_url
from agent.uplink.streams import Want

def now_s():
    return time.clock_gettime(time.CLOCK_BOOTTIME)

relays = Relays({"": media_url(sys.argv[2])}, "gn-1", sys.argv[1], now_s)
relays.want({(camera, ""): Want(now_s() + 3600) for camera in sys.argv[3:]})
while True:
    time.sleep(0.5)
    print(json.dumps([[each["flowing"], each["sheds"], each["left_out"]] for each in relays.state()]), flush=True)
"""


def niceness(unit: str) -> int:
    """Return the niceness that a unit gives."""
    found = re.search(r"^Nice=(-?\d+)$", (ROOT / "systemd" / unit).read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """Take the processor for a while."""
    running = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


class Relay:
    """Two cameras are shown, by a process of its own."""

    def __init__(self, site: Site, media: str, cameras: Sequence[str]) -> None:
        nice = niceness("pasu-uplink.service") - niceness("pasu-record.service")
        assert nice > 0, "what is shown gives way to what is recorded"
        self._log = (site.folder / "relay.log").open("w")
        self.process = subprocess.Popen(
            [
                "nice",
                "-n",
                str(nice),
                sys.executable,
                "-c",
                RELAY,
                str(site.run),
                media,
                *cameras,
            ],
            stdout=self._log,
            stderr=self._log,
            cwd=ROOT,
        )
        self._file = site.folder / "relay.log"

    def said(self) -> list[list[Any]]:
        lines = self._file.read_text().splitlines()
        return (
            json.loads(lines[-1]) if lines and lines[-1].startswith("[") and lines[-1].endswith("]") else []
        )

    def flowing(self) -> int:
        return sum(bool(each[0]) for each in self.said())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()


def starve(folder: Path, loops: int, seconds: float, bitrate: int) -> list[str]:
    """Record under load; assert that nothing is lost, and return what it was like."""
    specs = [
        CameraSpec(number, width=320, height=240, fps=FPS, gop=FPS, bitrate=bitrate, prepared=True)
        for number in range(1, 17)
        if number != HEAVY
    ]
    specs.append(CameraSpec(HEAVY, fps=FPS, gop=FPS, bitrate=max(bitrate, HEAVY_BITS_S), prepared=True))
    with CameraProcess(specs, folder / "ledger") as cameras, Rogue(refuse_by("OPTIONS", "500 No")) as media:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, cameras.pid, -10)
        urls = {each.name: cameras.urls[each.number] for each in specs}
        site = Site(folder / "site", urls, segment_s=5)
        media_at = f"rtsp://127.0.0.1:{media.port}"
        uplink = f'[uplink]\nbroker = "mqtts://127.0.0.1:1"\nmedia = "{media_at}"\n'
        site.config.write_text(site.config.read_text() + uplink)
        with site:
            site.wait_recording(bound_s=120)
            relay = Relay(site, media_at, ["cam02", "cam03"])
            try:
                wait_for("both to be shown", lambda: relay.flowing() == 2, 120)
                carried, spent, begun = media.carried, cpu_s(site.pids()), time.monotonic()
                count = len(site.segments())
                late = Ear(site.run, specs[-1].name)
                with busy(loops):
                    # What must be there is stored under the load, however long a starved machine takes to it.
                    wait_for("the load's time", lambda: time.monotonic() - begun >= seconds, 600)
                    wait_for(
                        "what is stored meanwhile", lambda: len(site.segments()) >= count + len(specs), 300
                    )
                    core = (cpu_s(site.pids()) - spent) / (time.monotonic() - begun)
                    shown = (media.carried - carried) / (time.monotonic() - begun)
                    told = relay.said()
                assert relay.process.poll() is None
                late.hear(10 * FPS, 120)
                late.close()
            finally:
                relay.close()
            assert site.stop(120) == 0
        cameras.command("flush")
    stored = excused = kept_back = 0
    for each in specs:
        lines = read_frames(folder / "ledger" / f"{each.name}.frames.jsonl")
        kept_back += sum(line.dropped for line in lines)
        offered = [Frame(one.frame, one.utc_ms, one.keyframe, one.sha256, one.sessions > 0) for one in lines]
        verdict = check(
            offered,
            site.stored(each.name),
            site.gaps(each.name),
            digest=lambda data: hashlib.sha256(data).hexdigest(),
        )
        verdict.clean()
        stored += len(verdict.stored)
        excused += len(verdict.excused)
    lines = [
        f"- {loops} busy loops on {os.cpu_count()} cores for {seconds:.0f} s, 15 cameras at {bitrate // 1000} kbit/s, one at {specs[-1].bitrate // 1000}",
        f"- pictures stored {stored}, lost {excused}, held back by the cameras because nobody read them {kept_back}",
        f"- the recorder had {core:.2f} of a core; {shown * 8 / 1000:.0f} kbit/s of {2 * bitrate // 1000} were shown live",
        f"- of what was to be shown {sum(each[2] for each in told)} pictures were left out, in {sum(each[1] for each in told)} holes",
    ]
    print(*lines, sep="\n")
    assert excused == 0
    assert kept_back == 0
    # By their times: so many packets are left out that the hole in their numbers is taken for another begin.
    after = [two for one, two in pairwise(late.units) if two.timestamp - one.timestamp > 1.5 * CLOCK_HZ / FPS]
    assert after, "who got no processor lost pictures, and nobody else"
    assert all(unit.keyframe and not unit.damaged for unit in after), "whole stretches, up to a keyframe"
    return lines


def test_k1_a_starved_processor_costs_no_picture(tmp_path: Path) -> None:
    starve(tmp_path, LOOPS * (os.cpu_count() or 1), CI_S, 256_000)


@pytest.mark.campaign
@pytest.mark.parametrize("loops", [4, 8, 16])
@pytest.mark.parametrize("bitrate", [1_000_000, 4_000_000])
def test_k1_heavier_loads(tmp_path: Path, loops: int, bitrate: int) -> None:
    lines = starve(tmp_path, loops * (os.cpu_count() or 1), CAMPAIGN_S, bitrate)
    write_section("starved.md", HEAD, f"{loops} loops per core, {bitrate // 1_000_000} Mbit/s", lines)
