"""How much each camera stores per day, and how much is stored now: what the forecast is made from.

Nothing of it is kept on the disk. A full count of 2.8 million rows takes seconds, so it is made camera by camera and
day by day, a few at each turn; past days change only when something is erased from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from agent.config.hours import Week
from agent.model import UTC_DAY_MS, Span
from agent.storage.keep.retention import Demand, reach_tenths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.config.hours import Hours
    from agent.storage.catalogue import Catalogue

FRESH_MS = 600_000
"""The last 24 hours and today are counted anew this often."""
LEAST_MS = FRESH_MS
"""What is taken for a camera's rate spans this much at least: one segment says nothing, and one count follows another
by as much.
"""
HOUR_MS = 3_600_000

_SUM = (
    "SELECT vault, SUM(sealed_bytes), SUM(CASE WHEN state IN ('COMMITTED', 'SALVAGED') THEN sealed_bytes ELSE 0 END),"
    " MIN(start_ms), MAX(end_ms) FROM segment WHERE camera = ? AND start_ms >= ? AND start_ms < ? GROUP BY vault"
)


@dataclass(frozen=True, slots=True)
class Count:
    """What a camera stored in a window on one vault: bytes written, bytes still there, where it begins and ends."""

    written: int
    live: int
    start_ms: int
    end_ms: int

    def span(self, counted_ms: int) -> Span:
        """Return what the bytes were written in. counted_ms: when they were counted.

        What is recorded now has a segment open that is not counted: its time is not either. A camera that has stopped
        is taken with the time since: another may have come in its place.
        """
        going_on = 0 <= counted_ms - self.end_ms < FRESH_MS
        return Span(self.start_ms, max(self.start_ms, self.end_ms if going_on else counted_ms))


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a vault holds what its cameras store, in tenths of days: at the last day's rate, and the week's.

    allowed_tenths  the longest retention among them
    steady          an hour or more was recorded: enough to complain of
    """

    day_tenths: int
    week_tenths: int | None
    allowed_tenths: int
    bytes_per_day: int
    steady: bool = True


