"""`pasu camera accept`: who exchanged a camera says so (D13)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent.cli.main import main
from agent.storage import likenesses
from tests.unit.config.samples import RIGHT
from tests.unit.keep.kept import Kept

if TYPE_CHECKING:
    from pathlib import Path

MARKS = {"server": "0123456789abcdef", "formats": ["0123456789abcdef"]}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    box = Kept(tmp_path, ("cam01",))
    likenesses.remember(box.root / "state", {"cam01": MARKS, "cam02": MARKS})
    return box


def accept(box: Kept, camera: str) -> int:
    return main(["camera", "accept", camera, "--by", "kim", "--config", str(box.root / "agent.toml")])


def test_d13_what_was_remembered_of_it_is_forgotten_and_the_ledger_says_by_whom(
    box: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accept(box, "cam01") == 0
    assert capsys.readouterr().out.startswith("cam01: the next device")
    assert likenesses.read(box.root / "state") == {"cam02": MARKS}
    with box.catalogue() as catalogue:
        rows = catalogue.read("SELECT body FROM ledger WHERE kind = 'camera.accepted'")
    assert [json.loads(row[0]) for row in rows] == [{"by": "kim", "camera": "cam01"}]


def test_a_camera_that_is_not_configured(box: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert accept(box, "cam09") == 2
    assert "CAMERA_UNKNOWN" in capsys.readouterr().err
    assert set(likenesses.read(box.root / "state")) == {"cam01", "cam02"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"cameras":[]}', '{"cameras":{},"magic":"other","version":1}', "[" * 100_000, "\udcff"],
)
def test_a_memory_that_cannot_be_read_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / likenesses.FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert likenesses.read(tmp_path) == {}
    likenesses.remember(tmp_path, {"cam01": MARKS})
    assert likenesses.read(tmp_path) == {"cam01": MARKS}


def test_marks_that_are_none_are_left_out(tmp_path: Path) -> None:
    cameras = {
        "a": MARKS,
        "b": {"formats": "x"},
        "c": [],
        "d": {"formats": [1]},
        "e": {"formats": [], "server": 1},
    }
    body = {"cameras": cameras, "magic": "pasu-cameras", "version": 1}
    (tmp_path / likenesses.FILE).write_text(json.dumps(body))
    assert likenesses.read(tmp_path) == {"a": MARKS}
