"""What is known of a camera that was found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum


class LogIn(StrEnum):
    """How a camera took us.

    OPEN     it shows all without a log-in
    NEEDED   it wants one, and none was given
    GOOD     it took the one that was given
    REFUSED  it did not
    BASIC    it wants the password in clear, which was not sent
    UNKNOWN  it was not asked anything that would tell
    """

    OPEN = "open"
    NEEDED = "needed"
    GOOD = "good"
    REFUSED = "refused"
    BASIC = "basic"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Match:
    """One answer to a search.

    host      address that the answer came from
    services  web addresses on that host, as it named them
    foreign   another host that it named, "" when it named none
    name, hardware  as it calls itself
    """

    host: str
    services: tuple[str, ...]
    foreign: str
    name: str
    hardware: str


@dataclass(frozen=True, slots=True)
class Device:
    """What a camera is, in its own words, made harmless."""

    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One media profile.

    token  its name in requests, as the camera gave it
    codec  "h264", "h265", "mpeg4", "mjpeg", or "" when it does not say
    width, height, fps, kbps  None when it does not say
    audio  encoding of its audio encoder, None when it has none
    source  the lens or the channel that it shows, "" when it does not say
    """

    token: str
    name: str
    codec: str
    width: int | None
    height: int | None
    fps: int | None
    kbps: int | None
    audio: str | None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream that can be asked for.

    url      on the camera itself, without log-in; "" when the camera named none that can be used
    foreign  the other host that it named instead, "" when it did not
    fps      pictures per second, None when nobody says
    audio    encodings of sound it offers
    shown    whether it was asked for by RTSP, and described
    log_in   how RTSP took us
    fault    code of agent.rtsp.errors when it was asked for in vain
    profile  token of its ONVIF profile, "" when it has none
    source   the lens or the channel that it shows
    basic    whether it was described for a password in clear, which somebody has waived
    kbps     what it sends at most, None when nobody says
    """

    url: str
    name: str = ""
    codec: str = ""
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    audio: tuple[str, ...] = ()
    foreign: str = ""
    shown: bool = False
    log_in: LogIn = LogIn.UNKNOWN
    fault: str = ""
    profile: str = ""
    source: str = ""
    basic: bool = False
    kbps: int | None = None

    @property
    def pixels(self) -> int:
        """How many pixels a picture has; 0 when nobody says."""
        return (self.width or 0) * (self.height or 0)


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera that was found.

    host      its address
    service   its ONVIF address; "" when it was found by RTSP alone
    log_in    how ONVIF took us, or RTSP where there is no ONVIF
    factory   whether it takes a log-in that it, or many like it, came with
    clock_ms  its clock less the box's, None when it does not say
    faults    codes of what it was asked in vain
    foreign   another host that it named as its own, "" when it named none
    """

    host: str
    service: str = ""
    name: str = ""
    device: Device = field(default_factory=Device)
    streams: tuple[Stream, ...] = ()
    log_in: LogIn = LogIn.UNKNOWN
    factory: bool = False
    clock_ms: int | None = None
    telnet: bool = False
    faults: tuple[str, ...] = ()
    foreign: str = ""

    @property
    def ways(self) -> frozenset[LogIn]:
        """Return how it took us: by ONVIF, and each of its streams."""
        return frozenset((self.log_in, *(stream.log_in for stream in self.streams)))

    @property
    def main(self) -> Stream | None:
        """Return the stream to record: the largest that can be used; the first where sizes are equal or unknown."""
        return max((stream for stream in self.streams if usable(stream)), key=_worth, default=None)

    @property
    def sub(self) -> Stream | None:
        """Return the smallest other stream, None when there is none that is smaller than the one to record."""
        main = self.main
        others = [stream for stream in self.streams if usable(stream) and main and stream.url != main.url]
        smaller = [stream for stream in others if 0 < stream.pixels < (main.pixels if main else 0)]
        return min(smaller, key=lambda stream: stream.pixels, default=None)

    @property
    def basic(self) -> bool:
        """Whether it takes the password in clear alone, and was given it."""
        return any(stream.basic for stream in self.streams)

    @property
    def title(self) -> str:
        """Return what to call it: its own name, else its make, else its address."""
        make = f"{self.device.manufacturer} {self.device.model}".strip()
        return self.name or make or self.host


def by_source(camera: Camera) -> tuple[Camera, ...]:
    """Divide a device with several lenses or channels: each is a camera to record."""
    sources = tuple(dict.fromkeys(stream.source for stream in camera.streams))
    if len(sources) < 2:
        return (camera,)
    return tuple(
        replace(
            camera,
            name=f"{camera.title} {number}",
            streams=tuple(stream for stream in camera.streams if stream.source == source),
        )
        for number, source in enumerate(sources, 1)
    )


def usable(stream: Stream) -> bool:
    """Tell whether a stream may be recorded: an address of the camera's own, and no refusal but a log-in's."""
    return bool(stream.url) and (not stream.fault or stream.fault.startswith("auth_"))


def _worth(stream: Stream) -> tuple[int, bool]:
    return stream.pixels, stream.shown
