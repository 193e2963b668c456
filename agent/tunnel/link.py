"""Making and removing the interface. An edge: `ip`, `wg` and a few files below /proc/sys.

Coming up is a sequence of numbered steps, each of which may be done again; killed after any of them, nothing was ever
able to leave by another way, and the whole again comes to the same end.

    T1  the guard is in force, and the line without IPv6
    T2  what leads to the centre is unreachable by any other way: routes that stay when the interface goes
    T3  the interface is there: the kernel's WireGuard, else wireguard-go; without IPv6 unless the terms have some
    T4  keys and peer, and no other peer
    T5  addresses, and no other
    T6  it is up
    T7  routes to the centre's addresses, and no other
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import ConfigError, UplinkFault
from agent.language import say
from agent.tunnel import conf, dump, guard, tools
from agent.tunnel import terms as written
from agent.tunnel.guard import has_interface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.tunnel.dump import Device
    from agent.tunnel.keys import Pair
    from agent.tunnel.ruleset import Guard
    from agent.tunnel.terms import Terms

MARK = "119"
"""Number (`proto`) that tells our routes from others'."""
LAST_METRIC = "4278198272"
APPEAR_S = 10.0
TUNNEL_KINDS = ("wireguard", "tun")
"""The kernel's own, and wireguard-go's."""
SYSCTL = Path("/proc/sys/net")
SETTINGS = {
    "ipv4/conf/{}/forwarding": "0",
    "ipv4/conf/{}/rp_filter": "1",
    "ipv4/conf/{}/accept_redirects": "0",
    "ipv4/conf/{}/send_redirects": "0",
    "ipv4/conf/{}/accept_source_route": "0",
}
SETTINGS_6 = {"ipv6/conf/{}/accept_ra": "0", "ipv6/conf/{}/autoconf": "0", "ipv6/conf/{}/forwarding": "0"}


def refuse_conflicts(terms: Terms, interface: str, line: str | None, cameras: Iterable[str]) -> None:
    """Refuse a tunnel that would take the way of a camera: recording comes first.

    cameras  hosts of the cameras' addresses
    Raises   ConfigError TUNNEL_OVERLAP, TUNNEL_LINE_CAMERA; UplinkFault
    """
    hosts = sorted(set(cameras))
    inside = [*terms.allowed, *terms.addresses]
    found = written.overlaps(inside, [*hosts, *_networks(but=interface)])
    if found:
        raise overlap(found)
    if line is None:
        return
    for host in hosts:
        if line in _ways(host):
            raise ConfigError(
                "TUNNEL_LINE_CAMERA",
                say(
                    "카메라로 가는 길이 바깥 회선과 같은 인터페이스입니다. 그 회선을 막으면 녹화가 끊깁니다",
                    "a camera is reached by the very interface of the line; to bar that one would end its recording",
                ),
                hint=say(
                    "카메라를 다른 인터페이스로 옮기거나, agent.toml의 [tunnel] line을 지우십시오",
                    "put the cameras on another interface, or take `line` out of [tunnel] in agent.toml",
                ),
                camera=host,
                line=line,
            )


def overlap(found: list[str]) -> ConfigError:
    """Say that the centre's addresses inside the tunnel are in use on the box already."""
    return ConfigError(
        "TUNNEL_OVERLAP",
        say(
            "터널 안의 주소가 카메라 망이나 박스의 다른 망과 겹칩니다",
            "addresses inside the tunnel are those of a camera or of another network of the box",
        ),
        hint=say(
            "센터에서 다른 대역으로 다시 계획하고 이 박스를 다시 등록하십시오: `pasu centre tunnel init --again`",
            "have the centre plan it in another network, and enrol this box anew: `pasu centre tunnel init --again`",
        ),
        networks=" ".join(found),
    )


def up(
    terms: Terms, pair: Pair, interface: str, rules: Guard, step: Callable[[str], None] = lambda _: None
) -> None:
    """Bring the tunnel up, or to what the terms say now. Raises UplinkFault, ConfigError."""
    if not guard.listed(rules).holds:
        guard.load(rules)
    if rules.line is not None and not rules.endpoint.startswith("["):
        _set(f"ipv6/conf/{rules.line}/disable_ipv6", "1")
    step("T1")
    _bar(terms.allowed)
    step("T2")
    _make(interface)
    for name, value in SETTINGS.items():
        _set(name.format(interface), value)
    _set(f"ipv6/conf/{interface}/disable_ipv6", "0" if terms.wants_ipv6 else "1")
    if terms.wants_ipv6:
        for name, value in SETTINGS_6.items():
            _set(name.format(interface), value)
    step("T3")
    tools.call("wg", "syncconf", interface, "/dev/stdin", given=conf.settings(terms, pair.private))
    step("T4")
    _address(interface, terms.addresses)
    tools.call("ip", "link", "set", "dev", interface, "mtu", str(terms.mtu))
    step("T5")
    tools.call("ip", "link", "set", "dev", interface, "up")
    step("T6")
    _route(interface, terms)
    step("T7")


