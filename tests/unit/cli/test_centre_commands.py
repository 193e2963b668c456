"""`pasu centre` by itself, without a broker: what strangers wrote is shown and does nothing; slips are told at once."""

from __future__ import annotations

import base64
import io
import json
import time
from argparse import Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from agent.centre import city as cities
from agent.centre import founding, notices, push, rings, sender, wire
from agent.centre.following import GRAVE, What
from agent.centre.watched import Alarm
from agent.centre.witness import FILE, Witness
from agent.cli import broker_line, centre_command, centre_watch
from agent.cli.alarms import ALARMS, show_alarm
from agent.cli.fields import plain
from agent.cli.main import main
from agent.cli.parser import UsageError
from agent.cli.times import show_time
from agent.command import jws
from agent.command.keyring import Role
from agent.command.strict import MOST_INTEGER
from agent.enrolment import form
from agent.errors import StorageFault, UplinkFault

if TYPE_CHECKING:
    from pathlib import Path

    from agent.centre.city import City

HOSTILE = "hold.placed\n99  now \x1b[2J\x9b31m\u202e"
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def city(tmp_path: Path) -> City:
    plan = founding.Plan("gangneung", "강릉시", "127.0.0.1:1", "127.0.0.1:2")
    return founding.found(tmp_path / "city", plan, datetime.now(UTC), None)


def run(city: City, *words: str) -> int:
    return main(["centre", *words, "--city", str(city.folder)])


def keep(city: City, *rows: tuple[int, int, str, dict[str, Any]], verified: int = 1000) -> None:
    """Keep entries of a box: number, time, kind, body; so many of them proven."""
    witness = Witness(city.at(FILE))
    witness._write(
        "INSERT INTO ledger (id, box, ledger, first_ms, verified) VALUES (1, 'gn-0007', 'a', 0, ?)",
        (verified,),
    )
    for seq, at_ms, kind, body in rows:
        text = json.dumps(body, ensure_ascii=False)
        witness._write("INSERT INTO fact VALUES (1, ?, ?, 0, 'SYNCED', ?, ?)", (seq, at_ms, kind, text))
    witness.commit()
    witness.close()


def test_e9_no_entry_of_a_box_writes_lines_or_moves_the_cursor(city: City, capsys) -> None:
    keep(
        city,
        (1, 5, HOSTILE, {"a": HOSTILE}),
        (2, MOST_INTEGER, "started", {}),
        (3, -MOST_INTEGER, "started", {}),
    )
    assert run(city, "facts", "gn-0007") == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3
    assert all(letter.isprintable() for line in out.splitlines() for letter in line)
    assert f"{MOST_INTEGER} ms" in out


def test_what_a_box_wrote_while_its_clock_stood_in_1970_is_shown(city: City, capsys) -> None:
    keep(city, (1, 5_000, "started", {}), (2, 10 * 365 * DAY_MS, "started", {}), (3, 1 << 50, "started", {}))
    assert run(city, "facts", "gn-0007") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2", "3"]
    assert run(city, "facts", "gn-0007", "--from", "1975-01-01", "--to", "1985-01-01") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["2"]


def test_e7_what_nothing_signed_stands_for_is_marked(city: City, capsys) -> None:
    """E7: entries beyond the newest proven head may be anybody's who holds the wire."""
    keep(city, (1, 5, "hold.placed", {}), (2, 6, "hold.released", {}), verified=1)
    assert run(city, "facts", "gn-0007") == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["1", "2?"]
    assert shown.err.startswith("?: ")
    assert run(city, "facts", "gn-0007", "--json") == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["proven"] for line in shown.out.splitlines()] == [True, False]
    assert shown.err == ""
    assert run(city, "facts", "gn-0007", "--kind", "hold.placed") == 0
    assert capsys.readouterr().err == ""


def test_every_alarm_has_its_words() -> None:
    words = [
        word
        for name, word in vars(notices).items()
        if name.isupper() and not name.startswith("_") and isinstance(word, str)
    ]
    assert len(words) > 10
    for what in (*words, *GRAVE, What.LET_GO):
        assert str(what) in ALARMS


def test_whose_alarm_it_is_is_said() -> None:
    assert "the broker: is gone" in show_alarm(Alarm(1, "", broker_line.AWAY, {}))
    assert "the centre: its service key" in show_alarm(Alarm(1, "", notices.SERVICE_KEY, {"days": 3}))


def test_e9_the_watch_begins_anew_where_its_own_disk_failed(capsys) -> None:
    """E9: what was not kept comes again; each reason is said once."""
    full = StorageFault("WITNESS_UNUSABLE", "the witness's file cannot be used", reason="disk is full")
    broken = StorageFault("COUNTERS_UNUSABLE", "the numbers cannot be used", reason="disk I/O error")
    faults = [full, full, broken, full]

    def run() -> int:
        if faults:
            raise faults.pop(0)
        return 0

    paused: list[float] = []
    assert centre_watch.keep_on(run, paused.append) == 0
    assert len(paused) == 4
    err = capsys.readouterr().err
    assert (err.count("WITNESS_UNUSABLE"), err.count("COUNTERS_UNUSABLE")) == (1, 1)


