"""The centre's table of boxes: who is there, what is wrong, how much is recorded and proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from agent.health import CONDITIONS, Severity
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from agent.centre.standing import Seen
    from agent.centre.watched import Row

_RANK = {severity: place for place, severity in enumerate(Severity)}
_COLOURS = {
    Severity.CRITICAL: "bold red",
    Severity.ALARM: "red",
    Severity.WARNING: "yellow",
    Severity.INFO: "dim",
}
_SHOWN = 3
YEAR_DAYS = 365
_BACKLOG = 100  # fewer wait a minute at most, as they should
COLUMNS: tuple[tuple[str, str, Literal["left", "right"]], ...] = (
    ("박스", "box", "left"),
    ("상태", "state", "left"),
    ("녹화", "recording", "right"),
    ("여유", "free", "right"),
    ("확인된 원장", "verified", "right"),
)


def table(city: str, rows: Sequence[Row]) -> Table:
    """Draw the table, the boxes in trouble first."""
    from rich import box
    from rich.table import Table

    drawn = Table(
        title=city,
        caption=summary(rows),
        box=box.SIMPLE_HEAD,
        title_style="bold",
        expand=True,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for korean, english, justify in COLUMNS:
        drawn.add_column(say(korean, english), justify=justify)
    drawn.add_column(say("문제", "what is wrong"), ratio=1, overflow="fold")
    for row in sorted(rows, key=lambda row: (_order(row), row.standing.box)):
        drawn.add_row(
            f"[bold]{safe(row.standing.box)}[/]\n[dim]{safe(row.standing.site)}[/]",
            _state(row),
            _recording(row),
            _free(row),
            _proven(row),
            _wrong(row),
        )
    return drawn


def show(city: str, rows: Sequence[Row]) -> None:
    """Print the table."""
    from rich.console import Console

    Console().print(table(city, rows))


def summary(rows: Sequence[Row]) -> str:
    """Say the whole in a line."""
    here = sum(row.standing.told_s is not None and not row.standing.silent for row in rows)
    entries = sum(row.verified for row in rows)
    cameras = sum(len(row.standing.cameras) for row in rows)
    recording = sum(row.standing.recording for row in rows)
    return say(
        f"박스 {here}/{len(rows)}대 응답, 카메라 {recording}/{cameras}대 녹화, 원장 확인됨: {entries}건",
        f"boxes answering: {here}/{len(rows)}, cameras recording: {recording}/{cameras}, "
        f"ledger verified: {entries} entries",
    )


def as_json(row: Row) -> dict[str, Any]:
    """Return a row for programs."""
    one = row.standing
    return {
        "box": one.box,
        "site": one.site,
        "online": one.online,
        "silent": one.silent,
        "heard": one.told_s is not None,
        "trust": one.trust,
        "version": one.version,
        "cameras": len(one.cameras),
        "recording": one.recording,
        "resting": one.resting,
        "vaults": one.vaults,
        "backlog": one.backlog,
        "conditions": [
            {"code": seen.code, "subject": seen.subject, "since_ms": seen.since_ms} for seen in one.conditions
        ],
        "verified": row.verified,
        "entries": row.size,
        "ledgers": row.ledgers,
        "alarms": row.alarms,
    }


def safe(text: str) -> str:
    """Keep rich from reading marks in somebody else's text, which a mark of ours follows.

    A mark that ends nothing is an exception, and a box that sends one would end the watch for its city.
    """
    from rich.markup import escape

    bare = text.rstrip("\\")
    return escape(bare) + "\\" * 2 * (len(text) - len(bare))


def _order(row: Row) -> int:
    if row.alarms or row.standing.silent:
        return -1
    return min((_rank(seen) for seen in row.standing.conditions), default=len(_RANK))


def _rank(seen: Seen) -> int:
    known = CONDITIONS.get(seen.code)
    return _RANK[known.severity] if known else _RANK[Severity.WARNING]


def _state(row: Row) -> str:
    one = row.standing
    if one.silent:
        return f"[bold red]{say('응답 없음', 'silent')}[/]"
    if one.online is False:
        return f"[red]{say('끊김', 'offline')}[/]"
    if one.heard_s is None:
        return say("기다림", "waiting")
    late = say(f"밀림 {one.backlog}", f"backlog {one.backlog}") if one.backlog > _BACKLOG else ""
    doubt = say("시각 모름", "time unsure") if one.trust == "UNTRUSTED" else ""
    return "\n".join(
        [f"[green]{say('연결됨', 'online')}[/]", *(f"[yellow]{text}[/]" for text in (late, doubt) if text)]
    )


def _recording(row: Row) -> str:
    one = row.standing
    if not one.cameras:
        return "-"
    rests = say(f"시간 밖 {one.resting}", f"off hours {one.resting}")
    return f"{one.recording}/{len(one.cameras)}" + (f"\n[dim]{rests}[/]" if one.resting else "")


def _free(row: Row) -> str:
    """Write the room on the fullest disk, and for how long it lasts."""
    free = [free for free, _ in row.standing.vaults if free is not None]
    tenths = [tenths for _, tenths in row.standing.vaults if tenths is not None]
    lines = [f"{min(free) / 10:.0f}%"] if free else ["-"]
    if tenths:
        days = min(tenths) // 10
        # What is written in a minute tells nothing of years.
        lasts = say(f"{days}일", f"{days} d") if days <= YEAR_DAYS else say("1년 넘음", "> 1 year")
        lines.append(f"[dim]{lasts}[/]")
    return "\n".join(lines)


def _proven(row: Row) -> str:
    text = f"{row.verified}" if row.verified == row.size else f"{row.verified}/{row.size}"
    return f"[bold red]{text} !![/]" if row.alarms else text


def _wrong(row: Row) -> str:
    lines = []
    seen = sorted(row.standing.conditions, key=_rank)
    for one in seen[:_SHOWN]:
        known = CONDITIONS.get(one.code)
        text = known.what if known else one.code
        colour = _COLOURS[known.severity] if known else "yellow"
        lines.append(f"[{colour}]{safe(text)}[/]" + (safe(f" ({one.subject})") if one.subject else ""))
    if len(seen) > _SHOWN:
        lines.append(say(f"그 밖에 {len(seen) - _SHOWN}건", f"and {len(seen) - _SHOWN} more"))
    return "\n".join(lines)
