"""How an export ends: D1 of agent/storage/keep/outgoing.py, and the centre's signed word that it arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.consignment import Where
from agent.language import say
from agent.model import Fact
from agent.storage import ledger
from agent.storage.keep import outgoing_rows
from agent.storage.keep.outgoing_order import ExportRefused, State
from agent.storage.keep.placing import nothing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.outgoing_rows import Row


def received(
    catalogue: Catalogue,
    export: str,
    at: Instant,
    *,
    by: str,
    good: bool,
    step: Callable[[str], None] = nothing,
) -> State:
    """Take the centre's signed word that it has all of an export: D1. Return how the export stands now.

    One that was taken back or lapsed stays so. Given again it answers again.
    by, good  who signed, and whether the centre found nothing wrong with it
    Raises    ExportRefused EXPORT_UNKNOWN; StorageFault
    """
    row = find(catalogue, export)
    if row.state not in (State.BUNDLED, State.SENT, State.UNCONFIRMED):
        return row.state
    if row.state is State.BUNDLED:
        sent(catalogue, row, row.bytes, at)
        row = find(catalogue, export)
    gone = max(row.gone_bytes, row.bytes)
    fact = Fact("export.received", at, told(row, gone) | {"good": good, "by": by})
    code = str(Where.RECEIVED if good else Where.DAMAGED)
    close(catalogue, row, fact, state=State.RECEIVED, gone=gone, code=code)
    step("D1")
    return State.RECEIVED


def find(catalogue: Catalogue, export: str) -> Row:
    """Return an export. Raises ExportRefused EXPORT_UNKNOWN; StorageFault."""
    row = outgoing_rows.find(catalogue, export)
    if row is None:
        raise ExportRefused(
            "EXPORT_UNKNOWN",
            say(f"이런 반출이 없습니다: {export}", f"no such export: {export}"),
            hint=say("`pasu export list --all`로 보십시오", "see `pasu export list --all`"),
        )
    return row


def close(
    catalogue: Catalogue, row: Row, fact: Fact, *, state: State, gone: int, code: str | None = None
) -> None:
    """Do D1's transaction. code: None leaves what is there. Raises StorageFault."""
    line = ledger.line(fact)
    unheard = row.bundled_ms is None  # of what has no bundle the uplink never heard
    code = row.code if code is None else code

    def write(db: sqlite3.Connection) -> None:
        values = {
            "state": state,
            "closed_ms": fact.at.utc_ms,
            "gone_bytes": gone,
            "code": code,
            "recalled": unheard,
        }
        if outgoing_rows.change(db, row.export.id, [row.state], **values):
            ledger.append(db, line)

    catalogue.write(write)


def told(row: Row, gone: int) -> dict[str, object]:
    """Return the body of the facts that tell what went."""
    return {"export": row.export.id, "files": row.files, "bytes": row.bytes, "gone_bytes": gone}


def sent(catalogue: Catalogue, row: Row, gone: int, at: Instant) -> None:
    """Note that all of it went, as whoever carries it says. Raises StorageFault."""
    line = ledger.line(Fact("export.sent", at, told(row, gone)))

    def write(db: sqlite3.Connection) -> None:
        values = {"state": State.SENT, "gone_bytes": gone}
        if outgoing_rows.change(db, row.export.id, [State.BUNDLED], **values):
            ledger.append(db, line)

    catalogue.write(write)
