"""`pasu ledger` and `pasu centre verify`: what they print, in both languages, and their exit status."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest

from agent.cli.kinds import KINDS, kind_name
from agent.cli.main import main
from agent.clock import SystemClock
from agent.model import UTC_DAY_MS, Fact, Instant, Trust, utc_day
from agent.storage.keep import orders_files, outgoing_rows
from agent.storage.proof import checkpoints, export
from tests.docs.codes import ROOT
from tests.unit.config.samples import RIGHT
from tests.unit.proof.evidence import Evidence

FROM, TO = "2027-01-15T08:00", "2027-01-15T08:10"
TERMS = (
    "--purpose", "crime-prevention", "--ground", "investigation", "--recipient", "강릉경찰서", "--authority", "2027-12",
    "--due", "+30d", "--second", "park",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("SUDO_USER", "kim")


@pytest.fixture
def korean(monkeypatch):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")


@pytest.fixture
def box(tmp_path):
    made = Evidence(tmp_path)
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    made.config = ["--config", str(tmp_path / "agent.toml")]
    made.root = tmp_path
    yield made
    made.catalogue.close()


def prove(box, *more, out="bundle", start=FROM, end=TO):
    words = ["ledger", "prove", "--camera", "cam1", "--from", start, "--to", end, "--utc"]
    return main([*words, *TERMS, "--out", str(box.root / out), *box.config, *more])


def check(box, *more, out="bundle", key=None):
    key = key or str(box.state / "keys" / "box.vkey")
    return main(["centre", "verify", str(box.root / out), "--key", key, "--utc", *more])


def test_show_tells_what_happened_newest_last(box, capsys):
    assert main(["ledger", "show", "--kind", "segment", "--camera", "cam1", "--utc", *box.config]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "segment " in line]
    assert len(lines) == 9
    assert "segment erased" in lines[3]
    assert "2027-01-15 08:04:00 - 08:05:00 Z" in lines[3]
    assert "cause=EXPIRED" in lines[3]
    assert [int(line.split()[0]) for line in lines] == sorted(int(line.split()[0]) for line in lines)


def test_show_writes_times_for_people(box, capsys, monkeypatch):
    """Whoever reads the ledger cannot read milliseconds; a narrow terminal gets the details below."""
    body = {"from_ms": 1_800_000_000_000, "to_ms": 1_800_000_060_000, "review_ms": 1_800_086_400_000,
            "shift_ms": 250, "cameras": ["cam1", "cam2"], "to": {"start_ms": 1_800_000_000_000, "end_ms": 1_800_000_001_000}}  # fmt: skip
    box.catalogue.add_fact(Fact("hold.placed", Instant(1_800_000_000_000, Trust.UNTRUSTED), body))
    words = ["ledger", "show", "--last", "1", "--utc", *box.config]
    assert main(words) == 0
    out = capsys.readouterr().out
    for part in (
        "2027-01-15 08:00:00 ?  hold placed",
        "2027-01-15 08:00:00 - 08:01:00 Z  cameras=cam1,cam2  review=2027-01-16 08:00:00Z  shift_ms=250",
        "to=(2027-01-15 08:00:00 - 08:00:01 Z)",
        "?  written while the time was not trusted",
    ):
        assert part in out
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert lines[2].startswith("     2027-01-15 08:00:00 - 08:01:00 Z")
    assert main(["ledger", "show", "--kind", "nothing", *box.config]) == 0
    assert capsys.readouterr().out == "No such entries.\n"


def test_show_in_korean(box, capsys, korean):
    assert main(["ledger", "show", "--last", "0", *box.config]) == 0
    out = capsys.readouterr().out
    for word in ("번호", "빠진 구간", "조각 삭제", "조각 건져냄", "카메라 끊김"):
        assert word in out


def test_show_a_part_as_json(box, capsys):
    words = ["ledger", "show", "--after", "3", "--last", "2", "--json", *box.config]
    assert main(words) == 0
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (first["seq"], second["seq"]) == (4, 5)
    assert main(["ledger", "show", "--last", "2", "--json", *box.config]) == 0
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [299, 300]
    assert (
        main(["ledger", "show", "--from", "2027-01-15", "--to", "2027-01-16", "--json", "--utc", *box.config])
        == 0
    )
    assert len(capsys.readouterr().out.splitlines()) == 50
    assert main(["ledger", "show", "--to", "2027-01-15", "--json", "--utc", *box.config]) == 0
    assert capsys.readouterr().out == ""


def test_show_an_entry_that_a_flipped_bit_spoiled(box, capsys):
    box.tamper("UPDATE ledger SET body = CAST(x'7bff' AS TEXT) WHERE seq = 300")
    assert main(["ledger", "show", "--last", "1", *box.config]) == 0
    assert "damaged=" in capsys.readouterr().out


def test_verify_says_that_all_is_as_it_was(box, capsys):
    assert main(["ledger", "verify", *box.config]) == 0
    assert "no checkpoint" in capsys.readouterr().out
    made = box.checkpoint()
    assert main(["ledger", "verify", *box.config]) == 0
    out = capsys.readouterr().out
    assert f"latest up to entry {made.size}" in out
    assert "No entry was changed" in out


def test_verify_says_what_is_wrong_h6(box, capsys):
    box.checkpoint()
    kept = box.root / "at the centre"
    box.add(100)
    kept.write_text(box.checkpoint().text)
    box.tamper("DELETE FROM ledger WHERE seq > 390")
    box.tamper("UPDATE ledger SET body = '{}' WHERE seq = 7")
    assert main(["ledger", "verify", "--checkpoint", str(kept), *box.config]) == 1
    out = capsys.readouterr().out
    assert "changed: among entries 1-256" in out
    assert re.search(rf"cut off: .*{kept}.* signed up to entry 401, and from 391 on there is nothing", out)
    assert "other entries than catalogue signed up to 301: the change lies in 1-301" in out
    assert "tell the control centre" in out
    assert main(["ledger", "verify", "--checkpoint", str(kept), "--json", *box.config]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["findings"] == [{"what": "edited", "from_seq": 1, "to_seq": 256}]
    assert {one["verdict"] for one in told["checkpoints"]} == {"truncated", "forked"}


def test_verify_in_korean_names_everything(box, capsys, korean, tmp_path):
    old = box.checkpoint()
    other = Evidence(tmp_path / "other")
    (box.root / "theirs").write_text(other.checkpoint().text)
    other.catalogue.close()
    (box.state / "witness").mkdir()
    follow(box, old)
    (box.state / "CHECKPOINT").unlink()
    assert main(["ledger", "verify", "--checkpoint", str(box.root / "theirs"), *box.config]) == 1
    out = capsys.readouterr().out
    assert "서명이 이 박스의 것이 아님" in out
    assert f"다른 원장의 검증점이라 확인할 수 없음: {box.vaults[0].root}/CHECKPOINT ({old.ledger_id})" in out


def follow(box, old):
    """Let another ledger go on from the one that signed `old`."""
    box.catalogue.set_meta("ledger", "0" * 16)
    box.tamper("DELETE FROM checkpoint")
    began = {"reason": "missing", "previous": old.ledger_id, "previous_size": old.size}
    box.catalogue.add_fact(Fact("ledger.began", Instant(1_800_000_000_000, Trust.SYNCED), began))


def test_a_checkpoint_that_is_named_must_be_of_this_ledger(box, capsys):
    """H6: who replaces the ledger cannot answer the centre's checkpoint with "all is right"."""
    kept = box.root / "kept"
    old = box.checkpoint()
    kept.write_text(old.text)
    follow(box, old)
    assert main(["ledger", "verify", *box.config]) == 0
    assert main(["ledger", "verify", "--checkpoint", str(kept), *box.config]) == 1
    out = capsys.readouterr().out
    assert "a checkpoint of another ledger, not verified: " in out
    assert main(["ledger", "verify", "--checkpoint", str(kept), "--json", *box.config]) == 1
    assert json.loads(capsys.readouterr().out)["good"] is False
    assert main(["ledger", "verify", "--checkpoint", str(box.root / "none"), *box.config]) == 2
    assert "FILE_UNREADABLE" in capsys.readouterr().err


