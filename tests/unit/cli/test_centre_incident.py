"""Act art. 34: what the centre can say of a box within the 72 hours, without the box."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from agent.centre import founding
from agent.centre.witness import FILE, Witness
from agent.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from agent.centre.city import City

BOX = "gn-0007"
DAY_MS = 86_400_000
NOW_MS = 1_789_999_980_000
NOTE = "gn-0007/ledger/a\n2\nroot\n\n— box sig\n"


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    plan = founding.Plan("gangneung", "강릉시", "127.0.0.1:1", "127.0.0.1:2")
    return founding.found(tmp_path / "city", plan, datetime.now(UTC), None)


def keep(city: City, *rows: tuple[int, int, int, str, dict[str, Any]], head: bool = True) -> None:
    """Keep entries: number, the box's time, when it came, kind, body; the first two are proven."""
    witness = Witness(city.at(FILE))
    witness._write(
        "INSERT INTO ledger (id, box, ledger, first_ms, verified) VALUES (1, ?, 'a', 0, 2)", (BOX,)
    )
    for seq, at_ms, came_ms, kind, body in rows:
        values = (seq, at_ms, came_ms, kind, json.dumps(body, ensure_ascii=False))
        witness._write("INSERT INTO fact VALUES (1, ?, ?, ?, 'SYNCED', ?, ?)", values)
    if head:
        witness._write("INSERT INTO checkpoint VALUES (1, 2, ?, ?, ?)", (NOW_MS, NOW_MS, NOTE))
    witness.alarm(BOX, "edited", {"seq": 2}, NOW_MS - DAY_MS)
    witness.alarm(BOX, "silent", {}, NOW_MS - 30 * DAY_MS)
    witness.alarm("gn-0008", "silent", {}, NOW_MS - DAY_MS)
    witness.commit()
    witness.close()


def ask(city: City, folder: Path, *words: str) -> int:
    day = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    span = ["--from", f"{datetime.fromtimestamp(NOW_MS / 1000 - 7 * 86_400, UTC):%Y-%m-%dT%H:%M}"]
    span += ["--to", f"{day:%Y-%m-%dT%H:%M}"]
    return main(["centre", "incident", BOX, "-o", str(folder), *span, *words, "--city", str(city.folder)])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_act_34_what_is_known_of_a_box_is_gathered_without_the_box(
    city: City, tmp_path: Path, capsys
) -> None:
    lately, long_ago = NOW_MS - DAY_MS, NOW_MS - 40 * DAY_MS
    keep(
        city,
        (1, long_ago, long_ago, "key.recipients", {"recipients": ["age1x"]}),
        (2, lately, lately, "page.visited", {"name": "김정비", "source": "192.168.77.20"}),
        (3, 5_000, lately, "command.refused", {"code": "COMMAND_SIGNATURE"}),  # its clock was set back
        (4, lately, NOW_MS + DAY_MS, "stream.granted", {"camera": "cam01"}),  # it came later
        (5, long_ago, long_ago, "stream.granted", {"camera": "cam02"}),
    )
    folder = tmp_path / "incident"
    assert ask(city, folder) == 0
    said = capsys.readouterr().out
    entries = lines(folder / "entries.jsonl")
    assert [each["seq"] for each in entries] == [2, 3, 4]
    assert [each["proven"] for each in entries] == [True, False, False]
    assert (entries[0]["received_ms"], entries[0]["body"]["name"]) == (lately, "김정비")
    assert [each["alarm"] for each in lines(folder / "alarms.jsonl")] == ["edited"]
    assert (folder / "checkpoint.txt").read_text(encoding="utf-8") == NOTE
    found = json.loads((folder / "incident.json").read_text(encoding="utf-8"))
    assert found["counts"] == {"command.refused": 1, "page.visited": 1, "stream.granted": 1}
    assert found["ledgers"] == [{"ledger": "a", "entries": 3, "proven": 1}]
    # What the box was is told however long ago it was written.
    assert found["state"]["key.recipients"]["body"] == {"recipients": ["age1x"]}
    assert (found["checkpoint"], found["alarms"]) == (True, 1)
    for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    names = {"alarms.jsonl", "checkpoint.txt", "entries.jsonl", "incident.json", "SHA256SUMS"}
    assert {path.name for path in folder.iterdir()} == names
    assert folder.stat().st_mode & 0o077 == 0
    assert "72 hours end at" in said


def test_nothing_is_written_over_and_without_a_head_it_is_said(city: City, tmp_path: Path, capsys) -> None:
    keep(city, (1, NOW_MS - 1, NOW_MS - 1, "box.started", {}), head=False)
    folder = tmp_path / "incident"
    assert ask(city, folder) == 0
    assert "none" in capsys.readouterr().out
    assert not (folder / "checkpoint.txt").exists()
    before = (folder / "incident.json").read_bytes()
    assert ask(city, folder) == 78
    assert "OUTPUT_EXISTS" in capsys.readouterr().err
    assert (folder / "incident.json").read_bytes() == before
    assert ask(city, tmp_path / "no" / "such") != 0
    assert "OUTPUT_UNWRITABLE" in capsys.readouterr().err


def test_a_box_of_which_nothing_is_kept_gets_no_folder(city: City, tmp_path: Path, capsys) -> None:
    keep(city)
    assert ask(city, tmp_path / "incident") == 3
    assert "pasu centre boxes" in capsys.readouterr().err
    assert not (tmp_path / "incident").exists()
