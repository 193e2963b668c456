"""Tell the catalogue of a vault that it does not know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.storage import notes
from agent.storage.aside import RECONCILE
from agent.storage.catalogue import set_meta
from agent.storage.salvage import UNRECONCILED
from agent.storage.vault import may_hold_anything

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault


def acquaint(catalogue: Catalogue, vaults: Sequence[Vault]) -> None:
    """Note vaults, or their new places. One that is new and holds something gets its rows later, and nothing is erased
    before that.

    Raises  StorageFault
    """
    before = catalogue.vaults()
    strange = [vault.uuid for vault in vaults if vault.uuid not in before and may_hold_anything(vault.root)]
    for vault in vaults:
        # First what is to be done with it: who is killed in between does it again.
        if vault.uuid in strange:
            _await_rows(catalogue, vault.uuid)
        if before.get(vault.uuid) != str(vault.root):
            catalogue.add_vault(vault.uuid, str(vault.root), vault.created_ms)


def _await_rows(catalogue: Catalogue, uuid: str) -> None:
    def write(db: sqlite3.Connection) -> None:
        set_meta(db, UNRECONCILED, json.dumps(sorted({*notes.names(catalogue, UNRECONCILED, db), uuid})))
        db.execute("INSERT INTO meta (key, value) VALUES (?, 'vault') ON CONFLICT DO NOTHING", (RECONCILE,))

    catalogue.write(write)
