"""`pasu report`, on a small box: what is on each sheet, and what never is."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import html
import io
import re
import time

import pytest

from agent.cli.main import main
from agent.field.doctor.registry import CHECKS
from agent.field.reports import gather, rows
from agent.model import Fact, Instant, Span, Trust
from agent.storage import ledger
from agent.storage.catalogue import Catalogue
from agent.storage.proof import checkpoints
from tests.reports_lab import EVIL, FORMULA, PASSWORD, REPORTS, doctor, examination, past, speak


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    return past(tmp_path_factory.mktemp("reports"))


def report(box, tmp_path, name, *more, out="made.html"):
    """Make a report; return its exit status and its text."""
    file = tmp_path / out
    speak(box)
    status = main(["report", name, *more, "--config", str(box.config.file), "--out", str(file)])
    return status, file.read_text(encoding="utf-8") if file.exists() else ""


def head(box):
    with contextlib.closing(Catalogue.open(box.config.storage.state, read_only=True)) as catalogue:
        return checkpoints.newest(catalogue)


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("name", REPORTS)
def test_each_sheet_stands_alone_names_its_checkpoint_and_tells_no_secret(box, tmp_path, name, language):
    """H11: no password and no address is on a sheet that is handed on; what attacks a browser is a text."""
    more = ["--doctor", str(doctor(tmp_path))] if name == "commissioning" else []
    status, text = report(box, tmp_path, name, "--lang", language, *more)
    assert status == 0
    signed = head(box)
    for word in (f"{signed.size}</b>", signed.head.root.hex(), signed.head.origin, "pasu/gn-0007+"):
        assert word in text
    assert {"ko": "이 박스의 키로 확인함", "en": "verified with this box"}[language] in text
    assert f'<html lang="{language}">' in text
    for never in ("<script", "<img", "<link", "src=", "http://", "url(", "10.0.0.", "192.168.", PASSWORD):
        assert never not in text
    # A name that attacks is a name: it is shown, escaped.
    assert html.escape(EVIL, quote=False) in text
    assert not re.search(r"\son\w+=", text)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_sheet_is_in_one_language(box, tmp_path, language):
    """What the programme itself says on an English sheet holds no Hangul, but for the site's own names."""
    _, text = report(box, tmp_path, "selfcheck", "--lang", language)
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert len(heads) == 10
    assert all(bool(re.search("[가-힣]", each)) == (language == "ko") for each in heads)


def test_the_commissioning_report_shows_doctor_and_graphs_and_no_pictures(box, tmp_path):
    file = doctor(tmp_path)
    status, text = report(box, tmp_path, "commissioning", "--doctor", str(file), "--days", "4")
    assert status == 0
    assert hashlib.sha256(file.read_bytes().rstrip()).hexdigest() in text
    assert "*** refused, ***" in text
    assert CHECKS["disk.sync"].title in text  # in the language of the report
    assert "what doctor said" not in text
    assert re.search(r"as entry \d+ of the ledger says: .*, kim", text)
    assert text.count("<svg") == 3 * 4 + 1
    assert 'class="none"' in text  # the hole of cam02
    assert "gaps: camera sent nothing 1" in text
    assert "38.4 days at this rate" in text
    status, text = report(box, tmp_path, "commissioning", out="without.html")
    assert status == 0
    assert "No result of `pasu doctor` was given" in text


@pytest.mark.parametrize(("more", "then"), [([], "browser"), (["--csv"], "spreadsheet")])
def test_one_is_told_which_file_was_made_and_what_opens_it(box, tmp_path, capsys, more, then):
    out = f"made-for-a-{then}"
    report(box, tmp_path, "ledger", *more, out=out)
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("written:")]
    assert str(tmp_path / out) in line
    assert then in line


def test_a_result_of_doctor_that_somebody_bettered_is_told(box, tmp_path):
    """The counts are as before: what was wrong became well, and what was well wrong."""
    better = examination().replace('"failure"', '"x"').replace('"ok"', '"failure"').replace('"x"', '"ok"')
    status, text = report(box, tmp_path, "commissioning", "--doctor", str(doctor(tmp_path, better)))
    assert status == 0
    assert "The ledger has no examination with this result" in text
    assert "of the ledger says" not in text


def test_what_is_no_result_of_doctor_is_refused_and_leaves_no_file(box, tmp_path, capsys):
    for number, content in enumerate(
        (b"{}", b"[1]", b"\xff", b"[" * 100_000, b'{"box": "gn-0008", "checks": []}')
    ):
        (tmp_path / "bad.json").write_bytes(content)
        status, text = report(
            box, tmp_path, "commissioning", "--doctor", str(tmp_path / "bad.json"), out=f"{number}.html"
        )
        assert (status, text) == (78, "")
        assert "REPORT_DOCTOR" in capsys.readouterr().err
        assert not (tmp_path / f"{number}.html").exists()


