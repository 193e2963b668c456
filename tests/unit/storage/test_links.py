"""Links in a folder that others may write too: which are followed, and what is read by a name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent import links
from agent.errors import ConfigError, StorageFault
from agent.storage.links import content, followed

SOMEBODY = 54321
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A name in one folder, and a file in another."""
    for name in ("etc", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "real").write_text("x")
    return tmp_path / "etc" / "name", tmp_path / "data" / "real"


def test_what_is_no_link_leads_to_itself(places: tuple[Path, Path]) -> None:
    name, file = places
    assert links.led_to(name) == name  # nothing is there
    assert links.led_to(file) == followed(file) == file


def test_ones_own_links_are_followed_one_after_the_other(places: tuple[Path, Path]) -> None:
    name, file = places
    second = name.with_name("second")
    second.symlink_to(Path("..", "data", "real"))
    name.symlink_to(second)
    assert links.led_to(name) == file
    file.unlink()
    assert followed(name) == file  # where it will be


def test_a_loop_leads_nowhere(places: tuple[Path, Path]) -> None:
    name, _ = places
    name.symlink_to(name)
    assert links.led_to(name) is None
    with pytest.raises(ConfigError) as caught:
        followed(name)
    assert caught.value.code == "CONFIG_LINK"


@root
def test_a_link_that_somebody_else_made_is_not_followed(places: tuple[Path, Path]) -> None:
    name, file = places
    name.symlink_to(file)
    os.chown(name, SOMEBODY, SOMEBODY, follow_symlinks=False)
    assert links.led_to(name) is None


@root
@pytest.mark.parametrize("exchanged", ["owner", "group", "others", "sticky"])
def test_nor_one_through_a_folder_that_somebody_else_can_exchange(
    places: tuple[Path, Path], exchanged: str
) -> None:
    name, file = places
    inner = file.parent / "inner"
    inner.mkdir()
    name.symlink_to(inner / "file")
    assert links.led_to(name) == inner / "file"
    if exchanged == "owner":
        os.chown(file.parent, SOMEBODY, -1)
    else:
        file.parent.chmod({"group": 0o770, "others": 0o707, "sticky": 0o1777}[exchanged])
    if exchanged == "sticky":  # where each may rename what is its own
        assert links.led_to(name) == inner / "file"
        os.chown(inner, SOMEBODY, -1)
    assert links.led_to(name) is None


def test_a_way_that_is_not_there_is_not_followed(places: tuple[Path, Path]) -> None:
    name, file = places
    name.symlink_to(file.parent / "gone" / "deeper" / "file")
    assert links.led_to(name) is None


def test_a_file_is_read_with_whose_it_is(places: tuple[Path, Path]) -> None:
    _, file = places
    file.chmod(0o600)
    data, status = content(file)
    assert (data, status.st_uid, links.is_ours(status)) == (b"x", os.geteuid(), True)
    file.chmod(0o620)
    assert not links.is_ours(content(file)[1])


@root
def test_a_file_of_somebody_else_is_not_ours(places: tuple[Path, Path]) -> None:
    _, file = places
    os.chown(file, SOMEBODY, -1)
    assert not links.is_ours(content(file)[1])


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "nothing", "large"])
def test_what_is_no_small_file_is_not_read_nor_waited_for(places: tuple[Path, Path], kind: str) -> None:
    name, file = places
    if kind == "link":
        name.symlink_to(file)
    elif kind == "pipe":
        os.mkfifo(name)
    elif kind == "folder":
        name.mkdir()
    elif kind == "large":
        name.write_bytes(bytes(links.LIMIT_BYTES + 1))
    with pytest.raises(StorageFault):
        content(name)
    with pytest.raises(OSError):
        links.read(name)
