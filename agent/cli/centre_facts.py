"""`pasu centre facts`, `alarms`: what is kept of the boxes' ledgers, also when a box is off or gone."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from agent.cli.alarms import say_alarm, show_alarm
from agent.cli.city import add_city, now_ms, open_city
from agent.cli.common import add_span
from agent.cli.fields import plain
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.centre.city import City
    from agent.centre.witness import Witness

PARTLY_STATUS = 3
DEFAULT_LAST = 50


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    parser = actions.add_parser(
        "facts", help=say("받아 둔 박스의 기록을 보입니다", "show a box's entries, as they are kept here")
    )
    parser.description = say(
        "관제센터가 받아 둔 박스의 원장을 보입니다. 박스가 꺼졌거나 없어졌어도 볼 수 있습니다. "
        "번호 뒤의 ?는 아직 박스의 서명이 뒷받침하지 않는 기록입니다: 누가 중간에서 지어냈을 수도 있습니다.\n\n"
        "예:\n  pasu centre facts gn-0007 --kind hold\n  pasu centre facts gn-0007 --from -7d --to now",
        "Show a box's ledger as it is kept here, also when the box is off or gone. A ? behind the number: "
        "nothing that the box signed stands for this entry yet, and somebody on the way may have made it up.\n\n"
        "examples:\n  pasu centre facts gn-0007 --kind hold\n  pasu centre facts gn-0007 --from -7d --to now",
    )
    parser.add_argument("box", metavar="BOX", help=say("박스 id", "the box's id"))
    parser.add_argument(
        "--kind",
        default="",
        metavar="KIND",
        help=say('종류: "gap", 또는 "hold"처럼 앞부분', 'a kind, or its first part: "hold"'),
    )
    parser.add_argument(
        "--last",
        type=int,
        default=DEFAULT_LAST,
        metavar="N",
        help=say(
            f"많아야 이만큼 (기본 {DEFAULT_LAST}). 0이면 모두",
            f"at most so many (default {DEFAULT_LAST}); 0 for all",
        ),
    )
    parser.add_argument(
        "--json", action="store_true", help=say("한 줄에 하나씩 JSON으로", "write JSON, one a line")
    )
    parser.add_argument(
        "--checkpoint",
        action="store_true",
        help=say(
            "대신 가장 새 검증점을 보입니다 (`pasu centre verify --witness`에 씀)",
            "show the newest checkpoint instead, for `pasu centre verify --witness`",
        ),
    )
    add_span(parser, None, None)
    add_city(parser)
    parser.set_defaults(run=facts)
    parser = actions.add_parser("alarms", help=say("지난 알림을 보입니다", "show the alarms so far"))
    parser.description = say("지켜보는 동안의 알림을 보입니다.", "Show what was found while watching.")
    parser.add_argument(
        "box", nargs="?", metavar="BOX", help=say("박스 id. 없으면 모두", "a box; all without it")
    )
    parser.add_argument(
        "--json", action="store_true", help=say("한 줄에 하나씩 JSON으로", "write JSON, one a line")
    )
    add_city(parser)
    parser.set_defaults(run=alarms)


def facts(args: argparse.Namespace) -> int:
    """Show entries."""
    from datetime import UTC

    from agent.cli.kinds import kind_name
    from agent.cli.times import parse_span, parse_time, show_time
    from agent.command.strict import MOST_INTEGER

    zone = UTC if args.utc else None
    moment = now_ms()
    # Without bounds: the clock of a box may stand in 1970, and its entries are no less true.
    start_ms = parse_time(args.start, moment, zone) if args.start else -MOST_INTEGER
    end_ms = parse_time(args.end, moment, zone) if args.end else MOST_INTEGER + 1
    if args.start and args.end:
        parse_span(args.start, args.end, moment, zone)
    witness = open_witness(open_city(args))
    try:
        if args.checkpoint:
            head = witness.newest_head(args.box)
            print(head or "", end="")
            if not head:
                say_nothing(args.box)
            return 0 if head else PARTLY_STATUS
        found = witness.facts(args.box, args.kind, start_ms, end_ms, args.last)
        if not found:
            say_nothing(args.box)
        for one in found:
            if args.json:
                line = {
                    "ledger": one.ledger,
                    "seq": one.seq,
                    "at_ms": one.at_ms,
                    "received_ms": one.received_ms,
                    "trust": one.trust,
                    "kind": one.kind,
                    "body": one.body,
                    "proven": one.proven,
                }
                print(json.dumps(line, ensure_ascii=False))
            else:
                body = " ".join(
                    f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in one.body.items()
                )
                mark = "" if one.proven else "?"
                print(plain(f"{one.seq}{mark}  {show_time(one.at_ms, zone)}  {kind_name(one.kind)}  {body}"))
        if not args.json and not all(one.proven for one in found):
            print(
                say(
                    "?: 아직 박스의 서명이 뒷받침하지 않는 기록입니다.",
                    "?: nothing that the box signed stands for this entry yet.",
                ),
                file=sys.stderr,
            )
    finally:
        witness.close()
    return 0


def say_nothing(box: str) -> None:
    """Say that nothing is kept, and what to look at."""
    print(
        say(
            f"{box}의 그런 기록은 여기에 없습니다. 박스는 `pasu centre boxes`, "
            "지금의 상태는 `pasu centre watch`로 보십시오.",
            f"No such entries of {box} are kept here. See the boxes with `pasu centre boxes`, and how they "
            "are now with `pasu centre watch`.",
        ),
        file=sys.stderr,
    )


def open_witness(city: City) -> Witness:
    """Open what is kept, to read it. Raises StorageFault WITNESS_MISSING, WITNESS_UNUSABLE."""
    from agent.centre.witness import FILE, Witness
    from agent.errors import StorageFault

    if not city.at(FILE).exists():
        raise StorageFault(
            "WITNESS_MISSING",
            say("이 도시는 아직 지켜본 적이 없습니다", "nobody has watched this city yet"),
            hint=say(
                "`pasu centre watch`를 켜 두십시오. 다른 컴퓨터에서 지켜본다면 거기서 보십시오",
                "keep `pasu centre watch` running; where another computer does, look there",
            ),
            path=str(city.at(FILE)),
        )
    return Witness(city.at(FILE), reading=True)


def alarms(args: argparse.Namespace) -> int:
    """Show alarms."""
    from agent.centre.watched import Alarm

    witness = open_witness(open_city(args))
    try:
        found = list(witness.alarms(args.box))
        if not found and not args.json:
            print(say("알림이 없습니다.", "No alarms."), file=sys.stderr)
        for at_ms, box, what, detail in found:
            alarm = Alarm(at_ms, box, what, detail)
            if args.json:
                say_alarm(alarm, as_json=True)
            else:
                print(show_alarm(alarm))
    finally:
        witness.close()
    return 0
