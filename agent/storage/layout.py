"""Names in the vault: what a file is called while it is open, when it is stored, and when it was salvaged.

A segment is known by its stem, `segments/<camera>/<day>/<start>`, relative to the vault. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from agent.model import parse_utc_name, utc_day, utc_name

CAMERA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
DAY_NAME = re.compile(r"[0-9]{4,}-[0-9]{2}-[0-9]{2}\Z")
TAIL_MAGIC = b"PASUTAIL"
DAMAGED = "catalogue-damaged"
"""In the state directory: whoever found the catalogue damaged says so here, and it is moved aside."""
MARKING = "catalogue-damaged.lock"
"""In the state directory. Held while that file is read and written: a finder must not write over where the catalogue
is being moved to."""
_STEM_LENGTH = len("20261121T101500.123Z")


class Kind(Enum):
    """What a file in a day's directory is, by the rest of its name after the start."""

    FINAL = ".mp4.age"
    PART = ".mp4.age.part"
    TAIL = ".mp4.age.tail"
    TAIL_TEMPORARY = ".mp4.age.tail.tmp"
    TAIL_OLD = ".mp4.age.tail.old"
    SALVAGED = ".salvaged.mp4.age"
    SALVAGED_TAIL = ".salvaged.mp4.age.tail"


@dataclass(frozen=True, slots=True)
class Stem:
    """Where one segment's files are, relative to the vault, without their ending."""

    camera: str
    day: str
    start: str

    def path(self, kind: Kind) -> str:
        """Return the path of one of its files, relative to the vault."""
        return f"{self.directory}/{self.start}{kind.value}"

    @property
    def directory(self) -> str:
        """Return the day's directory, relative to the vault."""
        return f"segments/{self.camera}/{self.day}"

    @property
    def start_ms(self) -> int:
        """Return the start that the name tells."""
        return parse_utc_name(self.start)


def stem_of(camera: str, start_ms: int) -> Stem:
    """Name a camera's segment by its start.

    Raises  ValueError for a camera id that cannot be a directory's name
    """
    if not CAMERA_NAME.match(camera):
        raise ValueError(f"not a camera id: {camera!r}")
    return Stem(camera, utc_day(start_ms), utc_name(start_ms))


def classify(camera: str, day: str, name: str) -> tuple[Stem, Kind] | None:
    """Tell what a file in a day's directory is; None for one that Pasu never wrote there."""
    start, rest = name[:_STEM_LENGTH], name[_STEM_LENGTH:]
    try:
        parse_utc_name(start)
        return Stem(camera, day, start), Kind(rest)
    except ValueError:
        return None
