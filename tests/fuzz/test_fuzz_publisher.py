"""The publishing machine against media servers that answer wrongly: 100,000 changed turns, fixed seed.

Whatever comes, it ends in events or in the one declared error, sends nothing anywhere else, gives no password away, and
says what it waits for.
"""

from __future__ import annotations

import random
import re

from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Ended
from agent.rtsp.gatekeeper import LogIn
from agent.rtsp.publisher import PublisherSession, PublisherState, Recording
from agent.rtsp.url import parse_url
from tests.fuzz.test_fuzz_rtsp_client import PASSWORD, mutate
from tests.unit.rtsp.recording import DESCRIPTION, MediaServer
from tests.unit.rtsp.wire import counter

CASES = 100_000  # changed turns, two in each dialogue
ASKED = re.compile(rb"^[A-Z_]+ (\S+) RTSP/1", re.MULTILINE)
OURS = b"rtsp://media/box/cam01"


def new_session() -> PublisherSession:
    config = ClientConfig(parse_url(OURS.decode()), "box", PASSWORD, allow_basic=False)
    return PublisherSession(config, DESCRIPTION, nonce=counter("c"))


def record(server: MediaServer) -> list[bytes]:
    """Return what a sane server says in a session, in turns."""
    session = new_session()
    session.start(0.0)
    turns = []
    while out := session.output():
        turns.append(server.receive(out))
        session.receive(turns[-1], 0.0)
    assert session.state is PublisherState.RECORDING
    turns.append(b"$\1\0\x08" + bytes((0x81, 201, 0, 1)) + bytes(4))
    for now in (15.0, 30.0):
        session.tick(now)
        turns.append(server.receive(session.output()))
        session.receive(turns[-1], now)
    session.close(31.0)
    turns.append(server.receive(session.output()))
    return turns


DIALOGUES = [
    record(MediaServer()),
    record(MediaServer(LogIn("box", PASSWORD, stale_after=2), channels="4-5", public="OPTIONS")),
    record(MediaServer(LogIn("box", PASSWORD, offers=("SHA-256",), qop=None))),
]


def play(rnd: random.Random, turns: list[bytes]) -> str:
    """Carry one dialogue on to its end; return how it ended."""
    session = new_session()
    session.start(0.0)
    now = 0.0
    said = session.output()
    events: list[object] = []
    broken = rnd.sample(range(len(turns)), 2)
    try:
        for number, turn in enumerate(turns):
            data = mutate(rnd, turn) if number in broken else turn
            cut = rnd.randrange(len(data) + 1)
            events += session.receive(data[:cut], now)
            events += session.receive(data[cut:], now)
            said += session.output()
            now += 0.1
            due = session.deadline()
            if due is not None and rnd.randrange(3 if session.state is PublisherState.RECORDING else 20) == 0:
                now = max(now, due)
                events += session.tick(now)
            if number == len(turns) - 2:
                session.close(now)
        for _ in range(6):
            due = session.deadline()
            assert (due is None) == (session.state is PublisherState.OVER)
            if due is None:
                break
            events += session.tick(max(now, due))
        return session.state.name
    except RtspError as error:
        text = str(error)
        assert PASSWORD not in text
        assert text.isprintable()
        assert session.state is PublisherState.OVER
        session.close(now)
        assert session.deadline() is None
        return error.code
    finally:
        said += session.output()
        assert all(isinstance(event, (Recording, Ended)) for event in events)
        assert PASSWORD.encode() not in said
        assert len(said) < 100_000
        assert {url.split(b"/trackID")[0] for url in ASKED.findall(said)} == {OURS}


def test_dialogues():
    rnd = random.Random(7)
    ends: dict[str, int] = {}
    for number in range(CASES // 2):
        end = play(rnd, DIALOGUES[number % len(DIALOGUES)])
        ends[end] = ends.get(end, 0) + 1
    assert {"OVER", "timeout", "status", "malformed_message", "redirect_refused"} <= set(ends), ends
    assert {"auth_failed", "auth_unsupported", "transport_refused", "limit", "closed"} <= set(ends), ends
