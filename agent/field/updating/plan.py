"""What may be installed, what a box was in the middle of, and whether a new version has proved itself. Pure.

The steps' numbers are those of docs/update.md: U1 to U3 in `stage`, U4 to U10 in `finish`.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

PACKAGE = "pasu-agent"
FIELDS = ("Package", "Version", "Architecture", "Installed-Size", "Pasu-Catalogue", "Pasu-Built")
UNITS = (
    "pasu-clock.service",
    "pasu-record.service",
    "pasu-keep.service",
    "pasu-tunnel.service",
    "pasu-uplink.service",
    "pasu-page.service",
)
"""In the order in which they are started again: recording first, and what it asks for the time."""
TUNNEL = "pasu-tunnel.service"
QUIET = ("pasu-keep.service", "pasu-uplink.service", "pasu-page.service")
"""Stopped while packages change: what erases and what talks runs in no mixture of two versions. Recording goes on; the
tunnel stays, since whoever does this may have come by it."""
WATCH_S = 180.0
"""Issue 6; row J3."""
SETTLED_S = 20.0
"""For so long at least the new version is watched: what records at first may still stop."""
FRESH_S = 15.0
WEEK_MS = 7 * 86_400_000
MOST_WATCHES = 2
"""A third boot within the watch, and the new version is taken for what brings the box down (R19)."""
MOST_TRIES = 3
ROOM_BYTES = 64 << 20
"""Left on the disk beside what an update needs."""

_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~-]{0,63}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class Phase(StrEnum):
    """What is to be done next."""

    INSTALL = "install"
    START = "start"
    WATCH = "watch"
    BACK = "back"
    BACK_START = "back_start"
    CLOSE = "close"


class Outcome(StrEnum):
    """What became of an update. FAILED: the new version stays, since there is no way back."""

    APPLIED = "applied"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


class Unreadable(ValueError):
    """Bytes that are no journal, no package's fields, or no outcome."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package.

    catalogue  the newest version of the catalogue that it can read; None for one that does not say
    """

    version: str
    architecture: str
    sha256: str
    kid: str
    catalogue: int | None = None
    built: str = ""

    @property
    def file(self) -> str:
        """Return the name under which it is kept."""
        return f"{self.sha256}.deb"


@dataclass(frozen=True, slots=True)
class Journal:
    """An update that is on its way.

    id        16 hexadecimal digits
    old       what is gone back to; None where nothing was kept
    was       the version that was installed
    cameras   those that recorded before, or rested between their hours
    keeping   keep spoke before
    units     those that were active before
    watches   in how many boots it was watched; tries: how often the old package could not be installed
    pids      of record and keep as they spoke before the start that is watched, in the boot `boot`
    why       why it is taken back; missing: cameras that do not record
    rests     (camera, from_ms, until_ms) in UTC: when those with hours may rest, of the week that begins at at_ms; each
              week after is like it. A camera that is not here has no hours, and never rests
    """

    id: str
    phase: Phase
    new: Package
    old: Package | None
    was: str
    by: str
    at_ms: int
    cameras: tuple[str, ...]
    keeping: bool
    units: tuple[str, ...]
    state: str
    run: str
    vaults: tuple[str, ...]
    older: str = ""
    watches: int = 0
    tries: int = 0
    why: str = ""
    missing: tuple[str, ...] = ()
    outcome: Outcome | None = None
    boot: str = ""
    pids: tuple[int, ...] = ()
    rests: tuple[tuple[str, int, int], ...] = ()

    def to(self, phase: Phase, **more: Any) -> Journal:
        """Return it with another phase."""
        return replace(self, phase=phase, **more)

    def may_rest(self, camera: str, utc_ms: int) -> bool:
        """Tell whether a moment lies outside of a camera's hours, as they were when the update began."""
        in_week_ms = self.at_ms + (utc_ms - self.at_ms) % WEEK_MS
        return any(name == camera and since <= in_week_ms < until for name, since, until in self.rests)


def encode(journal: Journal) -> bytes:
    """Write a journal down."""
    return json.dumps({"v": 1, **asdict(journal)}, ensure_ascii=False).encode() + b"\n"


def parse(data: bytes) -> Journal:
    """Read a journal. Raises Unreadable."""
    # One of a version that wrote no hours down is to be read, or a second update would take its place. Nothing may rest
    # by it; but who judges by it is that version's rescue, and not this.
    found = {"rests": [], **_object(data)}
    try:
        values = {name: found[name] for name in Journal.__dataclass_fields__}
        for name in ("cameras", "units", "vaults", "missing", "pids"):
            values[name] = tuple(values[name])
        values["rests"] = tuple((str(name), int(since), int(until)) for name, since, until in values["rests"])
        values["new"] = _package(values["new"])
        values["old"] = _package(values["old"]) if values["old"] is not None else None
        values["phase"] = Phase(values["phase"])
        values["outcome"] = Outcome(values["outcome"]) if values["outcome"] is not None else None
        return Journal(**values)
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable("no journal") from error


def encode_package(package: Package) -> bytes:
    """Write down which package is kept."""
    return json.dumps({"v": 1, **asdict(package)}).encode() + b"\n"


def parse_package(data: bytes) -> Package:
    """Read which package is kept. Raises Unreadable."""
    found = _object(data)
    found.pop("v")
    return _package(found)


def _package(found: Any) -> Package:
    try:
        package = Package(**found)
        if not _SHA256.match(package.sha256) or not _VERSION.match(package.version):
            raise Unreadable("no package")
    except TypeError as error:
        raise Unreadable("no package") from error
    return package


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable("no JSON") from error
    if not isinstance(found, dict) or found.get("v") != 1:
        raise Unreadable("another version")
    return found


