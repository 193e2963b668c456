"""The one error of signed commands."""

from __future__ import annotations

from agent.errors import PasuError


class CommandRefused(PasuError):
    """Whoever signed it orders it differently. Nothing was done, and nothing will be.

    Its code goes into the reply and the ledger. What it says is of our own making: never the sender's text.
    """

    who = "whoever signs"
    exit_code = 2
