"""The guard: nftables rules by which nothing of the uplink leaves but through the tunnel. Pure.

Three things hold, whoever sends and whatever the tunnel does:

1. What sockets of the uplink's group send goes to the centre's addresses by the tunnel, or stays on the box. No name is
   ever asked for, on the box or through the tunnel (F3).
2. Nothing to the centre's addresses, and nothing from the box's own address inside, takes another way. A socket whose
   process was killed has no group any more, and its kernel goes on sending what is left. To the hub's outside address
   goes nothing but WireGuard.
3. Where [tunnel] names the line, nothing at all leaves or enters by it but WireGuard with the one endpoint, and DHCP:
   no IPv6, no answer to a stranger (F4, F9).

And nothing is forwarded into or out of the tunnel, and nobody in it may begin a connection to the box (F10, H10), but
the centre to the port at which [page] serves figures, where that is configured.
A rule is written once, as nftables' JSON; the text is made of it, and so is what a listing must say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.tunnel import nft
from agent.tunnel.nft import ACCEPT, COUNT, DROP, SYN, Rule, came_from, field, goto, match, meta, to
from agent.tunnel.terms import Terms, split_endpoint

TABLE = "pasu_egress"
PRIORITY = -10
CANARY = ("127.77.0.1", 9)
"""Where the group is refused what would never leave the box: how a process sees that the guard holds for it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What the rules are made of.

    group      id of the uplink's group; a name in the example that is shipped
    line       interface that leads outside and to nothing else; None when the cameras share it
    figures    port at which the centre may read /metrics; None: nobody listens
    """

    interface: str
    group: int | str
    addresses: tuple[str, ...]
    allowed: tuple[str, ...]
    endpoint: str
    line: str | None = None
    figures: int | None = None

    @classmethod
    def of(
        cls, terms: Terms, interface: str, group: int | str, line: str | None, figures: int | None = None
    ) -> Guard:
        """Make one of a box's terms."""
        return cls(interface, group, terms.hosts, terms.allowed, terms.endpoint, line, figures)


def text(guard: Guard) -> str:
    """Write what `nft -f` loads: one transaction, in which the rules before give way to these."""
    return nft.text(TABLE, _HOOKS, _chains(guard), PRIORITY)


def lacks(listing: Any, guard: Guard) -> list[str]:
    """Return what keeps a listing (`nft -j list table inet pasu_egress`) from being the guard; empty when it is."""
    return nft.lacks(listing, TABLE, _HOOKS, _chains(guard), PRIORITY)


_HOOKS = {"output": "output", "leaving": "postrouting", "forward": "forward", "input": "input"}
"""Looked at twice: `output` is where who sends is told of a refusal; a mark that somebody sets there may have a packet
routed anew, and by which interface it leaves is then known in `postrouting` alone."""


def _chains(guard: Guard) -> dict[str, list[Rule]]:
    """Return every chain's rules; those that others go to come first in no particular order."""
    out, into = "oifname", "iifname"
    inside = guard.interface
    sending = [[match({"meta": {"key": "skgid"}}, guard.group), goto("uplink")]]
    sending.append([meta(out, "lo"), ACCEPT])
    sending += [[meta(out, inside, "!="), to(each), COUNT, DROP] for each in guard.allowed]
    sending += [[meta(out, inside, "!="), came_from(each), COUNT, DROP] for each in guard.addresses]
    forward = [[meta(side, inside), COUNT, DROP] for side in (into, out)]
    entering = [[meta(into, inside), goto("inside")]]
    chains = {
        "uplink": [
            [to(CANARY[0]), field("udp", "dport", CANARY[1]), DROP],
            [field("udp", "dport", 53), COUNT, DROP],
            [field("tcp", "dport", 53), COUNT, DROP],
            [meta(out, "lo"), ACCEPT],
            *([meta(out, inside), to(each), ACCEPT] for each in guard.allowed),
            [COUNT, DROP],
        ],
        # Who begins is refused, by the flags of TCP alone: no table of connections, nothing that fills up.
        "inside": [
            [SYN, COUNT, DROP],
            *([match({"meta": {"key": "l4proto"}}, each), ACCEPT] for each in ("tcp", "icmp", "ipv6-icmp")),
            [
                field("udp", "sport", 123),
                ACCEPT,
            ],  # the centre's time, which has no other way where the line is barred
            [COUNT, DROP],
        ],
    }
    if guard.figures is not None:
        asking = field("tcp", "dport", guard.figures)
        chains["inside"] = [[came_from(each), asking, ACCEPT] for each in guard.allowed] + chains["inside"]
    if guard.line is not None:
        sending.append([meta(out, guard.line), goto("line")])
        forward += [[meta(side, guard.line), COUNT, DROP] for side in (into, out)]
        entering.append([meta(into, guard.line), goto("strangers")])
        chains["line"] = [*_outside(guard.endpoint, leaving=True), [COUNT, DROP]]
        chains["strangers"] = [*_outside(guard.endpoint, leaving=False), [COUNT, DROP]]
    host, port = split_endpoint(guard.endpoint)
    # When wireguard-go is gone for a moment, the kernel would tell the hub by ICMP that nobody listens.
    sending += [[to(str(host)), field("udp", "dport", port), ACCEPT], [to(str(host)), COUNT, DROP]]
    twice = [[goto("sending")]]
    return chains | {
        "sending": sending,
        "output": twice,
        "leaving": twice,
        "forward": forward,
        "input": entering,
    }


def _outside(endpoint: str, *, leaving: bool) -> list[Rule]:
    """Return what may pass the line: WireGuard with one endpoint, DHCP, and what an IPv6 endpoint needs."""
    host, port = split_endpoint(endpoint)
    there = to(str(host)) if leaving else came_from(str(host))
    near, far = ("sport", "dport") if leaving else ("dport", "sport")
    rules = [
        [there, field("udp", far, port), ACCEPT],
        _dialogue(near, 68, far, 67),
    ]
    if host.version == 6:
        kinds = [
            "nd-neighbor-solicit",
            "nd-neighbor-advert",
            "nd-router-solicit" if leaving else "nd-router-advert",
        ]
        rules += [[field("icmpv6", "type", kind), ACCEPT] for kind in kinds]
        rules.append(_dialogue(near, 546, far, 547))
    return rules


def _dialogue(near: str, own: int, far: str, other: int) -> Rule:
    """Return a rule for UDP between two ports, the source first: that is how nftables lists it."""
    ports = sorted([(near, own), (far, other)], reverse=True)
    return [*(field("udp", end, number) for end, number in ports), ACCEPT]


def example() -> str:
    """Return the rules that are shipped, for the addresses of the documents (RFC 5737) and the group by its name."""
    guard = Guard("pasu0", "pasu-uplink", ("10.77.1.0",), ("10.77.0.1/32",), "203.0.113.5:51820")
    return _HEAD + text(guard)


_HEAD = """# Nothing of the uplink leaves by any other way than the tunnel. `pasu tunnel install` writes the box's own
# into /etc/pasu/egress.nft, and pasu-egress.service loads it before there is a network. This one is an example, made
# by agent/tunnel/ruleset.py. `pasu tunnel status` says whether what the kernel has is what it should be.
"""
