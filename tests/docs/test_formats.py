"""docs/formats.md names all that is written: a second reader needs it."""

from __future__ import annotations

import re
import sqlite3

import pytest

from agent.cli.kinds import KINDS
from agent.storage import schema
from tests.docs.codes import ROOT

FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
TO_COME = ("config.applied",)  # with reloading


@pytest.fixture(scope="module")
def tables() -> dict[str, list[str]]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(db, 0)
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names}


def test_every_table_and_column_is_described(tables):
    assert len(tables) >= 10
    missing = [
        f"{table}.{column}"
        for table, columns in tables.items()
        for column in columns
        if f"`{table}`" not in FORMATS or f"`{column}`" not in FORMATS
    ]
    assert missing == []


def test_every_kind_of_fact_is_described():
    described = set(re.findall(r"`([a-z]+(?:\.[a-z_]+)?)`", FORMATS))
    assert [kind for kind in KINDS if kind not in described and not kind.startswith(TO_COME)] == []
