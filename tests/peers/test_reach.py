"""Issue "Reach", all of it together: what a box behind a real tunnel shows its centre, and what it does when the line fails.

CI runs small forms and judges no time by the clock; the campaign runs the counts that the issue names, judges them by its
bounds, and writes docs/evidence/reach.md (`make campaign ARGS="-k test_reach"`).
"""

from __future__ import annotations

import bisect
import random
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent.uplink.courier import ORDINARY
from tests.evidence import write_section
from tests.lab import wait_for
from tests.reach_lab import Reach, Worse, boot_s

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.tunnel_lab import Capture

HEAD = """# Live pictures and facts through a real tunnel

`make campaign ARGS="-k test_reach"` (one of them: `-k first_decoded`, `-k last_packet`, `-k slow_line`, `-k loses_a_third`). Three network namespaces
(box, line, centre); wireguard-go with the terms and the guard of `pasu tunnel`; mosquitto with mutual TLS and GStreamer's RTSP server in RECORD mode
inside the tunnel; the box's own `pasu tunnel watch`, `record`, `keep` and `uplink`; cameras by GStreamer's RTSP server, 640x360, 15 fps, 500 kbit/s,
a keyframe a second. Signed commands, from the centre's client. All on one machine, so that all clocks are one.
"""
TICK_S = 1.0


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def quiet(capture: Capture) -> None:
    """Nothing left the box by its line but WireGuard to the hub, and ARP (F2, F3)."""
    capture.stop()
    assert capture.lost == 0
    assert capture.counts["wireguard"] > 0
    assert capture.outside == []


def granted(lab: Reach, times: int, seed: int) -> tuple[list[float], list[float]]:
    """Grant, look and revoke so often; return seconds from each command to the first decoded frame, and of each
    picture from the camera's encoder to the centre, but for those that had been kept for whoever comes."""
    chance = random.Random(seed)
    took: list[float] = []
    for number in range(times):
        time.sleep(chance.random() * TICK_S)  # another moment of everybody's rhythm
        before = boot_s()
        grant = lab.grant("cam00")
        wait_for("a decoded frame", lambda number=number: len(lab.media.heard("shown")) > number, 60)
        took.append(lab.media.heard("shown")[number]["monotonic"] - before)
        lab.see("cam00", 30)
        assert lab.ears.wait_reply(grant)["status"] == "done"
        assert lab.ears.wait_reply(lab.revoke(grant))["status"] == "done"
        wait_for("its end", lambda number=number: len(lab.media.heard("end")) > number)
    return took, [delay for session in sessions(lab, "cam00") for delay in delays_s(lab, "cam00", session)]


def sessions(lab: Reach, camera: str) -> list[list[dict[str, Any]]]:
    """Assert that what came is what the camera showed, whole from a keyframe to the end; return it by sessions."""
    lab.check_pictures(camera)
    begins = [each["monotonic"] for each in lab.media.heard("begin")]
    found: list[list[dict[str, Any]]] = [[] for _ in begins]
    for unit in lab.units(camera):
        session = found[bisect.bisect(begins, unit["monotonic"]) - 1]
        assert unit["frame"] == session[-1]["frame"] + 1 if session else unit["key"]
        session.append(unit)
    return found


def delays_s(lab: Reach, camera: str, session: list[dict[str, Any]]) -> list[float]:
    """Return how long each picture was on the way, but for those that were older than the session when it began."""
    shown = lab.shown(camera)
    found = [(unit["monotonic"], shown[unit["frame"]]["monotonic"]) for unit in session]
    return [came_s - at_s for came_s, at_s in found if at_s > found[0][0]]


