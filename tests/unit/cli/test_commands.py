"""Whole commands, on real files: what they print, what they leave, and their exit status."""

from __future__ import annotations

import json
import re

import pytest

from agent.cli.main import main
from agent.cli.parser import columns
from agent.model import Gap, GapCause, Instant, Span, Trust
from agent.storage import progress
from agent.storage.catalogue import Catalogue, Segment
from agent.storage.files import Disk
from agent.storage.progress import Mark, Open
from tests.unit.centre import footage
from tests.unit.config.samples import KEYS, RIGHT
from tests.unit.envelope.keys import ALICE, EVE

START = footage.START_MS
AT = Instant(START, Trust.SYNCED)


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def korean(monkeypatch):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")


@pytest.fixture
def box(tmp_path):
    """A configured box with a catalogue and a vault: pictures for 12 s, with 2 s missing."""
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    (tmp_path / "state").mkdir()
    folder = tmp_path / "vault" / "segments" / "cam01" / "2026-11-21"
    folder.mkdir(parents=True)
    (tmp_path / "centre.key").write_text(ALICE.secret() + "\n")
    catalogue = Catalogue.prepare(tmp_path / "state")
    catalogue.add_vault("v1", str(tmp_path / "vault"), START)
    for start_s, seconds in ((0, 4), (4, 2), (8, 4)):
        made = footage.segment(folder, start_s, seconds)
        start_ms = START + start_s * 1000
        catalogue.commit_segment(
            Segment(
                "v1", "cam01", "r1" if start_s < 8 else "r2", str(made.path.relative_to(tmp_path / "vault")),
                start_ms, start_ms + seconds * 1000, "SYNCED", "h264", 176, 144, 90_000, seconds * 15, 1,
                made.path.stat().st_size, "00", True, "COMMITTED", False,
            ),
            AT,
        )  # fmt: skip
    catalogue.add_gap(
        Gap("cam01", Span(START + 6000, START + 8000), GapCause.CAMERA_SILENT, "no packets for 5 s"), AT
    )
    catalogue.close()
    return tmp_path


def segments(box, *more: str) -> int:
    return main(["segments", "cam01", "--config", str(box / "agent.toml"), "--utc", *more])


SPAN = ("--from", "2026-11-21T10:05:00Z", "--to", "2026-11-21T10:05:12Z")


def test_segments_as_a_table(box, capsys):
    assert segments(box, *SPAN) == 0
    said = capsys.readouterr().out
    assert said.startswith("start (Z)")
    assert re.search(r"2026-11-21 10:05:00 +10:05:06 +6.0 s +stored +h264 176x144 +2 ", said)
    assert re.search(
        r"2026-11-21 10:05:06 +10:05:08 +2.0 s +gap +camera sent nothing \(no packets for 5 s\)", said
    )
    assert "83.33 %" in said
    assert "missing 2.0 s in 1 place\n" in said
    bar = re.search("[█▒·]+", said)[0]
    assert bar == "█" * 30 + "·" * 10 + "█" * 20


def test_segments_one_by_one(box, capsys):
    assert segments(box, *SPAN, "--each") == 0
    assert capsys.readouterr().out.count(" stored ") == 4  # three rows and the summary


def test_segments_in_korean_are_aligned(box, capsys, korean):
    assert segments(box, *SPAN) == 0
    said = capsys.readouterr().out
    assert re.search("빠짐 +카메라가 보내지 않음", said)
    head, _, *rows = said.splitlines()[:5]
    ends = {columns(row[: row.index("6.0 s") + 5]) if "6.0 s" in row else 0 for row in rows} - {0}
    assert ends == {columns(head[: head.index("길이") + 2])}
    assert "빠진 곳 1군데" in said


