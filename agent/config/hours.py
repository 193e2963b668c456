"""Hours of the week, written as "mon-fri 08:00-20:00": Korean time, which knows no summer time. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

KOREA_MS = 9 * 3_600_000
DAY_MS = 86_400_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIRST = 3  # 1970-01-01 was a Thursday
_FORM = re.compile(r"(?:([a-z]{3}(?:[,-][a-z]{3})*) )?([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", re.ASCII)
_MINUTES_A_DAY = 1440


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours on some days.

    days              0 is Monday
    from_min, to_min  minutes of the day; an end before the begin is that of the next day
    """

    days: tuple[int, ...]
    from_min: int
    to_min: int

    def begun_ms(self, now_ms: int) -> int | None:
        """Return when the hours began in which a moment lies, None when it lies in none. UTC ms, both."""
        local_ms = now_ms + KOREA_MS
        length_ms = ((self.to_min - self.from_min) % _MINUTES_A_DAY or _MINUTES_A_DAY) * 60_000
        for day in (local_ms // DAY_MS, local_ms // DAY_MS - 1):  # they may have begun yesterday
            begin_ms = day * DAY_MS + self.from_min * 60_000
            if (day + _FIRST) % 7 in self.days and begin_ms <= local_ms < begin_ms + length_ms:
                return begin_ms - KOREA_MS
        return None


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
