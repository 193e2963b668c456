"""What a check of the site is, and what it found. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable

Texts = tuple[str, str]
"""Korean, English."""


class State(StrEnum):
    """What became of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    NOT_APPLICABLE = "n/a"

    @property
    def word(self) -> str:
        """Return it in the reader's language."""
        return say(*_WORDS[self])


_WORDS = {
    State.OK: ("정상", "ok"),
    State.WARNING: ("주의", "warning"),
    State.FAILURE: ("실패", "failure"),
    State.NOT_APPLICABLE: ("해당 없음", "n/a"),
}
_WORST = (State.FAILURE, State.WARNING, State.OK, State.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    then    what to do when it is not well
    duties  where the duty is written: "art." of the Gangneung regulation, others by their names
    covers  codes of conditions that say the same, so that they are not told twice
    """

    title_texts: Texts
    why_texts: Texts
    then_texts: Texts
    duties: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return what is looked at."""
        return say(*self.title_texts)

    @property
    def why(self) -> str:
        """Return why."""
        return say(*self.why_texts)

    @property
    def then(self) -> str:
        """Return what to do."""
        return say(*self.then_texts)


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found of one thing.

    check     its name in the registry
    measured  what was measured, or why it could not be, in the reader's language
    subject   a camera, a vault's path, a unit; "" for the box
    numbers   the same for programs
    """

    check: str
    state: State
    measured: str
    subject: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)


def ok(check: str, measured: str, subject: str = "", **numbers: Any) -> Result:
    """Say that it is well."""
    return Result(check, State.OK, measured, subject, numbers)


def warn(check: str, measured: str, subject: str = "", **numbers: Any) -> Result:
    """Say that somebody should look at it."""
    return Result(check, State.WARNING, measured, subject, numbers)


def fail(check: str, measured: str, subject: str = "", **numbers: Any) -> Result:
    """Say that the site is not to be accepted so."""
    return Result(check, State.FAILURE, measured, subject, numbers)


def skip(check: str, why: str, subject: str = "", **numbers: Any) -> Result:
    """Say that there is nothing to look at, or that it cannot be seen, and why."""
    return Result(check, State.NOT_APPLICABLE, why, subject, numbers)


def worst(states: Iterable[State]) -> State:
    """Return the worst of several; of none, that nothing applies."""
    return min(states, key=_WORST.index, default=State.NOT_APPLICABLE)


def status(states: Iterable[State]) -> int:
    """Return the exit status: 0 well, 1 a failure, 3 warnings alone (done in part; 2 is a mistyped command)."""
    return {State.FAILURE: 1, State.WARNING: 3}.get(worst(states), 0)
