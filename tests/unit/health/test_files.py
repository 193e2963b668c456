"""Health files: written as a whole, read by others, silent when nobody writes them."""

from __future__ import annotations

import pytest

from agent.health import Raised, read_health, silences, silent_s, write_health


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


@pytest.mark.parametrize(
    ("health", "silent"),
    [
        (None, None),
        ({}, None),
        ({"boot_ms": "1"}, None),
        ({"boot_ms": 99_000}, 1.0),
        ({"boot_ms": 100_001}, None),
    ],
)
def test_how_long_a_process_is_silent(health, silent):
    assert silent_s(health, 100.0) == silent


def test_a_process_that_is_silent_for_a_minute_is_told(tmp_path):
    write_health(tmp_path, "record", {"boot_ms": 939_000})
    write_health(tmp_path, "keep", {"boot_ms": 941_000})
    processes = ("record", "keep", "uplink")
    assert silences(tmp_path, processes, 1000.0) == [
        Raised("process.silent", "record", "61 s"),
        Raised("process.silent", "uplink", "1000 s"),
    ]
    assert silences(tmp_path, processes, 1000.0, since_s=940.0) == []
