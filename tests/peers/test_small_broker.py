"""The demo's broker in Python (amqtt): it keeps names apart as mosquitto does, and the demo works with it."""

from __future__ import annotations

import importlib.util
import os
import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agent.demo.broker import Broker
from agent.demo.show import show
from tests.town import Town

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B = "gn-0007", "gn-0008"


@pytest.fixture(autouse=True)
def installed() -> None:
    if importlib.util.find_spec("amqtt") is None:
        reason = "amqtt is missing: pip install 'pasu-agent[demo]'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    for box in (A, B):
        town.enrol(box)
    broker = Broker(town.city, None, tmp_path / "broker.log")
    assert broker.name == "amqtt"
    assert broker.start(), broker.last_words
    yield town
    broker.stop()


def heard(client, count: int) -> list[tuple[str, bytes]]:
    found = [client.heard.get(timeout=60) for _ in range(count)]
    return [(message.topic, message.payload) for message in found]


OLD = {"version": 4}


def test_each_name_has_its_own_topics(town: Town) -> None:
    centre = town.connect("centre", client_id="c1", topics=("pasu/v1/+/birth", "pasu/v1/+/facts"), **OLD)
    first = town.connect(A, topics=(f"pasu/v1/{A}/command",), **OLD)
    first.publish(f"pasu/v1/{A}/birth", b"a", retain=True)
    first.publish(f"pasu/v1/{B}/facts", b"forged")
    first.publish(f"pasu/v1/{A}/command", b"forged")
    first.publish(f"pasu/v1/{A}/facts", b"f")
    assert heard(centre, 2) == [(f"pasu/v1/{A}/birth", b"a"), (f"pasu/v1/{A}/facts", b"f")]
    # Who comes later is told what was retained of its own, and of nobody else.
    second = town.connect(B, topics=(f"pasu/v1/{B}/command",), **OLD)
    second.publish(f"pasu/v1/{B}/facts", b"g")
    centre.publish(f"pasu/v1/{B}/command", b"order")
    assert heard(second, 1) == [(f"pasu/v1/{B}/command", b"order")]
    assert heard(centre, 1) == [(f"pasu/v1/{B}/facts", b"g")]
    assert first.heard.empty()
    late = town.connect("centre", client_id="c2", topics=("pasu/v1/+/birth",), **OLD)
    assert heard(late, 1) == [(f"pasu/v1/{A}/birth", b"a")]
    for client in (centre, first, second, late):
        client.close()


def test_a_box_is_not_heard_under_another_name(town: Town) -> None:
    other = town.connect(A, client_id=B, expect=False, **OLD)
    assert other.gone.wait(60)
    assert not other.connected.is_set()
    other.close()


CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x1e\x00\x01x"


def answer(town: Town, context: ssl.SSLContext) -> bytes:
    """Return what a CONNECT is answered with; nothing where the connection ends instead."""
    try:
        with (
            socket.create_connection(("127.0.0.1", town.inside), 60) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(CONNECT)
            return secure.recv(4)
    except OSError:
        return b""


def test_who_has_no_certificate_is_not_heard(town: Town) -> None:
    context = ssl.create_default_context(cafile=str(town.city.at("ca", "ca.pem")))
    assert answer(town, context) == b""
    context.load_cert_chain(town.city.at("client", "centre.pem"), town.city.at("client", "centre.key"))
    assert answer(town, context) == b"\x20\x02\x00\x00"


def test_who_was_turned_out_is_not_heard(tmp_path: Path) -> None:
    from agent.centre import registry

    town = Town(tmp_path)
    town.enrol(A)
    registry.turn_out(town.city, A, datetime.now(UTC), lambda _: b"")
    broker = Broker(town.city, None, tmp_path / "broker.log")
    assert broker.start(), broker.last_words
    try:
        gone = town.connect(A, expect=False, **OLD)
        assert gone.reason or gone.gone.wait(60)
        assert not gone.connected.is_set()
        gone.close()
    finally:
        broker.stop()


def test_the_demo_works_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(8, 1, tmp_path / "out", mosquitto=None) == 0
    assert "amqtt" in capsys.readouterr().out
