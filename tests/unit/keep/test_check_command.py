"""`pasu check`: what it prints, in both languages, what it leaves, and its exit status."""

from __future__ import annotations

import json
import os

import pytest

from agent.cli import check as command
from agent.cli.bar import Bar
from agent.cli.main import main
from agent.storage.keep.check_findings import Done, Level, What
from tests.unit.config.samples import RIGHT
from tests.unit.keep.shelf import Shelf


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def shelf(tmp_path):
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    made = Shelf(tmp_path)
    yield made
    made.catalogue.close()


def check(shelf: Shelf, *more: str) -> int:
    return main(["check", "--config", str(shelf.root / "agent.toml"), "--utc", *more])


def test_all_is_whole(shelf, capsys) -> None:
    shelf.add(0)
    shelf.add(1)
    assert check(shelf) == 0
    assert "camera-days 1 / 1, 2 files\nAll is whole.\n" in capsys.readouterr().out
    assert check(shelf, "--level", "digests") == 0
    assert "2 files, 300.5 kB" in capsys.readouterr().out


def test_damage_is_named_and_the_status_says_so(shelf, capsys) -> None:
    """B7, B8, B13."""
    gone, cut, changed = shelf.add(0), shelf.add(1), shelf.add(2)
    shelf.at(gone).unlink()
    os.truncate(shelf.at(cut), 77)
    with shelf.at(changed).open("r+b") as file:
        file.seek(-16, os.SEEK_END)
        file.write(bytes(16))
    assert check(shelf, "--level", "digests") == 1
    said = capsys.readouterr().out
    lines = {
        path: next(line for line in said.splitlines() if path in line)
        for path in (gone.path, cut.path, changed.path)
    }
    assert "the file is gone" in lines[gone.path]
    assert "2027-01-15 08:00:00 - 08:01:00 Z" in lines[gone.path]
    assert f"77 instead of {cut.sealed_bytes} bytes" in lines[cut.path]
    assert "chunk 2 zeros" in lines[changed.path]
    assert "not whole: 3" in said
    assert "pasu check --repair" in said
    assert check(shelf, "--level", "digests", "--repair") == 0
    said = capsys.readouterr().out
    assert said.count("moved to quarantine") == 2
    assert "Put in order; what is left is whole." in said
    assert check(shelf, "--level", "digests") == 0


def test_it_speaks_korean(shelf, capsys, monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    shelf.at(shelf.add(0)).unlink()
    assert check(shelf) == 1
    said = capsys.readouterr().out
    assert "파일이 없음" in said
    assert "온전하지 않은 것: 1건" in said


@pytest.mark.parametrize(
    ("texts", "kinds"), [(command.WHATS, What), (command.DONES, Done), (command.LEVELS, Level)]
)
def test_every_word_exists_in_both_languages(texts, kinds) -> None:
    assert set(texts) == set(kinds)
    assert all(len(pair) == 2 for pair in texts.values())


def test_json(shelf, capsys) -> None:
    gone = shelf.add(0)
    shelf.at(gone).unlink()
    assert check(shelf, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["finished"], said["resumed"], said["still"], said["counts"]) == (
        True,
        False,
        1,
        {"missing": 1},
    )
    assert said["findings"][0]["path"] == gone.path
    assert said["findings"][0]["start_ms"] == gone.start_ms


def test_it_stops_in_time_and_goes_on(shelf, capsys, monkeypatch) -> None:
    for minute in range(3):
        shelf.add(minute)
    clock = iter(range(0, 10_000, 2))
    monkeypatch.setattr("agent.clock.SystemClock.monotonic", lambda _: next(clock))
    assert check(shelf, "--max-duration", "3s") == 0
    assert "The same command goes on here." in capsys.readouterr().out
    assert check(shelf, "--json") == 0
    assert json.loads(capsys.readouterr().out)["resumed"]
    assert check(shelf, "--max-duration", "3s", "--restart") == 0


def test_ctrl_c_leaves_the_place(shelf, capsys, monkeypatch) -> None:
    for camera in ("cam1", "cam2"):
        shelf.add(0, camera=camera)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Bar, "show", interrupt)
        assert check(shelf) == 130
    assert check(shelf, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["resumed"], said["days"], said["files"]) == (True, 2, 2)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--max-duration", "soon"), "LENGTH_UNREADABLE"),
        (("--max-duration", "0m"), "LENGTH_UNREADABLE"),
        (("--camera", "cam9"), "CAMERA_UNKNOWN"),
        (("--from", "10:00", "--to", "yesterday"), "TIME_UNREADABLE"),
        (("--level", "closely"), ""),
    ],
)
def test_what_is_mistyped(shelf, capsys, more, code) -> None:
    shelf.add(0)
    assert check(shelf, *more) == 2
    assert code in capsys.readouterr().err


def test_two_checks_at_once(shelf, capsys) -> None:
    shelf.add(0)
    with command._alone(shelf.state):
        assert check(shelf) == 2
    assert "CHECK_RUNNING" in capsys.readouterr().err
    assert check(shelf) == 0


def test_a_vault_that_is_not_there_is_not_judged(shelf, capsys) -> None:
    row = shelf.add(0)
    shelf.vault.root.rename(shelf.root / "unplugged")
    assert check(shelf, "--repair") == 1
    said = capsys.readouterr().out
    assert "vault not judged" in said
    assert "All is whole" not in said
    assert shelf.state_of(row)[0] == "COMMITTED"


def test_what_is_held_stays_and_is_told(shelf, capsys) -> None:
    held = shelf.add(0)
    shelf.hold(held)
    os.truncate(shelf.at(held), 4000)
    assert check(shelf, "--repair") == 1
    assert "held: left where it is" in capsys.readouterr().out


def test_a_long_list_is_cut(shelf, capsys) -> None:
    for minute in range(103):
        shelf.at(shelf.add(minute, size=10)).unlink()
    assert check(shelf) == 1
    assert "... and 3 more" in capsys.readouterr().out
