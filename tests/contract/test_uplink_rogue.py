"""Brokers that are not what they should be, and one that knows only MQTT 3.1.1: a server that says what a test scripts."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading

import pytest

from agent.uplink.inbound import Verdict
from agent.uplink.pipe import MOST_PACKET_BYTES
from tests.broker import Authority
from tests.uplink_box import Wire

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_4 = b"\x20\x02\x00\x00"
TOPIC = b"pasu/v1/gn-0007/command"


class Rogue:
    """Takes TLS connections, reads one packet, and answers as `answer` says: CONNECT's bytes to bytes, None to hang up."""

    def __init__(self, authority: Authority, answer) -> None:
        certificate, key = authority.issue("rogue", file="rogue")
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = self._socket.getsockname()[1]
        self.greetings: list[bytes] = []
        self.heard = bytearray()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        self._socket.close()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._socket.accept()
                connection.settimeout(5)
                with connection, self._context.wrap_socket(connection, server_side=True) as wrapped:
                    greeting = wrapped.recv(4096)
                    self.greetings.append(greeting)
                    answer = self._answer(greeting)
                    if answer is None:
                        continue
                    wrapped.sendall(answer)
                    wrapped.settimeout(0.1)
                    while not self._stopping.is_set():
                        with contextlib.suppress(TimeoutError):
                            data = wrapped.recv(4096)
                            if not data:
                                break
                            self.heard += data


@pytest.fixture
def city(tmp_path):
    return Authority(tmp_path / "city")


@pytest.fixture
def rogue(city):
    made: list = []

    def make(answer) -> Wire:
        made.append(Rogue(city, answer))
        made.append(Wire(None, authority=city, port=made[0].port))
        made[1].rogue = made[0]
        return made[1]

    yield make
    for each in reversed(made):
        each.stop()


def length(size: int) -> bytes:
    said = bytearray()
    while True:
        size, low = divmod(size, 128)
        said.append(low | (128 if size else 0))
        if not size:
            return bytes(said)


def publish(topic: bytes, payload: bytes, qos: int = 0, mid: int = 1) -> bytes:
    body = (
        len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if qos else b"") + b"\x00" + payload
    )
    return bytes([0x30 | qos << 1]) + length(len(body)) + body


def version(greeting: bytes) -> int:
    return greeting[greeting.index(b"MQTT") + 4]


def test_a_broker_that_knows_no_mqtt_5_is_spoken_to_in_3_1_1(rogue):
    """It says so: CONNACK 1, as the versions before 5 do."""
    wire = rogue(lambda said: CONNACK_4 if version(said) == 4 else b"\x20\x02\x00\x01")
    wire.up()
    assert wire.post.protocol == 4
    assert [version(each) for each in wire.rogue.greetings] == [5, 4]
    wire.post._session._pipe._connection.close()
    wire.until("the end", lambda: not wire.post.is_up)
    wire.ahead_s += 61
    wire.up()
    assert [version(each) for each in wire.rogue.greetings] == [5, 4, 4]  # it is remembered


def test_a_broker_that_hangs_up_on_mqtt_5_is_spoken_to_in_3_1_1(rogue):
    wire = rogue(lambda said: CONNACK_4 if version(said) == 4 else None)
    wire.until("the first end", lambda: wire.post.reason)
    wire.ahead_s += 61
    wire.up()
    assert wire.post.protocol == 4


@pytest.mark.parametrize(
    ("code", "word"), [(0x87, "uplink.refused"), (0x86, "uplink.refused"), (0x88, "uplink.offline")]
)
def test_what_the_broker_says_at_the_door_is_told(rogue, code, word):
    wire = rogue(lambda _: bytes([0x20, 3, 0, code, 0]))
    wire.until("the answer", lambda: wire.post.reason)
    assert word in wire.raised()
    assert ("uplink.refused" in wire.raised()) == (word == "uplink.refused")


