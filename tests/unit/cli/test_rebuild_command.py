"""`pasu rebuild`, in the terminal and for programs: done, watched while the keeper does it, and nothing to do."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agent.cli.main import main
from agent.storage.catalogue import FILE
from agent.storage.locks import only_keeper
from tests.lab import Site
from tests.unit.keep.test_rebuild import fill, go_on
from tests.unit.storage.box import Box

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path, monkeypatch) -> tuple[Site, Box]:
    """A box that has recorded two segments a minute ago, and lost its catalogue."""
    made = Site(tmp_path, {"cam1": "rtsp://127.0.0.1:1/a"})
    box = Box(tmp_path, ("cam1",))
    place = box.vault_path / "VAULT"
    identity = json.loads(place.read_text())
    place.write_text(json.dumps(identity | {"box": "lab-1", "created_ms": 0}))
    begun_ms = time.time_ns() // 1_000_000 - 60_000
    fill(box, [begun_ms, begun_ms + 4000], ("cam1",))
    lose(box.state)
    return made, box


def lose(state: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        (state / (FILE + ending)).unlink(missing_ok=True)


def run(site: Site, *words: str) -> int:
    return main(["rebuild", *words, "--config", str(site.config)])


@pytest.mark.parametrize("lang", ["C.UTF-8", "ko_KR.UTF-8"])
def test_what_was_done_is_said_in_the_readers_language(site, capsys, monkeypatch, lang) -> None:
    monkeypatch.setenv("LANG", lang)
    monkeypatch.delenv("LC_ALL", raising=False)
    lab, box = site
    # Here the box's time was never confirmed, so the end waits for that.
    assert run(lab) == 3
    out = capsys.readouterr().out
    for text in ("2 files", "gone", "pasu clock") if lang == "C.UTF-8" else ("2개", "없어졌", "pasu clock"):
        assert text in out
    assert len(box.rows()) == 2
    go_on(box)
    assert run(lab) == 0
    assert ("Nothing" if lang == "C.UTF-8" else "없습니다") in capsys.readouterr().out


def test_programs_get_json(site, capsys) -> None:
    lab, box = site
    assert run(lab, "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["needed"], told["finished"], told["phase"], told["reason"]) == (
        True,
        False,
        "time",
        "missing",
    )
    assert (told["files"], told["named"], told["imported"]) == (2, 2, 0)
    assert told["cameras"]["cam1"]["segments"] == 2
    go_on(box)
    run(lab, "--json")
    assert json.loads(capsys.readouterr().out) == {"needed": False}


def test_art_14_a_drill_on_a_copy_of_a_disk_finds_every_committed_segment(tmp_path, capsys) -> None:
    """Regulation art. 14, S 2-12 3, L Safety 11: one command, on the copy alone; nothing of the box is touched."""
    (tmp_path / "box").mkdir()
    lab = Site(tmp_path / "box", {"cam1": "rtsp://127.0.0.1:1/a"})
    box = Box(tmp_path / "box", ("cam1",))
    place = box.vault_path / "VAULT"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"box": "lab-1", "created_ms": 0}))
    begun_ms = time.time_ns() // 1_000_000 - 600_000
    fill(box, [begun_ms + 4000 * number for number in range(12)], ("cam1",))
    committed = {(row.path, row.sealed_bytes) for row in box.rows()}
    before = {path: path.read_bytes() for path in lab.folder.rglob("*") if path.is_file()}
    drill = tmp_path / "drill"
    (drill / "state").mkdir(parents=True)
    shutil.copytree(box.vault_path, drill / "vault")
    config = drill / "agent.toml"
    config.write_text(lab.config.read_text().replace(str(lab.folder), str(drill)))
    # It ends, or waits for somebody to say that this machine's time is right; all rows are there then.
    assert main(["rebuild", "--json", "--config", str(config)]) in (0, 3)
    told = json.loads(capsys.readouterr().out)
    assert told["cameras"]["cam1"]["segments"] == len(committed) == 12
    with closing(sqlite3.connect(drill / "state" / FILE)) as db:
        assert set(db.execute("SELECT path, sealed_bytes FROM segment")) == committed
    assert {path: path.read_bytes() for path in before} == before


def test_while_a_keeper_does_it_it_is_watched(site, capsys) -> None:
    lab, box = site
    run(lab, "--json")
    lock = only_keeper(box.state)
    try:
        keeper = threading.Timer(0.3, lambda: go_on(box))
        keeper.start()
        capsys.readouterr()
        assert run(lab, "--json") == 0
        keeper.join()
    finally:
        os.close(lock)
    assert json.loads(capsys.readouterr().out)["finished"]


def test_on_a_box_that_never_recorded_there_is_nothing_to_make_again(tmp_path, capsys) -> None:
    lab = Site(tmp_path, {"cam1": "rtsp://127.0.0.1:1/a"})
    assert run(lab) == 1
    assert "CATALOGUE_MISSING" in capsys.readouterr().err
    assert not (tmp_path / "state" / FILE).exists()
    assert not (tmp_path / "vault").exists()
