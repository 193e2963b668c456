"""A5: power that comes and goes, also while the last cut is being put in order: one end, no boot loop, and it is told."""

from __future__ import annotations

import random
import re
import shutil
import time

from tests.checker import check
from tests.lab import GstCameras, Site, prepared_clip, wait_for
from tests.procedure.test_kill_tree import the_catalogue_agrees_with_the_disk
from tests.procedure.test_salvage_kill import at_root, quarantined, wreck

CUTS = 50
SEED = 5


def test_a5_fifty_cuts_in_quick_succession_come_to_the_same_end_as_none(tmp_path):
    """A vault that a crash left in every state there is, and two cameras, of which each cut leaves something more."""
    wrecked = wreck(tmp_path)
    untouched = tmp_path / "untouched"
    shutil.copytree(wrecked.root, untouched, symlinks=True)
    reference = at_root(wrecked, untouched)
    reference.salvage()

    chance = random.Random(SEED)
    cameras = GstCameras(
        tmp_path / "cameras", "--clip", str(prepared_clip(640, 360, 30, 1000, 10, 1)), "--cameras", "2"
    )
    in_start = 0
    with cameras:
        site = Site(wrecked.root, {f"live{n}": cameras.url(n) for n in range(2)}, segment_s=5)
        with site:
            for cut in range(CUTS):
                before = len(site.facts("box.started"))
                if cut % 2:  # anywhere in the start, salvage included
                    time.sleep(chance.uniform(0.0, 0.7))
                elif cut % 10:  # while workers start
                    wait_for("a start", lambda before=before: len(site.facts("box.started")) > before)
                    time.sleep(chance.uniform(0.0, 0.5))
                else:  # while they record
                    site.wait_recording()
                    time.sleep(chance.uniform(0.0, 1.0))
                site.kill()
                in_start += len(site.facts("box.started")) == before
                site.start()
            site.wait_recording()
            time.sleep(1)
            assert site.stop() == 0, site.log[-3000:]

    print(f"{CUTS} cuts, {in_start} of them before the start was through")
    flaps = [body["starts"] for _, _, body in site.facts("box.flapping")]
    assert flaps, "nobody was told"
    assert max(flaps) >= 5
    for number in range(2):
        verdict = check(cameras.ledger(number), site.stored(f"live{number}"), site.gaps(f"live{number}"))
        print(f"live{number}: {verdict.summary()}")
        verdict.clean()
        assert {cause for _, cause in verdict.excused} <= {"agent_killed", "worker_lost"}
    the_catalogue_agrees_with_the_disk(site)
    left = [(row.path, row.state, row.sha256) for row in wrecked.rows() if row.camera.startswith("cam")]
    assert left == [(row.path, row.state, row.sha256) for row in reference.rows()]
    # A cut at C1 leaves a live camera's file without a whole chunk; all else is as it would be.
    ours = [each for each in quarantined(wrecked) if not re.fullmatch(r"live\d\..*\.mp4\.age\.part", each[0])]
    assert ours == quarantined(reference)
