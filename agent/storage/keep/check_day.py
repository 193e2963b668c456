"""Examine one day of one camera at a time: which days there are, what is wrong in one, and what is done about it."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent.model import UTC_DAY_MS, Span, utc_day
from agent.storage import files, notes, progress
from agent.storage.keep import check_file
from agent.storage.keep.check_findings import Day, Done, Finding, Level, Row, What, compare, parts
from agent.storage.keep.check_mend import Mender, is_live
from agent.storage.layout import Kind, classify
from agent.storage.old import Asides, old_catalogues
from agent.storage.orphans import orphans
from agent.storage.salvage import UNRECONCILED, Salvage
from agent.storage.schema import PRESENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.errors import StorageFault
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.layout import Stem
    from agent.storage.progress import Open
    from agent.storage.vault import Vault

YOUNG_MS = 600_000
"""A finished file may wait so long for its row: the catalogue was locked. Salvage at a start waits for nothing."""
OPEN_MS = UTC_DAY_MS
"""What belongs to an open segment is its recorder's, and the next start's, for so long after the last write."""
_FINISHED = (Kind.FINAL, Kind.SALVAGED)
_SOME_NAME = "/20000101T000000.000Z.mp4.age"
_COLUMNS = "id, camera, path, start_ms, end_ms, sealed_bytes, sha256, state, has_tail"
_NEXT = (
    "SELECT path, CAST(path AS BLOB) FROM segment INDEXED BY idx_segment_vault_path"  # noqa: S608 - constants
    f" WHERE vault = ? AND path > CAST(? AS TEXT) AND path < CAST(? AS TEXT) AND {PRESENT} ORDER BY path LIMIT 1"
)
"""From and to are bytes: a row that is damaged may have a path that is no text."""
_LAST = b"\xff" * 16
_ROWS = (
    f"SELECT {_COLUMNS} FROM segment INDEXED BY idx_segment_vault_path"  # noqa: S608 - constants
    f" WHERE vault = ? AND path > ? AND path < ? AND {PRESENT} ORDER BY path"
)


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """One day of one camera on one vault."""

    vault: str
    camera: str
    day: str

    @property
    def directory(self) -> str:
        """Its directory, relative to the vault."""
        return f"segments/{self.camera}/{self.day}"


class Examiner:
    """Examines one vault. Changes nothing, unless `repair` says so."""

    def __init__(
        self,
        catalogue: Catalogue,
        vault: Vault,
        state: Path,
        now: Callable[[], Instant],
        *,
        span: Span | None = None,
        repair: Callable[[Finding], bool] = lambda _: False,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what is to be compared.

        span    only segments that overlap it; None for all
        repair  tells of a finding whether something is done about it; see check_mend.py
        step    is told the number of each step of check_mend.py that is done
        """
        self.files = 0
        self.bytes = 0
        self._catalogue = catalogue
        self._vault = vault
        self._state = state
        self._now = now
        self._span = span
        self._repair = repair
        self._mender = Mender(catalogue, vault, state, now, step)
        # A catalogue that is being made again does not know its files yet.
        waiting = notes.names(catalogue, UNRECONCILED)
        self._knows_all = catalogue.meta("reconcile") is None and vault.uuid not in waiting

    def units(self, cameras: list[str]) -> Iterator[Unit]:
        """Yield the days of these cameras, by camera and day: those that have a directory, and those of rows.

        Raises  StorageFault when the vault cannot be listed
        """
        for camera in sorted(cameras):
            days = {day for _, day in check_file.days(self._vault, camera)}
            if self._span is None:
                days |= set(self._row_days(camera))
            else:
                # The day before too: a segment bears the day of its start.
                first, last = utc_day(self._span.start_ms - UTC_DAY_MS), utc_day(self._span.end_ms)
                days = {day for day in days if first <= day <= last}
                rows = self._catalogue.segments(camera, self._span)
                days |= {
                    row.path.split("/")[2]
                    for row in rows
                    if row.vault == self._vault.uuid and parts(row.path)
                }
            yield from (Unit(self._vault.uuid, camera, day) for day in sorted(days))

    def cameras(self) -> list[str]:
        """Return every camera that has a directory or was ever seen. Raises StorageFault."""
        return sorted(
            {camera for camera, _ in check_file.days(self._vault, None)} | set(self._catalogue.cameras())
        )

    def _row_days(self, camera: str) -> Iterator[str]:
        """Walk the index from day to day: one look-up each, however many segments a day has."""
        prefix = f"segments/{camera}/"
        at, end = prefix.encode(), f"segments/{camera}0".encode()
        while found := self._catalogue.read(_NEXT, (self._vault.uuid, at, end)):
            path, stored = found[0]
            day = path[len(prefix) :].partition("/")[0]
            if parts(prefix + day + _SOME_NAME):
                yield day
                at = f"{prefix}{day}0".encode()
            else:
                at = stored  # no place of ours: the next row, whatever it is

    def bad_rows(self) -> Iterator[Finding]:
        """Yield the rows whose path is no place of ours, outside the days of cameras."""
        at = b""
        while found := self._catalogue.read(_NEXT, (self._vault.uuid, at, _LAST)):
            path, stored = found[0]
            directory = path.rpartition("/")[0]
            if parts(directory + _SOME_NAME):
                at = f"{directory}0".encode()
            else:
                yield Finding(self._vault.uuid, "", path, What.BAD_ROW)
                at = stored

    def open(self, unit: Unit) -> tuple[Day, list[Finding]]:
        """Lay a day's rows beside its names, and say what is wrong with those.

        Returns  the day, whose rows can be handed to `content`, and the findings
        Raises   StorageFault when the vault is not the one it was, or its directory cannot be read
        """
        there = check_file.names(self._vault.at(unit.directory))
        rows, wrong = self._rows(unit)
        day = compare(unit.camera, unit.day, rows, there or ())
        if day.absent or there is None:
            self._vault.verify()
        wrong += [self._finding(unit, f"{unit.directory}/{name}", What.STRANGE) for name in day.strange]
        for row in day.absent:
            if check_file.is_gone(self._vault.at(row.path)) and is_live(self._catalogue, row):
                wrong.append(self._mended(row, self._finding(unit, row.path, What.MISSING, row.span)))
        wrong += [
            self._mended(row, self._finding(unit, row.path, What.TAIL, row.span))
            for row in day.tailless
            if is_live(self._catalogue, row) and check_file.is_gone(self._vault.at(row.path + ".tail"))
        ]
        if self._knows_all:
            wrong += self._orphans(unit, day.loose)
        self.files += len(day.there)
        return day, wrong

    def content(self, row: Row, level: Level) -> list[Finding]:
        """Say what is wrong with the file of a row. Raises StorageFault for the catalogue."""
        wrong, count = check_file.judge(self._vault, row, level)
        self.bytes += count
        # What was erased meanwhile had its header shredded under our eyes.
        if wrong and not is_live(self._catalogue, row):
            return []
        return [self._mended(row, finding) for finding in wrong]

    def _rows(self, unit: Unit) -> tuple[list[Row], list[Finding]]:
        found: list[Row] = []
        wrong = []
        inside = unit.directory
        for values in self._catalogue.read(_ROWS, (unit.vault, inside + "/", inside + "0")):
            row = row_of(values)
            if row is None or parts(row.path) is None:
                wrong.append(self._finding(unit, str(values[2]), What.BAD_ROW))
            elif self._span is None or row.span.overlaps(self._span):
                found.append(row)
            else:
                # Its name is known, and it is not asked for.
                found.append(replace(row, state="CONDEMNED"))
        return found, wrong

    def _orphans(self, unit: Unit, loose: list[tuple[Stem, Kind]]) -> list[Finding]:
        known = progress.read_all(self._state) if loose else {}
        now = self._now()
        found = []
        for stem, kind in loose:
            path = stem.path(kind)
            if self._span is not None and not self._span.start_ms <= stem.start_ms < self._span.end_ms:
                continue
            place = self._vault.at(path)
            if (
                (self._vault.uuid, stem.path(Kind.FINAL)) in known
                or self._is_young(place, now.utc_ms, YOUNG_MS if kind in _FINISHED else OPEN_MS)
                or self._has_row(path)
                or (kind not in _FINISHED and _is_open(self._vault.at(stem.path(Kind.PART))))
                or not files.exists(place)  # on its way to another name
            ):
                continue
            if not files.is_regular(place):
                found.append(self._finding(unit, path, What.STRANGE))
            else:
                found.append(self._finding(unit, path, What.ORPHAN))
        if not any(finding.what is What.ORPHAN and self._repair(finding) for finding in found):
            return found
        self._adopt(unit, {finding.path for finding in found if finding.what is What.ORPHAN}, known, now)
        return [
            replace(finding, done=self._became(unit, finding.path))
            if finding.what is What.ORPHAN
            else finding
            for finding in found
        ]

    def _adopt(self, unit: Unit, paths: set[str], known: dict[tuple[str, str], Open], now: Instant) -> None:
        """Give rows to these files, as a start does."""
        day = orphans(self._vault, self._catalogue, unit.camera, unit.day)
        day.strange = []
        day.stems = {
            stem: kinds
            for stem, kinds in day.stems.items()
            if not paths.isdisjoint({stem.path(kind) for kind in Kind})
        }
        told = {path: one for (uuid, path), one in known.items() if uuid == unit.vault}
        asides = Asides(lambda: old_catalogues(self._state))
        try:
            salvage = Salvage(self._vault, self._catalogue, told, now, asides=asides)
            salvage.settle(unit.camera, unit.day, day)
        finally:
            asides.close()

    def _became(self, unit: Unit, path: str) -> Done:
        """Tell what became of a file that was put in order."""
        if self._has_row(path):
            return Done.ADOPTED
        if files.exists(self._vault.at(path)):
            return Done.FAILED
        what = classify(unit.camera, unit.day, path.rpartition("/")[2])
        salvaged = what is not None and any(self._has_row(what[0].path(kind)) for kind in _FINISHED)
        return Done.ADOPTED if salvaged else Done.QUARANTINED

    def _has_row(self, path: str) -> bool:
        query = f"SELECT 1 FROM segment WHERE vault = ? AND path = ? AND {PRESENT}"  # noqa: S608 - constants
        return bool(self._catalogue.read(query, (self._vault.uuid, path)))

    @staticmethod
    def _is_young(place: Path, now_ms: int, young_ms: int) -> bool:
        try:
            written_ms = os.lstat(place).st_mtime_ns // 1_000_000
        except OSError as error:
            if error.errno == errno.ENOENT:
                return True  # on its way to another name
            raise files.fault("stat", place, error) from error
        return abs(now_ms - written_ms) < young_ms

    def _mended(self, row: Row, finding: Finding) -> Finding:
        return self._mender.mend(row, finding) if self._repair(finding) else finding

    @staticmethod
    def _finding(unit: Unit, path: str, what: What, span: Span | None = None) -> Finding:
        return Finding(unit.vault, unit.camera, path.encode(errors="replace").decode(), what, span)


