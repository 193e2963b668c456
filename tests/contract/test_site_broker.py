"""Listening at a site's broker: a real mosquitto, and one that is nobody's."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from agent.capture.broker import MOST_PACKET_BYTES, Broker, Place
from agent.capture.triggers import Trigger
from tests.bells import PASSWORD, USER, Bell, SiteBroker
from tests.lab import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def trigger(name: str, topic: str, payload: bytes | None = None) -> Trigger:
    return Trigger(name, "mqtt", ("127.0.0.1", 0, topic), payload, ())


class Ear:
    """What a broker's thread heard."""

    def __init__(self, port: int, *triggers: Trigger, login: tuple[str, str] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.broker = Broker(Place("127.0.0.1", port, login), triggers, self._note)

    def _note(self, name: str) -> None:
        self.counts[name] += 1

    def wait(self) -> None:
        wait_for("the subscription", lambda: not self.broker.away, 60)


@contextlib.contextmanager
def listening(port: int, *triggers: Trigger, login: tuple[str, str] | None = None) -> Iterator[Ear]:
    ear = Ear(port, *triggers, login=login)
    try:
        yield ear
    finally:
        ear.broker.stop()
        ear.broker.join(30)


def test_messages_count_by_topic_and_payload(tmp_path: Path) -> None:
    triggers = (
        trigger("any", "site/door"),
        trigger("on", "site/bell", b"on"),
        trigger("off", "site/bell", b"off"),
    )
    with SiteBroker(tmp_path) as broker, listening(broker.port, *triggers) as ear, Bell(broker) as bell:
        ear.wait()
        bell.ring("site/bell", "on", times=3)
        bell.ring("site/bell", "off")
        bell.ring("site/bell", "ON")
        bell.ring("site/bell", b"\xff\x00")
        bell.ring("site/door", "whatever", times=2)
        bell.ring("site/other", "on")
        bell.ring("site/door", "", times=1)
        wait_for("the last", lambda: ear.counts["any"] == 3)
        assert ear.counts == {"on": 3, "off": 1, "any": 3}
        assert broker.log().count(" as pasu-") == 1  # one connection for all


def test_a_bell_of_yesterday_is_no_event(tmp_path: Path) -> None:
    with SiteBroker(tmp_path) as broker, Bell(broker) as bell:
        bell.ring("site/bell", "on", retain=True)
        with listening(broker.port, trigger("bell", "site/bell")) as ear:
            ear.wait()
            bell.ring("site/bell", "now")
            wait_for("the new one", lambda: ear.counts["bell"])
            assert ear.counts["bell"] == 1
            # One that is published now and kept by the broker is one of now.
            bell.ring("site/bell", "on", retain=True)
            wait_for("the next", lambda: ear.counts["bell"] == 2)


@pytest.mark.parametrize("five", [True, False])
def test_a_retained_one_is_left_out_also_where_the_broker_sends_it(
    tmp_path: Path, five: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker of MQTT 3.1.1 cannot be asked to keep them to itself."""
    original = Broker._new_client

    def as_asked(self: Broker):
        self._five = five
        return original(self)

    monkeypatch.setattr(Broker, "_new_client", as_asked)
    with SiteBroker(tmp_path) as broker, Bell(broker) as bell:
        bell.ring("site/bell", "on", retain=True)
        with listening(broker.port, trigger("bell", "site/bell")) as ear:
            ear.wait()
            bell.ring("site/bell", "now")
            wait_for("the new one", lambda: ear.counts["bell"])
            assert ear.counts["bell"] == 1
        greeted = broker.log().split(" as pasu-")[-1].splitlines()[0]
        assert f"(p{5 if five else 2}, c1" in greeted


def test_a_broker_that_goes_and_comes_is_listened_to_again(tmp_path: Path) -> None:
    with SiteBroker(tmp_path) as broker, listening(broker.port, trigger("bell", "site/bell")) as ear:
        for round_ in range(1, 4):
            ear.wait()
            with Bell(broker) as bell:
                bell.ring("site/bell")
                wait_for("the ring", lambda wanted=round_: ear.counts["bell"] == wanted)
            broker.stop()
            wait_for("the loss", lambda: ear.broker.away)
            assert "127.0.0.1" not in ear.broker.away
            broker.start()
        ear.wait()


def test_a_broker_that_is_not_there_yet(tmp_path: Path) -> None:
    broker = SiteBroker(tmp_path)
    broker.stop()
    with listening(broker.port, trigger("bell", "site/bell")) as ear:
        wait_for("a reason", lambda: ear.broker.away == "Connection refused")
        broker.start()
        ear.wait()
        assert time.monotonic() - ear.broker.beaten < 20
    broker.stop()


def test_a_wrong_log_in_is_told_and_a_right_one_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SiteBroker(tmp_path, login=True) as broker:
        for login in ((USER, "not-this-5e1f"), None):
            with listening(broker.port, trigger("bell", "site/bell"), login=login) as ear:
                wait_for("the refusal", lambda ear=ear: ear.broker.away.startswith("refused"))
        assert "not-this-5e1f" not in caplog.text + ear.broker.away + repr(ear.broker.place)
        with (
            listening(broker.port, trigger("bell", "site/bell"), login=(USER, PASSWORD)) as ear,
            Bell(broker) as bell,
        ):
            ear.wait()
            bell.ring("site/bell")
            wait_for("the ring", lambda: ear.counts["bell"] == 1)
        assert PASSWORD not in caplog.text


def test_a_flood_is_counted_to_the_last_message(tmp_path: Path) -> None:
    with SiteBroker(tmp_path) as broker, listening(broker.port, trigger("bell", "site/bell")) as ear:
        ear.wait()
        with Bell(broker) as bell:
            bell.ring("site/bell", times=10_000)
        wait_for("all", lambda: ear.counts["bell"] == 10_000, 120)


class Rogue:
    """Somebody who is no broker: answers whoever connects as it is told, and counts who comes."""

    def __init__(self, *answers: bytes) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.greetings: list[bytes] = []
        self._answers = answers
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(20)
                self.greetings.append(connection.recv(4096))
                for answer in self._answers:
                    connection.sendall(answer)
                while connection.recv(4096):
                    pass

    def close(self) -> None:
        self._door.close()


WELCOME = bytes.fromhex("20020000")  # CONNACK of MQTT 3.1.1
HUGE = b"\x30\xff\xff\xff\x7f" + b"\x00\x09site/bell" + bytes(2 * MOST_PACKET_BYTES)


@pytest.mark.parametrize(
    "answers",
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (WELCOME, HUGE),
        (b"\xff" * 100,),
    ],
)
def test_one_that_is_no_broker_is_left_and_tried_again(answers: tuple[bytes, ...]) -> None:
    rogue = Rogue(*answers)
    with listening(rogue.port, trigger("bell", "site/bell")) as ear:
        wait_for("several tries", lambda: len(rogue.greetings) > 3, 60)
        assert ear.broker.away
        assert not ear.counts
        # An old broker that says nothing to MQTT 5 is greeted in its own tongue.
        assert {greeting[8] for greeting in rogue.greetings if len(greeting) > 8} == {4, 5}
    rogue.close()


def test_a_topic_that_may_not_be_read_is_told() -> None:
    rogue = Rogue(WELCOME, bytes.fromhex("9003000180"))
    with listening(rogue.port, trigger("bell", "site/bell")) as ear:
        wait_for("the reason", lambda: ear.broker.away == "no right to the topic of bell", 60)
    rogue.close()


def test_a_line_that_is_dead_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker took the subscription and says nothing any more, not that it is gone either."""
    monkeypatch.setattr("agent.capture.broker.KEEPALIVE_S", 2)
    rogue = Rogue(WELCOME, bytes.fromhex("9003000101"))
    with listening(rogue.port, trigger("bell", "site/bell")) as ear:
        ear.wait()
        wait_for("the loss", lambda: ear.broker.away, 60)
        wait_for("another try", lambda: not ear.broker.away, 60)
    rogue.close()
