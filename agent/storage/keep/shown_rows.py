"""The catalogue's side of live streams: those by order lie in their command's row, all others in the table `stream`.

A row of `stream` that is over stays as long as something is to be known of it: the last one of a selected camera and
of a trigger, since it may have been revoked; those of a disaster until the mode is over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.grants import RANKS, Kind, Most
from agent.model import canonical_json
from agent.storage import ledger
from agent.storage.keep import orders_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from agent.command.order import Order
    from agent.config import Camera
    from agent.model import Fact
    from agent.storage.catalogue import Catalogue

_COLUMNS = "id, kind, source, camera, note"


@dataclass(slots=True)
class Shown:
    """One camera that is shown, or was.

    id      of the grant: the command's, or one of its own
    source  why: the order of the disaster mode, "camera@centre" of the configuration, the trigger's id, or the order
    note    what there is to know of it: `note_of`
    order   that granted it; None for another kind
    """

    id: str
    kind: Kind
    source: str
    camera: str
    note: dict[str, Any]
    order: Order | None = None

    @property
    def is_in_force(self) -> bool:
        """Tell whether it has no end yet."""
        return not self.note["ended"]


def note_of(
    kind: Kind,
    camera: Camera,
    boot: str,
    now_boot_ms: int,
    until_boot_ms: int,
    *,
    until_ms: int = 0,
    centre: str = "",
    most: str = Most.MAIN,
    before_s: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """Return what is written down of a stream that begins.

    until_boot_ms  CLOCK_BOOTTIME; until_ms: the same by the time of day, 0 where it has no end
    more           what only its kind knows
    """
    return {
        "camera": camera.id,
        "boot": boot,
        "until_boot_ms": until_boot_ms,
        "until_ms": until_ms,
        "has_sub": camera.sub_url is not None,
        "centre": centre,
        "rank": RANKS[kind] + camera.priority,
        "most": str(most),
        "before_s": before_s,
        "counted_boot_ms": now_boot_ms,
        "started": False,
        "ended": "",
        "ended_boot_ms": 0,
        "over": False,
        **more,
    }


def open_rows(catalogue: Catalogue) -> list[Shown]:
    """Return all that are not over. A row that cannot be read is passed over (B19). Raises StorageFault."""
    by_order = [
        Shown(row.order.id, Kind.ORDER, row.order.id, str(row.note["camera"]), dict(row.note), row.order)
        for row in orders_rows.shown(catalogue)
        if row.note is not None
    ]
    query = f"SELECT {_COLUMNS} FROM stream WHERE over = 0 ORDER BY rowid"  # noqa: S608 - constants
    return by_order + _rows(catalogue.read(query))


def find(catalogue: Catalogue, name: str) -> Shown | None:
    """Return one that is not over, by its id. Raises StorageFault."""
    return next((shown for shown in open_rows(catalogue) if shown.id == name), None)


def of(catalogue: Catalogue, kind: Kind, source: str, camera: str | None = None) -> list[Shown]:
    """Return those of a source, and of a camera, over or not, oldest first. Raises StorageFault."""
    query = f"SELECT {_COLUMNS} FROM stream WHERE kind = ? AND source = ? AND camera = ifnull(?, camera) ORDER BY rowid"  # noqa: S608 - constants
    return _rows(catalogue.read(query, (str(kind), source, camera)))


def begin(catalogue: Catalogue, new: Iterable[Shown], facts: Iterable[Fact] = ()) -> None:
    """Write rows of streams that begin, and facts, in one transaction; what was before them and is over is forgotten.

    Raises  StorageFault
    """
    lines = [ledger.line(fact) for fact in facts]
    rows = [*new]

    def write(db: sqlite3.Connection) -> None:
        for row in rows:
            place = str(row.kind), row.source, row.camera
            if row.kind is not Kind.DISASTER:
                db.execute(
                    "DELETE FROM stream WHERE kind = ? AND source = ? AND camera = ? AND over = 1", place
                )
            db.execute(
                f"INSERT INTO stream ({_COLUMNS}, over) VALUES (?, ?, ?, ?, ?, 0)",  # noqa: S608 - constants
                (row.id, *place, canonical_json(row.note)),
            )
        for line in lines:
            ledger.append(db, line)

    catalogue.write(write)


def change(catalogue: Catalogue, row: Shown, facts: Iterable[Fact] = ()) -> None:
    """Write what is known of one now, and facts, in one transaction. Raises StorageFault."""
    if row.kind is Kind.ORDER:
        orders_rows.change(catalogue, row.id, facts, note=row.note)
        return
    lines = [ledger.line(fact) for fact in facts]

    def write(db: sqlite3.Connection) -> None:
        values = canonical_json(row.note), int(row.note["over"]), row.id
        db.execute("UPDATE stream SET note = ?, over = ? WHERE id = ?", values)
        for line in lines:
            ledger.append(db, line)

    catalogue.write(write)


def close_mode(catalogue: Catalogue, order: str, note: Mapping[str, Any], fact: Fact) -> None:
    """Write that a disaster mode is over, with its fact, and forget its streams. Raises StorageFault."""
    line = ledger.line(fact)

    def write(db: sqlite3.Connection) -> None:
        orders_rows.put_notes(db, {order: {**note, "over": True}})
        db.execute("DELETE FROM stream WHERE kind = ? AND source = ?", (str(Kind.DISASTER), order))
        ledger.append(db, line)

    catalogue.write(write)


def _rows(rows: Iterable[tuple[Any, ...]]) -> list[Shown]:
    found = []
    for name, kind, source, camera, note in rows:
        try:
            found.append(Shown(name, Kind(kind), source, camera, json.loads(note)))
        except ValueError:
            continue
    return found
