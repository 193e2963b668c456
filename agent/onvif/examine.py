"""One camera, asked everything: by ONVIF where it speaks it, by RTSP in any case. Never longer than a minute."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.config.secrets import Login
from agent.onvif import ask_rtsp, factory
from agent.onvif.address import device_service
from agent.onvif.model import Camera, Device, LogIn, Stream
from agent.onvif.paths import ONVIF_PORTS, PATHS, RTSP_PORTS, rtsp
from agent.onvif.post import Unauthorised
from agent.onvif.screen import AnswerError
from agent.onvif.session import Session
from agent.rtsp.url import parse_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.onvif.model import Match, Profile

CAMERA_S = 60.0
CONNECT_S = 1.5
AT_ONCE = 16
TELNET_PORT = 23
_MAX_STREAMS = 64  # addresses that are asked for by RTSP


@dataclass(frozen=True, slots=True)
class Place:
    """Where a camera may be.

    service  its ONVIF address; "" tries the usual ports
    name, hardware  as it called itself when it answered a search
    foreign  another host that it named as its own
    """

    host: str
    service: str = ""
    name: str = ""
    hardware: str = ""
    foreign: str = ""

    @classmethod
    def of(cls, match: Match) -> Place:
        """Make it of an answer to a search."""
        service = match.services[0] if match.services else ""
        return cls(match.host, service, match.name, match.hardware, match.foreign)


@dataclass(frozen=True, slots=True)
class Manner:
    """How to ask.

    factory  whether a few log-ins that its maker ships may be tried
    basic    whether the password may go to it in clear
    """

    factory: bool = False
    basic: bool = False


async def is_open(host: str, port: int) -> bool:
    """Tell whether somebody listens on a port."""
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def who_listens(hosts: Sequence[str]) -> list[Place]:
    """Go through hosts, and return those on which a camera's ports are open."""
    gate = asyncio.Semaphore(4 * AT_ONCE)

    async def look(host: str) -> Place | None:
        async with gate:
            for port in (RTSP_PORTS[0], ONVIF_PORTS[0], *RTSP_PORTS[1:2]):
                if await is_open(host, port):
                    return Place(host)
        return None

    found = await asyncio.gather(*(look(host) for host in hosts))
    return [place for place in found if place is not None]


async def examine(place: Place, login: Login | None, manner: Manner) -> tuple[Camera, Login | None]:
    """Ask one camera everything; what cannot be learned is left out and named in `faults`.

    A factory's log-in is looked for where none is known, and beside one that is taken: cameras keep several users.
    Where the one that is known was refused none is tried, since that one counts towards a lock already.

    Returns  what is known, and the log-in that it took or refused: the one given, or a factory's that it took
    """
    camera = await _bounded(place, login, manner)
    if not manner.factory or camera.factory or not factory.may_try(camera, login):
        return camera, login
    for username, password in factory.candidates(_maker(place, camera)):
        candidate = Login(username, password)
        tried = await _bounded(place, candidate, manner, sparing=True)
        if LogIn.GOOD in tried.ways:
            kept = (tried, candidate) if login is None else (camera, login)
            return replace(kept[0], factory=True), kept[1]
        if LogIn.REFUSED not in tried.ways:
            break  # it has stopped answering: perhaps it has locked itself
    return camera, login


async def _bounded(place: Place, login: Login | None, manner: Manner, *, sparing: bool = False) -> Camera:
    """Ask everything in bounded time. sparing: a log-in that ONVIF refused is not offered to RTSP."""
    known = Camera(place.host, name=place.name, device=Device(model=place.hardware), foreign=place.foreign)
    try:
        async with asyncio.timeout(CAMERA_S):
            return await _examine(place, known, login, manner, sparing=sparing)
    except TimeoutError:
        return replace(known, service=place.service, faults=("timeout",))


def _maker(place: Place, camera: Camera) -> Device:
    return camera.device if camera.device.manufacturer else Device(place.name, place.hardware)


async def _examine(
    place: Place, camera: Camera, login: Login | None, manner: Manner, *, sparing: bool
) -> Camera:
    services = [place.service] if place.service else await _services(place.host)
    for service in services:
        try:
            camera = await _by_onvif(camera, service, login)
        except AnswerError as error:
            if place.service:  # it said itself that it is there
                camera = replace(camera, service=service, faults=(error.code,))
        if camera.service:
            break
    streams = camera.streams
    refused = camera.log_in is LogIn.REFUSED
    if streams:
        streams = await _described(streams, login, manner)
    elif not (refused and sparing):
        streams = await _by_paths(place.host, login, manner)
    if refused and any(stream.log_in is LogIn.GOOD for stream in streams):
        # Some makers keep ONVIF's users apart: this one is a user of the streams.
        camera = replace(camera, log_in=LogIn.GOOD, faults=(*camera.faults, "not-authorised"))
    camera = replace(camera, streams=streams, telnet=await is_open(place.host, TELNET_PORT))
    if camera.log_in is LogIn.UNKNOWN:
        ways = [stream.log_in for stream in streams if stream.log_in is not LogIn.UNKNOWN]
        camera = replace(camera, log_in=next(iter(ways), LogIn.UNKNOWN))
    taken = login is not None and LogIn.GOOD in camera.ways
    known = login is not None and factory.is_factory(login.username, login.password)
    return replace(camera, factory=taken and known)


