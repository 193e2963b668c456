"""One damaged text in `meta`, of which SQLite notices nothing, stops nobody (B19, B11)."""

from __future__ import annotations

import json

import pytest

from agent.storage import notes
from agent.storage.keep.settle import Boot, _read_boots
from tests.unit.keep.keeping import MONTH_MS, Kept30
from tests.unit.keep.kept import DAY_MS

MILD = ("foreign", "boots", "bridged", "rebuild", "erasing", "erasing_quarantined", "predecessors", "unread")
VITAL = ("unreconciled", "began")
WRONG = ('{"x', "[[1]]", '{"uuid-1": 1}', "7", '["a", 1, 2]')


@pytest.fixture
def box(tmp_path):
    box = Kept30(tmp_path)
    box.record(count=2)
    box.turn()
    box.keeper.close()
    yield box
    box.keeper.close()


def damage(box: Kept30, key: str, text: str) -> None:
    with box.catalogue() as catalogue:
        catalogue.set_meta(key, text)


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("key", MILD)
def test_recording_starts_and_what_is_due_is_erased(box, key, text) -> None:
    """B19: by the same catalogue."""
    (box.vault_path / "segments" / "notes.txt").write_text("mine")
    damage(box, key, text)
    if key == "rebuild":
        damage(box, "reconcile", "missing")
        damage(box, "unreconciled", '["uuid-1"]')
    assert box.prepare().began == ""
    box.keeper = box.start()
    box.pass_time(MONTH_MS + DAY_MS)
    box.turn(5)
    assert set(box.states().values()) == {"GONE"}
    assert not {code.partition(" ")[0] for code in box.conditions} & {"keeper.trouble", "ledger.unsigned"}
    assert [kind for kind, _ in box.facts() if kind == "vault.foreign_files"] == ["vault.foreign_files"]
    with box.catalogue() as catalogue:
        assert catalogue.meta("reconcile") is None


@pytest.mark.parametrize("text", ['{"x', "7", '{"at_ms": "1", "trust": "SYNCED", "cameras": []}', "[3]"])
@pytest.mark.parametrize("key", VITAL)
@pytest.mark.parametrize("by", ["start", "keeper"])
def test_which_vaults_wait_is_too_much_to_lose(box, key, text, by) -> None:
    """B11: the catalogue is moved aside, and rows come back from the disks."""
    damage(box, "reconcile", "missing")
    damage(box, "unreconciled", '["uuid-1"]')
    damage(box, key, text)
    box.keeper = box.start()
    if by == "keeper":
        box.turn(3)
        assert box.prepare().began == ""
    else:
        assert box.prepare().began == "damaged"
        box.turn(3)
    assert [place.name[-8:] for place in (box.state / "aside").iterdir()] == ["-damaged"]
    assert list(box.states().values()) == ["COMMITTED"] * 2
    assert "catalogue.unavailable" not in box.conditions
    box.pass_time(MONTH_MS + DAY_MS)
    box.turn(3)
    assert set(box.states().values()) == {"GONE"}


def test_rows_behind_a_damaged_boot_are_of_no_boot() -> None:
    """B19: of another one's doubt they must not be."""
    boots = [["b3", 9, 2], ["b2", "x", 1], ["b1", 1, 0]]
    assert _read_boots(json.dumps(boots)) == [Boot("b3", 9, 2)]
    assert _read_boots(json.dumps([{}])) == []


def test_a_number_is_a_number() -> None:
    """B19: what counts something."""
    assert notes.number("17") == 17
    assert [notes.number(text) for text in (None, "", "-1", "1x", "\u0661", "9" * 19)] == [0] * 6
