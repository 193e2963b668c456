"""`pasu export list`, and `pasu centre receive`: what they say in both languages, and their exit status."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest

from agent.cli import centre_receive
from agent.cli.main import main
from agent.clock import SystemClock
from agent.consignment import Receipt, Where
from agent.model import UTC_DAY_MS, Span, utc_day
from tests.lab import wait_for
from tests.unit.config.samples import RIGHT
from tests.unit.keep.handing import ID, Handing, wanted


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def box(tmp_path) -> Handing:
    now_ms = SystemClock().now().utc_ms // 1000 * 1000
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    made = Handing(tmp_path, ("cam01",))
    made.clock.utc_ms = now_ms
    made.record("cam01", at_ms=now_ms - 300_000, count=3)
    span = Span(now_ms - 300_000, now_ms - 297_000)
    made.request(wanted(camera="cam01", span=span, due=utc_day(now_ms), to="https://10.77.0.1:8443"))
    made.hand()
    return made


def run(box: Handing, capsys, *more: str) -> tuple[int, str]:
    status = main(["export", "list", "--config", str(box.root / "agent.toml"), *more])
    return status, capsys.readouterr().out


def test_an_export_under_way_is_listed_with_what_the_law_asks(box, capsys, monkeypatch) -> None:
    box.say(Where.SENDING, bytes=7, gone=7)
    status, text = run(box, capsys)
    assert status == 0
    for word in (
        ID,
        "cam01",
        "being sent",
        "7 / ",
        "강릉경찰서 2026-1234",
        "investigation",
        "김OO",
        "to be destroyed by",
    ):
        assert word in text
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert "파기 예정일" in run(box, capsys)[1]


def test_for_programs_it_is_json(box, capsys) -> None:
    status, text = run(box, capsys, "--json")
    (line,) = text.splitlines()
    body = json.loads(line)
    assert (status, body["state"], body["overdue"], body["over"]) == (0, "bundled", False, "https")
    assert "10.77" not in text


def test_one_that_is_over_its_day_stays_listed_until_it_is_destroyed(box, capsys) -> None:
    """Art. 31(3): an export without a closing record is in the list after its due date."""
    box.received()
    box.hand()
    with box.catalogue() as catalogue:
        day = utc_day(box.clock.utc_ms - 2 * UTC_DAY_MS)
        catalogue.write(lambda db: db.execute("UPDATE export SET due = ?", (day,)))
    status, text = run(box, capsys)
    assert status == 3
    assert "overdue" in text
    box.destroyed()
    assert run(box, capsys) == (0, "No export is open.\n")
    status, text = run(box, capsys, "--all")
    assert (status, "(destroyed)" in text) == (0, True)


def test_what_became_of_an_export_is_said_at_the_centre(capsys, monkeypatch) -> None:
    centre_receive.show("gn-0007", Receipt(ID, Where.DAMAGED, problems=("segments/a",)))
    text = capsys.readouterr().err
    assert f"gn-0007/{ID}: received, and something is not right" in text
    assert "segments/a" in text
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    centre_receive.show("gn-0007", Receipt(ID, Where.RECALLED))
    assert "회수" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["", ":1", "a:b", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(tmp_path, capsys, address) -> None:
    city(tmp_path)
    assert main(["centre", "receive", "--listen", address, "--city", str(tmp_path / "city")]) == 2
    assert "CANNOT_LISTEN" in capsys.readouterr().err


def city(root) -> None:
    words = ["centre", "init", str(root / "city"), "--city", "gangneung", "--broker", "127.0.0.1:8883"]
    if not (root / "city").exists():
        assert main([*words, *NO_PASSPHRASE]) == 0


NO_PASSPHRASE: list[str] = []


def test_it_listens_and_ends_in_order(tmp_path) -> None:
    city(tmp_path)
    words = [sys.executable, "-m", "agent.cli.main", "centre", "receive", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*words, "--city", str(tmp_path / "city")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.rstrip(".\n").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10):
            pass
        process.send_signal(signal.SIGTERM)
        wait_for("its end", lambda: process.poll() is not None, 30.0)
        assert process.returncode == 0
