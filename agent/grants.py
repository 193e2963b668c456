"""What the keeper and the uplink tell each other of live streams: the formats, and what follows from them. Pure.

grant   keeper to uplink, <state>/exchange/grants/<grant>.json: one camera may be shown, until when
report  uplink to keeper, <state>/exchange/streams/<grant>.json: what became of it

A grant ends by the clock of this boot, CLOCK_BOOTTIME, which nobody sets: the uplink needs no word from anybody to end
a stream in time, nor the right time of day (F12). Whoever takes a grant back removes its file. A file that is written
anew says the grant's end anew, and nothing else: what lasts long is lent for minutes, again and again, and ends by
itself when the keeper is no more.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.model import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable

GRANT_NAME = re.compile(r"[0-9a-f]{32}\Z")
"""The id of a grant: that of the command that gave it."""
MOST_MINUTES = 15
"""Longer is asked for again (duties: section 5-2-2; S11)."""
MOST_CAMERAS = 8
"""Shown at a time by orders of single grants (F11)."""
MOST_GRANTS = 100
"""By orders, at a time."""
MOST_FILES = 512
"""Of grants of all kinds: by orders, 64 of a disaster, 64 by the configuration, 64 by triggers, and some that end."""
FOREVER_MS = (1 << 53) - 1
"""The end of what has none."""
MOST_RANK = 99
MOST_BEFORE_S = 30
"""Past seconds that a trigger may ask for: they are held in memory."""
LIMIT_BYTES = 4096
"""What is longer is no message of ours."""
MONITORING = "monitoring"
"""The ground of those who watch for what the camera is there for (Gangneung regulation art. 20)."""
VERSION = 1
_CAMERA = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
_CENTRE = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,31})?\Z")
_BOOT = re.compile(r"[0-9A-Za-z-]{0,40}\Z")
_WORD = re.compile(r"[ -~]{0,80}\Z")


class Unreadable(ValueError):
    """Not what it should be, or not of this version."""


class Kind(StrEnum):
    """Why a camera is shown."""

    ORDER = "order"  # somebody asked for it: stream.grant
    DISASTER = "disaster"
    TRIGGER = "trigger"
    CONFIGURATION = "configuration"  # always selected


RANKS = {Kind.DISASTER: 0, Kind.TRIGGER: 10, Kind.ORDER: 20, Kind.CONFIGURATION: 30}
"""Who is served first on a line that is too slow: lives, then a call for help, then who watches, then what runs by
itself. A camera's priority, 1 to 9, is added (ADR 0020)."""


class Most(StrEnum):
    """The best that may go out."""

    MAIN = "main"
    SUB = "sub"


class Stage(StrEnum):
    """How far a stream has come."""

    WAITING = "waiting"  # the media server does not take its packets yet: `reason` says why
    FLOWING = "flowing"
    OVER = "over"  # nothing more goes out


@dataclass(frozen=True, slots=True)
class Grant:
    """One camera may be shown.

    boot           the kernel's name of the boot by whose clock it ends; in another boot it has ended
    until_boot_ms  CLOCK_BOOTTIME
    has_sub        the camera has a second stream
    centre         to which media server: the name of a [[centre]] table, "" for that of [uplink]
    rank           the lowest is served first on a line that is too slow for all: RANKS and the camera's priority
    before_s       seconds before now that are wanted first; 0 begins at the last keyframe
    most           the best step that it may have
    """

    grant: str
    camera: str
    boot: str
    until_boot_ms: int
    has_sub: bool = False
    centre: str = ""
    rank: int = RANKS[Kind.ORDER] + 5
    before_s: int = 0
    most: Most = Most.MAIN

    def is_open(self, boot: str, now_boot_ms: int) -> bool:
        """Tell whether it may be shown now."""
        return self.boot == boot and now_boot_ms < self.until_boot_ms


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a grant.

    flowed      packets went out at least once
    sent_bytes  that went out while it was in force: for all who watched that camera, if there were others
    left_out    packets that were left out, since the line was slow
    """

    grant: str
    stage: Stage
    flowed: bool = False
    reason: str = ""
    sent_bytes: int = 0
    left_out: int = 0


def encode_grant(grant: Grant) -> bytes:
    """Write a grant."""
    return canonical_json(
        {
            "v": VERSION,
            "grant": grant.grant,
            "camera": grant.camera,
            "boot": grant.boot,
            "until_boot_ms": grant.until_boot_ms,
            "has_sub": grant.has_sub,
            "centre": grant.centre,
            "rank": grant.rank,
            "before_s": grant.before_s,
            "most": str(grant.most),
        }
    ).encode()


def parse_grant(data: bytes) -> Grant:
    """Read a grant. Raises Unreadable."""
    members = {
        "v",
        "grant",
        "camera",
        "boot",
        "until_boot_ms",
        "has_sub",
        "centre",
        "rank",
        "before_s",
        "most",
    }
    body = _object(data, members)
    if not isinstance(body["has_sub"], bool) or body["most"] not in [*Most]:
        raise Unreadable("has_sub, most")
    return Grant(
        _text(body, "grant", GRANT_NAME),
        _text(body, "camera", _CAMERA),
        _text(body, "boot", _BOOT),
        _number(body, "until_boot_ms"),
        body["has_sub"],
        _text(body, "centre", _CENTRE),
        _number(body, "rank", MOST_RANK),
        _number(body, "before_s", MOST_BEFORE_S),
        Most(body["most"]),
    )


def encode_report(report: Report) -> bytes:
    """Write a report."""
    return canonical_json(
        {
            "v": VERSION,
            "grant": report.grant,
            "stage": str(report.stage),
            "flowed": report.flowed,
            "reason": report.reason,
            "sent_bytes": report.sent_bytes,
            "left_out": report.left_out,
        }
    ).encode()


def parse_report(data: bytes) -> Report:
    """Read a report. Raises Unreadable."""
    body = _object(data, {"v", "grant", "stage", "flowed", "reason", "sent_bytes", "left_out"})
    if body["stage"] not in [*Stage] or not isinstance(body["flowed"], bool):
        raise Unreadable("stage")
    return Report(
        _text(body, "grant", GRANT_NAME),
        Stage(body["stage"]),
        body["flowed"],
        _text(body, "reason", _WORD),
        _number(body, "sent_bytes"),
        _number(body, "left_out"),
    )


def may_be_added(open_: Iterable[str], camera: str) -> bool:
    """Tell whether one more grant has room. open_: the camera of each that is in force."""
    cameras = [*open_]
    return len(cameras) < MOST_GRANTS and len({*cameras, camera}) <= MOST_CAMERAS


def _object(data: bytes, members: set[str]) -> dict[str, Any]:
    if len(data) > LIMIT_BYTES:
        raise Unreadable("too long")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None
    if not isinstance(body, dict) or body.keys() != members or body["v"] != VERSION:
        raise Unreadable("not of this version")
    return body


def _text(body: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = body[name]
    if not isinstance(value, str) or not form.match(value):
        raise Unreadable(name)
    return value


def _number(body: dict[str, Any], name: str, most: int = FOREVER_MS) -> int:
    value = body[name]
    if type(value) is not int or not 0 <= value <= most:
        raise Unreadable(name)
    return value