def test_grant_to_first_decoded_frame(tmp_path: Path) -> None:
    """F3, F5, F6: a signed command, and a decoded picture at the centre, bit for bit, by a path of 1280 bytes that says
    nothing; pictures go on when the line gets another address."""
    with Reach(tmp_path, decode=True) as lab:
        lab.narrow()
        capture = lab.capture()
        lab.begin()
        took, delays = granted(lab, 3, seed=1)
        print("grant to first decoded frame:", *(f"{each:.2f}" for each in took), "s")
        print(f"encoder to centre: p50 {percentile(delays, 0.5):.3f} s, p95 {percentile(delays, 0.95):.3f} s")
        count = lab.count("cam00")
        lab.grant("cam00")
        lab.see("cam00", 20)
        moved = boot_s()
        lab.roam()
        wait_for("pictures from elsewhere", lambda: lab.count("cam00") > count + 170, 120)
        print(
            f"ten seconds of pictures, {boot_s() - moved:.1f} s after the line moved, by",
            len(lab.media.heard("begin")) - 3,
            "session",
        )
        lab.check_pictures("cam00")
        lab.nothing_lost()
        quiet(capture)


@pytest.mark.campaign
def test_twenty_grants_to_first_decoded_frame(tmp_path: Path) -> None:
    """Issue, point 1: within 1 s in the median of 20; added delay under 300 ms at p95."""
    with Reach(tmp_path, decode=True) as lab:
        capture = lab.capture()
        lab.begin()
        took, delays = granted(lab, 20, seed=2)
        pictures = sum(map(len, sessions(lab, "cam00")))
        stored = lab.nothing_lost()
        quiet(capture)
    median, p95 = statistics.median(took), percentile(delays, 0.95)
    write_section(
        "reach.md",
        HEAD,
        "1. Grant to first decoded frame",
        [
            "| | measured | bound |",
            "| --- | --- | --- |",
            f"| from the centre's client sending the signed command to the first decoded frame, median of {len(took)} | {median:.2f} s | 1 s |",
            f"| least, most | {min(took):.2f} s, {max(took):.2f} s | |",
            f"| from the camera's encoder to the centre, p50 | {percentile(delays, 0.5) * 1000:.0f} ms | |",
            f"| the same, p95 | {p95 * 1000:.0f} ms | 300 ms |",
            f"| access units at the centre, all equal to the camera's | {pictures} | |",
            f"| frames recorded meanwhile, lost | {stored}, 0 | 0 |",
            f"| frames of the box outside the tunnel (all but ARP) | 0 of {capture.counts['wireguard']} | 0 |",
        ],
    )
    assert median <= 1.0
    assert p95 < 0.3


def stops(lab: Reach, *, everything: bool) -> dict[str, float]:
    """Revoke, and take the centre away; return what was measured, in seconds.

    everything  let one expire before, and wait until the box reports to the centre that came back
    """
    found = {}
    tap = lab.tap()
    if everything:
        before = boot_s()
        grant = lab.grant("cam00", minutes=1)
        lab.see("cam00", 30)
        wait_for("the end of the minute", lambda: lab.site.facts("stream.stopped"), 120)
        given = int(lab.ears.wait_reply(grant)["detail"]["until_ms"]) / 1000 - time.time() + boot_s()
        time.sleep(3.0)
        assert before + 55 < tap.came[-1]
        found["expired"] = tap.came[-1] - given
    lab.grant("cam01")
    grant = lab.grant("cam01")
    lab.see("cam01", 30)
    # Two watch the same camera: it ends with the last of them.
    for own in [each for each in lab.ears.replies if lab.ears.replies[each][-1]["command"] == "stream.grant"]:
        if own != grant:
            lab.ears.wait_reply(lab.revoke(own))
    lab.see("cam01", 15)
    before = boot_s()
    own = lab.revoke(grant)
    assert lab.ears.wait_reply(own)["status"] == "done"
    wait_for(
        "word of it", lambda: "revoked" in {body["reason"] for _, _, body in lab.site.facts("stream.stopped")}
    )
    time.sleep(3.0)
    found["revoked"] = tap.came[-1] - before
    # The centre goes, and nobody can revoke anything.
    before = boot_s()
    lab.grant("cam02", minutes=1)
    lab.see("cam02", 30, 30.0)
    stopped = len(lab.site.facts("stream.stopped"))
    lab.centre_dies()
    wait_for("the end", lambda: len(lab.site.facts("stream.stopped")) > stopped, 120)
    found["alone"] = boot_s() - before
    wait_for("no streams", lambda: not lab.streams())
    back = boot_s()
    lab.centre_returns()
    if everything:  # the uplink comes back after a pause of up to a minute, and takes no picture up again
        wait_for("the connection", lambda: lab.site.said("uplink").get("connected"), 240)
        assert lab.ears.wait_reply(lab.order("streams"), 180)["status"] == "done"
    time.sleep(3.0)
    assert tap.since(back) == []
    kinds = [(body["camera"], body["reason"]) for _, _, body in lab.site.facts("stream.stopped")]
    assert kinds[-1] == ("cam02", "expired")
    tap.stop()
    return found