def test_what_was_tampered_with_once_is_said_ever_after(box, capsys):
    """H6: the keeper goes on in a new ledger, which is right in itself."""
    box.checkpoint()
    box.tamper("UPDATE ledger SET body = '{}' WHERE seq = 290")
    box.add(1)
    assert prove(box) == 3
    assert "the ledger was tampered with before: entries " in capsys.readouterr().out
    assert main(["ledger", "verify", *box.config]) == 1
    out = capsys.readouterr().out
    assert "pasu ledger show --kind tamper" in out
    assert "No entry was changed" not in out
    assert "tell the control centre" in out


def test_verify_a_checkpoint_that_is_none(box, capsys):
    (box.root / "x").write_text("x")
    assert main(["ledger", "verify", "--checkpoint", str(box.root / "x"), *box.config]) == 1
    assert "CHECKPOINT_INVALID" in capsys.readouterr().err


def test_from_the_box_to_the_centre(box, capsys):
    """Nothing but the bundle, the key and the old checkpoint is needed; a witness shows that nothing was rewritten."""
    kept = box.root / "kept"
    kept.write_text(box.checkpoint().text)
    assert prove(box, "--since", str(kept)) == 0
    out = capsys.readouterr().out
    assert "segments: 8" in out
    key = (box.state / "keys" / "box.vkey").read_text().strip()
    box.catalogue.close()
    shutil.rmtree(box.state)
    shutil.rmtree(box.vaults[0].root)
    assert check(box, "--witness", str(kept), key=key) == 0
    out = capsys.readouterr().out
    assert "files proven: 8" in out
    assert "goes on from the kept checkpoint (entry 301)" in out
    assert "gap: 2027-01-15 08:03:00 - 08:04:00 Z  (camera sent nothing)" in out
    assert "segment erased: 2027-01-15 08:04:00 - 08:05:00 Z  (EXPIRED)" in out
    assert "not covered by the ledger: segments" in out
    assert "Everything is right." in out


