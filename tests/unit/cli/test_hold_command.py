"""`pasu hold`, on a real vault and a real catalogue: what it says in both languages, and its exit status."""

from __future__ import annotations

import json
import os

import pytest

from agent.cli import hold as command
from agent.cli.main import main
from agent.cli.times import iso_utc
from agent.clock import SystemClock
from agent.storage import progress
from agent.storage.files import Disk
from agent.storage.keep.hold import GROUNDS
from agent.storage.progress import Mark
from tests.unit.config.samples import RIGHT
from tests.unit.keep.kept import DAY_MS, Kept

WORDS = ["--ground", "investigation", "--authority", "Gangneung police 2026-1234"]


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def now_ms() -> int:
    return SystemClock().now().utc_ms // 1000 * 1000


@pytest.fixture
def box(tmp_path, now_ms) -> Kept:
    """Three segments of cam01 that began five minutes ago."""
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    box = Kept(tmp_path, ("cam01",))
    box.record("cam01", at_ms=now_ms - 300_000, count=3)
    return box


def place(
    box: Kept,
    now_ms: int,
    *more: str,
    review_days: int = 30,
    start_ms: int = -300_000,
    end_ms: int = -298_000,
):
    return [
        "hold", "place", "--config", str(box.root / "agent.toml"), "--utc", "--camera", "cam01",
        "--from", iso_utc(now_ms + start_ms), "--to", iso_utc(now_ms + end_ms),
        "--review", iso_utc(now_ms + review_days * DAY_MS), *WORDS, *more,
    ]  # fmt: skip


