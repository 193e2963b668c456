"""Exports: sealed segments of a span that are handed out to the centre. The procedures, by their numbers:

    make      O1  one transaction: the export's row, which segments it has, and the fact `export.requested`
              O2  in each vault of them `outgoing/<export>/`, durable
              O3  hard links of the segments and their tails, O4 fsync of their directories, O5 rows of the links
              O6  one transaction: the fact `export.bundled`, with a digest of all: before a byte leaves
              O7  a checkpoint that covers it, O8 CHECKPOINT, proofs.json and SHA256SUMS
              O9  the row says BUNDLED; the uplink gets an order in `<state>/exchange/outgoing/`
    end       D1  one transaction: the row is RECEIVED, UNCONFIRMED, CANCELLED or EXPIRED, and its fact; the uplink's
                  order is taken back. What the uplink says steers the sending alone: only a signed order, or its time,
                  ends an export
    clear     D2  for each link, under `locks.fate`: is it the last name of what was erased, its header is overwritten;
                  of what nobody erased, it gets its own name back
              D3  the fact `segment.shredded` of what was overwritten
              D4  links are removed, D5 their rows; D6 the directory, D7 what is left of its rows

Killed at any step and taken up again, an export is as before it was ordered, or as it was ordered; nothing is handed
out twice. In a lockdown the uplink's orders are withheld; once it is lifted, what was on its way goes on. What an
export links is erased by retention when its time has come: then its header is overwritten not there, but in D2. So no
export keeps a segment longer than LIFE_MS beyond its time, and none touches what a hold covers.
A bundle of which there is no row (the catalogue was lost) is cleared the same way, once every stored file has its row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.consignment import Where, Word
from agent.errors import StorageFault
from agent.health import Raised
from agent.model import Fact, Trust, utc_day
from agent.storage import ledger
from agent.storage.keep import outgoing_desk, outgoing_end, outgoing_files, outgoing_make, outgoing_rows
from agent.storage.keep.orders_files import is_locked_down
from agent.storage.keep.outgoing_clear import Clearer
from agent.storage.keep.outgoing_end import received
from agent.storage.keep.outgoing_make import Maker, Requested
from agent.storage.keep.outgoing_order import LIFE_MS, OPEN, Export, ExportRefused, State, check_text
from agent.storage.keep.placing import nothing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.keep.outgoing_rows import Row
    from agent.storage.keep.rollover import Rules
    from agent.storage.proof.signing import BoxKey
    from agent.storage.vault import Vault

__all__ = [
    "Cancelled",
    "Export",
    "ExportRefused",
    "Exports",
    "Requested",
    "cancel",
    "destroyed",
    "received",
    "request",
    "stop_sending",
]

_SENDING = (State.BUNDLED, State.SENT)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What had left the box when an export was cancelled.

    bytes       of the whole; 0 when it was not bundled yet
    gone_bytes  that left, as far as is known now: the fact `export.recalled` says it when the uplink has stopped
    """

    state: State
    bytes: int
    gone_bytes: int


def request(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    export: Export,
    at: Instant,
    *,
    step: Callable[[str], None] = nothing,
) -> Requested:
    """Take an order: O1. The keeper's next turns do the rest. Raises ExportRefused, StorageFault."""
    return outgoing_make.request(catalogue, vaults, export, at, step=step)


def cancel(
    catalogue: Catalogue,
    state: Path,
    export: str,
    at: Instant,
    *,
    by: str,
    disk: Disk | None = None,
    step: Callable[[str], None] = nothing,
) -> Cancelled:
    """Take an export back, also one that the centre has already; from here on no byte of it is sent: D1.

    Given again it answers again. Raises ExportRefused EXPORT_UNKNOWN, EXPORT_TEXT; StorageFault
    """
    check_text("by", by)
    row = outgoing_end.find(catalogue, export)
    gone = max(row.gone_bytes, outgoing_desk.word_of(state, export, disk).gone)
    if row.state is not State.CANCELLED:
        body = {"export": export, "by": by, "was": str(row.state), "bytes": row.bytes, "gone_bytes": gone}
        outgoing_end.close(
            catalogue, row, Fact("export.cancelled", at, body), state=State.CANCELLED, gone=gone
        )
        step("D1")
    outgoing_desk.recall(state, row, disk)
    return Cancelled(State.CANCELLED, row.bytes, gone)


def stop_sending(catalogue: Catalogue, state: Path, disk: Disk | None = None) -> None:
    """Have the uplink stop at once, for a lockdown; the turns see to it that it stays so. Raises StorageFault."""
    for row in outgoing_rows.rows(catalogue):
        if row.state in _SENDING:
            outgoing_desk.withhold(state, row.export.id, disk)


