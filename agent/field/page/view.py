"""What the page shows, as plain texts and numbers in the reader's language, for its template. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.field import words
from agent.field.words import age, size
from agent.health import Severity, silent_s
from agent.language import language, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from agent.config import Config
    from agent.passes import Pass

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOURS = (24, 18, 12, 6, 0)
KOREA = timedelta(hours=9)
MOST_HOLES = 6
MOST_VISITS = 12
WHATS = {
    "visited": ("방문", "visited"),
    "refused": ("거절", "refused"),
    "locked": ("잠김", "locked"),
}
WHYS = {
    "unknown": ("없는 코드", "no such code"),
    "expired": ("기간이 지난 출입증", "pass has expired"),
    "revoked": ("취소된 출입증", "pass was revoked"),
    "used": ("이미 쓴 출입증", "pass was used already"),
    "locked": ("잠긴 동안 시도", "tried while locked"),
}


def page(config: Config, found: dict[str, Any], visitor: Pass | None, zone: tzinfo | None) -> dict[str, Any]:
    """Return all that the template shows.

    found    as `agent.overview` read it
    visitor  whose session it is
    zone     of the times shown; None for the box's own
    """
    processes = found["processes"]
    record, keep, uplink, tunnel = (
        words.heard(found, name) for name in ("record", "keep", "uplink", "tunnel")
    )
    wrong = words.wrong(config, found)
    return {
        "lang": language(),
        "box": found["box"],
        "site": found["site"],
        "operator": config.box.operator,
        "contact": config.box.contact,
        "now": moment(found["at_ms"], zone) + zone_mark(found["at_ms"], zone),
        "trust": words.trust_word(found["trust"]),
        "trusted": found["trust"] != "UNTRUSTED",
        "summary": summary(wrong),
        "conditions": [
            {
                "severity": str(each.condition.severity),
                "word": each.word,
                "subjects": each.subjects,
                "what": each.condition.what,
                "next": each.condition.next,
                "since": each.since,
                "code": each.code,
                "details": each.details,
            }
            for each in wrong
        ],
        "cameras": [*_cameras(config, record, keep, zone)],
        "hours": [
            say(f"{hours}시간 전", f"{hours} h ago") if hours else say("지금", "now") for hours in HOURS
        ],
        "vaults": [*_vaults(config, keep)],
        "disks": [*_disks(keep)],
        "machine": [*words.vital_fields(keep["vitals"], found["trust"])] if keep.get("vitals") else [],
        "uplink": [*words.uplink_fields(uplink)] if uplink else [],
        "connected": bool(uplink.get("connected")),
        "tunnel": [*words.tunnel_fields(tunnel)] if tunnel else [],
        "processes": [*_processes(processes, found["boot_ms"] / 1000)],
        "visits": [*_visits(found.get("visits", []), zone)],
        "visitor": visitor,
        "until": moment(visitor.until_ms, zone) if visitor else "",
    }


def summary(wrong: list[words.Wrong]) -> dict[str, str]:
    """Say in one line how the box is, and how bad that is."""
    if not wrong:
        return {"severity": "good", "text": say("이상이 없습니다", "Nothing is wrong")}
    worst, count = wrong[0].condition.severity, len(wrong)
    if worst is Severity.INFO:
        return {"severity": "info", "text": say("알릴 것이 있습니다", "Good to know")}
    text = {
        Severity.CRITICAL: say("지금 조치해야 합니다", "Act now"),
        Severity.ALARM: say("조치가 필요합니다", "Somebody must act"),
        Severity.WARNING: say("살펴볼 것이 있습니다", "Somebody should look"),
    }[worst]
    return {"severity": str(worst), "text": f"{text} ({count})"}


def moment(utc_ms: int, zone: tzinfo | None) -> str:
    """Write a point in time to the minute, in a zone: 2026-11-22 19:05."""
    try:
        return (EPOCH + timedelta(milliseconds=utc_ms)).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return "?"


def zone_mark(utc_ms: int, zone: tzinfo | None) -> str:
    """Say which zone a time is of where that is not Korea's, which nobody would doubt: " UTC", " +08:00"."""
    try:
        there = (EPOCH + timedelta(milliseconds=utc_ms)).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return ""
    if there.utcoffset() == KOREA:
        return ""
    return f" {there.isoformat(timespec='seconds')[-6:]}" if there.utcoffset() else " UTC"


def _clock(utc_ms: int, zone: tzinfo | None) -> str:
    return moment(utc_ms, zone)[-5:]


def _cameras(
    config: Config, record: dict[str, Any], keep: dict[str, Any], zone: tzinfo | None
) -> Iterator[dict[str, Any]]:
    told = record.get("cameras", {})
    for camera in config.cameras:
        state = told.get(camera.id, {})
        recording = state.get("state") == "recording"
        codec = str(state.get("codec", "")).upper()
        day = words.last_day(keep, camera.id)
        picture = f"{codec} {state.get('width', 0)}×{state.get('height', 0)}" if codec else ""
        rate = (
            f"{state.get('fps', 0):.1f} fps, {state.get('kbit_s', 0) / 1000:.1f} Mbit/s" if recording else ""
        )
        yield {
            "id": camera.id,
            "name": camera.name,
            "state": words.camera_state(str(state.get("state", ""))) or say("소식 없음", "no word"),
            "recording": recording,
            "resting": state.get("state") == "resting",
            "picture": ", ".join(filter(None, [picture, rate])),
            "day": day,
            "share": words.share(day),
            "missing": _missing(day),
            "holes": _holes(day, zone) if day else [],
        }