def test_segments_as_json(box, capsys):
    assert segments(box, *SPAN, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["camera"] == "cam01"
    assert found["span"]["start"] == "2026-11-21T10:05:00.000Z"
    assert found["span"]["start_ms"] == START
    assert found["stored_ms"] == 10_000
    assert [hole["start"] for hole in found["missing"]] == ["2026-11-21T10:05:06.000Z"]
    assert [row["state"] for row in found["rows"]] == ["COMMITTED", "COMMITTED", "GAP", "COMMITTED"]
    assert found["rows"][2]["cause"] == "camera_silent"
    assert found["rows"][0]["path"].startswith("segments/cam01/2026-11-21/")


def test_segments_says_when_nothing_is_missing_and_when_nothing_is_known(box, capsys):
    assert segments(box, "--from", "2026-11-21T10:05:00Z", "--to", "2026-11-21T10:05:06Z") == 0
    said = capsys.readouterr().out
    assert "100.00 %" in said
    assert "nothing missing" in said
    assert segments(box, "--from", "2026-11-20T10:05:00Z", "--to", "2026-11-20T10:05:06Z") == 0
    said = capsys.readouterr().out
    assert "no entry" in said
    assert " 0.00 %" in said


def test_segments_of_the_future_are_not_missing(box, capsys):
    assert segments(box, "--from", "8999-01-01", "--to", "8999-01-02", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["missing"], found["stored_ms"]) == ([], [], 0)
    assert segments(box, "--from", "8999-01-01", "--to", "8999-01-02") == 0


def test_segments_shows_what_is_being_recorded(box, capsys):
    mark = Mark(2, START + 14_000, 30)
    one = Open(
        "uuid-1",
        "segments/x",
        "cam01",
        "r2",
        START + 12_000,
        "SYNCED",
        "h264",
        176,
        144,
        90_000,
        True,
        mark,
        mark,
        None,
    )
    (box / "state" / "open").mkdir()
    progress.write(Disk(), box / "state" / "open" / "w1.json", [one], sync=False)
    assert segments(box, "--from", "2026-11-21T10:05:08Z", "--to", "2026-11-21T10:05:15Z") == 0
    said = capsys.readouterr().out
    assert re.search(r"10:05:12 +10:05:14 +2.0 s +recording +h264 176x144 +1 *\n", said)
    assert "missing 1.0 s in 1 place\n" in said


def test_segments_of_an_unknown_camera(box, capsys):
    assert main(["segments", "cam09", "--config", str(box / "agent.toml")]) == 2
    said = capsys.readouterr().err
    assert "no such camera: cam09  [CAMERA_UNKNOWN]" in said
    assert "cameras: cam01" in said


def test_segments_without_a_catalogue(box, capsys):
    (box / "state" / "catalogue.db").unlink()
    assert segments(box) == 1
    assert "[CATALOGUE_MISSING]" in capsys.readouterr().err


def opening(box, *more: str) -> int:
    return main(["open", "--utc", "--identity", str(box / "centre.key"), "-o", str(box / "clip.mp4"), *more])


@pytest.mark.parametrize("place", ["--vault", "--segments", "--config"])
def test_open_by_camera(box, capsys, place):
    where = {
        "--vault": ["--vault", str(box / "vault")],
        "--segments": ["--vault", str(box / "vault" / "segments")],
        "--config": ["--config", str(box / "agent.toml")],
    }[place]
    assert opening(box, "cam01", *SPAN, *where) == 3
    said = capsys.readouterr().out
    assert re.search(r"clip.mp4 +cam01 +2026-11-21 10:05:0\d - 10:05:1\d Z +0:12 +150 +h264 176x144", said)
    assert len(footage.packets(box / "clip.mp4")) == 150
    assert "missing: cam01  2026-11-21 10:05:06 - 10:05:08 Z  2.0 s" in said
    assert ("camera sent nothing" in said) == (place == "--config")
    assert "segments used: 3" in said


def test_open_a_part_that_is_whole(box, capsys, korean):
    span = ("--from", "2026-11-21T10:05:01Z", "--to", "2026-11-21T10:05:05Z")
    assert opening(box, "cam01", *span, "--vault", str(box / "vault")) == 0
    said = capsys.readouterr().out
    assert "빠지거나 손상된 곳이 없습니다." in said
    assert "sha256" in said


def test_open_files(box, capsys):
    files = sorted(str(path) for path in (box / "vault").rglob("*.age"))
    assert opening(box, *files[:2]) == 0
    assert len(footage.packets(box / "clip.mp4")) == 90


def test_open_says_what_is_damaged_and_where(box, capsys):
    file = min((box / "vault").rglob("*.age"))
    data = bytearray(file.read_bytes())
    data[footage.chunk_place(data, 1) + 100] ^= 1
    file.write_bytes(data)
    assert opening(box, str(file)) == 3
    said = capsys.readouterr().out
    assert f"damaged: {file}" in said
    assert "[CHUNK_DAMAGED]" in said
    assert f"where: chunk 1, from byte {footage.chunk_place(data, 1)}" in said
    assert "pictures are lost between: 2026-11-21 10:05:0" in said


def test_open_with_the_wrong_key(box, capsys, korean):
    (box / "centre.key").write_text(EVE.secret() + "\n")
    assert opening(box, "cam01", *SPAN, "--vault", str(box / "vault")) == 3
    said = capsys.readouterr().out
    assert "[NO_MATCHING_IDENTITY]" in said
    assert "파일을 만들지 않았습니다" in said
    assert not (box / "clip.mp4").exists()


def test_open_finds_what_the_catalogue_has_and_the_disk_has_not(box, capsys):
    min((box / "vault").rglob("*.age")).unlink()
    assert opening(box, "cam01", *SPAN, "--config", str(box / "agent.toml")) == 3
    assert "[UNREADABLE]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "code", "status"),
    [
        (["cam01"], "FILE_UNREADABLE", 2),
        (["cam\0"], "FILE_UNREADABLE", 2),
        (["cam01", "--vault", "{box}/vault"], "SPAN_MISSING", 2),
        (["cam01", "--vault", "{box}/vault", "--from", "-1h"], "SPAN_MISSING", 2),
        (["cam01", "cam02", "--vault", "{box}/vault", *SPAN], "CAMERA_ONE", 2),
        (["cam02", "--vault", "{box}/vault", *SPAN], "CAMERA_UNKNOWN", 2),
        (["cam02", "--config", "{box}/agent.toml", *SPAN], "CAMERA_UNKNOWN", 2),
        (["..", "--vault", "{box}/vault", *SPAN], "CAMERA_UNKNOWN", 2),
        (["cam01", "--vault", "{box}/nowhere", *SPAN], "VAULT_UNREADABLE", 2),
        (
            ["cam01", "--vault", "{box}/vault", "--from", "2026-11-20", "--to", "2026-11-20T01:00"],
            "NOTHING_STORED",
            2,
        ),
        (
            ["cam01", "--config", "{box}/agent.toml", "--from", "2026-11-20", "--to", "2026-11-20T01:00"],
            "NOTHING_STORED",
            2,
        ),
        (["cam01", "--config", "{box}/none.toml", *SPAN], "CONFIG_MISSING", 78),
        (["{box}/agent.toml", "-o", "{box}/agent.toml"], "OUTPUT_EXISTS", 78),
        (["{box}/agent.toml", "-o", "{box}/none/clip.mp4"], "OUTPUT_UNWRITABLE", 1),
        (["{box}/agent.toml", "--identity", "{box}/agent.toml"], "IDENTITY", 78),
        (["{box}/agent.toml", "--from", "x"], "TIME_UNREADABLE", 2),
    ],
)
@pytest.mark.parametrize("locale", ["ko_KR.UTF-8", "C.UTF-8"])
def test_open_refuses(box, capsys, monkeypatch, locale, more, code, status):
    monkeypatch.setenv("LC_ALL", locale)
    assert opening(box, *(word.replace("{box}", str(box)) for word in more)) == status
    said = capsys.readouterr().err
    assert f"[{code}" in said
    assert "Traceback" not in said
    assert any("가" <= letter <= "힣" for letter in said) == locale.startswith("ko")


