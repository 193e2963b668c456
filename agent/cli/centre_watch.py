"""`pasu centre watch`: all boxes at a glance, and a witness of their ledgers."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.cli import broker_line, centre_facts, centre_incident, centre_receive, centre_viewings
from agent.cli.alarms import say_alarm, show_alarm
from agent.cli.city import add_city, add_passphrase, now_ms, open_city, passphrase
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from agent.centre.city import City
    from agent.centre.service import Service
    from agent.centre.watch import Watch
    from agent.centre.watched import Alarm
    from agent.centre.wire import Wire

CONNECT_S = 15.0
TURN_S = 0.2
DRAW_S = 1.0
ALARMED_STATUS = 1
PARTLY_STATUS = 3
WELL_S = 60.0
NO_BROKER = ("브로커 연결 끊김", "no connection to the broker")


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    parser = actions.add_parser("watch", help=say("모든 박스를 지켜봅니다", "watch all boxes"))
    parser.description = say(
        "모든 박스의 상태를 표로 보이고, 원장을 받아 증인으로 보관합니다: 서명과 이어짐을 확인하고, "
        "갈라짐·되돌림·응답 없음을 "
        "알리며, 빠진 기록을 다시 청하고, 받은 것을 박스에 확인해 줍니다. 늘 켜 두십시오: 브로커가 없으면 기다립니다.\n"
        "끝 상태(--once): 0 이상 없음, 1 원장에 이상이 있음, 3 응답하지 않는 박스가 있음.\n\n"
        "예:\n  pasu centre watch --city gangneung\n  pasu centre watch --city gangneung --once",
        "Show every box in a table, and keep their ledgers as a witness: check signatures and that each "
        "goes on from "
        "what was before, tell of forks, roll-backs and silence, ask again for what is missing, and "
        "acknowledge what "
        "came. Keep it running: it waits for a broker that is away.\n"
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
    centre_facts.add(actions)
    centre_viewings.add(actions)
    centre_incident.add(actions)


def watch(args: argparse.Namespace) -> int:
    """Watch, until Ctrl-C; with --once until everyone was heard."""
    from agent.centre.counters import FILE as COUNTERS_FILE
    from agent.centre.counters import Counters
    from agent.centre.service import Service
    from agent.centre.witness import FILE, Witness
    from agent.errors import StorageFault
    from agent.storage.files import fault, try_lock

    city = open_city(args)
    try:
        lock = os.open(city.at("watch.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise fault("open", city.at("watch.lock"), error) from error
    if not try_lock(lock):
        raise StorageFault(
            "WATCHING_ALREADY",
            say("이 도시를 이미 지켜보고 있습니다", "somebody watches this city already"),
            hint=say("그 `pasu centre watch`를 보십시오", "look at that `pasu centre watch`"),
            city=str(city.folder),
        )
    if not any(city.at("boxes").glob("*.json")):
        print(
            say(
                "아직 등록된 박스가 없습니다: `pasu centre enrol`. 등록하면 바로 나타납니다.",
                "No box is enrolled yet: `pasu centre enrol`. Once it is, it appears here.",
            ),
            file=sys.stderr,
        )
    try:
        service = (
            None if args.only_look else Service(city, partial(passphrase, args.passphrase_file), now_ms())
        )
        # What is damaged is told before anything is waited for.
        Witness(city.at(FILE)).close()
        if service is not None:
            Counters(city.at(COUNTERS_FILE)).close()
        if args.once:
            return _watch(args, city, service)
        return keep_on(lambda: _watch(args, city, service))
    finally:
        os.close(lock)


def keep_on(run: Callable[[], int], pause: Callable[[float], None] = time.sleep) -> int:
    """Watch, and begin anew where the disk of the centre's own files failed: what was not kept comes again.

    Each reason is said once, until it went well for a while.
    """
    from agent.cli.problem import show_error
    from agent.errors import StorageFault

    said: set[tuple[str, str]] = set()
    while True:
        began_s = time.monotonic()
        try:
            return run()
        except StorageFault as fault:
            reason = (fault.code, str(fault.context.get("reason", "")))
            if time.monotonic() - began_s > WELL_S:
                said.clear()
            if reason not in said:
                said.add(reason)
                show_error(fault)
                print(
                    say(
                        "지켜보기를 처음부터 다시 시작합니다. 그만두려면 Ctrl-C.",
                        "The watch begins anew, until it can go on. Ctrl-C ends it.",
                    ),
                    file=sys.stderr,
                    flush=True,
                )
            pause(broker_line.AGAIN_S)


def _watch(args: argparse.Namespace, city: City, service: Service | None) -> int:
    """Open everything, and watch. Raises StorageFault WITNESS_UNUSABLE, COUNTERS_UNUSABLE; UplinkFault with --once."""
    from agent.centre.counters import FILE as COUNTERS_FILE
    from agent.centre.counters import Counters
    from agent.centre.watch import CLIENT, PARTS, Watch
    from agent.centre.wire import TOPIC, Wire
    from agent.centre.witness import FILE, Witness
    from agent.clock import SystemClock, SystemSource

    source = SystemSource()
    with ExitStack() as stack:
        witness = Witness(city.at(FILE))
        stack.callback(witness.close)
        counters = None
        if service is not None:
            counters = Counters(city.at(COUNTERS_FILE))
            stack.callback(counters.close)
        wire = Wire(city, CLIENT, [f"{TOPIC}/+/{part}" for part in PARTS], keep=True)
        stack.callback(wire.close)
        if args.once:
            wire.open(CONNECT_S)
        else:
            broker_line.opened(wire, CONNECT_S)
        watching = Watch(
            city,
            wire,
            witness,
            SystemClock(),
            service=service,
            counters=counters,
            confirm_time=lambda: args.confirm_time or source.kernel_synced(),
            chunk=centre_receive.over_mqtt(city, wire.receipt),
        )
        return _once(args, city, watching) if args.once else _forever(args, city, watching, wire)


def _once(args: argparse.Namespace, city: City, watching: Watch) -> int:
    from agent.centre.notices import is_grave
    from agent.cli import board

    until = time.monotonic() + args.within
    while time.monotonic() < until and not (watching.all_heard and watching.all_verified):
        watching.turn(TURN_S)
    watching.commit()
    grave = False
    for alarm in watching.alarms():
        say_alarm(alarm, as_json=args.json)
        grave = grave or is_grave(alarm)
    rows = watching.rows()
    if args.json:
        for row in rows:
            print(json.dumps(board.as_json(row), ensure_ascii=False))
    else:
        board.show(city.name, rows)
    if grave:
        return ALARMED_STATUS
    return 0 if all(row.standing.told_s is not None for row in rows) else PARTLY_STATUS


def _forever(args: argparse.Namespace, city: City, watching: Watch, wire: Wire) -> int:
    from rich.console import Console
    from rich.live import Live

    from agent.cli import board

    drawn_s = 0.0
    line = broker_line.Line()
    if args.json or not sys.stdout.isatty():
        while True:
            for alarm in _turned(watching, wire, line):
                say_alarm(alarm, as_json=args.json)
            if args.json and time.monotonic() - drawn_s >= 30.0:
                drawn_s = time.monotonic()
                for row in watching.rows():
                    print(json.dumps(board.as_json(row), ensure_ascii=False), flush=True)
    console = Console()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            for alarm in _turned(watching, wire, line):
                console.print(f"[bold red]{board.safe(show_alarm(alarm))}[/bold red]")
            if time.monotonic() - drawn_s >= DRAW_S:
                drawn_s = time.monotonic()
                title = city.name if wire.connected else f"{city.name}: {say(*NO_BROKER)}"
                live.update(board.table(title, watching.rows()), refresh=True)


def _turned(watching: Watch, wire: Wire, line: broker_line.Line) -> Iterator[Alarm]:
    """Watch for a moment; yield what is to be said."""
    watching.turn(TURN_S)
    if what := line.turn(time.monotonic(), connected=wire.connected):
        watching.say(what, {"reason": wire.refusal})
    yield from watching.alarms()
