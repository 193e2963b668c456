"""A broker in Python (amqtt), for a demo on a computer without mosquitto: mutual TLS and the same rights for each name.

MQTT 3.1.1 only, nothing on the disk: not for a city.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

from agent.centre.brokers import CENTRE
from agent.demo.rights import may

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"
LISTENER = "default"
LEVEL = 4
NAME = b"\x00\x04MQTT"
OTHER_VERSION = b"\x20\x02\x00\x01"
"""CONNACK "unacceptable protocol version", MQTT 3.1.1 section 3.2.2.3."""
PLUGIN = "agent.demo.small_broker.Rights"


class Rights(BaseAuthPlugin, BaseTopicPlugin):
    """Who is who by the certificate, and what each may write and read: as agent.centre.brokers says it."""

    async def authenticate(self, *, session: Any) -> bool:
        """Let in whoever's certificate is of the city; a box's client id is its name."""
        name = _name(session)
        return name == CENTRE or (name != "" and session.client_id == name)

    async def topic_filtering(
        self, *, session: Any = None, topic: str | None = None, action: Any = None
    ) -> bool:
        """Tell whether somebody may write or read a topic."""
        return may(_name(session), topic or "", writes=action == Action.PUBLISH)


def _name(session: Any) -> str:
    """Return the common name of the certificate that was shown; empty for none."""
    if session is None or session.ssl_object is None:
        return ""
    subject = (session.ssl_object.getpeercert() or {}).get("subject", ())
    return next((value for names in subject for key, value in names if key == "commonName"), "")


class _Broker(Broker):
    """As amqtt's, but that whoever connects is sent what was retained for others' subscriptions too (0.12)."""

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Any
    ) -> None:
        if any(each is session for each, _ in self.subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)


async def serve(folder: Path, ports: Sequence[int]) -> None:
    """Be a broker until SIGTERM or SIGINT.

    folder  with ca.pem, crl.pem, broker.pem, broker.key
    Raises  OSError when a port is taken
    """
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_verify_locations(folder / "crl.pem")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    broker = _Broker({"listeners": {LISTENER: {"type": "external"}}, "plugins": {PLUGIN: {}}})
    await broker.start()
    servers = [
        await asyncio.start_server(partial(_connected, broker), HOST, port, ssl=context) for port in ports
    ]
    await done.wait()
    for server in servers:
        server.close()
    await broker.shutdown()


class _Begun(StreamReaderAdapter):
    """A stream of which some bytes were read already."""

    def __init__(self, begun: bytes, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._begun = begun

    async def read(self, n: int = -1) -> bytes:
        if not self._begun:
            return bytes(await super().read(n))
        taken = self._begun if n < 0 else self._begun[:n]
        self._begun = self._begun[len(taken) :]
        return taken if len(taken) == n or n < 0 else taken + bytes(await super().read(n - len(taken)))


async def _connected(broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a connection up; one that speaks MQTT 5 is told at once that nobody does here."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        begun = await _begin(reader)
        if begun[-1] == LEVEL:
            await broker.external_connected(_Begun(begun, reader), StreamWriterAdapter(writer), LISTENER)
            return
        writer.write(OTHER_VERSION)
        await writer.drain()
    writer.close()


async def _begin(reader: asyncio.StreamReader) -> bytes:
    """Read a CONNECT up to its protocol level (MQTT 3.1.1 section 3.1.2).

    amqtt takes the properties of MQTT 5 for a name of some thousand letters, and waits for them.
    """
    begun = await reader.readexactly(2)
    while begun[-1] & 0x80 and len(begun) < 5:
        begun += await reader.readexactly(1)
    return begun + await reader.readexactly(len(NAME) + 1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(serve(Path(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
