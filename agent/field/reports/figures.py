"""The graphs of reports, as numbers: days of a camera as stretches, and how many days each disk holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.field import words
from agent.model import UTC_DAY_MS, Span
from agent.storage.keep.day import slots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.model import GapCause

SLOT_S = 300
WIDTH = 1000
"""Of a graph of days, in units of its own."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the catalogue says of a camera's last days.

    first_ms  since when there is something to be stored, UTC ms
    stored    spans that are stored, in any order
    gaps      how many gaps are written down, by cause, without those outside of its hours
    off       spans that are outside of its hours
    """

    camera: str
    first_ms: int
    stored: Sequence[Span]
    gaps: Mapping[GapCause, int]
    off: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class DayRow:
    """One day of a camera. day: its last day as `words.last_day` reads one."""

    begin_ms: int
    day: words.LastDay


def day_rows(past: Past, begins: Sequence[int], now_ms: int) -> list[DayRow]:
    """Return a row for each day that begins at one of these times; what is ahead of now counts for nothing."""
    return [DayRow(begin, _day(past, begin, now_ms)) for begin in begins]


def _day(past: Past, begin_ms: int, now_ms: int) -> words.LastDay:
    part = Span(begin_ms, begin_ms + UTC_DAY_MS)
    near = [span for span in past.stored if span.overlaps(part)]
    drawn = slots(near, begin_ms, now_ms, past.first_ms, [span for span in past.off if span.overlaps(part)])
    known = {"begin_ms": begin_ms, "at_ms": now_ms, "slots": drawn}
    day = words.last_day({"day": {"slot_s": SLOT_S, "cameras": {past.camera: known}}}, past.camera)
    assert day is not None, "it was just put there"
    return day


def permille(rows: Sequence[DayRow]) -> int | None:
    """Return how much of all that is expected in these days is stored; None where nothing is expected."""
    expected = sum(_expected_s(row.day) for row in rows)
    missing = sum(row.day.missing_s for row in rows)
    return max(0, 1000 - -(-missing * 1000 // expected)) if expected else None


def _expected_s(day: words.LastDay) -> int:
    return sum(each.slots for each in day.stretches if each.state not in ("before", "off")) * day.slot_s


@dataclass(frozen=True, slots=True)
class Outlook:
    """How many days a disk holds at today's rate, as lengths of WIDTH.

    days      in tenths; None while nobody can say
    bar, line lengths: what it holds, and where the retention ends
    enough    whether it holds what must be kept
    """

    path: str
    total: str
    free: str
    rate: str
    days: int | None
    wanted: int
    bar: int
    line: int
    enough: bool


def outlooks(keep: Mapping[str, Any], retention_days: int) -> Iterator[Outlook]:
    """Read the forecasts from keep's health file."""
    vaults = keep.get("vaults") or []
    tenths = [vault.get("forecast_tenths_of_days") for vault in vaults]
    most = max([retention_days * 10, *(each for each in tenths if each is not None)]) * 11 // 10
    for vault, days in zip(vaults, tenths, strict=True):
        total, free, rate = (
            "–" if vault.get(name) is None else words.size(vault[name])
            for name in ("total_bytes", "free_bytes", "bytes_per_day")
        )
        yield Outlook(
            path=str(vault.get("path", "")),
            total=total,
            free=free,
            rate=rate,
            days=days,
            wanted=retention_days,
            bar=0 if days is None else max(4, days * WIDTH // most),
            line=retention_days * 10 * WIDTH // most,
            enough=days is not None and days >= retention_days * 10,
        )
