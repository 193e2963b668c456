"""Health files: written as a whole, read by others."""

from __future__ import annotations

import pytest

from agent.health import read_health, write_health


def test_what_was_written_is_read(tmp_path):
    assert read_health(tmp_path, "keep") is None
    write_health(tmp_path, "keep", {"process": "keep", "site": "경포"})
    assert read_health(tmp_path, "keep") == {"process": "keep", "site": "경포"}
    assert [path.name for path in tmp_path.iterdir()] == ["keep.json"]


@pytest.mark.parametrize("text", ["[]", "{", "", "\ufffd", "[" * 200_000])
def test_what_is_no_health_file_says_nothing(tmp_path, text):
    (tmp_path / "keep.json").write_text(text)
    assert read_health(tmp_path, "keep") is None


def test_no_link_is_written_through(tmp_path):
    """`pasu disks` runs as root, in a directory of another user."""
    victim = tmp_path / "passwd"
    victim.write_text("root")
    for name in ("disks.json", ".disks.json.part"):
        (tmp_path / name).symlink_to(victim)
    write_health(tmp_path, "disks", {})
    assert victim.read_text() == "root"
    assert not (tmp_path / "disks.json").is_symlink()