async def _services(host: str) -> list[str]:
    """Return the ONVIF addresses to try on a host that has not named one."""
    is_there = await asyncio.gather(*(is_open(host, port) for port in ONVIF_PORTS))
    return [device_service(host, port) for port, there in zip(ONVIF_PORTS, is_there, strict=True) if there]


async def _by_onvif(camera: Camera, service: str, login: Login | None) -> Camera:
    """Ask by ONVIF. Raises AnswerError when nothing there speaks it."""
    async with Session(camera.host, service, None, _now_ms) as session:
        clock: int | None = None
        with contextlib.suppress(
            Unauthorised
        ):  # who wants a log-in for the time of day speaks ONVIF all the same
            clock = await session.clock_ms()
        camera = replace(camera, service=service, clock_ms=clock)
        try:
            return await _told(camera, session, LogIn.OPEN)
        except Unauthorised as refused:
            if login is None:
                way = LogIn.BASIC if refused.basic else LogIn.NEEDED
                return replace(camera, log_in=way)
        except AnswerError as error:
            return replace(camera, faults=(error.code,))
    async with Session(camera.host, service, login, _now_ms) as session:
        try:
            camera = replace(camera, clock_ms=await session.clock_ms())
            return await _told(camera, session, LogIn.GOOD)
        except Unauthorised as refused:
            return replace(camera, log_in=LogIn.BASIC if refused.basic else LogIn.REFUSED)
        except AnswerError as error:
            return replace(camera, faults=(error.code,))


async def _told(camera: Camera, session: Session, way: LogIn) -> Camera:
    device = await session.device()
    profiles = await session.profiles()
    streams: list[Stream] = []
    faults: list[str] = []
    for profile in profiles:
        try:
            streams.append(await session.stream(profile))
        except Unauthorised:
            raise
        except AnswerError as error:
            faults.append(error.code)
    named = camera.foreign or (camera.host if session.foreign else "")
    return replace(
        camera,
        device=device,
        streams=tuple(streams),
        log_in=way,
        faults=tuple(dict.fromkeys(faults)),
        foreign=named,
    )


async def _described(streams: tuple[Stream, ...], login: Login | None, manner: Manner) -> tuple[Stream, ...]:
    """Ask for each address by RTSP; what the stream itself says counts for more than what ONVIF says of it."""
    found: list[Stream] = []
    asked: set[str] = set()
    refused = False
    sound = {url: _sound(streams, url) for url in {stream.url for stream in streams if stream.url}}
    for each in streams:
        stream = replace(each, audio=sound.get(each.url, each.audio))
        if not stream.url or stream.url in asked:
            found += [stream] if not stream.url else []
            continue
        asked.add(stream.url)
        if refused or len(asked) > _MAX_STREAMS:
            found.append(stream)
            continue
        told = await _ask(stream.url, login, manner)
        refused = told.log_in is LogIn.REFUSED
        found.append(_joined(stream, told))
    return tuple(found)


def _sound(streams: tuple[Stream, ...], url: str) -> tuple[str, ...]:
    """Return what ONVIF says of sound at an address: several profiles may have the same."""
    return tuple(dict.fromkeys(each for stream in streams if stream.url == url for each in stream.audio))


def _joined(stream: Stream, told: Stream) -> Stream:
    return replace(
        stream,
        codec=told.codec or stream.codec,
        width=told.width or stream.width,
        height=told.height or stream.height,
        fps=stream.fps if told.fps is None else told.fps,
        # A microphone that is on hears, also where this description has none.
        audio=told.audio or stream.audio,
        shown=told.shown,
        log_in=told.log_in,
        fault=told.fault,
        basic=told.basic,
    )


async def _by_paths(host: str, login: Login | None, manner: Manner) -> tuple[Stream, ...]:
    """Try the usual ports and paths, until one shows something or wants a log-in that we do not have."""
    for port in RTSP_PORTS:
        if not await is_open(host, port):
            continue
        for main, sub in PATHS:
            told = await _ask(rtsp(host, port, main), login, manner)
            if told.shown:
                second = [await _ask(rtsp(host, port, sub), login, manner)] if sub else []
                return (told, *(stream for stream in second if stream.shown))
            if told.log_in is not LogIn.UNKNOWN:
                return (told,)
            if told.fault != "status":
                break  # nobody there speaks RTSP
    return ()


async def _ask(url: str, login: Login | None, manner: Manner) -> Stream:
    """Describe one address; the password goes in clear only where that is waived and nothing else will do."""
    told = await ask_rtsp.describe(url, login)
    if told.log_in is LogIn.BASIC and manner.basic and login is not None:
        told = replace(await ask_rtsp.describe(url, login, allow_basic=True), basic=True)
    return told


async def silence(camera: Camera, login: Login | None) -> tuple[str, ...]:
    """Turn the audio encoders of a camera's profiles off, and ask again whether they are.

    Returns  the names of profiles that still offer sound
    Raises   AnswerError when the camera cannot be asked
    """
    async with Session(camera.host, camera.service, login, _now_ms) as session:
        with contextlib.suppress(AnswerError):
            await session.clock_ms()
        for profile in await session.profiles():
            if profile.audio is not None:
                with contextlib.suppress(AnswerError):  # whether it worked is what is asked next
                    await session.silence(profile)
        left: Sequence[Profile] = await session.profiles()
    return tuple(profile.name or profile.token for profile in left if profile.audio is not None)


def host_of(url: str) -> str:
    """Return the host of a camera's address in the configuration; "" for what is no rtsp address."""
    from agent.rtsp.errors import RtspError

    try:
        return parse_url(url).host
    except RtspError:
        return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
