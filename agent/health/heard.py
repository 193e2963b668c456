"""What the uplink and the page say of themselves, as whoever reads it takes it: they talk to others. Pure.

If one is ever taken over, its word may be a lie about itself, and nothing else: no condition of others, no
type that a reader stumbles over, nothing that a terminal would obey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.health.tables.uplink import UPLINK
from agent.model import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_CONDITIONS = 32
MOST_LETTERS = 300
MOST_STREAMS = 64
STEPS = ("paused", "keyframes", "sub", "main")
"""What of a camera is relayed, least first (agent.uplink.ladder)."""
MOST = 1 << 53
"""No number is larger: a time in milliseconds, bytes since the start."""


def uplink(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what of the uplink's health file is in order; None when a value is not what its key stands for.

    Unknown keys are left out, and so are conditions of others: who is silent each reader sees for itself.
    """
    return _taken(body, FORMS)


def page(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what of the page's health file is in order, likewise. It has no conditions: nobody would believe them."""
    return _taken(body, PAGE_FORMS)


def _taken(body: Mapping[str, Any], forms: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any] | None:
    try:
        return {key: forms[key](value) for key, value in body.items() if key in forms}
    except (ValueError, LookupError, TypeError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return "".join(letter if letter.isprintable() else "?" for letter in value[:MOST_LETTERS])


def _whole(value: Any) -> int:
    if type(value) is not int or not -MOST <= value <= MOST:
        raise ValueError("no number")
    return value


def _count(value: Any) -> int:
    if _whole(value) < 0:
        raise ValueError("below nothing")
    return int(value)


def _whether(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _days(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _counts(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > MOST_CONDITIONS:
        raise TypeError("no counts")
    return {_text(name): _count(count) for name, count in value.items()}


def _conditions(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MOST_CONDITIONS:
        raise TypeError("no conditions")
    return [
        {
            "code": each["code"],
            "severity": str(UPLINK[each["code"]].severity),
            "subject": _text(each["subject"]),
            "detail": _text(each["detail"]),
            "since_ms": _count(each["since_ms"]),
            "trust": str(Trust(each["trust"])),
        }
        for each in value
        if each["code"] in UPLINK
    ]


def _streams(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MOST_STREAMS:
        raise TypeError("no streams")
    return [{key: form(each[key]) for key, form in STREAM.items()} for each in value]


def _step(value: Any) -> str:
    return STEPS[STEPS.index(value)]


STREAM: dict[str, Callable[[Any], Any]] = {
    "camera": _text,
    "centre": _text,
    "rank": _count,
    "flowing": _whether,
    "as": _step,
    "reason": _text,
    "sent_bytes": _count,
    "left_out": _count,
    "sheds": _count,
}
"""What is said of one live stream."""
_OF_ALL: dict[str, Callable[[Any], Any]] = {
    "process": _text,
    "version": _text,
    "box": _text,
    "pid": _count,
    "at_ms": _count,
    "trust": _text,
    "boot_ms": _count,
}
"""What every process says."""
FORMS: dict[str, Callable[[Any], Any]] = {
    **_OF_ALL,
    "connected": _whether,
    "protocol": _count,
    "reason": _text,
    "trouble": _text,
    "backlog": _count,
    "certificate_days": _days,
    "sent_bytes": _count,
    "received_bytes": _count,
    "dropped": _counts,
    "streams": _streams,
    "conditions": _conditions,
}

PAGE_FORMS: dict[str, Callable[[Any], Any]] = {
    **_OF_ALL,
    "fingerprint": _text,
    "serving": _counts,
    "visitors": _count,
    "locked": _whether,
}
READERS = {"uplink": uplink, "page": page}
