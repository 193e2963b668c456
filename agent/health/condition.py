"""What can be wrong has a name: a condition, how much it matters, and what to do about it in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.language import say


class Severity(StrEnum):
    """How much a condition matters, worst first."""

    CRITICAL = "critical"  # footage is being lost, or will be within hours
    ALARM = "alarm"  # a duty is broken, or will be unless somebody acts
    WARNING = "warning"  # somebody should look within days
    INFO = "info"  # passes by itself, or is good to know


@dataclass(frozen=True, slots=True)
class Condition:
    """A named thing that can be wrong.

    depends_on  codes: while one of those is seen of the same subject, or of the whole box, this one says nothing new
    visible_s   for how long it must hold before it is shown: what passes by itself sooner is no news
    """

    severity: Severity
    what_korean: str
    what_english: str
    next_korean: str
    next_english: str
    depends_on: tuple[str, ...] = ()
    visible_s: int = 0

    @property
    def what(self) -> str:
        """Return what is wrong in the reader's language."""
        return say(self.what_korean, self.what_english)

    @property
    def next(self) -> str:
        """Return what to do in the reader's language."""
        return say(self.next_korean, self.next_english)


def condition(
    severity: Severity,
    what: tuple[str, str],
    then: tuple[str, str],
    *,
    depends_on: tuple[str, ...] = (),
    visible_s: int = 0,
) -> Condition:
    """Write one down: each text as (Korean, English)."""
    return Condition(severity, *what, *then, depends_on, visible_s)
