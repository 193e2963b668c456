"""Find cameras: search, go through the hosts that were named, and ask each camera everything, with its own log-in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from agent.config import ConfigProblems
from agent.config.load import read_toml
from agent.log_ins import LogIns
from agent.onvif.address import same_host
from agent.onvif.examine import AT_ONCE, Manner, Place, examine, host_of, who_listens
from agent.onvif.factory import may_try
from agent.onvif.model import LogIn, by_source
from agent.onvif.places import Interface, Places, choose, default_routes
from agent.onvif.search import search

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agent.config.secrets import Login
    from agent.onvif.model import Camera

ROUTES = Path("/proc/net/route")
_IPV4 = 2  # socket.AF_INET


@dataclass(frozen=True, slots=True)
class Known:
    """What the configuration says already, as far as it can be read: there may be none yet, or one without cameras.

    cameras  id, address of its stream, log-in
    ids      that are taken, also by a log-in alone
    """

    tunnel: str | None = None
    cameras: tuple[tuple[str, str, Login | None], ...] = ()
    ids: frozenset[str] = frozenset()

    def log_in(self, host: str) -> Login | None:
        """Return the log-in of a camera of this host; no other host is ever sent it."""
        return next(
            (login for _, url, login in self.cameras if login is not None and same_host(host_of(url), host)),
            None,
        )

    def id_of(self, camera: Camera) -> str:
        """Return the id under which a camera is recorded already, "" when it is not."""
        urls = {stream.url for stream in camera.streams if stream.url}
        return next((name for name, url, _ in self.cameras if url in urls), "")


def known(file: Path) -> Known:
    """Read what is known. Raises ConfigProblems for passwords that others may read, and for a file that is no TOML."""
    try:
        content = read_toml(file)
    except ConfigProblems as problems:
        if problems.problems[0].code == "CONFIG_MISSING":
            return Known()
        raise
    secrets = LogIns(file).read()
    tunnel = content.get("tunnel")
    name = tunnel.get("interface") if isinstance(tunnel, dict) else None
    tables: Any = content.get("camera", [])
    cameras = tuple(
        (each["id"], each["url"], secrets.login(each["id"]))
        for each in (tables if isinstance(tables, list) else [])
        if isinstance(each, dict) and isinstance(each.get("id"), str) and isinstance(each.get("url"), str)
    )
    ids = frozenset(camera[0] for camera in cameras) | frozenset(secrets.cameras())
    return Known(name if isinstance(name, str) else None, cameras, ids)


def interfaces() -> list[Interface]:
    """Return the box's interfaces that are up, each with its IPv4 addresses."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = []
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        for each in addresses:
            if name in up and each.family == _IPV4 and each.netmask:
                bits = sum(int(octet).bit_count() for octet in each.netmask.split("."))
                found.append(Interface(name, f"{each.address}/{bits}"))
    return found


def places(named: Sequence[str], tunnel: str | None) -> Places:
    """Choose where to search: what was named, else the camera networks."""
    there = interfaces()
    if named:
        return Places(tuple(each for each in there if each.name in named), ())
    try:
        routes = default_routes(ROUTES.read_text(encoding="ascii"))
    except OSError:
        routes = ()
    return choose(there, tunnel, routes)


@dataclass(frozen=True, slots=True)
class Request:
    """What to look for.

    where    interfaces to search on; none when hosts alone were named
    hosts    to ask, whether they answer a search or not; nets: to go through for open ports
    seconds  to wait for answers to a search
    """

    where: tuple[Interface, ...] = ()
    hosts: tuple[str, ...] = ()
    nets: tuple[str, ...] = ()
    seconds: float = 4.0
    manner: Manner = field(default_factory=Manner)


@dataclass(frozen=True, slots=True)
class Found:
    """A camera, and the log-in that it was asked with."""

    camera: Camera
    login: Login | None = field(default=None, repr=False)


async def find(
    request: Request,
    knows: Known,
    ask: Callable[[Camera], Awaitable[Login | None]],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Found]:
    """Find cameras.

    ask       called, one camera after another, for those that want a log-in that nobody knows yet; None goes on
              without
    progress  told how many of how many cameras have been asked
    Returns   what was found, in the order of addresses; a device with several lenses is several cameras
    Raises    OSError when not one interface can be searched on
    """
    everywhere = await search(request.where, request.seconds) if request.where else []
    by_place = {(match.host, match.services): Place.of(match) for match in everywhere}
    hosts = [place.host for place in by_place.values()]
    listening = await who_listens([host for host in request.nets if host not in hosts])
    named = [Place(host) for host in request.hosts if host not in hosts]
    there = [*by_place.values(), *named, *(place for place in listening if place.host not in request.hosts)]
    gate = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def look(place: Place) -> Found:
        nonlocal done
        login = knows.log_in(place.host)
        async with gate:
            each = Found(*await examine(place, login, request.manner))
        done += 1
        progress(done, len(there))
        return each

    found = await asyncio.gather(*(look(place) for place in there))
    result: list[Found] = []
    for place, each in zip(there, found, strict=True):
        one = each
        if _wants(each, request.manner):
            login = await ask(each.camera)
            if login is not None:
                # What was tried when no log-in was known is not tried again: cameras lock themselves.
                left = request.manner.factory and not may_try(each.camera, each.login)
                one = Found(*await examine(place, login, replace(request.manner, factory=left)))
        result += [Found(camera, one.login) for camera in by_source(one.camera)]
    is_something = [
        each for each in result if each.camera.service or each.camera.streams or each.camera.foreign
    ]
    return sorted(is_something, key=lambda each: _order(each.camera.host))


def _wants(found: Found, manner: Manner) -> bool:
    ways = found.camera.ways
    return LogIn.NEEDED in ways or (manner.basic and found.login is None and LogIn.BASIC in ways)


def _order(host: str) -> tuple[int, ...]:
    return tuple(int(part) for part in host.split(".")) if "." in host and ":" not in host else (999,)
