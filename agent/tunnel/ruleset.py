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

from agent.tunnel.terms import Terms, split_endpoint

TABLE = "pasu_egress"
PRIORITY = -10
CANARY = ("127.77.0.1", 9)
"""Where the group is refused what would never leave the box: how a process sees that the guard holds for it."""

_Rule = list[dict[str, Any]]


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
    lines = [f"table inet {TABLE} {{}}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for name, rules in _chains(guard).items():
        lines.append(f"\tchain {name} {{")
        if name in _HOOKS:
            lines.append(f"\t\ttype filter hook {_HOOKS[name]} priority {PRIORITY}; policy accept;")
        lines += [f"\t\t{' '.join(_word(each) for each in rule)}" for rule in rules]
        lines.append("\t}")
    return "\n".join([*lines, "}"]) + "\n"


def lacks(listing: Any, guard: Guard) -> list[str]:
    """Return what keeps a listing (`nft -j list table inet pasu_egress`) from being the guard; empty when it is.

    Counted packets and handles do not matter; a rule more, a rule less or another order does.
    """
    entries = listing.get("nftables") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        return ["no listing"]
    tables: list[Any] = []
    chains: dict[str, Any] = {}
    rules: dict[str, list[Any]] = {}
    for entry in entries:
        for kind, body in entry.items():
            if kind == "table":
                tables.append(body)
            elif kind == "chain":
                chains[body["name"]] = {key: body.get(key) for key in ("type", "hook", "prio", "policy")}
            elif kind == "rule":
                rules.setdefault(body["chain"], []).append([_plain(each) for each in body["expr"]])
    if [table["name"] for table in tables] != [TABLE]:
        return ["no table"]
    found = ["the table is switched off"] if tables[0].get("flags") else []
    for name, wanted in _chains(guard).items():
        hook = _HOOKS.get(name)
        head = {
            "type": hook and "filter",
            "hook": hook,
            "prio": PRIORITY if hook else None,
            "policy": hook and "accept",
        }
        if chains.get(name) != head:
            found.append(f"chain {name} is missing or not where it should be")
        elif rules.get(name, []) != wanted:
            found.append(f"rules of chain {name} were changed")
    return found


_HOOKS = {"output": "output", "leaving": "postrouting", "forward": "forward", "input": "input"}
"""Looked at twice: `output` is where who sends is told of a refusal; a mark that somebody sets there may have a packet
routed anew, and by which interface it leaves is then known in `postrouting` alone."""


def _chains(guard: Guard) -> dict[str, list[_Rule]]:
    """Return every chain's rules; those that others go to come first in no particular order."""
    out, into = "oifname", "iifname"
    inside = guard.interface
    sending = [[_is({"meta": {"key": "skgid"}}, guard.group), _goto("uplink")]]
    sending.append([_meta(out, "lo"), _ACCEPT])
    sending += [[_meta(out, inside, "!="), _to(each), _COUNT, _DROP] for each in guard.allowed]
    sending += [[_meta(out, inside, "!="), _from(each), _COUNT, _DROP] for each in guard.addresses]
    forward = [[_meta(side, inside), _COUNT, _DROP] for side in (into, out)]
    entering = [[_meta(into, inside), _goto("inside")]]
    chains = {
        "uplink": [
            [_to(CANARY[0]), _port("udp", "dport", CANARY[1]), _DROP],
            [_port("udp", "dport", 53), _COUNT, _DROP],
            [_port("tcp", "dport", 53), _COUNT, _DROP],
            [_meta(out, "lo"), _ACCEPT],
            *([_meta(out, inside), _to(each), _ACCEPT] for each in guard.allowed),
            [_COUNT, _DROP],
        ],
        # Who begins is refused, by the flags of TCP alone: no table of connections, nothing that fills up.
        "inside": [
            [_SYN, _COUNT, _DROP],
            *([_is({"meta": {"key": "l4proto"}}, each), _ACCEPT] for each in ("tcp", "icmp", "ipv6-icmp")),
            [
                _port("udp", "sport", 123),
                _ACCEPT,
            ],  # the centre's time, which has no other way where the line is barred
            [_COUNT, _DROP],
        ],
    }
    if guard.figures is not None:
        asking = _port("tcp", "dport", guard.figures)
        chains["inside"] = [[_from(each), asking, _ACCEPT] for each in guard.allowed] + chains["inside"]
    if guard.line is not None:
        sending.append([_meta(out, guard.line), _goto("line")])
        forward += [[_meta(side, guard.line), _COUNT, _DROP] for side in (into, out)]
        entering.append([_meta(into, guard.line), _goto("strangers")])
        chains["line"] = [*_outside(guard.endpoint, leaving=True), [_COUNT, _DROP]]
        chains["strangers"] = [*_outside(guard.endpoint, leaving=False), [_COUNT, _DROP]]
    host, port = split_endpoint(guard.endpoint)
    # When wireguard-go is gone for a moment, the kernel would tell the hub by ICMP that nobody listens.
    sending += [[_to(str(host)), _port("udp", "dport", port), _ACCEPT], [_to(str(host)), _COUNT, _DROP]]
    twice = [[_goto("sending")]]
    return chains | {
        "sending": sending,
        "output": twice,
        "leaving": twice,
        "forward": forward,
        "input": entering,
    }


def _outside(endpoint: str, *, leaving: bool) -> list[_Rule]:
    """Return what may pass the line: WireGuard with one endpoint, DHCP, and what an IPv6 endpoint needs."""
    host, port = split_endpoint(endpoint)
    there = _to(str(host)) if leaving else _from(str(host))
    near, far = ("sport", "dport") if leaving else ("dport", "sport")
    rules = [
        [there, _port("udp", far, port), _ACCEPT],
        _dialogue(near, 68, far, 67),
    ]
    if host.version == 6:
        kinds = [
            "nd-neighbor-solicit",
            "nd-neighbor-advert",
            "nd-router-solicit" if leaving else "nd-router-advert",
        ]
        rules += [
            [_is({"payload": {"protocol": "icmpv6", "field": "type"}}, kind), _ACCEPT] for kind in kinds
        ]
        rules.append(_dialogue(near, 546, far, 547))
    return rules


def _dialogue(near: str, own: int, far: str, other: int) -> _Rule:
    """Return a rule for UDP between two ports, the source first: that is how nftables lists it."""
    ports = sorted([(near, own), (far, other)], reverse=True)
    return [*(_port("udp", field, number) for field, number in ports), _ACCEPT]


# Statements, as nftables' JSON has them


_ACCEPT: dict[str, Any] = {"accept": None}
_DROP: dict[str, Any] = {"drop": None}
_COUNT: dict[str, Any] = {"counter": None}
_SYN = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]},
        "right": "syn",
    }
}


