"""A drop-in of somebody's own may keep recording from starting, or hand it other log-ins: the doctor says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.field.doctor import drop_ins
from agent.field.doctor.check import State
from agent.field.doctor.registry import CHECKS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "line",
    [
        "LoadCredential=",
        "LoadCredentialEncrypted=secrets.toml:/etc/pasu/secrets.sealed",
        " SetCredential = secrets.toml:x",
    ],
)
def test_one_that_sets_a_credential_is_found_by_what_it_says(tmp_path: Path, line: str) -> None:
    (tmp_path / "any name.conf").write_text(f"[Service]\n{line}\n")
    (tmp_path / "network.conf").write_text(
        "# LoadCredential= is not here\n[Service]\nIPAddressAllow=192.0.2.0/24\n"
    )
    (tmp_path / "note.txt").write_text(line)
    (tmp_path / "folder.conf").mkdir()
    found = drop_ins.handing([tmp_path / "none", tmp_path])
    assert found == [tmp_path / "any name.conf"]
    (said,) = drop_ins.judge(found)
    assert (said.state, said.subject) == (State.WARNING, str(found[0]))
    assert said.check in CHECKS


def test_a_box_as_the_package_makes_it_is_told_nothing(tmp_path: Path) -> None:
    assert drop_ins.judge(drop_ins.handing([tmp_path])) == []
