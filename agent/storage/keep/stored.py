"""What holding and erasing need to know of a segment, and the SQL that finds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from agent.model import Span
from agent.storage.catalogue import COMMITTED, SALVAGED, overlapping
from agent.storage.keep import hold as rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.hold import Hold

CONDEMNED = "CONDEMNED"
GONE = "GONE"
_PAGE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment's row, as far as its fate goes. The fields are columns."""

    id: int
    vault: str
    camera: str
    path: str
    start_ms: int
    end_ms: int
    sealed_bytes: int
    sha256: str
    state: str
    cause: str
    condemned_ms: int | None
    gone_ms: int | None

    @property
    def span(self) -> Span:
        """The span it covers."""
        return Span(self.start_ms, self.end_ms)

    @property
    def live_state(self) -> str:
        """Return the state it has, or had before it was condemned."""
        return SALVAGED if self.path.endswith(rules.SALVAGED) else COMMITTED


COLUMNS = ", ".join(column.name for column in fields(Stored))
_NUMBERS = "typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer' AND end_ms >= start_ms"
"""Of a row that can be true: of any other nobody can say what covers it."""
# EVERY and the reach of salvaged segments as in Hold.covers; a link holds also what was relabelled since.
HELD = f"""(EXISTS (
    SELECT 1 FROM hold JOIN hold_camera ON hold_camera.hold = hold.id
    WHERE hold.released_ms IS NULL AND hold_camera.camera IN (segment.camera, '{rules.EVERY}')
    AND segment.start_ms < hold.to_ms AND segment.end_ms
    + {rules.SALVAGED_REACH_MS} * (substr(segment.path, -{len(rules.SALVAGED)}) = '{rules.SALVAGED}') > hold.from_ms
) OR EXISTS (
    SELECT 1 FROM hold_segment JOIN hold ON hold.id = hold_segment.hold
    WHERE hold.released_ms IS NULL AND hold_segment.segment = segment.id
))"""  # noqa: S608 - constants
"""A condition on a row of `segment`: an active hold covers it, or has a link to it."""


def condemned(catalogue: Catalogue, vault: str, after: int, limit: int) -> list[Stored]:
    """Return the condemned segments of a vault, by id."""
    query = (
        f"SELECT {COLUMNS} FROM segment INDEXED BY idx_segment_condemned"  # noqa: S608 - constants
        " WHERE state = 'CONDEMNED' AND vault = ? AND id > ? ORDER BY id LIMIT ?"
    )
    return [Stored(*row) for row in catalogue.read(query, (vault, after, limit))]


def covered_condemned(catalogue: Catalogue, hold: Hold) -> list[Stored]:
    """Return the condemned segments that a hold covers, by id: however long its span, only condemned ones are read."""
    query = (
        f"SELECT {COLUMNS} FROM segment INDEXED BY idx_segment_condemned"  # noqa: S608 - constants
        f" WHERE state = 'CONDEMNED' AND {_NUMBERS} ORDER BY id"
    )
    rows = (Stored(*row) for row in catalogue.read(query))
    return [row for row in rows if hold.covers(row.camera, row.span, row.path)]


def between_ids(catalogue: Catalogue, after: int, until: int, state: str) -> list[Stored]:
    """Return the segments with ids above `after`, up to `until`, whose rows can be true. state: a condition in SQL."""
    query = f"SELECT {COLUMNS} FROM segment WHERE id > ? AND id <= ? AND {state} AND {_NUMBERS} ORDER BY id"  # noqa: S608 - constants
    return [Stored(*row) for row in catalogue.read(query, (after, until))]


def of_ids(catalogue: Catalogue, ids: Iterable[int], state: str) -> list[Stored]:
    """Return some segments, those whose rows can be true. state: a condition in SQL."""
    query = f"SELECT {COLUMNS} FROM segment WHERE id IN (SELECT value FROM json_each(?)) AND {state} AND {_NUMBERS}"  # noqa: S608 - constants
    return [Stored(*row) for row in catalogue.read(query, (json.dumps(list(ids)),))]


def covered(
    catalogue: Catalogue, hold: Hold, state: str, cameras: Iterable[str] | None = None
) -> Iterator[Stored]:
    """Yield the segments that a hold covers, camera by camera, oldest first. They are asked for as they are taken.

    state    a condition in SQL: which are wanted
    cameras  only these; None for all of the hold's
    """
    if cameras is None:
        cameras = catalogue.cameras() if rules.EVERY in hold.cameras else hold.cameras
    query = _covering(state)
    for camera in cameras:
        from_ms = hold.span.start_ms - rules.SALVAGED_REACH_MS
        after = (
            -(1 << 62),
            0,
        )  # a long one may begin long before the span; each branch of the query has its own bound
        while True:
            values = {
                "camera": camera,
                "from_ms": from_ms,
                "to_ms": hold.span.end_ms,
                "after_ms": after[0],
                "after_id": after[1],
            }
            rows = [Stored(*row[:-1]) for row in catalogue.read(query, values)]
            yield from (row for row in rows if hold.covers(row.camera, row.span, row.path))
            if len(rows) < _PAGE_ROWS:
                break
            after = (rows[-1].start_ms, rows[-1].id)
            from_ms = max(from_ms, after[0])


def _covering(state: str) -> str:
    """Write the query for a page of a camera's rows that overlap a span."""
    page = f"{state} AND {_NUMBERS} AND (start_ms, id) > (:after_ms, :after_id)"
    return overlapping("segment", COLUMNS, page) + f" LIMIT {_PAGE_ROWS}"