def _goto(chain: str) -> dict[str, Any]:
    return {"goto": {"target": chain}}


def _is(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def _meta(key: str, name: str, op: str = "==") -> dict[str, Any]:
    return _is({"meta": {"key": key}}, name, op)


def _port(protocol: str, field: str, number: int) -> dict[str, Any]:
    return _is({"payload": {"protocol": protocol, "field": field}}, number)


def _to(network: str) -> dict[str, Any]:
    return _address(network, "daddr")


def _from(network: str) -> dict[str, Any]:
    return _address(network, "saddr")


def _address(network: str, field: str) -> dict[str, Any]:
    address, _, length = network.partition("/")
    whole = "128" if ":" in address else "32"
    right: Any = {"prefix": {"addr": address, "len": int(length)}} if length not in ("", whole) else address
    return _is({"payload": {"protocol": "ip6" if ":" in address else "ip", "field": field}}, right)


def _plain(statement: Any) -> Any:
    return _COUNT if isinstance(statement, dict) and "counter" in statement else statement


def _word(statement: dict[str, Any]) -> str:
    """Write a statement in nftables' own language."""
    (kind, body), *_ = statement.items()
    if kind == "goto":
        return f"goto {body['target']}"
    if kind != "match":
        return kind
    if statement is _SYN:
        return "tcp flags & (syn | ack) == syn"
    (what, field), *_ = body["left"].items()
    left = f"meta {field['key']}" if what == "meta" else f"{field['protocol']} {field['field']}"
    return f"{left} {'!= ' if body['op'] == '!=' else ''}{_value(field.get('key'), body['right'])}"


def _value(key: str | None, right: Any) -> str:
    if isinstance(right, dict):
        return f"{right['prefix']['addr']}/{right['prefix']['len']}"
    quoted = key in ("oifname", "iifname") or (key == "skgid" and isinstance(right, str))
    return f'"{right}"' if quoted else str(right)


def example() -> str:
    """Return the rules that are shipped, for the addresses of the documents (RFC 5737) and the group by its name."""
    guard = Guard("pasu0", "pasu-uplink", ("10.77.1.0",), ("10.77.0.1/32",), "203.0.113.5:51820")
    return _HEAD + text(guard)


_HEAD = """# Nothing of the uplink leaves by any other way than the tunnel. `pasu tunnel install` writes the box's own
# into /etc/pasu/egress.nft, and pasu-egress.service loads it before there is a network. This one is an example, made
# by agent/tunnel/ruleset.py. `pasu tunnel status` says whether what the kernel has is what it should be.
"""
