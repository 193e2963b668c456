"""The catalogue's side of commands: the tables `command` and `command_counter`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.command import order as orders
from agent.command.counters import Counter
from agent.command.keyring import encode_key
from agent.model import canonical_json
from agent.storage import ledger

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from agent.command.order import Order
    from agent.model import Fact, Instant
    from agent.storage.catalogue import Catalogue

KEPT_MS = 7 * 86_400_000
"""A command that was answered is forgotten after so long; the ledger remembers it."""
_COLUMNS = "id, jws, signers, state, accepted_ms, trust, due_ms, erasable_ms, told, tries, note, outcome"


class State(StrEnum):
    """How far a command has come."""

    DELAYED = "DELAYED"
    RUNNING = "RUNNING"
    ENDED = "ENDED"  # its reply is still to be written
    ANSWERED = "ANSWERED"


@dataclass(frozen=True, slots=True)
class Row:
    """A command that was accepted.

    trust    what `accepted_ms` was worth
    due_ms   when a delayed one runs, UTC ms; to be counted anew where it was accepted by an untrusted time
    told     its first reply was written
    tries    starts of the keeper that have taken it up again
    note     what its handler wrote down
    outcome  its last reply's status, code and detail
    """

    order: Order
    state: State
    accepted_ms: int
    trust: str
    due_ms: int | None
    erasable_ms: int
    told: bool
    tries: int
    note: dict[str, Any] | None
    outcome: dict[str, Any] | None


def insert(
    db: sqlite3.Connection, order: Order, state: State, at: Instant, *, due_ms: int | None, erasable_ms: int
) -> None:
    """Write a command's row inside the caller's transaction."""
    signers = canonical_json([encode_key(key) for key in order.signers])
    db.execute(
        "INSERT INTO command (id, order_id, command, jws, signers, state, accepted_ms, trust, due_ms, erasable_ms,"
        " told, tries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
        (
            order.id,
            order.letter.id,
            order.command,
            order.jws,
            signers,
            str(state),
            at.utc_ms,
            str(at.trust),
            due_ms,
            erasable_ms,
        ),
    )


def use(db: sqlite3.Connection, counters: Mapping[str, Counter], kids: Iterable[str]) -> None:
    """Write the counters of some keys inside the caller's transaction."""
    db.executemany(
        "INSERT INTO command_counter (kid, mark, open) VALUES (?, ?, ?)"
        " ON CONFLICT (kid) DO UPDATE SET mark = excluded.mark, open = excluded.open",
        [(kid, counters[kid].mark, json.dumps(counters[kid].open)) for kid in kids],
    )


def counters(catalogue: Catalogue) -> dict[str, Counter]:
    """Return the used numbers that the catalogue knows of. Raises StorageFault."""
    rows = catalogue.read("SELECT kid, mark, open FROM command_counter")
    return {kid: Counter(mark, tuple(json.loads(free))) for kid, mark, free in rows}


def text_of(catalogue: Catalogue, command_id: str) -> tuple[str, State] | None:
    """Return what was sent under an id, and how far it has come; None for an unknown one. Raises StorageFault."""
    rows = catalogue.read("SELECT jws, state FROM command WHERE id = ?", (command_id,))
    return (rows[0][0], State(rows[0][1])) if rows else None


def unanswered(catalogue: Catalogue) -> list[Row]:
    """Return the commands that are not over, oldest first. Raises StorageFault.

    A row that is not what was written down is passed over: nobody signed what it says, and it stops no other (B19).
    """
    query = f"SELECT {_COLUMNS} FROM command WHERE state != 'ANSWERED' ORDER BY rowid"  # noqa: S608 - constants
    return [row for values in catalogue.read(query) if (row := _row(values)) is not None]


