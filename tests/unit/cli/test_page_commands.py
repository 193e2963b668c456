"""`pasu status` and `pasu pass`: what a technician types, in both languages; and `pasu run` with a page."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import pytest
from rich.cells import cell_len
from rich.console import Console

from agent.cli.main import main
from agent.cli.status_view import draw
from agent.health import CONDITIONS, Raised
from agent.model import Fact, Instant, Trust
from agent.overview import of_box
from agent.storage import passbook
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from tests.page_lab import CAMERAS, ROOT, ask, enter, site, wait_for


@pytest.fixture
def box(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    made = site(tmp_path)
    yield made
    monkeypatch.undo()
    time.tzset()


def typed(box, capsys, *words, status=0):
    assert main([*words, "--config", str(box.config.file)]) == status
    return capsys.readouterr().out


def enrolled(box):
    (box.config.storage.state / "uplink").mkdir()
    for name in ("ca.pem", "box.pem", "box.key"):
        (box.config.storage.state / "uplink" / name).touch()


@pytest.mark.parametrize("locale", ["ko_KR.UTF-8", "C.UTF-8"])
def test_status_has_all_of_it_on_one_screen(box, capsys, monkeypatch, locale):
    monkeypatch.setenv("LC_ALL", locale)
    enrolled(box)
    box.is_well(Raised("box.hot", detail="cpu: 90 C"))
    passbook.make(box.folder, Disk())
    visit = {
        "at_ms": 1_790_000_000_000,
        "what": "visited",
        "name": "김정비",
        "company": "한빛보안",
        "why": "",
        "count": 1,
    }
    passbook.write_seen(box.folder, [visit], Disk())
    (box.run / "page").mkdir()
    print_ = ":".join(["AB"] * 32)
    box.write("page", fingerprint=print_, serving={"192.168.77.1:8443": 1, "10.77.1.2:9464": 0})
    text = typed(box, capsys, "status", "--once")
    hot = CONDITIONS["box.hot"]
    korean = locale.startswith("ko")
    assert (hot.what_korean if korean else hot.what_english) in text
    assert (hot.next_korean if korean else hot.next_english) in text
    assert ("지난 24시간" if korean else "last 24 hours") in text
    for part in (
        *(name for _, name in CAMERAS),
        "97.0 %",
        "▒",
        "38.4",
        "MQTT 5",
        print_,
        "192.168.77.1:8443",
        "김정비 · 한빛보안",
    ):
        assert part in text, part
    assert "10.77.1.2:9464" not in text  # not served
    assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("columns", [80, 96])
def test_status_fits_a_serial_console_with_the_cameras_names_whole(box, monkeypatch, columns):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    box.is_well()
    screen = Console(width=columns, file=io.StringIO(), record=True)
    screen.print(draw(box.config, of_box(box.config), screen.width))
    text = screen.export_text()
    for part in (*(name for _, name in CAMERAS), "Mbit/s", "97.0 %", "▒"):
        assert part in text, part
    assert all(cell_len(line) <= columns for line in text.splitlines())


def test_status_of_a_box_that_says_nothing_says_so(box, capsys):
    text = typed(box, capsys, "status")
    assert CONDITIONS["uplink.not_enrolled"].what_english in text
    assert "not served" in text


def test_status_takes_no_dead_process_at_its_last_word(box, capsys):
    enrolled(box)
    box.is_well()
    box.falls_silent("record", "keep")
    text = typed(box, capsys, "status", "--once")
    assert CONDITIONS["process.silent"].what_english in text
    assert " recording " not in text
    assert "97.0 %" not in text
    assert "38.4" not in text


def test_status_for_programs_is_what_health_reads(box, capsys):
    enrolled(box)
    box.is_well()
    told, known = (json.loads(typed(box, capsys, word, "--json")) for word in ("status", "health"))
    assert told["processes"] == known["processes"]
    assert told["visits"] == []
    assert told["processes"]["keep"]["day"]["cameras"]["cam01"]["slots"] == "9" * 288
    assert "rtsp" not in json.dumps(told)


def test_a_pass_is_issued_listed_and_revoked(box, capsys):
    said = json.loads(
        typed(
            box, capsys, "pass", "issue", "--for", "김정비", "--company", "한빛보안", "--hours", "4", "--json"
        )
    )
    assert said["address"] == f"https://127.0.0.1:{box.config.page.port}/enter"
    assert said["fingerprint"] == ""
    text = typed(box, capsys, "pass", "list")
    assert "김정비" in text
    assert "good" in text
    assert said["code"] not in text
    assert "revoked" in typed(box, capsys, "pass", "revoke", said["id"], "--reason", "work is done")
    (listed,) = json.loads(typed(box, capsys, "pass", "list", "--json"))
    assert listed["standing"] == "revoked"
    assert "digest" not in listed
    catalogue = Catalogue.open(box.config.storage.state)
    try:
        facts = [(entry.kind, json.loads(entry.body)) for entry in catalogue.ledger()]
    finally:
        catalogue.close()
    assert [kind for kind, _ in facts] == ["pass.issued", "pass.revoked"]
    assert facts[0][1]["name"] == "김정비"
    assert said["code"] not in str(facts)


def test_the_list_says_of_a_pass_what_the_door_says(box, capsys):
    """One of an earlier boot is over while the time is not trusted, and one that was used opens nothing."""
    box.issue()
    (one,) = passbook.listed(box.folder)
    Catalogue.prepare(box.config.storage.state).close()

    def standing():
        (listed,) = json.loads(typed(box, capsys, "pass", "list", "--json"))
        return listed["standing"]

    assert standing() == "good", "of this boot: no clock is needed"
    passbook.put(box.folder, replace(one, boot="an earlier one"), Disk())
    assert standing() == "expired", "keep does not speak"
    for trust, expected in (("SYNCED", "good"), ("HOLDOVER", "good"), ("UNTRUSTED", "expired")):
        box.write("keep", trust=trust)
        assert standing() == expected
    passbook.put(box.folder, one, Disk())
    catalogue = Catalogue.open(box.config.storage.state)
    at = Instant(one.issued_ms, Trust.SYNCED)
    catalogue.add_fact(Fact("page.refused", at, {"id": one.id}))
    assert standing() == "good"
    catalogue.add_fact(Fact("page.visited", at, {"id": one.id}))
    catalogue.close()
    assert standing() == "used"
    assert " used " in typed(box, capsys, "pass", "list")
    passbook.put(box.folder, replace(one, until_boot_ms=0), Disk())
    assert standing() == "expired"
    passbook.put(box.folder, replace(one, revoked_ms=one.issued_ms), Disk())
    assert standing() == "revoked"


def test_passes_are_listed_also_where_the_ledger_is_lost(box, capsys):
    box.issue()
    (box.config.storage.state / "catalogue.db").unlink()
    (listed,) = json.loads(typed(box, capsys, "pass", "list", "--json"))
    assert listed["standing"] == "good"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_qr_code_says_the_address_and_behind_it_the_code(box, capsys, tmp_path, kind):
    file = tmp_path / f"pass.{kind}"
    said = json.loads(
        typed(
            box, capsys, "pass", "issue", "--for", "Kim", "--company", "Hanbit", "--qr", str(file), "--json"
        )
    )
    assert file.stat().st_mode & 0o777 == 0o600
    if kind == "svg":
        assert b"<svg" in file.read_bytes()
        return
    text, *_ = cv2.QRCodeDetector().detectAndDecode(cv2.imread(str(file)))
    assert text == f"{said['address']}#{said['code']}"


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_the_qr_code_is_written_into_no_file_that_others_can_read_and_then_no_pass_is_issued(
    box, capsys, tmp_path, there
):
    """H11: who has the picture can enter."""
    file, other = tmp_path / "pass.png", tmp_path / "other"
    if there == "file":
        file.write_bytes(b"mine")
    elif there == "link":
        file.symlink_to(other)
    else:
        file = tmp_path / "none" / "pass.png"
    words = ["pass", "issue", "--for", "Kim", "--company", "Hanbit", "--qr", str(file), "--config"]
    assert main([*words, str(box.config.file)]) == 2
    assert "PASS_FILE" in capsys.readouterr().err
    assert not other.exists()
    assert there != "file" or file.read_bytes() == b"mine"
    assert passbook.listed(box.config.page.folder) == []


def test_where_no_pass_is_issued_no_file_is_left(box, capsys, tmp_path):
    words = ["pass", "issue", "--for", "", "--company", "x", "--qr", str(tmp_path / "a.png"), "--config"]
    assert main([*words, str(box.config.file)]) == 2
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(("words", "status", "code"), [
    (("issue", "--for", "", "--company", "x"), 2, "PASS_TEXT"),
    (("issue", "--for", "x", "--company", "x", "--hours", "500"), 2, "PASS_HOURS"),
    (("issue", "--for", "x", "--company", "x", "--qr", "pass.exe"), 2, "PASS_FILE"),
    (("revoke", "ffffffff", "--reason", "x"), 2, "PASS_UNKNOWN"),
])  # fmt: skip
def test_what_is_mistyped_is_named(box, capsys, words, status, code):
    assert main(["pass", *words, "--config", str(box.config.file)]) == status
    assert code in capsys.readouterr().err


def test_without_a_page_there_are_no_passes(box, capsys):
    text = box.config.file.read_text()
    box.config.file.write_text(text[: text.index("[page]")])
    assert main(["pass", "list", "--config", str(box.config.file)]) == 78
    assert "PAGE_NOT_CONFIGURED" in capsys.readouterr().err


def test_run_starts_the_page_too_and_a_visit_reaches_the_ledger(box, tmp_path):
    text = box.config.file.read_text().replace("10.0.0.", "127.0.0.")
    box.config.file.write_text(text[: text.index("[uplink]")] + text[text.index("[page]") :])
    command = [sys.executable, "-P", "-m", "agent.cli.main", "run", "--config", box.config.file]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        wait_for(lambda: (box.run / "page" / "page.json").exists() and (box.run / "keep.json").exists(), 120)
        told = lambda: json.loads((box.run / "page" / "page.json").read_text())["serving"]  # noqa: E731
        wait_for(lambda: 1 in told().values())
        _, code = box.issue()
        cookie = enter(box, code).cookie
        wait_for(lambda: "visited · 127.0.0.1" in ask(box, Cookie=cookie, Accept_Language="en").text, 120)
        wait_for(lambda: "<rect" in ask(box, Cookie=cookie, Accept_Language="en").text, 120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    catalogue = Catalogue.open(box.config.storage.state)
    try:
        assert "page.visited" in [entry.kind for entry in catalogue.ledger(limit=10_000)]
    finally:
        catalogue.close()
