"""Points in time as people type and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

from agent.cli.parser import UsageError
from agent.language import say
from agent.model import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

BESIDE_NOW = re.compile(r"([+-])(\d{1,6})(s|m|h|d)")
LENGTH = re.compile(r"(\d{1,6})(s|m|h|d)")
CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
FORMS = (
    '"2026-11-21T10:00", "2026-11-21T10:00+09:00", "2026-11-21", "10:00", "-10m", "+2h" (s, m, h, d), "now"'
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # room to convert to any zone


def parse_time(text: str, now_ms: int, zone: tzinfo | None) -> int:
    """Read a point in time.

    text     an ISO date or date and time, with or without offset; a time of day (the last that has passed);
             "-10m" before now, "+2h" after it; "now"
    now_ms   UTC milliseconds
    zone     what a time without offset is in; None for the machine's own zone
    Returns  UTC milliseconds
    Raises   UsageError TIME_UNREADABLE
    """
    now = EPOCH + timedelta(milliseconds=now_ms)
    word = text.strip()
    if word == "now":
        return now_ms
    beside = BESIDE_NOW.fullmatch(word)
    if beside:
        return max(now_ms + int(beside[1] + beside[2]) * UNIT_S[beside[3]] * 1000, 0)
    try:
        if CLOCK.fullmatch(word):
            today = now.astimezone(zone).replace(tzinfo=None)
            hour, _, rest = word.partition(":")
            moment = datetime.combine(today, time.fromisoformat(f"{hour:0>2}:{rest}"))
            if moment > today:
                moment -= timedelta(days=1)
        else:
            moment = datetime.fromisoformat(word)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    except (ValueError, OverflowError, OSError):
        raise _unreadable(text) from None
    if not EPOCH <= moment <= LATEST:
        raise _unreadable(text)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def parse_length(text: str) -> int:
    """Read a length of time: "90s", "30m", "2h", "1d". Returns seconds. Raises UsageError LENGTH_UNREADABLE."""
    found = LENGTH.fullmatch(text.strip())
    if not found or int(found[1]) == 0:
        raise UsageError(
            "LENGTH_UNREADABLE",
            say(f"길이로 읽을 수 없습니다: {text!r}", f"not a length of time: {text!r}"),
            hint=say('쓸 수 있는 모양: "90s", "30m", "2h", "1d"', 'write one of: "90s", "30m", "2h", "1d"'),
        )
    return int(found[1]) * UNIT_S[found[2]]


def _unreadable(text: str) -> UsageError:
    return UsageError(
        "TIME_UNREADABLE",
        say(f"시각으로 읽을 수 없습니다: {text!r}", f"not a point in time: {text!r}"),
        hint=say(f"쓸 수 있는 모양: {FORMS}", f"write one of: {FORMS}"),
    )


def parse_span(start: str, end: str, now_ms: int, zone: tzinfo | None) -> Span:
    """Read --from and --to. Raises UsageError TIME_UNREADABLE or SPAN_EMPTY."""
    start_ms, end_ms = parse_time(start, now_ms, zone), parse_time(end, now_ms, zone)
    if end_ms <= start_ms:
        raise UsageError(
            "SPAN_EMPTY",
            say("끝 시각이 시작 시각보다 뒤가 아닙니다", "the span does not end after it begins"),
            hint=say("--from과 --to를 확인하십시오", "check --from and --to"),
            start=show_time(start_ms, zone),
            end=show_time(end_ms, zone),
        )
    return Span(start_ms, end_ms)


def show_time(utc_ms: int, zone: tzinfo | None) -> str:
    """Write a point in time in a zone, with its offset: 2026-11-21 10:00:00+09:00."""
    day, clock, shift = _parts(utc_ms, zone)
    return f"{day} {clock}{shift}"


def show_span(start_ms: int, end_ms: int, zone: tzinfo | None) -> str:
    """Write two points in time, and once what they share.

    2026-11-21 10:00:00 - 10:05:00 +09:00
    """
    (start_day, start, start_offset), (day, end, end_offset) = _parts(start_ms, zone), _parts(end_ms, zone)
    if start_offset != end_offset:
        return f"{show_time(start_ms, zone)} - {show_time(end_ms, zone)}"
    return f"{start_day} {start} - {end if day == start_day else f'{day} {end}'} {end_offset}"


def offsets(times_ms: Iterable[int], zone: tzinfo | None) -> set[str]:
    """Return the offsets of points in time: one, unless the zone changed between them."""
    return {_parts(utc_ms, zone)[2] for utc_ms in times_ms}


def show_bare(utc_ms: int, zone: tzinfo | None, beside_ms: int | None = None) -> str:
    """Write a point in time where its offset stands elsewhere; its day unless it is that of `beside_ms`."""
    day, clock, _ = _parts(utc_ms, zone)
    return clock if beside_ms is not None and _parts(beside_ms, zone)[0] == day else f"{day} {clock}"


def _parts(utc_ms: int, zone: tzinfo | None) -> tuple[str, str, str]:
    """Return day, time of day, and offset; of what no calendar has, the number: a stranger may have written it."""
    try:
        moment = (EPOCH + timedelta(milliseconds=utc_ms)).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return str(utc_ms), "ms", ""
    return moment.strftime("%Y-%m-%d"), moment.strftime("%H:%M:%S"), offset(moment)


def offset(moment: datetime) -> str:
    """Write the offset of an aware time: +09:00, or Z for UTC."""
    text = moment.isoformat()[-6:]
    return "Z" if text == "+00:00" else text


def iso_utc(utc_ms: int) -> str:
    """Write a point in time for programs: 2026-11-21T01:00:00.000Z."""
    moment = EPOCH + timedelta(milliseconds=utc_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc_ms % 1000:03d}Z"


def show_length(length_ms: int) -> str:
    """Write a length of time: 1:02:03, 4:05, or 0.5 s where it is short."""
    if length_ms < 10_000:
        return f"{length_ms / 1000:.1f} s"
    seconds = (length_ms + 500) // 1000
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02d}:{seconds % 60:02d}" if hours else f"{minutes}:{seconds % 60:02d}"
