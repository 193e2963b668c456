"""Whether a box's own ledger says that an export was taken back: what the centre asks before it destroys a copy.

A recall on the wire is worth no more than whoever can write there. What a verified checkpoint covers the box signed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say

if TYPE_CHECKING:
    from pathlib import Path

CANCELLED = "export.cancelled"
"""The only end that takes a whole bundle back. One that lapsed at the box may have done so because somebody on the way
kept the receipts to himself: what came whole is then the only copy.
"""
LATELY = 200_000
"""So many entries are looked through, the newest verified ones: a week of 16 cameras. A recall comes with its fact."""
_QUERY = (
    "SELECT 1 FROM fact JOIN ledger ON ledger.id = fact.ledger WHERE ledger.box = ? AND fact.kind = ?"
    " AND fact.seq <= ledger.verified AND fact.seq > ledger.verified - ? AND json_extract(fact.body, '$.export') = ?"
    " LIMIT 1"
)


def is_taken_back(witness: Path, box: str, export: str) -> bool:
    """Tell whether the ledger says so, as far as it is verified; false where nobody watched.

    witness  the file of agent.centre.witness
    Raises   StorageFault WITNESS_UNUSABLE
    """
    if not witness.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{witness.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)) as db:
            return db.execute(_QUERY, (box, CANCELLED, LATELY, export)).fetchone() is not None
    except sqlite3.Error as error:
        raise StorageFault(
            "WITNESS_UNUSABLE",
            say("원장 증인의 파일을 쓸 수 없습니다", "the witness's file cannot be used"),
            hint=say("`pasu centre watch`를 확인하십시오", "see to `pasu centre watch`"),
            path=str(witness),
            reason=str(error),
        ) from error
