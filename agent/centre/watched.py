"""One box as it is watched: who it is, what it says of itself, and its ledgers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.centre.registry import Box
    from agent.centre.standing import Standing
    from agent.centre.witness import Kept
    from agent.storage.proof.note import Verifier

MOST_UNPROVEN = 4


@dataclass(slots=True)
class Watched:
    """A box.

    kept       its ledgers, by id, in the order in which they came
    alarms     how many were raised about it
    alarmed_s  when each kind was raised last
    """

    box: Box
    verifier: Verifier
    standing: Standing
    kept: dict[str, Kept]
    alarms: int = 0
    alarmed_s: dict[str, float] = field(default_factory=dict)

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

    @property
    def full(self) -> bool:
        """Whether there are too many ledgers that no head speaks for."""
        return sum(not kept.following.wanted for kept in self.kept.values()) >= MOST_UNPROVEN

    @property
    def current(self) -> Kept | None:
        """Return the ledger that it writes now; None where none is known."""
        return self.kept.get(self.newest)
