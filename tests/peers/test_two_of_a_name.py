"""E8: two boxes with one identity, as a cloned disk makes them: each throws the other out at the city's mosquitto.

Keepers and uplinks are real processes, each with a ledger of its own; `pasu centre watch` follows both ledgers.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from agent.storage.proof import tree
from tests.lab import wait_for
from tests.living import BOX, Centre, Ear, LiveBox, settled
from tests.town import Town

if TYPE_CHECKING:
    from pathlib import Path

STORM_S = 600.0
LEAST_S = 5.0


def thrown_out(box: LiveBox) -> list[float]:
    """Return how long an uplink waited after each connection that came about and ended, in seconds."""
    found, up = [], False
    for line in box.uplink.log.read_text(errors="replace").splitlines():
        if "connected (MQTT" in line:
            up = True
        elif (said := re.search(r"no connection: .* again in ([\d.]+) s", line)) and up:
            found.append(float(said[1]))
            up = False
    return found


def at_the_centre(centre: Centre, box: LiveBox) -> list[tuple[object, ...]]:
    return centre.rows(
        "select f.seq, f.at_ms, f.trust, f.kind, f.body from fact f join ledger l on l.id = f.ledger"
        " where l.box = ? and l.ledger = ? order by f.seq",
        BOX,
        tree.identity(box.catalogue),
    )


def storm(folder: Path, times: int, *, until_said: bool) -> list[list[float]]:
    """Let two fight until each was thrown out so often; return their waits."""
    town = Town(folder)
    first = LiveBox(town)
    second = LiveBox(town, clone_of=first)
    both = (first, second)
    centre = Centre(town)
    town.start()
    ear = Ear(town, "health")
    with settled(town, centre.watch, ear, *both):
        centre.watch.start()
        for box in both:
            box.keep.start()
            wait_for("the keeper", lambda box=box: box.said("keep").get("pid") == box.keep.pid, 120)
            box.confirm_clock()
        begun_s = time.monotonic()
        for box in both:
            box.uplink.start()
            box.wait_up()

        def enough() -> bool:
            for box in both:
                box.write()
            time.sleep(0.2)
            return all(len(thrown_out(box)) >= times for box in both)

        wait_for("the fight", enough, STORM_S)
        if until_said:
            for box in both:
                wait_for("its word", lambda box=box: "uplink.taken_over" in box.conditions("uplink"), STORM_S)
            wait_for("it at the centre", lambda: len(told(ear)) == 2, STORM_S)
        waits = [thrown_out(box) for box in both]
        print(f"after {time.monotonic() - begun_s:.0f} s", *waits)
        # Nothing moves any more while all is compared; whoever gets in says what it has.
        for box in both:
            assert box.keep.stop() == 0
        for box in both:
            whole = [tuple(row) for row in box.ledger_rows()]
            wait_for(
                "every entry at the centre",
                lambda box=box, whole=whole: len(at_the_centre(centre, box)) >= len(whole),
                STORM_S,
            )
            assert [tuple(row) for row in at_the_centre(centre, box)] == whole, "lost, doubled or changed"
        assert all(box.uplink.alive() for box in both)
    return waits


def told(ear: Ear) -> set[str]:
    """Return the sessions that told the centre of it."""
    return {
        said["session"]
        for said in ear.hear()
        if any(row[0] == "uplink.taken_over" for row in said.get("conditions", ()))
    }


def test_e8_a_clone_makes_no_storm_and_neither_loses_an_entry(tmp_path):
    """E8: each waits five seconds at least before it throws the other out again."""
    waits = storm(tmp_path, 2, until_said=False)
    assert min(min(each) for each in waits) >= LEAST_S


@pytest.mark.campaign
def test_e8_a_clone_is_told_by_both(tmp_path):
    """E8: for minutes; in the end both say it, in their health files and at the centre."""
    waits = storm(tmp_path, 4, until_said=True)
    assert min(min(each) for each in waits) >= LEAST_S
