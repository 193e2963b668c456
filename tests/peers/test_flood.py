"""E14: a flood of commands at a box that records, through the city's mosquitto over mutual TLS.

Recorder, keeper and uplink are the real processes, the flood is `mosquitto_pub -l`. Ten thousand a second are fed to it;
how many a loaded machine really carries is printed, and no more is asked for than a rate which no centre comes near.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from agent.command.keyring import Role
from agent.demo.ledger import read_frames
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.checker import Frame, Verdict, check
from tests.lab import wait_for
from tests.living import BOX, Ear, Hand, LiveBox, settled
from tests.peer import need
from tests.town import Town

if TYPE_CHECKING:
    from pathlib import Path

CAMERAS = [CameraSpec(number, width=320, height=240, fps=15, gop=15) for number in (1, 2, 3, 4)]
LEAST_PER_S = 1000
"""A flood that was slower shows nothing."""
BURST, PER_S = 20, 10
"""What the row asks for; not taken from the program, which might ask for another."""
MOST_S = 120.0
HEAD, GARBAGE = "eyJhbGciOiJFZERTQSJ9", "not even a letter"
"""One in a hundred of the flood is what no centre sends: that the broker hands it on is said of the broker."""


class Flood:
    """`mosquitto_pub -l` with the centre's certificate, fed as fast as it takes lines until it is ended."""

    def __init__(self, town: Town, per_s: int) -> None:
        self.sent = 0
        self.seconds = 0.0
        self._per_s = per_s
        client = town.city.at("client", "centre.pem"), town.city.at("client", "centre.key")
        self._process = subprocess.Popen(
            [
                need("mosquitto_pub"), "-l", "-q", "0", "-h", "127.0.0.1", "-p", str(town.inside), "-i", "centre-flood",
                "--cafile", str(town.city.at("ca", "ca.pem")), "--cert", str(client[0]), "--key", str(client[1]),
                "-t", f"pasu/v1/{BOX}/command",
            ],
            stdin=subprocess.PIPE,
        )  # fmt: skip
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def end(self) -> None:
        """Let what was fed go out; returns when the broker has all of it."""
        self._ended.set()
        self._thread.join(MOST_S)
        assert self._process.wait(MOST_S) == 0

    def _feed(self) -> None:
        """Feed letters, each of which looks like a command and is another one."""
        pipe = self._process.stdin
        assert pipe is not None
        begun_s = time.monotonic()
        signature = "A" * 86
        while not self._ended.is_set():
            ahead = self.sent - (time.monotonic() - begun_s) * self._per_s
            if ahead > 0:
                time.sleep(ahead / self._per_s)
            letters = [
                f"{HEAD}.{number:012d}.{signature}" for number in range(self.sent + 1, self.sent + 100)
            ]
            lines = "\n".join((GARBAGE, *letters, ""))
            try:
                pipe.write(lines.encode())
                pipe.flush()
            except BrokenPipeError:
                break
            self.sent += 100
        pipe.close()
        self._process.wait(MOST_S)
        self.seconds = time.monotonic() - begun_s


@dataclass
class Outcome:
    sent: int
    seconds: float
    arrived_s: float
    handed_on: int
    dropped: int
    frames: int
    excused: int
    facts_meanwhile: int


def by_bits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def frames(folder: Path, box: LiveBox, spec: CameraSpec) -> Verdict:
    """Return what became of every frame that a camera offered."""
    offered = [
        Frame(each.frame, each.utc_ms, each.keyframe, each.sha256, each.sessions > 0)
        for each in read_frames(folder / f"{spec.name}.frames.jsonl")
    ]
    return check(offered, box.stored(spec.name), box.gaps(spec.name), digest=by_bits)


