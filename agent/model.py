"""The values everybody shares. Units are in the names; no float is a point in time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

UTC_DAY_MS = 86_400_000


class Trust(StrEnum):
    """How far the time of day can be relied on."""

    SYNCED = "SYNCED"
    HOLDOVER = "HOLDOVER"
    UNTRUSTED = "UNTRUSTED"


class Codec(StrEnum):
    """Video codecs that are stored as they come."""

    H264 = "h264"
    H265 = "h265"
    MPEG4 = "mpeg4"
    MJPEG = "mjpeg"


class GapCause(StrEnum):
    """Why a span was not recorded: each of them but `off_hours` should have been."""

    CAMERA_UNREACHABLE = "camera_unreachable"  # no connection, refused, name not found
    CAMERA_REFUSED = "camera_refused"  # log-in, status, no video track
    CAMERA_SILENT = "camera_silent"  # connected, sends nothing
    CAMERA_CLOSED = "camera_closed"  # the camera ended the session
    STREAM_INVALID = "stream_invalid"  # bytes that are not the protocol, or lie about themselves
    STREAM_DAMAGED = "stream_damaged"  # packets lost on the way
    CLOCK_JUMP = "clock_jump"  # the camera's media clock jumped, or the box's clock stepped
    PARAMETERS_CHANGED = "parameters_changed"  # waiting for the first keyframe with the new parameter sets
    STORAGE_SLOW = "storage_slow"  # memory for waiting pictures was full
    STORAGE_FAILED = "storage_failed"  # the disk refused
    SESSION_ERROR = "session_error"  # an error of ours inside one camera's session
    WORKER_LOST = "worker_lost"  # the worker process was killed, crashed or hung
    RECORD_LOST = "record_lost"  # the catalogue that knew why was lost
    SEGMENT_LOST = "segment_lost"  # it was stored, and its file is gone or damaged now
    OFF_HOURS = "off_hours"  # outside the hours of the camera, or in them before their first keyframe
    RECONFIGURED = "reconfigured"  # the camera was changed, or was not in the configuration for a while
    BOX_ASLEEP = "box_asleep"  # the box was suspended, or its whole machine stood still
    AGENT_STOPPED = "agent_stopped"  # stopped in order: update, restart, shutdown
    AGENT_KILLED = "agent_killed"  # the whole agent or the box went away without a word


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in UTC, with how far it can be relied on."""

    utc_ms: int
    trust: Trust


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open span of UTC milliseconds: start_ms <= t < end_ms."""

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if self.end_ms < self.start_ms:
            raise ValueError(f"span ends before it starts: {self.start_ms}..{self.end_ms}")

    @property
    def length_ms(self) -> int:
        """Length in milliseconds."""
        return self.end_ms - self.start_ms

    def overlaps(self, other: Span) -> bool:
        """Tell whether the two spans share at least one millisecond."""
        return self.start_ms < other.end_ms and other.start_ms < self.end_ms


def uncovered(covered: Iterable[Span], span: Span, nearly_ms: int = 0) -> list[Span]:
    """Return the parts of a span that nothing covers, in the order of time.

    nearly_ms  what is not longer is no hole: frame times are rounded
    """
    left: list[Span] = []
    at = span.start_ms
    for part in sorted((part for part in covered if part.length_ms), key=lambda part: part.start_ms):
        end = min(part.start_ms, span.end_ms)
        if end - at > nearly_ms:
            left.append(Span(at, end))
        at = max(at, part.end_ms)
    if span.end_ms - at > nearly_ms:
        left.append(Span(at, span.end_ms))
    return left


@dataclass(frozen=True, slots=True)
class Track:
    """One video elementary stream.

    time_base_hz  ticks per second of its timestamps
    width,height  pixels; 0 when the stream does not say
    config        decoder configuration: avcC or hvcC record, MPEG-4 VOS/VOL headers, empty for MJPEG
    """

    codec: Codec
    time_base_hz: int
    width: int
    height: int
    config: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A span that should have been recorded and was not."""

    camera: str
    span: Span
    cause: GapCause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """What the ledger will hold: kind, when (with trust), and a JSON body of plain values."""

    kind: str
    at: Instant
    body: dict[str, Any] = field(default_factory=dict)


def canonical_json(value: object) -> str:
    """Serialise by RFC 8785 for the values Pasu writes: strings, integers, booleans, null, lists, objects.

    Floats are refused: the ledger holds none, and their canonical form is the one hard part of the RFC.
    Keys are sorted by UTF-16 code units as the RFC asks (section 3.2.3).
    """
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _sorted(value: object) -> object:
    if isinstance(value, float):
        raise TypeError("a float has no place in the ledger")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError("an object key must be a string")
        return {key: _sorted(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    return value


def utc_name(utc_ms: int) -> str:
    """Write a UTC time as it stands in file names: 20261121T101500.123Z."""
    days, ms_of_day = divmod(utc_ms, UTC_DAY_MS)
    year, month, day = _civil(days)
    seconds, ms = divmod(ms_of_day, 1000)
    return (
        f"{year:04d}{month:02d}{day:02d}T"
        f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}.{ms:03d}Z"
    )


def utc_day(utc_ms: int) -> str:
    """Write the UTC day as it stands in folder names: 2026-11-21."""
    year, month, day = _civil(utc_ms // UTC_DAY_MS)
    return f"{year:04d}-{month:02d}-{day:02d}"


def parse_utc_name(name: str) -> int:
    """Read back what `utc_name` wrote. Raises ValueError for anything else."""
    if len(name) != 20 or not name.isascii() or name[8] != "T" or name[15] != "." or name[19] != "Z":
        raise ValueError(f"not a segment time: {name!r}")
    digits = name[:8] + name[9:15] + name[16:19]
    if not digits.isdigit():
        raise ValueError(f"not a segment time: {name!r}")
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    hour, minute, second, ms = int(digits[8:10]), int(digits[10:12]), int(digits[12:14]), int(digits[14:])
    utc_ms = _days(year, month, day) * UTC_DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms
    if utc_name(utc_ms) != name:
        raise ValueError(f"not a segment time: {name!r}")
    return utc_ms


def _civil(days: int) -> tuple[int, int, int]:
    """Turn days since 1970-01-01 into year, month, day of the proleptic Gregorian calendar.

    Own arithmetic, since `datetime` ends at the local platform's limits and would pull in time zones.
    The year is counted from March, so that the leap day comes last.
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def _days(year: int, month: int, day: int) -> int:
    """Turn a civil date into days since 1970-01-01; the inverse of `_civil`."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
