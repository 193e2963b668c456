"""The breaker (E15): how much stored time an order lets go before its time, and whether that is too much for a day.

What is erased by its age alone is no matter of this. What counts is what a released hold covered and no other does, and
what lies between the old retention and a shorter one; summed up over the orders of a day, and measured against all that
is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command.judge import Weight
from agent.model import UTC_DAY_MS
from agent.storage.catalogue import LIVE, overlapping
from agent.storage.keep import orders_rows
from agent.storage.keep.hold import EVERY
from agent.storage.keep.stored import HELD

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.storage.keep.hold import Hold
    from agent.storage.keep.orders_run import Context

LIGHT = Weight()
MOST_PERCENT = 5
DELAY_MS = UTC_DAY_MS
_TRUE = "typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer' AND end_ms > start_ms"
_STORED = f"SELECT COALESCE(SUM(end_ms - start_ms), 0) FROM segment WHERE {LIVE} AND {_TRUE}"  # noqa: S608 - constants
# Not held by another: HELD, but for the hold that is to be released.
_OTHERS = HELD.replace("hold.released_ms IS NULL", "hold.released_ms IS NULL AND hold.id != :hold")
_OVER = f"{LIVE} AND {_TRUE} AND kept_from_ms < :over_ms AND NOT {_OTHERS}"
_RELEASED = (
    f"SELECT COALESCE(SUM(end_ms - start_ms), 0) FROM ({overlapping('segment', 'start_ms, end_ms', _OVER)})"  # noqa: S608 - constants
)
_SHORTENED = (
    "SELECT COALESCE(SUM(end_ms - start_ms), 0) FROM segment INDEXED BY idx_segment_kept"  # noqa: S608 - constants
    f" WHERE vault = :vault AND camera = :camera AND {LIVE} AND {_TRUE}"
    f" AND kept_from_ms >= :from_ms AND kept_from_ms < :to_ms AND NOT {HELD}"
)


def of(context: Context, erasable_ms: int, *, signatures: int = 1) -> Weight:
    """Weigh an order that lets some stored time go early; with others of the last day it may be too much."""
    if not erasable_ms:
        return Weight(signatures)
    lately_ms = orders_rows.lately_erasable(context.catalogue, context.now.utc_ms - DELAY_MS)
    stored_ms = int(context.catalogue.read(_STORED)[0][0])
    if (erasable_ms + lately_ms) * 100 > stored_ms * MOST_PERCENT:
        return Weight(2, erasable_ms, delayed=True)
    return Weight(signatures, erasable_ms)


def released_ms(context: Context, hold: Hold) -> int:
    """Return how much of what only this hold keeps would be erased at once."""
    cameras = context.catalogue.cameras() if EVERY in hold.cameras else hold.cameras
    total = 0
    for camera in cameras:
        values = {
            "camera": camera,
            "from_ms": hold.span.start_ms,
            "to_ms": hold.span.end_ms,
            "over_ms": context.now.utc_ms - context.rules.retention_of(camera),
            "hold": hold.id,
        }
        total += int(context.catalogue.read(_RELEASED, values)[0][0])
    return total


def shortened_ms(context: Context, after: Callable[[str], int]) -> int:
    """Return how much would be erased earlier than today's retention says.

    after  retention of a camera that is proposed, ms
    """
    total = 0
    for vault in context.catalogue.vaults():
        for camera in context.catalogue.cameras():
            now_ms = context.now.utc_ms
            values = {
                "vault": vault,
                "camera": camera,
                "from_ms": now_ms - context.rules.retention_of(camera),
                "to_ms": now_ms - after(camera),
            }
            total += int(context.catalogue.read(_SHORTENED, values)[0][0])
    return total
