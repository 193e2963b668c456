"""Accepted, or the one declared error, for everything a stranger may write; 100,000 cases each, fixed seeds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from agent.rtsp.auth import Authenticator, parse_challenges, parse_credentials
from agent.rtsp.errors import RtspError
from agent.rtsp.framing import Framer
from agent.rtsp.message import Request, Response, parse_message
from agent.rtsp.sdp import SessionDescription, parse_sdp
from agent.rtsp.transport import parse_session, parse_transports
from agent.rtsp.url import content_base, control_url, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CASES = 100_000


def mutate(rnd: random.Random, seed: bytes, pieces: list[bytes]) -> bytes:
    """Change a few places: bytes, cuts, repeats, and pieces that mean something."""
    data = bytearray(seed)
    for _ in range(rnd.randrange(1, 6)):
        at = rnd.randrange(len(data) + 1)
        kind = rnd.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes((rnd.randrange(256),))
        elif kind == 1:
            del data[at : at + rnd.randrange(1, 12)]
        elif kind == 2:
            data[at:at] = data[at : at + rnd.randrange(30)] * rnd.randrange(1, 4)
        elif kind == 3:
            del data[at:]
        else:
            data[at:at] = rnd.choice(pieces)
    return bytes(data)


def cases(seed: int, seeds: list[bytes], pieces: list[bytes]) -> Iterator[bytes]:
    rnd = random.Random(seed)
    for _ in range(CASES):
        yield mutate(rnd, rnd.choice(seeds), pieces)


def count(call: Callable[[bytes], object], data: Iterator[bytes]) -> tuple[int, int]:
    """Call for every case; return how many were accepted and refused."""
    accepted = refused = 0
    for case in data:
        try:
            call(case)
            accepted += 1
        except RtspError as error:
            refused += 1
            text = str(error)
            if "S3cret" in text or not text.isprintable() or len(text) > 400:
                raise
    assert accepted + refused == CASES
    return accepted, refused


MESSAGES = [
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\nbody",
    b'RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm="x",\r\n nonce="y"\r\n\r\n',
    b"SETUP rtsp://h/a RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\nSession: 1\r\n\r\n",
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\n\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"RTSP/1.0 ",
    b"Content-Length: 7\r\n",
    b"9" * 20,
    b"-1",
    b"\xff\xfe",
    b"a" * 300,
    b"\n " * 200,
    b"\r",
    b"\xed\xa0\x80",
]


def test_messages():
    def call(data: bytes) -> None:
        message = parse_message(data)
        assert isinstance(message, (Request, Response))
        assert len(message.body) <= len(data)
        message.cseq()
        message.serialise()

    accepted, refused = count(call, cases(1, MESSAGES, PIECES))
    assert min(accepted, refused) > 10_000


SDPS = [
    (
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=x\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0I=,aM4=\r\na=control:trackID=1\r\na=framerate:25\r\n"
        b"a=x-dimensions:640,480\r\nm=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n"
    ),
    b"v=0\nm=video -1353744643 RTP/AVP 26\na=framesize:26 640-480\n",
    b"m=video 0 RTP/AVP 97\ra=rtpmap:97 H265/90000\r",
]
SDP_PIECES = [
    b"m=",
    b"m=video 0 RTP/AVP 96\n",
    b"a=",
    b"a=rtpmap:",
    b"9" * 30,
    b"-",
    b"\0",
    b"\xff\xfe",
    b"v\0=\0",
    b"\n",
    b"=",
    b";" * 50,
    b"a=fmtp:96 " + b"x=y;" * 40,
    b"\n\n\n",
    b"a=control:rtsp://u:p@h/",
    b"1000000000000000",
]


def test_descriptions():
    def call(data: bytes) -> None:
        got = parse_sdp(data)
        assert isinstance(got, SessionDescription)
        for media in got.medias:
            assert 0 <= media.port <= 65535
            assert all(0 <= pt <= 127 for pt in media.payload_types)
            assert media.dimensions is None or max(media.dimensions) <= 16384
            media.encodings()

    accepted, refused = count(call, cases(2, SDPS, SDP_PIECES))
    assert min(accepted, refused) > 10_000


CHALLENGES = [
    b'Digest realm="IP Camera(1)", nonce="abc", stale=FALSE, qop="auth,auth-int", algorithm=MD5, opaque=""',
    b'Basic realm="a, \\"b\\"", Digest realm=x, nonce=y, algorithm=SHA-256',
    b'Negotiate abc==, Digest nonce="1", algorithm=SHA-512-256',
]
AUTH_PIECES = [
    b'"',
    b"\\",
    b",",
    b"=",
    b" ",
    b"Basic ",
    b"Digest ",
    b"nonce=",
    b"stale=true",
    b", " * 40,
    b'\\"',
    b"\xed\xa0",
    b"algorithm=MD5-sess",
    b"qop=",
    b"\xff",
    b"\r",
    b"nextnonce=1",
]


def test_challenges():
    answers = 0

    def call(data: bytes) -> None:
        nonlocal answers
        text = data.decode("utf-8", "surrogateescape")
        assert len(parse_challenges([text, text])) <= 32
        parse_credentials(text)
        machine = Authenticator("admin", "S3cret", allow_basic=True, cnonce=lambda: "c")
        machine.challenged([text], answered=False)
        answer = machine.authorization("PLAY", "rtsp://h/")
        assert answer is not None
        machine.accepted(text)
        machine.authorization("PLAY", "rtsp://h/")
        machine.challenged([text], answered=True)
        answers += 1

    count(call, cases(3, CHALLENGES, AUTH_PIECES))
    assert answers > 10_000


def test_addresses_and_headers():
    seeds = [
        b"rtsp://admin:p%40ss@10.0.0.11:554/main?a=1&b=2",
        b"rtsps://[2001:db8::1%25eth0]:322/x",
        b"trackID=1",
        b"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=12AB, RTP/AVP;client_port=5000-5001",
        b"12345678;timeout=60",
    ]
    pieces = [
        b"@",
        b":",
        b"/",
        b"?",
        b"[",
        b"]",
        b"%",
        b"%zz",
        b"%ff",
        b" ",
        b"\r\n",
        b"://",
        b"rtsp://",
        b"-",
        b";",
        b"=",
        b"99999999999999",
        b",",
        b"\xe2\x80\xa8",
        b"*",
        b"a" * 3000,
    ]

    def call(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        parse_session(text)
        assert len(parse_transports(text)) <= 16
        control_url(content_base("rtsp://h/a", text, text), text)
        url = parse_url(text)
        again = parse_url(url.request())
        assert (again.host, again.port, again.target) == (url.host, url.port, url.target)
        assert 0 < url.port < 65536

    accepted, refused = count(call, cases(4, seeds, pieces))
    assert min(accepted, refused) > 5_000


FRAMES = [
    b"$\x00\x00\x0e\x80" + b"a" * 13,
    b"$\x01\x00\x04\x81rtc",
    b"$\x02\x00\x06MARKER",
    b"$\x00\x00\x00",
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabc",
    b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    b"\r\n",
]
FRAME_PIECES = [
    b"$",
    b"$\x00",
    b"$\x00\x00\x05\x80",
    b"$\x01\xff\xff",
    b"RTSP/1.0 ",
    b"RTSP/",
    b"PLAY ",
    b"\n",
    b"\0" * 20,
    b"$$$$",
]


def split(data: list[bytes]) -> tuple[list[object], int, int]:
    seen: list[object] = []
    framer = Framer()

    def receiver(channel: int) -> Callable[[bytes, int, int, float], None]:
        return lambda chunk, start, end, _now: seen.append((channel, chunk[start:end]))

    framer.connect({0: receiver(0), 1: receiver(1)})
    try:
        for chunk in data:
            framer.feed(chunk)
            while (message := framer.next_message(0.0)) is not None:
                seen.append(message)
    except RtspError as error:
        seen.append(error.code)
    return seen, framer.foreign_frames, framer.skipped_bytes


def test_framing_does_not_depend_on_the_cuts():
    rnd = random.Random(5)
    lost_way = errors = 0
    for _ in range(CASES):
        stream = b"".join(rnd.choice(FRAMES) for _ in range(rnd.randrange(1, 9)))
        if rnd.random() < 0.7:
            stream = mutate(rnd, stream, FRAME_PIECES)
        cuts = sorted(rnd.randrange(len(stream) + 1) for _ in range(rnd.randrange(1, 7)))
        chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        whole = split([stream])
        assert split(chunks) == whole
        lost_way += whole[2] > 0
        errors += any(isinstance(item, str) for item in whole[0])
    assert min(lost_way, errors) > 1_000
