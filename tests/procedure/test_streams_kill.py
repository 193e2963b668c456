"""A2: kill -9 after each step of live streams that begin without a hand: each is told of once, and none runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.storage.keep.streams import REPORT_MS
from tests.procedure.dying import die_at
from tests.unit.keep.showing_box import CENTRE, Showing, camera

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MORE = (
    camera("cam3")
    + CENTRE
    + '[[stream]]\ncamera = "cam1"\ncentre = "office"\n'
    + '[[trigger]]\nid = "bell01"\nname = "벨"\nsource = "gpio://gpiochip0/1"\ncameras = ["cam1", "cam3"]\nminutes = 1\n'
)
WANTED = {"reason": "태풍 경보", "ground": "disaster", "centre": "office", "minutes": 1}


def life(box: Showing, step: Callable[[str], None]) -> None:
    """Go through a disaster, a bell and a selected camera, from their begin to their end."""
    box.start(step=lambda name: step(name) if name[0] in "VY" else None)
    box.turns()
    box.send("officer 1", "disaster.start", WANTED)
    box.turns()
    box.press()
    box.turns(2)
    box.pass_time(60_000)
    box.turns(2)
    box.configure(camera("cam3"))
    box.turns(3)


def test_a2_killed_after_each_step_everything_begins_and_ends_once(tmp_path: Path) -> None:
    """A2."""
    for at in range(200):
        box = Showing(tmp_path / f"{at}")
        box.keeper.close()
        box.configure(MORE)
        died = die_at(lambda step, box=box: life(box, step), at)
        _settle(box)
        _check(box, at)
        if not died:
            break
    else:
        pytest.fail("it never came to its end")
    assert at >= 30


def _settle(box: Showing) -> None:
    """Let another keeper bring all to its end."""
    box.start()
    box.turns(2)
    box.configure(camera("cam3"))
    box.pass_time(60_000)
    box.turns(2)
    box.pass_time(REPORT_MS)
    box.turns(2)


def _check(box: Showing, at: int) -> None:
    assert box.granted() == {}, f"step {at}"
    assert box.uplink.reports() == {}, f"step {at}"
    granted = [each["grant"] for each in box.bodies("stream.granted")]
    stopped = [each["grant"] for each in box.bodies("stream.stopped")]
    started = [each["grant"] for each in box.bodies("stream.started")]
    assert len({*granted}) == len(granted), f"step {at}"
    assert sorted(stopped) == sorted(granted), f"step {at}"
    assert len({*started}) == len(started), f"step {at}"
    assert len(box.bodies("disaster.stopped")) == len(box.bodies("disaster.started")) <= 1, f"step {at}"
    with box.catalogue() as catalogue:
        assert catalogue.read("SELECT COUNT(*) FROM stream WHERE over = 0 OR kind = 'disaster'") == [(0,)]
    box.keeper.close()
