"""One box as it is watched: who it is, what it says of itself, and its ledgers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.centre.witness import MOST_PROVEN

if TYPE_CHECKING:
    from agent.centre.genuine import Newest
    from agent.centre.registry import Box
    from agent.centre.standing import Standing
    from agent.centre.witness import Kept
    from agent.storage.proof.note import Verifier

MOST_UNPROVEN = 4


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that somebody must hear of. `what` is one of the words of `watch`, or of `What`."""

    at_ms: int
    box: str
    what: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One box for the table. verified: entries of its newest ledger that a signed head stands for."""

    standing: Standing
    verified: int
    size: int
    ledgers: int
    alarms: int


@dataclass(slots=True)
class Watched:
    """A box.

    kept         its ledgers, by id, in the order in which they came
    newest_said  of its reports
    alarms       how many were raised about it
    alarmed_s    when each kind was raised last
    shows        commands for it bear its challenge, since it asked for that
    refusals     how often it refused a command since it carried one out, by code
    """

    box: Box
    verifier: Verifier
    standing: Standing
    kept: dict[str, Kept]
    newest_said: Newest
    alarms: int = 0
    alarmed_s: dict[str, float] = field(default_factory=dict)
    shows: bool = False
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def proven(self) -> str:
        """The newest ledger of which there is a head that the box signed; empty without one.

        A name alone is anybody's word, and must not turn the eyes away from the ledger that is.
        """
        return next((name for name in reversed(self.kept) if self.kept[name].following.wanted), "")

    @property
    def newest(self) -> str:
        """The ledger that it writes now, as far as is known; empty where none is."""
        return self.proven or next(reversed(self.kept), "")

    def follow(self, kept: Kept) -> None:
        """Follow a ledger too, in its place by age."""
        self.kept = {
            each.ledger: each for each in sorted((*self.kept.values(), kept), key=lambda each: each.key)
        }
        self.trim()

    def trim(self) -> None:
        """Of many ledgers that are proven, follow the oldest no more."""
        proven = [each.ledger for each in self.kept.values() if each.following.wanted]
        for name in proven[:-MOST_PROVEN]:
            del self.kept[name]

    @property
    def full(self) -> bool:
        """Whether there are too many ledgers that no head speaks for."""
        return sum(not kept.following.wanted for kept in self.kept.values()) >= MOST_UNPROVEN

    @property
    def current(self) -> Kept | None:
        """Return the ledger that it writes now; None where none is known."""
        return self.kept.get(self.newest)

    @property
    def row(self) -> Row:
        """Return it as the table shows it."""
        following = self.current.following if self.current else None
        verified = following.verified if following else None
        size = following.size if following else 0
        return Row(self.standing, verified.size if verified else 0, size, len(self.kept), self.alarms)
