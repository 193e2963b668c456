"""What is wrong with a camera, which of its streams to record, and what is written of it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.secrets import Login, quoted
from agent.config.values import Purpose
from agent.onvif import factory, findings, places, proposal
from agent.onvif.factory import MAX_TRIES, candidates, is_factory, may_try
from agent.onvif.findings import TEXTS, Finding, Severity, obstacles
from agent.onvif.model import Camera, Device, LogIn, Stream, by_source
from agent.onvif.places import Interface
from agent.onvif.proposal import BASES, Addition, appended, camera_tables, log_in_tables, next_id

MAIN = Stream("rtsp://10.0.0.11/main", "main", "h264", 1920, 1080, 15.0, shown=True, log_in=LogIn.GOOD)
SUB = Stream("rtsp://10.0.0.11/sub", "sub", "h264", 640, 360, 15.0, shown=True, log_in=LogIn.GOOD)
RIGHT = Camera("10.0.0.11", "https://10.0.0.11/onvif", streams=(SUB, MAIN), log_in=LogIn.GOOD, clock_ms=900)
DOCS = Path(__file__).resolve().parents[3] / "docs" / "discover.md"


def codes(camera: Camera) -> list[str]:
    return [found.code for found in findings.findings(camera)]


def test_a_camera_with_which_all_is_well() -> None:
    assert codes(RIGHT) == []
    assert obstacles(RIGHT, ()) == ()
    assert (RIGHT.main, RIGHT.sub) == (MAIN, SUB)


def test_the_stream_to_record_is_the_largest_that_can_be_used() -> None:
    foreign = Stream("", width=9999, height=9999, foreign="192.0.2.9")
    dead = replace(MAIN, url="rtsp://10.0.0.11/4k", width=3840, height=2160, fault="status")
    assert replace(RIGHT, streams=(foreign, dead, SUB, MAIN)).main == MAIN
    unsaid = Stream("rtsp://10.0.0.11/x", shown=True)
    assert (
        replace(RIGHT, streams=(replace(unsaid, url="rtsp://10.0.0.11/y", shown=False), unsaid)).main
        == unsaid
    )
    assert replace(RIGHT, streams=(unsaid,)).sub is None
    assert replace(RIGHT, streams=(MAIN, replace(MAIN, name="twice"))).sub is None
    assert replace(RIGHT, streams=(foreign,)).main is None
    assert replace(RIGHT, streams=(foreign,)).sub is None
    wants = replace(MAIN, shown=False, log_in=LogIn.NEEDED, fault="auth_missing")
    assert replace(RIGHT, streams=(wants,)).main == wants


def test_what_a_camera_is_called() -> None:
    assert RIGHT.title == "10.0.0.11"
    assert replace(RIGHT, device=Device("Hanwha", "XN")).title == "Hanwha XN"
    assert replace(RIGHT, name="입구", device=Device("Hanwha")).title == "입구"


def test_a_device_with_several_lenses_is_several_cameras() -> None:
    left, right = replace(MAIN, source="1"), replace(MAIN, url="rtsp://10.0.0.11/2", source="2")
    both = by_source(replace(RIGHT, name="문", streams=(left, replace(SUB, source="1"), right)))
    assert [(camera.name, len(camera.streams)) for camera in both] == [("문 1", 2), ("문 2", 1)]
    assert by_source(RIGHT) == (RIGHT,)


def test_d12_a_factory_password_is_an_alarm_and_keeps_a_camera_out_unless_waived() -> None:
    weak = replace(RIGHT, factory=True)
    assert codes(weak) == ["factory-password"]
    assert findings.findings(weak)[0].severity is Severity.ALARM
    assert [found.code for found in obstacles(weak, ())] == ["factory-password"]
    assert obstacles(weak, ("factory-password",)) == ()
    assert obstacles(weak, ("basic-only",)) != ()


def test_d15_a_password_in_clear_is_an_alarm_unless_waived() -> None:
    for weak in (
        replace(RIGHT, log_in=LogIn.BASIC, streams=()),
        replace(RIGHT, streams=(replace(MAIN, log_in=LogIn.BASIC, shown=False, fault="auth_unsupported"),)),
        replace(RIGHT, streams=(replace(MAIN, basic=True),)),
    ):
        assert codes(weak) == ["basic-only"]
        assert obstacles(weak, ()) != ()
        assert obstacles(weak, ("basic-only",)) == ()


@pytest.mark.parametrize(
    ("way", "code"), [(LogIn.NEEDED, "log-in-needed"), (LogIn.REFUSED, "log-in-refused")]
)
def test_a_camera_that_does_not_let_us_in_cannot_be_added(way: LogIn, code: str) -> None:
    assert codes(replace(RIGHT, log_in=way, streams=())) == [code]
    assert obstacles(replace(RIGHT, log_in=way), ("factory-password", "basic-only")) != ()


def test_one_that_lets_everybody_in() -> None:
    assert codes(replace(RIGHT, streams=(replace(MAIN, log_in=LogIn.OPEN),))) == ["no-log-in"]
    assert codes(replace(RIGHT, streams=(replace(MAIN, log_in=LogIn.OPEN, shown=False),))) == []


@pytest.mark.parametrize(
    ("change", "figures"),
    [
        ({"fps": 14.9}, "1920x1080, 14.9/s"),
        ({"width": 240, "height": 319}, "240x319, 15/s"),
        ({"width": 320, "height": 239}, "320x239, 15/s"),
        ({"width": None, "fps": 5.0}, "?x1080, 5/s"),
        ({"height": 200, "fps": None}, "1920x200, ?/s"),
    ],
)
def test_d8_a_stream_below_the_floor(change: dict[str, object], figures: str) -> None:
    found = findings.findings(replace(RIGHT, streams=(replace(MAIN, **change),)))
    assert [(each.code, each.figures) for each in found] == [("below-floor", figures)]


@pytest.mark.parametrize(
    "change", [{"fps": 15.0}, {"width": 240, "height": 320}, {"fps": None}, {"width": None, "height": None}]
)
def test_d8_a_stream_at_the_floor_or_that_does_not_say(change: dict[str, object]) -> None:
    assert codes(replace(RIGHT, streams=(replace(MAIN, **change),))) == []


@pytest.mark.parametrize(("clock_ms", "is_off"), [(5000, False), (5001, True), (-5001, True), (None, False)])
def test_a_clock_more_than_five_seconds_off(clock_ms: int | None, is_off: bool) -> None:
    assert codes(replace(RIGHT, clock_ms=clock_ms)) == (["clock-off"] if is_off else [])


def test_all_that_can_be_wrong_at_once_the_worst_first() -> None:
    worst = Camera(
        "10.0.0.11",
        "http://10.0.0.11/onvif",
        streams=(replace(SUB, audio=("G711",), url="", foreign="192.0.2.9"),),
        telnet=True,
        clock_ms=-3_600_000,
        faults=("redirect", "too-long"),
    )
    assert codes(worst) == [
        "no-stream", "foreign-address", "audio-on", "telnet-open", "clock-off", "odd-answers", "plain-http",
    ]  # fmt: skip
    assert codes(replace(worst, foreign="192.0.2.8"))[:2] == ["no-stream", "foreign-address"]
    assert "redirect, too-long" in findings.findings(worst)[5].text


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_every_finding_is_said_in_both_languages_and_is_in_the_document(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Finding(code, Severity.WARNING, "figures")
    assert f"`{code}`" in DOCS.read_text(encoding="utf-8")
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert re.search("[가-힣]", found.text)
    assert re.search("[가-힣]", found.remedy)
    monkeypatch.setenv("LC_ALL", "C")
    assert found.text.isascii()
    assert found.remedy.isascii()
    assert "(figures)" in found.text


def test_d12_few_log_ins_are_tried_so_that_no_camera_locks_itself() -> None:
    for maker, _ in factory._BY_MAKER:
        tries = candidates(Device(maker))
        assert 1 <= len(tries) <= MAX_TRIES < 5
        assert all(is_factory(user, word) for user, word in tries)
    assert candidates(Device("HANWHA Vision", "XNO")) == candidates(Device("hanwha"))
    assert ("admin", "admin") in candidates(Device())


def test_d12_a_log_in_that_is_typed_may_be_a_factorys_too() -> None:
    assert is_factory("Admin", "12345")
    assert is_factory("viewer", "Viewer")
    assert not is_factory("viewer", "jX9-flood-lamp")


def test_d12_log_ins_are_tried_where_none_is_known_or_beside_one_that_is_taken() -> None:
    own = Login("installer", "Fern-Kettle-82")

    def camera(by_onvif: LogIn, by_rtsp: LogIn) -> Camera:
        return Camera("10.0.0.11", log_in=by_onvif, streams=(Stream("rtsp://10.0.0.11/a", log_in=by_rtsp),))

    assert camera(LogIn.OPEN, LogIn.GOOD).ways == {LogIn.OPEN, LogIn.GOOD}
    assert may_try(camera(LogIn.NEEDED, LogIn.UNKNOWN), None)
    assert not may_try(camera(LogIn.OPEN, LogIn.OPEN), None)
    for taken in (camera(LogIn.GOOD, LogIn.UNKNOWN), camera(LogIn.OPEN, LogIn.GOOD)):
        assert may_try(taken, own)
    for way in (LogIn.REFUSED, LogIn.BASIC, LogIn.UNKNOWN):
        assert not may_try(camera(way, way), own)


def test_ids_are_the_first_that_are_free() -> None:
    assert next_id(()) == "cam01"
    assert next_id({"cam01", "cam03"}) == "cam02"


def test_what_is_written_is_read_back_whatever_is_in_it() -> None:
    hard = 'a"b\\c\x7f\u2028 길'
    many = [
        Addition(
            "cam01",
            hard,
            "rtsp://10.0.0.11/main",
            "rtsp://10.0.0.11/sub",
            "crime-prevention",
            "법",
            allow_basic=True,
            username="u",
            password=hard,
            view=hard,
        ),
        Addition("cam02", "n", "rtsp://10.0.0.12/main", "", "crime-prevention", "법"),
    ]
    read = tomllib.loads(camera_tables(many))["camera"]
    assert read[0] == {
        "id": "cam01", "name": hard, "url": "rtsp://10.0.0.11/main", "sub_url": "rtsp://10.0.0.11/sub",
        "purpose": "crime-prevention", "legal_basis": "법", "view": hard, "allow_basic_auth": True,
    }  # fmt: skip
    assert set(read[1]) == {"id", "name", "url", "purpose", "legal_basis"}
    assert tomllib.loads(log_in_tables(many)) == {"camera": {"cam01": {"username": "u", "password": hard}}}
    assert hard not in repr(many)
    assert tomllib.loads(f"a = {quoted(hard)}")["a"] == hard


def test_d12_what_was_put_up_with_stands_beside_the_camera() -> None:
    waived = Addition(
        "cam01", "n", "rtsp://10.0.0.11/main", "", "crime-prevention", "법", waived=("factory-password",)
    )
    assert "[[camera]]\n# waived when it was added: factory-password\nid = " in camera_tables([waived])


def test_what_stands_in_a_file_is_not_touched() -> None:
    assert appended(b"# mine\na = 1", "\n[b]\n") == b"# mine\na = 1\n\n[b]\n"
    assert appended(b"# mine\n", "\n[b]\n") == b"# mine\n\n[b]\n"
    assert appended(b"", "\n[b]\n") == b"[b]\n"


def test_a_legal_basis_is_proposed_for_purposes_that_there_are() -> None:
    assert set(BASES) < {purpose.value for purpose in Purpose}
    assert proposal.BASES["crime-prevention"].endswith("제2호")


LO, CAMERAS = Interface("lo", "127.0.0.1/8"), Interface("eth1", "10.0.0.1/24")
OUTSIDE, TUNNEL = Interface("eth0", "192.168.0.7/24"), Interface("pasu0", "10.77.0.2/32")


def test_cameras_are_looked_for_on_their_own_network() -> None:
    chosen = places.choose([LO, OUTSIDE, CAMERAS, TUNNEL], "pasu0", ("eth0",))
    assert chosen.chosen == (CAMERAS,)
    assert set(chosen.left_out) == {(LO, "loopback"), (OUTSIDE, "route"), (TUNNEL, "tunnel")}


def test_with_one_line_for_all_there_is_no_choice() -> None:
    chosen = places.choose([LO, OUTSIDE, TUNNEL], "pasu0", ("eth0",))
    assert chosen.chosen == (OUTSIDE,)
    assert (OUTSIDE, "route") not in chosen.left_out


def test_an_answer_comes_from_the_network_that_was_asked() -> None:
    assert CAMERAS.own == "10.0.0.1"
    assert CAMERAS.holds("10.0.0.200")
    assert not CAMERAS.holds("10.0.1.200")
    assert not CAMERAS.holds("camera.local")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("10.0.0.11", "10.0.0.11"),
        ("fd00::0:1", "fd00::1"),
        ("camera.local", None),
        ("239.255.255.250", None),
        ("0.0.0.0", None),
        ("fe80::1%eth0", None),
    ],
)
def test_a_host_is_one_address(text: str, read: str | None) -> None:
    assert places.host(text) == read


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("10.0.0.0/24", 254),
        ("10.0.0.7/24", 254),
        ("192.168.0.0/22", 1022),
        ("10.0.0.0/21", None),
        ("8.8.8.0/24", None),
        ("fd00::/120", None),
        ("cameras", None),
    ],
)
def test_a_network_is_private_and_small(text: str, count: int | None) -> None:
    hosts = places.network(text)
    assert (None if hosts is None else len(hosts)) == count


def test_default_routes() -> None:
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth0\t00000000\t0200A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
        "eth1\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "odd\n"
    )
    assert places.default_routes(table) == ("eth0",)
    assert places.default_routes("") == ()
