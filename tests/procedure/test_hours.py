"""A camera with hours, recorded by whole processes across both turns: what lies outside is on no disk (art. 26(2)).

The box's clock is set so that a turn is near; the camera says what it showed and when, by a clock of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time

import pytest

from agent.demo.ledger import read_frames
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.model import Span
from tests.false_clock import TimedSite
from tests.lab import wait_for

MINUTE_MS = 60_000
KOREA_MS = 9 * 3_600_000
SPEC = CameraSpec(1, width=320, height=240, fps=15, gop=15)
OTHER = CameraSpec(2, width=320, height=240, fps=15, gop=15)
JOIN_MS = 300
LATE_MS = 500
"""A picture's time is when it came, and on a busy machine it comes late."""


@pytest.fixture
def cameras(tmp_path):
    with CameraProcess([SPEC, OTHER], tmp_path / "frames") as made:
        yield made


def clock_of(utc_ms: int) -> str:
    minute = (utc_ms + KOREA_MS) // MINUTE_MS % 1440
    return f"{minute // 60:02}:{minute % 60:02}"


def moment_before(turn_s: int) -> tuple[int, int]:
    """Return by how much the clock must be off for a full minute to come in so many seconds, and that minute, UTC ms."""
    now_ms = time.time_ns() // 1_000_000
    turn_ms = (now_ms // MINUTE_MS + 2) * MINUTE_MS
    return turn_ms - 1000 * turn_s - now_ms, turn_ms


def site_of(tmp_path, cameras, off_ms: int, from_ms: int, minutes: int) -> TimedSite:
    hours = f"{clock_of(from_ms)}-{clock_of(from_ms + minutes * MINUTE_MS)}"
    urls = {SPEC.name: cameras.urls[1], OTHER.name: cameras.urls[2]}
    return TimedSite(
        tmp_path / "site", urls, off_ms, segment_s=5, camera_options={SPEC.name: {"hours": [hours]}}
    )


def trusted(site: TimedSite) -> None:
    site.clock("confirm", "--yes", "--by", "lab")
    site.wait_trust("HOLDOVER")


def wait_state(site: TimedSite, state: str, bound_s: float = 90.0) -> None:
    wait_for(f"{SPEC.name} {state}", lambda: site.states().get(SPEC.name) == state, bound_s)


def codes(site: TimedSite) -> set[tuple[str, str]]:
    return {(each["code"], each["subject"]) for each in site.health().get("conditions", [])}


def explained(site: TimedSite, camera: str) -> None:
    """Each millisecond between the first and the last is in a segment or in a gap (I4)."""
    spans = sorted(
        [(one.start_ms, one.end_ms) for one in site.segments(camera)]
        + [(gap.start_ms, gap.end_ms) for gap in site.gaps(camera)]
    )
    reached = spans[0][1]
    for start_ms, end_ms in spans[1:]:
        assert start_ms - reached <= JOIN_MS, (start_ms, reached)
        reached = max(reached, end_ms)


def test_gangneung_art_26_2_outside_of_its_hours_nothing_of_a_camera_is_stored(tmp_path, cameras):
    """Both turns, a kill and a reload while it rests, and a beginning at which nobody knew the time."""
    off_ms, from_ms = moment_before(50)
    hours = Span(from_ms, from_ms + MINUTE_MS)
    with site_of(tmp_path, cameras, off_ms, from_ms, 1) as site:
        site.wait_recording(bound_s=60)  # since nobody knows yet what time it is
        assert site.health()["cameras"][SPEC.name].get("hours_open") is True
        trusted(site)
        wait_state(site, "resting")
        known_ms = time.time_ns() // 1_000_000 + off_ms
        assert site.states()[OTHER.name] == "recording"

        site.kill()
        left = {path.name for path in site.vault.rglob("*.part") if path.parent.parent.name == SPEC.name}
        assert not left, "nothing of a camera that rests is open"
        site.start()
        wait_state(site, "resting")
        assert time.time_ns() // 1_000_000 + off_ms < from_ms, (
            "too slow a machine: the turn came before the test"
        )
        wrong = {code for code, subject in codes(site) if subject == SPEC.name}
        assert wrong <= {"camera.plaintext_leg", "camera.audio_offered"}, "no picture that is missed"
        assert site.health()["cameras"][SPEC.name]["fps"] > 0, "its pictures are seen to come"

        wait_state(site, "recording")
        assert time.time_ns() // 1_000_000 + off_ms >= hours.start_ms
        wait_for("a segment of the hours", lambda: len(site.segments(SPEC.name)) > 2, 60)
        wait_state(site, "resting")
        assert time.time_ns() // 1_000_000 + off_ms >= hours.end_ms

        # Other hours, while it rests: it rests on, and the ledger has them.
        text = site.config.read_text()
        part = site.config.with_suffix(".part")
        part.write_text(text.replace("hours = [", 'hours = ["sun 00:00-00:01", '))
        os.replace(part, site.config)
        wait_for("the new hours", lambda: len(site.facts("config.applied")) > 1)
        applied = [body["hours"] for _, _, body in site.facts("config.applied")]
        told = json.loads(text.partition("hours = ")[2].partition("\n")[0])
        assert [set(each[SPEC.name]) - {"sun 00:00-00:01"} for each in applied] == [set(told)] * 2
        wait_for("its rest", lambda: site.states().get(SPEC.name) == "resting", 30)
        # None: it is recorded on.
        part.write_text("\n".join(line for line in text.splitlines() if not line.startswith("hours")))
        os.replace(part, site.config)
        wait_state(site, "recording")
        freed_ms = time.time_ns() // 1_000_000 + off_ms
        assert site.stop() == 0, site.log[-3000:]

        trusts = dict(site.rows("select path, trust from segment where camera = ?", SPEC.name))
        after = hours.end_ms + 10_000  # since the reload it is recorded always
        mine = [
            one
            for one in site.stored(SPEC.name)
            if trusts[str(one[0].path.relative_to(site.vault))] != "UNTRUSTED"
        ]
        inside = [one for one in mine if one[0].start_ms < after]
        assert sum(one[0].end_ms - one[0].start_ms for one in inside) >= MINUTE_MS - 5000, (
            "and nearly all of them is"
        )
        cameras.stop()
        shown = {
            frame.sha256: frame.utc_ms
            for frame in read_frames(tmp_path / "frames" / f"{SPEC.name}.frames.jsonl")
        }
        for segment, pictures in inside:
            if segment.start_ms < known_ms:
                continue  # begun while nobody knew the time, ended within a picture of knowing it
            assert hours.start_ms <= segment.start_ms < segment.end_ms <= hours.end_ms
            for picture in pictures:
                assert hours.start_ms <= picture.utc_ms < hours.end_ms
                truth = shown[hashlib.sha256(picture.data).hexdigest()] + off_ms
                assert hours.start_ms - LATE_MS <= truth < hours.end_ms
        assert all(one[0].start_ms < known_ms or one[0].start_ms >= hours.start_ms for one in mine)
        explained(site, SPEC.name)
        rest = [gap for gap in site.gaps(SPEC.name) if gap.cause == "off_hours"]
        before = [gap for gap in rest if gap.end_ms == hours.start_ms]
        assert before, "the rest ends with the turn, though the box was killed in it"
        assert any(gap.start_ms == hours.end_ms for gap in rest)
        for gap in site.gaps(SPEC.name):
            if gap.end_ms <= freed_ms and gap.cause not in ("off_hours", "reconfigured"):
                assert hours.start_ms <= gap.start_ms, f"nobody missed it: {gap}"
        others = {gap.cause for gap in site.gaps(OTHER.name)}
        assert others <= {"agent_killed", "agent_stopped"}, "the other camera had the kill alone"