def test_keygen(box, capsys, korean):
    place = box / "new.key"
    assert main(["centre", "keygen", "-o", str(place)]) == 0
    said = capsys.readouterr().out
    public = re.search("age1[0-9a-z]{58}", said)[0]
    assert f"# public key: {public}" in place.read_text()
    assert "AGE-SECRET-KEY" not in said
    assert place.stat().st_mode & 0o777 == 0o600
    before = place.read_bytes()
    assert main(["centre", "keygen", "-o", str(place)]) == 78
    assert "덮어쓰지 않습니다" in capsys.readouterr().err
    assert place.read_bytes() == before


def check(box) -> int:
    return main(["config", "check", str(box / "agent.toml")])


def test_config_check_of_a_good_file(box, capsys):
    secrets = box / "secrets.toml"
    secrets.write_text(
        '[camera.cam01]\nusername = "u"\npassword = "Gwangan77"\n[camera.cam07]\nusername = "u"\npassword = "p"\n'
        '[broker."10.0.0.9"]\nusername = "u"\npassword = "p"\n'
    )
    secrets.chmod(0o600)
    assert check(box) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert re.search(r"cam01 +주차장 입구 +rtsp://10.0.0.11/main +crime prevention +30 d +yes", said.out)
    assert KEYS[0] in said.out
    assert (
        "warning: secrets.toml: camera.cam07: there is no camera of this name  [CONFIG_SECRETS_UNUSED]"
        in said.out
    )
    assert "warning: secrets.toml: broker.10.0.0.9: no trigger comes from this address" in said.out
    assert "Gwangan77" not in said.out


