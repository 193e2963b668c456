"""`pasu export list`: what was handed out, to whom, and what is still to be destroyed."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_for_state
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from datetime import tzinfo
    from pathlib import Path

    from agent.storage.keep.outgoing_rows import Row

STATES = {
    "requested": ("묶는 중", "being bundled"),
    "bundled": ("보내는 중", "being sent"),
    "sent": ("보냄", "sent"),
    "received": ("받음", "received"),
    "unconfirmed": ("보냈으나 확인되지 않음", "sent, not confirmed"),
    "cancelled": ("취소됨", "cancelled"),
    "expired": ("기한 지남", "lapsed"),
}


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser("export", help=say("내어 준 영상을 보입니다", "show what was handed out"))
    group.description = say(
        "반출은 관제센터가 서명한 명령으로만 청합니다 (`pasu centre command`). 여기서는 보기만 합니다.",
        "Exports are asked for by signed commands of the centre only (`pasu centre command`). Here they are shown.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    parser = actions.add_parser("list", help=say("반출을 보입니다", "list the exports"))
    parser.description = say(
        "진행 중인 반출과, 파기 결과를 아직 듣지 못한 반출을 보입니다. 달마다의 보고에 쓰십시오.\n"
        "끝 상태: 0 기한이 지난 것 없음, 3 파기 예정일이 지난 것이 있음.\n\n"
        "예:\n  pasu export list\n  pasu export list --all --json",
        "Show the exports that are under way, and those of which nobody has said that the copy is destroyed: for the "
        "monthly report. Exit status: 0 none is over its day, 3 one is.\n\n"
        "examples:\n  pasu export list\n  pasu export list --all --json",
    )
    parser.add_argument(
        "--all", action="store_true", help=say("끝난 것도 보입니다", "also those that are over")
    )
    parser.add_argument(
        "--utc",
        action="store_true",
        help=say("시각을 UTC로 보입니다", "show times as UTC instead of local time"),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List them."""
    from agent.clock import SystemClock
    from agent.model import utc_day
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep import outgoing_rows
    from agent.storage.keep.outgoing_order import OPEN

    config = load_for_state(args.config)
    state = config.storage.state.absolute()
    catalogue = Catalogue.open(state, read_only=True)
    try:
        rows = outgoing_rows.rows(catalogue, every=True)
    finally:
        catalogue.close()
    day = utc_day(SystemClock(state).now().utc_ms)
    shown = [row for row in rows if args.all or row.state in OPEN or row.is_out]
    if args.json:
        for row in shown:
            print(json.dumps(as_json(row, state, day), ensure_ascii=False))
    else:
        _print(shown, state, day, UTC if args.utc else None)
    return 3 if any(row.is_overdue(day) for row in rows) else 0


def as_json(row: Row, state: Path, day: str) -> dict[str, Any]:
    """Return an export, for programs: what it was asked for, and how far it is."""
    from agent.storage.keep import outgoing_desk

    files, size = outgoing_desk.progress(state, row)
    return row.export.body() | {
        "state": str(row.state),
        "requested_ms": row.requested_ms,
        "closed_ms": row.closed_ms,
        "files": row.files,
        "bytes": row.bytes,
        "arrived_files": files,
        "arrived_bytes": size,
        "gone_bytes": row.gone_bytes,
        "code": row.code,
        "destroyed_ms": row.destroyed_ms,
        "overdue": row.is_overdue(day),
    }


def _print(rows: list[Row], state: Path, day: str, zone: tzinfo | None) -> None:
    from agent.cli import times
    from agent.storage.keep import outgoing_desk

    if not rows:
        print(say("열린 반출이 없습니다.", "No export is open."))
    for row in rows:
        export = row.export
        span = times.show_span(export.span.start_ms, export.span.end_ms, zone)
        _, size = outgoing_desk.progress(state, row)
        print(f"{export.id}  {export.camera}  {span}")
        print(
            f"  {say(*STATES[str(row.state)])}  {size} / {row.bytes} B"
            + (f"  ({row.code})" if row.code else "")
        )
        print(f"  {export.recipient}: {export.purpose}, {export.ground}, {export.authority}")
        print(say(f"  담당 {export.person}", f"  in charge: {export.person}"))
        due = say(f"  파기 예정일 {export.due}", f"  to be destroyed by {export.due}")
        if row.destroyed_ms is not None:
            due += say(" (파기함)", " (destroyed)")
        elif row.is_overdue(day):
            due += say(" — 지났습니다", " -- overdue")
        print(due)
