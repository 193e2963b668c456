"""What is to be shown by no single grant: selected cameras, triggers, a disaster mode over a restart. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.config import hours
from agent.config.values import SourceKind
from agent.model import Trust, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.config.values import Camera, Config, Stream
    from agent.model import Instant

FRESH_MS = 30_000
"""An event that is older starts nothing: whoever pressed has been recorded, and may be gone."""
AHEAD_MS = 2000


@dataclass(frozen=True, slots=True)
class Selected:
    """A camera that the configuration selects now.

    source     its name among all selected ones: "camera@centre"
    mark       of what the configuration says of it: another mark is another stream
    window_ms  when its hours began, or the Korean day for one without hours; None while nobody knows the time
    """

    source: str
    camera: Camera
    centre: str
    most: str
    mark: str
    window_ms: int | None


def selected(config: Config, now: Instant) -> tuple[dict[str, Selected], list[str]]:
    """Return by source what is selected now, and the cameras of which that cannot be told: hours need the time."""
    found: dict[str, Selected] = {}
    unsure = []
    trusted = now.trust is not Trust.UNTRUSTED
    for stream in config.streams:
        camera = config.camera(stream.camera)
        if camera is None:  # the configuration was checked: nobody gets here by a file
            continue
        window_ms = hours.day_begun_ms(now.utc_ms) if trusted else None
        if stream.hours:
            if not trusted:
                unsure.append(camera.id)
                continue
            window_ms = hours.begun_ms(stream.hours, now.utc_ms)
            if window_ms is None:
                continue
        centre = stream.centre or ""
        source = f"{camera.id}@{centre}"
        found[source] = Selected(source, camera, centre, stream.stream, _mark(stream, camera), window_ms)
    return found, unsure


def stays_off(wanted: Selected, last: Mapping[str, Any] | None) -> bool:
    """Tell whether a selected camera was revoked, and is to stay off: till its table changes, or its next hours begin.

    last  what is known of its last stream; `window_ms` None: it was revoked while nobody knew the time
    """
    if last is None or last["ended"] != "revoked" or last["mark"] != wanted.mark:
        return False
    if last["window_ms"] is None or wanted.window_ms is None:
        return True
    return bool(wanted.window_ms <= last["window_ms"])


@dataclass(frozen=True, slots=True)
class Event:
    """A fact `event.triggered`."""

    seq: int
    at_ms: int
    trigger: str


def events(rows: Iterable[tuple[int, int, str]]) -> list[Event]:
    """Read facts: seq, time, body. One that names no trigger starts nothing."""
    found = []
    for seq, at_ms, text in rows:
        body = json.loads(text)
        trigger = body.get("trigger") if isinstance(body, dict) else None
        if isinstance(trigger, str):
            found.append(Event(seq, at_ms, trigger))
    return found


def is_fresh(event: Event, now_ms: int, now_boot_ms: int, looked_boot_ms: int | None) -> bool:
    """Tell whether an event that was not seen before happened just now, and in this boot.

    looked_boot_ms  when events were looked for the last time: whatever came since then is as young as that, whichever
                    way the time of day was set meanwhile; None, or long ago: its own time must do
    """
    if looked_boot_ms is not None and now_boot_ms - looked_boot_ms <= FRESH_MS:
        return True
    age_ms = now_ms - event.at_ms
    return -AHEAD_MS <= age_ms <= min(FRESH_MS, now_boot_ms)


class Mode(StrEnum):
    """How a disaster mode stands."""

    ON = "on"
    RESUME = "resume"  # in another boot, before its end by a time that is trusted
    SUSPENDED = "suspended"  # in another boot, and nobody knows the time: nothing is shown
    EXPIRED = "expired"
    RESTARTED = "restarted"  # in another boot, and it began by a time that nobody knew


def mode_of(note: Mapping[str, Any], boot: str, now_boot_ms: int, now: Instant) -> Mode:
    """Tell how a mode that nobody has ended stands.

    In the boot in which it was ordered it ends by the clock of that boot. A disaster cuts the power too: over a restart
    it goes on, to its end by the time of day, which both it and this moment must be able to trust.
    """
    if note["boot"] == boot:
        return Mode.ON if now_boot_ms < note["until_boot_ms"] else Mode.EXPIRED
    if note["trust"] == Trust.UNTRUSTED:
        return Mode.RESTARTED
    if now.trust is Trust.UNTRUSTED:
        return Mode.SUSPENDED
    return Mode.RESUME if now.utc_ms < note["until_ms"] else Mode.EXPIRED


def left_ms(note: Mapping[str, Any], now: Instant) -> int:
    """Return for how long a mode goes on that resumes: never for longer than was ordered, whatever the clock says."""
    return int(min(note["until_ms"] - now.utc_ms, note["minutes"] * 60_000))


def can_be_shown(config: Config, camera_id: str, centre: str) -> Camera | None:
    """Return a camera as it is configured now; None for one that is not, is not RTSP, or has nowhere to go."""
    camera = config.camera(camera_id)
    if camera is None or camera.kind is not SourceKind.RTSP or config.media(centre) is None:
        return None
    return camera


def shown_first(config: Config) -> list[Camera]:
    """Return the cameras that can be shown at all, those of the first priority first."""
    cameras = [camera for camera in config.cameras if camera.kind is SourceKind.RTSP]
    return sorted(cameras, key=lambda camera: camera.priority)


def _mark(stream: Stream, camera: Camera) -> str:
    hours_ = [[[*each.days], each.from_min, each.to_min] for each in stream.hours]
    told = [stream.camera, stream.centre, stream.stream, hours_, camera.priority, camera.sub_url is not None]
    return hashlib.sha256(canonical_json([*told, str(camera.purpose)]).encode()).hexdigest()[:16]
