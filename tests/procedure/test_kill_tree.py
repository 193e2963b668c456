"""A1, A3: kill -9 of the whole process tree at random moments: what is missing is little, known, and needs nobody.

Frames are accounted for by the cameras' own ledgers (tests.lab, tests.checker), never by the recorder's word.
"""

from __future__ import annotations

import hashlib
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests import nal
from tests.checker import Verdict, check
from tests.lab import ROOT, GstCameras, Site, machine, prepared_clip

if TYPE_CHECKING:
    from pathlib import Path

LOSS_WINDOW_S = 1.0
MOST_LOST_MS = round((LOSS_WINDOW_S + 0.5) * 1000)


@dataclass(frozen=True)
class Outcome:
    """What a series of kills cost, per camera and kill.

    lost_ms     video before the kill that no file holds
    claimed_ms  how long before the kill its gap begins: the catalogue claims only what is certain
    """

    kills: int
    lost_ms: dict[str, list[float]]
    claimed_ms: dict[str, list[float]]
    verdicts: dict[str, Verdict]
    salvaged: int
    committed: int


def kill_often(folder: Path, kills: int, seed: int) -> Outcome:
    chance = random.Random(seed)
    fast = GstCameras(
        folder / "fast", "--clip", str(prepared_clip(1280, 720, 30, 4000, 20, 1)), "--cameras", "2"
    )
    slow = GstCameras(
        folder / "slow",
        "--clip",
        str(prepared_clip(320, 240, 15, 256, 20, 1)),
        "--cameras",
        "2",
        "--fps",
        "15",
    )
    moments: list[tuple[int, bool]] = []
    with fast, slow:
        urls = {f"fast{number}": fast.url(number) for number in range(2)}
        urls |= {f"slow{number}": slow.url(number) for number in range(2)}
        site = Site(folder / "site", urls, segment_s=5, loss_window_s=LOSS_WINDOW_S)
        with site:
            for _ in range(kills):
                # One kill in five falls anywhere, start-up and salvage included; the others while all cameras record.
                settled = chance.random() < 0.8
                if settled:
                    site.wait_recording()
                time.sleep(chance.uniform(0.0, 6.0 if settled else 1.5))
                moments.append((site.kill(), settled))
                time.sleep(chance.uniform(0.0, 1.0))
                site.start()
            site.wait_recording()
            time.sleep(3)
            assert site.stop() == 0, site.log[-3000:]

    verdicts = {}
    lost: dict[str, list[float]] = {}
    claimed: dict[str, list[float]] = {}
    for camera in urls:
        cameras, number = (fast, int(camera[-1])) if camera.startswith("fast") else (slow, int(camera[-1]))
        verdict = check(cameras.ledger(number), site.stored(camera), site.gaps(camera))
        print(f"{camera}: {verdict.summary()}")
        verdict.clean()
        verdicts[camera] = verdict
        settled_ms = [at_ms for at_ms, settled in moments if settled]
        lost[camera] = [verdict.lost_before(at_ms) for at_ms in settled_ms]
        claimed[camera] = [
            next(at_ms - gap.start_ms for gap in site.gaps(camera) if gap.start_ms <= at_ms <= gap.end_ms)
            for at_ms in settled_ms
        ]
    the_catalogue_agrees_with_the_disk(site)
    segments = site.segments()
    return Outcome(
        kills,
        lost,
        claimed,
        verdicts,
        sum(segment.state == "SALVAGED" for segment in segments),
        sum(segment.state == "COMMITTED" for segment in segments),
    )


def the_catalogue_agrees_with_the_disk(site: Site) -> None:
    """Each row's file is there, as large and with the hash the row says; each file has a row; nothing is left open."""
    rows = site.rows("select path, sealed_bytes, sha256 from segment")
    for path, size, digest in rows:
        data = (site.vault / str(path)).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest), path
        assert nal.STAMP not in data, f"{path} holds pictures in clear"
    files = {
        path.relative_to(site.vault).as_posix()
        for path in (site.vault / "segments").rglob("*")
        if path.is_file()
    }
    unknown = files - {str(path) for path, _, _ in rows}
    assert all(name.endswith(".salvaged.mp4.age.tail") for name in unknown), unknown
    sequence = [row[0] for row in site.rows("select seq from ledger order by seq")]
    assert sequence == list(range(1, len(sequence) + 1)), "the ledger has a hole"


def within_bounds(outcome: Outcome) -> None:
    for camera, lost in outcome.lost_ms.items():
        claimed = outcome.claimed_ms[camera]
        print(
            f"{camera}: lost before a kill: median {statistics.median(lost):.0f} ms, most {max(lost):.0f} ms;"
            f" the gap begins {max(claimed):.0f} ms before it at most"
        )
        assert max(lost) <= MOST_LOST_MS, f"{camera} lost {max(lost):.0f} ms of video"
    for verdict in outcome.verdicts.values():
        causes = {cause for _, cause in verdict.excused}
        assert causes <= {"agent_killed"}, causes


def test_the_whole_tree_killed_eight_times(tmp_path):
    within_bounds(kill_often(tmp_path, 8, seed=20261121))


@pytest.mark.campaign
def test_the_whole_tree_killed_fifty_times(tmp_path):
    outcome = kill_often(tmp_path, 50, seed=3)
    text = (
        "# The whole process tree killed 50 times\n\n"
        f"`make campaign`, {time.strftime('%Y-%m-%d', time.gmtime())}; {machine()}.\n"
        "Cameras by GStreamer's RTSP server: fast 1280x720 at 30 fps and 4 Mbit/s, slow 320x240 at 15 fps and"
        f" 256 kbit/s; segments of 5 s, loss window {LOSS_WINDOW_S} s; allowed: {MOST_LOST_MS} ms.\n\n"
        f"Segments: {outcome.committed} committed, {outcome.salvaged} salvaged; all opened with `age`.\n\n"
        "| camera | kills while recording | median lost, ms | most lost, ms | gap begins at most, ms before | frames stored | in gaps | unexplained | doubled |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for camera, lost in outcome.lost_ms.items():
        verdict = outcome.verdicts[camera]
        text += (
            f"| {camera} | {len(lost)} | {statistics.median(lost):.0f} | {max(lost):.0f}"
            f" | {max(outcome.claimed_ms[camera]):.0f} | {len(verdict.stored)}"
            f" | {len(verdict.excused)} | {len(verdict.unexplained)} | {len(verdict.doubled)} |\n"
        )
    (ROOT / "docs/evidence/kill-tree.md").write_text(text)
    within_bounds(outcome)
