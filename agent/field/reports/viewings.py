"""How often who watched which camera live, and what for: counted, so that nobody follows a person unseen (H9). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.config.hours import DAY_MS, KOREA_MS
from agent.config.values import PURPOSE_TITLES, Purpose
from agent.field.reports.texts import clean
from agent.grants import Kind
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KINDS = ("stream.granted", "stream.stopped")
HEADS = (
    ("카메라", "Camera"),
    ("누가", "Who"),
    ("목적", "Purpose"),
    ("허가 횟수", "Grants"),
    ("날 수", "On days"),
    ("허가된 분", "Minutes granted"),
    ("보낸 바이트", "Bytes sent"),
    ("가장 최근", "Last time"),
)
Key = tuple[str, str, str]


@dataclass(slots=True)
class Viewing:
    """One person and one camera, for one purpose.

    camera      with its box before it, where there are several: "gn-0007 cam01"
    days        Korean days on which something was granted
    minutes     as granted; what was taken back or ended before counts whole
    """

    camera: str
    operator: str
    purpose: str
    grants: int = 0
    days: set[int] = field(default_factory=set)
    minutes: int = 0
    sent_bytes: int = 0
    newest_ms: int = 0

    def cells(self, moment: Callable[[int], str]) -> tuple[str, ...]:
        """Return its columns, in the order of HEADS. moment: writes UTC ms for people."""
        known = self.purpose in [*Purpose]
        return (
            self.camera,
            self.operator,
            say(*PURPOSE_TITLES[Purpose(self.purpose)]) if known else self.purpose,
            str(self.grants),
            str(len(self.days)),
            str(self.minutes),
            str(self.sent_bytes),
            moment(self.newest_ms),
        )

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "camera": self.camera,
            "operator": self.operator,
            "purpose": self.purpose,
            "grants": self.grants,
            "days": len(self.days),
            "minutes": self.minutes,
            "sent_bytes": self.sent_bytes,
            "newest_ms": self.newest_ms,
        }


class Viewings:
    """Counts entries as they come, each once. What a stranger wrote in one is text, or counts as nothing."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._found: dict[Key, Viewing] = {}
        self._grants: dict[tuple[str, str], Viewing] = {}

    def take(self, kind: str, at_ms: int, body: Mapping[str, Any], box: str = "") -> None:
        """Count an entry. What nobody ordered is nobody's viewing: it is shown by the configuration, or by a bell.

        box  whose it is, where several are counted together
        """
        name = (box, _text(body, "grant"))
        if kind == "stream.granted" and _text(body, "kind") == Kind.ORDER:
            camera = f"{box} {_text(body, 'camera')}".strip()
            key = camera, _text(body, "operator") or _text(body, "person"), _text(body, "purpose")
            row = self._found.setdefault(key, Viewing(*key))
            row.grants += 1
            row.days.add((at_ms + KOREA_MS) // DAY_MS)
            row.minutes += _count(body, "minutes")
            row.newest_ms = max(row.newest_ms, at_ms)
            self._grants[name] = row
        elif kind == "stream.stopped" and (ended := self._grants.pop(name, None)) is not None:
            ended.sent_bytes += _count(body, "sent_bytes")

    def rows(self) -> list[Viewing]:
        """Return all, the most often watched first."""
        return sorted(
            self._found.values(), key=lambda row: (-row.grants, row.camera, row.operator, row.purpose)
        )


def heads() -> tuple[str, ...]:
    """Return what the columns are called."""
    return tuple(say(*head) for head in HEADS)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return clean(value) if isinstance(value, str) else ""


def _count(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    return value if type(value) is int and value > 0 else 0