def test_a_clock_that_jumps_while_a_camera_rests_has_it_recorded_until_somebody_names_the_time(
    tmp_path, cameras
):
    off_ms, from_ms = moment_before(3600)
    with site_of(tmp_path, cameras, off_ms, from_ms, 60) as site:
        site.wait_recording(bound_s=60)
        trusted(site)
        wait_state(site, "resting")
        site.set_clock(off_ms + 40 * 86_400_000)
        site.wait_trust("UNTRUSTED")
        wait_state(site, "recording")
        wait_for("the condition", lambda: ("camera.hours_open", SPEC.name) in codes(site), 90)
        wait_for(
            "a segment",
            lambda: site.rows("select 1 from segment where camera = ? and trust = 'UNTRUSTED'", SPEC.name),
        )
        site.set_clock(off_ms)
        site.wait_trust("HOLDOVER")
        wait_state(site, "resting")
        wait_for("no condition", lambda: ("camera.hours_open", SPEC.name) not in codes(site))
        assert site.stop() == 0, site.log[-3000:]
        explained(site, SPEC.name)
        assert itertools.count(len(site.facts("clock.step")))


def test_a_camera_that_is_lost_while_it_rests_is_told_as_at_any_other_time(tmp_path, cameras):
    off_ms, from_ms = moment_before(3600)
    with site_of(tmp_path, cameras, off_ms, from_ms, 60) as site:
        site.wait_recording(bound_s=60)
        trusted(site)
        wait_state(site, "resting")
        cameras.command("silence", camera=1)
        wait_state(site, "lost")
        wait_for(
            "the condition",
            lambda: (
                ("camera.silent", SPEC.name) in codes(site)
                or ("camera.unreachable", SPEC.name) in codes(site)
            ),
        )
        assert site.stop() == 0, site.log[-3000:]
        explained(site, SPEC.name)
        assert {gap.cause for gap in site.gaps(SPEC.name) if gap.start_ms > 0} <= {
            "off_hours",
            "agent_stopped",
        }