def _is_open(part: Path) -> bool:
    """Tell whether a recorder that lives has a `.part` open, as far as that can be told. Raises StorageFault.

    An empty one may be a recorder's that has made it and not locked it yet, and holds nothing that could be lost.
    """
    try:
        fd = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return False
        raise files.fault("open", part, error) from error
    try:
        status = os.fstat(fd)
        return stat.S_ISREG(status.st_mode) and (status.st_size == 0 or not files.try_lock(fd))
    finally:
        os.close(fd)


def row_of(values: tuple[Any, ...]) -> Row | None:
    """Take a row in the order of Row; None for one whose values are not what they should be."""
    number, camera, path, start_ms, end_ms, sealed_bytes, sha256, state, has_tail = values
    numbers = (start_ms, end_ms, sealed_bytes, has_tail)
    texts = (camera, path, sha256, state)
    if not all(type(each) is int for each in numbers) or not all(type(each) is str for each in texts):
        return None
    return Row(number, camera, path, start_ms, end_ms, sealed_bytes, sha256, state, bool(has_tail))


def row_after(catalogue: Catalogue, number: int) -> tuple[str, Row] | None:
    """Return vault and row of the first segment from an id on that is stored; None when there is none."""
    found = catalogue.read(
        f"SELECT vault, {_COLUMNS} FROM segment WHERE id >= ? AND state IN ('COMMITTED', 'SALVAGED')"  # noqa: S608 - constants
        " ORDER BY id LIMIT 1",
        (number,),
    )
    row = row_of(found[0][1:]) if found else None
    return (found[0][0], row) if row is not None else None


def unjudged(unit: Unit, fault: StorageFault) -> Finding:
    """Say that nothing can be said of a day, or of a whole vault."""
    path = unit.directory if unit.camera else ""
    return Finding(
        unit.vault, unit.camera, path, What.UNJUDGED, found=str(fault.context.get("errno", fault.code))
    )
