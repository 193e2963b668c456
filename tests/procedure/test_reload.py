"""A new configuration under a running `pasu record`: what did not change loses no picture."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.lab import Site, wait_for
from tests.procedure.test_faulty_cameras import good_cameras, lost_nothing

if TYPE_CHECKING:
    from pathlib import Path


def rewrite(site: Site, text: str) -> None:
    part = site.config.with_suffix(".part")
    part.write_text(text)
    os.replace(part, site.config)


def camera(camera_id: str, url: str, more: str = "") -> str:
    return (
        f'[[camera]]\nid = "{camera_id}"\nname = "{camera_id}"\nurl = "{url}"\n{more}'
        'purpose = "crime-prevention"\nlegal_basis = "개인정보 보호법 제25조제1항제2호"\n'
    )


def state_of(site: Site) -> str:
    return str(site.health().get("config", {}).get("state"))


def codes(site: Site) -> list[str]:
    return [each["code"] for each in site.health().get("conditions", [])]


def facts(site: Site, kind: str) -> list[dict[str, object]]:
    return [
        json.loads(str(row[0]))
        for row in site.rows("select body from ledger where kind = ? order by seq", kind)
    ]


def test_cameras_come_change_and_go_and_the_others_lose_no_picture(tmp_path: Path) -> None:
    specs = [CameraSpec(7, gop=15), CameraSpec(8, gop=15), CameraSpec(9, gop=15)]
    with (
        good_cameras(tmp_path / "good") as good,
        CameraProcess(specs, tmp_path / "others") as others,
        Site(
            tmp_path / "site",
            {"good0": good.url(0), "good1": good.url(1), "seven": others.urls[7]},
            segment_s=5,
        ) as site,
    ):
        site.wait_recording()
        workers = site.workers()
        first = site.config.read_text()
        before = site.health()["config"]["sha256"]
        names = ["good0", "good1", "seven"]
        purposes = dict.fromkeys(names, "crime-prevention")
        applied = {"sha256": before, "cameras": names, "purposes": purposes, "hours": {}}
        assert facts(site, "config.applied") == [applied]

        # One more, and one that moves to another address.
        changed = first.replace(others.urls[7], others.urls[8])
        rewrite(site, changed + camera("nine", others.urls[9]))
        wait_for("the new configuration", lambda: site.health()["config"]["sha256"] != before)
        site.wait_recording("good0", "good1", "seven", "nine")
        assert state_of(site) == "applied"
        wait_for("a segment of the new camera", lambda: site.committed("nine"))

        # Wrong in two places: nothing changes.
        rewrite(site, first.replace("crime-prevention", "curiosity") + camera("nine", "gopher://x"))
        wait_for("the verdict", lambda: state_of(site) == "invalid")
        wait_for("the condition", lambda: "config.invalid" in codes(site))
        assert set(site.states().values()) == {"recording"}
        assert "camera[4].url CONFIG_VALUE" in site.log

        # One goes, and one is to be kept elsewhere: that waits for a restart.
        less = first[: first.index('[[camera]]\nid = "seven"')]
        rewrite(site, less.replace(f'vault = "{site.vault}"', f'vault = "{site.folder / "elsewhere"}"'))
        wait_for("the verdict", lambda: state_of(site) == "needs_restart")
        wait_for("the condition", lambda: codes(site).count("config.needs_restart") == 1)
        assert set(site.states()) == {"good0", "good1"}
        assert site.workers() == workers, "nobody was started anew"
        count = len(site.segments("good0"))
        wait_for("two more segments", lambda: site.committed("good0", count + 2), 60)
        assert site.stop() == 0, site.log[-3000:]
    for number in range(2):
        lost_nothing(site, good, f"good{number}", number)
    applied = facts(site, "config.applied")[1:]
    shown = [(each["added"], each["removed"], each["changed"], each["waiting"]) for each in applied]
    assert shown == [(["nine"], [], ["seven"], []), ([], ["seven", "nine"], [], ["storage.vault"])]
    for name in ("seven", "nine"):
        segments = site.segments(name)
        assert segments
        assert {segment.state for segment in segments} == {"COMMITTED"}, "each ended in order"
        causes = [gap.cause for gap in site.gaps(name)]
        assert set(causes) <= {"reconfigured", "agent_stopped"}, causes
    between = sorted(
        [(segment.start_ms, segment.end_ms) for segment in site.segments("seven")]
        + [(gap.start_ms, gap.end_ms) for gap in site.gaps("seven")]
    )
    assert all(later[0] - earlier[1] <= 20 for earlier, later in itertools.pairwise(between)), (
        "nothing is unexplained where the camera moved"
    )
    assert not list(site.vault.rglob("*.part"))
    assert not (site.folder / "elsewhere").exists()
