"""Let go of old entries of the ledger when the state's disk is short. Their hashes stay, and so do all proofs.

What stays, whatever the shortage: entries that the centre has not acknowledged; entries about rights and access for
five years; those that prove a held segment; the newest block. Oldest blocks go first, whole ones only.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.model import UTC_DAY_MS, Fact, Trust
from agent.storage import ledger, notes
from agent.storage.catalogue import set_meta
from agent.storage.proof import tree
from agent.storage.proof.leaf import entry_hash

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

ACKNOWLEDGED = "acknowledged_seq"
"""Key in `meta`: up to here the centre has said that it has the entries; absent, nothing goes."""
RIGHTS = (
    "box.",
    "command.",
    "config.",
    "deletion.",
    "disaster.",
    "export.",
    "hold.",
    "key.",
    "ledger.",
    "lockdown.",
    "page.",
    "pass.",
    "rights.",
    "stream.",
    "tamper.",
    "update.",
)
RIGHTS_KINDS = ("clock.confirmed", "retention.confirmed", "retention.signed")
"""What tells who could do what, and did: kept five years (issue 3; duties, records of access)."""
FIVE_YEARS_MS = (5 * 365 + 2) * UTC_DAY_MS  # as many leap days as five years can have
MOST_BLOCKS = 64  # 16,384 entries: a transaction of about a tenth of a second

_NEXT = "ledger_next_prune"


SHORT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was let go: entries, of how many blocks."""

    entries: int
    blocks: int


def short(state: Path) -> int | None:
    """Return how many bytes the state's disk has free, if that is little; None while it is enough, or not known.

    Little is less than 256 MiB or 5 % of it, whichever is more, but not of a small disk: there, a fifth.
    """
    try:
        found = os.statvfs(state)
    except OSError:
        return None
    whole, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    if not whole:  # some network file systems count no blocks
        return None
    return free if free < min(max(SHORT_BYTES, whole // 20), whole // 5) else None


def about_rights(kind: str) -> bool:
    """Tell whether an entry is about rights or access."""
    return kind.startswith(RIGHTS) or kind in RIGHTS_KINDS


def prune(catalogue: Catalogue, at: Instant, *, most: int = MOST_BLOCKS) -> Pruned:
    """Let go of the oldest entries that may go. For the keeper, and only when the state's disk is short.

    most     blocks that are looked at; call again until nothing more goes
    Returns  what went; a fact `ledger.pruned` says the same
    Raises   StorageFault
    """
    acknowledged = notes.number(catalogue.meta(ACKNOWLEDGED))
    first = notes.number(catalogue.meta(_NEXT))
    # Never the newest block: the next seq counts from the newest entry.
    end = min(acknowledged, tree.size(catalogue) - 1) // tree.BLOCK
    end = min(end, tree.blocks(catalogue))
    if end <= 0:
        return Pruned(0, 0)
    if first >= end:
        first = 0  # from the beginning again: what was kept for five years may go by now
    held = _held(catalogue)
    gone: list[tuple[int]] = []
    kept: list[tuple[bytes, int]] = []
    for block in range(first, min(first + most, end)):
        leaves, seqs = _block(catalogue, block, at, held)
        if seqs:
            kept.append((leaves, block))
            gone += [(seq,) for seq in seqs]
    after = min(first + most, end)

    def change(db: sqlite3.Connection) -> None:
        db.executemany("UPDATE tree SET leaves = ? WHERE block = ?", kept)
        db.executemany("DELETE FROM ledger WHERE seq = ?", gone)
        set_meta(db, _NEXT, str(after))
        if gone:
            body = {"from_seq": gone[0][0], "to_seq": gone[-1][0], "entries": len(gone)}
            ledger.append(db, ledger.line(Fact("ledger.pruned", at, body)))

    catalogue.write(change)
    return Pruned(len(gone), len(kept))


def _block(catalogue: Catalogue, block: int, at: Instant, held: frozenset[str]) -> tuple[bytes, list[int]]:
    """Return a block's leaf hashes, and the entries of it that may go; none of one that is not as it was signed."""
    rows = tree.entries(catalogue, block * tree.BLOCK, tree.BLOCK)
    going = [row[0] for row in rows if _may_go(row, at, held)]
    if not going or tree.wrong_blocks(catalogue, block, 1):
        # What was changed is evidence.
        return b"", []
    leaves = tree.kept_leaves(catalogue, block) or [entry_hash(*row) for row in rows]
    return b"".join(leaves), going


def _may_go(row: tuple[int, int, str, str, str], at: Instant, held: frozenset[str]) -> bool:
    _, at_ms, trust, kind, body = row
    if about_rights(kind):
        # A time that was not to be relied on, then or now, makes nothing five years old.
        sure = Trust.UNTRUSTED not in (trust, at.trust)
        return sure and at.utc_ms - at_ms > FIVE_YEARS_MS
    if kind.startswith("segment.") and held:
        return json.loads(body).get("path") not in held
    return True


def _held(catalogue: Catalogue) -> frozenset[str]:
    """Return the paths of segments that a hold keeps: their entries prove what they are."""
    rows = catalogue.read(
        "SELECT DISTINCT segment.path FROM hold_segment JOIN segment ON segment.id = hold_segment.segment"
    )
    return frozenset(row[0] for row in rows)
