"""Addresses that a camera gives: only those that lead to the camera itself are ever followed."""

from __future__ import annotations

import ipaddress
from typing import TypeGuard
from urllib.parse import SplitResult, urlsplit

from agent.onvif.text import tame
from agent.rtsp.errors import RtspError
from agent.rtsp.url import RtspUrl, parse_url

DEVICE_PATH = "/onvif/device_service"  # ONVIF core specification, section 5.1.1
LIMIT = 1000  # characters; agent.config.rules allows no longer address of a camera


def same_host(one: str, other: str) -> bool:
    """Tell whether two hosts are one address. A name is nobody's: it would have to be looked up."""
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False


def bracketed(host: str) -> str:
    """Write an address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def device_service(host: str, port: int = 80) -> str:
    """Return where ONVIF says a camera answers when nobody has said otherwise."""
    return f"http://{bracketed(host)}:{port}{DEVICE_PATH}"


def own_service(said: object, host: str) -> tuple[str, bool] | None:
    """Make a web address that a camera names safe to ask.

    host     the camera's address, as we know it and not as it says
    Returns  (address on that host, whether the camera named another host): port and path are the camera's, the host
             is always ours, so that it cannot send us to anybody else; None for what is no such address
    """
    if not _may_be_address(said):
        return None
    try:
        parts = urlsplit(said.strip())
        port = parts.port
    except ValueError:
        return None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or " " in parts.path + parts.query
        or port == 0
    ):
        return None
    place = f"{bracketed(host)}:{port}" if port else bracketed(host)
    address = SplitResult(parts.scheme, place, parts.path or "/", parts.query, "").geturl()
    return address, not same_host(parts.hostname, host)


def own_stream(said: object, host: str) -> RtspUrl | None:
    """Read a stream's address, without user and password.

    Returns None for what is no rtsp address, and for one on another host than the camera's: what would be recorded
    from there is not what this camera sees
    """
    if not _may_be_address(said):
        return None
    try:
        url = parse_url(said.strip())
    except RtspError:
        return None
    if " " in url.target or not same_host(url.host, host):
        return None
    return RtspUrl(url.scheme, url.host, url.port, url.target)


def named_host(said: object) -> str:
    """Return the host that an address names, to be shown; "" when it names none."""
    if not isinstance(said, str):
        return ""
    try:
        return tame(urlsplit(said[:LIMIT].strip()).hostname or "")
    except ValueError:
        return ""


def _may_be_address(said: object) -> TypeGuard[str]:
    return isinstance(said, str) and 0 < len(said) <= LIMIT and said.isascii() and said.isprintable()
