"""Reports: lines of the ledger of personal images, graphs, and the words of the sheets."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from agent.cli.kinds import KINDS
from agent.config import load
from agent.config.hours import parse
from agent.field.doctor.registry import CHECKS
from agent.field.page.view import zone_mark
from agent.field.reports import figures, rows, texts, views
from agent.field.reports.figures import Past
from agent.field.reports.rows import Entry, csv_line, row_of
from agent.health import Severity
from agent.language import speaking
from agent.model import UTC_DAY_MS, Span
from tests.unit.config.samples import RIGHT

DAY = 20_000 * UTC_DAY_MS
ID = "0123456789abcdef" * 2


def moment(utc_ms: int) -> str:
    return f"@{utc_ms}"


def line(kind: str, /, *, language: str = "en", trust: str = "SYNCED", **body: object) -> rows.Row | None:
    with speaking(language):
        return row_of(Entry(7, 5, trust, kind, body), moment)


def test_the_ledger_has_the_columns_of_annex_form_3():
    """Art. 45: number, kind, time, file, form, person, purpose, third party, requester, ground, manner, period."""
    with speaking("ko"):
        assert rows.heads() == (
            "번호", "구분", "일시", "파일명", "형태", "담당자", "목적ㆍ사유", "이용ㆍ제공받는 제3자", "열람 등 요구자",
            "이용ㆍ제공 근거", "이용ㆍ제공 형태", "기간",
        )  # fmt: skip
    with speaking("en"):
        assert len({*rows.heads()}) == 12
    made = line("export.bundled")
    assert made is not None
    assert len(made.cells) == 12


def test_an_export_is_a_provision_with_all_seven_fields_of_art_42():
    body = {
        "export": ID, "camera": "cam01", "start_ms": 10, "end_ms": 20, "ground": "investigation",
        "purpose": "crime-prevention", "recipient": "police", "authority": "2026-1", "due": "2027-01-01", "person": "kim",
        "case": "",
    }  # fmt: skip
    assert line("export.requested", **body) == rows.Row(
        "7", "provision", "@5", "cam01 @10 – @20 01234567", "sealed video (age)", "kim", "crime prevention · 2026-1", "police",
        "", "investigation and prosecution of a crime (guideline 40(1)7)", "export asked for",
        "to be destroyed by 2027-01-01",
    )  # fmt: skip
    urgent = line("export.requested", **{**body, "case": "c-9", "due": "", "ground": "disaster"})
    assert (urgent.manner, urgent.purpose, urgent.period) == (
        "export asked for (emergency)",
        "crime prevention · 2026-1 · c-9",
        "",
    )
    assert urgent.ground == "disaster, relief of victims"  # the Standard Guideline does not name it


def test_what_is_taken_at_the_box_is_a_provision_with_its_terms_too():
    """Art. 42: it has no line of an order, so the line of its bundle says it all."""
    body = {
        "export": ID, "camera": "cam01", "start_ms": 10, "end_ms": 20, "ground": "investigation",
        "purpose": "crime-prevention", "recipient": "police", "authority": "2026-1", "due": "2027-01-01", "person": "kim",
        "by": "kim", "case": "", "over": "hand",
    }  # fmt: skip
    made = line("export.bundled", **body)
    assert made == replace(line("export.requested", **body), manner="handed out at the box")
    assert line("export.bundled", **body, second="lee").manner == "handed out at the box (agreed: lee)"


def test_what_the_person_in_the_picture_asked_for_is_a_viewing():
    """Art. 44: the requester stands in a column of its own."""
    made = line("export.requested", export=ID, camera="c", ground="access-request", recipient="hong")
    assert (made.kind, made.requester, made.recipient) == ("viewing", "hong", "")
    held = line(
        "hold.placed", hold="h1", cameras=["*"], from_ms=1, to_ms=2, ground="access-request", authority="hong",
        review_ms=9, placed_by="kim",
    )  # fmt: skip
    assert (held.kind, held.requester, held.person, held.period) == ("viewing", "hong", "kim", "review @9")
    assert held.file == "all cameras @1 – @2 h1"
    other = line("hold.placed", hold="h2", cameras=["c"], ground="trial", authority="court 1")
    assert (other.kind, other.requester, other.purpose) == ("use", "", "court 1")
    freed = line("hold.released", hold="h1", reason="over", released_by="lee")
    assert (freed.kind, freed.person, freed.purpose, freed.period, freed.manner) == (
        "use", "lee", "over", "", "hold released",
    )  # fmt: skip
    asked = {"camera": "cam01", "from_ms": 1, "to_ms": 2}
    found = line("command.accepted", command="segments.locate", holder="park", arguments=asked)
    assert (found.kind, found.person, found.file, found.requester) == ("viewing", "park", "cam01 @1 – @2", "")
    who = line(
        "command.accepted", command="segments.locate", arguments=asked | {"requester": "hong, 2027-17"}
    )
    assert who.requester == "hong, 2027-17"
    assert line("command.accepted", command="segments.locate", arguments=3).file == ""
    assert line("command.accepted", command="inspect", holder="park") is None


def test_how_an_export_ends():
    assert line("export.received", export=ID, bytes=300, gone_bytes=310, by="centre").manner == (
        "receipt confirmed, 310 B"
    )
    assert line("export.sent", export=ID, bytes=300).manner == "sent, 300 B"
    assert line("export.expired", export=ID, code="EXPORT_GONE").purpose == "EXPORT_GONE"
    gone = line(
        "export.destroyed", export=ID, by="officer", how="shredded", recipient="police", due="2027-01-01"
    )
    assert (gone.kind, gone.recipient, gone.manner) == ("destruction", "police", "shredded")


@pytest.mark.parametrize(
    ("body", "manner", "period", "person"),
    [
        (
            {"kind": "order", "operator": "o", "person": "p", "until_ms": 9},
            "live viewing granted · o",
            "until @9",
            "p",
        ),
        ({"kind": "order", "operator": "o", "until_ms": 9}, "live viewing granted · o", "until @9", "o"),
        ({"kind": "trigger", "trigger": "bell01"}, "live viewing granted · bell or sensor bell01", "", ""),
        (
            {"kind": "configuration", "until_ms": 0},
            "live viewing granted · always selected (configuration)",
            "",
            "",
        ),
    ],
)
def test_live_viewing_is_a_use(body, manner, period, person):
    made = line("stream.granted", camera="c1", ground="monitoring", purpose="crime-prevention", **body)
    assert (made.kind, made.file, made.manner, made.period, made.person) == (
        "use",
        "c1",
        manner,
        period,
        person,
    )
    assert (made.ground, made.purpose) == ("monitoring, own purpose", "crime prevention")


def test_the_end_of_live_viewing():
    ended = line("stream.stopped", camera="c1", reason="expired", sent_bytes=12)
    assert (ended.purpose, ended.manner) == ("its time was over", "live viewing ended, 12 B")
    assert line("stream.revoked", camera="c1", by="kim", reason="wrong one").cells[5:7] == (
        "kim",
        "wrong one",
    )
    assert line("stream.granted", ground="other", purpose="other").cells[6:10] == ("other", "", "", "other")


def test_a_disaster_shows_all_cameras():
    """Art. 28(1) no. 6: its cameras have no grants of their own, so it must be here by itself."""
    made = line(
        "disaster.started", cameras=["c1", "c2"], ground="disaster", reason="flood", centre="office", person="lee",
        until_ms=9,
    )  # fmt: skip
    assert made.cells[1:] == (
        "use", "@5", "c1, c2", "live stream", "lee", "flood", "office", "", "disaster, relief of victims",
        "disaster mode: all shown live", "until @9",
    )  # fmt: skip
    ended = line(
        "disaster.stopped", reason="stopped", by="kim", said="over", sent_bytes=5, cameras={"c1": {}}
    )
    assert (ended.person, ended.purpose, ended.manner, ended.file) == (
        "kim", "stopped · over", "disaster mode ended, 5 B", "all cameras",
    )  # fmt: skip


def test_no_kind_of_use_provision_viewing_or_destruction_is_forgotten():
    """Whoever adds a kind of fact about images says here whether it becomes a line."""
    about = (
        "export.",
        "stream.",
        "hold.",
        "disaster.",
        "deletion.",
        "segment.erased",
        "segment.shredded",
        "retention.",
        "page.visited",
    )
    asked = {kind for kind in KINDS if kind.startswith(about)}
    assert asked - {*rows.MAKERS} == {"stream.started", "hold.review_due", "deletion.begun"}
    assert {*rows.MAKERS} - asked == {"command.accepted"}


def test_destruction_names_cycle_check_and_who_answers():
    """Art. 42(2): for automatic deletion its cycle, when it was checked, and who is responsible."""
    made = line(
        "retention.confirmed", from_ms=1, to_ms=2, cycle_s=60, responsible="dept",
        erased={"EXPIRED": 5, "EVICTED": 1, "NEW": 1, "odd": "x"},
    )  # fmt: skip
    assert made.cells[1:] == (
        "destruction", "@5", "7 segments erased automatically", "sealed video", "dept", "expired 5, disk full 1, NEW 1", "",
        "", "", "automatic, every 60 s, checked", "@1 – @2",
    )  # fmt: skip
    assert line("retention.confirmed", erased=[1]).file == "0 segments erased automatically"
    signed = line("retention.signed", days=7, holder="kim", from_ms=1, to_ms=2, to_seq=9)
    assert (signed.file, signed.person, signed.manner) == ("7 daily checks of erasure", "kim", "signed")
    one = line("segment.erased", path="a/b.age", cause="EXPIRED", responsible="dept", start_ms=1, end_ms=2)
    assert (one.file, one.purpose, one.period) == ("a/b.age", "retention over", "@1 – @2")
    assert line("segment.shredded", file="q", cause="OTHER").cells[3:7:3] == ("q", "OTHER")
    assert "segment.erased" in rows.kinds(each_file=True)
    assert not {"segment.erased", "segment.shredded"} & {*rows.kinds(each_file=False)}


def test_art_29_1_a_deletion_names_who_asked_why_and_who_signed():
    made = line(
        "deletion.ended", camera="cam01", start_ms=1, end_ms=5, from_ms=2, to_ms=4, ground="erasure-request",
        request="2027-17", by="kim (1a), lee (2b)", erased=3,
    )  # fmt: skip
    assert made.cells[1:] == (
        "destruction", "@5", "cam01 @1 – @5", "sealed video", "kim (1a), lee (2b)", "deletion for a subject", "", "2027-17",
        "the person in the picture asks for deletion", "3 segments: header with its key overwritten, file removed",
        "@2 – @4",
    )  # fmt: skip
    assert line("deletion.ended", ground="other", erased=1).ground == "other"
    assert line("segment.erased", cause="REQUESTED").purpose == "deletion for a subject"
    daily = line("retention.confirmed", erased={"EXPIRED": 3, "REQUESTED": 2})
    assert (daily.file, daily.purpose) == ("3 segments erased automatically", "expired 3"), (
        "not counted twice"
    )


def test_a_deletion_tells_only_what_was_overwritten_as_destroyed():
    counts = {"erased": 9, "missing": 1, "unshredded": 2, "kept": 3, "left": 4}
    assert line("deletion.ended", **counts).manner == (
        "6 segments: header with its key overwritten, file removed · missing before 1 · not overwritten 2"
        " · kept by a hold 3 · not erased yet 4"
    )
    assert line("deletion.ended", erased=0, kept=2) is None
    assert line("deletion.ended", erased=3, missing=1, unshredded=2) is None
    assert line("deletion.ended", erased="many") is None


def test_a_visit_shows_no_pictures_and_no_address():
    made = line("page.visited", name="kim", company="hanbit", source="192.168.77.20", language="ko")
    assert made.form == "상태 페이지 (영상 없음)"
    assert made.person == "kim · hanbit"
    assert "192.168" not in "".join(made.cells)


def test_a_time_that_was_not_trusted_is_told_and_other_entries_are_passed_over():
    assert line("page.visited", trust="UNTRUSTED").at == "@5 (time uncertain)"
    assert line("gap", camera="c1") is None


def test_what_a_stranger_wrote_into_a_body_is_text_or_nothing():
    made = line(
        "stream.stopped", camera=["x"], cameras=[1, "cam\u202e01", "b\n"], reason={"a": 1}, sent_bytes=True, by="x" * 900
    )  # fmt: skip
    assert made.file == "cam\ufffd01, b\ufffd"
    assert made.purpose == ""
    assert made.manner == "live viewing ended"
    assert len(made.person) == texts.MOST + 1
    assert line("hold.placed", from_ms="1", to_ms=-4, cameras=[]).file == ""


@pytest.mark.parametrize(
    "cell",
    ["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\t=1", "  =1", "＝1", "=1\r\n=2", '=HYPERLINK("x")'],
)
def test_no_cell_is_a_formula(cell):
    """CSV injection: a name such as =cmd() is a text to every spreadsheet."""
    text = csv_line([cell, "plain", ""])
    (read,) = csv.reader(io.StringIO(text, newline=""))
    assert read[1:] == ["plain", ""]
    assert read[0] == "'" + cell
    assert text.endswith('"plain",""\r\n')


def test_quotes_and_commas_stay_in_their_cell():
    (read,) = csv.reader(io.StringIO(csv_line(['a"b,c', " ", "2026-11-22"]), newline=""))
    assert read == ['a"b,c', " ", "2026-11-22"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("10.0.0.12:554 refused", "*** refused"),
        ("rtsp://u:p@10.0.0.12/x is away", "*** is away"),
        ("from fd00:1:2:3::5 on", "from *** on"),
        ("password=geheim", "password=***"),
        ("fsync 12.5 ms, 99.9 %, 10:15:00", "fsync 12.5 ms, 99.9 %, 10:15:00"),
        ("pasu 0.1.0, kernel 6.18.44", "pasu 0.1.0, kernel 6.18.44"),
        ("10.0.0.0/24", "***"),
    ],
)
def test_addresses_and_passwords_are_left_out(text, left):
    assert texts.scrub(text) == left


def test_days_are_drawn_from_what_is_stored():
    past = Past("c", DAY - UTC_DAY_MS // 2, [Span(DAY - UTC_DAY_MS // 2, DAY + UTC_DAY_MS // 4)], {})
    drawn = figures.day_rows(past, [DAY - 2 * UTC_DAY_MS, DAY - UTC_DAY_MS, DAY], DAY + UTC_DAY_MS // 2)
    assert [[(part.state, part.slots) for part in row.day.stretches] for row in drawn] == [
        [("before", 288)],
        [("before", 144), ("full", 144)],
        [("full", 72), ("none", 72), ("before", 144)],
    ]
    assert figures.permille(drawn) == 750
    assert figures.permille(drawn[:1]) is None


def test_what_is_not_whole_never_reads_as_whole():
    past = Past("c", DAY, [Span(DAY, DAY + 40_000_000), Span(DAY + 40_030_000, DAY + UTC_DAY_MS)], {})
    assert figures.permille(figures.day_rows(past, [DAY], DAY + UTC_DAY_MS)) == 999


def test_how_long_disks_hold():
    vault = {"path": "/v", "total_bytes": 4_000, "free_bytes": None, "bytes_per_day": 10}
    good, short, unknown = figures.outlooks(
        {"vaults": [{**vault, "forecast_tenths_of_days": tenths} for tenths in (384, 120, None)]}, 30
    )
    assert (good.enough, short.enough, unknown.enough) == (True, False, False)
    assert (good.total, good.free, unknown.bar) == ("4.0 kB", "–", 0)
    assert 0 < short.bar < short.line < good.bar < figures.WIDTH
    assert [*figures.outlooks({}, 30)] == []


@pytest.fixture
def config(tmp_path):
    text = RIGHT + 'view = "주차장과 앞길"\n'
    for number, url in enumerate(("rtsps://10.0.0.12/x", "file:/srv/a.mp4"), 2):
        text += f"""
