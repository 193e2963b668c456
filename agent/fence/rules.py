"""The fence's rules: what a camera may send to the box, and that nothing is forwarded. Pure.

1. What comes in by an interface to which cameras alone are connected, and what comes from a camera's address anywhere,
   is let in only as an answer: no TCP connection is begun, nothing finds out whether a port is open, and datagrams
   reach the ports alone from which the box itself speaks (answers to a search or for the time, a camera's video by
   RTP), and those that [[camera]] names.
2. From there no router may be announced and no way be redirected (ICMP, ICMPv6).
3. Nothing is forwarded, from any interface to any other.
4. What was barred stays barred until there is a reason to open it: that an address is missing is none. A camera can
   take it away (it drops its carrier), and after a power cut the box is there before the switches are.

By the flags of TCP alone, as the guard does: no table of connections, nothing that fills up, and a recording that goes
on while rules are loaded.

Source  faults.md D14; study section 2-3-2(2): separate networks
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from agent.tunnel import nft
from agent.tunnel.nft import ACCEPT, COUNT, DROP, Rule, came_from, field, goto, meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TABLE = "pasu_cameras"
PRIORITY = -5
OWN_PORTS = (32768, 60999)
"""From which the kernel speaks where nobody says otherwise (net.ipv4.ip_local_port_range, set by pasu.sysctl.conf)."""
ERRORS = ("destination-unreachable", "time-exceeded", "parameter-problem")
NEIGHBOURS = ("nd-neighbor-solicit", "nd-neighbor-advert", "mld-listener-query")
ECHO = ("echo-request", "echo-reply")
SETTLED_S = 300.0
"""After a power cut, routers and switches at the site may take so long: until then the way by which somebody comes to
look after the box may have no address, and is there all the same."""
_HOOKS = {"input": "input", "forward": "forward"}
_BARRED = re.compile(r'^\s*(?:meta )?iifname "([^"]+)" goto barred$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fence:
    """What the rules are made of.

    interfaces  to which cameras alone are connected
    cameras     addresses of all cameras, and of brokers of bells
    ports       of UDP that cameras send to unasked, as udp:// in [[camera]] says
    """

    interfaces: tuple[str, ...]
    cameras: tuple[str, ...]
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface as the kernel shows it.

    addresses  the box's own there, but those of the link itself
    gateways   whether any way leads further by it
    networks   that lie there: of its addresses, with their lengths
    """

    name: str
    addresses: tuple[str, ...]
    gateways: bool
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Before:
    """What there was before.

    barred   interfaces that the fence in force bars, or the one that the next boot loads
    up_s     seconds since the box started
    unknown  a camera may be anywhere: it is given by a name that says nothing here
    """

    barred: frozenset[str] = frozenset()
    up_s: float = SETTLED_S
    unknown: bool = False


NOTHING = Before()


def fence(
    links: Iterable[Link],
    ways: Mapping[str, str],
    *,
    others: Iterable[str],
    page: Iterable[str],
    ports: Iterable[int],
    before: Before = NOTHING,
) -> Fence:
    """Decide which interfaces are the cameras' alone.

    ways    by address of a camera, the interface that leads there, "" for none
    others  interfaces that are something else: the tunnel, the line outside
    page    the box's addresses at which the page is served
    Returns the fence. An interface is the cameras' where it leads to one, no gateway is behind it, the page is not
            served by it, and the box has another one with an address, which is not barred itself: whoever looks after
            the box must be able to come to it. One that was barred stays so until one of these reasons opens it, or
            all cameras are seen elsewhere; that nothing leads there now, or that it is gone, is no reason, and neither
            is that a port which waits for its cable, with the page's address, has none.
            Every camera's address is barred, whether there is a way to it or not; but not the box's own.
    """
    known = {link.name: link for link in links if link.name != "lo"}
    present = {*known}
    known |= {name: Link(name, (), gateways=False) for name in before.barred if name not in known}
    apart, served, led = {*others}, {*page}, {*ways.values()}
    spare = {name for name, link in known.items() if link.addresses and name not in apart}
    alone = {
        name
        for name, link in known.items()
        if name not in apart
        and not link.gateways
        and not served & {*link.addresses}
        and (
            (name in led and name in spare)
            or (name in before.barred and (before.unknown or not _are_elsewhere(link, known.values(), ways)))
        )
    }
    if not spare - alone:
        # A maintenance port without a cable has no address, and is a way in all the same: the page's is nowhere now.
        waits = served - {address for link in known.values() for address in link.addresses}
        has_port = present - alone - apart
        is_held = before.up_s < SETTLED_S or (waits and has_port)
        alone &= before.barred if is_held else frozenset()
    cameras = sorted(host for host, way in ways.items() if way != "lo")
    return Fence(tuple(sorted(alone)), tuple(cameras), tuple(sorted({*ports})))


def _are_elsewhere(link: Link, known: Iterable[Link], cameras: Iterable[str]) -> bool:
    """Tell whether a link has a network, and every camera is in one of another link and not in this.

    By the box's own addresses: where one is missing, nothing is known, and a way by a gateway proves nothing.
    """
    others = [each for each in known if each is not link]
    return bool(link.networks) and all(
        any(_lies_in(camera, each) for each in others) and not _lies_in(camera, link) for camera in cameras
    )


def _lies_in(address: str, link: Link) -> bool:
    return any(ip_address(address) in ip_network(network) for network in link.networks)


def barred(listing: str) -> frozenset[str]:
    """Return the interfaces that a fence bars as a whole. listing: `text`, or what `nft list table` prints of it."""
    return frozenset(_BARRED.findall(listing))


def text(made: Fence) -> str:
    """Write what `nft -f` loads."""
    return nft.text(TABLE, _HOOKS, _chains(made), PRIORITY)


def lacks(listing: Any, made: Fence) -> list[str]:
    """Return what keeps a listing (`nft -j list table inet pasu_cameras`) from being the fence; empty when it is."""
    return nft.lacks(listing, TABLE, _HOOKS, _chains(made), PRIORITY)


def _chains(made: Fence) -> dict[str, list[Rule]]:
    barred: list[Rule] = [
        # What answers has one of these. SYN would begin a connection; FIN, nothing at all and FIN with PSH and URG
        # (RFC 9293, 3.10.7) are answered by a port that is closed, and by none that is open.
        [nft.has_flag("ack"), ACCEPT],
        [nft.has_flag("rst"), ACCEPT],
        [nft.match({"meta": {"key": "l4proto"}}, "tcp"), COUNT, DROP],
        [field("udp", "dport", OWN_PORTS), ACCEPT],
        *([field("udp", "dport", port), ACCEPT] for port in made.ports),
        [field("udp", "sport", 67), field("udp", "dport", 68), ACCEPT],
        *([field("icmp", "type", kind), ACCEPT] for kind in (*ECHO, *ERRORS)),
        *(
            [field("icmpv6", "type", kind), ACCEPT]
            for kind in (*ECHO, *ERRORS, "packet-too-big", *NEIGHBOURS)
        ),
        [nft.match({"meta": {"key": "l4proto"}}, "igmp"), ACCEPT],
        [COUNT, DROP],
    ]
    entering: list[Rule] = [[meta("iifname", "lo"), ACCEPT]]
    entering += [[meta("iifname", name), goto("barred")] for name in made.interfaces]
    entering += [[came_from(address), goto("barred")] for address in made.cameras]
    return {"barred": barred, "input": entering, "forward": [[COUNT, DROP]]}
