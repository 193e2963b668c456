"""A bell at the site, all the way: from its MQTT message to pictures at the centre that are older than it."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING

from tests.bells import Bell, SiteBroker
from tests.lab import wait_for
from tests.reach_lab import Reach, boot_s
from tests.tunnel_lab import inside

if TYPE_CHECKING:
    from pathlib import Path

BEFORE_S = 5
BELL = (
    '\n[[trigger]]\nid = "bell01"\nname = "주차장 비상벨"\nsource = "mqtt://127.0.0.1/site/bell01"\npayload = "on"\n'
    f'cameras = ["cam00"]\nminutes = 1\nbefore_s = {BEFORE_S}\n'
)


class Ringing(Reach):
    """The box has a bell, whose broker is in its own network."""

    def configure(self, folder: str, box: str, interface: str) -> Path:
        file = super().configure(folder, box, interface)
        if folder == "box":
            file.write_text(file.read_text(encoding="utf-8") + BELL, encoding="utf-8")
        return file


def test_a_bell_shows_the_centre_what_was_before_it(tmp_path: Path) -> None:
    with Ringing(tmp_path) as lab:
        capture = lab.capture()
        lab.begin()
        with inside(lab.box):
            broker = lab.keep(SiteBroker(tmp_path / "site", port=1883))
            bell = lab.keep(Bell(broker))
        log = tmp_path / "box" / "record.log"
        wait_for("somebody who listens", lambda: "bell01: listening" in log.read_text(), 60)
        wait_for("seconds", lambda: len(lab.shown("cam00")) > 15 * (BEFORE_S + 6), 60)
        assert lab.count("cam00") == 0
        bell.ring("site/bell01", "off")
        rung = boot_s()
        bell.ring("site/bell01", "on")
        wait_for("a picture", lambda: lab.count("cam00") > 0, 60)
        first = boot_s()
        wait_for("pictures of now", lambda: lab.count("cam00") > 15 * (BEFORE_S + 6), 60)
        count = lab.check_pictures("cam00")
        came, shown = lab.units("cam00"), lab.shown("cam00")
        assert came[0]["key"]
        frames = [unit["frame"] for unit in came]
        assert all(two == one + 1 for one, two in itertools.pairwise(frames)), (
            "a hole between past and present"
        )
        before_s = rung - shown[frames[0]]["monotonic"]
        print(
            f"first picture {first - rung:.2f} s after the bell, of {before_s:.2f} s before it; {count} bit for bit"
        )
        assert before_s > 0
        ((_, _, event),) = lab.site.facts("event.triggered")
        assert event == {"trigger": "bell01", "count": 1, "source": "mqtt", "cameras": ["cam00"]}
        granted = [body for _, _, body in lab.site.facts("stream.granted")]
        assert [(body["kind"], body["camera"], body["trigger"]) for body in granted] == [
            ("trigger", "cam00", "bell01")
        ]
        until = time.monotonic() + 180
        while lab.streams():
            assert time.monotonic() < until, json.dumps(lab.streams())
            time.sleep(0.5)
        assert lab.nothing_lost() > 0
        capture.stop()
        assert capture.outside == []