def test_f12_the_last_packet(tmp_path: Path) -> None:
    """F1, F12: the last packet at the centre after a revocation; and a centre that is gone, tunnel and all: the stream ends
    by itself, recording notices nothing."""
    with Reach(tmp_path, 3) as lab:
        capture = lab.capture()
        lab.begin()
        found = stops(lab, everything=False)
        print(found)
        lab.nothing_lost()
        quiet(capture)


@pytest.mark.campaign
def test_f12_the_last_packet_of_all(tmp_path: Path) -> None:
    """F12, S11: within two seconds of the command that the centre sends, or of the end of the grant."""
    with Reach(tmp_path, 3) as lab:
        capture = lab.capture()
        lab.begin()
        found = stops(lab, everything=True)
        stored = lab.nothing_lost()
        quiet(capture)
    write_section(
        "reach.md",
        HEAD,
        "3. The last packet",
        [
            "At the centre's end of the tunnel, packets of the media server's connection with anything in them.",
            "",
            "| | measured | bound |",
            "| --- | --- | --- |",
            f"| last packet after the centre sent `stream.revoke` | {found['revoked']:.2f} s | 2 s |",
            f"| last packet after the end of a grant of one minute (before it, where negative) | {found['expired']:.2f} s | 2 s |",
            f"| broker, media server and line gone: stopped so long after a grant of one minute was sent, by itself | {found['alone']:.1f} s | 60 s, and 15 s for the keeper's word of it |",
            "| packets to the media server after the centre was back | 0 | 0 |",
            f"| frames recorded meanwhile, lost | {stored}, 0 | 0 |",
        ],
    )
    assert found["revoked"] <= 2.0
    assert found["expired"] <= 2.0
    assert found["alone"] <= 75.0


def cut(lab: Reach, cameras: Sequence[str], bits_s: int, seconds: float) -> dict[str, Any]:
    """Grant cameras, let the line carry little for a while, and have facts flow; return what came of it."""
    for camera in cameras:
        lab.grant(camera)
    for camera in cameras:
        lab.see(camera, 20)
    before = {camera: lab.count(camera) for camera in cameras}
    began_s, began_ms = boot_s(), time.time_ns() // 1_000_000
    lab.slow(bits_s)
    sent: list[str] = []
    lower: dict[str, float] = {}
    while boot_s() < began_s + seconds:
        if boot_s() >= began_s + 2 * len(sent):
            sent.append(lab.order("streams"))
        for camera, state in lab.streams().items():
            if state["as"] != "main":
                lower.setdefault(camera, boot_s() - began_s)
        time.sleep(0.1)
    during = {camera: lab.count(camera) - before[camera] for camera in cameras}
    ended_ms = time.time_ns() // 1_000_000
    lab.slow(0)
    ended_s = boot_s()
    for own in sent:
        lab.ears.wait_reply(own)
    counts = {camera: lab.count(camera) for camera in cameras}
    for camera in cameras:
        wait_for("pictures again", lambda camera=camera: lab.count(camera) > counts[camera] + 2, 120)
    urgent = [
        (came_ms - entry["at_ms"]) / 1000
        for entry, came_ms in list(lab.ears.entries.values())
        if began_ms <= entry["at_ms"] <= ended_ms and entry["kind"] not in ORDINARY
    ]
    accepted = [entry for entry, _ in lab.ears.entries.values() if entry["kind"] == "command.accepted"]
    assert {entry["body"]["id"] for entry in accepted} >= set(sent), "each order is a fact at the centre"
    ordinary = lab.ears.delays_s(began_ms, ("segment.committed",))
    return {
        "urgent": sorted(urgent), "ordinary": ordinary, "during": during, "lower": lower,
        "resumed": boot_s() - ended_s, "ended_s": ended_s,
    }  # fmt: skip


