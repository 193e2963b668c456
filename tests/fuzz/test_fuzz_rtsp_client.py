"""The client machine against cameras that answer wrongly: 100,000 changed turns, fixed seed.

Whatever comes, it ends in events or in the one declared error, asks for no sound, gives no password away, and says what
it waits for.
"""

from __future__ import annotations

import random
import re

from agent.rtsp.client import ClientSession
from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Described, Ended, Event, Playing, Redirected
from agent.rtsp.exchange import State
from agent.rtsp.gatekeeper import LogIn
from agent.rtsp.media import AccessUnit
from agent.rtsp.server import Quirks, ServerConfig, ServerSession
from agent.rtsp.url import parse_url
from tests.unit.rtsp.wire import AUDIO, VIDEO, counter, jpeg_packet

CASES = 100_000  # changed turns, two in each dialogue
PASSWORD = "S3cretS3cret"
SETUP = re.compile(rb"^SETUP (\S+) RTSP", re.MULTILINE)
SOUND = re.compile(rb"\nm=audio 0 RTP/AVP 0\r?\na=rtpmap:0 PCMU/8000\r?\na=control:\S*trackID=1\r?\n")

PIECES = [
    b"\r\n", b"\n\n", b" ", b"\0", b"$", b"$\0\0\x20\x80", b"$\x02\x00\x04MARK", b"9" * 20, b"-1", b"a" * 200,
    b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n",
    b"RTSP/1.0 302 Found\r\nCSeq: 2\r\nLocation: rtsp://cam/other\r\n\r\n",
    b"RTSP/1.0 302 Found\r\nLocation: rtsp://evil/\r\n\r\n",
    b'RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n", stale=true\r\n\r\n',
    b'RTSP/1.0 401 No\r\nWWW-Authenticate: Basic realm="r"\r\n\r\n',
    b"RTSP/1.0 454 Gone\r\n\r\n",
    b"RTSP/1.0 100 Continue\r\n\r\n",
    b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    b"TEARDOWN * RTSP/1.0\r\n\r\n",
    b"REDIRECT * RTSP/1.0\r\nLocation: rtsp://cam/b\r\n\r\n",
    b"Content-Length: 40\r\n", b"Content-Length: 999999\r\n", b"Session: x;timeout=1\r\n", b"Transport: RTP/AVP/TCP;interleaved=2-3\r\n",
    b"m=audio 0 RTP/AVP 0\r\n", b"a=control:trackID=0\r\n", b"a=control:*\r\n",
]  # fmt: skip


def frame(channel: int, packet: bytes) -> bytes:
    return b"$" + bytes((channel,)) + len(packet).to_bytes(2, "big") + packet


def new_client() -> ClientSession:
    config = ClientConfig(parse_url("rtsp://cam/main"), "admin", PASSWORD, allow_basic=False)
    return ClientSession(config, ssrc=7, nonce=counter("c"))


def record(quirks: Quirks, log_in: LogIn | None) -> list[bytes]:
    """Return what a sane camera says in a session, in turns."""
    server = ServerSession(
        ServerConfig((VIDEO, AUDIO), log_in=log_in, timeout_s=4, quirks=quirks), nonce=counter("s")
    )
    client = new_client()
    client.start(0.0)
    turns = []
    while out := client.output():
        server.receive(out, 0.0)
        turns.append(server.output())
        client.receive(turns[-1], 0.0)
    assert client.state is State.PLAYING
    pictures = b"".join(
        frame(quirks.channel_shift, jpeg_packet(number, number * 3600)) for number in range(3)
    )
    turns.append(pictures + frame(quirks.channel_shift + 1, bytes((0x81, 203, 0, 1)) + bytes(4)))
    client.tick(2.0)
    server.receive(client.output(), 2.0)
    turns.append(server.output())
    return turns


DIALOGUES = [
    record(Quirks(), None),
    record(Quirks(channel_shift=2, control="absolute"), None),
    record(Quirks(bare_line_feeds=True, no_cseq=True), LogIn("admin", PASSWORD, stale_after=2)),
    record(Quirks(options="refuse", get_parameter="refuse", list_get_parameter=True),
           LogIn("admin", PASSWORD, offers=("SHA-256",), qop=None)),
]  # fmt: skip


def mutate(rnd: random.Random, turn: bytes) -> bytes:
    data = bytearray(turn)
    for _ in range(rnd.randrange(1, 4)):
        at = rnd.randrange(len(data) + 1)
        kind = rnd.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes((rnd.randrange(256),))
        elif kind == 1:
            del data[at : at + rnd.randrange(1, 20)]
        elif kind == 2:
            del data[at:]
        else:
            data[at:at] = rnd.choice(PIECES)
    return bytes(data)


def check_events(events: list[Event]) -> None:
    for event in events:
        assert isinstance(event, (Described, Playing, Redirected, Ended, AccessUnit))
        if isinstance(event, Redirected):
            assert event.url.host == "cam"
        if isinstance(event, AccessUnit):
            assert event.data.startswith(b"\xff\xd8")


def play(rnd: random.Random, turns: list[bytes]) -> str:
    """Carry one dialogue on to its end; return how it ended."""
    client = new_client()
    client.start(0.0)
    now = 0.0
    said = heard = b""
    broken = rnd.sample(range(len(turns)), 2)
    try:
        for number, turn in enumerate(turns):
            if number in broken:
                data = mutate(rnd, turn)
                heard += data
                cut = rnd.randrange(len(data) + 1)
                check_events(client.receive(data[:cut], now))
                data = data[cut:]
            else:
                data = turn
                heard += turn
            check_events(client.receive(data, now))
            said += client.output()
            if client.state is State.REDIRECTED:
                client.start(now)
            now += 0.1
            if number == len(turns) - 2:
                now += 2.0  # a keepalive is due
                check_events(client.tick(now))
        for _ in range(3):
            due = client.deadline()
            assert (due is None) == (client.state is State.OVER)
            if due is None:
                break
            check_events(client.tick(max(now, due)))
        return client.state.name
    except RtspError as error:
        text = str(error)
        assert PASSWORD not in text
        assert text.isprintable()
        assert client.state is State.OVER
        client.close(now)
        assert client.deadline() is None
        return error.code
    finally:
        said += client.output()
        assert PASSWORD.encode() not in said
        assert len(said) < 100_000
        if SOUND.search(heard):  # the camera still says which of its addresses is sound
            assert not any(url.endswith(b"trackID=1") for url in SETUP.findall(said))


def test_dialogues():
    rnd = random.Random(6)
    ends: dict[str, int] = {}
    for number in range(CASES // 2):
        end = play(rnd, DIALOGUES[number % len(DIALOGUES)])
        ends[end] = ends.get(end, 0) + 1
    assert {
        "OVER",
        "timeout",
        "status",
        "malformed_message",
        "malformed_sdp",
        "redirect_refused",
    } <= set(ends)
    assert {"auth_failed", "auth_unsupported", "transport_refused", "no_video", "limit", "closed"} <= set(
        ends
    )
