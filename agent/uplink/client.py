"""paho's client, for one connection that stands already: what we say to it, and what it says to us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.uplink.pipe import MOST_PACKET_BYTES

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from agent.uplink.pipe import Pipe

KEEPALIVE_S = 30
SESSION_S = 86_400
RECEIVE_MOST = 20


class Hears(Protocol):
    """Who is told; always from within a call of ours."""

    def welcomed(self, client: Client, reason: ReasonCode) -> None:
        """CONNACK."""
        ...

    def subscribed(self, client: Client, reasons: list[ReasonCode]) -> None:
        """SUBACK."""
        ...

    def acknowledged(self, client: Client, token: int, reason: ReasonCode) -> None:
        """PUBACK; for QoS 0 that it was written."""
        ...

    def arrived(self, client: Client, message: mqtt.MQTTMessage) -> None:
        """PUBLISH."""
        ...

    def dropped(self, client: Client, reason: ReasonCode, *, told: bool) -> None:
        """Hear that the connection is no more. `told`: the broker said why."""
        ...


class Client(mqtt.Client):
    """A paho client for one connection that stands already."""

    def __init__(self, hears: Hears, pipe: Pipe, client_id: str, *, five: bool) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._pasu_pipe = pipe
        self._pasu_five = five
        self.on_connect = lambda _c, _u, _flags, reason, _properties: hears.welcomed(self, reason)
        self.on_subscribe = lambda _c, _u, _mid, reasons, _properties: hears.subscribed(self, reasons)
        self.on_publish = lambda _c, _u, mid, reason, _properties: hears.acknowledged(self, mid, reason)
        self.on_message = lambda _c, _u, message: hears.arrived(self, message)
        self.on_disconnect = lambda _c, _u, flags, reason, _properties: hears.dropped(
            self, reason, told=flags.is_disconnect_packet_from_server
        )

    def _create_socket(self) -> Any:
        """Return the connection that stands, where paho would make one and wait."""
        return self._pasu_pipe

    def greet(self) -> None:
        """Send CONNECT; what is left of an earlier session at the broker stays."""
        if not self._pasu_five:
            self.connect("broker", 1, KEEPALIVE_S)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S
        properties.MaximumPacketSize = MOST_PACKET_BYTES
        properties.ReceiveMaximum = RECEIVE_MOST
        self.connect("broker", 1, KEEPALIVE_S, clean_start=False, properties=properties)

    def ping(self) -> None:
        """Ask the broker for an answer."""
        self._send_pingreq()

    @property
    def unfinished(self) -> int:
        """How many messages of QoS 2 were begun by the broker and not ended."""
        return len(self._in_messages)

    def forget(self) -> None:
        """Break the ring of references, so that a city of sessions needs no collector."""
        self.on_connect = self.on_subscribe = self.on_publish = self.on_message = self.on_disconnect = None