def test_config_check_shows_warnings_uplink_and_tunnel(box, capsys, korean):
    file = box / "agent.toml"
    text = file.read_text().replace(f', "{KEYS[1]}"', "")
    text += 'sub_url = "rtsp://10.0.0.11/sub"\n[uplink]\nbroker = "mqtts://10.77.0.1:8883"\n[tunnel]\ninterface = "pasu0"\n'
    file.write_text(text)
    assert check(box) == 0
    said = capsys.readouterr().out
    assert "주의: storage.recipients: 키가 하나뿐입니다." in said
    assert "mqtts://10.77.0.1:8883" in said
    assert "rtsp://10.0.0.11/sub" in said


def test_config_check_of_bad_files_shows_both(box, capsys):
    file = box / "agent.toml"
    file.write_text(
        file.read_text().replace('purpose = "crime-prevention"', 'purpose = "x"\npassword = "Gwangan77"')
    )
    (box / "secrets.toml").write_text("")
    (box / "secrets.toml").chmod(0o644)
    assert check(box) == 78
    said = capsys.readouterr()
    assert said.out == ""
    for part in (
        "(2 problems)",
        "(1 problem)",
        "[CONFIG_PURPOSE]",
        "[CONFIG_PASSWORD_HERE]",
        "[CONFIG_SECRETS_MODE]",
        "chmod 600",
    ):
        assert part in said.err
    assert "Gwangan77" not in said.err


@pytest.mark.parametrize("command", ["record", "run"])
def test_recording_needs_a_configuration(tmp_path, capsys, command, korean):
    assert main([command, "--config", str(tmp_path / "agent.toml")]) == 78
    said = capsys.readouterr().err
    assert "설정을 쓸 수 없습니다" in said
    assert "[CONFIG_MISSING]" in said


@pytest.mark.parametrize("line", ["demo --seconds 0", "demo --cameras 65"])
def test_demo_bounds(capsys, line):
    assert main(line.split()) == 2
    assert "[NUMBER_OUT_OF_RANGE]" in capsys.readouterr().err


def test_a_bug_is_shown_whole_and_has_its_own_status(box, capsys, monkeypatch):
    # A value that argparse never yields stands for a bug of ours.
    from agent.cli.main import _run

    class Args:
        @staticmethod
        def run(_):
            raise ZeroDivisionError("a bug")

    assert _run(Args) == 70
    said = capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in said
    assert "This is a bug in Pasu" in said


def test_an_interruption_is_calm(capsys):
    from agent.cli.main import _run

    class Args:
        @staticmethod
        def run(_):
            raise KeyboardInterrupt

    assert _run(Args) == 130
    said = capsys.readouterr().err
    assert "Interrupted." in said
    assert "Traceback" not in said
