"""Where to look: which of the box's networks the cameras may be on, and which addresses a technician may name."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_HOSTS = 1024
WHY = ("tunnel", "route", "loopback")


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface with an IPv4 address and its network, as 10.0.0.5/24. WS-Discovery is asked by IPv4."""

    name: str
    address: str

    @property
    def own(self) -> str:
        """Return the box's address there."""
        return self.address.partition("/")[0]

    def holds(self, host: str) -> bool:
        """Tell whether a host is on this interface's network: one that is not cannot have heard us."""
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_interface(self.address).network
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Places:
    """What was chosen, and what was left out, each with its reason out of `WHY`."""

    chosen: tuple[Interface, ...]
    left_out: tuple[tuple[Interface, str], ...]


def choose(interfaces: Iterable[Interface], tunnel: str | None, default: Sequence[str]) -> Places:
    """Choose the interfaces to ask on when nobody has named any.

    tunnel   interface of the tunnel, if there is one; never asked on
    default  interfaces that a default route leads over: asked on only where there is no other
    """
    chosen: list[Interface] = []
    outside: list[Interface] = []
    left: list[tuple[Interface, str]] = []
    for each in interfaces:
        if each.name == tunnel:
            left.append((each, "tunnel"))
        elif ipaddress.ip_address(each.own).is_loopback:
            left.append((each, "loopback"))
        elif each.name in default:
            outside.append(each)
        else:
            chosen.append(each)
    if chosen:
        left += [(each, "route") for each in outside]
    return Places(tuple(chosen or outside), tuple(left))


def host(text: str) -> str | None:
    """Read one address that a technician typed; None for a name and for what is no single host's."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_multicast or address.is_unspecified or getattr(address, "scope_id", None):
        return None
    return str(address)


def network(text: str) -> tuple[str, ...] | None:
    """Read a network that a technician typed, as 10.0.0.0/24; return its hosts.

    None for what is none, is not IPv4, has more than 1024 hosts, or is not private: cameras stand on networks of the
    site's own, and nobody's but the site's is gone through
    """
    try:
        found = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None
    if found.num_addresses > MAX_HOSTS or not found.is_private:
        return None
    return tuple(str(address) for address in found.hosts())


def default_routes(table: str) -> tuple[str, ...]:
    """Read the interfaces of default routes out of /proc/net/route."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == "00000000" and words[7] == "00000000" and words[0] not in found:
            found.append(words[0])
    return tuple(found)
