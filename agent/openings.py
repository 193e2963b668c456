"""Watch which ports of the box are open to others (H4). Edge.

Recording does it: of what keeps running, it is in the box's own network, and tells the ledger.

Source  table 2-12 2-5 of the Seoul study; safety standard art. 6(1)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.health.sockets import TABLES, Openings, open_ports

if TYPE_CHECKING:
    from collections.abc import Iterable

KIND = "box.listening"
NET = Path("/proc/self/net")
OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOOK_S = 10.0
SETTLED_S = 60.0
"""Not before: at a start of the box its programs come one after the other."""
_LEAST_OWN = 32768  # the kernel's, unless somebody set another


class Ports:
    """Looks from time to time."""

    def __init__(self, told: Iterable[str] | None, now_s: float, net: Path = NET) -> None:
        """Look at nothing yet. told: what the ledger says is open, None when nothing; now_s: seconds since boot."""
        self._openings = Openings(told)
        self._due_s = now_s + SETTLED_S
        self._net = net

    def turn(self, now_s: float) -> dict[str, Any] | None:
        """Look if it is time for that; return the body of a fact, None when there is nothing to tell."""
        if now_s < self._due_s:
            return None
        self._due_s = now_s + LOOK_S
        tables = {}
        for name in TABLES:
            try:
                tables[name] = (self._net / name).read_text(encoding="ascii")
            except FileNotFoundError:  # a kernel without IPv6
                continue
            except OSError:  # what cannot be read is not closed
                return None
        return self._openings.look(open_ports(tables, _least_own())) if tables else None


def _least_own() -> int:
    try:
        return int(OWN.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _LEAST_OWN
