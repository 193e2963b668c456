"""`pasu demo`: the whole way from cameras to the control centre, with virtual cameras and nothing to configure.

Everything in it is the real thing: a city with its keys, a broker with mutual TLS, boxes that are enrolled and record,
keep and report, cameras that speak RTSP, clips opened with the city's key. Only the pictures are drawn.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from agent.cli.show import console, size, table
from agent.clock import SystemSource
from agent.demo import results, told
from agent.demo.server import CameraProcess
from agent.demo.site import Site
from agent.demo.spec import CameraSpec
from agent.demo.town import Town
from agent.field.words import camera_state
from agent.language import say

if TYPE_CHECKING:
    from rich.table import Table

    from agent.centre.watched import Alarm, Row
    from agent.demo.town import Ordered

BOXES = 2
REBOOT_S = 3
START_BOUND_S = 90.0
PROVE_S = 30.0
REFRESH_S = 0.5
HOLD_MS = 60_000
REVIEW_S = 30 * 86_400
# What the cameras are: every codec, both log-ins, sound offered by all.
KINDS: tuple[dict[str, Any], ...] = (
    {"codec": "h264", "username": "viewer", "password": "demo-only", "quirks": "digest_sha256"},
    {"codec": "h265", "audio": "aac"},
    {"codec": "mpeg4"},
    # Too slow for the regulation: a condition to be seen at the centre.
    {"codec": "mjpeg", "fps": 10.0, "username": "viewer", "password": "demo-only", "quirks": "basic"},
)


def show(seconds: int, cameras: int, output: Path, *, mosquitto: str | None, keep: bool = False) -> int:
    """Record virtual cameras on two boxes, watch them from a centre, open what was recorded, and say what happened.

    seconds    of recording
    cameras    how many on each box
    output     directory for the clips and the contact sheet; made when missing
    mosquitto  its path; None takes a broker in Python
    keep       leave the boxes' folders and the city's there as well
    Returns  0 when every camera was recorded and opened whole, every ledger is verified and the command was obeyed,
             1 otherwise
    Raises   UplinkFault DEMO_BROKER_MISSING; RuntimeError with a log's last words when something does not come up
    """
    output = output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    place = output / "site"
    if (place / "demo-1" / "agent.toml").exists() and (place / "city" / "city.json").exists():
        shutil.rmtree(place)  # what an earlier demo has kept, and nothing else
    screen = console()
    with contextlib.ExitStack() as stack:
        if keep:
            place.mkdir(mode=0o700)
        else:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pasu-demo-")))
        with Town(place, mosquitto) as town:
            screen.print(told.founded(town))
            sites = _sites(place, cameras)
            specs = [spec for site in sites for spec in site.specs]
            screen.print(say("가상 카메라를 켜는 중…", "Starting the virtual cameras…"))
            with CameraProcess(specs, place / "ledger") as fleet:
                for site in sites:
                    town.enrol(site.configure(fleet.urls, town.recipients, town.city.broker))
                screen.print(told.enrolled(sites))
                seen = _Run(town, sites, fleet, seconds).run()
                fleet.command("flush")
        opened = results.open_all(place, output, sites, town.key_file)
        screen.print(results.report(opened, output))
        if keep and opened.is_whole:
            screen.print(results.by_hand(opened, town.key_file))
        screen.print(told.command(seen.hold, town))
        if not SystemSource().kernel_synced():
            screen.print(told.time_given())
        for alarm in seen.alarms:
            screen.print(told.alarm(alarm), style="bold red")
        told.table(town.city.name, seen.rows)
    return 0 if opened.is_whole and seen.is_proven else 1


def _sites(place: Path, cameras: int) -> list[Site]:
    """Make the boxes, their cameras numbered through."""
    specs = [
        CameraSpec(number, onvif=True, **KINDS[(number - 1) % len(KINDS)])
        for number in range(1, BOXES * cameras + 1)
    ]
    return [
        Site(place / f"demo-{number}", f"demo-{number}", specs[(number - 1) * cameras : number * cameras])
        for number in range(1, BOXES + 1)
    ]


@dataclass(slots=True)
class Seen:
    """What the centre saw of the boxes before they ended.

    hold         the officer's command
    inspections  by box; each had the box sign the head of its ledger
    """

    hold: Ordered | None = None
    inspections: dict[str, Ordered] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def is_verified(self) -> bool:
        """Whether of every box all is verified that its ledger held when it was inspected."""
        return all(0 < _signed(self.inspections[row.standing.box]) <= row.verified for row in self.rows)

    @property
    def is_proven(self) -> bool:
        """Whether the ledgers are verified, nothing raised an alarm, and the command was obeyed."""
        obeyed = self.hold is not None and self.hold.reply.get("status") == "done"
        return self.is_verified and obeyed and not self.alarms


class _Run:
    """The boxes' life: they record for so long, one camera reboots halfway, and the officer places a hold."""

    def __init__(self, town: Town, sites: list[Site], fleet: CameraProcess, seconds: int) -> None:
        self._town, self._sites, self._fleet, self._seconds = town, sites, fleet, seconds
        self._seen = Seen()
        self._rebooted = seconds < 4 * REBOOT_S or len(sites[0].specs) < 2
        self._words = ""

    def run(self) -> Seen:
        """Run them, and end them."""
        try:
            for site in self._sites:
                site.start()
            with Live(console=console(), auto_refresh=False, transient=False) as self._live:
                self._wait_until_recording()
                self._record()
                self._prove()
        finally:
            for site in self._sites:
                site.tell_to_stop()
            for site in self._sites:
                site.stop()
        return self._seen

    def _wait_until_recording(self) -> None:
        until = time.monotonic() + START_BOUND_S
        while not all(site.is_recording for site in self._sites):
            if time.monotonic() > until:
                raise RuntimeError("the cameras do not come up")
            self._turn(say("박스를 시작하는 중", "Starting the boxes"))

    def _record(self) -> None:
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < self._seconds:
            if not self._rebooted and elapsed > self._seconds / 2:
                self._rebooted = True
                self._fleet.command("reboot", camera=self._sites[0].specs[1].number, seconds=REBOOT_S)
            if self._seen.hold is None and elapsed > self._seconds * 0.6:
                self._place_hold()
            self._turn(
                say(
                    f"녹화 {elapsed:4.0f} / {self._seconds}초",
                    f"Recording {elapsed:4.0f} of {self._seconds} s",
                )
            )

    def _place_hold(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        arguments = {
            "cameras": [self._sites[0].specs[0].name],
            "from_ms": now_ms - HOLD_MS,
            "to_ms": now_ms,
            "ground": "investigation",
            "authority": say("강릉경찰서 2026-123", "Gangneung Police 2026-123"),
            "review": time.strftime("%Y-%m-%d", time.gmtime(now_ms / 1000 + REVIEW_S)),
        }
        self._seen.hold = self._town.order(self._sites[0].box, "hold.place", arguments)

    def _prove(self) -> None:
        """Have every box sign the head of its ledger, and verify all that it stands for."""
        if self._seen.hold is None:
            self._place_hold()
        seen = self._seen
        seen.inspections = {site.box: self._town.order(site.box, "inspect", {}) for site in self._sites}
        until = time.monotonic() + PROVE_S
        while time.monotonic() < until:
            self._turn(say("원장을 확인하는 중", "Verifying the ledgers"))
            seen.rows, seen.alarms = self._town.rows(), self._town.alarms
            told = all(row.standing.recording == len(row.standing.cameras) > 0 for row in seen.rows)
            if told and seen.is_verified and seen.hold and seen.hold.is_answered:
                return

    def _turn(self, heading: str) -> None:
        self._town.turn(REFRESH_S)
        states = {site.box: site.cameras() for site in self._sites}
        parts: list[Any] = [Text(heading, style="bold"), live_table(states)]
        parts.append(Text(told.line(self._town.rows(), self._seen.hold)))
        self._live.update(Group(*parts), refresh=self._live.console.is_terminal)


def _signed(inspection: Ordered) -> int:
    """Return over how many entries the box signed when it was inspected, 0 when it has not answered."""
    if inspection.reply.get("status") != "done":
        return 0
    entries: int = inspection.reply["detail"]["inspection"]["7_measures"]["ledger"]["entries"]
    return entries


def live_table(boxes: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """Draw one line per camera from the recorders' health files, by box."""
    rows = []
    for box, states in boxes.items():
        for name, state in states.items():
            codec = state.get("codec", "")
            rows.append(
                (
                    box,
                    name,
                    camera_state(state["state"]),
                    codec.upper(),
                    f"{state.get('fps', 0):.1f}",
                    f"{state.get('kbit_s', 0) / 1000:.2f}",
                    str(state.get("segments", 0)),
                    size(state.get("sealed_bytes", 0)),
                    str(state.get("gaps", 0)),
                )
            )
    heads = (
        say("박스", "box"),
        say("카메라", "camera"),
        say("상태", "state"),
        say("코덱", "codec"),
        "fps",
        "Mbit/s",
        say("조각", "segments"),
        say("봉인", "sealed"),
        say("공백", "gaps"),
    )
    return table(heads, rows, right=(4, 5, 6, 7, 8))
