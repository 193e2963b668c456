"""The breaker (E15): how much stored time an order lets go before its time, and whether that is too much for a day.

What is erased by its age alone is no matter of this. What counts is what a released hold covered and no other does, and
what lies between the old retention and a shorter one; summed up over the orders of a day, and measured against all that
is stored. While the time is not trusted nobody can say how old anything is: everything counts that the order lets go.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.command.judge import Weight
from agent.model import UTC_DAY_MS, Trust
from agent.storage.catalogue import LIVE, overlapping
from agent.storage.keep import orders_rows
from agent.storage.keep.hold import EVERY
from agent.storage.keep.stored import HELD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent.storage.keep.hold import Hold
    from agent.storage.keep.orders_run import Context

LIGHT = Weight()
MOST_PERCENT = 5
DELAY_MS = UTC_DAY_MS
_ANY_AGE = 0, 1 << 62
_TRUE = "typeof(start_ms) = 'integer' AND typeof(end_ms) = 'integer' AND end_ms > start_ms"
# From an index that has all columns it needs: 0.2 s for a month of 16 cameras, where the table takes ten times that.
_STORED = (
    "SELECT COALESCE(SUM(end_ms - start_ms), 0) FROM segment INDEXED BY idx_segment_camera_start_ms"  # noqa: S608 - constants
    f" WHERE camera = :camera AND {LIVE} AND {_TRUE}"
)
# Not held by another: HELD, but for the hold that is to be released.
_OTHERS = HELD.replace("hold.released_ms IS NULL", "hold.released_ms IS NULL AND hold.id != :hold")
_BUT = "id NOT IN (SELECT value FROM json_each(:but))"
_OVER = f"{LIVE} AND {_TRUE} AND kept_from_ms < :over_ms AND NOT {_OTHERS} AND {_BUT}"
_RELEASED = (
    f"SELECT COALESCE(SUM(end_ms - start_ms), 0) FROM ({overlapping('segment', 'start_ms, end_ms', _OVER)})"  # noqa: S608 - constants
)
_SHORTENED = (
    "SELECT COALESCE(SUM(end_ms - start_ms), 0) FROM segment INDEXED BY idx_segment_kept"  # noqa: S608 - constants
    f" WHERE vault = :vault AND camera = :camera AND {LIVE} AND {_TRUE}"
    f" AND kept_from_ms >= :from_ms AND kept_from_ms < :to_ms AND NOT {HELD}"
)


def of(context: Context, parts: Iterable[int], *, signatures: int = 1) -> Weight:
    """Weigh an order that lets some stored time go early; with others of the last day it may be too much.

    parts  of it, ms, camera by camera; no more of them are taken once it is too much: then it is that much, or more
    """
    erasable_ms, most_ms = 0, -1
    for part in parts:
        if part and most_ms < 0:
            lately_ms = orders_rows.lately_erasable(context.catalogue, context.now.utc_ms - DELAY_MS)
            most_ms = max(0, _stored_ms(context) * MOST_PERCENT // 100 - lately_ms)
        erasable_ms += part
        if part and erasable_ms > most_ms:
            return Weight(2, erasable_ms, delayed=True)
    return Weight(signatures, erasable_ms)


def released_ms(context: Context, hold: Hold, but: Sequence[int] = ()) -> Iterator[int]:
    """Yield how much of what only this hold keeps would be erased at once, camera by camera.

    but  ids of segments that are counted elsewhere
    """
    trusted = context.now.trust is not Trust.UNTRUSTED
    for camera in context.catalogue.cameras() if EVERY in hold.cameras else hold.cameras:
        over_ms = context.now.utc_ms - context.rules.retention_of(camera)
        values = {
            "camera": camera,
            "from_ms": hold.span.start_ms,
            "to_ms": hold.span.end_ms,
            "over_ms": over_ms if trusted else _ANY_AGE[1],
            "hold": hold.id,
            "but": json.dumps(but),
        }
        yield int(context.catalogue.read(_RELEASED, values)[0][0])


def shortened_ms(context: Context, after: Callable[[str], int]) -> Iterator[int]:
    """Yield how much would be erased earlier than today's retention says, camera by camera.

    after  retention of a camera that is proposed, ms
    """
    now_ms, trusted = context.now.utc_ms, context.now.trust is not Trust.UNTRUSTED
    for vault in context.catalogue.vaults():
        for camera in context.catalogue.cameras():
            before = context.rules.retention_of(camera)
            from_ms, to_ms = now_ms - before, now_ms - after(camera)
            if not trusted and from_ms < to_ms:
                from_ms, to_ms = _ANY_AGE
            values = {"vault": vault, "camera": camera, "from_ms": from_ms, "to_ms": to_ms}
            yield int(context.catalogue.read(_SHORTENED, values)[0][0])


def _stored_ms(context: Context) -> int:
    cameras = context.catalogue.cameras()
    return sum(int(context.catalogue.read(_STORED, {"camera": camera})[0][0]) for camera in cameras)
