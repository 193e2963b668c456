"""Give back its time to what was recorded in doubt.

A row whose label was not to be relied on is too old for nobody (`kept_from_ms` is NULL). Once time is trusted again,
it is known by how much the labels were off, if it was in this boot: the rows are shifted, and keep their old start
beside the new one. Of a boot that ended in doubt that is never known: such rows are kept from now on, late rather than
early. Files keep their names: names say where, the catalogue says what. So that it is not forgotten with the catalogue,
the time of a file's last write is corrected first (keep/stamps.py); a row waits for its vault, and for its file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.model import Fact, Gap, GapCause, Instant, Span, Trust
from agent.storage import ledger, notes
from agent.storage.catalogue import gap_line, set_meta
from agent.storage.keep.stamps import Stamps, Wanted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Container, Iterable, Mapping

    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault
    from agent.trust import Belief, Doubt

LIMIT = 500
"""Rows a batch: some milliseconds of a transaction, and so many files to write on before it."""
META = "boots"
"""In `meta`: the newest boots, newest first, each with the last rows of those before it: [[id, segment, gap], ...]."""
BOOTS = 32
BRIDGED = "bridged"
"""In `meta`: [boot id, cameras] whose gap from the boot before is written, or was not needed."""
SLACK_MS = 10_000
"""Who labels reads the published line a second late, and puts pictures of a burst some seconds back."""
GAP_MS = 20

_NUMBERS = "typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer'"
"""Of a row that can be true; any other waits, and is kept, until somebody puts it right."""
_LIVE = f"state IN ('COMMITTED', 'SALVAGED') AND kept_from_ms IS NULL AND {_NUMBERS}"
_OPEN_GAP = f"trust = 'UNTRUSTED' AND relabelled_from_ms IS NULL AND {_NUMBERS}"
_SEGMENTS = (
    "SELECT id, camera, start_ms, end_ms, vault, path FROM segment INDEXED BY idx_segment_unsettled"  # noqa: S608 - constants
    f" WHERE {_LIVE} AND (? = 'null' OR vault IN (SELECT value FROM json_each(?)))"
    " AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"
)


class Row(NamedTuple):
    """A row that waits: its id and camera, and its span as it was labelled."""

    id: int
    camera: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row belongs: its span, and the doubt that says so, None where the labels were right."""

    row: Row
    start_ms: int
    end_ms: int
    doubt: Doubt | None


class Boot(NamedTuple):
    """A boot, and the last rows of those before it."""

    id: str
    segment: int
    gap: int


def mark_boot(catalogue: Catalogue, boot_id: str) -> None:
    """Note where the rows of earlier boots end. To be called before anything is recorded in this one.

    Raises  StorageFault
    """

    def mark(db: sqlite3.Connection) -> None:
        boots = _boots(db)
        if not boots or boots[0].id != boot_id:
            segment = db.execute("SELECT COALESCE(MAX(id), 0) FROM segment").fetchone()[0]
            gap = db.execute("SELECT COALESCE(MAX(id), 0) FROM gap").fetchone()[0]
            set_meta(db, META, json.dumps([Boot(boot_id, segment, gap), *boots][:BOOTS]))

    catalogue.write(mark)


