"""Turn what the catalogue knows of a span into rows, a share and a bar. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.model import GapCause, Span, uncovered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.model import Gap
    from agent.storage.catalogue import Listed
    from agent.storage.progress import Open

OPEN = "OPEN"  # being recorded now
STORED = frozenset({"COMMITTED", "SALVAGED", OPEN})
GAP = "GAP"
OFF = "OFF"  # a gap outside of the camera's hours: nothing is missing there
UNKNOWN = "UNKNOWN"  # neither a segment nor a gap is written down
LIVE_MS = 15_000  # an open segment that reached so near to now is still growing
JOIN_MS = 100  # less between two segments of one run is the rounding of frame times, no hole


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the answer: a segment (or several joined), a gap, or a span nothing is known of.

    state   COMMITTED, SALVAGED, or another state of a segment; OPEN; GAP; OFF; UNKNOWN
    sealed_bytes  0 for an open segment, which has no size yet
    detail  of a gap: its cause, and what was added to it
    """

    span: Span
    state: str
    segments: int = 0
    run: str = ""
    codec: str = ""
    width: int = 0
    height: int = 0
    sealed_bytes: int = 0
    frames: int = 0
    cause: str = ""
    detail: str = ""
    path: str = ""


def rows(
    segments: Iterable[Listed], gaps: Iterable[Gap], span: Span, opened: Iterable[Open] = ()
) -> list[Row]:
    """Lay segments, gaps and what is unknown in the order of time.

    opened  the camera's segments that were open when last looked at; one that is in the catalogue by now is
            passed over
    Segments keep their full length; gaps and unknown spans are cut to the span that was asked for.
    """
    found = [
        Row(
            segment.span,
            segment.state,
            1,
            segment.run,
            segment.codec,
            segment.width,
            segment.height,
            segment.sealed_bytes,
            segment.frames,
            path=segment.path,
        )
        for segment in segments
    ]
    known = {row.path for row in found}
    found += [
        Row(
            part, OPEN, 1, one.run, one.codec, one.width, one.height, frames=one.written.frames, path=one.path
        )
        for one in opened
        if one.path not in known and (part := _reached(one)).overlaps(span)
    ]
    found += [
        Row(
            _cut(gap.span, span),
            OFF if gap.cause is GapCause.OFF_HOURS else GAP,
            cause=str(gap.cause),
            detail=gap.detail,
        )
        for gap in gaps
    ]
    unknown = uncovered((row.span for row in found), span)
    found += [Row(hole, UNKNOWN) for hole in unknown if hole.length_ms > JOIN_MS]
    return sorted(found, key=lambda row: (row.span.start_ms, row.span.end_ms))


def looked_at(span: Span, now_ms: int, opened: Iterable[Open]) -> Span:
    """Leave out of a span what is ahead of now, and ahead of what a growing segment has reached."""
    until = now_ms
    for one in opened:
        reached = _reached(one).end_ms
        if now_ms - LIVE_MS <= reached <= now_ms:
            until = min(until, reached)
    return Span(span.start_ms, max(span.start_ms, min(span.end_ms, until)))


def joined(single: Sequence[Row]) -> list[Row]:
    """Join neighbouring segments of one run, state and picture format into one row."""
    together: list[Row] = []
    for row in single:
        last = together[-1] if together else None
        if (
            last is None
            or not row.segments
            or _kind(last) != _kind(row)
            or abs(row.span.start_ms - last.span.end_ms) > JOIN_MS
        ):
            together.append(row)
        else:
            together[-1] = replace(
                last,
                span=Span(last.span.start_ms, max(last.span.end_ms, row.span.end_ms)),
                segments=last.segments + row.segments,
                sealed_bytes=last.sealed_bytes + row.sealed_bytes,
                frames=last.frames + row.frames,
            )
    return together


def stored_ms(found: Iterable[Row], span: Span) -> int:
    """Return how much of a span is covered by stored segments; what two of them cover counts once."""
    return span.length_ms - sum(hole.length_ms for hole in _outside(found, STORED, span))


def off_ms(found: Iterable[Row], span: Span) -> int:
    """Return how much of a span is outside of the camera's hours, and so in no segment."""
    listed = [*found]
    return sum(hole.length_ms for hole in _outside(listed, STORED, span)) - sum(
        hole.length_ms for hole in holes(listed, span)
    )


def holes(found: Iterable[Row], span: Span) -> list[Span]:
    """Return the parts of a span that should be stored and are not, but for the rounding between two frames."""
    return _outside(found, STORED | {OFF}, span)


def _outside(found: Iterable[Row], states: frozenset[str], span: Span) -> list[Span]:
    return uncovered((row.span for row in found if row.state in states), span, JOIN_MS)


def bar(found: Sequence[Row], span: Span, cells: int) -> str:
    """Draw the span: full where it is stored, shaded where it partly is, a dot where not, a line off hours."""
    edges = [span.start_ms + span.length_ms * cell // cells for cell in range(cells + 1)]
    drawn = ""
    for start, end in itertools.pairwise(edges):
        cell = Span(start, end)
        touching = [row for row in found if row.span.start_ms < end and row.span.end_ms > start]
        stored, wanted = stored_ms(touching, cell), cell.length_ms - off_ms(touching, cell)
        if not wanted and cell.length_ms:
            drawn += "─"
        else:
            drawn += "█" if stored == wanted else "▒" if stored else "·"
    return drawn


def _reached(one: Open) -> Span:
    """Return the span of an open segment, with its tail."""
    ends = (one.written.end_ms, one.written.tail_end_ms, one.durable.end_ms, one.durable.tail_end_ms)
    return Span(one.start_ms, max(one.start_ms, *ends))


def _cut(part: Span, span: Span) -> Span:
    start_ms = min(max(part.start_ms, span.start_ms), span.end_ms)
    return Span(start_ms, max(start_ms, min(part.end_ms, span.end_ms)))


def _kind(row: Row) -> tuple[str, str, str, int, int]:
    return row.state, row.run, row.codec, row.width, row.height
