from __future__ import annotations

import pytest

from agent.rtsp.message import parse_message
from agent.rtsp.sdp import Media, parse_sdp
from agent.rtsp.server import (
    KeepAlive,
    Play,
    Quirks,
    RequestSeen,
    ServerConfig,
    ServerSession,
    SetupDone,
    State,
    Teardown,
)
from agent.rtsp.transport import Transport
from tests.unit.rtsp.wire import AUDIO, VIDEO, counter


def serve(quirks=None, **config) -> ServerSession:
    config = {"medias": (VIDEO, AUDIO), **config}
    return ServerSession(ServerConfig(quirks=quirks or Quirks(), **config), nonce=counter("s"))


def ask(server: ServerSession, line: str, *headers: str, now: float = 0.0):
    """Return the response, None without one, and the events."""
    text = "\r\n".join([f"{line} RTSP/1.0", "CSeq: 4", *headers, "", ""])
    events = server.receive(text.encode(), now)
    out = server.output()
    return (parse_message(out) if out else None), events


def status(server: ServerSession, line: str, *headers: str) -> int:
    return ask(server, line, *headers)[0].status


TCP = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"


def test_a_whole_session():
    server = serve()
    described, _ = ask(server, "DESCRIBE rtsp://cam/main")
    assert described.get("Content-Base") == "rtsp://cam/main/"
    assert [media.kind for media in parse_sdp(described.body).medias] == ["video", "audio"]
    assert described.get("Session") is None
    answer, events = ask(server, "SETUP rtsp://cam/main/trackID=1", "Transport: RTP/AVP/TCP;interleaved=8-9")
    assert events[1] == SetupDone(1, Transport(True, channels=(8, 9)))
    assert answer.get("Transport") == "RTP/AVP/TCP;unicast;interleaved=8-9"
    assert answer.get("Session") == "s1;timeout=60"
    assert ask(server, "SETUP rtsp://cam/main/trackID=0/", TCP, "Session: s1")[1][1].track == 0
    assert ask(server, "PLAY rtsp://cam/main/", "Session: s1")[1][1] == Play((0, 1))
    assert len(ask(server, "PLAY rtsp://cam/main/", "Session: s1")[1]) == 1
    server.send(1, b"sound")
    server.send(0, b"report", rtcp=True)
    assert server.output() == b"$\x08\x00\x05sound$\x01\x00\x06report"
    events = server.receive(b"$\x09\x00\x02rr$\x08\x00\x01x", 0.0)
    assert [(event.track, event.data) for event in events] == [(1, b"rr")]
    assert ask(server, "TEARDOWN rtsp://cam/main/", "Session: s1")[1][1] == Teardown("asked")
    assert status(server, "OPTIONS *", "Session: s1") == 454
    assert status(server, "OPTIONS *") == 200
    assert status(server, "SETUP rtsp://cam/main/trackID=0", TCP) == 455


@pytest.mark.parametrize(
    ("line", "headers", "expected"),
    [
        ("PLAY rtsp://cam/main", (), 455),
        ("TEARDOWN rtsp://cam/main", (), 455),
        ("RECORD rtsp://cam/main", (), 501),
        ("PLAY rtsp://cam/main", ("Session: other",), 454),
        ("SETUP rtsp://cam/main/trackID=7", (TCP,), 404),
        ("SETUP rtsp://cam/main/trackID=0", (), 461),
        ("SETUP rtsp://cam/main/trackID=0", ("Transport: RTP/AVP;multicast",), 461),
        ("SETUP rtsp://cam/main/trackID=0", ("Transport: RTP/AVP;unicast",), 461),
        ("SETUP rtsp://cam/main/trackID=0", ("Transport: RTP/AVP;unicast;client_port=1-2",), 461),
        ("SET_PARAMETER *", (), 200),
    ],
)
def test_answers(line, headers, expected):
    assert status(serve(), line, *headers) == expected


@pytest.mark.parametrize(
    ("path", "url", "expected"),
    [
        ("/main", "rtsp://cam/main", 200),
        ("/main/", "rtsp://cam:8554/main/?x=/other", 200),
        ("/main", "/main", 200),
        ("/main", "rtsp://cam/sub", 404),
        ("", "rtsp://cam/anything", 200),
    ],
)
def test_paths(path, url, expected):
    assert status(serve(path=path), f"DESCRIBE {url}") == expected


