"""Erase segments, so that nobody can open them again. The procedure, cited by its numbers in code and tests:

    E1  plan (retention.py, pure)
    E2  one transaction, `condemn`: what no hold covers becomes CONDEMNED, with its cause
    E3  for a batch, under `locks.fate`, each row read again: overwrite the age header in place with zeros, if the
        link count is 1; the tail likewise
    E3a one syncfs for all of them. If it fails nothing of the batch goes on, and the next one syncs file by file
    E3b note in the catalogue which were shredded, so that a tombstone written after a crash says what was done
    E4  unlink, the tail first
    E5  fsync the directories
    E6  one transaction: GONE, and the fact `segment.erased` with what, when, why and who is responsible

Killed at any step and run again, each segment is as before or erased, with one tombstone. A segment that an active
hold covers and that still has its header is given its state back instead. Nothing is touched but a regular file that
is reached without following a link, has a segment's name, belongs to a condemned row, and begins like an age file or
has the stored size (B10, B14); what is otherwise is left, and told, and the row is buried as `replaced`. A batch stays
on the disk that it began on: the vault's root is kept open meanwhile, and before a row is buried whose file is
missing, the vault is asked again who it is.
Source: PIPA art. 21(1)-(2), Standard Guideline art. 42(2), Gangneung regulation art. 31(1); docs/threat-model.md says
what overwriting is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import StorageFault, TimeUntrusted
from agent.language import say
from agent.model import Trust
from agent.storage.catalogue import LIVE
from agent.storage.keep import hold_files
from agent.storage.keep.batch import Batch, Report
from agent.storage.keep.placing import nothing
from agent.storage.keep.reach import anchor, make_sure
from agent.storage.keep.stored import HELD
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault


def condemn(catalogue: Catalogue, plan: Sequence[tuple[int, str]], at: Instant) -> list[int]:
    """Do E2: mark segments for erasing, all in one transaction.

    plan     segments' ids, each with its cause (retention.Cause)
    Returns  the ids that are condemned now. One that a hold covers is left alone; so is one that is not stored any
             more, whose time is not settled, or whose row cannot be true. None while the catalogue is rebuilt
    Raises   TimeUntrusted; StorageFault, and then none is
    """
    return catalogue.write(lambda db: mark(db, plan, at))


def mark(db: sqlite3.Connection, plan: Sequence[tuple[int, str]], at: Instant) -> list[int]:
    """Do E2 inside the caller's transaction; as `condemn`."""
    require_time(at)
    if db.execute("SELECT 1 FROM meta WHERE key = 'reconcile'").fetchone():
        return []
    query = (
        "UPDATE segment SET state = 'CONDEMNED', cause = ?, condemned_ms = ?"  # noqa: S608 - constants
        f" WHERE id = ? AND {LIVE} AND kept_from_ms IS NOT NULL AND end_ms >= start_ms"
        " AND typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer' AND typeof(kept_from_ms) = 'integer'"
        f" AND NOT {HELD}"
    )
    return [
        segment for segment, cause in plan if db.execute(query, (str(cause), at.utc_ms, segment)).rowcount
    ]


def finish(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    responsible: str,
    *,
    limit: int,
    careful: bool = False,
    step: Callable[[str], None] = nothing,
) -> Report:
    """Do E3 to E6 for condemned segments, those that a crash left among them.

    vaults       by uuid, those that are there; the others' segments wait
    responsible  who answers for the erasure (box.operator)
    limit        how many segments at most; holds and others wait for the lock meanwhile
    careful      sync each file by itself, so that one which cannot be written does not hold up the others (B19)
    Raises       TimeUntrusted; StorageFault when the catalogue cannot be used. What disks say is in the report
    """
    require_time(at)
    report = Report()
    with fate(state):
        if catalogue.meta("reconcile") is not None:
            report.reconciling = True
            return report
        known = {row[0] for row in catalogue.read("SELECT id FROM hold")}
        for uuid, vault in vaults.items():
            left = limit - report.erased
            if left <= 0:
                report.more = True
                break
            try:
                with anchor(vault) as root:
                    strange = [name for name in hold_files.names(vault) if name not in known]
                    make_sure(vault, root)
                    if strange:
                        report.blocked += [(uuid, name) for name in strange]
                        continue
                    batch = Batch(
                        catalogue,
                        vault,
                        root,
                        report,
                        at=at,
                        responsible=responsible,
                        careful=careful,
                        step=step,
                    )
                    batch.run(left)
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                report.faults.append(fault)
    return report


def require_time(at: Instant) -> None:
    """Raise TimeUntrusted for a time by which nothing may be erased."""
    if at.trust == Trust.UNTRUSTED:
        raise TimeUntrusted(
            "TIME_UNTRUSTED",
            say("시각을 믿을 수 없어 지우지 않습니다", "the time cannot be relied on: nothing is erased"),
            hint=say("`pasu clock`으로 까닭을 보십시오", "`pasu clock` shows why, and how to confirm it"),
        )
