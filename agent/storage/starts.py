"""How often the box was started of late: power that comes and goes is found in the ledger's own starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.health import Raised
from agent.model import UTC_DAY_MS, Fact

if TYPE_CHECKING:
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

STARTS = 5
WITHIN_S = 600
_MOST = 100


def flapping(catalogue: Catalogue, now: Instant) -> Fact | None:
    """Return the fact `box.flapping` if the box was started STARTS times without an orderly stop within WITHIN_S.

    catalogue  holds `box.started` of the present start already
    A clock that steps between starts may hide some of them or count one too many: nothing is decided by this.
    Raises     StorageFault
    """
    stopped = catalogue.read("SELECT MAX(seq) FROM ledger WHERE kind = 'box.stopped'")[0][0] or 0
    starts = catalogue.read(
        "SELECT at_ms FROM ledger WHERE kind = 'box.started' AND seq > ? ORDER BY seq DESC LIMIT ?",
        (stopped, _MOST),
    )
    lately = sum(abs(now.utc_ms - at_ms) <= WITHIN_S * 1000 for (at_ms,) in starts)
    if lately < STARTS:
        return None
    return Fact("box.flapping", now, {"starts": lately, "within_s": WITHIN_S})


def flapped(catalogue: Catalogue, now: Instant) -> list[Raised]:
    """Say for a day that power came and went: the fact `box.flapping` of a start. Raises StorageFault."""
    query = "SELECT at_ms FROM ledger WHERE kind = 'box.flapping' ORDER BY seq DESC LIMIT 1"
    lately = [at_ms for (at_ms,) in catalogue.read(query) if abs(now.utc_ms - at_ms) < UTC_DAY_MS]
    return [Raised("box.power_flapping")] if lately else []
