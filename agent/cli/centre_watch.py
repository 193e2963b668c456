"""`pasu centre watch`, `facts`, `alarms`: all boxes at a glance, and what is kept of their ledgers."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from agent.cli import centre_receive
from agent.cli.city import add_city, add_passphrase, now_ms, open_city, signer
from agent.cli.common import add_span
from agent.cli.fields import plain
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.centre.city import City
    from agent.centre.watch import Alarm, Watch
    from agent.centre.witness import Witness

CONNECT_S = 15.0
TURN_S = 0.2
DRAW_S = 1.0
ALARMED_STATUS = 1
PARTLY_STATUS = 3
DEFAULT_LAST = 50
ALARMS = {
    "silent": ("응답이 없습니다", "says nothing any more"),
    "back": ("다시 응답합니다", "is back"),
    "new_ledger": ("원장이 새로 시작되었습니다", "its ledger began anew"),
    "other_key": ("등록된 것과 다른 키를 씁니다", "uses another key than it was enrolled with"),
    "unknown_box": ("등록되지 않은 박스입니다", "is not enrolled"),
    "edited": ("원장의 기록이 이전과 다릅니다", "sends an entry of its ledger changed"),
    "forked": ("원장이 갈라졌습니다", "its ledger has forked"),
    "doubted": (
        "서로 맞지 않는 기록이 와서 버리고 다시 요청합니다",
        "entries came that do not fit together: dropped, and asked for again",
    ),
    "rolled_back": (
        "원장이 되돌려졌거나, 중간에서 옛 검증점을 다시 보냈습니다",
        "its ledger was set back, or somebody on the way shows an old checkpoint again",
    ),
    "unsigned": ("박스의 키로 서명되지 않은 검증점입니다", "a checkpoint that its key did not sign"),
    "invalid": ("올바르지 않은 내용을 보냈습니다", "sends what is no message"),
    "let_go": ("원장의 일부가 오기 전에 없어졌습니다", "let entries go that never came here"),
}


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    parser = actions.add_parser("watch", help=say("모든 박스를 지켜봅니다", "watch all boxes"))
    parser.description = say(
        "모든 박스의 상태를 표로 보이고, 원장을 받아 증인으로 보관합니다: 서명과 이어짐을 확인하고, "
        "갈라짐·되돌림·응답 없음을 "
        "알리며, 빠진 기록을 다시 청하고, 받은 것을 박스에 확인해 줍니다. 늘 켜 두십시오.\n"
        "끝 상태(--once): 0 이상 없음, 1 원장에 이상이 있음, 3 응답하지 않는 박스가 있음.\n\n"
        "예:\n  pasu centre watch --city gangneung\n  pasu centre watch --city gangneung --once",
        "Show every box in a table, and keep their ledgers as a witness: check signatures and that each "
        "goes on from "
        "what was before, tell of forks, roll-backs and silence, ask again for what is missing, and "
        "acknowledge what "
        "came. Keep it running.\n"
        "Exit status (--once): 0 nothing wrong, 1 something wrong with a ledger, 3 a box is silent.\n\n"
        "examples:\n  pasu centre watch --city gangneung\n  pasu centre watch --city gangneung --once",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help=say("모두 듣고 나면 표를 보이고 끝냅니다", "show the table once everyone was heard, and end"),
    )
    parser.add_argument(
        "--within",
        type=float,
        default=60.0,
        metavar="S",
        help=say("--once가 기다리는 초 (기본 60)", "seconds that --once waits (default 60)"),
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help=say("상태와 알림을 한 줄에 하나씩 JSON으로", "write states and alarms as JSON, one a line"),
    )
    parser.add_argument(
        "--confirm-time",
        action="store_true",
        help=say(
            "이 컴퓨터의 시각이 맞습니다: 커널이 동기되지 않았어도 박스에 확인해 줍니다",
            "this computer's time is right: confirm it to boxes even if the kernel says it is not synchronised",
        ),
    )
    parser.add_argument(
        "--only-look",
        action="store_true",
        help=say("박스에 아무것도 청하지 않습니다", "ask nothing of the boxes"),
    )
    add_city(parser)
    add_passphrase(parser)
    parser.set_defaults(run=watch)
    _add_facts(actions)


def watch(args: argparse.Namespace) -> int:
    """Watch, until Ctrl-C; with --once until everyone was heard."""
    from agent.centre.counters import FILE as COUNTERS_FILE
    from agent.centre.counters import Counters
    from agent.centre.watch import CLIENT, PARTS, Watch
    from agent.centre.wire import TOPIC, Wire
    from agent.centre.witness import FILE, Witness
    from agent.clock import SystemClock, SystemSource
    from agent.errors import StorageFault
    from agent.storage.files import try_lock

    city = open_city(args)
    lock = os.open(city.at("watch.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not try_lock(lock):
        raise StorageFault(
            "WATCHING_ALREADY",
            say("이 도시를 이미 지켜보고 있습니다", "somebody watches this city already"),
            hint=say("그 `pasu centre watch`를 보십시오", "look at that `pasu centre watch`"),
            city=str(city.folder),
        )
    own = None if args.only_look else signer(args, city, None)
    source = SystemSource()
    witness = Witness(city.at(FILE))
    counters = None if own is None else Counters(city.at(COUNTERS_FILE))
    wire = Wire(city, CLIENT, [f"{TOPIC}/+/{part}" for part in PARTS], keep=True)
    try:
        wire.open(CONNECT_S)
        watching = Watch(
            city,
            wire,
            witness,
            SystemClock(),
            signer=own,
            counters=counters,
            confirm_time=lambda: args.confirm_time or source.kernel_synced(),
            chunk=centre_receive.over_mqtt(city, wire.receipt),
        )
        return _once(args, city, watching) if args.once else _forever(args, city, watching)
    finally:
        wire.close()
        witness.close()
        if counters is not None:
            counters.close()
        os.close(lock)


def _once(args: argparse.Namespace, city: City, watching: Watch) -> int:
    import time

    from agent.cli import board

    until = time.monotonic() + args.within
    while time.monotonic() < until and not (watching.all_heard and watching.all_verified):
        watching.turn(TURN_S)
    watching.commit()
    grave = False
    for alarm in watching.alarms():
        _say(alarm, args)
        grave = grave or alarm.what not in ("silent", "back")
    rows = watching.rows()
    if args.json:
        for row in rows:
            print(json.dumps(board.as_json(row), ensure_ascii=False))
    else:
        board.show(city.name, rows)
    if grave:
        return ALARMED_STATUS
    return 0 if all(row.standing.told_s is not None for row in rows) else PARTLY_STATUS


def _forever(args: argparse.Namespace, city: City, watching: Watch) -> int:
    import time

    from rich.console import Console
    from rich.live import Live

    from agent.cli import board

    drawn_s = 0.0
    if args.json or not sys.stdout.isatty():
        while True:
            watching.turn(TURN_S)
            for alarm in watching.alarms():
                _say(alarm, args)
            if args.json and time.monotonic() - drawn_s >= 30.0:
                drawn_s = time.monotonic()
                for row in watching.rows():
                    print(json.dumps(board.as_json(row), ensure_ascii=False), flush=True)
    console = Console()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            watching.turn(TURN_S)
            for alarm in watching.alarms():
                console.print(f"[bold red]{board.safe(_text(alarm))}[/bold red]")
            if time.monotonic() - drawn_s >= DRAW_S:
                drawn_s = time.monotonic()
                live.update(board.table(city.name, watching.rows()), refresh=True)


def _say(alarm: Alarm, args: argparse.Namespace) -> None:
    if args.json:
        line = {"at_ms": alarm.at_ms, "box": alarm.box, "alarm": alarm.what, "detail": alarm.detail}
        print(json.dumps(line, ensure_ascii=False), flush=True)
    else:
        print(_text(alarm), file=sys.stderr, flush=True)


def _text(alarm: Alarm) -> str:
    from agent.cli.times import show_time

    what = say(*ALARMS[alarm.what]) if alarm.what in ALARMS else alarm.what
    shown = {key: value for key, value in alarm.detail.items() if key != "note" and value not in ("", None)}
    detail = " ".join(f"{key}={value}" for key, value in shown.items())
    return plain(
        f"!! {show_time(alarm.at_ms, None)}  {alarm.box}: {what}" + (f"  ({detail})" if detail else "")
    )


def _add_facts(actions: Any) -> None:
    parser = actions.add_parser(
        "facts", help=say("받아 둔 박스의 기록을 보입니다", "show a box's entries, as they are kept here")
    )
    parser.description = say(
        "관제센터가 받아 둔 박스의 원장을 보입니다. 박스가 꺼졌거나 없어졌어도 볼 수 있습니다.\n\n"
        "예:\n  pasu centre facts gn-0007 --kind hold\n  pasu centre facts gn-0007 --from -7d --to now",
        "Show a box's ledger as it is kept here, also when the box is off or gone.\n\n"
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
    witness = _witness(open_city(args))
    try:
        if args.checkpoint:
            head = witness.newest_head(args.box)
            print(head or "", end="")
            if not head:
                _nothing(args.box)
            return 0 if head else PARTLY_STATUS
        found = witness.facts(args.box, args.kind, start_ms, end_ms, args.last)
        if not found:
            _nothing(args.box)
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
                }
                print(json.dumps(line, ensure_ascii=False))
            else:
                body = " ".join(
                    f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in one.body.items()
                )
                print(plain(f"{one.seq}  {show_time(one.at_ms, zone)}  {kind_name(one.kind)}  {body}"))
    finally:
        witness.close()
    return 0


def _nothing(box: str) -> None:
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


def _witness(city: City) -> Witness:
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
    from agent.centre.watch import Alarm

    witness = _witness(open_city(args))
    try:
        found = list(witness.alarms(args.box))
        if not found and not args.json:
            print(say("알림이 없습니다.", "No alarms."))
        for at_ms, box, what, detail in found:
            alarm = Alarm(at_ms, box, what, detail)
            if args.json:
                _say(alarm, args)
            else:
                print(_text(alarm))
    finally:
        witness.close()
    return 0
