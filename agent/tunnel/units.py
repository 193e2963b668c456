"""What systemd and sysctl are told of a box's tunnel. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.tunnel.ruleset import Guard

RULES = "etc/pasu/egress.nft"
DROP_IN = "etc/systemd/system/pasu-uplink.service.d/tunnel.conf"
SYSCTL = "etc/sysctl.d/90-pasu-tunnel.conf"


def files(guard: Guard, rules: str, group: str) -> Mapping[str, str]:
    """Return the files of a box with a tunnel, by their paths below the root.

    rules  the guard's text
    group  its group, by name or number, as it is configured
    """
    return {RULES: rules, DROP_IN: drop_in(guard, group), SYSCTL: sysctl(guard)}


def drop_in(guard: Guard, group: str) -> str:
    """Write the uplink's drop-in: by the tunnel's interface, to the centre's addresses, and only behind the guard."""
    return f"""# Written by `pasu tunnel install`.
[Unit]
Requires=pasu-egress.service
After=pasu-egress.service

[Service]
# The group by which the guard knows what the uplink sends. Files stay readable: they are their owner's alone.
Group={group}
RestrictNetworkInterfaces=
RestrictNetworkInterfaces={guard.interface} lo
IPAddressDeny=
IPAddressDeny=any
IPAddressAllow=
IPAddressAllow=localhost {" ".join(guard.allowed)}
"""


def sysctl(guard: Guard) -> str:
    """Write what holds before a link comes up: no IPv6 on a line that does not need it, no forwarding."""
    lines = [
        "# Written by `pasu tunnel install`.",
        "net.ipv4.ip_forward = 0",
        "net.ipv6.conf.all.forwarding = 0",
    ]
    if guard.line is not None and not guard.endpoint.startswith("["):
        # Of a VLAN the name has a dot, which sysctl.d writes as a slash.
        name = guard.line.replace(".", "/")
        lines.append(f"net.ipv6.conf.{name}.disable_ipv6 = 1")
    return "\n".join(lines) + "\n"
