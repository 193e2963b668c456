"""`pasu centre viewings`: who watched which camera how often, over all boxes, from their ledgers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from agent.cli.centre_facts import open_witness
from agent.cli.city import add_city, now_ms, open_city
from agent.cli.common import add_span
from agent.language import say

if TYPE_CHECKING:
    import argparse

DAYS = "-30d"


def add(actions: Any) -> None:
    """Describe the command, below `pasu centre`."""
    parser = actions.add_parser(
        "viewings",
        help=say("누가 어느 카메라를 몇 번 보았는지 셉니다", "count who watched which camera how often"),
    )
    parser.description = say(
        "실시간 열람 허가를 사람, 카메라, 목적마다 셉니다. 센터가 받아 둔 박스의 원장에서 세므로, "
        "명령을 보낸 프로그램이 무엇이든 모두 들어 있습니다. 많이 본 순서이며, 기간은 기본 30일입니다. "
        "비상벨이나 설정이 보인 것은 세지 않습니다.\n\n예:\n  pasu centre viewings --from -90d",
        "Count grants of live viewing by person, camera and purpose. They are counted from the boxes' "
        "ledgers, as they are kept here: all are among them, whatever program sent the command. Most often "
        "first, of the last 30 days unless told otherwise. What a bell or the configuration showed is not "
        "counted.\n\nexample:\n  pasu centre viewings --from -90d",
    )
    parser.add_argument(
        "box", nargs="?", metavar="BOX", help=say("박스 id. 없으면 모두", "a box; all without it")
    )
    parser.add_argument(
        "--json", action="store_true", help=say("한 줄에 하나씩 JSON으로", "write JSON, one a line")
    )
    add_span(parser, DAYS, "now")
    add_city(parser)
    parser.set_defaults(run=viewings)


def viewings(args: argparse.Namespace) -> int:
    """Count them, and say so where an entry is among them that nothing signed stands for yet."""
    from datetime import UTC

    from agent.centre import registry
    from agent.cli.fields import plain
    from agent.cli.times import parse_span, show_time
    from agent.field.reports.viewings import KINDS, Viewings, heads

    zone = UTC if args.utc else None
    span = parse_span(args.start, args.end, now_ms(), zone)
    city = open_city(args)
    witness = open_witness(city)
    counted, doubtful = Viewings(), 0
    try:
        for box in [args.box] if args.box else [box.id for box in registry.boxes(city)]:
            for one in witness.facts(box, "stream", span.start_ms, span.end_ms, 0):
                if one.kind in KINDS:
                    counted.take(one.kind, one.at_ms, one.body, box)
                    doubtful += not one.proven
    finally:
        witness.close()
    rows = counted.rows()
    if args.json:
        for row in rows:
            print(json.dumps(row.as_json(), ensure_ascii=False))
    elif rows:
        for line in (heads(), *(row.cells(lambda at_ms: show_time(at_ms, zone)) for row in rows)):
            print(plain("  ".join(line)))
    else:
        print(say("그 기간에 허가된 열람이 없습니다.", "Nothing was granted in that time."), file=sys.stderr)
    if doubtful:
        print(
            say(
                f"기록 {doubtful}개는 아직 박스의 서명이 뒷받침하지 않습니다.",
                f"Nothing that a box signed stands for {doubtful} of the entries yet.",
            ),
            file=sys.stderr,
        )
    return 0
