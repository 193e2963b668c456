"""WS-Discovery: ask on chosen interfaces which cameras there are, and hear the answers within bounds.

The library writes and reads the messages. The socket is ours: the library's own listens on every interface, follows
nothing to its end, and is stopped for good by one answer with an odd number in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from typing import TYPE_CHECKING
from xml.dom import minidom

from wsdiscovery import QName
from wsdiscovery.actions import constructProbe, parseProbeMatchMessage
from wsdiscovery.message import createSOAPMessage

from agent.onvif.answers import match
from agent.onvif.screen import AnswerError, screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.onvif.model import Match
    from agent.onvif.places import Interface

GROUP = ("239.255.255.250", 3702)  # ONVIF core specification, section 7.3; WS-Discovery 2.4
MAX_CAMERAS = 256
MAX_PER_HOST = 128  # answers; a camera gives four, and virtual ones share an address
MAX_HEARD = 8192  # answers of all; reading one takes 0.3 ms
MAX_MATCHES = 4  # in one answer
REPEAT_S = 0.2
BUFFER_BYTES = 8 * 1024 * 1024
_SO_RCVBUFFORCE = 33  # linux/socket.h; Python has no name for it
_TYPES = (
    ("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"),
    ("http://www.onvif.org/ver10/device/wsdl", "Device"),
)


def probes() -> list[tuple[str, bytes]]:
    """Write the questions: (id, datagram), for both names that cameras answer to."""
    made = []
    for namespace, name in _TYPES:
        envelope = constructProbe([QName(namespace, name)], [])
        made.append((envelope.getMessageId(), createSOAPMessage(envelope).encode()))
    return made


def read(data: bytes, host: str, asked: set[str]) -> list[Match]:
    """Read one datagram; what is no answer to what was asked is no match, and never an error."""
    try:
        # Read by its body: cameras get the header's Action wrong (one says ProbeMatch for ProbeMatches).
        envelope = parseProbeMatchMessage(minidom.parseString(screen(data)))  # noqa: S318 - nothing declares in it
        if envelope.getRelatesTo() not in asked:
            return []
        return [
            match(host, each.getXAddrs(), [scope.getValue() for scope in each.getScopes()])
            for each in envelope.getProbeResolveMatches()[:MAX_MATCHES]
        ]
    except AnswerError:
        return []
    except Exception:  # noqa: BLE001 - the library raises whatever a stranger's bytes lead it to
        return []


class _Listener(asyncio.DatagramProtocol):
    """Answers on one interface, each camera once."""

    def __init__(
        self, interface: Interface, asked: set[str], found: dict[tuple[str, tuple[str, ...]], Match]
    ) -> None:
        self._interface = interface
        self._asked = asked
        self._found = found
        self._heard: Counter[str] = Counter()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        host = addr[0]
        if self._heard.total() >= MAX_HEARD or len(self._found) >= MAX_CAMERAS:
            return
        if self._heard[host] >= MAX_PER_HOST or not self._interface.holds(host):
            return
        self._heard[host] += 1
        for each in read(data, host, self._asked):
            self._found.setdefault((each.host, each.services), each)


async def search(interfaces: Sequence[Interface], seconds: float) -> list[Match]:
    """Ask on each interface, and return who answered within some seconds, in the order of addresses.

    Raises OSError when not one interface could be asked on
    """
    asked = probes()
    ids = {identity for identity, _ in asked}
    found: dict[tuple[str, tuple[str, ...]], Match] = {}
    transports = []
    failed: OSError | None = None
    loop = asyncio.get_running_loop()
    try:
        for interface in interfaces:
            try:
                opened = _socket(interface)
            except OSError as error:
                failed = error
                continue
            transport, _ = await loop.create_datagram_endpoint(
                lambda interface=interface: _Listener(interface, ids, found),  # type: ignore[misc]
                sock=opened,
            )
            transports.append(transport)
        if failed is not None and not transports:
            raise failed
        for _ in range(2):
            for transport in transports:
                for _, question in asked:
                    transport.sendto(question, GROUP)
            await asyncio.sleep(REPEAT_S)
        await asyncio.sleep(max(0.0, seconds - 2 * REPEAT_S))
    finally:
        for transport in transports:
            transport.close()
    return sorted(found.values(), key=lambda each: (socket.inet_aton(each.host), each.services))


def _socket(interface: Interface) -> socket.socket:
    """Open a socket that sends by one interface, and not one hop farther."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface.own))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        with contextlib.suppress(
            PermissionError
        ):  # older kernels let root alone do it; the address binds as well
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode())
        made.bind((interface.own, 0))
    except OSError:
        made.close()
        raise
    return made
