"""What `wg show IF dump` says, and what is wrong with a tunnel. Pure.

A handshake's time is the box's clock, which steps; its age is therefore counted on a clock that does not, from when a
new one was first seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.health.registry import Raised

if TYPE_CHECKING:
    from collections.abc import Sequence

STALE_S = 195.0
"""A session ends after 180 s, and a new one is begun after 120 s where there is traffic, as keepalives are (WireGuard's
white paper, section 6.1): without a handshake for so long, the other end does not answer."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer of an interface.

    endpoint      where it was last heard from; empty when that is not known
    handshake_s   Unix time of the newest handshake; 0 when there was none
    keepalive_s   0 when it is off
    """

    key: str
    endpoint: str
    allowed: tuple[str, ...]
    handshake_s: int
    received_bytes: int
    sent_bytes: int
    keepalive_s: int


@dataclass(frozen=True, slots=True)
class Device:
    """An interface. Its private key, which stands first in a dump, is not kept."""

    key: str
    port: int
    peers: tuple[Peer, ...]


def parse(text: str) -> Device:
    """Read `wg show IF dump`. Raises ValueError."""
    first, *rest = text.splitlines() or [""]
    fields = first.split("\t")
    if len(fields) != 4:
        raise ValueError("not a dump of one interface")
    return Device(_known(fields[1]), int(fields[2]), tuple(_peer(line) for line in rest))


def _peer(line: str) -> Peer:
    fields = line.split("\t")
    if len(fields) != 8:
        raise ValueError("not a peer of a dump")
    key, _, endpoint, allowed, handshake, received, sent, keepalive = fields
    return Peer(
        key,
        _known(endpoint),
        tuple(_known(allowed).split(",")) if _known(allowed) else (),
        int(handshake),
        int(received),
        int(sent),
        0 if keepalive == "off" else int(keepalive),
    )


def _known(field: str) -> str:
    return "" if field == "(none)" else field


class Handshakes:
    """The age of the newest handshake, on a clock that never steps."""

    def __init__(self) -> None:
        """Begin without having seen any."""
        self._seen = 0
        self._at_s: float | None = None

    def age_s(self, handshake_s: int, wall_s: float, mono_s: float) -> float | None:
        """Return how old the newest handshake is; None when there was none.

        handshake_s  as in a dump; wall_s is the clock that it was taken from, mono_s one that never steps
        """
        if handshake_s == 0:
            self._seen, self._at_s = 0, None
            return None
        if handshake_s != self._seen:
            # Of the first that is seen only the wall can tell the age; whatever it says, it is not of the future.
            before = max(0.0, wall_s - handshake_s) if self._at_s is None else 0.0
            self._seen, self._at_s = handshake_s, mono_s - before
        assert self._at_s is not None
        return mono_s - self._at_s


def raised(
    device: Device | None, age_s: float | None, *, up_s: float, lacks: Sequence[str], trouble: str = ""
) -> list[Raised]:
    """Return the conditions of a tunnel.

    device   None when the interface is not there
    age_s    of the newest handshake, None without one
    up_s     for how long it has been up, or missed: a tunnel that has just come up is not stale
    lacks    why the guard is not in force; empty when it is
    trouble  code of the error that keeps the interface away, or from being kept as it should be
    """
    found = []
    if device is None:
        found.append(Raised("tunnel.down", "", trouble))
    elif trouble:
        found.append(Raised("tunnel.trouble", "", trouble))
    if device is not None and (up_s if age_s is None else age_s) > STALE_S:
        found.append(Raised("tunnel.stale", "", "-" if age_s is None else f"{int(age_s)} s"))
    if lacks:
        found.append(Raised("tunnel.unguarded", "", "; ".join(lacks)))
    return found
