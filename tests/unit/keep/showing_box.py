"""A box with a media server, and the uplink's side of its exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.grants import Grant, Report, Stage
from agent.model import Fact, Instant, Trust
from agent.storage.granted import Granted
from tests.unit.config.samples import RIGHT
from tests.unit.keep.ordered import Ordered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UPLINK = '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"\n[tunnel]\ninterface = "pasu0"\n'
CENTRE = '[[centre]]\nname = "office"\nmedia = "rtsp://10.77.0.2:8554"\n'


class Killed(BaseException):
    pass


def camera(name: str, more: str = "") -> str:
    return f"""
[[camera]]
id = "{name}"
name = "{name}"
url = "rtsp://10.0.0.9/{name}"
purpose = "fire-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
{more}
"""


FILE = camera("cam2").replace("rtsp://10.0.0.9/cam2", "file:///srv/cam2.mp4")


class Showing(Ordered):
    """Cameras cam1 (RTSP) and cam2 (a file), and what a test adds."""

    def __init__(self, root: Path, more: str = "") -> None:
        super().__init__(root)
        self.root = root
        self.configure(more)
        self.tick()
        self.replies()

    def configure(self, more: str = "") -> None:
        """Put another configuration in the place of the one that is there."""
        text = RIGHT.replace("/var/lib/pasu", str(self.root)).replace("cam01", "cam1") + FILE + UPLINK + more
        new = self.config_file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.config_file)

    @property
    def uplink(self) -> Granted:
        return Granted(self.state)

    def granted(self) -> dict[str, Grant]:
        """Return what is in force by the clock of this boot, by grant."""
        found = self.uplink.grants()
        return {
            name: each for name, each in found.items() if each.is_open(self.source.boot, self.source.boot_at)
        }

    def live(self) -> list[str]:
        return sorted(each.camera for each in self.granted().values())

    def say(self, name: str, stage: Stage, **more: Any) -> None:
        self.uplink.put(Report(name, stage, **more))

    def relay(self, sent_bytes: int = 100) -> None:
        """Do what the uplink does: say of each grant that it flows, and of each report without a grant that it is over."""
        granted = self.granted()
        for name in granted:
            self.say(name, Stage.FLOWING, flowed=True, sent_bytes=sent_bytes)
        for name, report in self.uplink.reports().items():
            if name not in granted:
                self.say(name, Stage.OVER, flowed=True, reason="revoked", sent_bytes=report.sent_bytes)

    def press(self, trigger: str = "bell01", **more: Any) -> None:
        """Do what the recorder does when a trigger speaks."""
        at = Instant(self.clock.utc_ms, Trust.SYNCED)
        body = {"trigger": trigger, "count": 1, "source": "mqtt", "cameras": ["cam1"]} | more
        with self.catalogue() as catalogue:
            catalogue.add_fact(Fact("event.triggered", at, body))

    def turns(self, times: int = 1) -> None:
        """Tick, with an uplink that works."""
        for _ in range(times):
            self.tick()
            self.relay()

    @property
    def now_boot_ms(self) -> int:
        return int(self.source.boot_at)


def killer(at: str) -> tuple[Callable[[str], None], list[str]]:
    """Return a step hook that kills once, after a step; and what was killed."""
    killed: list[str] = []

    def step(said: str) -> None:
        if said == at and not killed:
            killed.append(said)
            raise Killed

    return step, killed
