"""What the centre believes before it destroys a copy. Row: I8."""

from __future__ import annotations

import json
import sqlite3

import pytest

from agent.centre.taken_back import is_taken_back
from agent.centre.witness import Witness
from agent.errors import StorageFault

EXPORT = "0123456789abcdef" * 2


@pytest.fixture
def witness(tmp_path):
    made = Witness(tmp_path / "witness.db")
    made.commit()
    made.close()
    return tmp_path / "witness.db"


def tell(path, *, box="b", verified=1, kind="export.cancelled", export=EXPORT):
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM fact")
        db.execute("DELETE FROM ledger")
        db.execute(
            "INSERT INTO ledger (id, box, ledger, first_ms, verified) VALUES (1, ?, 'l', 0, ?)",
            (box, verified),
        )
        body = json.dumps({"export": export})
        db.execute("INSERT INTO fact VALUES (1, 1, 0, 0, 'synced', ?, ?)", (kind, body))


def test_i8_what_the_box_signed_counts(witness):
    """I8."""
    tell(witness)
    assert is_taken_back(witness, "b", EXPORT)


@pytest.mark.parametrize(
    "other",
    [
        {"verified": 0},
        {"verified": 10**6},
        {"box": "c"},
        {"kind": "export.received"},
        {"kind": "export.expired"},  # by who kept the receipts back
        {"export": "f" * 32},
    ],
    ids=str,
)
def test_i8_what_no_checkpoint_covers_or_says_something_else_does_not(witness, other):
    """I8: one entry that nobody signed for is a word on the wire."""
    tell(witness, **other)
    assert not is_taken_back(witness, "b", EXPORT)


def test_i8_where_nobody_watched_nothing_is_destroyed(tmp_path):
    """I8."""
    assert not is_taken_back(tmp_path / "witness.db", "b", EXPORT)
    (tmp_path / "witness.db").write_bytes(b"no database, and long enough to be looked at" * 100)
    with pytest.raises(StorageFault) as raised:
        is_taken_back(tmp_path / "witness.db", "b", EXPORT)
    assert raised.value.code == "WITNESS_UNUSABLE"