def test_e9_no_alarm_and_no_reply_moves_the_cursor() -> None:
    for text in (
        show_alarm(Alarm(1, "gn-0007", "new_ledger", {"body": HOSTILE})),
        centre_command.show({"status": HOSTILE, "code": HOSTILE, "detail": {"a": HOSTILE}}),
        plain(HOSTILE),
    ):
        assert all(letter.isprintable() or letter == "\n" for letter in text)
        assert "\\x1b[2J" in text or "\\u001b[2J" in text
    assert show_time(MOST_INTEGER, None) == f"{MOST_INTEGER} ms"


def test_where_nothing_is_kept_the_next_step_is_said(city: City, capsys) -> None:
    for words in (("facts", "gn-0007"), ("alarms",)):
        assert run(city, *words) != 0
        assert "WITNESS_MISSING" in capsys.readouterr().err
    keep(city)
    assert run(city, "alarms") == 0
    assert "No alarms" in capsys.readouterr().err
    assert run(city, "facts", "gn-0008") == 0
    assert "pasu centre boxes" in capsys.readouterr().err


def test_a_slip_in_the_name_of_a_box_is_told_before_anything_is_sent(city: City, capsys) -> None:
    assert run(city, "command", "gn-0o07", "inspect", "--print") == 0
    assert "no box gn-0o07" in capsys.readouterr().err
    assert run(city, "command", "gn/+", "inspect", "--print") != 0
    assert "BOX_UNKNOWN" in capsys.readouterr().err


def test_now_is_the_moment_of_signing_and_not_that_before_the_wait(city: City, monkeypatch) -> None:
    """A box confirms a time that is ten seconds old at most, and its challenge takes thirty to come."""
    clock, posted = [1_800_000_000_000], []

    class Line:
        def __init__(self, *_: object, **__: object) -> None: ...
        def open(self, _: float) -> None: ...
        def close(self) -> None: ...

    def challenge(*_: object) -> str:
        clock[0] += 30_000
        return "00" * 16

    monkeypatch.setattr(wire, "Wire", Line)
    monkeypatch.setattr(centre_command, "now_ms", lambda: clock[0])
    monkeypatch.setattr(sender, "fresh_challenge", challenge)
    monkeypatch.setattr(sender, "post", lambda _, sealed: posted.append(sealed.text))
    monkeypatch.setattr(sender, "replies", lambda *_: iter(()))
    run(city, "command", "gn-0007", "time.confirm", "utc_ms=now")
    body = posted[0].split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert said["arguments"]["utc_ms"] == clock[0]


def test_a_box_that_has_the_ring_already_is_no_failure(city: City, monkeypatch, capsys) -> None:
    (city.at("boxes") / "gn-0007.json").write_text(
        json.dumps(
            {
                "box": "gn-0007",
                "site": "",
                "operator": "",
                "vkey": "",
                "tls": "",
                "serial": "1",
                "until_ms": 0,
            }
            | {"enrolled_ms": 0, "out_ms": None, "earlier": [], "tunnel": []}
        )
    )
    answer = {"gn-0007": {"status": "refused", "code": "RING_EPOCH"}}
    monkeypatch.setattr(push, "push", lambda *_: answer)
    assert run(city, "ring", "push") == 0
    assert "has edition 1" in capsys.readouterr().out
    answer["gn-0007"]["code"] = "RING_REFUSED"
    assert run(city, "ring", "push") == 1


@pytest.mark.parametrize("days", ["0", "-5", "99999999"])
def test_no_certificate_ends_before_it_begins(city: City, tmp_path: Path, days: str, capsys) -> None:
    assert run(city, "enrol", str(tmp_path / "none"), "-o", str(tmp_path / "b"), "--days", days) != 0
    assert "NUMBER_OUT_OF_RANGE" in capsys.readouterr().err


@pytest.mark.parametrize(("port", "right"), [(1, True), (65_535, True), (65_536, False), (0, False)])
def test_a_brokers_port_is_one(port: int, right: bool) -> None:
    assert form.is_broker(f"mqtts://h:{port}") is right


def test_a_key_for_no_days_is_none(city: City) -> None:
    from agent.centre.city import read_signing_key
    from agent.command.keyring import Role
    from agent.errors import ConfigError
    from tests.town import no_passphrase

    root = read_signing_key(city.at("root", "root.pem"), city.root.kid, no_passphrase)
    with pytest.raises(ConfigError, match="RING_REFUSED"):
        rings.add_key(city, root, rings.Grant(Role.OFFICER, "김OO", 0), 1_800_000_000_000)


class Reluctant:
    """A wire to a broker that does not want it at first."""

    def __init__(self, *faults: UplinkFault) -> None:
        self.faults = list(faults)

    def open(self, _: float) -> None:
        if self.faults:
            raise self.faults.pop(0)


