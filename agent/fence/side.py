"""Where the cameras are, and the fence put into force there. An edge: `ip`, `nft` and one file."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.errors import UplinkFault
from agent.fence import names, rules
from agent.fence.rules import TABLE, Before, Fence, Link
from agent.storage.files import Disk
from agent.tunnel import tools
from agent.tunnel.watch import camera_hosts

if TYPE_CHECKING:
    from agent.config import Config

FILE = Path("/etc/pasu/cameras.nft")
"""What pasu-fence.service loads at the next boot, before there is a network."""
HOSTS = Path("/etc/hosts")
HEAD = "# Written by `pasu fence apply`, of agent.toml and of where its cameras are.\n"


def wanted(config: Config, file: Path = FILE, *, anew: bool = False) -> Fence:
    """Find out what the fence is to be now.

    file    of the fence that the next boot loads; what it bars, and what the kernel's bars now, is not given up
    anew    give it up, and go by what there is now alone
    Raises  UplinkFault
    """
    tunnel = config.tunnel
    others = [name for name in (tunnel.interface, tunnel.line) if name] if tunnel else []
    found, unknown = cameras(config)
    before = Before(
        frozenset() if anew else rules.barred(_in_force()) | rules.barred(_text(file)),
        time.clock_gettime(time.CLOCK_BOOTTIME),
        bool(unknown),
    )
    return rules.fence(
        links(),
        {host: way(host) for host in found},
        others=others,
        page=config.page.listen if config.page else (),
        ports=ports(config),
        before=before,
    )


def unbarred(config: Config) -> dict[str, str]:
    """Return the cameras of which no address is known, and so none is barred: by id, the name that is written."""
    unknown = {*cameras(config)[1]}
    return {
        camera.id: host
        for camera in config.cameras
        for host in camera_hosts(replace(config, cameras=(camera,), triggers=()))
        if host in unknown
    }


def cameras(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the cameras' addresses, and their names that say nothing."""
    return names.addresses(camera_hosts(config), _text(HOSTS))


def _in_force() -> str:
    """Return the kernel's rules as it lists them, "" for none. Raises UplinkFault."""
    return _listed("nft", "list", "table", "inet", TABLE) or ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def ports(config: Config) -> list[int]:
    """Return the ports of UDP that cameras send to unasked."""
    urls = [url for camera in config.cameras for url in (camera.url, camera.sub_url) if url]
    parts = [urlsplit(url.replace("udp://@", "udp://", 1)) for url in urls if url.startswith("udp:")]
    return [each.port for each in parts if each.port]


def links() -> list[Link]:
    """Return the network interfaces. Raises UplinkFault."""
    found = []
    routes = [route for family in ("-4", "-6") for route in tools.listed("ip", "-j", family, "route", "show")]
    further = {
        str(hop.get("dev"))
        for route in routes
        for hop in (route, *route.get("nexthops", ()))
        if hop.get("gateway") or hop.get("via") or route.get("dst") == "default"
    }
    for link in tools.listed("ip", "-j", "address", "show"):
        listed: Any = link.get("addr_info") or []
        own = [each for each in listed if each.get("scope") != "link"]
        addresses = tuple(str(each["local"]) for each in own)
        networks = tuple(str(_network(each)) for each in own)
        name = str(link.get("ifname"))
        found.append(Link(name, addresses, name in further, networks))
    return found


def _network(own: dict[str, Any]) -> Any:
    """Return the network of one of the box's addresses; of a wire between two, the other's end."""
    return ipaddress.ip_network(f"{own.get('address') or own['local']}/{own['prefixlen']}", strict=False)


def way(host: str) -> str:
    """Return the interface that leads to an address, "" where none does."""
    try:
        found = tools.listed("ip", "-j", "route", "get", host)
    except UplinkFault:
        return ""
    return str(found[0].get("dev", "")) if found else ""


def lacks(made: Fence) -> list[str]:
    """Return what keeps the kernel's rules from being the fence; empty when they are. Raises UplinkFault."""
    said = _listed("nft", "-j", "list", "table", "inet", TABLE)
    if said is None:
        return ["the kernel has no such rules"]
    try:
        return rules.lacks(json.loads(said), made)
    except ValueError:
        return ["the rules cannot be read"]


def _listed(*words: str) -> str | None:
    """Return what nft lists, None where there is no such table. Raises UplinkFault."""
    try:
        return tools.call(*words)
    except UplinkFault as fault:
        if "No such file or directory" not in str(fault.context.get("reason")):
            raise
        return None


def apply(made: Fence, file: Path = FILE, disk: Disk | None = None) -> bool:
    """Put the fence into force and keep it for the next boot; tell whether anything was changed.

    Raises  UplinkFault, StorageFault
    """
    changed = bool(lacks(made))
    content = (HEAD + rules.text(made)).encode()
    if changed:
        tools.call("nft", "-f", "-", given=rules.text(made))
    before = b""
    with contextlib.suppress(OSError):
        before = file.read_bytes()
    if before != content:
        (disk or Disk()).atomic_replace(file, content, sync=True)
        changed = True
    return changed
