"""What a deletion for a subject would take, and what forbids it: looked for, and nothing touched.

It is all or nothing. Whatever of the span is held by another hold, handed out, not stored yet, of no certain time, on a
disk that is away, or has a copy that would stay, forbids the whole, with its own code, and with what it was. Of a
salvaged segment the row claims what is certain: as a hold does, a deletion reaches SALVAGED_REACH_MS further.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.command import deleting
from agent.command.errors import CommandRefused
from agent.model import Span, utc_day
from agent.storage import files, held, progress
from agent.storage.catalogue import LIVE, overlapping
from agent.storage.keep import hold_files, hold_rows, outgoing_files, outgoing_rows, quarantined
from agent.storage.keep.hold import ACCESS, SALVAGED, SALVAGED_REACH_MS, HoldRefused
from agent.storage.keep.reach import STORED, TAIL
from agent.storage.keep.stored import COLUMNS, CONDEMNED, Stored
from agent.storage.layout import DAY_NAME, Kind, classify
from agent.storage.orphans import names_in
from agent.storage.schema import LONG_MS, PRESENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.hold import Hold
    from agent.storage.vault import Vault

_TOUCHED = overlapping(
    "segment",
    COLUMNS,
    f"({LIVE} OR state = '{CONDEMNED}') AND typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer'",
)
_LOST = (
    "SELECT start_ms, end_ms FROM segment INDEXED BY idx_segment_lost"
    " WHERE state = 'LOST' AND vault = ? AND path = ?"
)
_DAMAGED = (
    "SELECT 1 FROM segment INDEXED BY idx_segment_lost WHERE state = 'LOST' AND cause = 'DAMAGED' AND vault = ?"
    " AND camera = ? AND start_ms < ? AND end_ms > ? LIMIT 1"
)
_TAILS = (Kind.TAIL, Kind.TAIL_TEMPORARY, Kind.TAIL_OLD, Kind.SALVAGED_TAIL)


@dataclass(frozen=True, slots=True)
class Found:
    """What a deletion takes.

    rows  every segment that may hold a picture of the span, oldest first; those that go for another cause already
          are among them
    hold  the one that is released with it, None where none is named
    """

    rows: tuple[Stored, ...]
    hold: Hold | None

    @property
    def live(self) -> list[Stored]:
        """Return those that stay unless they are deleted."""
        return [row for row in self.rows if row.state != CONDEMNED]

    @property
    def span(self) -> Span:
        """Return the span from the first to the last of them: what is really deleted."""
        return Span(self.rows[0].start_ms, max(row.end_ms for row in self.rows))

    @property
    def sealed_bytes(self) -> int:
        """Return their size on the disk."""
        return sum(max(0, row.sealed_bytes) for row in self.rows)


def look(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    camera: str,
    span: Span,
    *,
    hold_id: str = "",
    now_ms: int,
) -> Found:
    """Look for what a deletion takes.

    vaults   by uuid, those that are there
    hold_id  the hold on the ground `access-request` that kept the span, and goes with it
    now_ms   trusted, UTC ms
    Raises   CommandRefused DELETION_*, HoldRefused HOLD_UNKNOWN, HOLD_RELEASED; StorageFault of a disk
    """
    hold = _named(catalogue, camera, hold_id)
    _unsettled(catalogue, camera)
    known = hold_rows.holds(catalogue, released=True)
    # Before the catalogue: what is stored in between is then found twice, and not never.
    for vault in vaults.values():
        _held_without_row(vault, {each.id for each in known})
        _not_stored_yet(catalogue, vault, camera, span, now_ms)
        _in_quarantine(catalogue, vault, camera, span)
    _away(catalogue, vaults, state, camera, span)
    rows = touched(catalogue.read, camera, span)
    if not rows:
        raise CommandRefused("DELETION_EMPTY", "nothing of the span is stored")
    found = Found(tuple(rows), hold)
    if hold is not None and not _keeps_no_more(catalogue, hold, span, found):
        raise CommandRefused("DELETION_HOLD", "the hold keeps more than this", reason=hold.id)
    _of_no_time(catalogue, rows)
    _held(catalogue, rows, hold_id)
    _exported(catalogue, rows)
    released = {each.id for each in known if not each.is_active}
    tails = {(row.vault, row.path + TAIL) for row in rows}
    for row in rows:
        if row.vault not in vaults:
            raise CommandRefused("DELETION_AWAY", "a disk of it is away", reason=row.vault)
        for path in (row.path, row.path + TAIL):
            _alone(vaults[row.vault], row.path, path, released | {hold_id})
        _no_more_of_it(vaults[row.vault], row, tails)
    return found


def touched(read: Callable[[str, Any], Iterable[Sequence[Any]]], camera: str, span: Span) -> list[Stored]:
    """Return the segments of a camera that may hold a picture of a span, oldest first.

    read  runs a query: a catalogue's, or a transaction's
    """
    values = {"camera": camera, "from_ms": span.start_ms - SALVAGED_REACH_MS, "to_ms": span.end_ms}
    return [row for *columns, _ in read(_TOUCHED, values) if _reaches(row := Stored(*columns), span)]


def _reaches(row: Stored, span: Span) -> bool:
    reach = SALVAGED_REACH_MS if row.path.endswith(SALVAGED) else 0
    return row.start_ms < span.end_ms and row.end_ms + reach > span.start_ms


def _named(catalogue: Catalogue, camera: str, hold_id: str) -> Hold | None:
    """Return the hold that goes with it; refuse one that was not placed for a request, or not for this camera alone."""
    if not hold_id:
        return None
    hold = hold_rows.find(catalogue, hold_id)
    if hold is None:
        raise HoldRefused("HOLD_UNKNOWN", "no such hold")
    if not hold.is_active:
        raise HoldRefused("HOLD_RELEASED", "the hold was released before")
    if hold.ground != ACCESS or hold.cameras != (camera,):
        raise CommandRefused("DELETION_HOLD", "not the hold of a request about this", reason=hold.id)
    return hold


def _keeps_no_more(catalogue: Catalogue, hold: Hold, span: Span, found: Found) -> bool:
    """Tell whether a hold keeps nothing but what is deleted: what else it alone kept would expire, and nobody asked."""
    first, last = min(span.start_ms, found.span.start_ms), max(span.end_ms, found.span.end_ms)
    if hold.span.start_ms < first or hold.span.end_ms > last:
        return False
    query = (
        "SELECT 1 FROM hold_segment JOIN segment ON segment.id = hold_segment.segment WHERE hold = ?"
        " AND state != 'GONE' AND segment.id NOT IN (SELECT value FROM json_each(?)) LIMIT 1"
    )
    return not catalogue.read(query, (hold.id, _ids(found.rows)))


def _unsettled(catalogue: Catalogue, camera: str) -> None:
    """Refuse while the time of some of the camera's recordings is still to be settled: it may be this."""
    query = f"SELECT path FROM segment WHERE {LIVE} AND kept_from_ms IS NULL AND camera = ? LIMIT 1"  # noqa: S608 - constants
    for (path,) in catalogue.read(query, (camera,)):
        raise CommandRefused("DELETION_UNSETTLED", "the time of a recording is not settled", reason=path)


