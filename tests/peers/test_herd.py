"""D16: sixteen cameras come back at once, as after a switch that rebooted. All are recorded again, and each hole is told.

Two ways in which they were away: their ports were closed, and they said nothing while every connection stood. The row
asks for ten seconds. How long it took is written by the campaign; CI judges no time, only that all come back, that the
processor was not kept busy by it, and that no picture is missing without a gap.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from agent.demo.ledger import read_frames
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.checker import Frame, check
from tests.evidence import write_section
from tests.lab import Site, cpu_s, wait_for

if TYPE_CHECKING:
    from pathlib import Path

CAMERAS = [
    CameraSpec(number, width=320, height=240, fps=15, gop=15, bitrate=256_000, prepared=True)
    for number in range(1, 17)
]
AWAY_S = 5.0
BUSY = 0.5
"""Of a core. Recording them takes a few hundredths; a herd that tries without a pause takes all of one."""
HEAD = """
# Sixteen cameras that come back at once (D16)

`pytest --campaign tests/peers/test_herd.py`. Seconds from the moment at which the cameras answer again to each one's
first recorded picture. The row asks for ten.
"""


class Herd:
    """A recorder and its cameras, which go and come back together."""

    def __init__(self, site: Site, cameras: CameraProcess) -> None:
        self.site, self.cameras = site, cameras
        self.took_s: list[float] = []
        self.busy: list[float] = []

    def close_ports(self) -> int:
        self.cameras.command("reboot", seconds=AWAY_S)
        return time.time_ns() // 1_000_000 + round(AWAY_S * 1000)

    def say_nothing(self) -> int:
        os.kill(self.cameras.pid, signal.SIGSTOP)
        try:
            wait_for("that all are missed", lambda: not self.recording(), 120)
        finally:
            os.kill(self.cameras.pid, signal.SIGCONT)
        return time.time_ns() // 1_000_000

    def recording(self) -> list[str]:
        return [camera for camera, state in self.site.states().items() if state == "recording"]

    def leave_and_return(self, way: str) -> None:
        """Let all go, and wait until all are recorded again."""
        gaps = {camera: len(self.site.gaps(camera)) for camera in self.site.cameras}
        pids = self.site.pids()
        spent, begun = cpu_s(pids), time.monotonic()
        back_ms = WAYS[way](self)
        wait_for(
            "a gap of each",
            lambda: all(len(self.site.gaps(name)) > before for name, before in gaps.items()),
            120,
        )  # it is written when the camera is back
        self.site.wait_recording(bound_s=120)
        self.busy.append((cpu_s(pids) - spent) / (time.monotonic() - begun))
        assert {*pids} <= {*self.site.pids()}, "no process was lost over it"
        for name in gaps:
            self.took_s.append((self.site.gaps(name)[-1].end_ms - back_ms) / 1000)


WAYS = {"ports closed": Herd.close_ports, "silent": Herd.say_nothing}


def run(folder: Path, way: str, times: int) -> Herd:
    """Let them leave and return so many times, and account for every picture."""
    with CameraProcess(CAMERAS, folder / "ledger") as cameras:
        urls = {each.name: cameras.urls[each.number] for each in CAMERAS}
        with Site(folder / "site", urls, segment_s=10) as site:
            herd = Herd(site, cameras)
            site.wait_recording(bound_s=120)
            for number in range(times):
                count = len(site.segments())
                wait_for("something that is stored", lambda many=count: len(site.segments()) > many, 120)
                herd.leave_and_return(way)
                assert len(site.facts("camera.lost")) == len(CAMERAS) * (number + 1), "one outage is one fact"
            wait_for("what came after", lambda: all(site.committed(each.name, 2) for each in CAMERAS), 120)
            assert site.stop() == 0
        cameras.command("flush")
    stored = 0
    for each in CAMERAS:
        offered = [
            Frame(one.frame, one.utc_ms, one.keyframe, one.sha256, one.sessions > 0)
            for one in read_frames(folder / "ledger" / f"{each.name}.frames.jsonl")
        ]
        verdict = check(
            offered,
            site.stored(each.name),
            site.gaps(each.name),
            digest=lambda data: hashlib.sha256(data).hexdigest(),
        )
        verdict.clean()
        stored += len(verdict.stored)
    assert stored > len(CAMERAS) * 15 * 5
    return herd


@pytest.mark.parametrize("way", WAYS)
def test_d16_sixteen_cameras_come_back_at_once(tmp_path: Path, way: str) -> None:
    herd = run(tmp_path, way, 1)
    print(f"{way}: {max(herd.took_s):.1f} s at most, {herd.busy[0]:.2f} of a core")
    assert max(herd.busy) < BUSY


@pytest.mark.campaign
@pytest.mark.parametrize("way", WAYS)
def test_d16_sixteen_cameras_come_back_twenty_times(tmp_path: Path, way: str) -> None:
    herd = run(tmp_path, way, 20)
    took = sorted(herd.took_s)
    lines = [
        f"- {len(took)} returns of {len(CAMERAS)} cameras in {len(herd.busy)} outages",
        f"- seconds until recorded again: median {took[len(took) // 2]:.2f}, worst {took[-1]:.2f}",
        f"- 99 in 100 are back within {took[len(took) * 99 // 100]:.2f} s",
        f"- of a core, outage and return: {sum(herd.busy) / len(herd.busy):.2f} on average, {max(herd.busy):.2f} at most",
    ]
    write_section("herd.md", HEAD, way, lines)
    assert max(herd.busy) < BUSY
