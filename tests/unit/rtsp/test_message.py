from __future__ import annotations

import pytest

from agent.rtsp.errors import RtspError
from agent.rtsp.message import (
    MAX_HEAD_BYTES,
    MAX_LINES,
    Message,
    Request,
    Response,
    body_length,
    head_end,
    parse_head,
    parse_message,
    respond,
)
from agent.rtsp.text import bounded_int, shown


def code(call, *args) -> str:
    with pytest.raises(RtspError) as caught:
        call(*args)
    return caught.value.code


def test_reads_a_response_with_its_body():
    got = parse_message(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Length: 3\r\n\r\nv=0tail")
    assert got == Response((("CSeq", "7"), ("Content-Length", "3")), b"v=0", "1.0", 200, "OK")
    assert got.cseq() == 7


def test_reads_a_request():
    got = parse_message(b"\r\n\r\noptions rtsp://h/a b RTSP/2.0\r\nCSeq: x\r\n\r\n")
    assert isinstance(got, Request)
    assert (got.method, got.url, got.version, got.cseq()) == ("OPTIONS", "rtsp://h/a b", "2.0", None)


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"RTSP/1.0 200\r\n\r\n", 200, ""),
        (b"RTSP/1.0 404 Not Found\n\n", 404, "Not Found"),
        (b"rtsp/1.0   401   Un authorized \r\n\r\n", 401, "Un authorized"),
        (b"RTSP/2.0 302 \r\n\n", 302, ""),
    ],
)
def test_is_lenient_with_status_lines(head, status, reason):
    got = parse_message(head)
    assert isinstance(got, Response)
    assert (got.status, got.reason) == (status, reason)


@pytest.mark.parametrize(
    "head",
    [
        b"RTSP/1.0 OK\r\n\r\n",
        b"RTSP/1.0 99 x\r\n\r\n",
        b"RTSP/1.0\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"\n\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"PLAY RTSP/1.0\r\n\r\n",
        b"PL4Y u RTSP/1.0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n",
    ],
)
def test_refuses_what_is_no_start_line(head):
    assert code(parse_message, head) == "malformed_message"


def test_headers_fold_repeat_and_differ_in_case():
    got = parse_head(
        b"RTSP/1.0 200 OK\r\n folded onto nothing\r\nwww-authenticate : Basic\r\nWWW-Authenticate: Digest\r\n"
        b'\trealm="a"\r\n nonce=1\r\nno colon here\r\n: no name\r\n\r\n'
    )
    assert got.all("Www-Authenticate") == ["Basic", 'Digest realm="a" nonce=1']
    assert got.get("WWW-AUTHENTICATE") == "Basic"
    assert len(got.headers) == 2
    assert got.get("absent") is None


def test_keeps_foreign_bytes():
    realm = "주차장".encode("euc-kr")
    got = parse_head(b"RTSP/1.0 401 x\r\nRealm: " + realm + b"\r\n\r\n")
    assert got.get("Realm").encode("utf-8", "surrogateescape") == realm
    assert Response(got.headers, status=401).serialise().count(realm) == 1


def test_what_is_read_can_be_sent_back():
    got = parse_head(b"RTSP/1.0 200 OK\r\nSession: a\0b\rc\r\n\r\n")
    assert got.get("Session") == "abc"
    assert b"Session: abc\r\n" in got.serialise()


def test_limits():
    assert code(parse_head, b"A" * (MAX_HEAD_BYTES + 1)) == "limit"
    assert code(parse_head, b"RTSP/1.0 200 OK\n" + b"a\n" * MAX_LINES) == "limit"
    assert code(head_end, b"A" * MAX_HEAD_BYTES, 0) == "limit"
    assert head_end(b"A" * (MAX_HEAD_BYTES - 1), 0) is None
    assert head_end(b"xxA\n\nB\n\r\n", 2) == 5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0),
        (["5"], 5),
        ([" 5 "], 5),
        (["5", "5"], 5),
        (["x"], "malformed_message"),
        (["-1"], "malformed_message"),
        (["5", "6"], "malformed_message"),
        (["262145"], "limit"),
        (["1" * 5000], "malformed_message"),
    ],
)
def test_content_length(values, expected):
    message = Message(tuple(("content-length", value) for value in values))
    if isinstance(expected, int):
        assert body_length(message) == expected
    else:
        assert code(body_length, message) == expected


def test_refuses_a_short_body():
    assert code(parse_message, b"RTSP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nabc") == "malformed_message"


def test_writes_what_it_reads():
    request = Request((("CSeq", "1"),), b"body", method="ANNOUNCE", url="rtsp://h/x")
    wire = request.serialise()
    assert wire == b"ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\nbody"
    assert parse_message(wire).body == b"body"
    assert respond(299).serialise() == b"RTSP/1.0 299 \r\n\r\n"


@pytest.mark.parametrize("bad", ["a\r\nEvil: 1", "a\n", "a\0"])
def test_a_field_cannot_break_its_line(bad):
    assert code(Request((("X", bad),), method="PLAY", url="u").serialise) == "malformed_message"
    assert code(Request(method="PLAY", url=bad).serialise) == "malformed_message"


def test_shown_is_printable_and_short():
    assert shown("ok") == "ok"
    assert shown("a\x1b[2Jb\n한") == "a\\x1b[2Jb\\n\\ud55c"
    assert shown("\udcff") == "\\udcff"
    assert shown("x" * 500) == "x" * 80 + "..."
    assert shown("\n" * 60) == "\\n" * 40 + "..."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        (" 9\t", 9),
        ("10", None),
        ("-1", None),
        ("", None),
        ("٣", None),
        ("1" * 11, None),
        ("+1", None),
    ],
)
def test_bounded_int(text, value):
    assert bounded_int(text, 0, 9) == value
