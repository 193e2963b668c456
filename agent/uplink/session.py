"""One MQTT connection after the other to the broker, on paho, without a thread: whoever has the descriptors calls.

Each connection has a paho client of its own. What was published and not acknowledged on an earlier one is its owner's
to send again, so nothing is sent twice by two memories. Commands that came meanwhile wait at the broker, in the session
that it keeps under our name.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from paho.mqtt.enums import MQTTErrorCode

from agent.uplink.client import KEEPALIVE_S, Client
from agent.uplink.dial import RESOLVE_POLL_S, Dial, Stage
from agent.uplink.payloads import SIGNED
from agent.uplink.pipe import MOST_PACKET_BYTES, Pipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt.client import MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from agent.uplink.dial import Endpoint
    from agent.uplink.seal import Seal

LATER_S = 2.0
"""What was sent with the last health of KEEPALIVE_S ago may be acknowledged with this one, on a slow line."""
ANSWER_S = 10.0
"""A line on which nothing came for KEEPALIVE_S and LATER_S is asked, and given up so long after: 42 s in all (E12)."""
QUIET_S = 20.0  # when something goes anyway and nothing came for so long, the question goes with it
OPEN_S = 20.0  # for name, TCP, TLS and the broker's welcome together
READS = 256  # calls of paho a turn: a flood must not keep the loop
UNFINISHED_MOST = 16
PROTOCOL_VERSION = 0x84  # MQTT 5, section 2.4
TAKEN_OVER = 0x8E
_REFUSED = frozenset((0x81, 0x82, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8F, 0x90, 0x95, 0x99, 0x9A))


class Why(Enum):
    """Why a connection ended, or did not come about."""

    OFFLINE = "offline"  # the line, or the broker is not there
    REFUSED = "refused"  # the broker does not want us
    UNPROVEN = "unproven"  # what answers cannot show that it is the city's broker
    TAKEN_OVER = "taken_over"  # another client has our name
    SILENT = "silent"  # nothing came any more
    PROTOCOL = "protocol"  # what came is not MQTT, or too large
    VERSION = "version"  # the broker does not know MQTT 5
    CLOSED = "closed"  # by ourselves


@dataclass(frozen=True, slots=True)
class Up:
    """The broker welcomed us."""

    protocol: int  # 5 or 4, as MQTT counts


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection ended. `up`: it had come about. `detail` is for people, without addresses."""

    why: Why
    detail: str
    up: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has what `publish` gave this token; or it says that it will not take it."""

    token: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message came."""

    topic: str
    payload: bytes
    retained: bool


Event = Up | Ended | Acknowledged | Arrived


