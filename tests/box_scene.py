"""A box on a site, from its package on: installed from a stick, told what to record, and afterwards read from outside."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.demo.ledger import read_frames
from agent.demo.spec import CameraSpec
from tests.checker import Frame, check
from tests.lab import Site, centre_key, wait_for
from tests.vm_lab import STICK, patience, read_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.demo.server import CameraProcess
    from tests.checker import Verdict
    from tests.vm_lab import Box

USER, PASSWORD = "recorder", "Hwangsae-7-nest"  # a virtual camera's, made up here
VAULT, STATE, RUN = "/var/lib/pasu/vault", "/var/lib/pasu/state", "/run/pasu"
_SENT_LATE_MS = 1000
"""Cameras share their machine with a box that boots: what is due now may be sent, and be placed, so much later."""
LOST_MS, BACK_MS = 2000, 20_000
"""Rows A4 of faults.md: what a cut may cost of each camera, and how long until pictures are kept again."""


def specs(count: int, host: str, fps: float = 15.0) -> list[CameraSpec]:
    """Return cameras as a site accepts them: a password that is no factory's, no sound, keyframes every second."""
    return [
        CameraSpec(
            number,
            width=320,
            height=240,
            fps=fps,
            gop=round(fps),
            host=host,
            username=USER,
            password=PASSWORD,
            audio="none",
        )
        for number in range(1, count + 1)
    ]


@dataclass(frozen=True, slots=True)
class Cut:
    """at_ms: the plug was pulled; on_ms: it was put in again. UTC of the host, which is the cameras' too."""

    at_ms: int
    on_ms: int


