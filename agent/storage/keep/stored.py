"""What holding and erasing need to know of a segment, and the SQL that finds it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from agent.model import Span
from agent.storage.catalogue import COMMITTED, SALVAGED, overlapping
from agent.storage.keep import hold as rules

if TYPE_CHECKING:
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.hold import Hold

CONDEMNED = "CONDEMNED"
GONE = "GONE"


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


def covered(catalogue: Catalogue, hold: Hold, condition: str) -> list[Stored]:
    """Return the segments that a hold covers and for which a condition holds, camera by camera, oldest first."""
    cameras = catalogue.cameras() if rules.EVERY in hold.cameras else list(hold.cameras)
    query = overlapping("segment", COLUMNS, condition)
    found = []
    for camera in cameras:
        values = {
            "camera": camera,
            "from_ms": hold.span.start_ms - rules.SALVAGED_REACH_MS,
            "to_ms": hold.span.end_ms,
        }
        rows = [Stored(*row[:-1]) for row in catalogue.read(query, values)]
        found += [row for row in rows if hold.covers(row.camera, row.span, row.path)]
    return found
