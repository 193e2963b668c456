"""Rules of nftables, each written once, as JSON: the text is made of it, and so is what a listing must say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Rule = list[dict[str, Any]]


def text(table: str, hooks: Mapping[str, str], chains: Mapping[str, list[Rule]], priority: int) -> str:
    """Write what `nft -f` loads: one transaction, in which the rules before give way to these.

    hooks   of the chains that hang in one
    chains  every chain's rules; those that others go to come first
    """
    lines = [f"table inet {table} {{}}", f"delete table inet {table}", f"table inet {table} {{"]
    for name, rules in chains.items():
        lines.append(f"\tchain {name} {{")
        if name in hooks:
            lines.append(f"\t\ttype filter hook {hooks[name]} priority {priority}; policy accept;")
        lines += [f"\t\t{' '.join(_word(each) for each in rule)}" for rule in rules]
        lines.append("\t}")
    return "\n".join([*lines, "}"]) + "\n"


def lacks(
    listing: Any, table: str, hooks: Mapping[str, str], chains: Mapping[str, list[Rule]], priority: int
) -> list[str]:
    """Return what keeps a listing (`nft -j list table inet ...`) from being these rules; empty when it is.

    Counted packets and handles do not matter; a rule more, a rule less or another order does.
    """
    entries = listing.get("nftables") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        return ["no listing"]
    tables: list[Any] = []
    there: dict[str, Any] = {}
    rules: dict[str, list[Any]] = {}
    for entry in entries:
        for kind, body in entry.items():
            if kind == "table":
                tables.append(body)
            elif kind == "chain":
                there[body["name"]] = {key: body.get(key) for key in ("type", "hook", "prio", "policy")}
            elif kind == "rule":
                rules.setdefault(body["chain"], []).append([_plain(each) for each in body["expr"]])
    if [each["name"] for each in tables] != [table]:
        return ["no table"]
    found = ["the table is switched off"] if tables[0].get("flags") else []
    for name, wanted in chains.items():
        hook = hooks.get(name)
        head = {
            "type": hook and "filter",
            "hook": hook,
            "prio": priority if hook else None,
            "policy": hook and "accept",
        }
        if there.get(name) != head:
            found.append(f"chain {name} is missing or not where it should be")
        elif rules.get(name, []) != wanted:
            found.append(f"rules of chain {name} were changed")
    return found


# Statements


PROTOCOLS = {"1": "icmp", "2": "igmp", "6": "tcp", "17": "udp", "58": "ipv6-icmp"}
"""By number, IANA's registry: nft lists numbers on a system without `netbase`."""
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
COUNT: dict[str, Any] = {"counter": None}
SYN = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]},
        "right": "syn",
    }
}
"""Begins a connection."""


def has_flag(name: str) -> dict[str, Any]:
    """Match a TCP packet with this flag, whatever others it has."""
    left = {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, name]}
    return match(left, name)


def goto(chain: str) -> dict[str, Any]:
    """Go to another chain, for good."""
    return {"goto": {"target": chain}}


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    """Match what stands left with what stands right."""
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str, name: str, op: str = "==") -> dict[str, Any]:
    """Match a property of a packet that is a name."""
    return match({"meta": {"key": key}}, name, op)


def field(protocol: str, name: str, number: int | tuple[int, int] | str) -> dict[str, Any]:
    """Match a field of a protocol's head which is a number, one of a range, or a name."""
    right: Any = {"range": [*number]} if isinstance(number, tuple) else number
    return match({"payload": {"protocol": protocol, "field": name}}, right)


def to(network: str) -> dict[str, Any]:
    """Match where a packet goes: an address or a network."""
    return _address(network, "daddr")


def came_from(network: str) -> dict[str, Any]:
    """Match where a packet comes from: an address or a network."""
    return _address(network, "saddr")


def _address(network: str, field: str) -> dict[str, Any]:
    address, _, length = network.partition("/")
    whole = "128" if ":" in address else "32"
    right: Any = {"prefix": {"addr": address, "len": int(length)}} if length not in ("", whole) else address
    return match({"payload": {"protocol": "ip6" if ":" in address else "ip", "field": field}}, right)


def _plain(statement: Any) -> Any:
    """Return a statement as it was given: counters that count, and protocols that no /etc/protocols has a name for."""
    if not isinstance(statement, dict):
        return statement
    if "counter" in statement:
        return COUNT
    match_ = statement.get("match")
    if isinstance(match_, dict) and match_.get("left") == {"meta": {"key": "l4proto"}}:
        return {"match": {**match_, "right": PROTOCOLS.get(str(match_.get("right")), match_.get("right"))}}
    return statement


def _word(statement: dict[str, Any]) -> str:
    """Write a statement in nftables' own language."""
    (kind, body), *_ = statement.items()
    if kind == "goto":
        return f"goto {body['target']}"
    if kind != "match":
        return kind
    if statement is SYN:
        return "tcp flags & (syn | ack) == syn"
    (what, field), *_ = body["left"].items()
    if what == "&":
        return f"tcp flags & {field[1]} == {body['right']}"
    left = f"meta {field['key']}" if what == "meta" else f"{field['protocol']} {field['field']}"
    return f"{left} {'!= ' if body['op'] == '!=' else ''}{_value(field.get('key'), body['right'])}"


def _value(key: str | None, right: Any) -> str:
    if isinstance(right, dict) and "range" in right:
        return "-".join(str(each) for each in right["range"])
    if isinstance(right, dict):
        return f"{right['prefix']['addr']}/{right['prefix']['len']}"
    quoted = key in ("oifname", "iifname") or (key == "skgid" and isinstance(right, str))
    return f'"{right}"' if quoted else str(right)
