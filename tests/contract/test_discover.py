"""`pasu discover` against cameras of our own that say what ONVIF lets them say, and what it does not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import re
import socket
import socketserver
import threading
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from agent.cli import discover_view
from agent.cli.discover import _audio_off
from agent.cli.discover_talk import Talk
from agent.cli.main import main
from agent.config import Login, load
from agent.demo.onvif import _ENVELOPE, _MATCH, OnvifCamera, OnvifSpec
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.field.cameras_file import add_cameras
from agent.field.discovering import Found, Known, Request, find, interfaces, known, places
from agent.log_ins import LogIns
from agent.onvif import session
from agent.onvif.ask_rtsp import describe
from agent.onvif.examine import Manner, Place, examine, is_open, silence, who_listens
from agent.onvif.findings import findings, obstacles
from agent.onvif.model import LogIn
from agent.onvif.places import Interface
from agent.onvif.post import MAX_REQUESTS, Post
from agent.onvif.screen import AnswerError
from agent.onvif.search import MAX_PER_HOST, _Listener, probes, read, search
from tests.onvif import LO, Cameras, own_loopback, spec
from tests.unit.config.samples import RIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from agent.onvif.model import Camera

LOOPBACK = Interface("lo", "127.0.0.1/8")
WORD = "S3cret-flood-lamp"
PLAIN = Manner()


def asked(
    camera: OnvifCamera, login: Login | None = None, manner: Manner = PLAIN
) -> tuple[Camera, Login | None]:
    return asyncio.run(examine(Place(LO, camera.service), login, manner))


def codes(camera: Camera) -> list[str]:
    return [found.code for found in findings(camera)]


@pytest.fixture(scope="module", autouse=True)
def _own_network():
    with own_loopback("contract"):
        yield


# ------------------------------------------------------------------ searching


def test_cameras_answer_a_search_each_once() -> None:
    with Cameras([spec("문 앞"), spec("cam2")], search=LO) as cameras:
        found = asyncio.run(search([LOOPBACK], 1.0))
        assert {(each.name, each.services) for each in found} == {
            ("문 앞", (cameras[0].service,)),
            ("cam2", (cameras[1].service,)),
        }


def test_d14_a_camera_that_answers_ten_thousand_times_is_one_camera_and_the_others_are_found() -> None:
    with (
        Cameras([spec("quiet")], search=LO) as quiet,
        Cameras([spec("babbler", quirks={"babbles": 10_000})], search=LO),
    ):
        found = asyncio.run(search([LOOPBACK], 2.0))
        # All of loopback is one host, so that its answers are counted together: what counts is that they end.
        assert 1 <= len(found) <= MAX_PER_HOST
        assert len({each.services for each in found}) == len(found)
        assert quiet[0].service


def test_d14_ten_thousand_answers_of_one_host_cost_another_nothing() -> None:
    (identity, _), *_ = probes()
    heard: dict[object, object] = {}
    listener = _Listener(Interface("eth1", "10.0.0.1/24"), {identity}, heard)  # type: ignore[arg-type]
    for number in range(10_000):
        listener.datagram_received(answer(identity, f"http://10.0.0.66/{number}"), ("10.0.0.66", 3702))
    assert len(heard) == MAX_PER_HOST
    listener.datagram_received(answer(identity, "http://10.0.0.11/onvif"), ("10.0.0.11", 3702))
    assert ("10.0.0.11", ("http://10.0.0.11/onvif",)) in heard


def test_d14_an_answer_from_another_network_than_was_asked_is_not_heard() -> None:
    with Cameras([spec()], search=LO):
        narrow = Interface("lo", "127.0.0.1/8")
        assert asyncio.run(search([narrow], 0.6))
    other = Interface("lo", "127.0.0.1/32")
    (identity, _), *_ = probes()
    heard: dict[object, object] = {}
    listener = _Listener(other, {identity}, heard)  # type: ignore[arg-type]
    for host, counts in (("127.0.0.2", False), ("127.0.0.1", True)):
        listener.datagram_received(answer(identity, f"http://{host}/onvif"), (host, 3702))
        assert bool(heard) is counts


def answer(relates: str, services: str, extra: str = "") -> bytes:
    return _MATCH.format(serial="1", relates=relates, scopes=extra, service=services).encode()


def test_only_answers_to_our_own_question_count() -> None:
    (identity, question), *_ = probes()
    assert b"NetworkVideoTransmitter" in question
    assert len(read(answer(identity, "http://10.0.0.11/onvif"), "10.0.0.11", {identity})) == 1
    assert read(answer("urn:uuid:other", "http://10.0.0.11/onvif"), "10.0.0.11", {identity}) == []
    assert read(question, "10.0.0.11", {identity}) == []
    assert read(b"<!DOCTYPE a><a/>", "10.0.0.11", {identity}) == []
    assert read(b"", "10.0.0.11", {identity}) == []
    assert read(b"<a>" * 20_000 + b"</a>" * 20_000, "10.0.0.11", {identity}) == []


def test_where_no_search_can_be_sent_that_is_an_error() -> None:
    with pytest.raises(OSError, match=r"."):
        asyncio.run(search([Interface("none0", "192.0.2.1/24")], 0.5))


def test_loopback_is_an_interface_and_is_not_searched_unless_named() -> None:
    assert LOOPBACK in interfaces()
    assert places(["lo"], None).chosen == (LOOPBACK,)
    assert places([], None).left_out == ((LOOPBACK, "loopback"),)


# ------------------------------------------------------------------ log-ins


def test_without_and_with_the_wrong_and_the_right_log_in() -> None:
    with Cameras([spec(username="viewer", password=WORD)]) as cameras:
        camera, _ = asked(cameras[0])
        assert camera.log_in is LogIn.NEEDED
        assert cameras[0].log_ins == []  # nothing was tried, and nothing that a camera would count
        assert "log-in-needed" in codes(camera)
        camera, _ = asked(cameras[0], Login("viewer", "wrong"))
        assert camera.log_in is LogIn.REFUSED
        assert cameras[0].log_ins == [False]  # a wrong one is never tried twice
        camera, _ = asked(cameras[0], Login("viewer", WORD))
        assert camera.log_in is LogIn.GOOD
        assert [(each.width, each.height, each.fps) for each in camera.streams] == [(640, 360, 15)]


@pytest.mark.parametrize(
    "quirks", [{}, {"clock": 86_400.0}, {"clock": -86_400.0}, {"digest": 1.0}, {"closed_time": 1.0}]
)
def test_the_right_log_in_is_taken_whatever_the_cameras_clock_and_way(quirks: dict[str, float]) -> None:
    with Cameras([spec(username="viewer", password=WORD, quirks=quirks)]) as cameras:
        camera, _ = asked(cameras[0], Login("viewer", WORD))
        assert camera.log_in is LogIn.GOOD
        assert ("clock-off" in codes(camera)) is ("clock" in quirks)
        assert False not in cameras[0].log_ins


def test_d15_the_password_is_never_on_the_wire(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    every = [
        spec(username="viewer", password=WORD, quirks=quirks)
        for quirks in ({}, {"digest": 1.0}, {"basic": 1.0})
    ]
    with Cameras(every) as cameras:
        ways = [asked(cameras[number], Login("viewer", WORD))[0].log_in for number in range(3)]
        assert ways == [LogIn.GOOD, LogIn.GOOD, LogIn.BASIC]
        heard = "".join(
            text for number in range(3) for text in (*cameras[number].heads, *cameras[number].bodies)
        )
    assert "PasswordDigest" in heard
    for secret in (
        WORD,
        base64.b64encode(WORD.encode()).decode(),
        base64.b64encode(f"viewer:{WORD}".encode()).decode(),
    ):
        assert secret not in heard
        assert secret not in caplog.text


def test_d12_factory_passwords_are_tried_only_with_consent_and_only_a_few() -> None:
    weak = spec("weak", username="admin", password="1234", maker="Truen")
    strong = spec("strong", username="admin", password=WORD)
    with Cameras([weak, strong]) as cameras:
        assert asked(cameras[0])[0].log_in is LogIn.NEEDED
        assert cameras[0].log_ins == []
        camera, login = asked(cameras[0], manner=Manner(factory=True))
        assert camera.factory
        assert (
            (login.username, login.password) == ("admin", "1234")
            if login
            else pytest.fail("no log-in came back")
        )
        assert next(each.code for each in obstacles(camera, ())) == "factory-password"
        assert cameras[0].log_ins.count(False) <= 2
        camera, login = asked(cameras[1], manner=Manner(factory=True))
        assert (camera.log_in, login) == (LogIn.NEEDED, None)
        assert cameras[1].log_ins == [False, False, False]


def test_d12_a_factory_log_in_beside_the_installers_own_is_found() -> None:
    own = Login("installer", WORD)
    weak = spec(username="installer", password=WORD, maker="Truen", also=("admin", "1234"))
    strong = spec(username="installer", password=WORD)
    with Cameras([weak, strong]) as cameras:
        camera, login = asked(cameras[0], own)
        assert (camera.factory, False in cameras[0].log_ins) == (False, False), "nobody asked for it"
        camera, login = asked(cameras[0], own, manner=Manner(factory=True))
        assert (camera.factory, camera.log_in, login) == (True, LogIn.GOOD, own)
        assert "factory-password" in [each.code for each in obstacles(camera, ())]
        assert cameras[0].log_ins.count(False) == 0, "its maker's own comes first"
        camera, login = asked(cameras[1], own, manner=Manner(factory=True))
        assert (camera.factory, camera.log_in, login) == (False, LogIn.GOOD, own)
        assert cameras[1].log_ins.count(False) == 3
        assert camera.streams


def test_d12_none_is_tried_beside_a_log_in_that_was_refused() -> None:
    with Cameras([spec(username="installer", password=WORD, also=("admin", "admin"))]) as cameras:
        camera, login = asked(cameras[0], Login("installer", "wrong"), manner=Manner(factory=True))
        assert (camera.factory, camera.log_in) == (False, LogIn.REFUSED)
        assert login is not None
        assert cameras[0].log_ins == [False]


@pytest.mark.parametrize("typed", [True, False])
def test_d12_a_wrong_factory_log_in_is_never_tried_twice(typed: bool) -> None:
    """Neither when somebody types the log-in after all were refused, nor when sound was turned off."""
    own = Login("installer", WORD)
    with Cameras([spec(username="installer", password=WORD)], search=LO) as cameras:

        async def ask(_camera: Camera) -> Login | None:
            return own

        request = Request((LOOPBACK,), seconds=1.0, manner=Manner(factory=True))
        knows = Known() if typed else Known(None, (("cam01", f"rtsp://{LO}/main", own),))
        (found,) = asyncio.run(find(request, knows, ask))
        assert (found.camera.log_in, found.login) == (LogIn.GOOD, own)
        assert cameras[0].log_ins.count(False) == 3
        (again,) = asyncio.run(_audio_off([found], request, quiet=True))
        assert "GetProfiles" in cameras[0].asked
        assert again.camera.log_in is LogIn.GOOD
        assert not any(stream.audio for stream in again.camera.streams)
        assert cameras[0].log_ins.count(False) == 3


def test_d12_a_factory_log_in_stays_found_when_sound_was_turned_off() -> None:
    own = Login("installer", WORD)
    with Cameras([spec(username="installer", password=WORD, also=("admin", "admin"))]) as cameras:
        request = Request(manner=Manner(factory=True))
        camera, login = asked(cameras[0], own, request.manner)
        (again,) = asyncio.run(_audio_off([Found(camera, login)], request, quiet=True))
        assert again.camera.factory
        assert not any(stream.audio for stream in again.camera.streams)


def test_d12_a_factory_password_that_onvif_refused_is_not_offered_to_rtsp_too() -> None:
    host, heard = "127.0.9.3", []

    class Streams(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            said = self.rfile.read1(4096)
            heard.append(said)
            sequence = re.search(rb"CSeq: \d+", said)
            head = b"RTSP/1.0 401 -\r\n" + (sequence[0] if sequence else b"")
            self.wfile.write(head + b'\r\nWWW-Authenticate: Digest realm="c", nonce="n"\r\n\r\n')
            heard.append(self.rfile.read1(4096))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server((host, 554), Streams) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Cameras([spec(username="admin", password=WORD, host=host)]) as cameras:
            asyncio.run(examine(Place(host, cameras[0].service), None, Manner(factory=True)))
            assert cameras[0].log_ins == [False, False, False]
            assert any(b"RTSP/1.0" in said for said in heard)
            assert not any(b"Authorization" in said for said in heard)
        server.shutdown()


def test_d12_a_factory_password_that_is_typed_is_found_too() -> None:
    with Cameras([spec(username="admin", password="12345")]) as cameras:
        assert "factory-password" in codes(asked(cameras[0], Login("admin", "12345"))[0])


def test_a_maker_that_keeps_onvifs_users_apart_is_asked_by_rtsp_with_the_same_log_in() -> None:
    host = "127.0.9.2"
    stream = CameraSpec(1, host=host, port=554, username="viewer", password=WORD, audio="none")
    with CameraProcess([stream]), Cameras([spec(username="other", password="other", host=host)]) as cameras:
        place = Place(host, cameras[0].service)
        camera, _ = asyncio.run(examine(place, Login("viewer", WORD), PLAIN))
        assert (camera.log_in, camera.faults) == (LogIn.GOOD, ("not-authorised",))
        assert camera.main is not None
        assert obstacles(camera, ()) == ()
        asyncio.run(examine(place, Login("viewer", "wrong"), PLAIN))
        assert cameras[0].log_ins == [False, False]


# ------------------------------------------------------------------ hostile cameras


@pytest.mark.parametrize(
    ("quirk", "fault"),
    [("redirect", "redirect"), ("bomb", "declarations"), ("huge", "too-long"), ("silent", "timeout")],
)
def test_d14_what_a_hostile_camera_answers_is_refused_by_name(quirk: str, fault: str) -> None:
    with Cameras([spec(quirks={quirk: 1.0})]) as cameras:
        camera, _ = asked(cameras[0], Login("viewer", WORD))
        assert camera.faults == (fault,)
        assert "odd-answers" in codes(camera)
        assert len(cameras[0].heads) < 5
        assert (
            cameras[0].poured < 32 * 1024 * 1024
        )  # of a hundred: what two sockets hold, and no more is taken


def test_d14_a_media_service_on_another_host_is_asked_on_the_camera_itself() -> None:
    with Cameras([spec(quirks={"foreign_service": 1.0})]) as cameras:
        camera, _ = asked(cameras[0])
        assert "foreign-address" in codes(camera)
        assert len(camera.streams) == 1
        assert "GetProfiles" in cameras[0].asked


def test_d14_a_stream_on_another_host_is_shown_and_never_asked_for() -> None:
    with Cameras([spec(quirks={"foreign_stream": 1.0})]) as cameras:
        camera, _ = asked(cameras[0])
        assert camera.main is None
        assert camera.streams[0].foreign == "192.0.2.9"
        assert {"no-stream", "foreign-address"} <= set(codes(camera))


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"RTSP/1.0 302 -\r\nCSeq: 1\r\nLocation: rtsp://192.0.2.9/main\r\n\r\n", "redirect_refused"),
        (b"$" * 65_536, "limit"),
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n", "limit"),
        (b"", "closed"),
    ],
)
def test_d14_what_a_hostile_stream_answers_is_refused_by_name(said: bytes, fault: str) -> None:
    class Streams(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.read1(4096)
            with contextlib.suppress(OSError):
                for _ in range(64 if fault == "limit" else 1):
                    self.wfile.write(said)

    with socketserver.ThreadingTCPServer((LO, 0), Streams) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stream = asyncio.run(describe(f"rtsp://{LO}:{server.server_address[1]}/main", Login("viewer", WORD)))
        server.shutdown()
    assert (stream.fault, stream.shown) == (fault, False)


def test_a_name_with_escapes_is_shown_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    with Cameras([spec("door", quirks={"escapes": 1.0})]) as cameras:
        camera, _ = asked(cameras[0])
        assert camera.device.model == "\\x9b31mdoor\\u202e"
        discover_view.show([Found(camera)], Known())
    shown = capsys.readouterr().out
    assert "\u009b" not in shown
    assert "\u202e" not in shown


def test_d8_small_and_slow_pictures_by_what_the_camera_says() -> None:
    with Cameras([spec(quirks={"small": 1.0}), spec(quirks={"slow": 1.0})]) as cameras:
        small, slow = (asked(cameras[number])[0].streams[0] for number in range(2))
    assert (small.width, small.height, slow.fps) == (160, 120, 5)
    assert small.fault == "closed"  # nobody listens at its stream


def test_d14_nothing_is_posted_to_another_host_whoever_says_so() -> None:
    async def astray() -> None:
        post = Post(LO, "viewer", WORD)
        try:
            await post.post_xml("http://127.0.9.9/onvif", etree.Element("a"), {})
        finally:
            await post.aclose()

    with socket.create_server(("127.0.9.9", 80)) as other:
        other.setblocking(False)
        with pytest.raises(AnswerError, match="redirect"):
            asyncio.run(astray())
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_session_asks_no_more_than_it_may() -> None:
    async def many(service: str) -> None:
        async with session.Session(LO, service, None, lambda: 0) as asking:
            for _ in range(MAX_REQUESTS + 1):
                await asking.device()

    with Cameras([spec()]) as cameras, pytest.raises(AnswerError, match="too-many"):
        asyncio.run(many(cameras[0].service))


def test_d14_documents_that_are_long_deep_or_many_end() -> None:
    long = "<tt:Profiles/>" * 20_000
    deep = "<a>" * 50_000

    class Odd(OnvifCamera):
        text = ""

        def answer(self, body: str) -> tuple[int, str]:
            status, said = super().answer(body)
            return (200, self.text) if "GetProfiles" in self.asked[-1:] else (status, said)

    for text in (
        _ENVELOPE.format(f"<trt:GetProfilesResponse>{long}</trt:GetProfilesResponse>"),
        deep,
        "<a/>",
        "x" * 1000,
    ):
        with Cameras([spec()]) as cameras:
            cameras[0].__class__ = type("Answering", (Odd,), {"text": text, "__slots__": ()})
            camera, _ = asked(cameras[0])
            assert camera.streams == ()


def test_the_library_carries_its_wsdl_files_and_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = session.wsdl_folder()
    assert (folder / "devicemgmt.wsdl").is_file()
    assert (folder / "media.wsdl").is_file()
    import onvif.client

    onvif.client._DOCUMENT_CACHE.clear()
    looked_up: list[object] = []
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *args, **_: looked_up.append(args) or (_ for _ in ()).throw(OSError)
    )
    with Cameras([spec()]) as cameras:
        port = cameras[0].port
    asyncio.run(examine(Place(LO, f"http://{LO}:{port}/onvif"), None, PLAIN))  # nobody is there any more
    assert all(host in (LO, LO.encode()) for host, *_ in looked_up)


def test_telnet_and_hosts_that_listen() -> None:
    host = "127.0.23.1"
    with socket.create_server((host, 23)), socket.create_server((host, 554)):
        assert asyncio.run(is_open(host, 23))
        assert asyncio.run(who_listens([host, "127.0.23.2"])) == [Place(host)]
        camera, _ = asyncio.run(examine(Place(host, "http://127.0.23.1:9/onvif"), None, PLAIN))
    assert "telnet-open" in codes(camera)


# ------------------------------------------------------------------ whole cameras, with streams


@pytest.fixture(scope="module")
def fleet(_own_network):
    cameras = [
        CameraSpec(1, onvif=True, username="viewer", password=WORD, quirks="digest_sha256"),
        CameraSpec(2, onvif=True, audio="aac"),
        CameraSpec(3, onvif=True, audio="none", width=160, height=120, fps=10.0),
        CameraSpec(4, onvif=True, username="viewer", password=WORD, quirks="basic"),
        CameraSpec(5, host="127.0.9.1", port=554, username="viewer", password=WORD, audio="none"),
    ]
    with CameraProcess(cameras) as running:
        yield running


async def log_in(_camera: Camera) -> Login | None:
    return Login("viewer", WORD)


def by_name(found: list[Found]) -> dict[str, Found]:
    return {each.camera.name: each for each in found}


def test_the_demos_cameras_are_found_with_what_their_streams_say(fleet: CameraProcess) -> None:
    told: list[tuple[int, int]] = []
    found = by_name(
        asyncio.run(find(Request((LOOPBACK,), seconds=1.0), Known(), log_in, lambda *each: told.append(each)))
    )
    assert set(found) == {"cam01", "cam02", "cam03", "cam04"}
    assert told[-1] == (4, 4)
    first = found["cam01"].camera
    assert first.main is not None
    assert (first.main.url, first.main.codec, first.main.width, first.main.height) == (
        fleet.urls[1],
        "h264",
        640,
        360,
    )
    assert first.main.log_in is LogIn.GOOD
    assert "audio-on" in codes(first)
    assert "no-log-in" in codes(found["cam02"].camera)
    assert "below-floor" in codes(found["cam03"].camera)
    assert "basic-only" in codes(found["cam04"].camera)


def test_d15_a_password_in_clear_goes_out_only_where_that_is_waived(fleet: CameraProcess) -> None:
    request = Request((LOOPBACK,), seconds=1.0, manner=Manner(basic=True))
    camera = by_name(asyncio.run(find(request, Known(), log_in)))["cam04"].camera
    assert camera.basic
    assert camera.main is not None
    assert camera.main.shown
    assert obstacles(camera, ()) != ()
    assert obstacles(camera, ("basic-only",)) == ()


def test_a_host_that_speaks_no_onvif_is_asked_by_rtsp(fleet: CameraProcess) -> None:
    camera, _ = asyncio.run(examine(Place("127.0.9.1"), None, PLAIN))
    assert camera.log_in is LogIn.NEEDED
    camera, _ = asyncio.run(examine(Place("127.0.9.1"), Login("viewer", WORD), PLAIN))
    assert camera.service == ""
    assert camera.log_in is LogIn.GOOD
    assert camera.main is not None
    assert camera.main.url.startswith("rtsp://127.0.9.1/")


def test_a_microphone_that_is_on_and_that_the_stream_does_not_describe_is_warned_of(
    fleet: CameraProcess,
) -> None:
    with Cameras([spec(url=fleet.urls[3])]) as cameras:
        camera, _ = asked(cameras[0])
        assert [(each.shown, each.audio) for each in camera.streams] == [(True, ("G711",))]
        assert "audio-on" in codes(camera)
    twice = OnvifSpec("twice", [(fleet.urls[3], "h264", 160, 120, 10)] * 2)
    with Cameras([twice]) as cameras:
        first, _ = cameras[0].audio
        cameras[0].audio[first] = ""
        camera, _ = asked(cameras[0])
        assert [each.audio for each in camera.streams] == [("G711",)], "another profile of the same stream"


def test_sound_is_turned_off_and_that_is_asked_again(fleet: CameraProcess) -> None:
    camera = by_name(asyncio.run(find(Request((LOOPBACK,), seconds=1.0), Known(), log_in)))["cam02"].camera
    assert "audio-on" in codes(camera)
    assert asyncio.run(silence(camera, None)) == ()
    camera, _ = asyncio.run(examine(Place(LO, camera.service), None, PLAIN))
    assert camera.streams[0].shown
    assert "audio-on" not in codes(camera)


def test_art_11_a_camera_is_asked_what_it_is_and_never_to_move() -> None:
    """Regulation art. 11(1), as it is on the wire: whatever a camera offers, the one thing that is set is sound, off."""
    with Cameras([spec(username="viewer", password=WORD)]) as cameras:
        camera, login = asked(cameras[0], Login("viewer", WORD))
        assert asyncio.run(silence(camera, login)) == ()
        every, bodies = cameras[0].asked, "".join(cameras[0].bodies).lower()
    assert "GetProfiles" in every
    assert {name for name in every if not name.startswith("Get")} == {"RemoveAudioEncoderConfiguration"}
    assert "onvif.org/ver10/media" in bodies
    assert "ptz" not in bodies
    assert "onvif.org/ver20/imaging" not in bodies


def test_sound_that_stays_on_is_not_said_to_be_off() -> None:
    with Cameras([spec(quirks={"keeps_audio": 1.0})]) as cameras:
        camera, _ = asked(cameras[0])
        assert asyncio.run(silence(camera, None)) == ("main",)


# ------------------------------------------------------------------ the command


def test_it_is_all_there_as_json_and_no_password_with_it(
    fleet: CameraProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(RIGHT.replace("rtsp://10.0.0.11/main", fleet.urls[1]), encoding="utf-8")
    hidden = tmp_path / "secrets.toml"
    hidden.touch(mode=0o600)
    hidden.write_text(f'[camera.cam01]\nusername = "viewer"\npassword = "{WORD}"\n', encoding="utf-8")
    assert main(["discover", "--interface", "lo", "--seconds", "1", "--json", "--config", str(file)]) == 0
    out = capsys.readouterr()
    told = json.loads(out.out)
    first = next(each for each in told["cameras"] if each["known_as"] == "cam01")
    assert first["log_in"] == "good"
    assert first["main"] == fleet.urls[1]
    assert told["searched"] == [{"interface": "lo", "address": "127.0.0.1/8"}]
    assert WORD not in out.out + out.err
    assert file.read_text(encoding="utf-8").count("[[camera]]") == 1


@pytest.mark.parametrize("locale", ["ko_KR.UTF-8", "C.UTF-8"])
def test_it_says_where_nothing_is(
    locale: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    assert main(["discover", "--host", "127.0.99.1", "--config", str(tmp_path / "none.toml"), "--list"]) == 1
    assert "127.0.99.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--host", "camera.local"], "DISCOVER_HOST"),
        (["--net", "8.8.8.0/24"], "DISCOVER_NET"),
        (["--interface", "none0"], "DISCOVER_INTERFACE"),
        ([], "DISCOVER_NOWHERE"),  # there is loopback alone
        (["--seconds", "0"], "NUMBER_OUT_OF_RANGE"),
    ],
)
def test_what_was_mistyped_is_said(
    arguments: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["discover", *arguments, "--config", str(tmp_path / "none.toml")]) == 2
    assert code in capsys.readouterr().err


class Typist(io.StringIO):
    """Answers as if typed; what is not asked for any more is left."""

    def isatty(self) -> bool:
        return False


def test_what_is_chosen_is_added_with_what_a_configuration_wants_to_know(
    fleet: CameraProcess, tmp_path: Path
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("# ours, hands off\n" + RIGHT, encoding="utf-8")
    typed = Typist("viewer\n=\na\nBAD NAME\x07\n문 앞\ncam01\nCAM\ndoor\n9\n1\n\n문 앞 5 m\n\n\n\n\n\n")
    out = io.StringIO()
    talk = Talk(typed, out, lambda _: WORD)

    async def ask(camera: Camera) -> Login | None:
        return talk.log_in(camera)

    found = [
        each
        for each in asyncio.run(find(Request((LOOPBACK,), seconds=1.0), known(file), ask))
        if each.camera.name in ("cam01", "cam03", "cam04")
    ]
    found.sort(key=lambda each: each.camera.name)
    additions = talk.additions(found, known(file), ())
    add_cameras(file, additions)
    assert "cannot be added" in out.getvalue() or "넣을 수 없습니다" in out.getvalue()  # the one with Basic
    assert WORD not in out.getvalue()
    # What each shows stands where it is asked about: its profile's name, codec, size and rate.
    assert re.search(r"(?m)^   (picture|영상): \S.* · h264 \d+x\d+ [\d.]+/s$", out.getvalue()), out.getvalue()
    config = load(file)
    assert [camera.id for camera in config.cameras] == ["cam01", "door", "cam02"]
    added = config.camera("door")
    assert added is not None
    assert (added.name, added.url, added.purpose) == ("문 앞", fleet.urls[1], "crime-prevention")
    assert added.legal_basis == "개인정보 보호법 제25조제1항제2호"
    assert (added.view, config.cameras[2].view) == ("문 앞 5 m", None)
    assert not added.allow_basic_auth
    assert file.read_text(encoding="utf-8").startswith("# ours, hands off\n")
    secrets = LogIns(config.file).read()
    assert secrets.login("door") == Login("viewer", WORD)
    assert secrets.login("cam02") is None


def test_nobody_there_to_say_what_a_camera_is_for_then_nothing_is_added(
    fleet: CameraProcess, tmp_path: Path
) -> None:
    found = asyncio.run(find(Request((LOOPBACK,), seconds=1.0), Known(), log_in))
    with pytest.raises(KeyboardInterrupt):
        Talk(Typist("a\n"), io.StringIO()).additions(found, Known(), ())
    assert Talk(Typist(""), io.StringIO()).additions(found, Known(), ()) == []


def test_a_log_in_is_asked_again_when_it_cannot_be_one() -> None:
    from agent.onvif.model import Camera

    words = iter(["x" * 300, "good"])
    talk = Talk(Typist("a:b\nuser\nuser\n=\n\n"), io.StringIO(), lambda _: next(words))
    assert talk.log_in(Camera("10.0.0.11")) == Login("user", "good")
    assert talk.log_in(Camera("10.0.0.12")) == Login("user", "good")  # because "=" was typed
    assert talk.log_in(Camera("10.0.0.13")) is None


def test_d15_a_log_in_of_the_configuration_goes_to_its_own_host_only(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(RIGHT, encoding="utf-8")
    hidden = tmp_path / "secrets.toml"
    hidden.touch(mode=0o600)
    hidden.write_text(f'[camera.cam01]\nusername = "viewer"\npassword = "{WORD}"\n', encoding="utf-8")
    knows = known(file)
    assert knows.log_in("10.0.0.11") == Login("viewer", WORD)
    assert knows.log_in("10.0.0.12") is None
    assert known(tmp_path / "none.toml") == Known()