def told(found: dict[str, Any]) -> str:
    urgent, ordinary = found["urgent"], found["ordinary"]
    return (
        f"{len(urgent)} facts, latest {urgent[-1]:.1f} s; {len(ordinary)} segments, latest {ordinary[-1]:.1f} s; "
        f"pictures meanwhile {found['during']}; lower after {found['lower']}; resumed after {found['resumed']:.1f} s"
    )


def test_f7_a_slow_line_carries_facts_first(tmp_path: Path) -> None:
    """F7: 256 kbit/s for the whole box: facts and answers go before pictures, and recording loses nothing."""
    with Reach(tmp_path, 4) as lab:
        capture = lab.capture()
        lab.begin()
        found = cut(lab, ["cam00", "cam01"], 256_000, 20)
        print(told(found))
        for camera in ("cam00", "cam01"):
            lab.check_pictures(camera)
        lab.nothing_lost()
        quiet(capture)


def slow_line(folder: Path, bits_s: int, title: str) -> dict[str, Any]:
    """Do it with 16 cameras, 4 of them granted, for a minute."""
    granted = ["cam00", "cam05", "cam10", "cam15"]
    with Reach(folder, 16) as lab:
        capture = lab.capture()
        lab.begin()
        found = cut(lab, granted, bits_s, 60)

        def as_before() -> bool:
            streams = lab.streams()
            return all(streams[camera]["flowing"] and streams[camera]["as"] == "main" for camera in granted)

        wait_for("the whole pictures again", as_before, 400)
        whole_s = boot_s() - found["ended_s"]
        pictures = sum(lab.check_pictures(camera) for camera in granted)
        stored = lab.nothing_lost()
        quiet(capture)
    print(told(found), f"whole after {whole_s:.0f} s")
    urgent, ordinary = found["urgent"], found["ordinary"]
    lower = [found["lower"].get(camera) for camera in granted]
    write_section(
        "reach.md",
        HEAD,
        title,
        [
            "16 cameras recorded, 4 granted (2 Mbit/s together); `tc tbf` both ways in the line for a minute.",
            "",
            "| | measured | bound |",
            "| --- | --- | --- |",
            f"| frames recorded, lost | {stored}, 0 | 0 |",
            f"| facts that somebody waits for, written meanwhile: how many, latest from the ledger to the centre | {len(urgent)}, {urgent[-1]:.1f} s | 10 s |",
            f"| `segment.committed`, which wait for company: how many, latest | {len(ordinary)}, {ordinary[-1]:.1f} s | |",
            f"| a lower step after | {', '.join('never' if each is None else f'{each:.0f} s' for each in lower)} | 10 s where it does not fit |",
            f"| pictures at the centre meanwhile, of {60 * 15} each | {', '.join(str(found['during'][camera]) for camera in granted)} | |",
            f"| all granted cameras show again, by themselves, after | {found['resumed']:.1f} s | |",
            f"| all of them whole, after | {whole_s:.0f} s | |",
            f"| access units at the centre, all equal to the camera's | {pictures} | |",
        ],
    )
    return found


@pytest.mark.campaign
def test_slow_line_of_a_megabit_with_sixteen_cameras(tmp_path: Path) -> None:
    """F7; issue, point 4: recorded frames lost 0, facts at most 10 s late, pictures resume by themselves."""
    found = slow_line(tmp_path, 1_000_000, "4. A line of 1 Mbit/s for a minute")
    assert found["urgent"][-1] <= 10.0


@pytest.mark.campaign
def test_slow_line_of_256_kbit_with_sixteen_cameras(tmp_path: Path) -> None:
    """F7: the same with a quarter of that."""
    found = slow_line(tmp_path, 256_000, "5. A line of 256 kbit/s for a minute (F7)")
    assert len(found["lower"]) == 4
    assert max(found["lower"].values()) <= 10.0


