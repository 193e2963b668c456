"""Somebody's own files in the vault (B14): they stay where they are, and the ledger says once that they are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.model import Fact, Instant
from agent.storage import ledger, notes
from agent.storage.catalogue import set_meta

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault

TOLD = "foreign"
"""Key in `meta`: JSON, by vault the names that were told."""
_FIRST = 10
_TOLD = 100
"""Who has told of so many tells of no more: whoever looks there sees them."""


def tell(catalogue: Catalogue, vault: Vault, paths: Sequence[Path], now: Instant) -> None:
    """Write the fact `vault.foreign_files`, if there are any that it was not written for.

    Raises  StorageFault
    """
    every = notes.mild(catalogue.meta(TOLD), {})
    told = [each for each in notes.mild(json.dumps(every.get(vault.uuid)), []) if isinstance(each, str)]
    inside = (path.relative_to(vault.root).as_posix() for path in paths)
    new = sorted({path.encode(errors="replace").decode() for path in inside} - set(told))
    if not new or len(told) >= _TOLD:
        return
    every[vault.uuid] = told + new[: _TOLD - len(told)]
    body = {"vault": vault.uuid, "count": len(new), "first": new[:_FIRST]}
    line = ledger.line(Fact("vault.foreign_files", now, body))

    def write(db: sqlite3.Connection) -> None:
        ledger.append(db, line)
        set_meta(db, TOLD, json.dumps(every))

    catalogue.write(write)
