"""`pasu clock`: what it says, in both languages, and a technician's word."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time

import pytest

from agent import timefile, trust
from agent.cli import clock as module
from agent.cli.common import user
from agent.cli.main import main
from agent.clock import SystemSource
from agent.storage.keep.time import TimeKeeper, published, read_word
from tests.unit.cli.test_commands import RIGHT
from tests.unit.clocks import T0, FakeSource

DAY_MS = 86_400_000


@pytest.fixture
def box(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
def source(monkeypatch):
    """The machine's clocks are the test's, in every module that reads them."""
    fake = FakeSource()
    for name in ("boot_id", "boot_ms", "utc_ms", "kernel_synced"):
        monkeypatch.setattr(SystemSource, name, lambda _self, name=name: getattr(fake, name)())
    monkeypatch.setattr(module, "TAKEN_S", 0.0)
    return fake


def clock(box, *words: str) -> int:
    return main(["clock", *words, "--config", str(box / "agent.toml")])


def keep(box, source) -> TimeKeeper:
    keeper = TimeKeeper(box / "state", source=source)
    keeper.observe()
    return keeper


def test_it_says_why_nothing_is_erased_and_what_to_do(box, source, capsys):
    keep(box, source)
    assert clock(box) == 0
    said = capsys.readouterr().out
    assert re.search(r"clock +2027-01-15 17:00:00\+09:00 \(2027-01-15 08:00:00Z\)", said)
    assert "not trusted: records on, erases nothing [UNTRUSTED]" in said
    assert "nobody has said what time it is" in said
    assert "pasu clock confirm" in said
    assert "not published" not in said


def test_it_speaks_korean_and_aligns(box, source, capsys, monkeypatch):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    source.synced = True
    keep(box, source)
    assert clock(box) == 0
    said = capsys.readouterr().out
    assert "신뢰할 수 있음, 동기됨 [SYNCED]" in said
    assert "시각 동기" in said
    assert "다음 할 일" not in said, "there is nothing to do"


def test_while_the_clock_is_wrong_it_shows_what_labels_follow(box, source, capsys):
    source.synced = True
    keeper = keep(box, source)
    source.step(40 * DAY_MS)
    source.run(1000)
    keeper.observe()
    clock(box)
    said = capsys.readouterr().out
    assert re.search(r"clock +2027-02-24 17:00:01", said)
    assert re.search(r"labels +2027-01-15 17:00:01", said)
    assert "somebody has set the clock" in said


def test_holdover_says_how_long_it_lasts(box, source, capsys):
    source.synced = True
    keeper = keep(box, source)
    source.synced = False
    source.run(DAY_MS)
    keeper.observe()
    clock(box)
    assert re.search(r"trusted for +96:00:00", capsys.readouterr().out)


def test_it_says_when_nobody_watches(box, source, capsys):
    source.synced = True
    clock(box)
    assert "has not published this yet" in capsys.readouterr().out
    assert not (box / "state" / timefile.FILE).exists(), "it only looks"


def test_json(box, source, capsys):
    keep(box, source)
    assert clock(box, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "trust": "UNTRUSTED",
        "reason": "unsynced",
        "now_ms": T0,
        "clock_ms": T0,
        "since_ms": T0 - 20_000,
        "kernel_synced": False,
        "last_known_ms": None,
        "last_known_source": None,
        "trusted_for_ms": 0,
        "confirmed": False,
        "published": True,
    }


@pytest.mark.parametrize("answer", ["y", "YES", " 네 ", "예"])
def test_a_technician_confirms(box, source, capsys, monkeypatch, answer):
    keeper = keep(box, source)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer + "\n"))
    assert clock(box, "confirm", "--by", "김  기사") == 0
    said = capsys.readouterr().out
    assert re.search(r"Korea +2027-01-15 17:00:00\+09:00\nUTC +2027-01-15 08:00:00Z", said)
    assert "Confirmed by 김 기사." in said
    assert "does not seem to run" in said
    word = read_word(box / "state")
    assert word == trust.Word("김 기사", "boot-1", 20_000, T0)
    source.run(1000)
    assert keeper.observe().trust == "HOLDOVER"


@pytest.mark.parametrize("answer", ["", "n\n", "\n", "yep\n"])
def test_anything_else_is_no(box, source, capsys, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert clock(box, "confirm") == 1
    assert "Not confirmed." in capsys.readouterr().out
    assert read_word(box / "state") is None


def test_a_keeper_takes_the_word(box, source, capsys, monkeypatch):
    monkeypatch.setattr(module, "TAKEN_S", 60.0)
    keeper = keep(box, source)
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            source.run(1000)
            keeper.observe()
            time.sleep(0.01)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        assert clock(box, "confirm", "--yes", "--by", "kim") == 0
    finally:
        done.set()
        watching.join()
    assert "The time is trusted now." in capsys.readouterr().out
    known = published(box / "state")
    assert known is not None
    assert known.state == "HOLDOVER"


def test_where_one_word_is_not_enough_it_says_what_else(box, source, capsys):
    source.synced = True
    keep(box, source)
    source.reboot(40 * DAY_MS)
    keep(box, source)
    assert clock(box, "confirm", "--yes") == 0
    said = capsys.readouterr().out
    assert "for more than three days" in said
    assert "once a time service" in said


def test_nobody_confirms_1970(box, source, capsys):
    source.utc = 5000
    assert clock(box, "confirm", "--yes") == 1
    said = capsys.readouterr().err
    assert "[TIME_IMPLAUSIBLE]" in said
    assert "1970-01-01 09:00:05+09:00" in said
    assert read_word(box / "state") is None


def test_the_configuration_may_be_named_before_or_behind(box, source):
    file = str(box / "agent.toml")
    assert main(["clock", "--config", file, "confirm", "--yes"]) == 0
    assert main(["clock", "confirm", "--yes", "--config", file]) == 0


def test_a_state_that_is_not_there_is_said(box, source, capsys):
    (box / "state").rmdir()
    assert clock(box) == 1
    assert "[DISK_MISSING]" in capsys.readouterr().err


def test_who_confirms_is_who_is_logged_in(monkeypatch):
    import getpass

    monkeypatch.setenv("SUDO_USER", "park")
    assert user() == "park"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setattr(getpass, "getuser", lambda: "lee")
    assert user() == "lee"
    monkeypatch.setattr(getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("no name")))
    assert user() == str(os.getuid())