class Session:
    """The connections of one box."""

    def __init__(self, endpoint: Endpoint, client_id: str, listen: Sequence[str], will_topic: str) -> None:
        """Connect to nothing yet.

        listen  topics to subscribe to; without the first nothing goes, of the others a broker may refuse one
        """
        self.sent_bytes = 0
        self.received_bytes = 0
        self.detail = ""
        self._endpoint = endpoint
        self._client_id = client_id
        self._listen = listen
        self._will_topic = will_topic
        self._will = b""
        self._seal: Seal | None = None
        self._five = True
        self._knows_five = False
        self.attempts = 0
        self._dial: Dial | None = None
        self._client: Client | None = None
        self._pipe: Pipe | None = None
        self._until_s = 0.0
        self._heard_s = 0.0
        self._said_s = 0.0
        self._asked_s: float | None = None
        self._up = False
        self._counted = (0, 0)
        self._events: list[Event] = []

    @property
    def is_up(self) -> bool:
        """Whether the broker has welcomed us and the connection stands."""
        return self._up

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return self._dial is not None or self._client is not None

    def open(self, now_s: float, will: bytes, *, check_dates: bool) -> None:
        """Begin to connect; events tell what comes of it.

        will         what the broker says in our name when it loses us
        check_dates  see Endpoint.context
        """
        assert not self.is_open
        self._until_s = now_s + OPEN_S
        self.attempts += 1
        try:
            context = self._endpoint.context(check_dates=check_dates)
            self._seal = self._endpoint.seal()
        except OSError as error:
            self._end(Why.REFUSED, f"certificate: {_reason(error)}")
            return
        except ValueError:
            self._end(Why.REFUSED, "certificate: not a key to sign with")
            return
        self._will = self._seal.put(self._will_topic, will)
        try:
            self._dial = Dial(self._endpoint, context, self.attempts)
        except OSError as error:
            self._end(Why.OFFLINE, _reason(error))

    def turn(self, now_s: float) -> list[Event]:
        """Do what can be done now; return what happened since the last turn."""
        if self._dial is not None:
            self._go_on(self._dial, now_s)
        if self._client is not None:
            self._read(now_s)
        if self._client is not None:
            self._watch(now_s)
        self._send(now_s)
        events, self._events = self._events, []
        return events

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> int | None:
        """Hand a message to the connection; return its token, None when there is none. `flush` sends it.

        What the box says of itself is signed here, by the key of the certificate that is shown.
        """
        if self._client is None or self._seal is None or not self._up:
            return None
        if topic.rpartition("/")[2] in SIGNED:
            payload = self._seal.put(topic, payload)
        info = self._client.publish(topic, payload, qos, retain)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def ask_if_quiet(self, now_s: float) -> None:
        """Ask for an answer together with what is being sent, when nothing came for a while."""
        if self._client is not None and self._asked_s is None and now_s - self._heard_s >= QUIET_S:
            self._ask(now_s)

    def flush(self, now_s: float) -> None:
        """Send what was published, as far as the line takes it; where nothing goes for too long, a question."""
        self._send(now_s)
        if self._up and self._asked_s is None and now_s >= self._quiet_at_s:
            self._ask(now_s)
            self._send(now_s)

    def _send(self, now_s: float) -> None:
        if self._client is None or self._pipe is None:
            return
        before = self._pipe.sent_bytes
        try:
            self._client.loop_write()
            self._pipe.flush()
        except OSError as error:
            self._end(Why.OFFLINE, _reason(error))
            return
        if self._pipe is not None and self._pipe.sent_bytes != before:
            self._said_s = now_s
        self._count()

    def close(self) -> None:
        """Say goodbye, in the protocol's sense too: the broker publishes no will then."""
        client = self._client
        if client is not None and self._up:
            client.forget()
            client.disconnect()
        self._end(Why.CLOSED, "")

    def fileno(self) -> int:
        """Return the descriptor to wait for, -1 while there is none."""
        if self._dial is not None:
            return self._dial.fileno()
        return self._pipe.fileno() if self._pipe is not None else -1

    @property
    def wants_write(self) -> bool:
        """Whether to wait until the descriptor takes bytes, too."""
        if self._dial is not None:
            return self._dial.wants_write
        if self._pipe is None or self._client is None:
            return False
        return self._pipe.wants_write or self._client.want_write()

    def due_s(self, now_s: float) -> float:
        """Return in how many seconds `turn` is to be called, whatever the descriptor says."""
        if self._events or (self._pipe is not None and self._pipe.has_more):
            return 0.0
        if self._dial is not None and self._dial.stage is Stage.NAME:
            return RESOLVE_POLL_S
        if not self._up:
            return max(0.0, self._until_s - now_s) if self.is_open else KEEPALIVE_S
        if self._asked_s is not None:
            return max(0.0, self._asked_s + ANSWER_S - now_s)
        return max(0.0, self._quiet_at_s - now_s)

    @property
    def _quiet_at_s(self) -> float:
        """When the line will have been quiet for so long, one way or the other, that it is asked about."""
        keepalive_s = min(KEEPALIVE_S, self._client.keepalive if self._client else KEEPALIVE_S) or KEEPALIVE_S
        return min(self._said_s, self._heard_s + LATER_S) + keepalive_s

    def _go_on(self, dial: Dial, now_s: float) -> None:
        try:
            connection = dial.turn()
        except ssl.SSLCertVerificationError as error:
            self._end(Why.UNPROVEN, error.verify_message)
            return
        except ssl.SSLError as error:
            self._end(Why.REFUSED, f"tls: {_reason(error)}")
            return
        except OSError as error:
            self._end(Why.OFFLINE, _reason(error))
            return
        if connection is None:
            if now_s >= self._until_s:
                self._end(Why.OFFLINE, f"no answer ({dial.stage.value})")
            return
        self._dial = None
        self._pipe = Pipe(connection)
        self._heard_s = self._said_s = now_s
        self._asked_s = None
        self._client = Client(self, self._pipe, self._client_id, five=self._five)
        self._client.will_set(self._will_topic, self._will, qos=1, retain=True)
        self._client.greet()

    def _read(self, now_s: float) -> None:
        client, pipe = self._client, self._pipe
        assert client is not None
        assert pipe is not None
        before = pipe.received_bytes
        try:
            for _ in range(READS):
                client.loop_read()
                if self._client is not client or pipe.is_dry:
                    break
        except Exception as error:  # noqa: BLE001 - whatever a hostile broker makes paho stumble over ends this session
            self._end(Why.PROTOCOL, type(error).__name__)
            return
        if client.unfinished > UNFINISHED_MOST:  # paho keeps messages of QoS 2 that are begun and never ended
            self._end(Why.PROTOCOL, "messages that are never ended")
        if pipe.received_bytes != before:
            self._heard_s, self._asked_s = now_s, None
        self._count()

    def _watch(self, now_s: float) -> None:
        if not self._up:
            if now_s >= self._until_s:
                self._end(Why.OFFLINE, "no answer (mqtt)")
            return
        if self._asked_s is not None and now_s - self._asked_s >= ANSWER_S:
            self._end(Why.SILENT, f"nothing for {now_s - self._heard_s:.0f} s")

    def _ask(self, now_s: float) -> None:
        assert self._client is not None
        self._asked_s = now_s
        self._client.ping()

    def _count(self) -> None:
        """Take the connection's bytes over into the sum of all connections."""
        if self._pipe is not None:
            self.sent_bytes += self._pipe.sent_bytes - self._counted[0]
            self.received_bytes += self._pipe.received_bytes - self._counted[1]
            self._counted = (self._pipe.sent_bytes, self._pipe.received_bytes)

    def _end(self, why: Why, detail: str) -> None:
        """End the connection, or the attempt, once."""
        client, pipe, dial, up = self._client, self._pipe, self._dial, self._up
        self._client = self._dial = None
        self._up = False
        if dial is not None:
            dial.close()
        if pipe is not None:
            pipe.close()
            self._count()
        self._pipe, self._counted = None, (0, 0)
        if client is not None:
            client.forget()
        if why is not Why.CLOSED:
            self.detail = detail
            self._events.append(Ended(why, detail, up))

    # What paho tells; it is called from within turn, flush and close.

    def welcomed(self, client: Client, reason: ReasonCode) -> None:
        """CONNACK."""
        if client is not self._client:
            return
        if reason.value == PROTOCOL_VERSION and self._five:
            self._five = False
            self._end(Why.VERSION, str(reason))
        elif reason.is_failure:
            self._end(Why.REFUSED if reason.value in _REFUSED else Why.OFFLINE, str(reason))
        else:
            self._up = True
            self._knows_five = self._knows_five or self._five
            self.detail = ""
            client.subscribe([(topic, 1) for topic in self._listen])
            self._events.append(Up(5 if self._five else 4))

    def subscribed(self, client: Client, reasons: list[ReasonCode]) -> None:
        """SUBACK."""
        if client is self._client and reasons[0].is_failure:
            self._end(Why.REFUSED, f"subscription: {reasons[0]}")

    def acknowledged(self, client: Client, token: int, reason: ReasonCode) -> None:
        """PUBACK; for QoS 0 that it was written."""
        if client is self._client:
            self._events.append(Acknowledged(token, str(reason) if reason.is_failure else ""))

    def arrived(self, client: Client, message: MQTTMessage) -> None:
        """PUBLISH."""
        if client is not self._client:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._events.append(Arrived(topic, bytes(message.payload), message.retain))

    def dropped(self, client: Client, reason: ReasonCode, *, told: bool) -> None:
        """Hear that the connection is no more. `told`: the broker said why."""
        if client is not self._client:
            return
        pipe = self._pipe
        if told and reason.value == TAKEN_OVER:
            self._end(Why.TAKEN_OVER, str(reason))
        elif told:
            self._end(Why.REFUSED if reason.value in _REFUSED else Why.OFFLINE, str(reason))
        elif pipe is not None and pipe.oversize:
            self._end(Why.PROTOCOL, f"a packet above {MOST_PACKET_BYTES} bytes")
        elif pipe is not None and isinstance(pipe.error, ssl.SSLError):
            # In TLS 1.3 the broker's refusal of our certificate comes after the handshake.
            self._end(Why.REFUSED, f"tls: {_reason(pipe.error)}")
        else:
            if not self._up and not self._knows_five:
                self._five = not self._five  # some brokers hang up on a version they do not know
            self._end(Why.OFFLINE, "the connection ended")


def _reason(error: OSError) -> str:
    """Say what went wrong in words that name no address."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).lower().replace("_", " ")
    return error.strerror or type(error).__name__
