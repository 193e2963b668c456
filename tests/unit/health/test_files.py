"""Health files: written as a whole, read by others."""

from __future__ import annotations

import json
import os
import threading

import pytest

from agent.health import read_health, write_health
from agent.health.files import MOST_BYTES


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


def test_what_is_no_regular_file_is_neither_followed_nor_waited_for(tmp_path):
    """A pipe in place of keep.json stopped the parent of `pasu record` for good: it reads that file."""
    os.mkfifo(tmp_path / "keep.json")
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / "record.json").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "disks.json").mkdir()
    found: list[object] = []
    reading = threading.Thread(
        target=lambda: found.extend(read_health(tmp_path, name) for name in ("keep", "record", "disks")),
        daemon=True,
    )
    reading.start()
    reading.join(20)
    assert found == [None, None, None]


def test_no_more_is_read_than_a_health_file_has(tmp_path):
    (tmp_path / "keep.json").write_text(json.dumps({"filler": "x" * MOST_BYTES}))
    assert read_health(tmp_path, "keep") is None
