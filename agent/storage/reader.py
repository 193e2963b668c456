"""The ledger, to be read by the one process that talks outside: never a lock that a writer waits for, nothing written.

The catalogue may be busy, gone, or another file than a moment ago: each call opens it anew when it has to, and raises
a StorageFault when it cannot, to be asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from agent.errors import StorageFault
from agent.storage.catalogue import Catalogue
from agent.storage.ledger import Entry
from agent.storage.proof.prune import ACKNOWLEDGED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

BUSY_S = 0.25
PORTION = 64
SIGNED_BY = "signed_by"  # key in `meta`: agent.storage.proof.checkpoints writes it


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint: of which ledger, as signed, and when."""

    ledger: str
    text: str
    at_ms: int


class LedgerView:
    """Reads the ledger of one state directory."""

    def __init__(self, state: Path) -> None:
        """Open nothing yet."""
        self._state = state
        self._catalogue: Catalogue | None = None

    def look(self) -> tuple[str, int, int]:
        """Return the ledger's id, its newest seq, and how far the centre has acknowledged it. Raises StorageFault"""
        query = (
            "SELECT (SELECT value FROM meta WHERE key = 'ledger'), (SELECT COALESCE(MAX(seq), 0) FROM ledger),"
            " (SELECT value FROM meta WHERE key = ?)"
        )
        ((ledger, size, acknowledged),) = self._read(query, (ACKNOWLEDGED,))
        return ledger or "", size, int(acknowledged or 0)

    def entries(self, ledger: str, after: int, limit: int, most_bytes: int) -> list[Entry]:
        """Return entries after a seq, in order: at most `limit`, at most `most_bytes` of bodies, but one at least.

        ledger   its id: of another one, which has taken its place, there is nothing
        Raises   StorageFault
        """
        query = (
            "SELECT seq, at_ms, trust, kind, body FROM ledger WHERE seq > ?"
            " AND (SELECT value FROM meta WHERE key = 'ledger') = ? ORDER BY seq LIMIT ?"
        )
        found: list[Entry] = []
        size = 0
        while len(found) < limit:
            rows = self._read(query, (after, ledger, min(PORTION, limit - len(found))))
            for row in rows:
                size += len(row[4])
                if found and size > most_bytes:
                    return found
                found.append(Entry(*row))
            if len(rows) < PORTION:
                break
            after = rows[-1][0]
        return found

    def checkpoint(self) -> Note | None:
        """Return the newest checkpoint. Raises StorageFault"""
        query = (
            "SELECT (SELECT value FROM meta WHERE key = 'ledger'), note, at_ms"
            " FROM checkpoint ORDER BY size DESC LIMIT 1"
        )
        rows = self._read(query)
        return Note(*rows[0]) if rows else None

    def vkey(self) -> str:
        """Return the public key that signs checkpoints; nothing before the first. Raises StorageFault"""
        rows = self._read("SELECT value FROM meta WHERE key = ?", (SIGNED_BY,))
        return rows[0][0] if rows else ""

    def close(self) -> None:
        """Let go of the catalogue."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    def _read(self, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        return self._ask(lambda catalogue: catalogue.read(query, values))

    def _ask(self, work: Callable[[Catalogue], T]) -> T:
        if self._catalogue is None:
            self._catalogue = Catalogue.open(self._state, read_only=True, busy_s=BUSY_S)
        try:
            return work(self._catalogue)
        except StorageFault as fault:
            if fault.code != "CATALOGUE_BUSY":
                self.close()  # another file may lie there
            raise