[[camera]]
id = "cam0{number}"
name = "<script>alert({number})</script>"
url = "{url}"
purpose = "fire-prevention"
legal_basis = "소방기본법"
"""
    file = tmp_path / "agent.toml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_cameras_without_where_they_are(config):
    told = {
        "cam01": {
            "state": "recording",
            "codec": "h264",
            "width": 640,
            "height": 480,
            "fps": 15,
            "kbit_s": 900,
        }
    }
    with speaking("en"):
        one, two, three = views.cameras(config, {"cameras": told})
    assert (one.state, one.picture, one.rate, one.view) == (
        "recording", "H264 640×480", "15.0 fps, 0.9 Mbit/s", "주차장과 앞길",
    )  # fmt: skip
    assert (one.line, two.line, three.line) == (
        "in clear (needs a network of its own)", "encrypted", "in the box",
    )  # fmt: skip
    assert (two.state, two.picture, two.rate, two.good) == ("no word", "–", "–", False)
    assert "10.0.0" not in repr([one, two, three])


def test_doctor_is_read_with_care():
    told = {
        "checks": [
            {
                "check": "a",
                "state": "failure",
                "measured": "10.0.0.9 away",
                "then": "look",
                "subject": "cam01",
            },
            {"check": "b", "state": "ok", "title": "bee", "then": "never"},
            {"check": 3, "state": "strange"},
            {"state": ["x"]},
            "no check",
        ]
    }
    with speaking("en"):
        bad, good, odd, none = views.doctor(told)
        counted = views.counts([bad, good, odd, none])
    assert (bad["word"], bad["measured"], bad["next"], bad["what"]) == ("failure", "*** away", "look", "a")
    assert (good["what"], good["next"]) == ("bee", "")
    assert (odd["word"], odd["state"], none["word"]) == ("strange", "n/a", "?")
    assert counted == [
        ("ok", "ok", 1),
        ("warning", "warning", 0),
        ("failure", "failure", 1),
        ("n/a", "n/a", 2),
    ]
    assert views.doctor(None) == []
    with speaking("ko"):
        known, well = views.doctor(
            {"checks": [{"check": "disk.sync", "state": state} for state in ("warning", "ok")]}
        )
        assert known["what"] == CHECKS["disk.sync"].title_texts[0]
        assert (known["next"], well["next"]) == (CHECKS["disk.sync"].then_texts[0], "")


def test_the_ledger_says_whether_it_was_examined_so():
    entry = Entry(9, 5, "SYNCED", "box.examined", {"by": "kim", "ok": 3, "warnings": 0, "failures": 1})
    with speaking("en"):
        assert views.examined(entry, moment) == ("ok", "as entry 9 of the ledger says: @5, kim")
        assert views.examined(None, moment)[0] == "warning"


def test_conditions_tell_no_address(config):
    raised = {
        "code": "camera.refused",
        "subject": "cam01",
        "since_ms": 0,
        "detail": "401 rtsp://u:p@10.0.0.11/x",
    }
    (each,) = views.conditions(config, {"conditions": [raised], "at_ms": 60_000})
    assert each["details"] == "401 ***"
    assert each["severity"] in [*Severity]


def inspection(**more):
    return {
        "3_devices": {"cameras": [{"id": "c", "name": "n", "purpose": "fire-prevention", "legal_basis": "l", "retention_days": 3,
                                   "hours": ["mon-fri 08:00-20:00"]}]},
        "4_collected": {
            "segments": 3, "sealed_bytes": 5000, "oldest_ms": 8, "retention_confirmed": {"at_ms": 9, "body": "{}"},
            "holds": {"active": 2, "listed": []}, "exports": 4, "exports_not_destroyed": 1,
        },
        "5_contractors": [["kim", "technician", "k1", 99]],
        "6_requests": {"active": 1, "listed": [["h1", "access-request", 77]]},
        "7_measures": {
            "recipients": ["r1"], "ring": {"epoch": 4}, "keys": [["lee", "officer", "k2", 88]],
            "clock": {"state": "SYNCED", "reason": "x"}, "lockdown": True, "plaintext_cameras": ["c"],
            "conditions": [["box.hot", ""], ["camera.refused", "c"], ["new.code", ""]],
        },
        **more,
    }  # fmt: skip


def test_the_eight_items_of_the_self_inspection():
    """Art. 48: what the box knows is filled in, and people's part is named for each."""
    with speaking("en"):
        items = views.items(inspection(), moment)
    assert [item.number for item in items] == [*range(1, 9)]
    assert all(item.unknown for item in items)
    assert [item.number for item in items if not item.told] == [1, 2, 8]
    assert items[2].told == [("c (n)", "fire prevention · l · 3 days kept · Mon-Fri 08:00-20:00")]
    told = dict(items[3].told)
    assert (told["oldest"], told["erasure last checked"]) == ("@8", "@9")
    assert told["exports not known to be destroyed"] == "1"
    assert items[4].told == [("kim", "technician · k1 · until @99")]
    assert items[5].told == [("held for requests", "1"), ("h1", "review @77")]
    measures = dict(items[6].told)
    assert (measures["lockdown"], measures["cameras whose line is in clear"]) == ("yes", "c")
    assert "new.code" in measures["conditions now"]
    assert "(c)" in measures["conditions now"]