def down(interface: str) -> None:
    """Remove the interface. Guard and barred ways stay: what is down must not leave otherwise.

    Raises  ConfigError TUNNEL_FOREIGN, UplinkFault
    """
    if has_interface(interface):
        _refuse_foreign(interface)
        tools.call("ip", "link", "delete", "dev", interface)
    _wait(lambda: not has_interface(interface), interface)


def observe(interface: str) -> Device | None:
    """Look at the interface; None when it is not there, or is none of WireGuard's."""
    if not has_interface(interface):
        return None
    try:
        return dump.parse(tools.call("wg", "show", interface, "dump"))
    except (UplinkFault, ValueError):
        return None


def fits(device: Device, terms: Terms, interface: str) -> bool:
    """Tell whether an interface is what the terms say: key, peer, addresses, routes, barred ways, and up.

    Raises  UplinkFault
    """
    (peer,) = device.peers if len(device.peers) == 1 else (None,)
    if peer is None or device.key != terms.key or peer.key != terms.peer:
        return False
    if set(peer.allowed) != set(terms.allowed) or peer.keepalive_s != terms.keepalive_s:
        return False
    found = tools.listed("ip", "-j", "address", "show", "dev", interface)
    if not found or "UP" not in found[0].get("flags", []) or found[0].get("mtu") != terms.mtu:
        return False
    if _addresses(found) != set(terms.addresses) or set(_routes(interface)) != set(terms.allowed):
        return False
    # systemd-networkd takes routes away that it did not make, whenever it starts.
    return {network for _, network in _barred()} == set(terms.allowed)


def aims(device: Device, terms: Terms) -> bool:
    """Tell whether packets go to the endpoint that the terms name: no other passes the guard."""
    try:
        return all(
            written.split_endpoint(peer.endpoint) == written.split_endpoint(terms.endpoint)
            for peer in device.peers
        )
    except ValueError:  # none, or one of a kind that no terms have
        return False


def remind(interface: str, terms: Terms) -> None:
    """Have packets go to the endpoint of the terms, from the address that the line has now.

    wireguard-go sends from the address of the last packet that came, until it is told the endpoint anew; left alone it
    took 25 s. Raises UplinkFault
    """
    tools.call("wg", "set", interface, "peer", terms.peer, "endpoint", terms.endpoint)


def is_kernels(interface: str) -> bool:
    """Tell whether the interface is the kernel's own WireGuard, and not wireguard-go's. Raises UplinkFault."""
    found = tools.listed("ip", "-j", "-d", "link", "show", "dev", interface)
    return bool(found) and found[0].get("linkinfo", {}).get("info_kind") == "wireguard"


def own_way(endpoint: str) -> tuple[str, str]:
    """Return the address from which, and the interface by which the endpoint is reached now; empty without a way."""
    host, _ = written.split_endpoint(endpoint)
    try:
        found = tools.listed("ip", "-j", "route", "get", str(host))
    except UplinkFault:
        return "", ""
    return (str(found[0].get("prefsrc", "")), str(found[0].get("dev", ""))) if found else ("", "")


def refuse_other_line(line: str | None, by: str) -> None:
    """Refuse that the tunnel's packets leave by another interface than the line that is barred: that one is open.

    by      the interface by which they do; empty without a way to the hub
    Raises  ConfigError TUNNEL_LINE_OTHER
    """
    if line is not None and by not in ("", line):
        raise ConfigError(
            "TUNNEL_LINE_OTHER",
            say(
                "터널이 [tunnel] line이 아닌 다른 인터페이스로 나갑니다. 그 인터페이스는 막혀 있지 않습니다",
                "the tunnel leaves by another interface than [tunnel] line, and that one is not barred",
            ),
            hint=say(
                "`ip route get`으로 허브에 가는 인터페이스를 보고, agent.toml의 line을 고치십시오",
                "see with `ip route get` which one leads to the hub, and mend `line` in agent.toml",
            ),
            line=line,
            by=by,
        )


def _make(interface: str) -> None:
    if has_interface(interface):
        if observe(interface) is not None:
            return
        # wireguard-go was killed a moment ago: a way into the tunnel it is not.
        _refuse_foreign(interface)
        tools.call("ip", "link", "delete", "dev", interface)
    try:
        tools.call("ip", "link", "add", "dev", interface, "type", "wireguard")
    except UplinkFault:
        tools.spawn("wireguard-go", interface)
    _wait(lambda: observe(interface) is not None, interface)


