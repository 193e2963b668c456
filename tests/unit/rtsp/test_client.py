from __future__ import annotations

import pytest

from agent.rtsp.client import MAX_UNASKED, ClientSession
from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Described, Ended, Playing, Redirected
from agent.rtsp.exchange import Exchange, Kind, State
from agent.rtsp.gatekeeper import LogIn
from agent.rtsp.media import AccessUnit
from agent.rtsp.message import parse_message, respond
from agent.rtsp.sdp import Media, SessionDescription
from agent.rtsp.server import ControlPacket, KeepAlive, Play, Quirks, Teardown
from agent.rtsp.url import parse_url
from tests.unit.rtsp.wire import AUDIO, VIDEO, Wire, counter, jpeg_packet


def fails(call, *args) -> RtspError:
    with pytest.raises(RtspError) as caught:
        call(*args)
    return caught.value


def start_fails(wire: Wire) -> RtspError:
    """Start; what comes before the error (Described) is taken first."""

    def start() -> None:
        wire.start()
        wire.client.tick(wire.now)

    return fails(start)


def units(wire: Wire) -> list[AccessUnit]:
    return [event for event in wire.client_events if isinstance(event, AccessUnit)]


def test_plays_and_hands_out_pictures():
    wire = Wire().start()
    described, playing = wire.client_events
    assert isinstance(described, Described)
    assert (described.video.kind, described.payload_type, described.encoding, described.clock_rate) == (
        "video",
        26,
        "JPEG",
        90000,
    )
    assert (described.audio, described.other) == (("PCMU",), ())
    assert playing == Playing(None)
    assert wire.methods() == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    (first,) = wire.picture(1)
    (second,) = wire.picture(2)
    assert first.data != second.data
    assert second.timestamp - first.timestamp == 3600
    wire.client.close(wire.now)
    wire.exchange()
    assert wire.ended() == ["closed"]
    assert wire.server_events[-1] == Teardown("asked")
    assert wire.client.deadline() is None
    assert wire.client.tick(wire.now) == []


SWITCHES = {
    "plain": Quirks(),
    "options_refused": Quirks(options="refuse"),
    "get_parameter_refused": Quirks(get_parameter="refuse", list_get_parameter=True),
    "get_parameter_ignored": Quirks(get_parameter="ignore", list_get_parameter=True),
    "get_parameter_unlisted": Quirks(list_get_parameter=False),
    "options_keep_alive": Quirks(get_parameter="ignore", keepalive=frozenset(("OPTIONS",))),
    "other_channels": Quirks(channel_shift=4),
    "needs_user_agent": Quirks(needs_user_agent=True),
    "absolute_control": Quirks(control="absolute"),
    "no_session_control": Quirks(control="none"),
    "no_content_base": Quirks(content_base=False),
    "wrong_profile": Quirks(wrong_profile=True),
    "no_sprop": Quirks(no_sprop=True),
    "bare_line_feeds": Quirks(bare_line_feeds=True),
    "no_cseq": Quirks(no_cseq=True),
    "tcp_only": Quirks(transports=frozenset(("tcp",))),
}


@pytest.mark.parametrize("quirks", SWITCHES.values(), ids=SWITCHES)
@pytest.mark.parametrize(
    "url", ["rtsp://cam/main", "rtsp://cam:8554/main/?channel=1&subtype=0", "rtsp://[::1]"]
)
def test_records_for_minutes_over_every_switch(quirks, url):
    log_in = LogIn("admin", "pw", stale_after=3)
    wire = Wire(quirks, url=url, server={"log_in": log_in}, username="admin", password="pw").start()
    wire.pass_time(200)
    assert wire.client.state is State.PLAYING
    assert Teardown("idle") not in wire.server_events
    assert len(units(wire)) > 390
    assert [event.track for event in wire.setups()] == [0]
    assert any(isinstance(event, KeepAlive) for event in wire.server_events)
    assert sum(isinstance(event, ControlPacket) for event in wire.server_events) >= 35
    wire.client.close(wire.now)
    wire.exchange()
    assert wire.ended() == ["closed"]


