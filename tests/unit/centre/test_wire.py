"""What waits at the centre is bounded, whatever a box sends, and one that floods takes nobody else's place."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from agent.centre import founding, wire
from agent.centre.standing import SILENCE_S
from agent.centre.wire import KEEPALIVE_S, MOST_BOX_BYTES, MOST_BYTES, MOST_WAITING_BYTES, Wire
from agent.uplink.pulse import EVERY_S

BOX, OTHER = "gn-0001", "gn-0002"


@dataclass
class Came:
    """A message as paho gives it."""

    topic: str = f"pasu/v1/{BOX}/health"
    payload: bytes = b""
    qos: int = 0
    mid: int = 1
    retain: bool = False


class Unreadable(Came):
    """Its topic is no UTF-8: paho finds that out when somebody asks for it."""

    @property
    def topic(self) -> str:
        return b"\xff".decode()

    @topic.setter
    def topic(self, _: str) -> None: ...


@dataclass
class Client:
    """As much of paho's client as is looked at."""

    up: bool = True
    acknowledged: list[int] = field(default_factory=list)
    subscribed: list[object] = field(default_factory=list)

    def ack(self, mid: int, _qos: int) -> None:
        self.acknowledged.append(mid)

    def subscribe(self, topics: object) -> None:
        self.subscribed.append(topics)

    def is_connected(self) -> bool:
        return self.up


@dataclass
class Reason:
    """A reason code."""

    text: str = ""

    @property
    def is_failure(self) -> bool:
        return bool(self.text)

    def __str__(self) -> str:
        return self.text


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    plan = founding.Plan("gangneung", "강릉시", "127.0.0.1:1", "127.0.0.1:2")
    return founding.found(tmp_path_factory.mktemp("town") / "city", plan, datetime.now(UTC), None)


@pytest.fixture
def line(city):
    made = Wire(city, "centre-watch", ["pasu/v1/+/health"], keep=True)
    made._client = Client()
    return made


def send(line: Wire, *messages: Came) -> None:
    for message in messages:
        line._on_message(line._client, None, message)


def waiting(line: Wire) -> list[str]:
    found = []
    while (message := line.get(0)) is not None:
        found.append(message.box)
    return found


def test_e9_a_box_that_floods_is_dropped_and_counted_and_the_others_are_heard(line):
    """E9: what nobody repeats is dropped above a bound; what the broker repeats is not."""
    large = Came(payload=b"x" * MOST_BYTES)
    send(line, *[large] * 1000)
    send(line, Came(f"pasu/v1/{OTHER}/health", b"{}"))
    send(line, Came(payload=b"y" * MOST_BYTES, qos=1, mid=7))
    found = waiting(line)
    assert found.count(OTHER) == 1
    assert found.count(BOX) * MOST_BYTES <= MOST_BOX_BYTES + MOST_BYTES
    assert found[-1] == BOX
    assert line.take_dropped() == {BOX: 1000 - found.count(BOX) + 1}
    assert line.take_dropped() == {}
    assert (line._held, line._held_bytes) == ({}, 0)
    send(line, large)
    assert waiting(line) == [BOX]


def test_e9_many_boxes_together_are_bounded_too(line):
    for number in range(200):
        send(line, Came(f"pasu/v1/gn-{number:04d}/health", b"x" * MOST_BYTES))
    assert line._held_bytes <= MOST_WAITING_BYTES
    assert len(waiting(line)) + len(line.take_dropped()) == 200


def test_e9_messages_without_content_are_bounded(line):
    send(line, *[Came()] * 10_000)
    assert len(waiting(line)) < 3000


def test_e9_a_topic_that_is_none_ends_nothing(line):
    send(line, Unreadable(), Came("pasu/v2/x/health"), Came("pasu/v1/x"), Came())
    assert waiting(line) == [BOX]
    assert line._client.acknowledged == [1, 1, 1]


def test_a_broker_that_refuses_later_is_quoted_and_asked_again(line, monkeypatch):
    at_s = [1000.0]
    monkeypatch.setattr(wire.time, "monotonic", lambda: at_s[0])
    line._on_connect(line._client, None, None, Reason("Not authorized"), None)
    assert (line.refusal, line.connected) == ("Not authorized", False)
    line._on_connect(line._client, None, None, Reason(), None)
    assert line.refusal == ""
    line._on_subscribe(line._client, None, 1, [Reason("Quota exceeded")], None)
    assert (line.refusal, line.connected) == ("Quota exceeded", False)
    line.get(0)
    assert len(line._client.subscribed) == 1
    at_s[0] += wire.AGAIN_S
    line.get(0)
    line.get(0)
    assert len(line._client.subscribed) == 2
    line._on_subscribe(line._client, None, 2, [Reason()], None)
    assert (line.refusal, line.connected) == ("", True)


def test_a_dead_line_is_noticed_before_a_box_seems_silent():
    """A box that was heard 30 s ago, just before the line died, is not blamed for it."""
    assert 2 * KEEPALIVE_S + EVERY_S < SILENCE_S
