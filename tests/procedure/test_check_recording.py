"""A check beside a recorder, and after a disk that lied: nothing live is touched, nothing is called present that is not."""

from __future__ import annotations

import random

import pyrage
import pytest

from agent.model import GapCause, Instant, Span, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from agent.storage.keep import tend
from agent.storage.keep.check import Check, Selection
from agent.storage.keep.check_findings import Done, Level, What
from tests.unit.storage.box import SECRET, T0, Box, pattern, start

SEGMENT_MS = 1000
CAMERAS = ("cam1", "cam2")


def record(recorder, first: int, last: int) -> None:
    for number in range(first, last):
        at_ms = T0 + number * SEGMENT_MS
        for camera in CAMERAS:
            recorder.begin(start(camera, at_ms))
            recorder.write(camera, b"init", at_ms, 0)
            recorder.write(camera, pattern(90_000, number), at_ms + SEGMENT_MS, 30)
        recorder.flush()
        for camera in CAMERAS:
            recorder.end(camera, at_ms + SEGMENT_MS)


def check(box: Box, *, repair: bool = True) -> Check:
    catalogue = Catalogue.open(box.state)
    try:
        made = Check(
            catalogue,
            {box.vault.uuid: box.vault},
            box.state,
            Selection("all", Level.DIGESTS),
            box.clock.now,
            disk=Disk(),
            repair=repair,
            restart=True,
        )
        assert made.run(lambda: True)
    finally:
        catalogue.close()
    return made


def test_a_check_that_repairs_touches_nothing_of_a_live_recorder(tmp_path) -> None:
    """B13: files on their way to their rows are no orphans. The box's clock is a year ahead: no file looks young."""
    box = Box(tmp_path / "box", CAMERAS)
    recorder = box.recorder()
    rounds = 0
    try:
        for number in range(0, 120, 4):
            record(recorder, number, number + 4)
            while recorder.backlog_bytes() > 2_000_000:
                found = check(box).tally.findings
                assert found == [], found
                rounds += 1
            assert check(box).tally.findings == []
            rounds += 1
    finally:
        assert recorder.close(30)
    assert rounds >= 30
    assert check(box).tally.findings == []
    assert len(box.rows()) == 240
    assert "segment.quarantined" not in box.kinds()
    assert "segment.lost" not in box.kinds()
    box.check()


@pytest.mark.parametrize("seed", range(6))
def test_after_a_disk_that_lied_every_answer_is_true(tmp_path, seed) -> None:
    """B8: the newest files lose their end, their bytes or their names in a loss of power, though fsync said otherwise."""
    chance = random.Random(seed)
    box = Box(tmp_path / "box", CAMERAS)
    recorder = box.recorder()
    record(recorder, 0, 12)
    assert recorder.close(30)
    rows = box.rows()
    hit = {}
    for row in rows:
        if row.start_ms < T0 + 9 * SEGMENT_MS or chance.random() < 0.3:
            continue
        place = box.file(row)
        hit[row.path] = how = chance.choice(["gone", "empty", "cut", "zeros"])
        if how == "gone":
            place.unlink()
        elif how == "zeros":
            at = chance.randrange(300, row.sealed_bytes // 4096) if row.sealed_bytes > 300 * 4096 else 1
            with place.open("r+b") as file:
                file.seek(at * 4096)
                file.write(bytes(8192))
        else:
            with place.open("r+b") as file:
                file.truncate(0 if how == "empty" else chance.randrange(1, row.sealed_bytes))
    assert hit
    box.prepare()
    # The keeper finds all of it soon after the boot, and says by itself what is lost for certain.
    catalogue = Catalogue.open(box.state)
    vaults = {box.vault.uuid: box.vault}
    now = Instant(box.clock.utc_ms, Trust.SYNCED)
    done = [tend.tend(catalogue, vaults, box.state, now, 60.0, boot="after") for _ in CAMERAS]
    catalogue.close()
    found = {finding.path: finding for each in done for finding in each.findings}
    assert set(found) == set(hit)
    for path, how in hit.items():
        assert found[path].done is {"gone": Done.LOST, "empty": Done.QUARANTINED}.get(how, Done.NOTHING)
        assert (
            found[path].what
            in {
                "gone": {What.MISSING},
                "empty": {What.SIZE},
                "cut": {What.SIZE, What.HEADER},
                "zeros": {What.DIGEST},
            }[how]
        )
    # What else is damaged a person repairs; then no answer is wrong.
    assert check(box).tally.still == 0
    present = box.rows()
    assert {row.path for row in present} == {row.path for row in rows} - set(hit)
    for row in present:
        number = (row.start_ms - T0) // SEGMENT_MS
        assert pyrage.decrypt(box.file(row).read_bytes(), [SECRET]) == b"init" + pattern(90_000, number)
    gaps = [gap for gap in box.gaps() if gap.cause is GapCause.SEGMENT_LOST]
    assert {(gap.camera, gap.span) for gap in gaps} == {
        (row.camera, row.span) for row in rows if row.path in hit
    }
    for camera in CAMERAS:
        known = [row.span for row in present if row.camera == camera]
        known += [gap.span for gap in gaps if gap.camera == camera]
        for number in range(12):
            moment = Span(T0 + number * SEGMENT_MS, T0 + number * SEGMENT_MS + 1)
            assert any(span.overlaps(moment) for span in known)
