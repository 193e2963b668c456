"""The keeper follows agent.toml: longer at once, shorter only when it has stood for a minute."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent.config import load
from agent.keeping import LOOK_S, SHORTER_S, Following
from tests.unit.record.test_adopt import Box

if TYPE_CHECKING:
    from pathlib import Path


class Desk:
    """A configuration on disk, and the keeper's look at it."""

    def __init__(self, folder: Path) -> None:
        self.box = Box(folder)
        self.now_s = 1000.0
        self.days(20)
        self.following = Following(load(self.box.file), self.now_s)

    def days(self, days: int) -> None:
        self.box.more = f"retention_days = {days}"
        self.box.write()

    def wait(self, seconds: float) -> list[int]:
        """Look as often as the keeper does; return the retentions that were taken up."""
        found = []
        for _ in range(round(seconds / LOOK_S)):
            self.now_s += LOOK_S
            config = self.following.look(self.now_s)
            if config is not None:
                found.append(config.storage.retention_days)
            assert self.following.look(self.now_s) is None
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_nothing_new(desk: Desk) -> None:
    assert desk.wait(200) == []


def test_longer_is_followed_at_once(desk: Desk) -> None:
    desk.days(30)
    assert desk.wait(3 * LOOK_S) == [30]
    assert desk.wait(200) == []


def test_shorter_must_have_stood_for_a_minute(desk: Desk) -> None:
    desk.days(3)
    assert desk.wait(SHORTER_S - LOOK_S) == []
    assert desk.wait(4 * LOOK_S) == [3]


def test_a_slip_that_is_mended_within_the_minute_does_nothing(desk: Desk) -> None:
    desk.days(2)
    assert desk.wait(SHORTER_S - 2 * LOOK_S) == []
    desk.days(20)
    assert desk.wait(200) == []


def test_a_camera_that_is_kept_for_less_counts_as_shorter(desk: Desk) -> None:
    text = desk.box.file.read_text()
    part = desk.box.file.with_suffix(".part")
    part.write_text(text + "retention_days = 5\n")
    os.replace(part, desk.box.file)
    assert desk.wait(SHORTER_S - LOOK_S) == []
    assert desk.wait(4 * LOOK_S) == [20]


def test_what_is_wrong_or_gone_is_not_followed(desk: Desk) -> None:
    desk.days(500)
    assert desk.wait(200) == []
    desk.box.file.unlink()
    assert desk.wait(200) == []
    desk.days(30)
    assert desk.wait(3 * LOOK_S) == [30]


def test_what_says_nothing_about_keeping_is_left_to_the_recorder(desk: Desk) -> None:
    desk.box.more += "\nsegment_s = 30"
    desk.box.keys = (*desk.box.keys[:1],)
    desk.box.write()
    assert desk.wait(200) == []


def test_a_page_that_comes_moves_or_goes_is_followed_at_once(desk: Desk) -> None:
    for page in ("page", "other", None):
        more = f'\n[page]\nlisten = "192.168.77.1"\nfolder = "{desk.box.file.parent / page}"' if page else ""
        desk.box.more = f"retention_days = 20{more}"
        desk.box.write()
        assert desk.wait(3 * LOOK_S) == [20]
        assert desk.wait(200) == []


def test_where_the_page_listens_is_nothing_to_the_keeper(desk: Desk) -> None:
    for address in ("192.168.77.1", "192.168.77.2"):
        desk.box.more = f'retention_days = 20\n[page]\nlisten = "{address}"'
        desk.box.write()
        followed = desk.wait(3 * LOOK_S)
    assert followed == []