def test_the_ledger_as_csv_is_the_statutory_form_and_can_be_proven(box, tmp_path, capsys):
    """Art. 45, annex form 3: twelve columns; UTF-8 with a byte order mark, and no cell is a formula."""
    status, _ = report(box, tmp_path, "ledger", "--csv", "--lang", "ko", out="ledger.csv")
    assert status == 0
    said = capsys.readouterr().err
    assert head(box).head.root.hex() in said
    data = (tmp_path / "ledger.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    first, *lines = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert first == [korean for korean, _ in rows.HEADS]
    assert all(len(line) == 12 for line in lines)
    assert [line[1] for line in lines] == ["제공", "제공", "이용", "열람", "파기", "이용", "이용"]
    assert lines[0][5] == "'" + FORMULA
    assert not [cell for line in lines for cell in line if cell[:1] in rows.FORMULA and cell]
    note = tmp_path / "ledger.csv.checkpoint"
    verify = ["ledger", "verify", "--checkpoint", str(note), "--config", str(box.config.file)]
    assert main(verify) == 0
    assert "No entry was changed" in capsys.readouterr().out


def test_h9_who_watched_how_often_stands_on_the_sheet(box, tmp_path):
    """H9: by camera, person and purpose; not in the statutory form, whose columns are fixed."""
    _, text = report(box, tmp_path, "ledger", "--lang", "en")
    _, _, counted = text.partition("Who watched which camera how often")
    (row,) = re.findall(r"<tr><td>(cam02.*?)</td></tr>", counted)
    assert row.split("</td><td>")[:7] == ["cam02", "김관제", "crime prevention", "1", "1", "10", "0"]
    _, text = report(box, tmp_path, "ledger", "--from", "2020-01-01", "--to", "2020-02-01", out="none.html")
    assert "Who watched" not in text


def test_files_that_were_erased_one_by_one(box, tmp_path):
    _, text = report(box, tmp_path, "ledger", "--each-file")
    assert "segments/cam01/old.mp4.age" in text
    _, text = report(box, tmp_path, "ledger", out="short.html")
    assert "segments/cam01/old.mp4.age" not in text


def test_what_is_not_signed_yet_is_marked(box, tmp_path):
    _, text = report(box, tmp_path, "ledger")
    assert re.findall(r"<td>(\d+) †", text) == [str(head(box).size + 1)]
    assert f"Entries after {head(box).size} are not signed yet" in text


def test_a_period_without_anything(box, tmp_path):
    _, text = report(box, tmp_path, "ledger", "--from", "2020-01-01", "--to", "2020-02-01")
    assert "Nothing in this period" in text
    assert "of what was before, nothing is here" in text


def test_that_entries_were_let_go_is_said(tmp_path):
    box = past(tmp_path)
    words = "are at the centre only"
    assert words not in report(box, tmp_path, "ledger")[1]
    with contextlib.closing(Catalogue.open(box.config.storage.state)) as catalogue:
        catalogue.add_fact(Fact("ledger.pruned", Instant(1_800_000_000_000, Trust.SYNCED), {}))
    assert words in report(box, tmp_path, "ledger", out="again.html")[1]


def test_a_notice_board_for_each_camera(box, tmp_path, capsys):
    """Art. 10: purpose and place, hours and range, responsible person and contact, contractor."""
    _, text = report(box, tmp_path, "notice", "--lang", "ko")
    assert text.count("<h1>") == 3
    for word in ("방범", "경포해변 3지점 (주차장 입구)", "24시간 연속", "놀이터 정문과 앞길 30 m", "강릉시 정보산업과",
                 "033-000-0000", "한빛보안, 033-111-2222"):  # fmt: skip
        assert word in text
    assert text.count("손으로 적거나") == 2  # cam01 and cam03 have no view
    _, text = report(box, tmp_path, "notice", "--camera", "cam03", out="one.html")
    assert text.count("<h1>") == 1
    status, _ = report(box, tmp_path, "notice", "--camera", "cam99", out="none.html")
    assert status == 2
    assert "CAMERA_UNKNOWN" in capsys.readouterr().err


def test_no_file_is_overwritten(box, tmp_path, capsys):
    (tmp_path / "made.html").write_text("mine", encoding="utf-8")
    assert report(box, tmp_path, "notice") == (2, "mine")
    assert "REPORT_FILE" in capsys.readouterr().err
    (tmp_path / "l.csv").write_text("mine", encoding="utf-8")
    assert report(box, tmp_path, "ledger", "--csv", out="l.csv") == (2, "mine")
    assert not (tmp_path / "l.csv.checkpoint").exists()


def test_to_standard_output(box, capsys):
    assert main(["report", "selfcheck", "--config", str(box.config.file)]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_a_report_changes_nothing_on_the_box(box, tmp_path):
    def seen():
        folder = box.config.storage.state
        return {
            str(each): hashlib.sha256(each.read_bytes()).hexdigest()
            for each in sorted(folder.rglob("*"))
            if each.is_file() and not each.name.endswith(("-shm", "-wal"))
        }

    before = seen()
    for name in REPORTS:
        assert report(box, tmp_path, name, out=f"{name}.html")[0] == 0
    assert seen() == before


def test_without_a_checkpoint_and_with_a_strange_key_it_says_so(tmp_path):
    (tmp_path / "a").mkdir()
    box = past(tmp_path / "a", signed=False)
    _, text = report(box, tmp_path, "selfcheck")
    assert "this report cannot be proven" in text
    assert text.count("†") == 0
    (tmp_path / "b").mkdir()
    box = past(tmp_path / "b")
    key = box.config.storage.state / "keys" / "box.vkey"
    key.unlink()
    _, text = report(box, tmp_path, "selfcheck", out="none.html")
    assert "the box has no public key" in text


def test_times_of_a_box_outside_korea_are_marked_on_every_line(box, tmp_path):
    for name, marked in (("Asia/Seoul", False), ("UTC", True)):
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("TZ", name)
            time.tzset()
            _, text = report(box, tmp_path, "ledger", "--csv", out=f"{marked}.csv")
        time.tzset()
        lines = list(csv.reader(io.StringIO(text.lstrip("\ufeff"))))[1:]
        assert lines
        assert all(line[2].removesuffix(" (time uncertain)").endswith(" UTC") == marked for line in lines)


def test_what_was_written_by_a_clock_in_the_past_stands_where_it_happened(tmp_path):
    """C1: an export out of a box whose clock said 2020 is in the sheet of its month, and marked."""
    state = tmp_path / "state"
    state.mkdir()
    Catalogue.prepare(state).close()
    day, start = 86_400_000, 1_800_000_000_000
    with contextlib.closing(Catalogue.open(state)) as catalogue:
        for number, (at_ms, trust) in enumerate((
            (start - day, Trust.SYNCED), (1_577_836_800_000, Trust.UNTRUSTED), (start + day, Trust.SYNCED),
            (1_577_836_800_001, Trust.UNTRUSTED), (start + 3 * day, Trust.HOLDOVER), (1_577_836_800_002, Trust.UNTRUSTED),
        )):  # fmt: skip
            catalogue.add_fact(Fact("page.visited", Instant(at_ms, trust), {"name": str(number)}))

        def names(first, last):
            span = Span(start + first * day, start + last * day)
            found = gather.entries(catalogue, gather.bounds(catalogue), ["page.visited"], span)
            return [entry.body["name"] for entry in found]

        assert names(0, 2) == ["1", "2", "3"]
        assert names(-2, 0) == ["0", "1"]
        assert names(2, 4) == ["3", "4", "5"]
        assert names(-9, 9) == ["0", "1", "2", "3", "4", "5"]
        assert gather.kept_from(catalogue) == start - day


def test_a_big_ledger_is_read_window_by_window(tmp_path):
    """Nothing of it stands in memory as a whole: the first line is there after the first window."""
    state = tmp_path / "state"
    state.mkdir()
    at = Instant(1_800_000_000_000, Trust.SYNCED)
    count = 2 * gather.WINDOW + 10
    line = ledger.line(Fact("page.visited", at, {"name": "kim"}))
    Catalogue.prepare(state).close()
    with contextlib.closing(Catalogue.open(state)) as catalogue:
        catalogue.write(lambda db: [ledger.append(db, line) for _ in range(count)])
        shown = []
        found = gather.entries(
            catalogue,
            gather.bounds(catalogue),
            ["page.visited"],
            Span(0, at.utc_ms + 1),
            lambda *now: shown.append(now),
        )
        assert next(found).seq == 1
        assert shown == []
        assert sum(1 for _ in found) == count - 1
        assert shown == [(gather.WINDOW, count), (2 * gather.WINDOW, count), (count, count)]
        catalogue.write(lambda db: db.execute("UPDATE ledger SET body = CAST(x'7bff' AS TEXT) WHERE seq = 3"))
        window = gather.Entries(1, 4)
        assert [entry.body for entry in gather.entries(catalogue, window, ["page.visited"], Span(0, at.utc_ms + 1))] == [
            {"name": "kim"}, {"name": "kim"}, {}, {"name": "kim"},
        ]  # fmt: skip