def test_what_the_box_does_not_know_is_said():
    collected = {**inspection()["4_collected"], "oldest_ms": None, "retention_confirmed": None}
    measures = {
        **inspection()["7_measures"], "ring": {"epoch": 0}, "plaintext_cameras": None, "conditions": [], "lockdown": False,
    }  # fmt: skip
    body = inspection(
        **{"3_devices": None, "4_collected": collected, "5_contractors": [], "7_measures": measures}
    )
    with speaking("en"):
        items = views.items(body, moment)
        none = views.items(inspection(**{"7_measures": {**measures, "plaintext_cameras": []}}), moment)
    assert items[2].told == [("configuration", "cannot be read")]
    assert dict(items[3].told)["oldest"] == "none"
    assert dict(items[3].told)["erasure last checked"] == "not yet"
    assert items[4].told == [("contractors' keys", "none")]
    told = dict(items[6].told)
    assert (told["edition of the key ring"], told["cameras whose line is in clear"], told["conditions now"]) == (
        "–", "not known", "none",
    )  # fmt: skip
    assert dict(none[6].told)["cameras whose line is in clear"] == "none"


def test_notice_boards_have_the_four_items_of_art_10(config):
    with speaking("ko"):
        first, *_ = views.notices(config, [])
    assert (first["purpose"], first["place"]) == ("방범", "경포해변 3지점 (주차장 입구)")
    assert (first["hours"], first["range"]) == ("24시간 연속 촬영 (영상 보관 30일)", "주차장과 앞길")
    assert (first["officer"], first["contact"]) == ("강릉시 정보산업과", "033-000-0000")
    assert first["contractor"] == ""  # is written by hand
    (only,) = views.notices(config, ["cam02"])
    assert (only["id"], only["range"]) == ("cam02", "")
    assert dict(views.site(config))


