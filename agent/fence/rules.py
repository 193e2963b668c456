"""The fence's rules: what a camera may send to the box, and that nothing is forwarded. Pure.

1. What comes in by an interface to which cameras alone are connected, and what comes from a camera's address anywhere,
   is let in only as an answer: no TCP connection is begun, and datagrams reach the ports alone from which the box
   itself speaks (answers to a search or for the time, a camera's video by RTP), and those that [[camera]] names.
2. From there no router may be announced and no way be redirected (ICMP, ICMPv6).
3. Nothing is forwarded, from any interface to any other.

By the flags of TCP alone, as the guard does: no table of connections, nothing that fills up, and a recording that goes
on while rules are loaded.

Source  faults.md D14; study section 2-3-2(2): separate networks
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.tunnel import nft
from agent.tunnel.nft import ACCEPT, COUNT, DROP, SYN, Rule, came_from, field, goto, meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TABLE = "pasu_cameras"
PRIORITY = -5
OWN_PORTS = (32768, 60999)
"""From which the kernel speaks where nobody says otherwise (net.ipv4.ip_local_port_range, set by pasu.sysctl.conf)."""
ERRORS = ("destination-unreachable", "time-exceeded", "parameter-problem")
NEIGHBOURS = ("nd-neighbor-solicit", "nd-neighbor-advert", "mld-listener-query")
ECHO = ("echo-request", "echo-reply")
_HOOKS = {"input": "input", "forward": "forward"}


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
    """

    name: str
    addresses: tuple[str, ...]
    gateways: bool


def fence(
    links: Iterable[Link],
    ways: Mapping[str, str],
    *,
    others: Iterable[str],
    page: Iterable[str],
    ports: Iterable[int],
) -> Fence:
    """Decide which interfaces are the cameras' alone.

    ways    by address of a camera, the interface that leads there, "" for none
    others  interfaces that are something else: the tunnel, the line outside
    page    the box's addresses at which the page is served
    Returns the fence. An interface is the cameras' where it leads to one, no gateway is behind it, the page is not
            served by it, and the box has another one: whoever looks after the box must be able to come to it.
    """
    known = [link for link in links if link.name != "lo"]
    served = {*page}
    spare = {link.name for link in known if link.addresses and link.name not in {*others}}
    alone = [
        link.name
        for link in known
        if link.name in ways.values()
        and link.name in spare
        and not link.gateways
        and not served & {*link.addresses}
        and spare - {link.name}
    ]
    cameras = sorted(host for host, way in ways.items() if way not in ("", "lo"))
    return Fence(tuple(sorted(alone)), tuple(cameras), tuple(sorted({*ports})))


def text(made: Fence) -> str:
    """Write what `nft -f` loads."""
    return nft.text(TABLE, _HOOKS, _chains(made), PRIORITY)


def lacks(listing: Any, made: Fence) -> list[str]:
    """Return what keeps a listing (`nft -j list table inet pasu_cameras`) from being the fence; empty when it is."""
    return nft.lacks(listing, TABLE, _HOOKS, _chains(made), PRIORITY)


def _chains(made: Fence) -> dict[str, list[Rule]]:
    barred: list[Rule] = [
        [SYN, COUNT, DROP],
        [nft.match({"meta": {"key": "l4proto"}}, "tcp"), ACCEPT],
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