def loses_a_third(lab: Reach, seconds: float) -> dict[str, Any]:
    """Let the line lose 30 % of all datagrams and delay each by up to half a second, for a while (F8)."""
    lab.grant("cam00")
    lab.see("cam00", 20)
    began_s, began_ms = boot_s(), time.time_ns() // 1_000_000
    connected = lab.broker_log.read_text().count(f"New client connected from {lab.address}:")
    worse = lab.keep(Worse(lab, 0.3, 0.5, seed=8))
    sent: list[str] = []
    degraded: set[str] = set()
    away = 0
    while boot_s() < began_s + seconds:
        if boot_s() >= began_s + 5 * len(sent):
            sent.append(lab.order("streams"))
        said = lab.site.said("uplink")
        for state in lab.streams().values():
            if state["as"] != "main" or not state["flowing"]:
                degraded.add(f"{state['as']} {'flows' if state['flowing'] else state['reason'] or 'waits'}")
        degraded |= {
            each["code"] for each in said.get("conditions", []) if each["code"].startswith("stream.")
        }
        away += not said.get("connected")
        assert lab.health()["up"]
        time.sleep(0.2)
    wait_for("word of a lesser picture", lambda: degraded or lab.streams()["cam00"]["as"] != "main", 120)
    for own in sent:
        assert lab.ears.wait_reply(own, 240)["status"] == "done"
    handshake_s = lab.health()["handshake_s"]
    late = [
        (came_ms - entry["at_ms"]) / 1000
        for entry, came_ms in list(lab.ears.entries.values())
        if entry["at_ms"] >= began_ms and entry["kind"] not in ORDINARY
    ]
    again = lab.broker_log.read_text().count(f"New client connected from {lab.address}:") - connected
    counts = dict(worse.counts)
    pictures = lab.count("cam00")
    worse.loss = worse.delay_s = 0.0
    count = lab.count("cam00")
    wait_for("pictures again", lambda: lab.count("cam00") > count + 20, 240)
    return {
        "late": sorted(late), "sent": len(sent), "degraded": sorted(degraded), "away": away, "again": again,
        "handshake_s": handshake_s, "counts": counts, "pictures": pictures,
    }  # fmt: skip


def test_f8_a_line_that_loses_a_third(tmp_path: Path) -> None:
    """F8: 30 % lost and half a second of jitter, each way: tunnel and reports stay, the picture is told to be less."""
    with Reach(tmp_path, 2) as lab:
        capture = lab.capture()
        lab.begin()
        found = loses_a_third(lab, 15)
        print(found)
        lab.check_pictures("cam00")
        lab.nothing_lost()
        quiet(capture)


@pytest.mark.campaign
def test_f8_a_line_that_loses_a_third_for_four_minutes(tmp_path: Path) -> None:
    """F8: the same for longer than a session of WireGuard lives, so that it must shake hands on such a line."""
    with Reach(tmp_path, 4) as lab:
        capture = lab.capture()
        lab.begin()
        found = loses_a_third(lab, 240)
        pictures = lab.check_pictures("cam00")
        stored = lab.nothing_lost()
        quiet(capture)
    write_section(
        "reach.md",
        HEAD,
        "6. A line that loses 30 % and is late by up to 500 ms (F8)",
        [
            "A proxy of datagrams in the line, both ways, seeded, for four minutes.",
            "",
            "| | |",
            "| --- | --- |",
            f"| datagrams lost, carried | {found['counts']['lost']}, {found['counts']['carried']} |",
            f"| commands, each answered | {found['sent']} |",
            f"| their facts from the ledger to the centre: median, latest | {statistics.median(found['late']):.1f} s, {found['late'][-1]:.1f} s |",
            f"| connections to the broker made anew | {found['again']} |",
            f"| age of the last handshake at the end | {found['handshake_s']} s |",
            f"| what was said of the picture | {', '.join(found['degraded'])} |",
            f"| pictures that came whole | {found['pictures']} |",
            f"| access units at the centre, all equal to the camera's | {pictures} |",
            f"| frames recorded, lost | {stored}, 0 |",
        ],
    )
    assert found["handshake_s"] < 180
