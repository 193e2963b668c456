"""One box as it is watched: who it is, what it says of itself, and its ledgers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.centre.registry import Box
    from agent.centre.standing import Standing
    from agent.centre.witness import Kept
    from agent.storage.proof.note import Verifier


@dataclass(slots=True)
class Watched:
    """A box.

    kept       its ledgers, by id
    newest     which of them it writes now
    alarms     how many were raised about it
    alarmed_s  when each kind was raised last
    """

    box: Box
    verifier: Verifier
    standing: Standing
    kept: dict[str, Kept]
    newest: str = ""
    alarms: int = 0
    alarmed_s: dict[str, float] = field(default_factory=dict)

    @property
    def current(self) -> Kept | None:
        """Return the ledger that it writes now; None where none is known."""
        return self.kept.get(self.newest)