def test_e9_a_packet_of_256_megabytes_is_never_received(rogue):
    """E9: its header is enough."""
    wire = rogue(lambda _: CONNACK_5 + b"\x30\xff\xff\xff\x7f" + b"x" * 100_000)
    wire.until("the end", lambda: "broker.suspect" in wire.raised())
    assert str(MOST_PACKET_BYTES) in wire.raised()["broker.suspect"]
    assert wire.post.traffic[1] < 200_000
    assert wire.memory.orders == []


def test_e9_payloads_that_are_no_command_reach_nobody(rogue):
    """E9: deep JSON, duplicate keys, NaN, bad UTF-8, wildcards in topics."""
    hostile = [
        publish(TOPIC, b'{"a":' * 10_000),
        publish(TOPIC, b'{"a":1,"a":2}'),
        publish(TOPIC, b"NaN"),
        publish(TOPIC, b"\xff\xfe\xfd"),
        publish(b"pasu/v1/+/command", b"a.b.c"),
        publish(b"\xff\xfe", b"a.b.c"),
        publish(b"pasu/v1/gn-0008/command", b"a.b.c"),
        publish(TOPIC, b"x" * 70_000),
        publish(TOPIC, b"a.b.c"),
    ]
    wire = rogue(lambda _: CONNACK_5 + b"".join(hostile))
    wire.until("the one that might be", lambda: wire.memory.orders)
    assert wire.memory.orders == [("a.b.c", False)]
    assert wire.post.inbound.counts[Verdict.GARBAGE] == 4
    assert wire.post.inbound.counts[Verdict.FOREIGN] == 3
    assert wire.post.inbound.counts[Verdict.OVERSIZE] == 1
    assert wire.post.is_up


def test_e9_messages_that_are_begun_and_never_ended_fill_no_memory(rogue):
    """E9: QoS 2, without PUBREL."""
    begun = b"".join(publish(TOPIC, b"x" * 60_000, 2, mid) for mid in range(1, 200))
    wire = rogue(lambda _: CONNACK_5 + begun)
    wire.until("the end", lambda: "broker.suspect" in wire.raised())
    assert wire.memory.orders == []


@pytest.mark.parametrize("seed", range(40))
def test_e9_any_bytes_end_the_connection_or_nothing(rogue, seed):
    """E9: whatever comes, the uplink goes on to its next attempt, and what it has not delivered stays."""
    chance = random.Random(seed)
    packets = [
        bytes([chance.randrange(256)]) + length(size) + chance.randbytes(size)
        for size in (chance.choice((0, 1, 2, 3, 5, 20, 300)) for _ in range(60))
    ]
    noise = CONNACK_5 * chance.randrange(2) + b"".join(packets)
    wire = rogue(lambda _: noise)
    wire.memory.size = 3
    wire.until("an end", lambda: wire.post.reason or len(wire.rogue.heard) > 0)
    wire.pass_time(40)
    assert wire.post.backlog == 3 - (wire.memory.kept_cursor.seq if wire.memory.kept_cursor else 0)


def test_e7_a_broker_that_acknowledges_what_was_not_sent_moves_nothing(rogue):
    """E7: PUBACK for every id there is."""
    acks = b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in range(1, 5000))
    wire = rogue(lambda _: CONNACK_5 + acks)
    wire.memory.size = 10
    wire.up()
    wire.until("the facts", lambda: b"facts" in wire.rogue.heard)
    wire.pass_time(5)
    assert wire.post.backlog == 10


def test_tls_1_1_is_not_spoken(city):
    context = Wire(None, authority=city, port=1).endpoint.context(check_dates=True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_broker_that_takes_the_connection_and_says_nothing_is_given_up(city):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wire = Wire(None, authority=city, port=silent.getsockname()[1])
        wire.turn()
        wire.pass_time(25)
        assert "no answer (tls)" in wire.post.reason
        wire.stop()
