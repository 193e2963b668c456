"""What is told once a day, and what is tidied: the check of automatic erasure, rows of what was erased long ago, and
entries of the ledger while there is no room.

Source: Standard Guideline 42(2): for automatic destruction its cycle, when it was checked, and who is responsible;
10(4): an officer confirms its result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.health import Raised
from agent.model import UTC_DAY_MS, Fact, utc_day
from agent.storage import ledger
from agent.storage.keep.retention import Cause
from agent.storage.proof import prune as letting_go

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

KIND = "retention.confirmed"
SIGNED = "retention.signed"
"""An officer's signature under those up to `to_seq` (Standard Guideline 10(4))."""
UNSIGNED_DAYS = 7
MOST_UNSIGNED = 1000
"""So many are signed at a time: nearly three years."""
GONE_MS = 7 * UTC_DAY_MS
"""The row of an erased segment stays so long; its tombstone in the ledger stays."""
PRUNE_ROWS = 500
PRUNE_BLOCKS = 4  # 1,024 entries of the ledger


@dataclass(frozen=True, slots=True)
class Check:
    """A day's check of automatic erasure, as the ledger has it. erased: segments by cause."""

    seq: int
    day: str
    from_ms: int
    to_ms: int
    erased: dict[str, int]


def unsigned(catalogue: Catalogue) -> list[Check]:
    """Return the checks that no officer has signed, oldest first, at most MOST_UNSIGNED. Raises StorageFault."""
    found = []
    query = "SELECT seq, body FROM ledger WHERE kind = ? AND seq > ? ORDER BY seq LIMIT ?"
    for seq, text in catalogue.read(query, (KIND, _signed_seq(catalogue), MOST_UNSIGNED)):
        body = json.loads(text)
        found.append(Check(seq, body["day"], body["from_ms"], body["to_ms"], body["erased"]))
    return found


def waits_for_signature(catalogue: Catalogue, now_ms: int) -> list[Raised]:
    """Return `retention.unsigned` where a check waits for its signature for more than UNSIGNED_DAYS."""
    query = "SELECT at_ms FROM ledger WHERE kind = ? AND seq > ? ORDER BY seq LIMIT 1"
    rows = catalogue.read(query, (KIND, _signed_seq(catalogue)))
    days = (now_ms - rows[0][0]) // UTC_DAY_MS if rows else 0
    return [Raised("retention.unsigned", detail=f"{days} d")] if days >= UNSIGNED_DAYS else []


def _signed_seq(catalogue: Catalogue) -> int:
    rows = catalogue.read("SELECT body FROM ledger WHERE kind = ? ORDER BY seq DESC LIMIT 1", (SIGNED,))
    return int(json.loads(rows[0][0])["to_seq"]) if rows else 0


def erased_between(catalogue: Catalogue, from_ms: int, until_ms: int) -> dict[str, int]:
    """Return how many segments were erased in a span of at most GONE_MS, by cause."""
    rows = catalogue.read(
        "SELECT cause, COUNT(*) FROM segment WHERE state = 'GONE' AND gone_ms >= ? AND gone_ms < ? GROUP BY cause",
        (from_ms, until_ms),
    )
    return dict.fromkeys(map(str, Cause), 0) | dict(rows)


def confirmed_until(catalogue: Catalogue) -> int | None:
    """Return up to when erasure was confirmed last, UTC ms."""
    rows = catalogue.read(f"SELECT body FROM ledger WHERE kind = '{KIND}' ORDER BY seq DESC LIMIT 1")  # noqa: S608 - a constant
    return int(json.loads(rows[0][0])["to_ms"]) if rows else None


def confirm(
    catalogue: Catalogue,
    at: Instant,
    *,
    cycle_s: int,
    responsible: str,
    oldest_ms: int | None,
    overdue_ms: int,
) -> bool:
    """Append the day's confirmation, once per UTC day, also over restarts; return whether it was due.

    at          trusted; the retention was just checked
    oldest_ms   where the retention begins of the oldest segment that nobody holds
    overdue_ms  by how much it is over its time
    Raises      StorageFault
    """
    before = confirmed_until(catalogue)
    if before is not None and at.utc_ms // UTC_DAY_MS == before // UTC_DAY_MS:
        return False
    # A clock that was a year ahead, and trusted, must not stop it for a year.
    from_ms = max(min(before or 0, at.utc_ms), at.utc_ms - GONE_MS)
    body = {
        "day": utc_day(at.utc_ms),
        "from_ms": from_ms,
        "to_ms": at.utc_ms,
        "erased": erased_between(catalogue, from_ms, at.utc_ms),
        "cycle_s": cycle_s,
        "oldest_ms": oldest_ms,
        "overdue_ms": overdue_ms,
        "responsible": responsible,
    }
    line = ledger.line(Fact(KIND, at, body))
    catalogue.write(lambda db: ledger.append(db, line))
    return True


def prune(catalogue: Catalogue, now_ms: int) -> int:
    """Remove rows of segments that were erased long ago, at most PRUNE_ROWS; return how many. Raises StorageFault."""
    values = (now_ms - GONE_MS, PRUNE_ROWS)
    old = [
        row[0]
        for row in catalogue.read(
            "SELECT id FROM segment WHERE state = 'GONE' AND gone_ms < ?"
            # SQLite gives the number of the last row again once it is gone, and others remember numbers.
            " AND id < (SELECT MAX(id) FROM segment)"
            " AND NOT EXISTS (SELECT 1 FROM hold_segment WHERE hold_segment.segment = segment.id)"
            " AND NOT EXISTS (SELECT 1 FROM export_segment WHERE export_segment.segment = segment.id)"
            " ORDER BY gone_ms LIMIT ?",
            values,
        )
    ]

    def delete(db: sqlite3.Connection) -> None:
        db.executemany("DELETE FROM segment WHERE id = ? AND state = 'GONE'", [(each,) for each in old])

    if old:
        catalogue.write(delete)
    return len(old)


def spare_state(catalogue: Catalogue, state: Path, at: Instant, *, holds_known: bool) -> list[Raised]:
    """Let a few old entries of the ledger go when the state's disk is short, and say that it is. Raises StorageFault.

    holds_known  what holds keep is in the catalogue: else the entries that prove it would go
    """
    free = letting_go.short(state)
    if free is None:
        return []
    if holds_known and catalogue.meta("reconcile") is None:
        letting_go.prune(catalogue, at, most=PRUNE_BLOCKS)
    return [Raised("state.short", detail=f"{free} bytes free")]
