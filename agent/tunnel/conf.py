"""Configurations of the WireGuard interface, of a box and of the centre's hub. Pure.

Written as `wg-quick` reads them, so that either end can be brought up without Pasu; the box itself uses `wg` and `ip`.
No DNS and no default route; of the box no private key either: that one stays in its own file.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.tunnel.terms import Terms

HUB_TABLE = "pasu_hub"


def box(terms: Terms, key_file: str) -> str:
    """Write a box's configuration.

    key_file  path of the private key; wg-quick puts it in when the interface comes up
    """
    return f"""# Written by `pasu tunnel`. The private key stays in its own file.
[Interface]
Address = {", ".join(terms.addresses)}
MTU = {terms.mtu}
PostUp = wg set %i private-key {shlex.quote(key_file)}

{_peer(terms)}"""


def settings(terms: Terms, private: str) -> str:
    """Write what `wg syncconf` reads, from a pipe: it holds the private key."""
    return f"[Interface]\nPrivateKey = {private}\n\n{_peer(terms)}"


def hub(
    peers: Sequence[tuple[str, str, Sequence[str]]],
    *,
    addresses: Sequence[str],
    port: int,
    mtu: int,
    private: str,
    rules_file: str,
) -> str:
    """Write the hub's configuration; it holds the hub's private key, as `wg syncconf` wants it.

    peers       id, public key, addresses (each of one host) of every box
    addresses   of the hub inside, with the length of the city's network: "10.77.0.1/16"
    rules_file  path of `hub_rules`, loaded before the interface takes a packet
    """
    text = f"""# Written by `pasu centre tunnel write`. Changes are loaded without a break:
#   wg syncconf IF <(wg-quick strip IF)
[Interface]
PrivateKey = {private}
Address = {", ".join(addresses)}
ListenPort = {port}
MTU = {mtu}
PreUp = nft -f {shlex.quote(rules_file)}
"""
    for name, key, own in peers:
        text += f"\n# {name}\n[Peer]\nPublicKey = {key}\nAllowedIPs = {', '.join(own)}\n"
    return text


def hub_rules(interface: str, allowed: Sequence[str]) -> str:
    """Write the hub's rules: no box reaches another, or anything but what is allowed to it (F10).

    What its own terms allow, a box that was taken over does not ask. One address for each key is WireGuard's to check.
    """
    families = [(f"ip{'6' if ':' in each else ''}", each) for each in allowed]
    on = "".join(
        f'\t\tiifname "{interface}" oifname != "{interface}" {family} daddr {each} accept\n'
        for family, each in families
    )
    here = "".join(f'\t\tiifname "{interface}" {family} daddr {each} accept\n' for family, each in families)
    return f"""# Written by `pasu centre tunnel write`: no box reaches another through the hub, and nothing else
# that the plan does not allow to boxes.
table inet {HUB_TABLE} {{}}
delete table inet {HUB_TABLE}
table inet {HUB_TABLE} {{
	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
{on}		iifname "{interface}" counter drop
	}}
	chain input {{
		type filter hook input priority filter - 10; policy accept;
{here}		iifname "{interface}" counter drop
	}}
}}
"""


def _peer(terms: Terms) -> str:
    return f"""[Peer]
PublicKey = {terms.peer}
Endpoint = {terms.endpoint}
AllowedIPs = {", ".join(terms.allowed)}
PersistentKeepalive = {terms.keepalive_s}
"""
