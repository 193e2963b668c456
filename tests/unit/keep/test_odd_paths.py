"""Rows whose path is no path, or no text: they are told, and everything else is kept in its time (B19)."""

from __future__ import annotations

import sqlite3

import pytest

from agent.storage.catalogue import FILE
from agent.storage.keep.check import Check, Selection
from agent.storage.keep.check_findings import Level
from tests.unit.keep.keeping import Kept30
from tests.unit.keep.kept import DAY_MS


@pytest.mark.parametrize(
    "path",
    [
        "CAST(X'ff2f' AS TEXT)",
        "X'ff2f'",
        "'../../x'",
        "CAST(X'7365676d656e74732f63616d312fff' AS TEXT)",
        "CAST(X'7365676d656e74732f63616d312f323032372d30312d31352fff' AS TEXT)",
    ],
)
def test_one_odd_path_stops_neither_retention_nor_the_check(tmp_path, path) -> None:
    box = Kept30(tmp_path)
    box.record(count=3)
    box.turn()
    db = sqlite3.connect(box.state / FILE)
    db.execute(f"UPDATE segment SET path = {path} WHERE id = 2")
    db.commit()
    db.close()
    for _ in range(32):
        box.pass_time(DAY_MS)
        box.turn()
    with box.catalogue() as catalogue:
        states = dict(catalogue.read("SELECT id, state FROM segment"))
        check = Check(catalogue, box.vaults, box.state, Selection("all", Level.SIZES), box.at, disk=box.disk)
        check.run(lambda: True)
    assert {states[1], states[3]} <= {"GONE"}
    assert not [each for each in box.conditions if each.startswith("keeper.trouble")]
    box.keeper.close()