@pytest.mark.parametrize(
    "offers",
    [
        ("Basic",),
        ("MD5",),
        ("SHA-256",),
        ("MD5-sess",),
        ("SHA-256-sess",),
        ("Basic", "MD5"),
        ("MD5", "SHA-256", "Basic"),
        ("SHA-512-256", "MD5"),
    ],
)
@pytest.mark.parametrize("qop", [None, "auth", "auth,auth-int"])
@pytest.mark.parametrize("stale_after", [0, 1])
@pytest.mark.parametrize("in_url", [False, True])
def test_logs_in(offers, qop, stale_after, in_url):
    log_in = LogIn("admin", "p@ss:1", offers=offers, qop=qop, stale_after=stale_after)
    where = (
        {"url": "rtsp://admin:p%40ss:1@cam/main"} if in_url else {"username": "admin", "password": "p@ss:1"}
    )
    wire = Wire(server={"log_in": log_in}, **where).start()
    assert wire.client.state is State.PLAYING
    assert b"p@ss" not in wire.log
    assert b"p%40ss" not in wire.log
    wire.pass_time(100)
    assert wire.client.state is State.PLAYING
    assert wire.client.stats.refused_keepalives == 0


@pytest.mark.parametrize(
    ("log_in", "client", "code", "reason"),
    [
        (LogIn("admin", "pw"), {}, "auth_missing", None),
        (LogIn("admin", "pw"), {"username": "admin", "password": "no"}, "auth_failed", "wrong_password"),
        (
            LogIn("admin", "pw", offers=("Basic",)),
            {"username": "admin", "password": "no"},
            "auth_failed",
            "wrong_password",
        ),
        (
            LogIn("admin", "pw", offers=("Basic",)),
            {"username": "admin", "password": "pw", "allow_basic": False},
            "auth_unsupported",
            "basic_refused",
        ),
        (
            LogIn("admin", "pw", offers=("SHA-512-256",)),
            {"username": "admin", "password": "pw"},
            "auth_unsupported",
            None,
        ),
        (
            LogIn("admin", "pw", qop="auth-int"),
            {"username": "admin", "password": "pw"},
            "auth_unsupported",
            None,
        ),
    ],
)
def test_says_why_the_log_in_fails(log_in, client, code, reason):
    error = start_fails(Wire(server={"log_in": log_in}, **client))
    assert (error.code, error.context.get("reason")) == (code, reason)


def test_a_lapsed_password_is_borne_while_pictures_come():
    wire = Wire(server={"log_in": LogIn("admin", "pw")}, username="admin", password="pw").start()
    gate = wire.server._gate
    wire.server._gate = type(gate)(LogIn("admin", "changed"), counter("x"))
    wire.pass_time(100)
    assert wire.client.state is State.PLAYING
    assert wire.client.stats.refused_keepalives >= 2


def test_a_401_without_a_challenge():
    wire = Wire(Quirks(needs_user_agent=True), username="a", password="b", user_agent="")
    error = start_fails(wire)
    assert (error.code, error.context["offered"]) == ("auth_unsupported", "")
    assert wire.methods() == ["OPTIONS", "DESCRIBE"]


# sound is never asked for

SHAPES = {
    "sound first": (AUDIO, VIDEO),
    "much sound": (AUDIO, VIDEO, AUDIO, AUDIO),
    "second video": (AUDIO, Media("video", 0, "RTP/AVP", (98,), {98: ("AV1", 90000)}, {}, "x"), VIDEO),
    "metadata": (Media("application", 0, "RTP/AVP", (107,), {}, {}, "meta"), VIDEO),
}