@pytest.mark.parametrize(("hours", "mark"), [(9, ""), (0, " UTC"), (8, " +08:00"), (-3.5, " -03:30")])
def test_a_time_that_is_not_koreas_says_so(hours, mark):
    """A box whose clock is set to UTC makes sheets that nobody may read nine hours wrong."""
    assert zone_mark(5, timezone(timedelta(hours=hours))) == mark
    assert zone_mark(1 << 62, timezone(timedelta(hours=hours))) == ""


def test_art_10_the_notice_board_says_the_hours_of_the_camera(config):
    camera = replace(config.cameras[0], hours=(parse("mon-fri 08:00-20:00"),))
    config = replace(config, cameras=(camera,))
    with speaking("ko"):
        (board,) = views.notices(config, [])
        (line,) = views.cameras(config, {"cameras": {"cam01": {"state": "resting", "fps": 15}}})
    assert board["hours"] == "월~금 08:00~20:00 (영상 보관 30일)"
    assert (line.state, line.hours, line.good, line.rate) == ("녹화 시간 밖", "월~금 08:00~20:00", True, "–")


def test_days_of_a_camera_with_hours_are_whole_without_its_nights():
    day_ms = 86_400_000
    noon = day_ms // 2
    past = figures.Past("cam01", 0, [Span(0, noon)], {}, [Span(noon, day_ms)])
    (row,) = figures.day_rows(past, [0], 2 * day_ms)
    assert [(each.slots, each.state) for each in row.day.stretches] == [(144, "full"), (144, "off")]
    assert figures.permille([row]) == 1000
