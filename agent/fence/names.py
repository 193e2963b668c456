"""Addresses of cameras that are given by a name: of /etc/hosts alone. Pure.

No name server is asked: what puts the fence up has no network, an answer would come late or from somebody else, and
what a name means tomorrow is another's to say. A name that the file does not hold is no address, and that is told.

Source  hosts(5)
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OWN = "localhost"


def addresses(hosts: Iterable[str], file: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find out where cameras are.

    hosts   addresses and names
    file    the text of /etc/hosts
    Returns addresses as the kernel writes them, and the names of which none is known; each sorted. Groups and the box
            itself are neither: a group sends nothing.
    """
    known = _read(file)
    found: set[str] = set()
    unknown = []
    for host in hosts:
        address = _address(host)
        if address is not None:
            found.add(address)
        elif host.lower() in known:
            found |= known[host.lower()]
        elif host.lower() != OWN:
            unknown.append(host)
    return tuple(sorted(each for each in found if _is_another(each))), tuple(sorted(unknown))


def _read(file: str) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for line in file.splitlines():
        first, *names = line.partition("#")[0].split() or [""]
        address = _address(first)
        for name in names if address else ():
            known.setdefault(name.lower(), set()).add(str(address))
    return known


def _address(text: str) -> str | None:
    """Return an address as the kernel writes it: without a zone, and of an IPv4 one in IPv6's clothes the former."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)


def _is_another(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return not (found.is_multicast or found.is_unspecified or found.is_loopback)
