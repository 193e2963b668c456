"""The publishing machine, against a media server in memory."""

from __future__ import annotations

import pytest

from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Ended
from agent.rtsp.exchange import Kind
from agent.rtsp.gatekeeper import LogIn
from agent.rtsp.publisher import MAX_UNASKED, UNANSWERED, PublisherSession, PublisherState, Recording
from agent.rtsp.sdp import SessionDescription
from agent.rtsp.url import parse_url
from tests.unit.rtsp.recording import DESCRIPTION, MediaServer, PublishWire
from tests.unit.rtsp.wire import AUDIO, VIDEO, counter

OK = b"RTSP/1.0 200 OK\r\nCSeq: %CSEQ\r\n"


def test_a_stream_is_brought_to_a_server_and_taken_away_again() -> None:
    wire = PublishWire().start()
    assert wire.events == [Recording(0)]
    assert wire.server.methods() == ["ANNOUNCE", "SETUP", "RECORD"]
    assert wire.server.description == DESCRIPTION
    assert [request.url for request in wire.server.requests] == [
        "rtsp://media/box/cam01",
        "rtsp://media/box/cam01/trackID=0",
        "rtsp://media/box/cam01",
    ]
    wire.server.receive(b"$\0\0\x03abc")
    assert wire.server.packets == [b"abc"]
    wire.session.close(wire.now)
    wire.session.close(wire.now)
    wire.exchange()
    assert wire.server.methods()[-1] == "TEARDOWN"
    assert wire.events[-1] == Ended("closed")
    assert wire.session.state is PublisherState.OVER
    assert wire.session.deadline() is None
    assert wire.session.receive(b"$\0\0\1a", wire.now) == []


def test_it_starts_once() -> None:
    wire = PublishWire()
    assert wire.session.deadline() is None
    assert wire.session.tick(wire.now) == []
    assert wire.session.receive(b"RTSP/1.0 200 OK\r\n\r\n", wire.now) == []
    wire.start()
    with pytest.raises(ValueError, match="RECORDING"):
        wire.session.start(wire.now)


def test_only_one_video_stream_is_published() -> None:
    config = ClientConfig(parse_url("rtsp://media/x"))
    for medias in ((), (AUDIO,), (VIDEO, AUDIO)):
        with pytest.raises(RtspError) as caught:
            PublisherSession(config, SessionDescription(medias).serialise(), nonce=counter("c"))
        assert caught.value.code == "no_video"
    with pytest.raises(RtspError) as caught:
        PublisherSession(config, b"garbage", nonce=counter("c"))
    assert caught.value.code == "malformed_sdp"


@pytest.mark.parametrize("offer", ["Basic", "MD5", "SHA-256"])
def test_it_logs_in(offer: str) -> None:
    server = MediaServer(LogIn("box", "geheim", offers=(offer,), stale_after=2))
    wire = PublishWire(server, url="rtsp://box:geheim@media/box/cam01").start()
    assert wire.events == [Recording(0)]
    assert server.description == DESCRIPTION
    assert b"geheim" not in wire.log
    wire.pass_time(60)
    assert server.methods().count("GET_PARAMETER") >= 2
    assert wire.session.refused == 0


def test_a_wrong_password_is_said_so() -> None:
    wire = PublishWire(MediaServer(LogIn("box", "geheim")), url="rtsp://box:falsch@media/x")
    with pytest.raises(RtspError) as caught:
        wire.start()
    assert caught.value.code == "auth_failed"
    assert wire.session.state is PublisherState.OVER


def test_the_channel_is_the_servers_choice() -> None:
    assert PublishWire(MediaServer(channels="4-5")).start().events == [Recording(4)]
    silent = MediaServer(answers={"SETUP": OK + b"Session: abc\r\n\r\n"})
    assert PublishWire(silent).start().events == [Recording(0)]
    odd = MediaServer(answers={"SETUP": OK + b"Session: abc\r\nTransport: RTP/AVP/TCP;unicast\r\n\r\n"})
    assert PublishWire(odd).start().events == [Recording(0)]


@pytest.mark.parametrize(
    "transport", [b"RTP/AVP;unicast;client_port=5000-5001", b"RTP/AVP/TCP;multicast;interleaved=0-1"]
)
def test_another_transport_is_refused(transport: bytes) -> None:
    wire = PublishWire(
        MediaServer(answers={"SETUP": OK + b"Session: abc\r\nTransport: " + transport + b"\r\n\r\n"})
    )
    with pytest.raises(RtspError) as caught:
        wire.start()
    assert caught.value.code == "transport_refused"


@pytest.mark.parametrize("method", ["ANNOUNCE", "SETUP", "RECORD"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (302, "redirect_refused"),
        (403, "status"),
        (461, "transport_refused"),
        (503, "status"),
        (401, "auth_unsupported"),
    ],
)
def test_a_refusal_says_what_was_refused_and_why(method: str, status: int, code: str) -> None:
    answer = f"RTSP/1.0 {status} Because\r\nCSeq: %CSEQ\r\nLocation: rtsp://evil/\r\n"
    if status == 401:
        answer += 'WWW-Authenticate: Negotiate realm="x"\r\n'
    wire = PublishWire(
        MediaServer(answers={method: answer.encode() + b"\r\n"}), url="rtsp://box:geheim@media/box/cam01"
    )
    with pytest.raises(RtspError) as caught:
        wire.start()
    assert caught.value.code == code
    if code == "status":
        assert caught.value.context == {"status": status, "reason": "Because", "phase": method.lower()}
    assert wire.session.state is PublisherState.OVER
    assert b"evil" not in wire.log


