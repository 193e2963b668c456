"""What a disk says of itself (SMART), and what is wrong with it. Pure: `agent/disks.py` asks the disks.

Source: the JSON that smartctl 7 writes; its shape for ATA, NVMe and SCSI disks was taken from reports of real ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.health.gather import silent_s
from agent.health.registry import Raised

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

HOT_CELSIUS = {"hdd": 60, "ssd": 70, "nvme": 80}
"""A little below what makers allow: 65 or 70 C for disks of recorders, 70 C for SATA SSDs, 80 C and more for NVMe."""
COOLER_CELSIUS = 5
WORN_PERCENT = 90
UNWATCHED_S = 2 * 3600.0
"""The timer looks every half an hour."""
WEAR = frozenset(
    {"Wear_Leveling_Count", "SSD_Life_Left", "Media_Wearout_Indicator", "Percent_Lifetime_Remain"}
)
"""Attributes of SSDs whose normalised value is the percentage that is left. By name: numbers differ by maker."""
_NVME_FAILING = (
    0b1101  # critical_warning: spare used up, not reliable, read-only (NVMe base specification, SMART log)
)
_NVME_HOT = 0b0010


def examine(device: str, places: Iterable[str], report: Any) -> dict[str, Any]:
    """Pick out of a report of smartctl what matters.

    device   name of the disk, as in /dev
    places   directories of the box that lie on it
    report   what smartctl wrote, None when it wrote nothing
    Returns  device, places, kind ("hdd", "ssd", "nvme" or ""), model, serial, bytes, hours, celsius, passed, failed
             (names of what is below its threshold), reallocated, pending, uncorrectable, worn_percent, is_hot, and
             unavailable: why it says nothing, empty when it does. None for each that it does not say
    """
    found = report if isinstance(report, dict) else {}
    nvme = _part(found, "nvme_smart_health_information_log")
    rows = _dicts(_part(found, "ata_smart_attributes").get("table"))
    raw = {_int(row.get("id")): _raw(row) for row in rows}
    warning = _int(nvme.get("critical_warning")) or 0
    passed = _part(found, "smart_status").get("passed")
    failed = [_text(row.get("name")) for row in rows if row.get("when_failed") == "now"]
    failed += ["critical_warning"] if warning & _NVME_FAILING else []
    scsi = _part(found, "scsi_error_counter_log")
    disk = {
        "device": device,
        "places": [*places],
        "kind": _kind(found),
        "model": _text(found.get("model_name")),
        "serial": _text(found.get("serial_number")),
        "bytes": _int(_part(found, "user_capacity").get("bytes")),
        "hours": _int(_part(found, "power_on_time").get("hours")),
        "celsius": _int(_part(found, "temperature").get("current")),
        "passed": passed if isinstance(passed, bool) else None,
        "failed": failed,
        "reallocated": _first(raw.get(5), _int(found.get("scsi_grown_defect_list"))),
        "pending": raw.get(197),
        "uncorrectable": _first(
            _sum(raw.get(187), raw.get(198)),
            _int(nvme.get("media_errors")),
            _sum(*(_int(_part(scsi, way).get("total_uncorrected_errors")) for way in ("read", "write"))),
        ),
        "worn_percent": _worn(found, nvme, rows),
        "is_hot": bool(warning & _NVME_HOT),
    }
    return {**disk, "unavailable": "" if passed is not None or rows or nvme else _why(report)}


def judge(disk: dict[str, Any], *, was_hot: bool) -> list[Raised]:
    """Say what is wrong with one disk: what `examine` returned, which may have come by way of a file."""
    return [*_judge(disk, was_hot)]


def judge_all(
    body: dict[str, Any] | None, boot_s: float, was_hot: Collection[str]
) -> tuple[list[Raised], set[str]]:
    """Say what is wrong with all disks.

    body     of the file that `pasu disks` leaves; None where it was never run: nobody promised to
    boot_s   now, seconds since boot, sleep included
    was_hot  names of those that were too hot before
    Returns  what holds, and which are too hot now
    """
    if body is None:
        return [], set()
    raised = []
    for disk in _dicts(body.get("disks")):
        raised += judge(disk, was_hot=_text(disk.get("device")) in was_hot)
    silent = silent_s(body, boot_s)
    if silent is None or silent > UNWATCHED_S:
        raised.append(Raised("disk.unwatched"))
    return raised, {each.subject for each in raised if each.code == "disk.hot"}


def _judge(disk: dict[str, Any], was_hot: bool) -> Iterator[Raised]:
    name = _text(disk.get("device"))
    where = " ".join(filter(None, (_text(disk.get("model")), _text(disk.get("serial")))))
    failed = ", ".join(map(_text, _list(disk.get("failed"))))
    if disk.get("passed") is False or failed:
        yield Raised("disk.failing", name, ": ".join(filter(None, (where, failed))))
    bad = {key: _int(disk.get(key)) or 0 for key in ("pending", "uncorrectable", "reallocated")}
    if any(bad.values()):
        counts = ", ".join(f"{key} {count}" for key, count in bad.items() if count)
        yield Raised("disk.bad_sectors", name, ": ".join(filter(None, (where, counts))))
    worn = _int(disk.get("worn_percent"))
    if worn is not None and worn >= WORN_PERCENT:
        yield Raised("disk.worn", name, f"{worn} %")
    celsius = _int(disk.get("celsius"))
    limit = HOT_CELSIUS.get(_text(disk.get("kind")), HOT_CELSIUS["hdd"]) - COOLER_CELSIUS * was_hot
    if disk.get("is_hot") is True or (celsius is not None and celsius >= limit):
        yield Raised("disk.hot", name, "" if celsius is None else f"{celsius} C")


def _kind(found: dict[str, Any]) -> str:
    if _part(found, "device").get("protocol") == "NVMe":
        return "nvme"
    turns = _int(found.get("rotation_rate"))
    return "" if turns is None else "hdd" if turns else "ssd"


def _worn(found: dict[str, Any], nvme: dict[str, Any], rows: list[dict[str, Any]]) -> int | None:
    left = [_int(row.get("value")) for row in rows if _text(row.get("name")) in WEAR]
    return _first(
        _int(nvme.get("percentage_used")),
        _int(_part(found, "endurance_used").get("current_percent")),
        next((100 - value for value in left if value is not None and 0 < value <= 100), None),
    )


def _why(report: Any) -> str:
    if not isinstance(report, dict):
        return "no smartctl"
    said = [_text(each.get("string")) for each in _dicts(_part(report, "smartctl").get("messages"))]
    return next(filter(None, said), "no SMART")


def _raw(row: dict[str, Any]) -> int | None:
    """Return an attribute's count as smartctl reads it: the raw number itself may hold several things."""
    begins = re.match(r"\d+", _text(_part(row, "raw").get("string")))
    return int(begins[0]) if begins else None


def _part(found: dict[str, Any], key: str) -> dict[str, Any]:
    part = found.get(key)
    return part if isinstance(part, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _text(value: Any) -> str:
    return value[:100] if isinstance(value, str) else ""


def _int(value: Any) -> int | None:
    return value if type(value) is int else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _sum(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