def test_the_ledger_names_who_took_it(box, capsys):
    assert prove(box) == 0
    assert prove(box, "--by", "강 형사", out="second") == 0
    assert [json.loads(body)["by"] for _, body in box.facts("export.bundled")] == ["kim", "강 형사"]
    capsys.readouterr()


def test_art_28_31_nothing_is_taken_at_the_box_without_ground_recipient_and_due_day(box, capsys):
    """Gangneung regulation art. 28(1), 31(3); Standard Guideline art. 42(1); Safety standard art. 12(1)."""
    assert prove(box) == 0
    (body,) = [json.loads(body) for _, body in box.facts("export.bundled")]
    ((seq, *_),) = box.catalogue.read("SELECT seq FROM ledger WHERE kind = 'export.bundled'")
    assert body["digest"]
    assert {key: body[key] for key in ("ground", "purpose", "recipient", "authority", "over", "person", "second")} == {
        "ground": "investigation", "purpose": "crime-prevention", "recipient": "강릉경찰서", "authority": "2027-12",
        "over": "hand", "person": "kim", "second": "park",
    }  # fmt: skip
    proofs = json.loads((box.root / "bundle" / "proofs.json").read_text())
    assert body in [one["entry"]["body"] for one in proofs["entries"]], (
        "the bundle itself says for whom it is"
    )
    (row,) = outgoing_rows.unfinished(box.catalogue)
    assert (row.export.id, row.export.due, row.claim) == (body["export"], body["due"], seq)
    assert row.gone_bytes == sum(path.stat().st_size for path in (box.root / "bundle").rglob("*.age"))
    capsys.readouterr()
    assert main(["export", "list", *box.config]) == 0
    out = capsys.readouterr().out
    assert "handed out at the box" in out
    assert body["due"] in out
    day = utc_day(box.now.utc_ms - 900 * UTC_DAY_MS)
    box.catalogue.write(lambda db: db.execute("UPDATE export SET due = ?", (day,)))
    assert main(["export", "list", *box.config]) == 3
    for told in ("is noted", "was noted before"):
        assert main(["export", "destroyed", body["export"], "--how", "shredded", *box.config]) == 0
        assert told in capsys.readouterr().out
    assert main(["export", "list", *box.config]) == 0
    ((_, gone),) = box.facts("export.destroyed")
    assert (json.loads(gone)["by"], json.loads(gone)["how"]) == ("kim", "shredded")
    assert main(["export", "destroyed", "0" * 32, "--how", "shredded", *box.config]) == 2


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--ground", "curiosity", "EXPORT_GROUND"),
        ("--recipient", " ", "EXPORT_TEXT"),
        ("--authority", "", "EXPORT_TEXT"),
        ("--due", "2027-01-14", "EXPORT_DUE"),
        ("--second", "", "EXPORT_PURPOSE"),
        ("--second", "kim", "EXPORT_PURPOSE"),
        ("--second", "x" * 501, "EXPORT_TEXT"),
        ("--purpose", "fun", "fun"),
    ],
)
def test_terms_that_no_order_could_have_are_refused_at_the_box_too(
    box, capsys, monkeypatch, option, value, code
):
    """Another purpose than the camera's takes two (art. 26(3)): cam1 is not in agent.toml, so nobody can say."""
    monkeypatch.setattr(SystemClock, "now", lambda _: Instant(box.now.utc_ms, Trust.SYNCED))
    assert prove(box, option, value) == 2
    assert code in capsys.readouterr().err
    assert box.facts("export.bundled") == []
    assert list((box.root).rglob("bundle/**/*.age")) == []


def test_the_cameras_own_purpose_takes_nobody_else(box, capsys):
    text = (box.root / "agent.toml").read_text(encoding="utf-8")
    (box.root / "agent.toml").write_text(text.replace('"cam01"', '"cam1"'), encoding="utf-8")
    assert prove(box, "--second", "") == 0
    assert prove(box, "--second", "", "--purpose", "facility-management", out="second") == 2
    capsys.readouterr()
    assert ["second" in json.loads(body) for _, body in box.facts("export.bundled")] == [False]


