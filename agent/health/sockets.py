"""Which ports of the box are open to others, as the kernel lists its sockets; and what became of them. Pure.

TCP that listens, and UDP that hears anybody. Of UDP only ports below those that the kernel gives out by itself: one of
these anybody has for a moment who asks something. What only the box itself can reach (127.0.0.0/8, ::1) is not open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TABLES = ("tcp", "tcp6", "udp", "udp6")
MOST = 100
"""So many are named in one fact."""
_LISTENS = "0A"
_HERE_4 = "7F"  # the first byte of 127.0.0.0/8: each word of an address is in the machine's order
_HERE_6 = "00000000000000000000000001000000"
_MAPPED = "0000000000000000FFFF0000"


def open_ports(tables: Mapping[str, str], least_own: int) -> frozenset[str]:
    """Return the ports that are open, as "tcp 443".

    tables     of TABLES, the text of the kernel's file, as /proc/net/tcp
    least_own  the first port that the kernel gives out by itself
    Source     proc_pid_net(5)
    """
    found = set()
    for table, text in tables.items():
        kind = table.removesuffix("6")
        for line in text.splitlines()[1:]:
            words = line.split()
            if len(words) < 4:
                continue
            address, _, number = words[1].partition(":")
            port = int(number, 16)
            is_open = words[3] == _LISTENS if kind == "tcp" else not words[2].strip("0:") and port < least_own
            if is_open and not _only_here(address):
                found.add(f"{kind} {port}")
    return frozenset(found)


def _only_here(address: str) -> bool:
    if len(address) == len(_HERE_6):
        return address == _HERE_6 or (address.startswith(_MAPPED) and address.endswith(_HERE_4))
    return address.endswith(_HERE_4)


class Openings:
    """Tells what was opened and closed: each port once it is so at two looks in a row."""

    def __init__(self, told: Iterable[str] | None) -> None:
        """Take what the ledger says; None where it says nothing yet."""
        self._told = None if told is None else frozenset(told)
        self._before: frozenset[str] | None = None

    def look(self, ports: frozenset[str]) -> dict[str, Any] | None:
        """Take what is open now; return the body of a fact, None when there is nothing to tell."""
        before, self._before = self._before, ports
        was = self._told
        if before is None:
            return None
        # Port by port: one that comes and goes shall not hide another.
        now = (before & ports) | ((before | ports) & (was or frozenset()))
        if now == was:
            return None
        self._told = now
        opened, closed = (now - was, was - now) if was is not None else (frozenset(), frozenset())
        return {"open": _named(now), "opened": _named(opened), "closed": _named(closed), "count": len(now)}


def _named(ports: frozenset[str]) -> list[str]:
    return sorted(ports)[:MOST]