def flood(folder: Path, per_s: int, least_s: float) -> Outcome:
    """Flood a box for so long, and until facts of meanwhile have reached the centre."""
    town = Town(folder / "town")
    hand = Hand(town, Role.OFFICER, "kim")
    with CameraProcess(CAMERAS, folder / "ledger") as cameras:
        box = LiveBox(town, cameras={each.name: cameras.urls[each.number] for each in CAMERAS})
        town.start()
        ear = Ear(town, "facts", "reply", "health")
        with settled(town, box, ear):
            box.start()
            box.wait_recording(bound_s=60)
            box.begin()
            pids = box.process.pid, box.keep.pid, box.uplink.pid
            own, text = hand.sign("inspect")
            ear.send(text)
            assert ear.wait_reply(own)["status"] == "done"
            wait_for("its count", lambda: counts(box).get("taken") == 1, 30)
            before, refused = counts(box), refusals(box)

            size = len(box.ledger_rows())
            begun_s = time.monotonic()
            waves = Flood(town, per_s)
            try:
                wait_for("the flood at the box", lambda: counts(box).get("flood", 0) > 0, MOST_S)
                until_s = time.monotonic() + least_s
                box.write(20)
                wait_for("facts that were written meanwhile", lambda: heard(ear) >= size + 20, MOST_S)
                meanwhile = heard(ear) - size
                wait_for("the flood's length", lambda: time.monotonic() >= until_s, MOST_S)
            finally:
                waves.end()
            wait_for("all of it", lambda: arrived(box, before) >= waves.sent, MOST_S)
            in_time = counts(box)["taken"] - before["taken"]
            arrived_s = time.monotonic() - begun_s
            assert in_time <= BURST + PER_S * arrived_s
            wait_for("it at the centre", lambda: {"uplink.flooded", "broker.suspect"} <= {*codes(ear)}, 90)
            assert box.conditions("uplink")["broker.suspect"] == "garbage"
            # The centre is heard again: what it says behind the flood is carried out.
            own, text = hand.sign("inspect")
            ear.send(text)
            assert ear.wait_reply(own)["status"] == "done"
            wait_for("a health file", lambda: arrived(box, before) > waves.sent, 30)
            after = counts(box)
            handed_on = after.get("taken", 0) - before.get("taken", 0)
            # The keeper counts for itself: all of the flood that reached it was refused.
            wait_for("the keeper's count", lambda: refusals(box) - refused >= handed_on - 1, MOST_S)
            judged = refusals(box) - refused
            assert (box.process.pid, box.keep.pid, box.uplink.pid) == pids
            assert all(each.alive() for each in (box.keep, box.uplink))
            assert box.stop() == 0
    verdicts = [frames(folder / "ledger", box, each) for each in CAMERAS]
    dropped = after["flood"] + after["garbage"]
    assert after["garbage"] == waves.sent // 100
    assert judged == handed_on - 1
    assert handed_on + dropped == waves.sent + 1, "each that arrived is counted, and was handed on or dropped"
    for verdict in verdicts:
        verdict.clean()
    return Outcome(
        waves.sent, waves.seconds, arrived_s, handed_on, dropped,
        sum(len(each.stored) for each in verdicts), sum(len(each.excused) for each in verdicts), meanwhile,
    )  # fmt: skip


def counts(box: LiveBox) -> dict[str, int]:
    return dict(box.uplink_says().get("dropped", {}))


def arrived(box: LiveBox, before: dict[str, int]) -> int:
    """Return how many messages reached the box since."""
    return sum(counts(box).values()) - sum(before.values())


def refusals(box: LiveBox) -> int:
    return int(box.said("keep")["orders"]["refused"])


def heard(ear: Ear) -> int:
    """Return the number of the newest entry that the centre was told."""
    return max((each["seq"] for said in ear.hear() for each in said.get("entries", ())), default=0)


def codes(ear: Ear) -> list[str]:
    healths = [said for said in ear.hear() if "backlog" in said]
    return [row[0] for row in healths[-1]["conditions"]] if healths else []


def test_e14_a_flood_costs_a_box_that_records_no_frame(tmp_path):
    """E14: as fast as mosquitto hands it on, for a few seconds."""
    outcome = flood(tmp_path, 10_000, 4.0)
    print(outcome)
    assert outcome.excused == 0
    assert outcome.sent / outcome.seconds > LEAST_PER_S


@pytest.mark.campaign
def test_e14_ten_seconds_of_ten_thousand_a_second(tmp_path):
    """E14: the full count."""
    outcome = flood(tmp_path, 10_000, 10.0)
    print(outcome)
    assert outcome.excused == 0
    assert outcome.sent / outcome.seconds > LEAST_PER_S
