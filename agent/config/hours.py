"""Hours of the week, written as "mon-fri 08:00-20:00": Korean time, which knows no summer time. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from agent.model import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

KOREA_MS = 9 * 3_600_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
EVER_MS = 1 << 62
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIRST = 3  # 1970-01-01 was a Thursday
_FORM = re.compile(r"(?:([a-z]{3}(?:[,-][a-z]{3})*) )?([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", re.ASCII)
_MINUTES_A_DAY = 1440
_MINUTES_A_WEEK = 7 * _MINUTES_A_DAY


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours on some days.

    days              0 is Monday
    from_min, to_min  minutes of the day; an end before the begin is that of the next day
    """

    days: tuple[int, ...]
    from_min: int
    to_min: int

    @property
    def times(self) -> tuple[str, str]:
        """Return begin and end as people write them: "08:00", "20:00"."""
        begin, end = ("{:02}:{:02}".format(*divmod(at, 60)) for at in (self.from_min, self.to_min))
        return begin, end

    @property
    def runs(self) -> list[list[int]]:
        """Return the days as runs of neighbours, from Monday on; no runs for each day of the week."""
        if len(self.days) == len(DAYS):
            return []
        runs: list[list[int]] = []
        for day in self.days:
            if runs and runs[-1][-1] == day - 1:
                runs[-1].append(day)
            else:
                runs.append([day])
        return runs

    def __str__(self) -> str:
        """Write them as `parse` reads them; the same hours always by the same words."""
        days = (DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in self.runs)
        return f"{','.join(days)} {'-'.join(self.times)}".strip()

    def begun_ms(self, now_ms: int) -> int | None:
        """Return when the hours began in which a moment lies, None when it lies in none. UTC ms, both."""
        local_ms = now_ms + KOREA_MS
        length_ms = ((self.to_min - self.from_min) % _MINUTES_A_DAY or _MINUTES_A_DAY) * 60_000
        for day in (local_ms // DAY_MS, local_ms // DAY_MS - 1):  # they may have begun yesterday
            begin_ms = day * DAY_MS + self.from_min * 60_000
            if (day + _FIRST) % 7 in self.days and begin_ms <= local_ms < begin_ms + length_ms:
                return begin_ms - KOREA_MS
        return None


class Stretch(NamedTuple):
    """From one turn to the next: on or off, from_ms <= t < until_ms, UTC."""

    on: bool
    from_ms: int
    until_ms: int


ALWAYS = Stretch(True, -EVER_MS, EVER_MS)


class Week:
    """Several hours laid together: those that touch or overlap have no turn between them."""

    def __init__(self, hours: Iterable[Hours]) -> None:
        """Lay them out. hours: at least one."""
        spans: list[tuple[int, int]] = []
        for each in hours:
            length = (each.to_min - each.from_min) % _MINUTES_A_DAY or _MINUTES_A_DAY
            for day in each.days:
                # In three weeks: what goes over Sunday's midnight then meets what begins a week, on both sides.
                for week in (-_MINUTES_A_WEEK, 0, _MINUTES_A_WEEK):
                    begin = week + day * _MINUTES_A_DAY + each.from_min
                    spans.append((begin, begin + length))
        joined: list[tuple[int, int]] = []
        for begin, end in sorted(spans):
            if joined and begin <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((begin, end))
        self._always = any(end - begin >= _MINUTES_A_WEEK for begin, end in joined)
        # One week of turns is kept, from the first end behind the first of these Mondays: all before it is known there.
        since = min(end for _, end in joined if end > 0)
        turns = (turn for span in joined for turn in span)
        self._turns = [turn * 60_000 for turn in turns if since <= turn < since + _MINUTES_A_WEEK]

    def stretch(self, at_ms: int) -> Stretch:
        """Return the stretch in which a moment lies, UTC ms."""
        if self._always:
            return ALWAYS
        turns = self._turns  # off, on, off, on: the first ends hours
        into_ms = (at_ms + KOREA_MS + _FIRST * DAY_MS - turns[0]) % WEEK_MS
        base_ms = at_ms - into_ms - turns[0]
        at = bisect_right(turns, into_ms + turns[0]) - 1
        until = turns[at + 1] if at + 1 < len(turns) else turns[0] + WEEK_MS
        return Stretch(at % 2 == 1, base_ms + turns[at], base_ms + until)

    @property
    def on_ms(self) -> int:
        """Return how much of a week they are."""
        if self._always:
            return WEEK_MS
        ends = [*self._turns[2::2], self._turns[0] + WEEK_MS]
        return sum(end - begin for begin, end in zip(self._turns[1::2], ends, strict=True))

    def on_within_ms(self, span: Span) -> int:
        """Return how much of a span they are."""
        whole, rest_ms = divmod(span.length_ms, WEEK_MS)
        rest = self.stretches(Span(span.start_ms, span.start_ms + rest_ms), _MINUTES_A_WEEK)
        return whole * self.on_ms + sum(part.until_ms - part.from_ms for part in rest if part.on)

    def stretches(self, span: Span, most: int) -> list[Stretch]:
        """Cut a span at the turns; the last of `most` parts is what is left, however long. Empty for an empty span."""
        parts: list[Stretch] = []
        at_ms = span.start_ms
        while at_ms < span.end_ms:
            on, _, until_ms = self.stretch(at_ms)
            end_ms = span.end_ms if len(parts) == most - 1 else min(until_ms, span.end_ms)
            parts.append(Stretch(on, at_ms, end_ms))
            at_ms = end_ms
        return parts


def lessens(before: Iterable[Hours], after: Iterable[Hours]) -> bool:
    """Tell whether at some minute of the week the later hours are off where the earlier ones are on; none: always."""
    old, new = [*before], [*after]
    if not new:
        return False
    week = Week(new)
    was = Week(old) if old else None
    minutes = range(0, WEEK_MS, 60_000)
    return any((was is None or was.stretch(at).on) and not week.stretch(at).on for at in minutes)


def rests(hours: Iterable[Hours], span: Span, most: int = 64) -> list[Span]:
    """Return the parts of a span that lie outside of all hours, in the order of time; of no hours none do.

    most  turns are looked at, so that a span of years costs no more than one of weeks; behind them nothing is told
    """
    week = Week(listed) if (listed := [*hours]) else None
    if week is None:
        return []
    parts = week.stretches(span, most + 1)
    return [Span(part.from_ms, part.until_ms) for part in parts[:most] if not part.on]


def parse(text: str) -> Hours:
    """Read hours: days as "mon-fri", "sat,sun" or none for each day, then "08:00-20:00". Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("no hours")
    from_min, to_min = (60 * int(found[at]) + int(found[at + 1]) for at in (2, 4))
    if max(int(found[3]), int(found[5])) > 59 or from_min >= _MINUTES_A_DAY or to_min > _MINUTES_A_DAY:
        raise ValueError("no time of a day")
    if from_min == to_min:
        raise ValueError("no time, or all of it")
    return Hours(_days(found[1]), from_min, to_min)


def begun_ms(hours: Iterable[Hours], now_ms: int) -> int | None:
    """Return when the last of these began that a moment lies in, None when it lies in none. UTC ms, both."""
    return max((at for each in hours if (at := each.begun_ms(now_ms)) is not None), default=None)


def day_begun_ms(now_ms: int) -> int:
    """Return when the Korean day of a moment began. UTC ms, both."""
    return (now_ms + KOREA_MS) // DAY_MS * DAY_MS - KOREA_MS


def _days(text: str | None) -> tuple[int, ...]:
    if text is None:
        return tuple(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, *last = (DAYS.index(day) for day in part.split("-"))
        if len(last) > 1:
            raise ValueError("no days")
        length = (last[0] - first) % 7 if last else 0
        found.update((first + day) % 7 for day in range(length + 1))
    return tuple(sorted(found))