def test_table_2_12_5_1_in_a_lockdown_nothing_is_taken_at_the_box(box, capsys, monkeypatch):
    (box.state / "centre").mkdir()
    orders_files.lock_down(box.state, {}, box.disk)
    assert prove(box) == 2
    assert "COMMAND_LOCKDOWN" in capsys.readouterr().err
    assert (box.facts("export.bundled"), (box.root / "bundle").exists()) == ([], False)
    orders_files.lift(box.state, box.disk)
    copied = []

    def lock_down_then(*args):
        copied.append(args[0].file)
        orders_files.lock_down(box.state, {}, box.disk)

    monkeypatch.setattr(export, "_take", lock_down_then)
    assert prove(box) == 2
    assert len(copied) == 1, "the rest of what was begun stays"
    assert not (box.root / "bundle" / "proofs.json").exists()


def test_what_is_wrong_with_a_bundle_is_named(box, capsys, korean):
    assert prove(box) == 0
    capsys.readouterr()
    (gone,) = (box.root / "bundle").rglob("20270115T080200*")
    gone.unlink()
    assert check(box) == 1
    out = capsys.readouterr().out
    assert f"문제: 파일이 없습니다: {gone.relative_to(box.root / 'bundle')}" in out
    assert "옳지 않은 것: 1건" in out
    assert check(box, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["what"] for one in told["problems"]] == ["file_missing"]
    assert len(told["proven"]) == 7


def test_every_problem_has_words(box):
    from agent.centre import verify as module
    from agent.cli.verify import WORDS

    names = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)} - {
        "SHA256SUMS"
    }
    assert names == set(WORDS)


def test_what_cannot_be_proven_or_copied_is_said_and_counted(box, capsys):
    rows = list(box.catalogue.segments("cam1"))
    box.vaults[0].at(rows[0].path).unlink()
    box.tamper("UPDATE segment SET sha256 = '' WHERE path = ?", (rows[1].path,))
    assert prove(box) == 3
    out = capsys.readouterr().out
    assert f"cannot be proven: {rows[1].path}" in out
    assert f"damaged: {rows[0].path}" in out
    assert check(box) == 1
    out = capsys.readouterr().out
    assert "file missing" in out
    assert "neither picture nor reason: 2027-01-15 08:01:00 - 08:02:00 Z" in out


def test_a_span_that_is_not_stored_is_said(box, capsys):
    assert prove(box, start="2027-01-15T07:00", end="2027-01-15T07:30") == 3
    out = capsys.readouterr().out
    assert "segments: 0" in out
    assert "neither stored nor explained: 2027-01-15 07:00:00 - 07:30:00 Z" in out
    assert prove(box, out="second") == 0
    assert "pasu centre verify second --key box.vkey" in capsys.readouterr().out


def test_mistyped(box, capsys):
    assert main(["ledger", "prove", "--camera", "cam1", "--out", "x", *box.config]) == 2
    assert (
        "required: --from, --to, --purpose, --ground, --recipient, --authority, --due"
        in capsys.readouterr().err
    )
    words = ["ledger", "prove", "--camera", "cam9", "--from", FROM, "--to", TO, *TERMS, "--out", "x"]
    assert main([*words, *box.config]) == 2
    assert "CAMERA_UNKNOWN" in capsys.readouterr().err
    assert prove(box) == 0
    assert prove(box) == 1
    assert "BUNDLE_NOT_EMPTY" in capsys.readouterr().err
    assert check(box, key=str(box.root / "nothing")) == 2
    assert "FILE_UNREADABLE" in capsys.readouterr().err
    assert check(box, key="pasu/x+y+z") == 78
    assert "KEY_UNREADABLE" in capsys.readouterr().err
    assert check(box, out="nothing") == 1
    assert "BUNDLE_INVALID" in capsys.readouterr().err


def test_no_name_of_a_user_is_needed(box, monkeypatch, capsys):
    monkeypatch.delenv("SUDO_USER")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "lee")
    assert prove(box) == 0
    assert json.loads(box.facts("export.bundled")[0][1])["by"] == "lee"
    capsys.readouterr()


def test_every_kind_that_is_written_has_a_name():
    """A fact that a person will read is named in both languages."""
    written = set()
    for path in (ROOT / "agent").rglob("*.py"):
        written |= set(re.findall(r'Fact\(\s*"([a-z]+(?:\.[a-z_]+)?)"', path.read_text(encoding="utf-8")))
    assert "segment.quarantined" in written
    assert written - set(KINDS) == set()
    for korean, english in KINDS.values():
        assert re.search("[가-힣]", korean)
        assert english.isascii()
    assert kind_name("not.known") == "not.known"


def test_a_checkpoint_s_own_words():
    assert {verdict.value for verdict in checkpoints.Verdict if not verdict.good} == {
        "truncated",
        "forked",
        "other_ledger",
        "bad_signature",
    }