def test_a_broker_that_is_away_or_refuses_is_waited_for_and_each_reason_is_said_once(capsys) -> None:
    gone = UplinkFault("BROKER_UNREACHABLE", "the broker cannot be reached", reason="refused")
    denied = UplinkFault("BROKER_REFUSED", "the broker refuses", reason="not authorized")
    paused: list[float] = []
    broker_line.opened(Reluctant(gone, gone, denied, gone), 1.0, paused.append)
    assert len(paused) == 4
    err = capsys.readouterr().err
    assert (err.count("BROKER_UNREACHABLE"), err.count("BROKER_REFUSED")) == (1, 1)
    assert "trying again" in err
    assert "Connected" in err.splitlines()[-1]


def test_a_broker_that_goes_is_told_once_and_one_that_blinks_is_not() -> None:
    line = broker_line.Line()
    said = [
        line.turn(at_s, connected=up)
        for at_s, up in ((0, True), (1, False), (3, True), (4, False), (8, False))
    ]
    assert said == [""] * 5
    assert [line.turn(at_s, connected=False) for at_s in (9, 10, 99)] == [broker_line.AWAY, "", ""]
    assert [line.turn(100, connected=True), line.turn(101, connected=True)] == [broker_line.BACK, ""]
    assert "the broker: is gone" in show_alarm(Alarm(1, "", broker_line.AWAY, {}))


def test_a_city_without_boxes_says_what_comes_next(city: City, capsys) -> None:
    assert run(city, "watch", "--once") != 0  # no broker
    assert "pasu centre enrol" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words", "found"),
    [
        (
            "disaster.start",
            ["reason=태풍 경보", "ground=disaster", "centre=", "minutes=720"],
            {"reason": "태풍 경보", "ground": "disaster", "centre": "", "minutes": 720},
        ),
        ("disaster.stop", ["reason=해제"], {"reason": "해제"}),
        (
            "stream.grant",
            ["camera=cam01", "operator=김", "purpose=crime-prevention", "ground=monitoring", "minutes=15"],
            {
                "camera": "cam01",
                "operator": "김",
                "purpose": "crime-prevention",
                "ground": "monitoring",
                "minutes": 15,
            },
        ),
    ],
)
def test_what_is_typed_becomes_the_arguments_of_a_command(name, words, found):
    assert centre_command._arguments(Namespace(name=name, arguments=words, utc=False)) == found


def test_minutes_beyond_what_a_disaster_may_last_are_refused():
    typed = Namespace(
        name="disaster.start", arguments=["reason=a", "ground=disaster", "minutes=721"], utc=False
    )
    with pytest.raises(UsageError) as caught:
        centre_command._arguments(typed)
    assert caught.value.code == "COMMAND_ARGUMENT"


@pytest.fixture
def two_desks(city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what countersigns, at another desk and without a network, what a first one has signed."""
    root_key = cities.read_key(city.at("root", "root.pem"), lambda _: b"")
    for name, role in (("kim", Role.OFFICER), ("lee", Role.DEPARTMENT)):
        rings.add_key(city, root_key, rings.Grant(role, name), time.time_ns() // 1_000_000)
    order = ["command", "gn-0007", "hold.release", "hold=h1", "reason=over"]
    assert run(city, *order, "--as", "kim", "--print") == 0
    file = tmp_path / "order.jws"
    file.write_text(capsys.readouterr().out)

    def countersign(*more: str, box: str = "gn-0007") -> tuple[int, str, str]:
        status = run(city, "command", box, "countersign", f"order=@{file}", "--as", "lee", "--print", *more)
        return (status, *capsys.readouterr())

    return countersign


def test_whoever_signs_as_the_second_sees_what_is_ordered_and_by_whom(two_desks) -> None:
    status, out, told = two_desks()
    assert status == 0
    _, body = jws.peek(out.strip())
    assert body["command"] == "countersign"
    for word in ("hold.release: ", "kim (officer, ", "hold", "h1", "reason", "over", "counts until"):
        assert word in told


@pytest.mark.parametrize(
    ("answer", "more", "signed"),
    [("y\n", [], True), ("\n", [], False), ("", [], False), ("", ["--yes"], True)],
)
def test_in_a_terminal_nothing_is_signed_unasked(two_desks, monkeypatch, answer, more, signed) -> None:
    keyboard = io.StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    status, out, told = two_desks(*more)
    assert (status == 0, out != "") == (signed, signed)
    assert ("SECOND_DECLINED" in told) is not signed


def test_what_was_shown_is_signed_also_when_the_file_is_exchanged_meanwhile(
    two_desks, tmp_path: Path, monkeypatch
) -> None:
    """Whoever writes to the folder in which an order is handed on exchanges it while the second one reads."""
    file = tmp_path / "order.jws"
    shown = file.read_text().strip()

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, *_: Any) -> str:
            file.write_text("another order")
            return "y\n"

    monkeypatch.setattr("sys.stdin", Keyboard())
    status, out, _ = two_desks()
    assert status == 0
    _, body = jws.peek(out.strip())
    assert body["arguments"]["order"] == shown


def test_an_order_for_another_box_is_not_signed(two_desks) -> None:
    status, out, told = two_desks(box="gn-0008")
    assert (status, out) == (2, "")
    assert "COMMAND_BOX" in told