@pytest.mark.parametrize("medias", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("control", ["relative", "absolute", "none"])
def test_sets_up_video_alone(medias, control):
    wire = Wire(Quirks(control=control), medias=medias).start()
    wire.pass_time(60)
    setups = [url for method, url in wire.requests() if method == "SETUP"]
    assert len(setups) == 1
    assert setups[0].endswith("/trackID=0")
    assert [event.track for event in wire.setups()] == [medias.index(VIDEO)]


def describe(wire: Wire, *medias: Media, control: str | None = None) -> RtspError | None:
    """Answer DESCRIBE with these streams; return the error, or None when SETUP followed."""
    client = wire.client
    client.start(0.0)
    client.output()
    client.receive(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0.0)
    client.output()
    body = SessionDescription(medias, control).serialise()
    head = f"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    try:
        client.receive(head + body, 0.0)
    except RtspError as error:
        return error
    return None


def bare(kind: str, control: str | None, encoding: str = "H264", proto: str = "RTP/AVP") -> Media:
    return Media(kind, 0, proto, (96,), {96: (encoding, 90000)}, {}, control)


@pytest.mark.parametrize(
    "medias",
    [
        (),
        (AUDIO,),
        (bare("video", "a", "VP8"),),
        (bare("video", "a", proto="RTP/SAVP"),),
        (bare("video", "a"), bare("audio", "a")),
        (bare("audio", None), bare("video", None)),
        (bare("video", "*"), bare("audio", None)),
    ],
)
def test_without_a_video_of_its_own_nothing_is_set_up(medias):
    wire = Wire()
    error = describe(wire, *medias)
    assert error is not None
    assert error.code == "no_video"
    assert b"SETUP" not in wire.client.output()


def test_one_stream_without_control_line_is_set_up_by_the_whole():
    wire = Wire()
    assert describe(wire, bare("video", None)) is None
    assert b"SETUP rtsp://cam/main RTSP" in wire.client.output()


def test_an_absolute_session_control_is_the_base():
    wire = Wire()
    assert describe(wire, bare("video", "v"), bare("audio", "a"), control="rtsp://cam/other/") is None
    assert b"SETUP rtsp://cam/other/v RTSP" in wire.client.output()


def test_sound_pushed_uninvited_is_dropped():
    wire = Wire().start()
    sound = b"$\x02\x00\x20" + b"MARKER__" * 4
    packet = jpeg_packet(1, 3600)
    events = wire.say(sound + b"$\0" + len(packet).to_bytes(2, "big") + packet + sound)
    assert len(events) == 1
    assert b"MARKER" not in events[0].data
    assert wire.client.stats.foreign_frames == 2


def test_sound_on_our_channel_is_dropped_and_keeps_nothing_alive():
    wire = Wire().start()
    wire.picture(1)

    def go_on() -> None:
        for step in range(20):
            wire.now += 0.5
            wire.picture(2 + step, payload_type=8)
            wire.client.tick(wire.now)

    assert fails(go_on).context["phase"] == "media"
    assert wire.now == 105.0
    assert len(units(wire)) == 1


# transports


def udp(**more) -> Wire:
    server = {"udp_ports": ((7000, 7001), (7002, 7003))}
    return Wire(server=server, transport="udp", client_ports=(5000, 5001), **more)


def test_udp():
    wire = udp().start()
    assert wire.client_events[-1] == Playing((7000, 7001))
    assert wire.client.server_ports == (7000, 7001)
    assert wire.setups()[0].transport.client_ports == (5000, 5001)
    (first_kind, punch), (second_kind, report) = wire.client.udp_output()
    assert (first_kind, punch[0] >> 6, second_kind, report[1]) == (False, 2, True, 201)
    assert wire.client.udp_output() == []
    assert len(wire.client.receive_udp(False, jpeg_packet(1, 0), wire.now)) == 1
    assert wire.client.receive_udp(True, b"\x80", wire.now) == []
    assert wire.client.stats.rtp.bad_rtcp == 1
    wire.now += 4.0
    wire.client.receive_udp(False, jpeg_packet(2, 3600), wire.now)
    wire.now += 4.0
    wire.client.tick(wire.now)
    assert [rtcp for rtcp, _ in wire.client.udp_output()] == [True]
    assert b"$" not in wire.client.output()


def test_udp_without_server_ports_sends_no_datagrams():
    wire = udp()
    wire.client.start(0.0)
    for number, extra in (
        (1, ""),
        (2, "DESCRIBE"),
        (3, "Transport: RTP/AVP;client_port=5000-5001\r\n"),
        (4, ""),
    ):
        body = SessionDescription((VIDEO,)).serialise() if extra == "DESCRIBE" else b""
        head = (
            f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{'' if body else extra}Content-Length: {len(body)}\r\n\r\n"
        )
        wire.client_events += wire.client.receive(head.encode() + body, 0.0)
    assert wire.client_events[-1] == Playing(None)
    wire.client.receive_udp(False, jpeg_packet(1, 0), 3.0)
    wire.client.tick(6.0)
    assert wire.client.udp_output() == []


def test_udp_needs_ports():
    with pytest.raises(ValueError):
        ClientConfig(parse_url("rtsp://cam/"), transport="udp")


def test_datagrams_are_nothing_to_a_tcp_session():
    wire = Wire().start()
    assert wire.client.receive_udp(False, jpeg_packet(1, 0), wire.now) == []
    assert Wire().client.udp_output() == []
    assert Wire().client.server_ports is None


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_refused_transport_is_named(transport):
    other = {"tcp": "udp", "udp": "tcp"}[transport]
    wire = Wire(Quirks(transports=frozenset((other,))), transport=transport, client_ports=(5000, 5001))
    error = start_fails(wire)
    assert (error.code, error.context["asked"]) == ("transport_refused", transport)


@pytest.mark.parametrize("answer", ["RTP/AVP;unicast;server_port=1-2", "RTP/AVP/TCP;multicast"])
def test_another_transport_than_asked_is_refused(answer):
    wire = Wire()
    assert describe(wire, VIDEO) is None
    error = fails(
        wire.client.receive, f"RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport: {answer}\r\n\r\n".encode(), 0.0
    )
    assert error.code == "transport_refused"
    wire.client.close(0.0)
    assert b"TEARDOWN" in wire.client.output()


def test_without_session_and_transport_headers_it_still_plays():
    wire = Wire()
    describe(wire, VIDEO)
    wire.client.output()
    wire.client.receive(b"RTSP/1.0 200 OK\r\n\r\n", 0.0)
    assert b"Session" not in wire.client.output()
    assert wire.client.receive(b"RTSP/1.0 200 OK\r\n\r\n", 0.0) == [Playing(None)]


# redirects


def test_follows_on_the_same_host():
    log_in = LogIn("admin", "pw")
    quirks = Quirks(redirect="rtsp://u:p@CAM:8554/new")
    wire = Wire(quirks, server={"log_in": log_in}, username="admin", password="pw").start()
    assert wire.client.state is State.PLAYING
    assert wire.methods().count("DESCRIBE") == 2
    assert [event for event in wire.client_events if isinstance(event, Redirected)]
    assert str(wire.client.url) == "rtsp://cam:8554/new"
    assert (wire.client.url.username, wire.client.url.password) == (None, None)


def redirected(location: str | None, *, url="rtsp://cam/main", times=1):
    """Redirect DESCRIBE so often; return the last events or raise."""
    client = ClientSession(ClientConfig(parse_url(url)), ssrc=1, nonce=counter("c"))
    line = f"Location: {location}\r\n" if location is not None else ""
    events = []
    for _ in range(times):
        client.start(0.0)
        client.receive(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0.0)
        events = client.receive(f"RTSP/1.0 302 Moved\r\nCSeq: 2\r\n{line}\r\n".encode(), 0.0)
        assert client.state is State.REDIRECTED
        assert client.receive(b"RTSP/1.0 200 OK\r\n\r\n", 0.0) == []
        assert client.deadline() == 15.0
    return client, events


def test_a_redirect_keeps_credentials_and_forgets_those_it_brings():
    client, (event,) = redirected("rtsp://x:y@cam/b", url="rtsp://admin:pw@cam/a")
    assert event.url.request() == "rtsp://cam/b"
    client.start(0.0)
    client.output()
    client.receive(b'RTSP/1.0 401 x\r\nWWW-Authenticate: Basic realm="r"\r\n\r\n', 0.0)
    assert b"Basic YWRtaW46cHc=" in client.output()
    assert redirected("rtsps://cam/b")[1] != []
    assert redirected("rtsp://cam/b", times=5)[1] != []


@pytest.mark.parametrize(
    ("location", "url", "times", "code"),
    [
        ("rtsp://evil/main", "rtsp://cam/main", 1, "redirect_refused"),
        ("rtsp://cam/main", "rtsps://cam/main", 1, "redirect_refused"),
        (None, "rtsp://cam/main", 1, "redirect_refused"),
        ("http://cam/", "rtsp://cam/main", 1, "malformed_url"),
        ("rtsp://cam/b", "rtsp://cam/main", 6, "redirect_refused"),
    ],
)
def test_refuses_to_be_sent_away(location, url, times, code):
    assert fails(lambda: redirected(location, url=url, times=times)).code == code


def test_redirects_take_set_up_time():
    client, _ = redirected("rtsp://cam/b")
    error = fails(client.tick, 15.0)
    assert (error.code, error.context["phase"]) == ("timeout", "set-up")


def test_the_camera_may_redirect_while_playing():
    wire = Wire().start()
    wire.client.output()
    events = wire.client.receive(b"REDIRECT * RTSP/1.0\r\nCSeq: 9\r\nLocation: rtsp://cam/b\r\n\r\n", 200.0)
    assert [type(event) for event in events] == [Redirected]
    out = wire.client.output()
    assert out.startswith(b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n")
    assert b"TEARDOWN rtsp://cam/main/ RTSP/1.0" in out
    assert wire.client.deadline() == 215.0
    wire.client.start(201.0)
    assert wire.client.output().startswith(b"OPTIONS rtsp://cam/b ")


# time


@pytest.mark.parametrize("answers", [0, 1, 2, 3])
def test_each_answer_has_its_time(answers):
    wire = Wire()
    wire.client.start(0.0)
    sdp = SessionDescription((VIDEO,)).serialise()
    for number in range(1, answers + 1):
        body = sdp if number == 2 else b""
        wire.client.receive(f"RTSP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, 1.0)
    due = wire.client.deadline()
    assert due == (6.0 if answers else 5.0)
    assert wire.client.tick(due - 0.01) == []
    error = fails(wire.client.tick, due)
    assert (error.code, error.context["phase"]) == (
        "timeout",
        ["options", "describe", "setup", "play"][answers],
    )
    assert wire.client.state is State.OVER


def test_set_up_as_a_whole_has_its_time():
    wire = Wire()
    wire.client.start(0.0)
    wire.client.receive(b"RTSP/1.0 200 OK\r\n\r\n", 4.9)
    wire.client.receive(b"RTSP/1.0 401 x\r\n", 9.0)
    assert wire.client.deadline() == 9.9
    wire.client._exchange.pending = None
    assert wire.client.deadline() == 15.0
    assert fails(wire.client.tick, 15.0).context["phase"] == "set-up"


def test_a_silent_camera_is_left():
    wire = Wire(Quirks(silent=True)).start()
    assert wire.client.state is State.PLAYING
    assert not any(isinstance(event, Play) for event in wire.server_events)
    error = fails(lambda: wire.pass_time(10.0, pictures=False))
    assert (error.code, error.context["phase"], wire.now) == ("timeout", "media", 105.0)


def test_a_stall_is_measured_from_the_last_packet():
    wire = Wire().start()
    wire.pass_time(12.0)
    last = wire.now
    error = fails(lambda: wire.pass_time(10.0, pictures=False))
    assert (error.context["phase"], wire.now - last) == ("media", 5.0)
    wire.client.close(wire.now)
    assert b"TEARDOWN" in wire.client.output()
    wire.client.close(wire.now)
    assert wire.client.output() == b""
    assert wire.client.deadline() is None


def test_keepalives_follow_the_session_timeout():
    wire = Wire(server={"timeout_s": 10}).start()
    wire.pass_time(30)
    assert wire.methods().count("GET_PARAMETER") in (5, 6)


def test_a_keepalive_that_is_not_answered_turns_to_options():
    wire = Wire(Quirks(get_parameter="ignore", list_get_parameter=True)).start()
    wire.pass_time(90)
    assert wire.methods()[4:] == ["GET_PARAMETER", "OPTIONS", "OPTIONS"]
    assert wire.client.stats.unanswered_keepalives == 1


def test_a_session_that_the_camera_forgot_is_over():
    wire = Wire().start()
    wire.pass_time(24)
    wire.server._id = "other"
    error = fails(wire.pass_time, 5)
    assert (error.code, error.context["status"]) == ("closed", 454)


def test_a_keepalive_redirected_is_refused_only():
    wire = Wire().start()
    wire.pass_time(24.5)
    wire.now += 0.5
    wire.client.tick(wire.now)
    wire.client.output()
    assert wire.say(b"RTSP/1.0 302 x\r\nLocation: rtsp://evil/\r\n\r\n") == []
    assert wire.client.stats.refused_keepalives == 1


def test_a_teardown_that_is_not_answered():
    wire = Wire().start()
    wire.client.close(wire.now)
    wire.client.close(wire.now + 1.0)
    assert wire.client.output().count(b"TEARDOWN") == 1
    assert wire.client.deadline() == wire.now + 5.0
    assert wire.client.tick(wire.now + 4.0) == []
    assert wire.client.tick(wire.now + 5.0) == [Ended("closed")]


# answers


@pytest.mark.parametrize(("number", "phase"), [(2, "describe"), (3, "setup"), (4, "play")])
def test_a_refusal_names_its_status(number, phase):
    wire = Wire()
    wire.client.start(0.0)
    sdp = SessionDescription((VIDEO,)).serialise()
    for step in range(1, number):
        body = sdp if step == 2 else b""
        wire.client.receive(f"RTSP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, 0.0)
    error = fails(wire.client.receive, b"RTSP/1.0 453 Not Enough\x1b Bandwidth\r\n\r\n", 0.0)
    assert error.code == "status"
    assert error.context == {"status": 453, "reason": "Not Enough\\x1b Bandwidth", "phase": phase}


def test_provisional_and_late_answers_are_left_out():
    wire = Wire()
    wire.client.start(0.0)
    wire.client.receive(b"RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n", 0.0)
    assert wire.client.state is State.OPTIONS
    wire.client.receive(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0.0)
    wire.client.receive(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0.0)
    assert wire.client.state is State.DESCRIBE
    assert wire.client.stats.stray_answers == 1
    playing = Wire().start()
    assert playing.say(b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n") == []
    assert playing.client.stats.stray_answers == 1


@pytest.mark.parametrize("cseq", ["0", "999", "x"])
def test_a_sequence_number_never_sent_is_borne(cseq):
    wire = Wire()
    wire.client.start(0.0)
    wire.client.receive(f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n\r\n".encode(), 0.0)
    assert wire.client.state is State.DESCRIBE


def test_pictures_before_an_error_are_handed_out_first():
    wire = Wire().start()
    packet = jpeg_packet(1, 0)
    bad = b"RTSP/1.0 nonsense\r\n\r\n"
    events = wire.say(b"$\0" + len(packet).to_bytes(2, "big") + packet + bad)
    assert [type(event) for event in events] == [AccessUnit]
    assert wire.client.deadline() == wire.now
    assert fails(wire.client.tick, wire.now).code == "malformed_message"
    assert wire.client.receive(packet, wire.now) == []


@pytest.mark.parametrize("call", ["receive", "receive_udp", "connection_lost"])
def test_a_waiting_error_comes_out_of_every_door(call):
    wire = Wire().start()
    packet = jpeg_packet(1, 0)
    wire.say(b"$\0" + len(packet).to_bytes(2, "big") + packet + b"RTSP/1.0 nonsense\r\n\r\n")
    arguments = {"receive": (b"", 0.0), "receive_udp": (True, b"", 0.0), "connection_lost": (0.0,)}[call]
    assert fails(getattr(wire.client, call), *arguments).code == "malformed_message"


def test_closing_forgets_a_waiting_error():
    wire = Wire().start()
    packet = jpeg_packet(1, 0)
    wire.say(b"$\0" + len(packet).to_bytes(2, "big") + packet + b"RTSP/1.0 nonsense\r\n\r\n")
    wire.client.close(wire.now)
    assert b"TEARDOWN" in wire.client.output()
    assert (wire.client.deadline(), wire.client.tick(wire.now)) == (None, [])


# requests of the camera


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("OPTIONS *", 200),
        ("GET_PARAMETER rtsp://x", 200),
        ("SET_PARAMETER rtsp://x", 200),
        ("ANNOUNCE rtsp://x", 200),
        ("PLAY_NOTIFY rtsp://x", 501),
        ("RECORD rtsp://x", 501),
    ],
)
def test_answers_the_camera(request_line, status):
    wire = Wire().start()
    assert wire.say(f"{request_line} RTSP/1.0\r\nCSeq: 5\r\n\r\n".encode()) == []
    answer = parse_message(wire.client.output())
    assert (answer.status, answer.cseq()) == (status, 5)
    assert (answer.get("Public") is not None) == request_line.startswith("OPTIONS")


def test_the_camera_may_end_it():
    wire = Wire().start()
    assert wire.say(b"TEARDOWN rtsp://x RTSP/1.0\r\n\r\n" + b"junk") == [Ended("torn_down")]
    assert wire.client.output().startswith(b"RTSP/1.0 200 OK\r\nCSeq: 0\r\n")
    wire.client.close(wire.now)
    assert wire.client.output() == b""
    assert wire.client.connection_lost(wire.now) == []


def test_the_camera_may_end_it_before_it_begins():
    wire = Wire()
    wire.client.start(0.0)
    assert wire.client.receive(b"TEARDOWN * RTSP/1.0\r\n\r\n", 0.0) == [Ended("torn_down")]


def test_a_redirect_before_set_up_needs_no_teardown():
    wire = Wire()
    wire.client.start(0.0)
    wire.client.output()
    wire.client.receive(b"REDIRECT * RTSP/1.0\r\nLocation: rtsp://cam/b\r\n\r\n", 0.0)
    assert b"TEARDOWN" not in wire.client.output()


def test_a_redirect_while_closing_is_only_answered():
    wire = Wire().start()
    wire.client.close(wire.now)
    assert wire.client.receive(b"REDIRECT * RTSP/1.0\r\nLocation: rtsp://cam/b\r\n\r\n", wire.now) == []
    assert wire.client.state is State.CLOSING


def test_a_camera_that_asks_and_does_not_read():
    exchange = Exchange(ClientConfig(parse_url("rtsp://cam/")), counter("c"))
    for _ in range(4):
        exchange.answer(respond(200, (("X", "x" * 60_000),)))
    assert fails(exchange.answer, respond(200, (("X", "x" * 60_000),))).code == "limit"
    exchange.take_output()
    exchange.answer(respond(200))


@pytest.mark.parametrize("message", [b"OPTIONS * RTSP/1.0", b"RTSP/1.0 200 OK", b"RTSP/1.0 100 Continue"])
def test_a_flood_of_messages_ends_it_and_a_trickle_does_not(message):
    wire = Wire().start()
    for _ in range(4):
        wire.say((message + b"\r\n\r\n") * (MAX_UNASKED // 2))
        wire.pass_time(5)
    error = fails(wire.say, (message + b"\r\n\r\n") * (MAX_UNASKED + 1))
    assert (error.code, error.context["limit"]) == ("limit", MAX_UNASKED)


# the shell's side


def test_a_session_starts_once():
    wire = Wire().start()
    with pytest.raises(ValueError):
        wire.client.start(wire.now)


def test_before_the_start_nothing_happens():
    client = Wire().client
    assert (client.deadline(), client.tick(9.0), client.receive(b"x", 9.0), client.output()) == (
        None,
        [],
        [],
        b"",
    )
    client.close(9.0)
    assert client.state is State.OVER


def test_a_lost_connection():
    wire = Wire().start()
    error = fails(wire.client.connection_lost, wire.now)
    assert (error.code, error.context["phase"]) == ("closed", "playing")
    closing = Wire().start()
    closing.client.close(closing.now)
    assert closing.client.connection_lost(closing.now) == [Ended("closed")]


def test_the_table_has_a_row_for_every_answer_that_can_come():
    waiting = [state for state in State if state not in (State.NEW, State.REDIRECTED, State.OVER)]
    assert set(ClientSession.TABLE) == {(state, kind) for state in waiting for kind in Kind}


def test_passwords_are_not_shown():
    config = ClientConfig(parse_url("rtsp://admin:S3cret@cam/"), "admin", "S3cret")
    assert "S3cret" not in repr(config)
    assert "S3cret" not in repr(Redirected(config.url))


def test_what_the_camera_calls_itself():
    wire = Wire()
    wire.client.start(0.0)
    text = (
        "v=0\r\no=root 1763692800 2 IN IP4 192.0.2.7\r\ns=Media\r\ni=Stream one\r\na=tool:LIVE555 v2020\r\n"
        "m=video 0 RTP/AVP 26\r\ni=not the session's\r\na=control:t1\r\n"
    )
    wire.client.receive(b"RTSP/1.0 200 OK\r\n\r\n", 0.0)
    head = f"RTSP/1.0 200 OK\r\nServer: Maker/1.0\r\nContent-Length: {len(text)}\r\n\r\n"
    (described,) = wire.client.receive((head + text).encode(), 0.0)
    assert described.device == {
        "server": "Maker/1.0",
        "realm": "",
        "description": "root\nMedia\nStream one\nLIVE555 v2020",
    }


def test_the_realm_of_the_log_in_is_part_of_what_a_camera_calls_itself():
    session = ClientSession(
        ClientConfig(parse_url("rtsp://cam/main"), username="u", password="p"), ssrc=1, nonce=lambda: "n"
    )
    session.start(0.0)
    session.receive(b"RTSP/1.0 200 OK\r\n\r\n", 0.0)
    challenge = b'RTSP/1.0 401 x\r\nWWW-Authenticate: Digest realm="Login to 4711", nonce="x"\r\n\r\n'
    session.receive(challenge, 0.0)
    sdp = SessionDescription((VIDEO,)).serialise()
    (described,) = session.receive(b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp, 0.0)
    assert described.device == {"server": "", "realm": "Login to 4711", "description": "\n-\n\n"}


def test_where_the_pictures_come_and_where_the_next_frame_begins() -> None:
    wire = Wire()
    assert wire.client.channel is None
    assert wire.client.source is None
    wire.start()
    assert wire.client.channel == 0
    assert wire.client.source is None
    assert wire.client.missing == 0
    packet = jpeg_packet(1, 3600)
    framed = b"$\0" + len(packet).to_bytes(2, "big") + packet
    wire.say(framed[:10])
    assert wire.client.missing == len(framed) - 10
    wire.say(framed[10:] + framed[:2])
    assert wire.client.source == 0x1234
    assert wire.client.missing is None  # its length is not known
    udp = Wire(
        transport="udp", client_ports=(5000, 5001), server={"udp_ports": ((6000, 6001), (6002, 6003))}
    ).start()
    assert udp.client.channel is None