def settle(
    catalogue: Catalogue,
    belief: Belief,
    boot_ms: int,
    now: Instant,
    limit: int = LIMIT,
    *,
    vaults: Mapping[str, Vault] | None = None,
    stamps: Stamps | None = None,
) -> int:
    """Settle at most `limit` rows in one transaction, oldest first; return how many.

    belief   trusted; boot_ms, now  the same moment on both clocks
    vaults   those that are there: rows of others wait; None leaves all files alone
    stamps   remembers which files were refused, from one call to the next
    Raises   StorageFault
    """
    # Asked outside first: with nothing to do, as nearly always, no transaction is begun.
    gaps = catalogue.read(f"SELECT 1 FROM gap WHERE {_OPEN_GAP} LIMIT 1")  # noqa: S608 - constants
    stamps = stamps or Stamps()
    places = json.dumps(None if vaults is None else [*vaults])
    waiting = json.dumps(stamps.waiting(boot_ms))
    found = catalogue.read(_SEGMENTS, (places, places, waiting, limit))
    if not found and not gaps:
        return 0
    places_of = _Placing(_read_boots(catalogue.meta(META)), belief, boot_ms)
    ready: Container[int] = {row[0] for row in found}
    if vaults is not None:
        ready = stamps.put((_wanted(row, places_of, now) for row in found), vaults, boot_ms)
    rows = [Row(*row[:4]) for row in found]
    if not gaps and not ready:
        return 0
    return catalogue.write(lambda db: _Batch(db, belief, places_of, now).run(rows, ready, limit))


def _wanted(found: tuple[Any, ...], placing: _Placing, now: Instant) -> Wanted:
    """Say what a row's file is to tell."""
    row, vault, path = Row(*found[:4]), found[4], found[5]
    place = placing.of_segment(row)
    return Wanted(row.id, vault, path, place.end_ms if place else now.utc_ms, sure=place is not None)


_TABLES = ("segment", "gap")


def _boots(db: sqlite3.Connection) -> list[Boot]:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (META,)).fetchone()
    return _read_boots(row[0] if row else None)


def _read_boots(text: str | None) -> list[Boot]:
    boots = []
    for each in notes.mild(text, []):
        # Behind a damaged one the others would claim its rows; of no boot, a row is kept from now on.
        if not isinstance(each, list) or [type(part) for part in each] != [str, int, int]:
            break
        boots.append(Boot(*each))
    return boots


class _Placing:
    """Says where rows belong."""

    def __init__(self, boots: list[Boot], belief: Belief, boot_ms: int) -> None:
        self._belief = belief
        self._boot_ms = boot_ms
        if not boots or boots[0].id != belief.boot_id:
            # Nothing was recorded in this boot as long as nobody has marked it.
            boots = [Boot(belief.boot_id, 1 << 62, 1 << 62), *boots]
        self._boots = boots
        self.last = boots[0][1:]

    def of_segment(self, row: Row) -> Place | None:
        return self._place(row, self._boot_of(row.id, of_gap=False), by_end=False)

    def of_gap(self, row: Row) -> Place | None:
        return self._place(row, self._boot_of(row.id, of_gap=True), by_end=True)

    def _boot_of(self, number: int, *, of_gap: bool) -> str:
        """Return the boot in which a row was written; "" for one of long ago.

        One that was salvaged late is put down to a later boot than its own: so it is thought younger, never older.
        """
        return next((boot.id for boot in self._boots if number > (boot.gap if of_gap else boot.segment)), "")

    def _place(self, row: Row, boot_id: str, *, by_end: bool) -> Place | None:
        """Say where a row belongs; None when that cannot be known.

        by_end  a gap, which ends in the boot that wrote it but may begin before
        """
        belief = self._belief
        known_ms = row.end_ms if by_end else row.start_ms
        for doubt in reversed(belief.doubts):
            if doubt.boot_id == boot_id and _within(doubt, known_ms):
                shift_ms = doubt.shift_ms
                end_ms = row.end_ms + shift_ms
                start_ms = (
                    row.start_ms + shift_ms if not by_end or _within(doubt, row.start_ms) else row.start_ms
                )
                return Place(row, min(start_ms, end_ms), end_ms, doubt)
        boot_ms = known_ms - belief.line.offset_ms
        if boot_id == belief.boot_id and -SLACK_MS <= boot_ms <= self._boot_ms + SLACK_MS:
            # A recorder that saw the clock leave the line and come back: its labels stayed on it.
            return Place(row, row.start_ms, row.end_ms, None)
        return None


