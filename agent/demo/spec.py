"""What one virtual camera is: read from JSON, handed to a process, never showing its password."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_args

from agent.demo.encoder import CODECS
from agent.demo.pictures import Scene
from agent.demo.quirks import parse

AUDIO = ("pcmu", "aac", "none")
LOG_IN_QUIRKS = ("basic", "digest_md5", "digest_sha256", "digest_no_qop", "digest_both", "stale_nonce")


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """One virtual camera.

    number    16 bit, in every stamp; name is the ASCII text in the picture, "cam01" and so on by default
    gop       frames from keyframe to keyframe
    bitrate   bits per second, made up with filler; 0 leaves the encoder's own size
    port      TCP port; 0 takes a free one
    username  no log-in is asked for when it is empty
    quirks    as `agent.demo.quirks.parse` reads them
    prepared  play one encoded GOP over and over, for many cameras on little processor
    audio     the sound track that is offered: "pcmu", "aac" or "none"
    path      in the URL; any other path is answered too
    scene     "" chooses by number
    threads   of the encoder
    onvif     whether it answers searches, and says by ONVIF what it is
    """

    number: int
    name: str = ""
    codec: str = "h264"
    width: int = 640
    height: int = 360
    fps: float = 15.0
    gop: int = 30
    bitrate: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    path: str = "main"
    username: str = ""
    password: str = field(default="", repr=False)
    quirks: str = ""
    prepared: bool = False
    audio: str = "pcmu"
    scene: str = ""
    threads: int = 1
    onvif: bool = False

    def __post_init__(self) -> None:
        checks = {
            "number": 0 <= self.number <= 0xFFFF,
            "name": self.name.isascii() and len(self.name) <= 32,
            "codec": self.codec in CODECS,
            "width": 64 <= self.width <= 7680 and self.width % 2 == 0,
            "height": 48 <= self.height <= 4320 and self.height % 2 == 0,
            "fps": 0.1 <= self.fps <= 120,
            "gop": 1 <= self.gop <= 100_000,
            "bitrate": 0 <= self.bitrate <= 1_000_000_000,
            "port": 0 <= self.port <= 65535,
            "audio": self.audio in AUDIO,
            "scene": self.scene in ("", *get_args(Scene)),
            "threads": 1 <= self.threads <= 64,
        }
        for name, right in checks.items():
            if not right:
                raise ValueError(f"camera {self.number}: {name} cannot be {getattr(self, name)!r}")
        quirks = parse(self.quirks)
        if self.prepared and "b_frames" in quirks:
            raise ValueError(f"camera {self.number}: a prepared camera plays no B-frames")
        for name in LOG_IN_QUIRKS:
            if name in quirks and not self.username:
                raise ValueError(f"camera {self.number}: {name} needs a username")
        if not self.name:
            object.__setattr__(self, "name", f"cam{self.number:02d}")

    @classmethod
    def from_json(cls, value: Any) -> CameraSpec:
        """Make one from a JSON object. Raises ValueError for what does not fit."""
        if not isinstance(value, dict):
            raise ValueError("a camera is a JSON object")  # noqa: TRY004 - one error for all that does not fit
        known = {item.name: item.type for item in fields(cls)}
        for name, found in value.items():
            kind = known.get(name)
            if kind is None:
                raise ValueError(f"a camera has no {name!r}; it has {', '.join(known)}")
            wanted = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}[str(kind)]
            if not isinstance(found, wanted) or (isinstance(found, bool) and kind != "bool"):
                raise ValueError(f"a camera's {name} is of type {kind}, not {found!r}")
        if "number" not in value:
            raise ValueError("a camera needs a number")
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads, the password with it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
