"""One broker at the site, and the topics there that are triggers. Edge: a thread of its own, so that one that is away
keeps no other waiting.

Nothing that comes is kept: a message is compared and counted. What the broker remembers of before (retained messages,
sessions) is no event of now.
"""

from __future__ import annotations

import logging
import random
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from paho.mqtt.reasoncodes import ReasonCode

    from agent.capture.triggers import Trigger

MOST_PACKET_BYTES = 64 << 10
"""A bell says a word, a sensor a line of JSON; more is never received. paho itself would take 256 MB."""
RECEIVE_MOST = 20
UNFINISHED_MOST = 16
UNSENT_MOST = 1000  # messages that came while the broker took no acknowledgement
KEEPALIVE_S = 10
CONNECT_S = 3.0
WELCOME_S = 5.0  # from then on until topics are subscribed to
BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 5.0
TURN_S = 0.5
STEADY_S = 30.0
UNSUPPORTED = 0x84  # MQTT 5, 2.4: unsupported protocol version
FAILED = 0x80  # codes from here on say that it did not work

log = logging.getLogger("pasu.triggers")


class Place(NamedTuple):
    """Which broker, and as whom."""

    host: str
    port: int
    login: tuple[str, str] | None

    def __repr__(self) -> str:
        return f"Place({self.host}, {self.port})"


class _Bounded:
    """What paho takes for its socket; a packet that is too large ends the connection before it is received."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes. paho asks for all that is left of a packet."""
        if size > MOST_PACKET_BYTES:
            raise ConnectionError("a packet is too large")
        return self._connection.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Client(mqtt.Client):
    """A paho client for one connection."""

    def __init__(self, *, five: bool) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=f"pasu-{secrets.token_hex(6)}",  # two boxes of one name must not throw each other out
            clean_session=None if five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self.five = five
        self.connect_timeout = CONNECT_S

    def _create_socket(self) -> Any:
        return _Bounded(socket.create_connection((self._host, self._port), CONNECT_S))

    @property
    def unfinished(self) -> int:
        """How many messages of QoS 2 were begun by the broker and not ended; paho keeps them."""
        return len(self._in_messages)


class Broker:
    """Listens at one broker until it is told to stop.

    away    why nothing is heard; empty while all topics are subscribed to
    beaten  when the thread last came round, monotonic seconds
    """

    def __init__(self, place: Place, triggers: Sequence[Trigger], heard: Callable[[str], None]) -> None:
        """Begin. heard: is told the trigger of each message that counts, from the thread."""
        self.away = "not asked yet"
        self.beaten = time.monotonic()
        self.place = place
        self.triggers = tuple(triggers)
        self._heard = heard
        self._topics: Mapping[str, Sequence[Trigger]] = {
            topic: [each for each in triggers if each.place[2] == topic]
            for topic in {each.place[2] for each in triggers}
        }
        self._five = True
        self._knows_five = False
        self._failures = 0
        self._came = 0
        self._reached = self._welcomed = False
        self._over = ""
        self._stopping = threading.Event()
        name = f"broker {place.host}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end; it is not waited for."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.beaten = begun = time.monotonic()
            client = self._new_client()
            try:
                self._listen(client)
            except Exception as error:  # noqa: BLE001 - whatever a broker makes paho stumble over ends this connection
                self._end(_reason(error))
            finally:
                _let_go(client)
            if self._stopping.is_set():
                return
            if self._reached and not self._welcomed and not self._knows_five:
                self._five = not self._five  # some old ones say nothing to a greeting that they do not know
            if time.monotonic() - begun > STEADY_S:
                self._failures = 0
            pause_s = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**self._failures)
            self._failures = min(self._failures + 1, 8)
            self._stopping.wait(pause_s * random.uniform(0.6, 1.0))  # noqa: S311 - spreads load, protects nothing

    def _new_client(self) -> _Client:
        client = _Client(five=self._five)
        if self.place.login is not None:
            client.username_pw_set(*self.place.login)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        self._reached = self._welcomed = False
        self._over, self._came = "", 0
        return client

    def _listen(self, client: _Client) -> None:
        """Serve one connection to its end."""
        properties = None
        if client.five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MOST_PACKET_BYTES
            properties.ReceiveMaximum = RECEIVE_MOST
        client.connect(
            self.place.host,
            self.place.port,
            KEEPALIVE_S,
            clean_start=True if client.five else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
        self._reached = True
        until = time.monotonic() + WELCOME_S
        while not self._stopping.is_set():
            state = client.loop(TURN_S)
            self.beaten = time.monotonic()
            if not client.want_write():
                self._came = 0
            if self._over or state != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._end(self._over or "the connection was lost")
                return
            if client.unfinished > UNFINISHED_MOST or self._came > UNSENT_MOST:
                self._end("the broker does not keep to the protocol")
                return
            if self.away and self.beaten > until:
                self._end("no answer")
                return

    def _end(self, why: str) -> None:
        if self._stopping.is_set():
            return
        if why != self.away:
            log.warning("%s: not listening: %s", _names(self.triggers), why)
        self.away = why

    def _connected(self, client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.value == UNSUPPORTED:
            self._over = "another protocol"
            return
        self._welcomed = True  # to be refused is an answer, too, to a greeting that was understood
        if reason.is_failure:
            self._over = f"refused: {reason}"
            return
        self._knows_five = self._knows_five or client.five
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        asked: Any = [(topic, options if client.five else 1) for topic in sorted(self._topics)]
        client.subscribe(asked)

    def _subscribed(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [
            topic
            for topic, reason in zip(sorted(self._topics), reasons, strict=False)
            if reason.value >= FAILED
        ]
        if refused:
            names = _names([each for topic in refused for each in self._topics[topic]])
            self._over = f"no right to the topic of {names}"
            return
        if self.away:
            log.info("%s: listening", _names(self.triggers))
        self.away = ""

    def _message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._came += 1
        if message.retain:
            return
        for trigger in self._topics.get(message.topic, ()):
            if trigger.payload is None or trigger.payload == message.payload:
                self._heard(trigger.id)

    def _disconnected(
        self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._over = self._over or f"the connection was lost: {reason}"


def _names(triggers: Sequence[Trigger]) -> str:
    return " ".join(each.id for each in triggers)


def _reason(error: Exception) -> str:
    """Say what went wrong, without addresses."""
    if isinstance(error, TimeoutError):
        return "no answer"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _let_go(client: _Client) -> None:
    """End a connection; its ring of references with us, too."""
    client.on_connect = client.on_subscribe = client.on_message = client.on_disconnect = None
    try:
        client.disconnect()
        client.loop_write()
    except Exception:  # noqa: BLE001 - it is over in any case
        log.debug("a broker's connection ended badly")
    connection = client.socket()
    if connection is not None:
        connection.close()
