"""The configuration as the rest of Pasu sees it: frozen values, no defaults (those are in `keys` alone)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.config.hours import parse
from agent.language import say

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config.hours import Hours
    from agent.config.sources import GpioSource, MqttSource


class Purpose(StrEnum):
    """What a camera may be installed for: the purposes named in the Gangneung regulation, article 6.

    The article's closing words ("and the like ... where a statute specifically allows it") are not a member:
    a purpose that is not named there needs a change of this list, and somebody's decision with it.
    """

    CRIME_PREVENTION = "crime-prevention"
    ILLEGAL_DUMPING = "illegal-dumping"
    PARKING_MANAGEMENT = "parking-management"
    TRAFFIC_INFORMATION = "traffic-information"
    ILLEGAL_PARKING = "illegal-parking"
    DISASTER_PREVENTION = "disaster-prevention"
    FIRE_PREVENTION = "fire-prevention"
    FACILITY_MANAGEMENT = "facility-management"

    @property
    def title(self) -> str:  # type: ignore[override]  # a title is what it is; str.title is of no use here
        """Return the purpose in the reader's language, in Korean with the regulation's own words."""
        return say(*PURPOSE_TITLES[self])


PURPOSE_TITLES = {
    Purpose.CRIME_PREVENTION: ("방범", "crime prevention"),
    Purpose.ILLEGAL_DUMPING: ("쓰레기 투기 방지", "prevention of illegal dumping"),
    Purpose.PARKING_MANAGEMENT: ("주차관리", "parking management"),
    Purpose.TRAFFIC_INFORMATION: ("교통정보 수집", "traffic information"),
    Purpose.ILLEGAL_PARKING: ("불법 주정차단속", "enforcement against illegal parking"),
    Purpose.DISASTER_PREVENTION: ("재난ㆍ재해 예방", "disaster prevention"),
    Purpose.FIRE_PREVENTION: ("화재 예방", "fire prevention"),
    Purpose.FACILITY_MANAGEMENT: ("시설물 관리", "management of facilities"),
}


class SourceKind(StrEnum):
    """How a camera is reached; it decides which worker records it."""

    RTSP = "rtsp"
    FILE = "file"
    V4L2 = "v4l2"
    HTTP_TS = "http"
    UDP_TS = "udp"


SCHEMES = {
    "rtsp": SourceKind.RTSP,
    "rtsps": SourceKind.RTSP,
    "file": SourceKind.FILE,
    "v4l2": SourceKind.V4L2,
    "http": SourceKind.HTTP_TS,
    "https": SourceKind.HTTP_TS,
    "udp": SourceKind.UDP_TS,
}


@dataclass(frozen=True, slots=True)
class Box:
    """Who and where the box is.

    id        its name in topics and in the ledger
    operator  the department that answers for it
    contact   where a citizen or a technician calls
    contractor  name and contact of whoever looks after it for the operator; None: nobody does
    """

    id: str
    site: str
    operator: str
    contact: str
    contractor: str | None


@dataclass(frozen=True, slots=True)
class Storage:
    """Where and how recordings are kept.

    vaults, state, run  folders: sealed segments, one for each disk; catalogue and ledger; health files
    retention_days     full days, at most 30 (Gangneung regulation art. 31(1))
    segment_s          aimed length of a segment
    loss_window_s      what a power cut may cost at most
    recipients         age public keys the segments are sealed to
    """

    vaults: tuple[Path, ...]
    state: Path
    run: Path
    retention_days: int
    segment_s: int
    loss_window_s: float
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Camera:
    """One video source.

    url               without credentials; those are in `Secrets`
    sub_url           a second, smaller stream of the same camera
    transport         "tcp" or "udp", for RTSP
    retention_days    full days, the box's where the camera has none of its own
    hours             outside of which nothing of it is stored, Korean time; none: it is recorded always
    allow_basic_auth  whether the password may be sent unhashed when the camera asks for that
    width,height,fps  what to ask of a V4L2 device; None leaves it to the device
    priority          1 to 9: of several that are shown live on a slow line, 1 is served first
    view              what it looks at, in words for the notice board
    """

    id: str
    name: str
    url: str
    sub_url: str | None
    transport: str
    purpose: Purpose
    legal_basis: str
    retention_days: int
    hours: tuple[Hours, ...]
    allow_basic_auth: bool
    width: int | None
    height: int | None
    fps: int | None
    priority: int
    view: str | None

    @property
    def kind(self) -> SourceKind:
        """Return how the camera is reached."""
        return SCHEMES[self.url.partition(":")[0].lower()]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a worker process; passwords travel apart (`Secrets.to_json`)."""
        return {**asdict(self), "hours": [str(each) for each in self.hours]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Camera:
        """Read back what `to_json` wrote."""
        hours = tuple(parse(each) for each in values["hours"])
        return cls(**{**values, "purpose": Purpose(values["purpose"]), "hours": hours})


@dataclass(frozen=True, slots=True)
class Uplink:
    """Where reports and granted live streams go, inside the tunnel."""

    broker: str
    media: str | None


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The tunnel to the centre.

    interface  its network interface
    line       the interface that leads outside, where it leads to nothing else: nothing but the tunnel may use it then
    group      by which the kernel knows what the uplink sends: a name or a number
    """

    interface: str
    line: str | None
    group: str


@dataclass(frozen=True, slots=True)
class Page:
    """The health page on the site.

    listen, port           where it is served, by HTTPS: addresses of the box
    metrics, metrics_port  where Prometheus reads /metrics, by HTTP inside the tunnel; None serves none
    folder                 of passes, visits, and the page's certificate
    """

    listen: tuple[str, ...]
    port: int
    metrics: str | None
    metrics_port: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Centre:
    """A further media server inside the tunnel, as that of the disaster office (재난안전상황실)."""

    name: str
    media: str


@dataclass(frozen=True, slots=True)
class Stream:
    """A camera that is always selected (real-time monitoring, Gangneung regulation art. 20).

    centre  the name of a Centre, None for the uplink's media server
    stream  the best that goes out: "main" or "sub"
    hours   when, in Korean time; none: always
    """

    camera: str
    centre: str | None
    stream: str
    hours: tuple[Hours, ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """An emergency bell or a sensor at the site.

    payload   the message that counts; None: each
    cameras   which are shown when it speaks; none: it is a fact alone
    minutes   for how long, at most 15
    before_s  seconds before it that are shown first
    """

    id: str
    name: str
    source: MqttSource | GpioSource
    payload: str | None
    cameras: tuple[str, ...]
    minutes: int
    before_s: int


@dataclass(frozen=True, slots=True)
class ConfigWarning:
    """Something that is allowed and still deserves a look: code, the key, and what to think about."""

    code: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Config:
    """The whole of agent.toml, checked and with every default filled in."""

    file: Path
    box: Box
    storage: Storage
    cameras: tuple[Camera, ...]
    uplink: Uplink | None
    tunnel: Tunnel | None
    page: Page | None
    centres: tuple[Centre, ...]
    streams: tuple[Stream, ...]
    triggers: tuple[Trigger, ...]
    warnings: tuple[ConfigWarning, ...]

    def camera(self, camera_id: str) -> Camera | None:
        """Return the camera with this id, None when there is none."""
        return next((camera for camera in self.cameras if camera.id == camera_id), None)

    def media(self, centre: str = "") -> str | None:
        """Return the address of a media server: a Centre's by its name, the uplink's for ""; None: there is none."""
        if not centre:
            return self.uplink.media if self.uplink is not None else None
        return next((each.media for each in self.centres if each.name == centre), None)

    @property
    def secrets_file(self) -> Path:
        """Return where the passwords are: secrets.toml beside the configuration."""
        return self.file.with_name("secrets.toml")

    @property
    def sealed_secrets_file(self) -> Path:
        """Return where they are when they are sealed to the machine, and secrets.toml is gone."""
        return self.file.with_name("secrets.sealed")