def read_fields(fields: dict[str, str], sha256: str, kid: str) -> Package:
    """Read the control fields of a package that is ours. Raises Unreadable for any other."""
    version, catalogue = fields.get("Version", ""), fields.get("Pasu-Catalogue", "")
    if fields.get("Package") != PACKAGE or not _VERSION.match(version):
        raise Unreadable(fields.get("Package", ""))
    return Package(
        version,
        fields.get("Architecture", ""),
        sha256,
        kid,
        int(catalogue) if catalogue.isascii() and catalogue.isdigit() else None,
        fields.get("Pasu-Built", ""),
    )


def named_by(comment: str) -> dict[str, str]:
    """Read what a signature's trusted comment says that it is of: `file`, `version` and `arch`, as tools/deb signs."""
    parts = (part.partition(":") for part in comment.split("\t"))
    return {name: value for name, colon, value in parts if colon}


def is_named(package: Package, comment: str) -> bool:
    """Tell whether the trusted comment is about this package, and no other one that was signed."""
    named = named_by(comment)
    file = f"{PACKAGE}_{package.version}_{package.architecture}.deb"
    return named == {"file": file, "version": package.version, "arch": package.architecture}


@dataclass(frozen=True, slots=True)
class Situation:
    """What a box is like before an update.

    order      -1, 0 or 1: the package is older than what is installed, the same, or newer
    room       bytes that are free where it is installed, less those that it takes
    catalogue  version of the box's catalogue now; None where there is none
    reads      the newest catalogue that the installed version reads
    kept       the package of the installed version; None where it was not kept
    recording  the cameras that record, or rest between their hours
    """

    architecture: str
    order: int
    room: int
    catalogue: int | None
    reads: int
    kept: Package | None
    recording: tuple[str, ...]


def refuse(package: Package, there: Situation, *, older: str, anyway: bool, no_way_back: bool) -> str | None:
    """Return the code of the first reason against installing a package, None when there is none.

    older        why an older one is wanted, "" where none is
    anyway       also where nothing records now; no_way_back: also where there is no way back
    """
    if package.architecture not in (there.architecture, "all"):
        return "UPDATE_ARCHITECTURE"
    if there.order == 0:
        return "UPDATE_SAME"
    if there.order < 0 and not older:
        return "UPDATE_OLDER"
    if there.catalogue is not None and (package.catalogue or 0) < there.catalogue:
        return "UPDATE_CATALOGUE"
    if there.room < ROOM_BYTES:
        return "UPDATE_ROOM"
    if not there.recording and not anyway:
        return "UPDATE_NOT_RECORDING"
    if not no_way_back and (there.kept is None or (package.catalogue or 0) > there.reads):
        return "UPDATE_NO_WAY_BACK"
    return None


@dataclass(frozen=True, slots=True)
class Heard:
    """What record and keep say of themselves.

    record     pid of a recorder that spoke within FRESH_S, 0 for none; keep: the same of keep
    recording  the cameras that it says record; resting: those whose pictures come, outside of their hours
    """

    record: int
    keep: int
    recording: frozenset[str]
    resting: frozenset[str] = frozenset()


class Growth:
    """Which cameras' footage has grown since the new recorder spoke first: words alone are not believed (J3)."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._first: dict[str, str] | None = None
        self._grown: set[str] = set()

    def see(self, marks: dict[str, str]) -> frozenset[str]:
        """Take what the disks hold, by camera, in any form that differs when there is more of it; return which grew."""
        if self._first is None:
            self._first = marks
        self._grown |= {camera for camera, mark in marks.items() if mark != self._first.get(camera)}
        return frozenset(self._grown)


def judge(
    journal: Journal, heard: Heard, grown: frozenset[str], passed_s: float, utc_ms: int
) -> tuple[bool | None, str, tuple[str, ...]]:
    """Say what becomes of the version that runs now.

    Of a camera that rests nothing can grow: that its pictures come is all that can be asked. It is asked only where its
    hours, as the version before had them, say that it may rest now: the new one's may be what is wrong with it.

    grown     cameras whose footage has grown
    passed_s  since watching began; utc_ms: the time of day
    Returns   True (it stays), False (it goes) or None (look again); why; and which cameras do not record
    """
    record, keep = anew(heard.record, journal), anew(heard.keep, journal)
    resting = {camera for camera in heard.resting if journal.may_rest(camera, utc_ms)}
    well = (heard.recording & grown) | resting if record else frozenset()
    missing = tuple(camera for camera in journal.cameras if camera not in well)
    why = "silent" if not record else "cameras" if missing else "keep" if journal.keeping and not keep else ""
    if not why:
        return (True if passed_s >= SETTLED_S else None), "", ()
    return (False if passed_s >= WATCH_S else None), why, missing


def anew(pid: int, journal: Journal) -> bool:
    """Tell whether a process speaks that is none of those before."""
    return pid > 0 and pid not in journal.pids


def told(journal: Journal, utc_ms: int) -> dict[str, Any]:
    """Return what everybody may read of an update that is over; keep makes a fact of it."""
    assert journal.outcome is not None, "it is over"
    new, old = journal.new, journal.old
    return {
        "v": 1,
        "id": journal.id,
        "outcome": str(journal.outcome),
        "version": new.version,
        "sha256": new.sha256,
        "signed_by": new.kid,
        "built": new.built,
        "before": journal.was,
        "before_sha256": old.sha256 if old else "",
        "by": journal.by,
        "older": journal.older,
        "why": journal.why,
        "missing": list(journal.missing),
        "begun_ms": journal.at_ms,
        "at_ms": utc_ms,
    }
