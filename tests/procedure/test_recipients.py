"""Whom a running recorder seals to: the city's signed ring, and nobody else (G3, G5)."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.command import strict
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.city import City
from tests.lab import Site, centre_key, wait_for
from tests.peer import need
from tests.procedure.test_reload import codes, facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.checker import Segment

SEGMENT_S = 5


class Enrolled:
    """A box that records one camera, its city, and two keys of the centre; agent.toml names the first."""

    def __init__(self, folder: Path, url: str) -> None:
        self.site = Site(folder / "site", {"cam01": url}, segment_s=SEGMENT_S)
        self.keys = [(self.site.key, centre_key(self.site.key)[1])]
        self.keys += [centre_key(folder / "second.key")]
        self.city = City("gangneung")
        self.city.recipients = [self.keys[1][1]]
        self.city.enrol(self.site.state)
        self.ring = self.site.state / "centre" / "ring.jws"

    def replace_ring(self, text: str) -> None:
        part = self.ring.with_suffix(".part")
        part.write_text(text)
        os.replace(part, self.ring)

    def openers(self, path: Path) -> list[int]:
        """Return which of the keys open a file, by the `age` program."""
        return [
            number
            for number, (key, _) in enumerate(self.keys)
            if not subprocess.run(
                [need("age"), "-d", "-i", str(key), str(path)], capture_output=True
            ).returncode
        ]

    def refused(self) -> str:
        """Start, and expect it to refuse; return what it said."""
        before = len(self.site.log)
        self.site.start()
        assert self.site.process is not None
        assert self.site.process.wait(60) == 1, self.site.log[-2000:]
        self.site.process = None
        return self.site.log[before:]

    def newest(self) -> Segment:
        return self.site.segments("cam01")[-1]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Enrolled]:
    with CameraProcess([CameraSpec(1, gop=15, codec="h264")]) as cameras:
        enrolled = Enrolled(tmp_path, cameras.urls[1])
        yield enrolled
        enrolled.site.kill()


def test_g5_a_new_ring_seals_the_next_segment(box: Enrolled) -> None:
    site = box.site
    site.start()
    wait_for("two segments", lambda: site.committed("cam01", 2), 60)
    wait_for("the difference to be said", lambda: "recipients.differ" in codes(site))
    assert {tuple(box.openers(segment.path)) for segment in site.segments("cam01")} == {(1,)}

    box.city.epoch, box.city.recipients = 2, [box.keys[0][1], box.keys[1][1]]
    box.replace_ring(box.city.ring())
    wait_for("the new ring", lambda: site.health()["sealing"]["epoch"] == 2)
    # Facts come in batches, a little after the health file.
    wait_for("its fact", lambda: len(facts(site, "key.recipients")) == 2)
    (told_ms,) = site.rows(
        "select at_ms from ledger where kind = 'key.recipients' order by seq desc limit 1"
    )[0]

    box.city.epoch, box.city.recipients = 3, [box.keys[0][1]]
    box.replace_ring(box.city.ring())
    wait_for("the newest ring", lambda: site.health()["sealing"]["epoch"] == 3)
    wait_for("one that only the first opens", lambda: box.openers(box.newest().path) == [0], 60)
    wait_for("all is as agent.toml says", lambda: "recipients.differ" not in codes(site))
    # One segment length after the word at the latest, and 4 s for word and turn: nothing is sealed to the old ones.
    late_ms = int(str(told_ms)) + 1000 * (SEGMENT_S + 4)
    wait_for("a late one", lambda: any(each.start_ms > late_ms for each in site.segments("cam01")), 60)
    assert site.stop() == 0
    assert not site.gaps("cam01"), "recording went on"
    late = [each for each in site.segments("cam01") if each.start_ms > late_ms]
    assert all(box.openers(segment.path) != [1] for segment in late)
    said = facts(site, "key.recipients")
    assert [(each["signed"], each["epoch"]) for each in said] == [(True, 1), (True, 2), (True, 3)]
    ids = [tuple(each["recipients"]) for each in said]  # type: ignore[arg-type]
    assert ids[1] == (*ids[2], *ids[0])


def test_g3_a_ring_that_was_edited_changes_nothing_and_is_refused_at_the_next_start(box: Enrolled) -> None:
    site = box.site
    sound = box.ring.read_text()
    site.start()
    wait_for("a segment", lambda: site.committed("cam01"), 60)
    header, _, signature = sound.split(".")
    body = City("gangneung").ring_body(recipients=[box.keys[0][1]], epoch=9)
    forged = strict.base64url(json.dumps(body).encode())
    box.replace_ring(f"{header}.{forged}.{signature}")
    wait_for("the alarm", lambda: "recipients.unverified" in codes(site))
    count = len(site.segments("cam01"))
    wait_for("three more segments", lambda: site.committed("cam01", count + 3), 60)
    assert site.stop() == 0
    assert {tuple(box.openers(segment.path)) for segment in site.segments("cam01")} == {(1,)}
    assert "condition.raised" in {str(row[0]) for row in site.rows("select kind from ledger")}

    files = sorted(site.vault.rglob("*.age*"))
    assert "RING_DAMAGED" in box.refused()
    box.ring.unlink()
    assert "RING_DAMAGED" in box.refused()
    (site.state / "centre" / "root.json").unlink()
    assert "RECIPIENTS_UNSIGNED" in box.refused(), (
        "never those of agent.toml, though nothing is left of the ring"
    )
    assert sorted(site.vault.rglob("*.age*")) == files, "not a byte was recorded"

    box.city.enrol(site.state)
    site.start()
    site.wait_recording()
    box.city.epoch = 4
    box.replace_ring(box.city.ring())
    wait_for("the newest ring", lambda: site.health()["sealing"]["epoch"] == 4)
    box.replace_ring(sound)
    wait_for("the alarm", lambda: "recipients.unverified" in codes(site))
    assert site.health()["sealing"]["epoch"] == 4
    assert site.stop() == 0
    assert "RECIPIENTS_OLD" in box.refused(), "a ring that was in force once, and properly signed"


def test_g3_a_box_that_is_enrolled_while_it_records_goes_on_under_the_ring(box: Enrolled) -> None:
    site = box.site
    centre = site.state / "centre"
    ring, root = (centre / "ring.jws").read_text(), (centre / "root.json").read_text()
    (centre / "ring.jws").unlink()
    (centre / "root.json").unlink()
    site.start()
    wait_for("a segment", lambda: site.committed("cam01"), 60)
    assert box.openers(box.newest().path) == [0]
    (centre / "root.json").write_text(root)  # `pasu enrol accept` writes one after the other
    (centre / "ring.jws").write_text(ring)
    wait_for("one that the ring's recipient opens", lambda: box.openers(box.newest().path) == [1], 60)
    assert site.stop() == 0
    assert not site.gaps("cam01")