class Scene:
    """A box, cameras next door, and the centre's keys.

    next_door  the host's address, as the box sees it
    """

    def __init__(self, folder: Path, box: Box, cameras: CameraProcess, next_door: str) -> None:
        self.folder = folder
        self.box = box
        self.cuts: list[Cut] = []
        self._cameras = cameras
        urls = {f"cam{number:02d}": url for number, url in cameras.urls.items()}
        self.urls = {name: url.replace("127.0.0.1", next_door) for name, url in urls.items()}
        self.site = Site(folder / "site", self.urls)
        _, self._second = centre_key(folder / "second.key")

    # installing

    def install(self) -> str:
        """Install the package from the stick, by apt; returns what apt said."""
        return self.box.sh(f"cp {STICK}/*.deb /root/ && apt-get install -y /root/*.deb 2>&1", seconds=300)

    def answers(self, disk: str, more: str = "") -> str:
        """Return answers for `pasu init`. disk: the lines of [disk]; more: further tables."""
        _, first = centre_key(self.site.key)
        text = (
            '[box]\nid = "lab-1"\nsite = "경포해변 3지점"\noperator = "강릉시 정보산업과"\ncontact = "033-000-0000"\n'
            f'[storage]\nsegment_s = 10\nloss_window_s = 1.0\nrecipients = ["{first}", "{self._second}"]\n'
            f"[disk]\n{disk}\n{more}\n"
        )
        for name, url in self.urls.items():
            text += (
                f'[[camera]]\nid = "{name}"\nname = "{name}"\nurl = "{url}"\npurpose = "crime-prevention"\n'
                f'legal_basis = "개인정보 보호법 제25조제1항제2호"\nusername = "{USER}"\npassword = "{PASSWORD}"\n'
            )
        return text

    def init(self, disk: str, more: str = "") -> str:
        """Make the box ready by a script; returns what it said."""
        self.box.put("/root/answers.toml", self.answers(disk, more).encode(), "0600")
        return self.box.run("pasu", "init", "--answers", "/root/answers.toml", seconds=300)

    # watching

    def health(self, process: str = "record") -> dict[str, Any]:
        """Return what a process of this boot says of itself; {} when it said nothing yet."""
        status, out, _ = self.box.try_run("sh", "-c", f"cat {RUN}/{process}.json")
        try:
            found: dict[str, Any] = json.loads(out)
        except ValueError:
            return {}
        return found if status == 0 else {}

    def is_recording(self) -> bool:
        told = self.health().get("cameras", {})
        return {*told} == {*self.urls} and all(each["state"] == "recording" for each in told.values())

    def wait_recording(self, bound_s: float = 120) -> None:
        try:
            wait_for("recording of every camera", self.is_recording, patience(bound_s))
        except AssertionError as late:
            said = self.box.sh(
                "systemctl --no-pager status 'pasu*' || true; journalctl --no-pager -n 60 -u 'pasu*'"
            )
            raise AssertionError(f"{late}\n{said[-6000:]}") from None

    def doctor(self, seconds: int) -> tuple[int, dict[str, tuple[str, str]]]:
        """Return the doctor's exit status, and check and subject -> state and what was measured, of what is not well."""
        command = ("pasu", "doctor", "--json", "--seconds", str(seconds), "--wire-seconds", "5")
        status, out, err = self.box.try_run(*command, seconds=120)
        assert out, err
        self.examined: list[dict[str, Any]] = json.loads(out)["checks"]
        found = [each for each in self.examined if each["state"] in ("failure", "warning")]
        not_well = {
            f"{each['check']} {each['subject']}".strip(): (each["state"], each["measured"]) for each in found
        }
        return status, not_well

    def trust(self) -> str:
        """Return what the box thinks of its time: SYNCED, HOLDOVER, UNTRUSTED; "" when it says nothing yet."""
        status, out, _ = self.box.try_run("pasu", "clock", "--json")
        return str(json.loads(out)["trust"]) if status == 0 else ""

    # power

    def cut(self) -> None:
        """Pull the plug and put it in again; nobody waits for anything."""
        at_ms = self.box.pull()
        self.box.plug_in()
        self.cuts.append(Cut(at_ms, self.box.started_ms))

    # reading, when all is over

    def nothing_failed(self) -> None:
        """Assert that the box is well by its own tools: no unit failed, ledger and every stored byte verified."""
        assert not self.box.sh("systemctl --failed --no-legend --plain --no-pager").strip()
        for command in (("ledger", "verify"), ("check", "--level", "digests")):
            said = self.box.try_run("runuser", "-u", "pasu", "--", "pasu", *command, seconds=300)
            assert said[0] == 0, (command, said)

    def read(self) -> dict[str, Verdict]:
        """Account for every frame that the cameras showed, from the disks of the box that was switched off in order."""
        self._cameras.command("flush")
        read_out(self.box.images[1], "/", self.site.vault)
        read_out(self.box.images[0], STATE, self.site.folder)
        found = {}
        for camera in self.site.cameras:
            offered = read_frames(self.folder / "ledger" / f"{camera}.frames.jsonl")
            frames = [
                Frame(each.frame, each.utc_ms, each.keyframe, each.sha256, each.sessions > 0)
                for each in offered
            ]
            stored, gaps = self.site.stored(camera), self.site.gaps(camera)
            found[camera] = check(
                frames,
                stored,
                gaps,
                digest=_digest,
                slack_ms=_SENT_LATE_MS,
                placed_within_ms=_SENT_LATE_MS,
            )
        return found

    def costs(self, verdict: Verdict) -> list[tuple[int, int]]:
        """Return of each cut what it cost one camera: ms lost before it, ms from the plug to the first picture kept.

        Only a cut that fell into recording, and was followed by it, has a cost: others are parts of one longer hole.
        """
        costs = []
        for index, cut in enumerate(self.cuts):
            since_ms = self.cuts[index - 1].on_ms if index else 0
            next_ms = self.cuts[index + 1].at_ms if index + 1 < len(self.cuts) else 1 << 62
            before = [each.utc_ms for each in verdict.stored if since_ms < each.utc_ms <= cut.at_ms]
            after = [each.utc_ms for each in verdict.stored if cut.on_ms < each.utc_ms <= next_ms]
            if before and after:
                costs.append((cut.at_ms - max(before), min(after) - cut.on_ms))
        return costs


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def settle(scene: Scene, seconds: float) -> None:
    """Let it record for a while: what is looked at is what is lost of it."""
    scene.wait_recording()
    time.sleep(seconds)


def table(costs: dict[str, Sequence[tuple[int, int]]]) -> list[str]:
    """Return the lines of a table of costs, by camera."""
    lines = [
        "| camera | cuts | lost, ms: median, most | plug to first picture kept, ms: median, most |",
        "| --- | --- | --- | --- |",
    ]
    for camera, each in costs.items():
        lost, back = sorted(cost[0] for cost in each), sorted(cost[1] for cost in each)
        middle = len(each) // 2
        lines.append(f"| {camera} | {len(each)} | {lost[middle]}, {lost[-1]} | {back[middle]}, {back[-1]} |")
    return lines