def _refuse_foreign(interface: str) -> None:
    """Refuse to take away what no tunnel left there: a bridge or a VLAN may be the cameras' way."""
    found = tools.listed("ip", "-j", "-d", "link", "show", "dev", interface)
    kind = found[0].get("linkinfo", {}).get("info_kind") if found else None
    if found and kind not in TUNNEL_KINDS:
        raise ConfigError(
            "TUNNEL_FOREIGN",
            say(
                "터널의 이름을 가진 다른 인터페이스가 이 박스에 있습니다",
                "another interface of this box has the tunnel's name",
            ),
            hint=say(
                'agent.toml의 [tunnel] interface에 쓰이지 않는 이름을 적으십시오. 예: "pasu0"',
                'write a name that is not in use into [tunnel] interface of agent.toml, as "pasu0"',
            ),
            interface=interface,
            kind=str(kind),
        )


def _wait(state: Callable[[], bool], interface: str) -> None:
    end = time.monotonic() + APPEAR_S
    while not state():
        if time.monotonic() > end:
            raise UplinkFault(
                "TUNNEL_INTERFACE",
                say(
                    "터널의 인터페이스를 다룰 수 없습니다", "the tunnel's interface does not do as it is told"
                ),
                hint=say("`ip link`와 `wg show`를 보십시오", "see `ip link` and `wg show`"),
                interface=interface,
            )
        time.sleep(0.02)


def _bar(allowed: Iterable[str]) -> None:
    """T2. Ways that an earlier tunnel barred are opened again: they may be others' by now."""
    wanted = set(allowed)
    for family, network in _barred():
        if network not in wanted:
            tools.call("ip", family, "route", "delete", "unreachable", network, "proto", MARK)
    for network in sorted(wanted):
        family = "-6" if ":" in network else "-4"
        tools.call(
            "ip", family, "route", "replace", "unreachable", network, "metric", LAST_METRIC, "proto", MARK
        )  # fmt: skip


def _barred() -> list[tuple[str, str]]:
    """Return the ways that are barred now, each with its family."""
    found = []
    for family in ("-4", "-6"):
        with contextlib.suppress(UplinkFault):  # a kernel without IPv6
            routes = tools.listed("ip", "-j", family, "route", "show", "type", "unreachable", "proto", MARK)
            found += [(family, _whole(str(route.get("dst")))) for route in routes]
    return found


def _address(interface: str, addresses: Iterable[str]) -> None:
    wanted = set(addresses)
    have = _addresses(tools.listed("ip", "-j", "address", "show", "dev", interface))
    for address in sorted(wanted - have):
        tools.call("ip", "address", "add", address, "dev", interface)
    for address in sorted(have - wanted):
        tools.call("ip", "address", "delete", address, "dev", interface)


def _route(interface: str, terms: Terms) -> None:
    for network in terms.allowed:
        family = "-6" if ":" in network else "-4"
        source = next(host for host in terms.hosts if (":" in host) == (family == "-6"))
        tools.call(
            "ip", family, "route", "replace", network, "dev", interface, "proto", MARK, "src", source,
        )  # fmt: skip
    for network in _routes(interface):
        if network not in terms.allowed:
            family = "-6" if ":" in network else "-4"
            tools.call("ip", family, "route", "delete", network, "dev", interface)


def _routes(interface: str) -> list[str]:
    """Return where routes of the interface lead; those that the kernel makes by itself for IPv6 are not of these."""
    found = tools.listed("ip", "-j", "-4", "route", "show", "dev", interface)
    with contextlib.suppress(UplinkFault):
        found += tools.listed("ip", "-j", "-6", "route", "show", "dev", interface)
    return [_whole(str(route.get("dst"))) for route in found if route.get("protocol") != "kernel"]


def _whole(network: str) -> str:
    if network == "default":
        return network
    return str(ipaddress.ip_network(network))


def _addresses(found: list[dict[str, object]]) -> set[str]:
    """Return addresses of an interface but those of the link, which the kernel makes."""
    listed = [each for link in found for each in _list(link.get("addr_info"))]
    return {f"{each['local']}/{each['prefixlen']}" for each in listed if each.get("scope") != "link"}


def _list(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _networks(but: str) -> list[str]:
    """Return the networks that the box is in by its other interfaces."""
    found = [
        each for each in tools.listed("ip", "-j", "address", "show") if each.get("ifname") not in (but, "lo")
    ]
    return sorted(_addresses(found))


def _ways(host: str) -> list[str]:
    """Return the interface by which an address is reached; of a name, which nobody asks for here, any there is."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return [str(each.get("ifname")) for each in tools.listed("ip", "-j", "link", "show")]
    try:
        return [str(each.get("dev")) for each in tools.listed("ip", "-j", "route", "get", host)]
    except UplinkFault:
        return []


def _set(name: str, value: str) -> None:
    """Write a setting of the kernel where it is not so already; one that this kernel lacks has nothing to be set."""
    path = SYSCTL / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UplinkFault(
            "TUNNEL_SYSCTL",
            say("커널 설정을 바꿀 수 없습니다", "a setting of the kernel cannot be changed"),
            hint=say("root로 하십시오", "do it as root"),
            name=name,
            reason=error.strerror or "",
        ) from None
