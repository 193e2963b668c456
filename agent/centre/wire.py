"""The centre's connection to the broker: paho-mqtt, mutual TLS, MQTT 5 and, where a broker does not know it, 3.1.1."""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.errors import UplinkFault
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.centre.city import City

TOPIC = "pasu/v1"
RECEIPT = "receipt"
KEEPALIVE_S = 10
"""A line that is dead is noticed after two of these: before a box that was heard just before it died seems silent."""
SESSION_S = 7 * 86_400
RECEIVE_MAXIMUM = 100
"""Unacknowledged messages the broker may send: with MOST_BYTES each they are 50 MB."""
MOST_BYTES = 512 << 10
MOST_BOX_BYTES = 1 << 20
MOST_WAITING_BYTES = 64 << 20
"""What waits here to be handled, of one box and of all. Above it a message that nobody repeats (QoS 0) is dropped."""
MESSAGE_BYTES = 512
"""About what the smallest message takes of memory."""
AGAIN_S = 30.0
"""A broker that refused the topics of a connection that came back is asked again: its list of rights may be mended."""
_PAUSE_S = (1, 30)
_MOST_NAMED = 10_000


@dataclass(frozen=True, slots=True)
class Message:
    """What came in.

    box       of its topic; what the third level says
    part      of its topic: "facts", "health", ..., "export/<id>/<n>"
    ticket    to acknowledge it with
    """

    box: str
    part: str
    payload: bytes
    retained: bool
    ticket: tuple[int, int, int]