def destroyed(catalogue: Catalogue, export: str, at: Instant, *, by: str, how: str) -> bool:
    """Note that the recipient's copy was destroyed (art. 31(3)); false when that was noted before.

    by, how  who says so, and how it was done, in words
    Raises   ExportRefused EXPORT_UNKNOWN, EXPORT_TEXT; StorageFault
    """
    check_text("by", by)
    check_text("how", how)
    row = outgoing_end.find(catalogue, export)
    body = {"export": export, "by": by, "how": how, "recipient": row.export.recipient, "due": row.export.due}
    line = ledger.line(Fact("export.destroyed", at, body))

    def note(db: sqlite3.Connection) -> bool:
        query = "UPDATE export SET destroyed_ms = ? WHERE id = ? AND destroyed_ms IS NULL"
        if not db.execute(query, (at.utc_ms, export)).rowcount:
            return False
        ledger.append(db, line)
        return True

    return catalogue.write(note)


class Exports:
    """Carries exports on, turn by turn."""

    def __init__(
        self, state: Path, rules: Rules, step: Callable[[str], None] = nothing, disk: Disk | None = None
    ) -> None:
        """Do nothing yet. rules: how long segments stay, and who answers for erasing."""
        self.more = False
        self._state = state
        self._rules = rules
        self._step = step
        self._disk = disk

    def turn(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        key: BoxKey | None,
        at: Instant,
        *,
        settled: bool,
        enough: Callable[[], bool] = lambda: False,
    ) -> list[Raised]:
        """Take a turn; `more` says afterwards whether there is more to be done at once.

        key      the box's; None while there is none: then no bundle is made
        settled  every stored file has its row, and holds are known: else nothing is cleared
        Raises   StorageFault when the catalogue cannot be used; what disks say is among what is returned
        """
        self.more = more = False
        raised: list[Raised] = []
        rows = outgoing_rows.rows(catalogue)
        for row in rows:
            try:
                self._hear(catalogue, row, at)
                more |= self._carry_on(catalogue, vaults, key, row.export.id, at, enough=enough)
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                raised.append(Raised("export.stuck", row.export.id, fault.code))
        if settled:
            more |= self._clear(catalogue, vaults, at, enough, raised)
        outgoing_desk.forget(self._state, {row.export.id for row in rows}, at, self._disk)
        raised += self._overdue(catalogue, at)
        self.more = more
        return raised

    def _hear(self, catalogue: Catalogue, row: Row, at: Instant) -> None:
        """Do what the uplink's word asks for."""
        word = outgoing_desk.word_of(self._state, row.export.id, self._disk)
        if word.where in (Where.SENT, Where.RECEIVED, Where.DAMAGED):
            # Whoever says that the centre has it all says that all of it left: its copy is to be destroyed one day.
            word = replace(word, gone=max(word.gone, row.bytes))
        if row.state is State.BUNDLED and word.where in (Where.SENT, Where.RECEIVED, Where.DAMAGED):
            outgoing_end.sent(catalogue, row, word.gone, at)
        elif row.state in (State.CANCELLED, State.EXPIRED) and not row.recalled:
            expired = at.trust is not Trust.UNTRUSTED and at.utc_ms > (row.closed_ms or 0) + LIFE_MS
            if word.where in (Where.RECALLED, Where.REFUSED) or expired:
                self._recalled(catalogue, row, word, at)

    def _recalled(self, catalogue: Catalogue, row: Row, word: Word, at: Instant) -> None:
        """Say how much had left, when the uplink has stopped.

        What never left whole is no copy. Whether one that did was thrown away, no unsigned word says.
        """
        gone = max(row.gone_bytes, word.gone)
        is_back = word.where is Where.RECALLED and gone < row.bytes
        body = {
            "export": row.export.id,
            "bytes": row.bytes,
            "gone_bytes": gone,
            "confirmed": word.where is Where.RECALLED,
        }
        line = ledger.line(Fact("export.recalled", at, body))

        def note(db: sqlite3.Connection) -> None:
            values: dict[str, object] = {"recalled": True, "gone_bytes": gone}
            values |= {"destroyed_ms": at.utc_ms} if is_back else {}
            if outgoing_rows.change(db, row.export.id, [row.state], **values):
                ledger.append(db, line)

        catalogue.write(note)
        outgoing_desk.drop(self._state, row.export.id, self._disk)

    def _note(self, catalogue: Catalogue, row: Row, **values: object) -> None:
        catalogue.write(lambda db: outgoing_rows.change(db, row.export.id, [row.state], **values))

    def _carry_on(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        key: BoxKey | None,
        export: str,
        at: Instant,
        *,
        enough: Callable[[], bool],
    ) -> bool:
        """Do O2 to O9, or what its state asks for; tell whether there is more to be done at once."""
        more = False
        row = outgoing_end.find(catalogue, export)
        in_doubt = row.trust == Trust.UNTRUSTED or row.expires_ms > at.utc_ms + LIFE_MS
        if row.state in OPEN and at.trust is not Trust.UNTRUSTED and in_doubt:
            # By a clock that was ahead what it links would outlive its time by as much; by one behind, it ends at once.
            self._note(catalogue, row, expires_ms=at.utc_ms + LIFE_MS, trust=at.trust.value)
            row = outgoing_end.find(catalogue, export)
        if row.state in OPEN and at.trust is not Trust.UNTRUSTED and at.utc_ms > row.expires_ms:
            self._lapse(catalogue, row, at)
            row = outgoing_end.find(catalogue, export)
        if row.state is State.REQUESTED and key is not None:
            maker = Maker(catalogue, vaults, self._state, key, at, step=self._step)
            more = maker.advance(row, enough)
            row = outgoing_end.find(catalogue, export)
        if row.state in _SENDING and is_locked_down(self._state):
            outgoing_desk.withhold(self._state, export, self._disk)
        elif row.state in _SENDING and key is not None:
            outgoing_desk.order(self._state, row, vaults, self._disk)
        elif row.state in (State.RECEIVED, State.UNCONFIRMED) and not row.recalled:
            outgoing_desk.drop(self._state, export, self._disk)
            self._note(catalogue, row, recalled=True)
        elif row.state in (State.CANCELLED, State.EXPIRED) and not row.recalled:
            outgoing_desk.recall(self._state, row, self._disk)
        return more

    def _lapse(self, catalogue: Catalogue, row: Row, at: Instant) -> None:
        """End what nobody signed for. What was sent is not taken back: the centre may have it, and need it."""
        word = outgoing_desk.word_of(self._state, row.export.id, self._disk)
        gone = max(row.gone_bytes, word.gone)
        if row.state is State.SENT:
            fact = Fact("export.unconfirmed", at, outgoing_end.told(row, gone) | {"said": str(word.where)})
            outgoing_end.close(catalogue, row, fact, state=State.UNCONFIRMED, gone=gone, code=str(word.where))
        else:
            stopped = word.where in (Where.REFUSED, Where.RECALLED)
            code = word.code or str(word.where) if stopped else "EXPORT_EXPIRED"
            body = {"export": row.export.id, "code": code, "bytes": row.bytes, "gone_bytes": gone}
            outgoing_end.close(
                catalogue, row, Fact("export.expired", at, body), state=State.EXPIRED, gone=gone, code=code
            )
        self._step("D1")

    def _clear(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        at: Instant,
        enough: Callable[[], bool],
        raised: list[Raised],
    ) -> bool:
        """Do D2 to D7 for exports that are over, and for directories of which there is no row; tell whether there is
        more to be done at once.
        """
        clearer = Clearer(catalogue, vaults, self._state, self._rules, at, step=self._step)
        every = outgoing_rows.rows(catalogue, every=True)
        over = {row.export.id: row for row in every if row.state not in OPEN and not row.cleared}
        known = {row.export.id for row in every if row.state in OPEN}
        names: set[str] = set()
        for vault in vaults.values():
            try:
                names.update(outgoing_files.names(vault))
            except StorageFault as fault:
                raised.append(Raised("export.stuck", vault.uuid, fault.code))
        for export in sorted(over.keys() | (names - known)):
            done = clearer.clear(export, enough)
            if done.stuck or done.faults:
                detail = done.faults[0].code if done.faults else f"{len(done.stuck)}: {done.stuck[0]}"
                raised.append(Raised("export.stuck", export, detail))
            elif not done.done:
                return True
            elif export in over and not outgoing_rows.segments(catalogue, export):
                self._note(catalogue, over[export], cleared=True)
        return False

    def _overdue(self, catalogue: Catalogue, at: Instant) -> list[Raised]:
        """Name the copies that should have been destroyed by now (art. 31(3))."""
        if at.trust is Trust.UNTRUSTED:
            return []
        day = utc_day(at.utc_ms)
        return [
            Raised("export.overdue", row.export.id, row.export.due)
            for row in outgoing_rows.unfinished(catalogue)
            if row.is_overdue(day)
        ]
