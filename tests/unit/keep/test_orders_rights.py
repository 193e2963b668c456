"""Who may take whose rights away: one stolen key silences nobody who could answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.keep.ordered import Ordered

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path) -> Ordered:
    return Ordered(tmp_path)


def test_table_2_12_one_stolen_key_neither_revokes_those_who_decide_nor_keeps_the_root_key_out(
    box: Ordered,
) -> None:
    """E6: it locks the box down, which is told; the others stay, and the root key's ring ends it."""
    kids = {
        name: box.city.signers[name].kid for name in ("officer 2", "department 1", "operator 1", "service 1")
    }
    assert box.ask("officer 1", "lockdown", {"on": True})["status"] == "done"
    for name in ("officer 2", "department 1"):
        assert box.ask("officer 1", "key.revoke", {"kid": kids[name]})["code"] == "COMMAND_SECOND"
    # One that is not known may be the next ring's.
    assert box.ask("officer 1", "key.revoke", {"kid": "0" * 16})["code"] == "COMMAND_SECOND"
    for name in ("operator 1", "service 1"):
        assert box.ask("officer 1", "key.revoke", {"kid": kids[name]})["status"] == "done"
    box.city.epoch, box.city.revoked = 2, [box.city.signers["officer 1"].kid]
    assert box.ask("department 1", "ring.replace", {"ring": box.city.ring()})["status"] == "done"
    assert box.ask("officer 1", "inspect")["code"] == "COMMAND_REVOKED"
    lift = box.send_two("officer 2", "department 1", "lockdown", {"on": False})
    assert box.answer(lift)["status"] == "done"


def test_a_key_for_one_camera_does_nothing_to_the_whole_box(box: Ordered) -> None:
    """E6."""
    for entry in box.city.entries:
        if entry["holder"] == "officer 2":
            entry["cameras"] = ["cam1"]
    box.city.enrol(box.state)
    box.restart()
    kid = box.city.signers["operator 1"].kid
    for command, arguments in (
        ("lockdown", {"on": True}),
        ("key.revoke", {"kid": kid}),
        ("command.cancel", {"id": "0" * 32}),
    ):
        assert box.ask("officer 2", command, arguments)["code"] == "COMMAND_CAMERA", command
    assert "lockdown.on" not in box.conditions
