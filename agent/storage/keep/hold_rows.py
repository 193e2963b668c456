"""The catalogue's side of holds: the tables `hold`, `hold_camera` and `hold_segment`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.model import Span
from agent.storage.keep.hold import Hold

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from agent.storage.catalogue import Catalogue

_COLUMNS = (
    "id, from_ms, to_ms, ground, grounds, authority, review_ms, placed_ms, trust, placed_by, released_ms,"
    " release_reason"
)


def holds(catalogue: Catalogue, *, released: bool = False) -> list[Hold]:
    """Return the holds, oldest first; with `released`, also those that are over. Raises StorageFault."""
    where = "1" if released else "released_ms IS NULL"
    return _holds(catalogue, f"{where} ORDER BY placed_ms, id", ())


def find(catalogue: Catalogue, hold_id: str) -> Hold | None:
    """Return a hold, None when there is none. Raises StorageFault."""
    return next(iter(_holds(catalogue, "id = ?", (hold_id,))), None)


def _holds(catalogue: Catalogue, where: str, values: Sequence[str]) -> list[Hold]:
    rows = catalogue.read(f"SELECT {_COLUMNS} FROM hold WHERE {where}", values)  # noqa: S608 - constants
    found = []
    for row in rows:
        cameras = catalogue.read("SELECT camera FROM hold_camera WHERE hold = ? ORDER BY camera", (row[0],))
        (
            hold_id,
            from_ms,
            to_ms,
            ground,
            grounds,
            authority,
            review_ms,
            placed_ms,
            trust,
            by,
            over_ms,
            reason,
        ) = row
        found.append(
            Hold(
                hold_id,
                tuple(camera[0] for camera in cameras),
                Span(from_ms, to_ms),
                ground,
                authority,
                review_ms,
                placed_ms,
                trust,
                by,
                grounds,
                over_ms,
                reason,
            )
        )
    return found


def insert(db: sqlite3.Connection, hold: Hold) -> None:
    """Write a hold's rows inside the caller's transaction."""
    db.execute(
        f"INSERT INTO hold ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
        (
            hold.id,
            hold.span.start_ms,
            hold.span.end_ms,
            hold.ground,
            hold.grounds,
            hold.authority,
            hold.review_ms,
            hold.placed_ms,
            hold.trust,
            hold.placed_by,
            hold.released_ms,
            hold.release_reason,
        ),
    )
    db.executemany("INSERT INTO hold_camera VALUES (?, ?)", [(hold.id, camera) for camera in hold.cameras])


def release(db: sqlite3.Connection, hold_id: str, at_ms: int, reason: str) -> bool:
    """Mark a hold as released inside the caller's transaction; false if it was not active."""
    query = "UPDATE hold SET released_ms = ?, release_reason = ? WHERE id = ? AND released_ms IS NULL"
    return bool(db.execute(query, (at_ms, reason, hold_id)).rowcount)


def add_links(db: sqlite3.Connection, hold_id: str, links: Iterable[tuple[int, str]]) -> int:
    """Note a hold's links, segment and path, inside the caller's transaction; return how many are new.

    None is noted of a hold that was released meanwhile.
    """
    active = db.execute("SELECT 1 FROM hold WHERE id = ? AND released_ms IS NULL", (hold_id,)).fetchone()
    if not active:
        return 0
    before = db.total_changes
    db.executemany(
        "INSERT INTO hold_segment (hold, segment, path) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(hold_id, segment, path) for segment, path in links],
    )
    return db.total_changes - before


def drop_links(db: sqlite3.Connection, hold_id: str, vault: str) -> None:
    """Forget a hold's links in a vault inside the caller's transaction."""
    db.execute(
        "DELETE FROM hold_segment WHERE hold = ?"
        " AND (SELECT vault FROM segment WHERE segment.id = hold_segment.segment) = ?",
        (hold_id, vault),
    )


def linked(catalogue: Catalogue, hold_id: str, segments: Sequence[int]) -> set[int]:
    """Return which of some segments a hold has linked. Raises StorageFault."""
    query = "SELECT segment FROM hold_segment WHERE hold = ? AND segment IN (SELECT value FROM json_each(?))"
    return {row[0] for row in catalogue.read(query, (hold_id, json.dumps(segments)))}


def totals(catalogue: Catalogue, hold_id: str) -> tuple[int, int]:
    """Return how many segments a hold has linked, and their sealed bytes. Raises StorageFault."""
    query = (
        "SELECT COUNT(*), COALESCE(SUM(sealed_bytes), 0) FROM hold_segment"
        " JOIN segment ON segment.id = hold_segment.segment WHERE hold = ?"
    )
    count, sealed = catalogue.read(query, (hold_id,))[0]
    return count, sealed


def has_links(catalogue: Catalogue, hold_id: str) -> bool:
    """Tell whether a hold has any link. Raises StorageFault."""
    return bool(catalogue.read("SELECT 1 FROM hold_segment WHERE hold = ? LIMIT 1", (hold_id,)))


def vaults(catalogue: Catalogue, hold_id: str) -> set[str]:
    """Return the vaults in which a hold has links. Raises StorageFault."""
    query = "SELECT DISTINCT vault FROM hold_segment JOIN segment ON segment.id = hold_segment.segment WHERE hold = ?"
    return {row[0] for row in catalogue.read(query, (hold_id,))}


def mark(catalogue: Catalogue, hold_id: str) -> int | None:
    """Return up to which segment's id all that a hold covers has links; None: not known. Raises StorageFault."""
    found: int | None = catalogue.read("SELECT linked_id FROM hold WHERE id = ?", (hold_id,))[0][0]
    return found


def set_mark(catalogue: Catalogue, hold_id: str, segment: int) -> None:
    """Set that. Raises StorageFault."""
    catalogue.write(lambda db: db.execute("UPDATE hold SET linked_id = ? WHERE id = ?", (segment, hold_id)))


def move_mark(catalogue: Catalogue, hold_id: str, segment: int) -> None:
    """Set that, unless it was forgotten meanwhile: then something older got its state back. Raises StorageFault."""
    query = "UPDATE hold SET linked_id = ? WHERE id = ? AND linked_id IS NOT NULL"
    catalogue.write(lambda db: db.execute(query, (segment, hold_id)))


def newest(catalogue: Catalogue) -> int:
    """Return the newest segment's id, 0 when there is none. Raises StorageFault."""
    found: int = catalogue.read("SELECT COALESCE(MAX(id), 0) FROM segment")[0][0]
    return found


def is_to_remind(catalogue: Catalogue, hold_id: str, day: str) -> bool:
    """Tell whether a hold's review was not yet reminded of on a day. Raises StorageFault."""
    return bool(catalogue.read("SELECT 1 FROM hold WHERE id = ? AND reminded_day IS NOT ?", (hold_id, day)))


def remind(db: sqlite3.Connection, hold_id: str, day: str) -> bool:
    """Note that a hold's review was reminded of on a day; false if it was already."""
    query = "UPDATE hold SET reminded_day = ? WHERE id = ? AND reminded_day IS NOT ?"
    return bool(db.execute(query, (day, hold_id, day)).rowcount)
