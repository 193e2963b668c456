"""`segments.locate`: what of a camera's span is stored, from the catalogue alone (existence, art. 26(4), 44(1))."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from agent.command.errors import CommandRefused
from agent.model import Gap, GapCause, Span, canonical_json, uncovered
from agent.storage import progress
from agent.storage.catalogue import GAPS, LIVE, overlapping
from agent.storage.keep import orders_weight
from agent.storage.keep.day import off_hours
from agent.storage.keep.orders_files import REPLY_BYTES
from agent.storage.keep.orders_run import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.command.judge import Weight
    from agent.command.order import Order
    from agent.storage.keep.orders_run import Context

MOST_SPAN_MS = 31 * 86_400_000
"""44,640 minutes of one camera: a tenth of a second."""
MOST_ROWS = 600
"""Of each list; less where they would not fit into a reply."""
ROOM_BYTES = REPLY_BYTES - (4 << 10)
JOIN_MS = 100  # less between two segments is the rounding of frame times
_SPANS = overlapping("segment", "start_ms, end_ms, state", LIVE)
_ERASED = overlapping("segment", "start_ms, end_ms, cause", "state IN ('CONDEMNED', 'GONE') AND cause != ''")


def weigh(context: Context, order: Order) -> Weight:
    """Refuse a camera that nobody knows, and a span that would take too long. Raises CommandRefused."""
    if order.arguments["camera"] not in context.catalogue.cameras():
        raise CommandRefused("CAMERA_UNKNOWN", "no such camera")
    if order.arguments["to_ms"] - order.arguments["from_ms"] > MOST_SPAN_MS:
        raise CommandRefused("COMMAND_ARGUMENT", "a longer span is asked for in parts", reason="to_ms")
    return orders_weight.LIGHT


def locate(context: Context, order: Order) -> Outcome:
    """Say what is stored, what is being recorded, what is missing and why: erased lately, or never stored.

    What lies outside of the camera's hours is not missing: nobody wanted it.
    """
    camera = order.arguments["camera"]
    span = Span(order.arguments["from_ms"], order.arguments["to_ms"])
    values = {"camera": camera, "from_ms": span.start_ms, "to_ms": span.end_ms}
    # Before the catalogue: what is stored in between is then found twice, and not never.
    opened = [one for one in progress.read_all(context.state).values() if one.camera == camera]
    stored = joined(Span(row[0], row[1]) for row in context.catalogue.read(_SPANS, values))
    now_ms = context.now.utc_ms
    growing = [Span(one.start_ms, max(one.start_ms, one.reached_ms(now_ms))) for one in opened]
    growing = [part for part in growing if part.overlaps(span)]
    past = Span(span.start_ms, max(span.start_ms, min(span.end_ms, now_ms)))
    gaps = [
        Gap(camera, Span(row[0], row[1]), GapCause(row[2])) for row in context.catalogue.read(GAPS, values)
    ]
    off = off_hours(gaps, [*stored, *growing], context.rules.hours.get(camera, ()), past)
    gone = groupby(context.catalogue.read(_ERASED, values), key=itemgetter(2))
    erased = [(cause, part) for cause, rows in gone for part in joined(Span(row[0], row[1]) for row in rows)]
    unstored = uncovered([*stored, *growing], past, JOIN_MS)
    missing = uncovered([*stored, *growing, *off], past, JOIN_MS)
    lists: dict[str, list[list[Any]]] = {
        "stored": [_cut(part, span) for part in stored],
        "recording": [_cut(part, span) for part in growing],
        "missing": [[part.start_ms, part.end_ms] for part in missing],
        "off_hours": [_cut(part, span) for part in off],
        "gaps": [[gap.span.start_ms, gap.span.end_ms, str(gap.cause)] for gap in gaps],
        "erased": [[*_cut(part, span), cause] for cause, part in erased],
    }
    detail: dict[str, Any] = {
        "camera": camera,
        "from_ms": span.start_ms,
        "to_ms": span.end_ms,
        "stored_ms": past.length_ms - sum(part.length_ms for part in unstored),
    }
    return Outcome(detail=detail | shortened(lists))


def shortened(lists: Mapping[str, list[list[Any]]]) -> dict[str, Any]:
    """Return the begin of each list, as much of all as one reply holds; `more` says that there is more."""
    most = MOST_ROWS
    while True:
        found: dict[str, Any] = {name: rows[:most] for name, rows in lists.items()}
        if len(canonical_json(found)) <= ROOM_BYTES:
            return found | {"more": any(len(rows) > most for rows in lists.values())}
        most = most * 3 // 4


def joined(spans: Iterable[Span]) -> list[Span]:
    """Join neighbours; spans come in the order of their starts."""
    found: list[Span] = []
    for span in spans:
        if found and span.start_ms - found[-1].end_ms <= JOIN_MS:
            found[-1] = Span(found[-1].start_ms, max(found[-1].end_ms, span.end_ms))
        else:
            found.append(span)
    return found


def _cut(part: Span, span: Span) -> list[int]:
    return [max(part.start_ms, span.start_ms), min(part.end_ms, span.end_ms)]
