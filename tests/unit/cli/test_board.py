"""The centre's table, as a person sees it on 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from agent.centre.standing import RECORDING, RESTING, Seen, Standing
from agent.centre.watched import Row
from agent.cli import board
from agent.uplink.payloads import CAMERA_STATES


def drawn(row: Row) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(board.table("강릉시", [row]))
    return out.getvalue()


@pytest.fixture
def here() -> Standing:
    standing = Standing("gn-0007", "경포해변", 0.0)
    standing.heard_s = standing.told_s = 1.0
    standing.online = True
    return standing


@pytest.mark.parametrize(("tenths", "shown"), [(304, "30 d"), (3659, "365 d"), (3660, "> 1 year")])
def test_how_long_the_disk_lasts_is_no_more_than_is_known(here: Standing, tenths: int, shown: str) -> None:
    here.vaults = [(290, tenths), (300, 90_000)]
    text = drawn(Row(here, 5, 5, 1, 0))
    assert shown in text
    assert "29%" in text


def test_what_is_wrong_is_never_cut_off(here: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    here.conditions = [Seen("camera.below_floor", "cam04", 0)]
    text = drawn(Row(here, 5, 7, 1, 0))
    assert "…" not in text
    assert "(cam04)" in text
    assert "5/7" in text
    assert "원장 확인됨: 5건" in text


@pytest.mark.parametrize(
    "marks", ["\\[/x]", "[/x]", "[/]", "\\\\[/x]", "\\", "x\\\\\\", "[bold", "[@click=f]y[/]", "\\[/]\\"]
)
def test_e9_nothing_that_a_box_says_is_read_as_a_mark(here: Standing, marks: str) -> None:
    here.site = f"site{marks}"
    here.conditions = [Seen(f"code{marks}", f"subject{marks}", 0)]
    text = drawn(Row(here, 5, 5, 1, 0))
    assert "boxes answering: 1/1" in text
    for word in ("site", "code", "subject"):
        assert f"{word}{marks}" in text


def test_cameras_that_rest_are_told_apart_from_those_that_are_lost(here: Standing) -> None:
    here.cameras = [(4, 150, 2000), (7, 150, 2000), (5, 0, 0)]
    row = Row(here, 5, 5, 1, 0)
    text = drawn(row)
    assert "1/3" in text
    assert "off hours 1" in text
    assert (board.as_json(row)["recording"], board.as_json(row)["resting"]) == (1, 1)
    here.cameras = [(4, 150, 2000)]
    assert "off hours" not in drawn(row)
    assert CAMERA_STATES[RECORDING] == "recording"
    assert CAMERA_STATES[RESTING] == "resting"