class Stock:
    """The counts, in memory."""

    def __init__(self, window_ms: int, hours: Mapping[str, Sequence[Hours]] = MappingProxyType({})) -> None:
        """Count nothing yet.

        window_ms  the longest retention
        hours      of cameras that are recorded in some alone
        """
        self._window_ms = window_ms
        self._weeks = {camera: Week(each) for camera, each in hours.items()}
        self._days: dict[tuple[str, int], tuple[int, Mapping[str, Count]]] = {}  # with when it was counted
        self._last: dict[str, tuple[int, Mapping[str, Count]]] = {}

    def advance(
        self, catalogue: Catalogue, cameras: Sequence[str], now_ms: int, enough: Callable[[], bool]
    ) -> bool:
        """Count what is due, until `enough` says so; return whether everything is counted.

        Raises  StorageFault
        """
        today = now_ms // UTC_DAY_MS
        first = (now_ms - self._window_ms) // UTC_DAY_MS
        for key in [key for key in self._days if not first <= key[1] <= today or key[0] not in cameras]:
            del self._days[key]
        for camera in cameras:
            if self._is_stale(self._last.get(camera), now_ms):
                if enough():
                    return False
                self._last[camera] = (now_ms, _count(catalogue, camera, now_ms - UTC_DAY_MS, now_ms))
            for day in range(today, first - 1, -1):
                known = self._days.get((camera, day))
                changing = day == today or (known is not None and known[0] < (day + 1) * UTC_DAY_MS + HOUR_MS)
                if known is None or (changing and self._is_stale(known, now_ms)):
                    if enough():
                        return False
                    counted = _count(catalogue, camera, day * UTC_DAY_MS, (day + 1) * UTC_DAY_MS)
                    self._days[camera, day] = (now_ms, counted)
        return True

    @staticmethod
    def _is_stale(known: tuple[int, object] | None, now_ms: int) -> bool:
        return known is None or not 0 <= now_ms - known[0] < FRESH_MS

    def forget(self, camera: str, start_ms: int) -> None:
        """Count the day of a segment anew: it was erased."""
        self._days.pop((camera, start_ms // UTC_DAY_MS), None)

    def forecast(
        self, vault: str, now_ms: int, retention_of: Callable[[str], int], spare_bytes: int
    ) -> Forecast | None:
        """Say how long a vault holds its cameras' recordings.

        spare_bytes  free and on its way to be, without the reserve and what holds keep of the counted time
        Returns      None when nothing was recorded on it in the last day, or no camera for ten minutes yet
        """
        live = sum(
            counts[vault].live
            for (camera, day), (_, counts) in self._days.items()
            if vault in counts and (day + 1) * UTC_DAY_MS > now_ms - retention_of(camera)
        )
        lately = {
            camera: (counts[vault].written, counts[vault].span(counted_ms))
            for camera, (counted_ms, counts) in self._last.items()
            if vault in counts
        }
        weekly = self._weekly(vault, now_ms, retention_of)
        # One whose last day was none of its hours stores again as it did in the week.
        daily = {camera: weekly[camera] for camera in (weekly.keys() & self._weeks.keys()) - lately.keys()}
        longest_ms = (
            UTC_DAY_MS
            if daily
            else max(
                (self._on_ms(camera, span) or span.length_ms for camera, (_, span) in lately.items()),
                default=0,
            )
        )
        daily |= {
            camera: Demand(
                self._of_hours(camera, written, span) or _per_day(written, span.length_ms),
                retention_of(camera),
            )
            for camera, (written, span) in lately.items()
        }
        capacity = live + spare_bytes
        tenths = reach_tenths([*daily.values()], capacity)
        if tenths is None or longest_ms < LEAST_MS:
            return None
        return Forecast(
            tenths,
            reach_tenths([*weekly.values()], capacity),
            max(demand.retention_ms for demand in daily.values()) * 10 // UTC_DAY_MS,
            sum(demand.bytes_per_day for demand in daily.values()),
            longest_ms >= HOUR_MS,
        )

    def _weekly(self, vault: str, now_ms: int, retention_of: Callable[[str], int]) -> dict[str, Demand]:
        today = now_ms // UTC_DAY_MS
        weeks: dict[str, list[tuple[int, Count]]] = {}
        for (camera, day), (_, counts) in self._days.items():
            if today - 7 <= day < today and vault in counts:
                weeks.setdefault(camera, []).append((day, counts[vault]))
        demands = {}
        for camera, days in weeks.items():
            written = sum(count.written for _, count in days)
            since = Span(min(count.start_ms for _, count in days), today * UTC_DAY_MS)
            rate = self._of_hours(camera, written, since) or _of_days(days)
            demands[camera] = Demand(rate, retention_of(camera))
        return demands

    def _of_hours(self, camera: str, written: int, span: Span) -> int:
        """Return what a camera with hours stores in a day of its average week; 0 where a span has none of them.

        An evening's last hours are half of a day, and Friday's no Saturday's: bytes a day would be told too many or
        too few by turns.
        """
        on_ms = self._on_ms(camera, span)
        return written * self._weeks[camera].on_ms // 7 // max(on_ms, LEAST_MS) if on_ms else 0

    def _on_ms(self, camera: str, span: Span) -> int:
        """Return how much of a span is of a camera's hours; 0 where none is, or it has no hours.

        A night adds nothing to what is known of its rate, however long ago the evening was.
        """
        week = self._weeks.get(camera)
        return 0 if week is None else week.on_within_ms(span)


def _per_day(written: int, span_ms: int) -> int:
    """Return the rate at which bytes were written in the last day."""
    return written * UTC_DAY_MS // min(UTC_DAY_MS, max(LEAST_MS, span_ms))


def _of_days(days: list[tuple[int, Count]]) -> int:
    """Return the rate of whole days; the first of them counts from where it begins."""
    first, begins = min(days, key=lambda each: each[0])
    before_ms = begins.start_ms - first * UTC_DAY_MS
    span_ms = max(HOUR_MS, len(days) * UTC_DAY_MS - before_ms)
    return sum(count.written for _, count in days) * UTC_DAY_MS // span_ms


def _count(catalogue: Catalogue, camera: str, from_ms: int, until_ms: int) -> Mapping[str, Count]:
    rows = catalogue.read(_SUM, (camera, from_ms, until_ms))
    return {
        vault: Count(max(0, int(written or 0)), max(0, int(live or 0)), start_ms, end_ms)
        for vault, written, live, start_ms, end_ms in rows
    }