def test_offers_are_taken_in_order():
    server = serve(udp_ports=((7000, 7001),))
    answer, _ = ask(
        server,
        "SETUP rtsp://cam/trackID=0",
        "Transport: RTP/AVP;multicast,RTP/AVP;client_port=5-6," + TCP[11:],
    )
    assert answer.get("Transport") == "RTP/AVP;unicast;client_port=5-6;server_port=7000-7001"
    assert status(server, "SETUP rtsp://cam/trackID=1", "Transport: RTP/AVP;client_port=7-8") == 461
    with pytest.raises(ValueError):
        server.send(0, b"x")
    with pytest.raises(ValueError):
        server.send(1, b"x")
    assert status(server, "SETUP rtsp://cam/trackID=1", "Transport: RTP/AVP/TCP") == 200
    server.send(1, b"x")
    assert server.output() == b"$\x02\x00\x01x"
    with pytest.raises(ValueError):
        server.send(1, bytes(65536))


def test_idle_sessions_end():
    server = serve(timeout_s=10)
    assert server.deadline() is None
    assert server.tick(99.0) == []
    ask(server, "SETUP rtsp://cam/trackID=0", TCP, now=1.0)
    assert server.deadline() == 11.0
    ask(server, "PLAY rtsp://cam/", now=5.0)
    assert server.deadline() == 11.0
    assert KeepAlive("OPTIONS") in ask(server, "OPTIONS *", now=8.0)[1]
    assert server.tick(17.9) == []
    assert server.tick(18.0) == [Teardown("idle")]
    assert server.state is State.OVER


def test_only_chosen_requests_keep_alive():
    server = serve(Quirks(keepalive=frozenset(("OPTIONS",))))
    ask(server, "SETUP rtsp://cam/trackID=0", TCP)
    assert len(ask(server, "GET_PARAMETER *", now=30.0)[1]) == 1
    assert server.deadline() == 60.0


@pytest.mark.parametrize("method", ["OPTIONS", "GET_PARAMETER"])
@pytest.mark.parametrize(("answer", "expected"), [("ok", 200), ("refuse", 405), ("ignore", None)])
def test_requests_may_be_refused_or_ignored(method, answer, expected):
    got, events = ask(serve(Quirks(**{method.lower(): answer})), f"{method} *")
    assert (got and got.status) == expected
    assert isinstance(events[0], RequestSeen)


@pytest.mark.parametrize(
    ("quirks", "listed"),
    [
        (Quirks(), True),
        (Quirks(get_parameter="refuse"), False),
        (Quirks(list_get_parameter=False), False),
        (Quirks(get_parameter="ignore", list_get_parameter=True), True),
    ],
)
def test_public(quirks, listed):
    assert ("GET_PARAMETER" in ask(serve(quirks), "OPTIONS *")[0].get("Public")) is listed


def test_the_description_can_lie():
    video = Media(
        "video",
        0,
        "RTP/AVP",
        (96,),
        {96: ("H264", 90000)},
        {96: {"profile-level-id": "64001F", "sprop-parameter-sets": "x", "packetization-mode": "1"}},
        "v",
    )
    mpeg4 = Media("video", 0, "RTP/AVP", (97,), {97: ("MP4V-ES", 90000)}, {97: {"config": "00"}}, "w")
    server = serve(
        Quirks(wrong_profile=True, no_sprop=True, control="absolute", content_base=False),
        medias=(video, mpeg4),
    )
    answer, _ = ask(server, "DESCRIBE rtsp://cam/a/")
    assert answer.get("Content-Base") is None
    got = parse_sdp(answer.body)
    assert got.control == "rtsp://cam/a/"
    assert got.medias[0].fmtp[96] == {"profile-level-id": "4D0033", "packetization-mode": "1"}
    assert got.medias[0].control == "rtsp://cam/a/v"
    assert got.medias[1].fmtp.get(97, {}).get("config") is None


def test_requests_are_shown_without_passwords():
    events = ask(serve(), "DESCRIBE rtsp://u:S3cret@cam/", "Authorization: Basic S3cret", "User-Agent: x")[1]
    assert events == [RequestSeen("DESCRIBE", "rtsp://cam/", (("CSeq", "4"), ("User-Agent", "x")))]


def test_answers_of_the_client_are_left_out():
    server = serve()
    assert server.receive(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0.0) == []
    assert server.output() == b""


def test_no_sequence_number_comes_back_without_one():
    server = serve()
    server.receive(b"OPTIONS * RTSP/1.0\r\n\r\n", 0.0)
    assert b"CSeq" not in server.output()
    assert ask(serve(Quirks(no_cseq=True)), "OPTIONS *")[0].cseq() is None
