"""What an entry of the error codes holds."""

from __future__ import annotations

from dataclasses import dataclass

from agent.language import say


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means, and the next step."""

    who: str
    what_korean: str
    what_english: str
    next_korean: str
    next_english: str

    @property
    def what(self) -> str:
        """Return the meaning in the reader's language."""
        return say(self.what_korean, self.what_english)

    @property
    def next(self) -> str:
        """Return the next step in the reader's language."""
        return say(self.next_korean, self.next_english)


def code(who: str, what: tuple[str, str], then: tuple[str, str]) -> Code:
    """Make an entry from who acts, what it means, and what to do next: each in Korean and English."""
    return Code(who, *what, *then)
