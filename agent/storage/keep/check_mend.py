"""What a check does about what it finds. Nothing is erased here: what is damaged is moved to quarantine/, whole.

A segment that is lost, under the lock on segments' fate:

    L1  its row is read again as live, and held by nobody; its file is looked at again
    L2  a damaged file: fact, then rename into quarantine/, its tail first
    L3  one transaction: row LOST with its cause, fact `segment.lost`, and a gap in its place

Killed after L2 the next check finds a row without a file, and does L3. A file that a hold covers stays where it
is; one that is missing while a hold has a link to it gets its name back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.model import Fact, Gap, GapCause, Span
from agent.storage import files, ledger
from agent.storage.catalogue import LIVE, gap_line, insert_gap
from agent.storage.keep import check_file, hold_files
from agent.storage.keep.check_findings import Done, Finding, Row, What
from agent.storage.keep.stored import HELD
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault

STATE_LOST = "LOST"
CAUSE_MISSING = "MISSING"
CAUSE_DAMAGED = "DAMAGED"
MENDABLE = frozenset({What.MISSING, What.NOT_A_FILE, What.SIZE, What.HEADER, What.DIGEST, What.TAIL})
"""Not what the disk does not give: it may give it again behind another cable."""


@dataclass(frozen=True, slots=True)
class Mender:
    """Does something about what is found in one vault.

    now   the time of the facts
    step  is told the number of each step that is done
    """

    catalogue: Catalogue
    vault: Vault
    state: Path
    now: Callable[[], Instant]
    step: Callable[[str], None] = lambda _: None

    def mend(self, row: Row, finding: Finding) -> Finding:
        """Do L1 to L3 for a segment; return the finding with what was done.

        Raises  StorageFault when the catalogue cannot be used; what the disk says becomes Done.FAILED
        """
        if finding.what not in MENDABLE:
            return finding
        try:
            with fate(self.state):
                return replace(finding, done=self._mend(row, finding))
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            return replace(finding, done=Done.FAILED)

    def _mend(self, row: Row, finding: Finding) -> Done:
        vault = self.vault
        if not is_live(self.catalogue, row):
            return Done.OVERTAKEN
        path = vault.at(row.path)
        gone = check_file.is_gone(path)
        if finding.what is What.MISSING and not gone:
            return Done.OVERTAKEN
        # What the disk says, not the rows: a link may be older than the catalogue.
        links = (vault.at(hold_files.link_path(hold, row.path)) for hold in hold_files.names(vault))
        if gone and (link := next(filter(files.is_regular, links), None)):
            self._restore(row, link)
            return Done.RESTORED
        if not gone and _is_held(self.catalogue, row):
            return Done.HELD
        # A disk that went away while this was looked at has no names either.
        vault.verify()
        self.step("L1")
        if finding.what is What.TAIL:
            return self._forget_tail(row, finding)
        if not gone:
            tail = vault.at(row.path + ".tail")
            if row.has_tail and not check_file.is_gone(tail):
                self._quarantine(tail, "the tail of a damaged segment")
            self._quarantine(path, f"damaged: {finding.what.value}")
            self.step("L2")
        self._lose(row, finding, CAUSE_MISSING if gone else CAUSE_DAMAGED)
        self.step("L3")
        return Done.LOST if gone else Done.QUARANTINED

    def _restore(self, row: Row, link: Path) -> None:
        """Give a held segment its name back."""
        vault = self.vault
        path = vault.at(row.path)
        for directory in (path.parent.parent, path.parent):
            if not files.is_directory(directory):
                vault.disk.make_directory(directory)
        vault.disk.link(link, path)
        vault.disk.fsync_directory(path.parent)
        body = {"camera": row.camera, "path": row.path, "from": link.relative_to(vault.root).as_posix()}
        self.catalogue.add_fact(Fact("segment.restored", self.now(), body))

    def _quarantine(self, path: Path, reason: str) -> None:
        inside = path.relative_to(self.vault.root).as_posix()
        fact = Fact("segment.quarantined", self.now(), {"path": inside, "reason": reason})
        self.catalogue.add_fact(fact)
        self.vault.quarantine(path)

    def _forget_tail(self, row: Row, finding: Finding) -> Done:
        """Let a salvaged segment stand without its tail; the little that it held lies in the gap behind it."""
        tail = self.vault.at(row.path + ".tail")
        gone = check_file.is_gone(tail)
        if not gone:
            self._quarantine(tail, "damaged: tail")
        line = ledger.line(Fact("segment.lost", self.now(), self._body(row, finding)))

        def forget(db: sqlite3.Connection) -> None:
            db.execute("UPDATE segment SET has_tail = 0 WHERE id = ?", (row.id,))
            ledger.append(db, line)

        self.catalogue.write(forget)
        return Done.LOST if gone else Done.QUARANTINED

    def _lose(self, row: Row, finding: Finding, cause: str) -> None:
        """Do L3."""
        now = self.now()
        span = Span(row.start_ms, max(row.end_ms, row.start_ms + 1))
        gap = Gap(row.camera, span, GapCause.SEGMENT_LOST, finding.what.value)
        lost = ledger.line(Fact("segment.lost", now, self._body(row, finding) | {"cause": cause}))
        missed = gap_line(gap, now)

        def lose(db: sqlite3.Connection) -> None:
            update = f"UPDATE segment SET state = ?, cause = ? WHERE id = ? AND {LIVE}"  # noqa: S608 - constants
            if db.execute(update, (STATE_LOST, cause, row.id)).rowcount:
                ledger.append(db, lost)
                insert_gap(db, gap, missed)

        self.catalogue.write(lose)

    def _body(self, row: Row, finding: Finding) -> dict[str, str | int]:
        return {
            "vault": self.vault.uuid,
            "camera": row.camera,
            "path": row.path,
            "start_ms": row.start_ms,
            "end_ms": row.end_ms,
            "what": finding.what.value,
            "expected": finding.expected,
            "found": finding.found,
        }


def is_live(catalogue: Catalogue, row: Row) -> bool:
    """Tell whether a row is what it was when it was read: stored, and staying."""
    query = f"SELECT 1 FROM segment WHERE id = ? AND path = ? AND {LIVE}"  # noqa: S608 - constants
    return bool(catalogue.read(query, (row.id, row.path)))


def _is_held(catalogue: Catalogue, row: Row) -> bool:
    """Tell whether an active hold covers a segment, linked or not."""
    return bool(catalogue.read(f"SELECT 1 FROM segment WHERE id = ? AND {HELD}", (row.id,)))  # noqa: S608 - constants
