"""The ledger table: facts in one order, never changed.

`seq` counts from 1 without a hole. It is given inside the writer's transaction, so several processes keep one
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.model import Fact, Instant, Trust, canonical_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Line:
    """A fact on its way into the ledger: its body is already the text that will be stored.

    Made by the caller's thread, so that a body that cannot be stored is the caller's error, and one that is
    changed afterwards changes nothing.
    """

    kind: str
    at: Instant
    body: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact in the ledger. `body` is canonical JSON (RFC 8785)."""

    seq: int
    at_ms: int
    trust: str
    kind: str
    body: str


def line(fact: Fact) -> Line:
    """Write a fact's body as canonical JSON.

    Raises  TypeError for a float or a value that JSON has not, ValueError for text that is not Unicode
    """
    body = canonical_json(fact.body)
    body.encode()
    fact.kind.encode()
    return Line(fact.kind, fact.at, body)


def append(connection: sqlite3.Connection, entry: Line) -> int:
    """Append inside the caller's transaction (BEGIN IMMEDIATE); return the seq."""
    row = connection.execute(
        "INSERT INTO ledger (seq, at_ms, trust, kind, body)"
        " SELECT COALESCE(MAX(seq), 0) + 1, ?, ?, ?, ? FROM ledger RETURNING seq",
        (entry.at.utc_ms, entry.at.trust.value, entry.kind, entry.body),
    ).fetchone()
    return int(row[0])


def read(connection: sqlite3.Connection, after: int, limit: int) -> Iterator[Entry]:
    """Yield the entries after a seq, in order, at most `limit`."""
    query = "SELECT seq, at_ms, trust, kind, body FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?"
    for row in connection.execute(query, (after, limit)):
        yield Entry(*row)


def size(connection: sqlite3.Connection) -> int:
    """Return the newest seq, 0 for an empty ledger."""
    return int(connection.execute("SELECT COALESCE(MAX(seq), 0) FROM ledger").fetchone()[0])


def instant(at_ms: int, trust: str) -> Instant:
    """Put an entry's time together again."""
    return Instant(at_ms, Trust(trust))
