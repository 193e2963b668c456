"""What retention must know: the oldest segments that nobody holds, what is on its way out, and the disk's room.

Every query walks an index and touches few rows, however many segments there are: held ones are leapt over by their
spans, since a hold of weeks would otherwise be walked through every ten seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.storage.keep.hold import EVERY
from agent.storage.keep.retention import Candidate, Room, Shelf
from agent.storage.keep.stored import HELD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.storage.catalogue import Catalogue

BEGIN, END = -(1 << 62), 1 << 62

_LIVE = "vault = :vault AND camera = :camera AND state IN ('COMMITTED', 'SALVAGED')"
_BETWEEN = "kept_from_ms >= :from_ms AND kept_from_ms < :until_ms"
_TRUE = "typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer' AND typeof(sealed_bytes) = 'integer'"
_OUTGOING = "EXISTS (SELECT 1 FROM export_segment WHERE export_segment.segment = segment.id)"
_OLDEST = (
    f"SELECT id, kept_from_ms, start_ms, end_ms, sealed_bytes, {_OUTGOING} FROM segment INDEXED BY {{index}}"  # noqa: S608 - constants
    f" WHERE {_LIVE} AND {_BETWEEN} {{more}} AND {_TRUE} AND end_ms >= start_ms AND NOT {HELD}"
    " ORDER BY kept_from_ms LIMIT :limit"
)
KEPT = _OLDEST.format(index="idx_segment_kept", more="")
LATE = _OLDEST.format(index="idx_segment_kept_late", more="AND kept_from_ms != start_ms")
"""The few whose retention does not begin with their start; a leap over a held span would miss these."""
KEPT_HERE = _OLDEST.format(index="idx_segment_kept", more=f"AND NOT {_OUTGOING}")
LATE_HERE = _OLDEST.format(
    index="idx_segment_kept_late", more=f"AND kept_from_ms != start_ms AND NOT {_OUTGOING}"
)
"""Those that no export has: what gives room."""
ODD = (
    f"SELECT id FROM segment INDEXED BY idx_segment_kept WHERE {_LIVE}"  # noqa: S608 - constants
    f" AND (kept_from_ms >= '' OR ({_BETWEEN} AND NOT ({_TRUE} AND end_ms >= start_ms))) LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Condemned:
    """What is on its way out on one vault.

    oldest  by camera: where the retention began of what expired and is still there, UTC ms
    """

    files: int
    bytes: int
    oldest: dict[str, int]


def held_spans(catalogue: Catalogue) -> dict[str, list[tuple[int, int]]]:
    """Return what active holds cover, by camera (EVERY for all): half-open spans, apart and in order."""
    rows = catalogue.read(
        "SELECT hold_camera.camera, hold.from_ms, hold.to_ms FROM hold JOIN hold_camera ON hold_camera.hold = hold.id"
        " WHERE hold.released_ms IS NULL"
    )
    cameras: dict[str, list[tuple[int, int]]] = {}
    for camera, from_ms, to_ms in rows:
        cameras.setdefault(camera, []).append((from_ms, to_ms))
    return cameras


def between(held: Sequence[tuple[int, int]], until_ms: int) -> Iterator[tuple[int, int]]:
    """Yield, in order, the half-open spans of starts up to `until_ms` that are not certainly held.

    What begins just where a held span does is not certain: it may have no length.
    """
    at = BEGIN
    for from_ms, to_ms in sorted(held):
        if from_ms + 1 > at:
            if from_ms >= until_ms:
                break
            yield at, min(from_ms + 1, until_ms)
        at = max(at, to_ms)
    if at < until_ms:
        yield at, until_ms


def oldest(
    catalogue: Catalogue,
    vault: str,
    camera: str,
    held: dict[str, list[tuple[int, int]]],
    *,
    limit: int,
    until_ms: int = END,
) -> Shelf:
    """Return a camera's oldest segments on a vault that nobody holds, and its oldest ones that no export has.

    held      as `held_spans` returns
    limit     of either
    until_ms  only those whose retention began before
    """
    spans = held.get(camera, []) + held.get(EVERY, [])
    values = {"vault": vault, "camera": camera, "until_ms": until_ms, "limit": limit + 1}
    rows = _rows(catalogue, (KEPT, LATE), spans, values)
    found, more = {*rows[:limit]}, len(rows) > limit
    if any(row[5] for row in found):
        rows = _rows(catalogue, (KEPT_HERE, LATE_HERE), spans, values)
        found, more = found | {*rows[:limit]}, len(rows) > limit
    return Shelf(camera, [_candidate(*row) for row in sorted(found, key=_age)], more)


def _rows(
    catalogue: Catalogue,
    queries: tuple[str, str],
    spans: Sequence[tuple[int, int]],
    values: Mapping[str, Any],
) -> list[tuple[Any, ...]]:
    """Return the oldest by a pair of queries, at most `limit` of each, and apart from some spans of starts."""
    kept, late = queries
    rows: list[tuple[Any, ...]] = []
    for from_ms, end_ms in between(spans, values["until_ms"]):
        left = values["limit"] - len(rows)
        rows += catalogue.read(kept, {**values, "from_ms": from_ms, "until_ms": end_ms, "limit": left})
        if len(rows) >= values["limit"]:
            break
    if spans:
        values = {**values, "from_ms": BEGIN}
        rows = sorted({*rows, *catalogue.read(late, values)}, key=_age)
    return rows


def _candidate(  # noqa: PLR0917 - the columns of a query
    number: int, kept_from_ms: int, start_ms: int, end_ms: int, sealed_bytes: int, outgoing: int
) -> Candidate:
    return Candidate(number, kept_from_ms, start_ms, end_ms, sealed_bytes, outgoing=bool(outgoing))


def _age(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[1], row[0]


def odd_row(catalogue: Catalogue, vault: str, camera: str, until_ms: int) -> int | None:
    """Return a live segment whose time has come and whose row cannot be true; None when there is none.

    Walks what is held beyond its time: for one camera at a time.
    """
    values = {"vault": vault, "camera": camera, "from_ms": BEGIN, "until_ms": until_ms}
    rows = catalogue.read(ODD, values)
    return int(rows[0][0]) if rows else None


def condemned(catalogue: Catalogue, vault: str) -> Condemned:
    """Return what is condemned on a vault and not yet gone."""
    rows = catalogue.read(
        "SELECT camera, COUNT(*), SUM(sealed_bytes), MIN(CASE cause WHEN 'EXPIRED' THEN kept_from_ms END)"
        " FROM segment INDEXED BY idx_segment_condemned WHERE state = 'CONDEMNED' AND vault = ? GROUP BY camera",
        (vault,),
    )
    return Condemned(
        sum(row[1] for row in rows),
        sum(max(0, int(row[2] or 0)) for row in rows),
        {row[0]: row[3] for row in rows if isinstance(row[3], int)},
    )


def unsettled(catalogue: Catalogue) -> int:
    """Return how many live segments have a label that is not to be relied on, and so do not age."""
    rows = catalogue.read(
        "SELECT COUNT(*) FROM segment INDEXED BY idx_segment_unsettled"
        " WHERE state IN ('COMMITTED', 'SALVAGED') AND kept_from_ms IS NULL"
    )
    return int(rows[0][0])


def held_bytes(catalogue: Catalogue, from_ms: int) -> dict[str, int]:
    """Return by vault what active holds keep of the time since then: room that nothing else can have."""
    rows = catalogue.read(
        "SELECT vault, SUM(sealed_bytes) FROM segment WHERE start_ms >= ? AND id IN (SELECT segment FROM hold_segment"
        " JOIN hold ON hold.id = hold_segment.hold WHERE hold.released_ms IS NULL) GROUP BY vault",
        (from_ms,),
    )
    return {vault: max(0, int(size or 0)) for vault, size in rows}


def room(place: Path | int, scheduled_bytes: int = 0, scheduled_files: int = 0) -> Room:
    """Ask the file system for its room; what it does not tell is None. Without what is reserved for root.

    place   a path, or an open directory
    """
    try:
        found = os.statvfs(place)
    except OSError:
        return Room(None, None, None, None, scheduled_bytes, scheduled_files)
    # Some file systems count no inodes, and some network ones no blocks.
    has_files, has_blocks = found.f_files > 0, found.f_blocks > 0
    return Room(
        found.f_blocks * found.f_frsize if has_blocks else None,
        found.f_bavail * found.f_frsize if has_blocks else None,
        found.f_files if has_files else None,
        found.f_favail if has_files else None,
        scheduled_bytes,
        scheduled_files,
    )


class Unseen:
    """What was erased and may not show in the free figures yet: some file systems free in the background (B2).

    As long as the free figure has not risen by what was erased, the rest counts as scheduled; at most for a while,
    since the recorder or another program may have taken it.
    """

    WHILE_S = 30.0

    def __init__(self) -> None:
        """Begin with nothing erased."""
        self._erased: list[tuple[float, int, int]] = []
        self._before: tuple[int, int] = (0, 0)

    def erased(self, before: Room, size: int, files: int, mono: float) -> None:
        """Note what was erased; `before` is the room as it was."""
        if not self._erased:
            self._before = (before.free_bytes or 0, before.free_files or 0)
        self._erased.append((mono, size, files))

    def rest(self, now: Room, mono: float) -> tuple[int, int]:
        """Return the bytes and files that have not shown yet."""
        self._erased = [item for item in self._erased if mono - item[0] < self.WHILE_S]
        seen = ((now.free_bytes or 0) - self._before[0], (now.free_files or 0) - self._before[1])
        rest = (
            sum(item[1] for item in self._erased) - max(0, seen[0]),
            sum(item[2] for item in self._erased) - max(0, seen[1]),
        )
        if max(rest) <= 0:
            self._erased = []
        return max(0, rest[0]), max(0, rest[1])
