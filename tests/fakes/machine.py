"""A box that is updated, made up: dpkg that can be cut off, versions that record or do not, restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.field.updating import plan
from agent.field.updating.plan import Heard

if TYPE_CHECKING:
    from pathlib import Path


class PowerCut(BaseException):
    """Whatever ran is gone, in the middle of what it did."""


@dataclass
class Version:
    """How a version behaves.

    silent    its recorder says nothing; deaf: it says that it records what does not grow
    rests     it says of its cameras that they rest, and stores nothing
    catalogue to which version it brings the catalogue when it starts
    breaks    dpkg cannot install it, as often as this says
    cuts      the power goes that many seconds after it was started, each time
    """

    cameras: frozenset[str] = frozenset({"cam01", "cam02"})
    silent: bool = False
    deaf: bool = False
    rests: bool = False
    keeps: bool = True
    catalogue: int = 5
    breaks: int = 0
    cuts: float | None = None


def package(
    place: Path, version: str, *, name: str = plan.PACKAGE, architecture: str = "amd64", catalogue: int = 5
):
    """Write a package that the made-up dpkg reads; return its place."""
    fields = {
        "Package": name, "Version": version, "Architecture": architecture, "Installed-Size": "1000",
        "Pasu-Catalogue": str(catalogue), "Pasu-Built": "2026-11-22T00:00:00Z",
    }  # fmt: skip
    place.write_text(json.dumps(fields))
    return place


@dataclass
class MadeUp:
    """Such a box. `cut` is told what dpkg and the units are about, and may raise PowerCut."""

    versions: dict[str, Version] = field(default_factory=dict)
    version: str = ""
    half: bool = False
    room: int = 1 << 40
    catalogue_now: int | None = 5
    now_s: float = 100.0
    boots: int = 1
    running: set[str] = field(default_factory=lambda: set(plan.UNITS))
    disabled: set[str] = field(default_factory=set)
    installs: list[str] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    is_ready: bool = False
    cut: object = None
    record_pid: int = 11
    keep_pid: int = 12
    started_s: float = 0.0
    grown: float = 0.0
    waits: bool = False  # what is to run waits for `ready`, after a boot

    def _say(self, what: str) -> None:
        if self.cut is not None:
            self.cut(what)

    @property
    def behaves(self) -> Version:
        return self.versions.get(self.version, Version())

    @property
    def is_whole(self) -> bool:
        return bool(self.version) and not self.half

    def reboot(self) -> None:
        """Lose the power, and start again: the units of what is there, once they may."""
        self.boots += 1
        self.now_s, self.is_ready, self.waits = 5.0, False, True
        self.running = set(plan.UNITS) - self.disabled
        self._begin()

    def _begin(self) -> None:
        self.record_pid += 100
        self.keep_pid += 100
        self.started_s = self.now_s
        if (
            self.is_whole
            and not self.waits
            and self.catalogue_now is not None
            and "pasu-record.service" in self.running
        ):
            self.catalogue_now = max(self.catalogue_now, self.behaves.catalogue)

    def fields(self, package: Path) -> dict[str, str]:
        try:
            return json.loads(package.read_text())
        except ValueError:
            return {}

    def installed(self) -> str:
        return self.version

    def architecture(self) -> str:
        return "amd64"

    def order(self, one: str, other: str) -> int:
        first, second = ([int(part) for part in text.split(".")] for text in (one, other))
        return (first > second) - (first < second)

    def free(self, place: Path) -> int:
        return self.room

    def install(self, package: Path) -> str:
        fields = self.fields(package)
        if not fields:
            return "no package"
        self.installs.append(fields["Version"])
        how = self.versions.get(fields["Version"], Version())
        self._say("before dpkg")
        if how.breaks:
            how.breaks -= 1
            self.half = True
            return "dpkg: error"
        self.half = True
        self._say("in dpkg")
        self.version = fields["Version"]
        self._say("still in dpkg")
        self.half = False
        self._say("after dpkg")
        return ""

    def active(self, units):
        return tuple(unit for unit in units if unit in self.running)

    def stop(self, units) -> None:
        self.stops += units
        for unit in units:
            self.running.discard(unit)
            self._say(f"stopped {unit}")

    def start(self, units) -> None:
        for unit in units:
            self.running.add(unit)
            self._say(f"started {unit}")
        self.waits = False
        self._begin()

    def heard(self, run: str) -> Heard:
        how, up_s = self.behaves, self.now_s - self.started_s
        if not self.is_whole or self.waits:
            return Heard(0, 0, frozenset())
        speaks = "pasu-record.service" in self.running and not how.silent and up_s >= 3
        reads = self.catalogue_now is None or self.catalogue_now <= how.catalogue
        keeps = "pasu-keep.service" in self.running and how.keeps and up_s >= 2
        recording = how.cameras if speaks and reads and up_s >= 6 else frozenset()
        said = (frozenset(), recording) if how.rests else (recording, frozenset())
        return Heard(self.record_pid if speaks and reads else 0, self.keep_pid if keeps else 0, *said)

    def marks(self, vaults, cameras) -> dict[str, str]:
        how = self.behaves
        return {
            camera: f"{self.now_s:.0f}"
            if camera in how.cameras and not how.deaf and not how.rests
            else "the same"
            for camera in cameras
        }

    def catalogue(self, state: str) -> int | None:
        return self.catalogue_now

    def boot(self) -> str:
        return f"boot-{self.boots}"

    def boot_s(self) -> float:
        return self.now_s

    def utc_ms(self) -> int:
        return 1_790_000_000_000 + int(self.now_s * 1000)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self._say("watching")
        if self.behaves.cuts is not None and self.now_s - self.started_s >= self.behaves.cuts:
            raise PowerCut

    def ready(self) -> None:
        self.is_ready = True
        if self.waits:
            self.waits = False
            self._begin()