def _of_no_time(catalogue: Catalogue, rows: Sequence[Stored]) -> None:
    """Refuse what only seems to be of the span: recorded by a wrong clock, or told by its file's name alone."""
    query = (
        "SELECT path FROM segment WHERE id IN (SELECT value FROM json_each(?))"
        " AND kept_from_ms != start_ms LIMIT 1"
    )
    for (path,) in catalogue.read(query, (_ids(rows),)):
        raise CommandRefused("DELETION_UNSETTLED", "nobody knows when it was recorded", reason=path)


def _held_without_row(vault: Vault, known: set[str]) -> None:
    """Refuse while a vault has a hold that the catalogue does not know: nobody can tell what it covers."""
    for name in hold_files.names(vault):
        if name not in known:
            raise CommandRefused("DELETION_HELD", "a vault has a hold that has no row", reason=name)


def _away(catalogue: Catalogue, vaults: Mapping[str, Vault], state: Path, camera: str, span: Span) -> None:
    """Refuse what may lie on a disk that is away and is no stored segment: of one in quarantine, or not ended."""
    away = catalogue.vaults().keys() - vaults.keys()
    for uuid in sorted(away):
        values = (uuid, camera, span.end_ms, span.start_ms - SALVAGED_REACH_MS)
        if catalogue.read(_DAMAGED, values):
            raise CommandRefused(
                "DELETION_AWAY", "a damaged file of it is on a disk that is away", reason=uuid
            )
    for one in progress.read_all(state).values():
        if one.vault in away and one.camera == camera and _may_reach(one.start_ms, span):
            raise CommandRefused("DELETION_AWAY", "it was recorded to a disk that is away", reason=one.vault)


def _held(catalogue: Catalogue, rows: Sequence[Stored], own: str) -> None:
    """Refuse what another hold keeps: its span covers it, or it has a link."""
    for hold in hold_rows.holds(catalogue):
        if hold.id != own and any(hold.covers(row.camera, row.span, row.path) for row in rows):
            raise CommandRefused("DELETION_HELD", "another hold keeps it", reason=hold.id)
    query = (
        "SELECT hold.id FROM hold_segment JOIN hold ON hold.id = hold_segment.hold WHERE hold.released_ms IS NULL"
        " AND hold.id != ? AND hold_segment.segment IN (SELECT value FROM json_each(?)) LIMIT 1"
    )
    for (name,) in catalogue.read(query, (own, _ids(rows))):
        raise CommandRefused("DELETION_HELD", "another hold has a link of it", reason=name)