def listed(box: Kept, capsys, *more: str) -> list[dict]:
    assert main(["hold", "list", "--json", "--config", str(box.root / "agent.toml"), *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_span_is_held_listed_and_released(box, now_ms, capsys) -> None:
    assert main(place(box, now_ms, "--id", "h1")) == 0
    said = capsys.readouterr().out
    assert said.startswith("h1: held, 2 segments, ")
    assert "Nothing is recorded" not in said
    assert len(box.links()) == 2
    (one,) = listed(box, capsys)
    assert (one["hold"], one["segments"], one["review_due"], one["released_ms"]) == ("h1", 2, False, None)
    assert one["placed_by"]
    assert (
        main(["hold", "release", "h1", "--reason", "case closed", "--config", str(box.root / "agent.toml")])
        == 0
    )
    assert capsys.readouterr().out.startswith("h1: released (2 segments, ")
    assert listed(box, capsys) == []
    (one,) = listed(box, capsys, "--all")
    assert one["release_reason"] == "case closed"
    assert box.names("holds") == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("C.UTF-8", ["held, 3 segments", "Nothing is recorded of:", "is held as it comes", "review: "]),
        (
            "ko_KR.UTF-8",
            ["보존합니다. 조각 3개", "녹화가 없는 구간:", "녹화되는 대로 보존합니다", "재검토: "],
        ),
    ],
)
def test_what_is_not_there_and_what_is_to_come_is_said(
    box, now_ms, capsys, monkeypatch, language, words
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    assert main(place(box, now_ms, start_ms=-400_000, end_ms=400_000)) == 0
    said = capsys.readouterr().out
    for word in words:
        assert word in said
    assert main(["hold", "list", "--config", str(box.root / "agent.toml")]) == 0
    said = capsys.readouterr().out
    assert ("범죄의 수사와 공소" in said) == (language != "C.UTF-8")
    assert "Gangneung police" in said


@pytest.mark.parametrize(("behind_ms", "grows"), [(1000, True), (60_000, False)])
def test_what_is_being_recorded_is_no_hole(box, now_ms, capsys, behind_ms, grows) -> None:
    """A minute that is not yet stored is held when it is: saying that it was not recorded would be wrong."""
    reached = Mark(3, now_ms - behind_ms, 10)
    start_ms = now_ms - 297_000
    path = f"segments/cam01/x/{start_ms}.mp4.age"
    opened = progress.Open(
        str(box.vault.uuid), path, "cam01", "run", start_ms, "SYNCED", "h264", 320, 240, 90_000, True,
        reached, reached, None,
    )  # fmt: skip
    (box.state / "open").mkdir(exist_ok=True)
    progress.write(Disk(), box.state / "open" / "rtsp-0.json", [opened], sync=False)
    assert main(place(box, now_ms, end_ms=0)) == 0
    said = capsys.readouterr().out
    assert "Being recorded; held as soon as it is stored:" in said
    spans = said.split("Being recorded")[1].split("review:")[0]
    assert ("Nothing is recorded of:" in spans) != grows


def test_what_came_too_late_is_named_with_its_time(box, now_ms, capsys) -> None:
    """I2: the answer names the segments that came too late."""
    box.clock.utc_ms = now_ms
    box.condemn()
    box.finish(limit=1)
    assert main(place(box, now_ms, "--id", "h1")) == 0
    said = capsys.readouterr().out
    assert "Too late; these are erased already:" in said
    assert "1 of these were about to be erased" in said
    assert main(place(box, now_ms, "--id", "h1", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    (late,) = answer["too_late"]
    assert (late["camera"], late["start_ms"], late["erased_ms"]) == ("cam01", now_ms - 300_000, now_ms)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--ground", "curiosity"], "HOLD_GROUND"),
        (["--authority", " "], "HOLD_TEXT"),
        (["--camera", "cam77"], "CAMERA_UNKNOWN"),
        (["--camera", ","], "CAMERA_UNKNOWN"),
        (["--camera", "all,cam01"], "CAMERA_UNKNOWN"),
        (["--review", "tomorrow"], "TIME_UNREADABLE"),
        (["--id", "../x"], "HOLD_ID"),
        (["--to", "1999-01-01"], "SPAN_EMPTY"),
    ],
)
def test_an_order_that_cannot_stand_is_refused_with_status_two(box, now_ms, capsys, change, code) -> None:
    assert main([*place(box, now_ms), *change]) == 2
    said = capsys.readouterr().err
    assert f"[{code}]" in said
    if code == "HOLD_GROUND":
        assert all(ground in said for ground in GROUNDS)
    assert box.names("holds") == []


def test_a_span_must_be_given(box, capsys) -> None:
    args = ["--camera", "cam01", "--review", "2027-01-01", *WORDS]
    assert main(["hold", "place", *args, "--config", str(box.root / "agent.toml")]) == 2
    assert "required: --from, --to" in capsys.readouterr().err


def test_every_camera_can_be_held_at_once(box, now_ms, capsys) -> None:
    assert main([*place(box, now_ms), "--camera", "all"]) == 0
    (one,) = listed(box, capsys) if capsys.readouterr() else ()
    assert (one["cameras"], one["segments"]) == (["*"], 2)


def test_a_release_that_is_refused(box, capsys) -> None:
    args = ["--config", str(box.root / "agent.toml")]
    assert main(["hold", "release", "nothing", "--reason", "x", *args]) == 2
    assert "[HOLD_UNKNOWN]" in capsys.readouterr().err


def test_a_disk_that_is_away_is_status_three(box, now_ms, capsys) -> None:
    """Done in part: it holds, and the keeper does the rest."""
    away = box.root / "away"
    os.rename(box.vault_path, away)
    assert main(place(box, now_ms, "--id", "h1")) == command.PART_STATUS
    assert "Not finished yet" in capsys.readouterr().out
    assert box.condemn() == [3]
    os.rename(away, box.vault_path)
    assert main(place(box, now_ms, "--id", "h1")) == 0
    assert len(box.links()) == 2


def test_an_empty_list_says_so(box, capsys, monkeypatch) -> None:
    assert main(["hold", "list", "--config", str(box.root / "agent.toml")]) == 0
    assert capsys.readouterr().out == "Nothing is held.\n"


def test_long_answers_are_cut_and_the_whole_is_in_json(box, now_ms, capsys) -> None:
    for number in range(30):
        box.record("cam01", at_ms=now_ms - 200_000 + number * 5000)
    assert main(place(box, now_ms, "--id", "h1", end_ms=0)) == 0
    assert " more (all with --json)" in capsys.readouterr().out
