"""What was stored of each camera in the last 24 hours, in slots of five minutes: for whoever may not see the catalogue.

`slots` is pure; `Day` reads, a few cameras at a time.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agent.config.hours import rests
from agent.model import UTC_DAY_MS, GapCause, Span, uncovered
from agent.storage import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from agent.config.hours import Hours
    from agent.model import Gap
    from agent.storage.catalogue import Catalogue

SLOT_MS = 300_000
SLOTS = UTC_DAY_MS // SLOT_MS
JOIN_MS = 100  # less between two segments is the rounding of frame times, no hole
LAG_MS = 5000
"""What is being recorded is written down once per loss window: so near to now nothing is missed yet."""
EVERY_S = 60.0
A_TURN = 8
STORED = ("COMMITTED", "SALVAGED")
BEFORE = "-"
"""A slot of which nothing is expected: before the camera was known, or not begun."""
OFF = "z"
"""A slot of which nothing is expected, since all of it is outside of the camera's hours."""


def begin_of(now_ms: int) -> int:
    """Return where the first of SLOTS slots begins, whose last is the one of now."""
    return (now_ms // SLOT_MS - SLOTS + 1) * SLOT_MS


def slots(stored: Sequence[Span], begin_ms: int, now_ms: int, first_ms: int, off: Sequence[Span] = ()) -> str:
    """Return a letter for each slot: 0 for nothing stored, 9 for all of it, the tenths between them, OFF or BEFORE.

    stored    spans of stored video, in any order
    now_ms    the last slot is looked at up to here
    first_ms  since when there is something to be stored
    off       spans that are outside of the camera's hours, in any order
    """
    drawn = ""
    there, wanted_not = _Along(stored), _Along(off)
    for number in range(SLOTS):
        start = begin_ms + number * SLOT_MS
        begin, end = max(start, first_ms), min(start + SLOT_MS, now_ms)
        if begin >= end:
            drawn += BEFORE
            continue
        slot = Span(begin, end)
        near, free = there.near(slot), wanted_not.near(slot)
        expected_ms = (
            sum(hole.length_ms for hole in uncovered(free, slot, JOIN_MS)) if free else slot.length_ms
        )
        if free and not expected_ms:
            drawn += OFF
            continue
        missing_ms = sum(hole.length_ms for hole in uncovered([*near, *free], slot, JOIN_MS))
        drawn += _letter(expected_ms - missing_ms, expected_ms)
    return drawn


def off_hours(gaps: Sequence[Gap], stored: Sequence[Span], hours: Sequence[Hours], span: Span) -> list[Span]:
    """Return what of a span was outside of a camera's hours.

    gaps    those that are written down, and what they say counts; behind the last of them and of what is stored
            nothing is told yet, and `hours` say it
    """
    off = [gap.span for gap in gaps if gap.cause is GapCause.OFF_HOURS]
    told_ms = max([span.start_ms, *(part.end_ms for part in stored), *(gap.span.end_ms for gap in gaps)])
    return off + rests(hours, Span(min(told_ms, span.end_ms), span.end_ms))


class _Along:
    """Spans, asked for slot after slot."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = sorted(spans, key=lambda part: part.start_ms)
        self._at = 0

    def near(self, slot: Span) -> list[Span]:
        """Return those that may touch a slot, which is behind all that were asked for."""
        spans = self._spans
        while self._at < len(spans) and spans[self._at].end_ms <= slot.start_ms:
            self._at += 1
        near = []
        for part in spans[self._at :]:
            if part.start_ms >= slot.end_ms:
                break
            near.append(part)
        return near


def _letter(stored_ms: int, length_ms: int) -> str:
    if stored_ms in (0, length_ms):
        return "9" if stored_ms else "0"
    return str(min(8, max(1, 10 * stored_ms // length_ms)))


class Day:
    """The last day of all cameras."""

    def __init__(self, state: Path) -> None:
        """Know nothing yet."""
        self._state = state
        self._known: dict[str, tuple[float, int, int, str]] = {}

    def turn(
        self,
        catalogue: Catalogue,
        cameras: Iterable[str],
        now_ms: int,
        now_s: float,
        hours: Mapping[str, Sequence[Hours]] = MappingProxyType({}),
    ) -> None:
        """Look at the cameras that were not looked at for longest.

        now_s   seconds since boot
        hours   of cameras that have any: by them is told what nothing was written of yet
        Raises  StorageFault
        """
        wanted = set(cameras)
        self._known = {camera: known for camera, known in self._known.items() if camera in wanted}
        due = [camera for camera in sorted(wanted) if self._looked_s(camera) + EVERY_S <= now_s]
        due = sorted(due, key=self._looked_s)[:A_TURN]
        if not due:
            return
        begin_ms = begin_of(now_ms)
        # Before the catalogue: what is committed in between is then found twice, and not never.
        opened = progress.read_all(self._state).values()
        firsts = dict(catalogue.read("SELECT id, first_seen_ms FROM camera"))
        for camera in due:
            spans = [Span(one.start_ms, one.reached_ms(now_ms)) for one in opened if one.camera == camera]
            found = catalogue.coverage(camera, Span(begin_ms, max(begin_ms, now_ms)))
            spans += [each.span for each in found.segments if each.state in STORED]
            first_ms = min([int(firsts.get(camera, now_ms)), *(span.start_ms for span in spans)])
            off = off_hours(found.gaps, spans, hours.get(camera, ()), Span(begin_ms, max(begin_ms, now_ms)))
            drawn = slots(spans, begin_ms, now_ms - LAG_MS, first_ms, off)
            self._known[camera] = (now_s, begin_ms, now_ms, drawn)

    def _looked_s(self, camera: str) -> float:
        return self._known[camera][0] if camera in self._known else float("-inf")

    def to_json(self) -> dict[str, Any]:
        """Return the part of the health file: of each camera where its slots begin, when it was looked at, and they."""
        return {
            "slot_s": SLOT_MS // 1000,
            "cameras": {
                camera: {"begin_ms": begin_ms, "at_ms": at_ms, "slots": drawn}
                for camera, (_, begin_ms, at_ms, drawn) in sorted(self._known.items())
            },
        }