def _missing(day: words.LastDay | None) -> str:
    if day is not None and day.permille is None and day.off_s:
        return say("녹화 시간 밖입니다", "all of it off hours")
    if day is None or day.permille is None:
        return say("지난 24시간에 대해 아는 것이 없습니다", "nothing is known of the last 24 hours")
    if day.off_s and not day.missing_s:
        off = age(day.off_s)
        return say(
            f"빠진 곳이 없습니다 (약 {off}은 녹화 시간 밖)", f"nothing is missing (about {off} off hours)"
        )
    if not day.missing_s:
        return say("빠진 곳이 없습니다", "nothing is missing")
    return say(f"약 {age(day.missing_s)} 빠짐", f"about {age(day.missing_s)} missing")


def _holes(day: words.LastDay, zone: tzinfo | None) -> list[str]:
    """Name the stretches that are not whole, the longest first, in the order of time."""
    step = day.slot_s * 1000
    holes: list[tuple[int, int]] = []
    for each in day.stretches:
        if each.state not in ("part", "none"):
            continue
        start, end = day.begin_ms + each.at * step, day.begin_ms + (each.at + each.slots) * step
        if holes and holes[-1][1] == start:
            holes[-1] = (holes[-1][0], end)
        else:
            holes.append((start, end))
    longest = sorted(holes, key=lambda hole: hole[0] - hole[1])[:MOST_HOLES]
    named = [f"{_clock(start, zone)}–{_clock(end, zone)}" for start, end in sorted(longest)]
    return named if len(holes) <= MOST_HOLES else [*named, "…"]


def _vaults(config: Config, keep: dict[str, Any]) -> Iterator[dict[str, Any]]:
    days = config.storage.retention_days
    for vault in keep.get("vaults", []):
        total, free = vault["total_bytes"] or 0, vault["free_bytes"]
        tenths = vault["forecast_tenths_of_days"]
        used = None if free is None or not total else round(100 * (1 - free / total))
        room = say(f"{size(total)} 중 {size(free or 0)} 남음", f"{size(free or 0)} of {size(total)} free")
        yield {
            "path": vault["path"] or vault["uuid"],
            "used": used,
            "room": "?" if free is None else room,
            "rate": vault["bytes_per_day"] and size(vault["bytes_per_day"]),
            "short": tenths is not None and tenths < 10 * days,
            "holds": say("아직 모릅니다", "not known yet")
            if tenths is None
            else say(
                f"{tenths / 10:.1f}일 (기준 {days}일)", f"{tenths / 10:.1f} days (retention {days} days)"
            ),
        }


def _disks(keep: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for disk in keep.get("disks") or []:
        counts = [
            (disk["reallocated"], say("재할당", "reallocated")),
            (disk["pending"], say("읽기 보류", "pending")),
            (disk["uncorrectable"], say("읽지 못함", "uncorrectable")),
        ]
        word = {True: say("좋음", "good"), False: say("고장", "failing")}.get(
            disk["passed"], say("없음", "none")
        )
        yield {
            "device": disk["device"],
            "model": disk["model"] or "–",
            "serial": disk["serial"] or "–",
            "failing": disk["passed"] is False,
            "says": ", ".join([word, *(f"{name} {count}" for count, name in counts if count)]),
            "celsius": "" if disk["celsius"] is None else f"{disk['celsius']} °C",
        }


def _processes(processes: dict[str, Any], boot_s: float) -> Iterator[dict[str, str]]:
    for name, health in processes.items():
        silent = silent_s(health, boot_s)
        yield {
            "name": f"pasu {name}",
            "word": words.process_word(name),
            "version": str((health or {}).get("version", "–")),
            "heard": "–" if silent is None else say(f"{age(silent)} 전", f"{age(silent)} ago"),
        }


def _visits(visits: list[dict[str, Any]], zone: tzinfo | None) -> Iterator[dict[str, str]]:
    for each in visits[:MOST_VISITS]:
        what, why = str(each.get("what", "")), str(each.get("why", ""))
        count = each.get("count", 1)
        told = say(*WHATS[what]) if what in WHATS else what
        reason = say(*WHYS[why]) if why in WHYS else ""
        at_ms = each.get("at_ms")
        yield {
            "what": what,
            "when": moment(at_ms, zone) if isinstance(at_ms, int) else "?",
            "who": " · ".join(filter(None, [str(each.get("name", "")), str(each.get("company", ""))])) or "–",
            "told": ": ".join(filter(None, [told, reason])) + (f" ×{count}" if count != 1 else ""),
            "source": str(each.get("source", "")),
        }
