"""C4: a box on which an era of some clock ends: files, rows and labels."""

from __future__ import annotations

import pytest

from agent.model import Span, Trust, parse_utc_name, utc_name
from agent.storage.layout import classify
from tests.unit.capture.test_camera import Scene
from tests.unit.clocks import FakeSource
from tests.unit.keep.test_time import Site
from tests.unit.storage.box import Box, pattern, start
from tests.unit.test_trust import ERAS

DAY_MS = 86_400_000
ALL_ERAS = {"1970": 10_000, **ERAS}


@pytest.mark.parametrize("base", ALL_ERAS.values(), ids=ALL_ERAS)
def test_c4_segments_are_stored_and_found_over_the_end_of_an_era(tmp_path, base):
    """The first ends before the moment, the second lies across it, the third after it."""
    box = Box(tmp_path / "box")
    starts = [max(0, base - 9000), max(0, base - 3000), base + 3000]
    box.clock.utc_ms = starts[0]
    recorder = box.recorder()
    for number, (at_ms, until_ms) in enumerate(zip(starts, [*starts[1:], base + 9000], strict=True)):
        box.clock.utc_ms = at_ms
        recorder.begin(start(at_ms=at_ms))
        recorder.write("cam1", b"init", at_ms, 0)
        recorder.write("cam1", pattern(70_000, number), until_ms, 90)
        recorder.end("cam1", until_ms)
    assert recorder.close(30)
    rows = box.rows()
    assert [row.start_ms for row in rows] == starts
    assert [row.end_ms for row in rows] == [*starts[1:], base + 9000]
    for row in rows:
        _, _, day, name = row.path.split("/")
        found = classify("cam1", day, name)
        assert found is not None
        assert found[0].start_ms == row.start_ms
        assert parse_utc_name(utc_name(row.start_ms)) == row.start_ms
    box.check()
    box.clock.utc_ms = base + 60_000
    box.prepare()
    assert box.gaps() == []
    assert Span(starts[0], base + 9000).length_ms == sum(row.end_ms - row.start_ms for row in rows)


@pytest.mark.parametrize("base", ALL_ERAS.values(), ids=ALL_ERAS)
def test_c4_a_camera_is_recorded_over_the_end_of_an_era(base):
    scene = Scene()
    scene.wall_ms = base - 2000
    scene.pictures(100)
    scene.end()
    (segment,) = scene.recorder.committed
    assert (segment.start.start.utc_ms, segment.end_ms) == (base - 2000, base + 2000)
    assert scene.kinds() == ["camera.connected", "camera.lost"]


@pytest.mark.parametrize("base", ERAS.values(), ids=ERAS)
def test_c4_doubt_is_settled_over_the_end_of_an_era(tmp_path, base):
    site = Site(tmp_path / "state", FakeSource(base - 90_000))
    site.confirm()
    site.tick()
    site.source.step(20 * DAY_MS)
    site.tick()
    site.record(minutes=3)
    site.source.step(-20 * DAY_MS)
    assert site.tick().trust is Trust.HOLDOVER
    assert site.settle() == 3
    assert [row[4] for row in site.rows()] == [row[0] for row in site.rows()]
    assert site.rows()[0][0] < base < site.rows()[-1][1]
    site.catalogue.close()
