"""Check what is stored, from its beginning to its end, in one's own time.

Where a check has come to is written down, so that one that is interrupted goes on there. What it finds and what
is done about it stands in check_findings.py and check_mend.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.storage.keep import position
from agent.storage.keep.check_day import Examiner, Unit, unjudged
from agent.storage.keep.check_findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.model import Instant, Span
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.vault import Vault

FILE = "check.json"
_DETAILS = 1000  # what is told one by one; the rest is counted


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be checked.

    name    tells selections apart: a check goes on where the last one of the same name stopped
    camera  None for all; span None for everything
    """

    name: str
    level: Level
    camera: str | None = None
    span: Span | None = None


@dataclass(slots=True)
class Tally:
    """How far a check has come, and what it found.

    unit     the last one that was begun; name: that of the last file in it that was done, None when all of it is
    counts   findings by what they are; still: those that are damage and still there
    findings the first of them in detail
    """

    selection: str
    unit: Unit | None = None
    name: str | None = None
    days: int = 0
    files: int = 0
    bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    still: int = 0
    findings: list[Finding] = field(default_factory=list)

    def note(self, finding: Finding) -> None:
        """Take a finding."""
        self.counts[finding.what.value] += 1
        self.still += finding.is_open
        if len(self.findings) < _DETAILS:
            self.findings.append(finding)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values; `_tally` reads them back."""
        unit = self.unit
        return {
            "selection": self.selection,
            "unit": [unit.vault, unit.camera, unit.day] if unit else None,
            "name": self.name,
            "days": self.days,
            "files": self.files,
            "bytes": self.bytes,
            "counts": dict(self.counts),
            "still": self.still,
            "findings": [finding.as_json() for finding in self.findings],
        }


class Check:
    """A check of a selection, which can be stopped after any file and gone on with by another process."""

    def __init__(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        state: Path,
        selection: Selection,
        now: Callable[[], Instant],
        *,
        disk: Disk,
        repair: bool = False,
        restart: bool = False,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take up the work where it was left, or begin.

        vaults   those that are there, by uuid; rows of others are not judged
        repair   do what check_mend.py says; the catalogue must be writable then
        restart  begin at the beginning whatever was done before
        """
        self._file = state / FILE
        left = None if restart else _tally(self._file, selection.name)
        self.resumed = left is not None
        self.tally = left or Tally(selection.name)
        self.total = 0
        self.at = 0
        self._disk = disk
        self._selection = selection
        self._examiners = {
            uuid: Examiner(
                catalogue, vault, state, now, span=selection.span, repair=lambda _: repair, step=step
            )
            for uuid, vault in sorted(vaults.items())
        }
        self._units: list[Unit] = []
        self._moved = False

    def run(self, go_on: Callable[[], bool], show: Callable[[], None] = lambda: None) -> bool:
        """Check until all is done or `go_on` says no; return whether all is done.

        show    is called after each file whose bytes were read, and after each day
        Raises  StorageFault when the catalogue cannot be used. What the vaults' disks say is among the findings
        """
        try:
            self._list()
            for unit in self._units:
                if not self._unit(unit, go_on, show):
                    return False
                self.at += 1
                show()
        except BaseException:
            self._save()
            raise
        self._file.unlink(missing_ok=True)
        return True

    def _list(self) -> None:
        tally, selection = self.tally, self._selection
        after = tally.unit
        for uuid, examiner in self._examiners.items():
            try:
                if after is None and selection.camera is None:
                    for finding in examiner.bad_rows():
                        tally.note(finding)
                cameras = [selection.camera] if selection.camera else examiner.cameras()
                self._units += examiner.units(cameras)
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                tally.note(unjudged(Unit(uuid, "", ""), fault))
        self.total = len(self._units)
        if after is not None:
            self._units = [u for u in self._units if u > after or (u == after and tally.name is not None)]
            self.at = self.total - len(self._units)

    def _unit(self, unit: Unit, go_on: Callable[[], bool], show: Callable[[], None]) -> bool:
        """Check a day; false when stopped before its end."""
        tally, examiner = self.tally, self._examiners[unit.vault]
        if self._stops(go_on):
            return False
        begun = unit == tally.unit and tally.name is not None
        after = (tally.name or "") if begun else ""
        files, read = examiner.files, examiner.bytes
        try:
            day, wrong = examiner.open(unit)
            if not begun:
                tally.files += examiner.files - files
                for finding in wrong:
                    tally.note(finding)
            tally.unit, tally.name = unit, after
            for row in day.there if self._selection.level is not Level.PRESENCE else ():
                if row.name <= after:
                    continue
                if self._stops(go_on):
                    return False
                for finding in examiner.content(row, self._selection.level):
                    tally.note(finding)
                tally.bytes += examiner.bytes - read
                read = examiner.bytes
                tally.name = row.name
                self._moved = True
                if self._selection.level is Level.DIGESTS:
                    self._save()
                    show()
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            tally.note(unjudged(unit, fault))
        tally.unit, tally.name = unit, None
        tally.days += 1
        self._moved = True
        self._save()
        return True

    def _stops(self, go_on: Callable[[], bool]) -> bool:
        """Ask whether to stop, and write down the place if so. Something is done first: else nothing ever would be."""
        if not self._moved or go_on():
            return False
        self._save()
        return True

    def _save(self) -> None:
        position.save(self._disk, self._file, self.tally.as_json())


def _tally(place: Path, selection: str) -> Tally | None:
    """Read where a check of this selection was left; None when there is none, or it cannot be read."""
    values = position.load(place)
    try:
        if values["selection"] != selection or not values["unit"]:
            return None
        return Tally(
            selection,
            Unit(*values["unit"]),
            values["name"],
            int(values["days"]),
            int(values["files"]),
            int(values["bytes"]),
            Counter({str(key): int(count) for key, count in values["counts"].items()}),
            int(values["still"]),
            [Finding.from_json(each) for each in values["findings"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
