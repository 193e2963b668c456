"""Where the cameras are, and the fence put into force there. An edge: `ip`, `nft` and one file."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.errors import UplinkFault
from agent.fence import rules
from agent.fence.rules import TABLE, Fence, Link
from agent.storage.files import Disk
from agent.tunnel import tools
from agent.tunnel.watch import camera_hosts

if TYPE_CHECKING:
    from agent.config import Config

FILE = Path("/etc/pasu/cameras.nft")
"""What pasu-fence.service loads at the next boot, before there is a network."""
HEAD = "# Written by `pasu fence apply`, of agent.toml and of where its cameras are.\n"


def wanted(config: Config) -> Fence:
    """Find out what the fence is to be now. Raises UplinkFault."""
    tunnel = config.tunnel
    others = [name for name in (tunnel.interface, tunnel.line) if name] if tunnel else []
    return rules.fence(
        links(),
        {host: way(host) for host in camera_hosts(config) if _is_camera(host)},
        others=others,
        page=config.page.listen if config.page else (),
        ports=ports(config),
    )


def ports(config: Config) -> list[int]:
    """Return the ports of UDP that cameras send to unasked."""
    urls = [url for camera in config.cameras for url in (camera.url, camera.sub_url) if url]
    parts = [urlsplit(url.replace("udp://@", "udp://", 1)) for url in urls if url.startswith("udp:")]
    return [each.port for each in parts if each.port]


def links() -> list[Link]:
    """Return the network interfaces. Raises UplinkFault."""
    found = []
    further = {
        str(route.get("dev"))
        for family in ("-4", "-6")
        for route in tools.listed("ip", "-j", family, "route", "show")
        if route.get("gateway") or route.get("dst") == "default"
    }
    for link in tools.listed("ip", "-j", "address", "show"):
        listed: Any = link.get("addr_info") or []
        addresses = tuple(str(each["local"]) for each in listed if each.get("scope") != "link")
        name = str(link.get("ifname"))
        found.append(Link(name, addresses, name in further))
    return found


def way(host: str) -> str:
    """Return the interface that leads to an address, "" where none does."""
    try:
        found = tools.listed("ip", "-j", "route", "get", host)
    except UplinkFault:
        return ""
    return str(found[0].get("dev", "")) if found else ""


def lacks(made: Fence) -> list[str]:
    """Return what keeps the kernel's rules from being the fence; empty when they are. Raises UplinkFault."""
    try:
        said = tools.call("nft", "-j", "list", "table", "inet", TABLE)
    except UplinkFault as fault:
        if "No such file or directory" not in str(fault.context.get("reason")):
            raise
        return ["the kernel has no such rules"]
    try:
        return rules.lacks(json.loads(said), made)
    except ValueError:
        return ["the rules cannot be read"]


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


def _is_camera(host: str) -> bool:
    """Tell whether a host is an address of one other machine: names are not looked up, and groups send nothing."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or address.is_loopback)