@pytest.mark.parametrize("method", ["ANNOUNCE", "SETUP", "RECORD"])
def test_silence_ends_the_set_up(method: str) -> None:
    wire = PublishWire(MediaServer(answers={method: b""})).start()
    with pytest.raises(RtspError) as caught:
        wire.pass_time(10)
    assert caught.value.code == "timeout"
    assert caught.value.context["phase"] == method.lower()


def test_the_set_up_has_a_limit_as_a_whole() -> None:
    wire = PublishWire(MediaServer(answers={"RECORD": b""}), setup_timeout_s=3.0).start()
    with pytest.raises(RtspError) as caught:
        wire.pass_time(10)
    assert caught.value.context["phase"] == "set-up"
    fresh = PublishWire(MediaServer(answers={"ANNOUNCE": b""})).start()
    assert fresh.session.tick(fresh.now) == []


def test_kept_alive_by_what_the_server_knows() -> None:
    wire = PublishWire().start().pass_time(100)
    assert wire.server.methods()[3:] == ["OPTIONS"] + ["GET_PARAMETER"] * (len(wire.server.methods()) - 4)
    assert len(wire.server.methods()) >= 3 + 6  # every 15 s: half of what the server said
    plain = PublishWire(MediaServer(public="OPTIONS, ANNOUNCE")).start().pass_time(60)
    assert set(plain.server.methods()[3:]) == {"OPTIONS"}


def test_a_keepalive_that_is_refused_is_borne_and_one_for_a_session_that_is_gone_is_not() -> None:
    wire = PublishWire(
        MediaServer(answers={"GET_PARAMETER": b"RTSP/1.0 405 No\r\nCSeq: %CSEQ\r\n\r\n"})
    ).start()
    wire.pass_time(60)
    assert wire.session.refused >= 1
    assert wire.session.state is PublisherState.RECORDING
    asked = PublishWire(MediaServer(answers={"OPTIONS": b"RTSP/1.0 401 No\r\nCSeq: %CSEQ\r\n\r\n"})).start()
    asked.pass_time(60)
    assert asked.session.refused >= 1
    gone = PublishWire(MediaServer(answers={"OPTIONS": b"RTSP/1.0 454 Gone\r\nCSeq: %CSEQ\r\n\r\n"})).start()
    with pytest.raises(RtspError) as caught:
        gone.pass_time(60)
    assert caught.value.code == "closed"


def test_a_server_that_answers_no_keepalive_is_gone() -> None:
    wire = PublishWire(MediaServer(answers={"OPTIONS": b""})).start()
    with pytest.raises(RtspError) as caught:
        wire.pass_time(200)
    assert caught.value.context == {"phase": "recording", "unanswered": UNANSWERED}


def test_one_that_is_missed_does_not_count_on() -> None:
    wire = PublishWire(MediaServer(answers={"OPTIONS": b""})).start().pass_time(30)
    assert wire.session.unanswered == 1
    wire.server.answers.clear()
    wire.pass_time(30)
    assert wire.session.unanswered == 0


def test_a_keepalive_answered_late_is_a_stray() -> None:
    wire = PublishWire(MediaServer(answers={"OPTIONS": b""}), reply_timeout_s=1.0).start().pass_time(20)
    wire.session.receive(b"RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n", wire.now)
    assert wire.session.state is PublisherState.RECORDING


def test_a_slow_answer_is_waited_for_beyond_the_next_keepalive() -> None:
    wire = PublishWire(MediaServer(answers={"OPTIONS": b""}), reply_timeout_s=40.0).start().pass_time(30)
    assert wire.server.methods().count("OPTIONS") == 1
    assert wire.session.tick(wire.now) == []


def test_a_teardown_that_is_not_answered_ends_too() -> None:
    wire = PublishWire(MediaServer(answers={"TEARDOWN": b""})).start()
    wire.session.close(wire.now)
    assert wire.session.tick(wire.now) == []
    wire.pass_time(10)
    assert wire.events[-1] == Ended("closed")


def test_closed_before_the_server_holds_anything() -> None:
    wire = PublishWire(MediaServer(answers={"ANNOUNCE": b""})).start()
    wire.session.close(wire.now)
    assert wire.session.state is PublisherState.OVER
    assert wire.session.output() == b""


def test_requests_of_the_server_are_answered() -> None:
    wire = PublishWire().start()
    wire.session.receive(b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\nPLAY * RTSP/1.0\r\n\r\n", wire.now)
    out = wire.session.output()
    assert out.startswith(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nPublic: OPTIONS")
    assert b"RTSP/1.0 501" in out
    assert wire.session.receive(b"TEARDOWN * RTSP/1.0\r\nCSeq: 8\r\n\r\n", wire.now) == [Ended("torn_down")]


def test_a_redirect_in_the_middle_is_refused() -> None:
    wire = PublishWire().start()
    with pytest.raises(RtspError) as caught:
        wire.session.receive(b"REDIRECT * RTSP/1.0\r\nCSeq: 7\r\nLocation: rtsp://evil/\r\n\r\n", wire.now)
    assert caught.value.code == "redirect_refused"


def test_reports_of_the_server_are_left_where_they_are() -> None:
    wire = PublishWire().start()
    assert wire.session.receive(b"$\1\0\4abcd" * 10, wire.now) == []


def test_a_flood_of_messages_ends_it() -> None:
    wire = PublishWire().start()
    with pytest.raises(RtspError) as caught:
        wire.session.receive(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n" * (MAX_UNASKED + 1), wire.now)
    assert caught.value.code == "limit"


def test_every_answer_has_a_row() -> None:
    waiting = set(PublisherState) - {PublisherState.NEW, PublisherState.OVER}
    assert set(PublisherSession.TABLE) == {(state, kind) for state in waiting for kind in Kind}
