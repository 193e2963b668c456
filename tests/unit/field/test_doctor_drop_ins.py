"""A drop-in of somebody's own may keep recording from starting, or hand it other log-ins: the doctor says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.field.doctor import drop_ins
from agent.field.doctor.check import State
from agent.field.doctor.registry import CHECKS


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


def test_table_2_12_a_vault_that_reporting_could_read_is_told_and_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's unit knows of the vaults below /var/lib/pasu; one that is elsewhere wants a drop-in."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    known = [Path(each) for each in ("/var/lib/pasu/vault", "/var/lib/pasu/vault2", "/mnt/a/b", "/srv/x")]
    strange = [Path(each) for each in ("/data/vault", "/var/lib/pasu/state/x", "/var/lib/pasu2", "/disks/b")]
    assert drop_ins.in_sight(known + strange, [tmp_path]) == strange
    (said, *_) = drop_ins.judge_sight(strange)
    assert (said.state, said.subject) == (State.FAILURE, "/data/vault")
    assert "TemporaryFileSystem=/data/vault:ro" in said.measured
    (tmp_path / "vaults.conf").write_text(
        "[Service]\nTemporaryFileSystem=/data/vault:ro\nInaccessiblePaths=-/disks -/nowhere\nNice=3\n"
    )
    (tmp_path / "gone.conf").symlink_to(tmp_path / "nowhere")
    assert drop_ins.in_sight(strange, [tmp_path, tmp_path / "none"]) == strange[1:3]
    assert drop_ins.judge_sight([]) == []
