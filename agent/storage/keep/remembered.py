"""What is left of the time when `time.json` is lost or damaged: what the ledger says, and what the vaults do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent import trust
from agent.errors import StorageFault
from agent.storage.catalogue import Catalogue
from agent.storage.keep import witness
from agent.trust import ALWAYS_MS, Anchor, Belief, Observation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def remembered(state: Path, vaults: Sequence[Path]) -> Belief | None:
    """Make up for a lost or damaged file: the last trusted time in the ledger or in a vault is a time that has been.

    Without that, a box with thirty days on its disk would be taken for a new one, and believe any clock.
    """
    ledger_span, vault_ms = _from_ledger(state), witness.newest(vaults)
    if ledger_span is None and vault_ms is None:
        vault_ms = witness.earliest(vaults)
    nobody = trust.begin(None, Observation("", 0, vault_ms or 0, kernel_synced=False))
    if ledger_span is not None and ledger_span[1] >= (vault_ms or 0):
        first_ms, last_ms = ledger_span
        return replace(
            nobody, anchor=Anchor("", 0, last_ms, "ledger"), known_from_ms=max(first_ms, ALWAYS_MS)
        )
    return None if vault_ms is None else anchored(nobody, vault_ms)


def anchored(belief: Belief, vault_ms: int | None) -> Belief:
    """Remember what a vault remembers."""
    if vault_ms is None:
        return belief
    return replace(belief, anchor=Anchor("", 0, vault_ms, "vault"), known_from_ms=ALWAYS_MS)


def _from_ledger(state: Path) -> tuple[int, int] | None:
    """Return when the ledger's first and last trusted entries were written, UTC ms."""
    try:
        catalogue = Catalogue.open(state, read_only=True, busy_s=1.0)
    except StorageFault:
        return None
    query = "SELECT at_ms FROM ledger WHERE trust != 'UNTRUSTED' ORDER BY seq"
    try:
        ends = [catalogue.read(f"{query} {order} LIMIT 1") for order in ("ASC", "DESC")]
    except StorageFault:
        return None
    finally:
        catalogue.close()
    return (int(ends[0][0][0]), int(ends[1][0][0])) if all(ends) else None