class _Batch:
    """One transaction's work."""

    def __init__(self, db: sqlite3.Connection, belief: Belief, placing: _Placing, now: Instant) -> None:
        self._db = db
        self._belief = belief
        self._placing = placing
        self._now = now

    def run(self, found: list[Row], ready: Container[int], limit: int) -> int:
        """Settle gaps, and of the segments those that are ready."""
        gaps = self._gaps(limit)
        segments = self._still(found[: limit - len(gaps)])
        placed_gaps = [self._placing.of_gap(row) for row in gaps]
        placed = [self._placing.of_segment(row) for row in segments]
        known_gaps = [place for place in placed_gaps if place]
        # One whose file refuses tells nevertheless where this boot's first picture is.
        bridges = self._bridges([*known_gaps, *(place for place in placed if place)])
        known = [place for place in placed if place and place.row.id in ready]
        self._write(known_gaps, known)
        for gap in bridges:
            self._insert(gap)
        self._tell(known_gaps, known)
        lost_gaps = [row for row, place in zip(gaps, placed_gaps, strict=True) if not place]
        lost = [row for row, place in zip(segments, placed, strict=True) if not place and row.id in ready]
        if lost or lost_gaps:
            self._keep_from_now(lost_gaps, lost)
        return len(gaps) + len(known) + len(lost)

    def _gaps(self, limit: int) -> list[Row]:
        query = f"SELECT id, camera, start_ms, end_ms FROM gap WHERE {_OPEN_GAP} ORDER BY id LIMIT ?"  # noqa: S608 - constants
        return [Row(*row) for row in self._db.execute(query, (limit,))]

    def _still(self, found: list[Row]) -> list[Row]:
        """Return the rows that are as they were when their files were written on."""
        ids = "SELECT value FROM json_each(?)"
        query = f"SELECT id, camera, start_ms, end_ms FROM segment WHERE {_LIVE} AND id IN ({ids})"  # noqa: S608 - constants
        same = set(self._db.execute(query, (json.dumps([row.id for row in found]),)))
        return [row for row in found if row in same]

    def _write(self, gaps: list[Place], segments: list[Place]) -> None:
        for table, places in zip(_TABLES, (segments, gaps), strict=True):
            kept = ", kept_from_ms = ?" if table == "segment" else ""
            self._db.executemany(
                f"UPDATE {table} SET relabelled_from_ms = start_ms, start_ms = ?, end_ms = ?, trust = ?{kept}"  # noqa: S608 - constants
                " WHERE id = ?",
                [
                    (
                        place.start_ms,
                        place.end_ms,
                        Trust.HOLDOVER.value,
                        *((place.start_ms,) if kept else ()),
                        place.row.id,
                    )
                    for place in places
                ],
            )

    def _bridges(self, places: Iterable[Place]) -> list[Gap]:
        """Return the gaps between the boot before and this one, which no recorder could measure.

        While the clock was wrong, what was recorded before lay in its future, or years back. Once in a boot for each
        camera, from the first of its rows that is settled.
        """
        done = self._bridged()
        first: dict[str, int] = {}
        for place in places:
            doubt, camera = place.doubt, place.row.camera
            if not doubt or doubt.boot_id != self._belief.boot_id or doubt.from_ms or not doubt.shift_ms:
                continue
            if camera not in done:
                first[camera] = min(place.start_ms, first.get(camera, place.start_ms))
        bridges = []
        for camera, start_ms in first.items():
            covered_ms = self._covered_before(camera, start_ms)
            if covered_ms is not None and start_ms - covered_ms > GAP_MS:
                span = Span(covered_ms, start_ms)
                bridges.append(Gap(camera, span, self._cause(), "the clock was not set"))
        if first:
            set_meta(self._db, BRIDGED, json.dumps([self._belief.boot_id, sorted(done | set(first))]))
        return bridges

    def _bridged(self) -> set[str]:
        """Return the cameras that were looked at before in this boot."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (BRIDGED,)).fetchone()
        match notes.mild(row[0] if row else None, []):
            case [self._belief.boot_id, [*cameras]]:
                return {camera for camera in cameras if isinstance(camera, str)}
        return set()

    def _covered_before(self, camera: str, start_ms: int) -> int | None:
        """Return the end of the newest row of earlier boots that ends before, UTC ms."""
        ends = [
            self._db.execute(
                f"SELECT MAX(end_ms) FROM {table} WHERE camera = ? AND end_ms <= ? AND id <= ?{but}",  # noqa: S608 - constants
                (camera, start_ms, last),
            ).fetchone()[0]
            for table, last, but in (
                ("segment", self._placing.last[0], ""),
                ("gap", self._placing.last[1], " AND cause != 'stream_damaged'"),
            )
        ]
        return max((end for end in ends if end is not None), default=None)

    def _cause(self) -> GapCause:
        """Say how the boot before ended: box.started is the last thing told before this boot's own."""
        kinds = [
            row[0]
            for row in self._db.execute(
                "SELECT kind FROM ledger WHERE kind IN ('box.started', 'box.stopped') ORDER BY seq DESC LIMIT 2"
            )
        ]
        return GapCause.AGENT_STOPPED if kinds[1:] == ["box.stopped"] else GapCause.AGENT_KILLED

    def _insert(self, gap: Gap) -> None:
        at = Instant(self._now.utc_ms, Trust.HOLDOVER)
        self._db.execute(
            "INSERT INTO gap (camera, start_ms, end_ms, cause, detail, trust) VALUES (?, ?, ?, ?, ?, ?)",
            (gap.camera, gap.span.start_ms, gap.span.end_ms, gap.cause.value, gap.detail, at.trust.value),
        )
        ledger.append(self._db, gap_line(gap, at))

    def _tell(self, gaps: list[Place], segments: list[Place]) -> None:
        """Write one fact for each amount by which labels were off."""
        by_shift: dict[int, tuple[list[Place], list[Place]]] = {}
        for number, places in enumerate((segments, gaps)):
            for place in places:
                shift_ms = place.doubt.shift_ms if place.doubt else 0
                by_shift.setdefault(shift_ms, ([], []))[number].append(place)
        for shift_ms, (of_segments, of_gaps) in by_shift.items():
            places = of_segments + of_gaps
            body = {
                "segments": len(of_segments),
                "gaps": len(of_gaps),
                "shift_ms": shift_ms,
                "from": _span((place.row.start_ms, place.row.end_ms) for place in places),
                "to": _span((place.start_ms, place.end_ms) for place in places),
            }
            ledger.append(self._db, ledger.line(Fact("time.relabelled", self._now, body)))

    def _keep_from_now(self, gaps: list[Row], segments: list[Row]) -> None:
        """Leave the labels of rows that cannot be placed; they are kept as if they had been recorded now."""
        self._db.executemany(
            "UPDATE segment SET kept_from_ms = ? WHERE id = ?",
            [(self._now.utc_ms, row.id) for row in segments],
        )
        self._db.executemany(
            "UPDATE gap SET relabelled_from_ms = start_ms WHERE id = ?", [(row.id,) for row in gaps]
        )
        body = {
            "segments": len(segments),
            "gaps": len(gaps),
            "kept_from_ms": self._now.utc_ms,
            "from": _span((row.start_ms, row.end_ms) for row in [*segments, *gaps]),
        }
        ledger.append(self._db, ledger.line(Fact("time.unplaced", self._now, body)))


def _within(doubt: Doubt, label_ms: int) -> bool:
    boot_ms = label_ms - doubt.label_ms
    return doubt.from_ms - SLACK_MS <= boot_ms <= doubt.to_ms + SLACK_MS


def _span(spans: Iterable[tuple[int, int]]) -> dict[str, int]:
    starts, ends = zip(*spans, strict=True)
    return {"start_ms": min(starts), "end_ms": max(ends)}