def _exported(catalogue: Catalogue, rows: Sequence[Stored]) -> None:
    """Refuse what an export has, or may have, a link of."""
    for row in rows:
        export = outgoing_rows.holder_of(catalogue, row.id)
        if export:
            raise CommandRefused("DELETION_EXPORTED", "an export has it", reason=export)


def _not_stored_yet(catalogue: Catalogue, vault: Vault, camera: str, span: Span, now_ms: int) -> None:
    """Refuse while a file of the span has no row: it is being recorded, or its recorder was killed."""
    for day in _days(span):
        place = vault.at(f"segments/{camera}/{day}")
        if not files.is_directory(place):
            continue
        for name in names_in(place):
            what = classify(camera, day, name)
            if what is None or not _may_reach(what[0].start_ms, span):
                continue
            stem, kind = what
            if kind is Kind.PART or (kind in STORED and not _has_row(catalogue, vault, stem.path(kind))):
                again_ms = stem.start_ms + deleting.SETTLED_MS
                if again_ms > now_ms:
                    raise deleting.again_at("DELETION_OPEN", again_ms)
                raise CommandRefused("DELETION_OPEN", "it was left behind", reason=stem.path(kind))


def _has_row(catalogue: Catalogue, vault: Vault, path: str) -> bool:
    query = f"SELECT 1 FROM segment WHERE vault = ? AND path = ? AND {PRESENT}"  # noqa: S608 - constants
    return bool(catalogue.read(query, (vault.uuid, path)))


def _in_quarantine(catalogue: Catalogue, vault: Vault, camera: str, span: Span) -> None:
    """Refuse while a damaged file of the span lies in quarantine: somebody with the key may read what is left of it."""
    for name in names_in(vault.at(quarantined.PLACE)):
        what = quarantined.former(name)
        if what is None or what[0].camera != camera:
            continue
        path = what[0].path(what[1]).removesuffix(TAIL)
        told = [
            start_ms < span.end_ms and end_ms + SALVAGED_REACH_MS > span.start_ms
            for start_ms, end_ms in catalogue.read(_LOST, (vault.uuid, path))
        ]
        if any(told) or (not told and _may_reach(what[0].start_ms, span)):
            raise CommandRefused("DELETION_QUARANTINED", "a damaged file of it is in quarantine", reason=name)


def _alone(vault: Vault, own: str, path: str, going: set[str]) -> None:
    """Refuse a file that would not be gone with its name, or is no file of a segment.

    own    path of the segment; path: of itself or its tail
    going  holds whose links are removed before it is erased
    """
    place = vault.at(path)
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return  # its tombstone will say that it was missing
    except OSError as error:
        raise files.fault("stat", place, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise CommandRefused("DELETION_LINKED", "no file of ours lies there", reason=path)
    holders = held.holders(vault, path, status)
    for name in holders:
        if name not in going:
            raise CommandRefused("DELETION_HELD", "a hold has a link of it", reason=name)
    if status.st_nlink > 1 + len(holders):
        export = outgoing_files.holder_of(vault, own)
        if export:
            raise CommandRefused("DELETION_EXPORTED", "an export has a link of it", reason=export)
        raise CommandRefused("DELETION_LINKED", "the file has another name", reason=path)


def _no_more_of_it(vault: Vault, row: Stored, own: set[tuple[str, str]]) -> None:
    """Refuse where a tail lies beside a segment that does not go with it: it has pictures of the same time.

    own  tails that go, each with its vault's uuid
    """
    start = row.path.removesuffix(Kind.SALVAGED.value).removesuffix(Kind.FINAL.value)
    for path in (start + kind.value for kind in _TAILS):
        if (vault.uuid, path) not in own and files.exists(vault.at(path)):
            raise CommandRefused("DELETION_LINKED", "a tail of it would stay", reason=path)


def _days(span: Span) -> Iterator[str]:
    """Yield the days in whose directories files of a span may lie."""
    last = ""
    for at_ms in (span.start_ms - LONG_MS, span.start_ms, span.end_ms - 1):
        day = utc_day(max(0, at_ms))
        if day != last and DAY_NAME.match(day):
            yield day
        last = day


def _may_reach(start_ms: int, span: Span) -> bool:
    """Tell whether what begins then may reach into a span: a segment is cut before it is LONG_MS long."""
    return span.start_ms - LONG_MS < start_ms < span.end_ms


def _ids(rows: Iterable[Stored]) -> str:
    return json.dumps([row.id for row in rows])
