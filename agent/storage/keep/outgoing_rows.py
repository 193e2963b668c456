"""The catalogue's side of exports: the tables `export` and `export_segment`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.model import Span
from agent.storage.keep.outgoing_order import Export, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from agent.storage.catalogue import Catalogue
    from agent.storage.proof.evidence import Chosen

_TERMS = (
    "id, camera, from_ms, to_ms, ground, purpose, recipient, authority, due, destination, person, emergency, case_name,"
    " grounds"
)
_PROGRESS = (
    "state, requested_ms, trust, claim, bundled_ms, expires_ms, files, bytes, gone_bytes, closed_ms, code, recalled,"
    " cleared, destroyed_ms"
)


@dataclass(frozen=True, slots=True)
class Row:
    """An export, and what became of it.

    claim         seq of the fact `export.bundled`; None before it
    expires_ms    when it lapses, if it was not sent
    files, bytes  that it hands out: 0 before it is bundled
    gone_bytes    bytes that left the box, as far as known
    closed_ms     when it was received, cancelled or lapsed; code: why it lapsed, or what the centre said
    recalled      the uplink needs to be told nothing more; cleared: no link is left in any vault
    destroyed_ms  when the recipient's copy was destroyed, as was told
    """

    export: Export
    state: State
    requested_ms: int
    trust: str
    claim: int | None
    bundled_ms: int | None
    expires_ms: int
    files: int
    bytes: int
    gone_bytes: int
    closed_ms: int | None
    code: str
    recalled: bool
    cleared: bool
    destroyed_ms: int | None

    def is_overdue(self, day: str) -> bool:
        """Tell whether a copy of it should have been destroyed by a day, and nobody said that it was."""
        return self.is_out and self.export.due < day

    @property
    def is_out(self) -> bool:
        """Tell whether something of it left the box, and nobody said that it was destroyed."""
        return self.destroyed_ms is None and self.gone_bytes > 0


@dataclass(frozen=True, slots=True)
class Linked:
    """A segment of an export. The fields are columns.

    path      of the segment in its vault; file: of its link, relative to the export's directory there
    has_link  its link was made
    """

    segment: int
    vault: str
    path: str
    file: str
    start_ms: int
    end_ms: int
    sha256: str
    sealed_bytes: int
    has_tail: bool
    has_link: bool

    @property
    def span(self) -> Span:
        """The span it covers."""
        return Span(self.start_ms, self.end_ms)


def rows(catalogue: Catalogue, *, every: bool = False) -> list[Row]:
    """Return the exports that are not done with, oldest first; or every one. Raises StorageFault."""
    return _rows(catalogue, "1" if every else "NOT (recalled AND cleared)")


def unfinished(catalogue: Catalogue) -> list[Row]:
    """Return the exports of which something is out that nobody said to be destroyed. Raises StorageFault."""
    return _rows(catalogue, "destroyed_ms IS NULL AND gone_bytes > 0")


def find(catalogue: Catalogue, export: str) -> Row | None:
    """Return an export, None when there is none. Raises StorageFault."""
    return next(iter(_rows(catalogue, "id = ?", (export,))), None)


def _rows(catalogue: Catalogue, where: str, values: Sequence[str] = ()) -> list[Row]:
    query = f"SELECT {_TERMS}, {_PROGRESS} FROM export WHERE {where} ORDER BY requested_ms, id"  # noqa: S608 - constants
    return [_row(row) for row in catalogue.read(query, values)]


def _row(row: Sequence[Any]) -> Row:
    terms: list[Any] = [*row[:2], Span(row[2], row[3]), *row[4:11], bool(row[11]), *row[12:14]]
    progress: list[Any] = [State(row[14]), *row[15:25], bool(row[25]), bool(row[26]), row[27]]
    return Row(Export(*terms), *progress)


def insert(db: sqlite3.Connection, row: Row, chosen: Iterable[tuple[int, Chosen]]) -> None:
    """Write a new export inside the caller's transaction. chosen: segments by id."""
    export = row.export
    values = (
        export.id, export.camera, export.span.start_ms, export.span.end_ms, export.ground, export.purpose,
        export.recipient, export.authority, export.due, export.to, export.person, export.emergency, export.case,
        export.grounds, row.state, row.requested_ms, row.trust, row.claim, row.bundled_ms, row.expires_ms, row.files,
        row.bytes, row.gone_bytes, row.closed_ms, row.code, row.recalled, row.cleared, row.destroyed_ms,
    )  # fmt: skip
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO export ({_TERMS}, {_PROGRESS}) VALUES ({marks})", values)  # noqa: S608 - marks
    db.executemany(
        "INSERT INTO export_segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        [
            (
                export.id,
                number,
                one.vault,
                one.path,
                one.file,
                one.span.start_ms,
                one.span.end_ms,
                one.sha256,
                one.sealed_bytes,
                one.has_tail,
            )
            for number, one in chosen
        ],
    )


def change(db: sqlite3.Connection, export: str, where: Iterable[State], **values: object) -> bool:
    """Change columns of an export inside the caller's transaction, if it is in one of some states; tell whether.

    values  by column
    """
    states = [str(state) for state in where]
    columns = ", ".join(f"{name} = ?" for name in values)
    query = f"UPDATE export SET {columns} WHERE id = ? AND state IN ({', '.join('?' * len(states))})"  # noqa: S608 - our names
    return bool(db.execute(query, (*values.values(), export, *states)).rowcount)


def segments(catalogue: Catalogue, export: str) -> list[Linked]:
    """Return the segments of an export, oldest first. Raises StorageFault."""
    query = (
        "SELECT segment, vault, path, file, start_ms, end_ms, sha256, sealed_bytes, has_tail, has_link"
        " FROM export_segment WHERE export = ? ORDER BY start_ms, segment"
    )
    rows = catalogue.read(query, (export,))
    return [Linked(*values) for row in rows if (values := [*row[:8], bool(row[8]), bool(row[9])])]


def mark_linked(db: sqlite3.Connection, export: str, numbers: Iterable[int]) -> None:
    """Note that segments have their links inside the caller's transaction."""
    query = "UPDATE export_segment SET has_link = 1 WHERE export = ? AND segment = ?"
    db.executemany(query, [(export, number) for number in numbers])


def drop_segments(db: sqlite3.Connection, export: str, numbers: Iterable[int]) -> None:
    """Forget segments of an export inside the caller's transaction."""
    query = "DELETE FROM export_segment WHERE export = ? AND segment = ?"
    db.executemany(query, [(export, number) for number in numbers])


def drop_unlinked(db: sqlite3.Connection, export: str, vaults: Iterable[str]) -> None:
    """Forget what is left of an export in some vaults inside the caller's transaction."""
    query = "DELETE FROM export_segment WHERE export = ? AND vault = ?"
    db.executemany(query, [(export, vault) for vault in vaults])


def holder_of(catalogue: Catalogue, segment: int) -> str:
    """Return an export that has, or may have, a link of a segment; empty when none has. Raises StorageFault."""
    query = "SELECT export FROM export_segment WHERE segment = ? ORDER BY export LIMIT 1"
    found = catalogue.read(query, (segment,))
    return str(found[0][0]) if found else ""
