"""Entries of the ledger, for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

from agent.cli import times
from agent.cli.fields import room
from agent.cli.kinds import kind_name
from agent.cli.parser import columns, wrap
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

_SHOWN = ("camera", "sha256")  # in the row already, or no help to a reader
_TIMES_FROM_MS = 315_532_800_000  # 1980


def show(rows: list[tuple[Any, ...]], zone: tzinfo | None) -> None:
    """Print entries, each with its details beside it, or below where the terminal is too narrow for that."""
    if not rows:
        print(say("그런 기록이 없습니다.", "No such entries."))
        return
    width = room(sys.stdout)
    shifts = times.offsets((row[1] for row in rows), zone)
    shift = f" ({next(iter(shifts))})" if len(shifts) == 1 else ""
    heads = say("번호|시각|일|카메라|내용", "seq|time|what|camera|details").split("|")
    heads[1] += shift
    cells = [
        (
            str(seq),
            (times.show_bare(at_ms, zone) if shift else times.show_time(at_ms, zone))
            + (" ?" if trust == "UNTRUSTED" else ""),
            kind_name(kind),
            str(body.get("camera", "")),
        )
        for seq, at_ms, trust, kind, body in rows
    ]
    widths = [max(columns(line[number]) for line in (heads, *cells)) for number in range(4)]
    beside = width - sum(widths) - 2 * len(widths)
    print(_line(heads, widths) + heads[4])
    for cell, row in zip(cells, rows, strict=True):
        parts = _details(row[4], zone)
        details = "  ".join(parts)
        if columns(details) <= beside:
            print((_line(cell, widths) + details).rstrip())
            continue
        print(_line(cell, widths).rstrip())
        for line in wrap(details, width - widths[0] - 2):
            print(" " * (widths[0] + 2) + line)
    if any(row[2] == "UNTRUSTED" for row in rows):
        print(say("\n?  시각을 믿지 못하던 때의 기록", "\n?  written while the time was not trusted"))


def _line(cells: Sequence[str], widths: list[int]) -> str:
    number, *rest = [
        cell + " " * (width - columns(cell)) for cell, width in zip(cells[:4], widths, strict=True)
    ]
    return "  ".join([number.strip().rjust(widths[0]) if cells[0].isdigit() else number, *rest, ""])


def _details(body: dict[str, Any], zone: tzinfo | None) -> list[str]:
    """Write what an entry says, piece by piece: times for people, the rest as it stands."""
    parts, rest = [], dict(body)
    for begin, finish in (("start_ms", "end_ms"), ("from_ms", "to_ms")):
        start, end = rest.get(begin), rest.get(finish)
        if _is_time(start) and _is_time(end):
            parts.append(times.show_span(start, end, zone))
            del rest[begin], rest[finish]
    for name, value in rest.items():
        if name in _SHOWN or value in ("", None):
            continue
        if name.endswith("_ms") and _is_time(value):
            parts.append(f"{name.removesuffix('_ms')}={times.show_time(value, zone)}")
        elif isinstance(value, dict):
            parts.append(f"{name}=({', '.join(_details(value, zone))})")
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            parts.append(f"{name}={','.join(value)}")
        else:
            parts.append(
                f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            )
    return parts


def _is_time(value: object) -> TypeGuard[int]:
    """Tell a point in time from a length of time: no box recorded before 1980, no wait lasts ten years."""
    return isinstance(value, int) and value > _TIMES_FROM_MS