class Wire:
    """One connection, which comes back by itself. A message is acknowledged by whoever made it safe."""

    def __init__(self, city: City, client_id: str, topics: Sequence[str], *, keep: bool) -> None:
        """Prepare a connection.

        client_id  one connection at a time can have it
        topics     filters, QoS 1
        keep       let the broker keep what comes while nobody is connected
        Raises     UplinkFault BROKER_TLS when certificates cannot be read
        """
        self._host, _, port = city.inside.rpartition(":")
        self._port = int(port)
        self._topics = [(topic, 1) for topic in topics]
        self._client_id = client_id
        self._keep = keep
        self._tls = _tls(city)
        self.city = city
        self._incoming: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._held_bytes = 0
        self._dropped: Counter[str] = Counter()
        self._ask_s = 0.0
        self._ready = threading.Event()
        self._refused, self._hung_up, self._greeted = "", False, False
        self._connections = 0
        self._client: mqtt.Client | None = None

    def open(self, within_s: float) -> None:
        """Connect and subscribe. Raises UplinkFault BROKER_UNREACHABLE, BROKER_REFUSED."""
        until = time.monotonic() + within_s
        for version in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            self._refused, self._hung_up, self._greeted = "", False, False
            self._client = self._make(version)
            try:
                self._connect(self._client, version)
            except (OSError, ValueError) as error:
                self.close()
                raise self._unreachable(str(error)) from None
            self._client.loop_start()
            if self._wait(until):
                return
            self.close()
            if self._refused and "protocol" not in self._refused.lower():
                break
        if self._refused:
            raise UplinkFault(
                "BROKER_REFUSED",
                say("브로커가 거절했습니다", "the broker refuses"),
                hint=say(
                    "client 폴더의 인증서와 브로커의 권한 설정을 확인하십시오",
                    "check the certificate in `client` and the broker's access list",
                ),
                broker=f"{self._host}:{self._port}",
                reason=self._refused,
            )
        raise self._unreachable("no answer")

    def _wait(self, until: float) -> bool:
        """Wait for the subscription. A broker that knows only 3.1.1 may just hang up on 5."""
        while time.monotonic() < until and not self._refused and not self._hung_up:
            if self._ready.wait(0.05):
                return True
        return False

    @property
    def connected(self) -> bool:
        """Whether it is connected and subscribed now."""
        return self._ready.is_set()

    @property
    def refusal(self) -> str:
        """Why the broker would not have us when it was asked last; empty where it did, or was not there."""
        return self._refused

    def get(self, within_s: float) -> Message | None:
        """Return the next message, None when none comes in time."""
        self._ask_again()
        try:
            message = self._incoming.get(timeout=within_s) if within_s > 0 else self._incoming.get_nowait()
        except queue.Empty:
            return None
        with self._lock:
            self._held_bytes -= _bytes(message)
            self._held[message.box] -= _bytes(message)
            if not self._held[message.box]:
                del self._held[message.box]
        return message

    def take_dropped(self) -> dict[str, int]:
        """Return how many messages of each box were dropped since the last call, as they came too fast."""
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
        return dict(dropped)

    def acknowledge(self, message: Message) -> None:
        """Let the broker forget a message."""
        mid, qos, connection = message.ticket
        # After a reconnection the number is another message's; this one comes again.
        if self._client is not None and qos and connection == self._connections:
            self._client.ack(mid, qos)

    def send(self, box: str, text: str) -> mqtt.MQTTMessageInfo:
        """Send a command, QoS 1, never retained."""
        assert self._client is not None
        return self._client.publish(f"{TOPIC}/{box}/command", text.encode(), qos=1, retain=False)

    def receipt(self, box: str, payload: bytes) -> None:
        """Say how far an export has come, QoS 1; from any thread. Nobody waits for it: a box asks again."""
        if (client := self._client) is not None:
            client.publish(f"{TOPIC}/{box}/{RECEIPT}", payload, qos=1, retain=False)

    def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        self._ready.clear()
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _make(self, version: MQTTProtocolVersion) -> mqtt.Client:
        session: dict[str, Any] = {}
        if version == MQTTProtocolVersion.MQTTv311:
            session["clean_session"] = not self._keep
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=version,
            manual_ack=True,
            reconnect_on_failure=True,
            **session,
        )
        client.tls_set_context(self._tls)
        client.reconnect_delay_set(*_PAUSE_S)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _connect(self, client: mqtt.Client, version: MQTTProtocolVersion) -> None:
        more: dict[str, Any] = {}
        if version == MQTTProtocolVersion.MQTTv5:
            properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own gap
            properties.SessionExpiryInterval = SESSION_S if self._keep else 0
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            properties.MaximumPacketSize = MOST_BYTES
            more = {"clean_start": not self._keep, "properties": properties}
        client.connect(self._host.strip("[]"), self._port, KEEPALIVE_S, **more)

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        self._connections += 1
        self._greeted = True
        if reason.is_failure:
            self._refused = str(reason)
            return
        self._refused = ""
        if self._topics:
            client.subscribe(self._topics)
        else:
            self._ready.set()

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: Any, _properties: Any
    ) -> None:
        failed = [str(reason) for reason in reasons if reason.is_failure]
        if failed:
            self._refused, self._ask_s = failed[0], time.monotonic() + AGAIN_S
        else:
            self._refused = ""
            self._ready.set()

    def _ask_again(self) -> None:
        client = self._client
        if self._refused and client is not None and client.is_connected() and time.monotonic() >= self._ask_s:
            self._ask_s = time.monotonic() + AGAIN_S
            client.subscribe(self._topics)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, _reason: Any, _properties: Any
    ) -> None:
        self._hung_up = self._hung_up or not self._greeted
        self._ready.clear()

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            levels = message.topic.split("/", 3)
        except UnicodeDecodeError:  # it would end paho's thread
            levels = []
        ticket = (message.mid, message.qos, self._connections)
        if len(levels) < 4 or f"{levels[0]}/{levels[1]}" != TOPIC or len(message.payload) > MOST_BYTES:
            client.ack(message.mid, message.qos)
            return
        came = Message(levels[2], levels[3], bytes(message.payload), message.retain, ticket)
        if self._has_room(came):
            self._incoming.put(came)

    def _has_room(self, message: Message) -> bool:
        """Count a message in, or out: what the broker repeats (QoS 1) is bounded by RECEIVE_MAXIMUM."""
        with self._lock:
            held, total = self._held[message.box] + _bytes(message), self._held_bytes + _bytes(message)
            if message.ticket[1] == 0 and (held > MOST_BOX_BYTES or total > MOST_WAITING_BYTES):
                if message.box in self._dropped or len(self._dropped) < _MOST_NAMED:
                    self._dropped[message.box] += 1
                return False
            self._held[message.box], self._held_bytes = held, total
        return True

    def _unreachable(self, reason: str) -> UplinkFault:
        return UplinkFault(
            "BROKER_UNREACHABLE",
            say("브로커에 연결되지 않습니다", "the broker cannot be reached"),
            hint=say(
                "브로커가 실행 중인지, city.json의 inside 주소가 맞는지 확인하십시오",
                "check that the broker runs, and the address `inside` in city.json",
            ),
            broker=f"{self._host}:{self._port}",
            reason=reason,
        )


def _bytes(message: Message) -> int:
    return MESSAGE_BYTES + len(message.part) + len(message.payload)


def sent(ticket: mqtt.MQTTMessageInfo, within_s: float) -> bool:
    """Wait until the broker has a message; tell whether it has."""
    if ticket.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
        return False
    with contextlib.suppress(RuntimeError, ValueError):
        ticket.wait_for_publish(within_s)
    return ticket.is_published()


def _tls(city: City) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(city.at("ca", "ca.pem"))
        context.load_cert_chain(city.at("client", "centre.pem"), city.at("client", "centre.key"))
    except (OSError, ssl.SSLError) as error:
        raise UplinkFault(
            "BROKER_TLS",
            say("브로커에 쓰는 인증서를 읽을 수 없습니다", "the certificates for the broker cannot be read"),
            hint=say(
                "도시 폴더의 ca/ca.pem과 client를 확인하십시오",
                "check ca/ca.pem and client in the city's folder",
            ),
            reason=str(error),
        ) from None
    return context
