"""A9: the power supply says that it will not last, under sixteen cameras."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

from tests.lab import GstCameras, Site, prepared_clip

if TYPE_CHECKING:
    from pathlib import Path

CAMERAS = 16
CLOSED_S = 5.0
GENEROUS = 2.0  # the bound is the requirement; the machine may be busy


def test_a9_every_segment_is_closed_and_committed_before_the_power_goes(tmp_path: Path) -> None:
    clip = prepared_clip(640, 360, 15, 500, 10, 1)
    options = ("--clip", str(clip), "--cameras", str(CAMERAS), "--fps", "15")
    with GstCameras(tmp_path / "cameras", *options) as cameras:
        urls = {f"cam{number:02d}": cameras.url(number) for number in range(CAMERAS)}
        with Site(tmp_path / "site", urls, segment_s=60) as site:
            site.wait_recording(bound_s=60)
            time.sleep(3)
            assert site.process is not None
            begun = time.monotonic()
            os.kill(site.process.pid, signal.SIGPWR)
            status = site.process.wait(60)
            took_s = time.monotonic() - begun
            print(f"{CAMERAS} cameras closed and committed {took_s:.2f} s after SIGPWR (bound {CLOSED_S} s)")
            assert status == 0, site.log[-3000:]
            site.process = None
            assert took_s <= CLOSED_S * GENEROUS
            body = site.rows("select kind, body from ledger order by seq desc limit 1")[0]
            assert body[0] == "box.stopped"
            said = json.loads(str(body[1]))
            assert (said["clean"], said["reason"]) == (True, "power")
            assert {segment.camera for segment in site.segments()} == set(urls)
            assert {segment.state for segment in site.segments()} == {"COMMITTED"}
            assert not [path for path in site.vault.rglob("*") if path.suffix in (".part", ".tail")]

            site.start()
            site.wait_recording(bound_s=60)
            assert site.stop() == 0
    assert {gap.cause for name in urls for gap in site.gaps(name)} == {"agent_stopped"}
    assert json.loads(
        str(site.rows("select body from ledger where kind = 'box.stopped' order by seq desc")[0][0])
    )["reason"] == ("asked")
