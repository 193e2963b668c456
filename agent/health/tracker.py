"""Which conditions hold, since when, and which of them are worth showing. Pure: time is handed in.

A condition is shown when it has held for its `visible_s`, unless one that it depends on has held for its own: of
several that come of one cause the reader sees the cause. Since dependencies have no circles, whatever is hidden has
something that is shown at the end of its chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.health.condition import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.health.registry import Raised
    from agent.model import Instant

_ORDER = list(Severity)
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """A condition that is shown from now on, or no longer.

    hidden_by  code of what hides it from now on; empty when it is over
    """

    raised: Raised
    came: bool
    hidden_by: str = ""


@dataclass(slots=True)
class _Held:
    raised: Raised
    since: Instant
    since_s: float
    shown: bool = False
    hidden_by: str = ""


class Tracker:
    """Knows which conditions of one process hold."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self._held: dict[_Key, _Held] = {}

    def update(self, raised: Iterable[Raised], at: Instant, mono_s: float) -> list[Change]:
        """Take what holds now, all of it; return what begins and what ceases to be shown.

        at      what those that are new will be said to hold since
        mono_s  a clock that never steps
        """
        now = {(each.code, each.subject): each for each in raised}
        over = [self._held.pop(key) for key in [*self._held] if key not in now]
        changes = [Change(held.raised, came=False) for held in over if held.shown]
        for key, each in now.items():
            held = self._held.setdefault(key, _Held(each, at, mono_s))
            held.raised = each
        ripe = {
            key
            for key, held in self._held.items()
            if mono_s - held.since_s >= held.raised.condition.visible_s
        }
        for key, held in self._held.items():
            held.hidden_by = _cause(held.raised, ripe)
            shown = key in ripe and not held.hidden_by
            if shown != held.shown:
                held.shown = shown
                changes.append(Change(held.raised, came=shown, hidden_by=held.hidden_by))
        return changes

    def to_json(self) -> list[dict[str, Any]]:
        """Return what is shown, the worst first: code, severity, subject, detail, since_ms, trust."""
        found = [
            {
                "code": held.raised.code,
                "severity": str(held.raised.condition.severity),
                "subject": held.raised.subject,
                "detail": held.raised.detail,
                "since_ms": held.since.utc_ms,
                "trust": str(held.since.trust),
            }
            for held in self._held.values()
            if held.shown
        ]
        return sorted(found, key=lambda each: _ORDER.index(Severity(each["severity"])))

    def hidden(self) -> list[dict[str, str]]:
        """Return what holds and is hidden by another: code, subject, hidden_by."""
        return [
            {"code": held.raised.code, "subject": held.raised.subject, "hidden_by": held.hidden_by}
            for held in self._held.values()
            if held.hidden_by
        ]


def _cause(raised: Raised, ripe: set[_Key]) -> str:
    """Return the code of what hides a condition; empty when nothing does."""
    causes = raised.condition.depends_on
    return next((code for code in causes if {(code, raised.subject), (code, "")} & ripe), "")
