"""Which addresses the unit that records has to let pass besides those it lets pass for every box. Pure.

`pasu-record.service` denies every address but private ones and the box's own, so that whoever takes over a process that
parses what cameras send can tell nobody outside. A camera at another address is let pass by a drop-in, and that one
address alone: never a network. A name is in no drop-in: what it leads to is not known here, and changes.

Source  systemd.resource-control(5), IPAddressAllow=; ADR 0030
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

WORDS = {
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}
"""What systemd's names for networks stand for."""
UNIT = (
    *(
        "localhost",
        "link-local",
        "multicast",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
    ),
    "fc00::/7",
)
"""What IPAddressAllow= of pasu-record.service says (compared by its test)."""
NETWORKS = tuple(ipaddress.ip_network(each) for word in UNIT for each in WORDS.get(word, (word,)))
HEAD = (
    "# Written by `pasu init` and `pasu discover`, of the addresses in agent.toml; what is changed here is lost.\n"
    "# Further networks: a file of another name beside this one, as pasu-record-network.conf.\n"
)


def outside(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return those addresses among the hosts that the unit does not let pass by itself, in order."""
    found: set[Address] = {address for host in hosts if (address := _address(host)) is not None}
    beyond = [each for each in found if not any(each in network for network in NETWORKS)]
    return tuple(str(each) for each in sorted(beyond, key=lambda each: (each.version, each)))


def names(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return the hosts that are names, in order; "localhost" is the box itself."""
    return tuple(sorted({host for host in hosts if host != "localhost" and _address(host) is None}))


def text(addresses: Iterable[str]) -> str:
    """Write the drop-in, one line for each address; "" where none is needed."""
    lines = [f"IPAddressAllow={address}\n" for address in addresses]
    return HEAD + "[Service]\n" + "".join(lines) if lines else ""


def _address(host: str) -> Address | None:
    """Return what goes over the line: of an IPv4 address in IPv6's clothes the former. None for a name."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
