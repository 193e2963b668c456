"""`pasu export`: what was handed out, to whom, what is still to be destroyed, and that it is."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_for_state, user
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
BY_HAND = ("박스에서 직접 내어 줌", "handed out at the box")


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser("export", help=say("내어 준 영상을 보입니다", "show what was handed out"))
    group.description = say(
        "반출은 관제센터가 서명한 명령으로 청하거나 (`pasu centre command`), 박스에서 `pasu ledger prove`로 합니다. "
        "여기서는 그것을 보고, 받은 곳이 파기했음을 적습니다.",
        "Exports are asked for by signed commands of the centre (`pasu centre command`), or made at the box with "
        "`pasu ledger prove`. Here they are shown, and their destruction is noted.",
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
    _add_destroyed(actions)


def _add_destroyed(actions: Any) -> None:
    parser = actions.add_parser(
        "destroyed", help=say("받은 곳이 파기했음을 적습니다", "note that a recipient's copy was destroyed")
    )
    parser.description = say(
        "받은 곳이 알린 파기 결과를 원장에 적습니다 (강릉시 규정 제31조제3항). 그 뒤로는 파기를 재촉하지 않습니다. "
        "되돌릴 수 없습니다.\n\n"
        '예:\n  pasu export destroyed 0123456789abcdef0123456789abcdef --how "분쇄, 강릉경찰서 2026-1300"',
        "Write into the ledger what the recipient said of the destruction of its copy (Gangneung regulation art. "
        "31(3)); from then on nobody is reminded of it. This cannot be taken back.\n\n"
        'examples:\n  pasu export destroyed 0123456789abcdef0123456789abcdef --how "shredded, police 2026-1300"',
    )
    parser.add_argument("id", metavar="ID", help=say("반출 id", "the export's id"))
    parser.add_argument(
        "--how",
        required=True,
        metavar="TEXT",
        help=say("어떻게 파기했는지, 알린 문서", "how it was done, and the letter that says so"),
    )
    parser.add_argument(
        "--by",
        metavar="NAME",
        help=say("적는 사람 (기본: 로그인 이름)", "who notes it (default: the login name)"),
    )
    add_config(parser)
    parser.set_defaults(run=run_destroyed)


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


def run_destroyed(args: argparse.Namespace) -> int:
    """Note a destruction."""
    from agent.clock import SystemClock
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep import outgoing

    state = load_for_state(args.config).storage.state.absolute()
    catalogue = Catalogue.open(state)
    try:
        now = SystemClock(state).now()
        noted = outgoing.destroyed(catalogue, args.id, now, by=args.by or user(), how=args.how)
    finally:
        catalogue.close()
    if noted:
        print(say(f"{args.id}: 파기했음을 적었습니다", f"{args.id}: its destruction is noted"))
    else:
        print(say(f"{args.id}: 이미 적혀 있습니다", f"{args.id}: that was noted before"))
    return 0


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
        print(f"  {say(*_state(row))}  {size} / {row.bytes} B" + (f"  ({row.code})" if row.code else ""))
        print(f"  {export.recipient}: {export.purpose}, {export.ground}, {export.authority}")
        print(say(f"  담당 {export.person}", f"  in charge: {export.person}"))
        due = say(f"  파기 예정일 {export.due}", f"  to be destroyed by {export.due}")
        if row.destroyed_ms is not None:
            due += say(" (파기함)", " (destroyed)")
        elif row.is_overdue(day):
            due += say(" — 지났습니다", " -- overdue")
        print(due)


def _state(row: Row) -> tuple[str, str]:
    """Return how it stands, in words: nobody sent what was taken by hand."""
    if row.state == "unconfirmed" and row.export.over == "hand":
        return BY_HAND
    return STATES[str(row.state)]