def delayed(catalogue: Catalogue, name: str) -> Row | None:
    """Return a delayed command by its id, or that of the order in it; None when none waits. Raises StorageFault."""
    query = f"SELECT {_COLUMNS} FROM command WHERE state = 'DELAYED' AND (id = ? OR order_id = ?)"  # noqa: S608 - constants
    rows = catalogue.read(query, (name, name))
    return _row(rows[0]) if rows else None


def shown(catalogue: Catalogue, command: str = "stream.grant") -> list[Row]:
    """Return the live streams, or disaster modes, by order that are not over, oldest first. Raises StorageFault."""
    query = (
        f"SELECT {_COLUMNS} FROM command WHERE command = ? AND note LIKE '%\"over\":false%' ORDER BY rowid"  # noqa: S608 - constants
    )
    return [row for values in catalogue.read(query, (command,)) if (row := _row(values)) is not None]


def put_notes(db: sqlite3.Connection, notes: Mapping[str, dict[str, Any]]) -> None:
    """Write what is known of some commands inside the caller's transaction."""
    db.executemany(
        "UPDATE command SET note = ? WHERE id = ?",
        [(canonical_json(note), name) for name, note in notes.items()],
    )


def change(catalogue: Catalogue, command_id: str, facts: Iterable[Fact] = (), **values: Any) -> None:
    """Set columns of a row, and append facts, in one transaction. Raises StorageFault."""
    lines = [ledger.line(fact) for fact in facts]
    sets = ", ".join(f"{name} = ?" for name in values)
    plain = [canonical_json(value) if isinstance(value, dict) else value for value in values.values()]

    def write(db: sqlite3.Connection) -> None:
        db.execute(f"UPDATE command SET {sets} WHERE id = ?", (*plain, command_id))  # noqa: S608 - names are ours
        for line in lines:
            ledger.append(db, line)

    catalogue.write(write)


def is_running(catalogue: Catalogue, order: Order) -> bool:
    """Tell whether another command of the same name is being carried out. Raises StorageFault."""
    query = "SELECT 1 FROM command WHERE state = 'RUNNING' AND command = ? AND id != ?"
    return bool(catalogue.read(query, (order.command, order.id)))


def on_trial(catalogue: Catalogue) -> bool:
    """Tell whether a configuration that keeps anything for less time is being tried. Raises StorageFault."""
    query = (
        "SELECT note FROM command WHERE state = 'RUNNING' AND command = 'config.propose' AND note IS NOT NULL"
    )
    # What cannot be read may be such a one.
    return any('"shorter":false' not in note for (note,) in catalogue.read(query))


def lately_erasable(catalogue: Catalogue, since_ms: int) -> int:
    """Return how much stored time the commands since then let go early, ms. Raises StorageFault."""
    query = "SELECT COALESCE(SUM(erasable_ms), 0) FROM command WHERE accepted_ms >= ? OR state = 'DELAYED'"
    return int(catalogue.read(query, (since_ms,))[0][0])


def forget(catalogue: Catalogue, before_ms: int) -> None:
    """Forget commands that were answered long ago, but those by which something is still shown. Raises StorageFault."""
    query = (
        "SELECT id FROM command WHERE state = 'ANSWERED' AND accepted_ms < ?"
        " AND ifnull(note, '') NOT LIKE '%\"over\":false%' LIMIT 200"
    )
    old = catalogue.read(query, (before_ms,))
    if old:
        catalogue.write(lambda db: db.executemany("DELETE FROM command WHERE id = ?", old))


def _row(row: tuple[Any, ...]) -> Row | None:
    command_id, jws, signers, state, accepted_ms, trust, due_ms, erasable_ms, told, tries, note, outcome = row
    try:
        return Row(
            orders.restore(command_id, jws, json.loads(signers)),
            State(state),
            accepted_ms,
            trust,
            due_ms,
            erasable_ms,
            bool(told),
            tries,
            json.loads(note) if note else None,
            json.loads(outcome) if outcome else None,
        )
    except (ValueError, TypeError, KeyError):
        return None
