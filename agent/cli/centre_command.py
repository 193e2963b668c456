"""`pasu centre command`: sign a command for a box, send it, and say what became of it."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.city import add_city, add_passphrase, now_ms, open_city, signer, signing_key
from agent.cli.fields import plain
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from agent.centre.city import City
    from agent.centre.sender import Sealed
    from agent.command.table import Argument

CONNECT_S = 15.0
TRUST_S = 2.0  # what the broker kept comes at once
CHALLENGE_S = 45.0  # a box speaks each 30 s
REFUSED_STATUS = 1
PARTLY_STATUS = 3
STATUSES = {
    "accepted": ("받아들임", "accepted"),
    "refused": ("거절함", "refused"),
    "waiting": ("앞선 명령을 기다림", "waits for a command before it"),
    "delayed": ("24시간 뒤에 실행함", "will be carried out in 24 hours"),
    "progress": ("진행 중", "in progress"),
    "done": ("마침", "done"),
    "failed": ("실패함", "failed"),
}


def add(actions: Any) -> None:
    """Describe the command, below `pasu centre`."""
    parser = actions.add_parser(
        "command", help=say("박스에 서명된 명령을 보냅니다", "send a signed command to a box")
    )
    parser.description = say(
        "명령에 서명하여 박스에 보내고, 답을 기다려 보입니다. 명령과 인자는 docs/signed-commands.md에 "
        "있습니다. "
        "시각 인자(from_ms 등)는 2026-11-20T21:00처럼, 목록은 쉼표로, 파일의 내용은 @파일로 씁니다. "
        "끝 상태: 0 마침, 1 거절이나 실패, 3 아직 끝나지 않음.\n\n"
        "예:\n  pasu centre command gn-0007 inspect --as 김OO\n"
        "  pasu centre command gn-0007 hold.place cameras=cam01 from_ms=2026-11-20T21:00 "
        "to_ms=2026-11-20T23:00 "
        'ground=investigation authority="강릉경찰서 2026-123" review=2027-01-20 --as 김OO\n'
        "  pasu centre command gn-0007 hold.release hold=... reason=... --as 김OO --second 이OO",
        "Sign a command, send it to a box, and show its answers. Commands and arguments are in "
        "docs/signed-commands.md. "
        "Write times (from_ms and the like) as 2026-11-20T21:00, lists with commas, a file's content as @FILE. "
        "Exit status: 0 done, 1 refused or failed, 3 not finished yet.\n\n"
        "examples:\n  pasu centre command gn-0007 inspect --as kim\n"
        "  pasu centre command gn-0007 hold.place cameras=cam01 from_ms=2026-11-20T21:00 "
        "to_ms=2026-11-20T23:00 "
        'ground=investigation authority="Gangneung police 2026-123" review=2027-01-20 --as kim\n'
        "  pasu centre command gn-0007 hold.release hold=... reason=... --as kim --second lee",
    )
    parser.add_argument("box", metavar="BOX", help=say("박스 id", "the box's id"))
    parser.add_argument("name", metavar="COMMAND", help=say("명령", "the command"))
    parser.add_argument("arguments", nargs="*", metavar="KEY=VALUE", help=say("명령의 인자", "its arguments"))
    add_signing(parser)
    parser.add_argument(
        "--print",
        action="store_true",
        help=say("보내지 않고 서명된 명령을 보입니다", "show the signed command instead of sending it"),
    )
    parser.add_argument(
        "--json", action="store_true", help=say("답을 JSON으로 씁니다", "write answers as JSON")
    )
    parser.add_argument(
        "--utc",
        action="store_true",
        help=say("시각을 UTC로 읽습니다", "read times as UTC instead of local time"),
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help=say(
            "countersign: 보여 준 명령에 묻지 않고 서명합니다",
            "countersign: sign the order that is shown, unasked",
        ),
    )
    add_city(parser)
    add_passphrase(parser)
    parser.set_defaults(run=run)


def add_signing(parser: argparse.ArgumentParser) -> None:
    """Add who signs, for how long it counts, and how long to wait."""
    parser.add_argument(
        "--as",
        dest="holder",
        metavar="NAME",
        help=say(
            "서명하는 사람, 이름이나 kid (기본: 관제 프로그램의 키)",
            "who signs: name or kid (default: the centre)",
        ),
    )
    parser.add_argument(
        "--second", metavar="NAME", help=say("두 번째로 서명하는 사람", "who signs as the second")
    )
    parser.add_argument(
        "--life",
        default="1h",
        metavar="LENGTH",
        help=say("명령이 유효한 시간, 24h까지 (기본 1h)", "how long it counts, at most 24h (default 1h)"),
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help=say(
            "박스가 방금 낸 값을 넣습니다. 시각을 믿지 못하는 박스에는 저절로 넣습니다",
            "put in the box's challenge, also where it is not known to need it",
        ),
    )
    parser.add_argument(
        "--challenge",
        metavar="HEX",
        help=say("박스가 낸 값을 직접 줍니다 (--print와 함께)", "give the box's challenge (with --print)"),
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="S",
        help=say("답을 기다리는 초 (기본 60)", "seconds to wait for answers (default 60)"),
    )


def run(args: argparse.Namespace) -> int:
    """Sign, send, and wait."""
    from agent.cli.centre_second import look_before
    from agent.command.table import COUNTERSIGN

    city = open_city(args)
    look_at_box(city, args.box)
    arguments = _arguments(args)
    again: Callable[[], dict[str, Any]] = partial(_arguments, args)
    if args.name == COUNTERSIGN:
        look_before(args, city, arguments["order"], signing_key(city, args.holder))
        # What was shown is what is signed, whatever its file holds by then.
        again = partial(dict, arguments)
    if args.print:
        print(_seal(args, city, arguments, args.challenge).text)
        return 0

    def tell(reply: dict[str, Any]) -> None:
        print(json.dumps(reply, ensure_ascii=False) if args.json else show(reply), flush=True)

    last = exchange(args, city, again, tell)
    if last is None and not args.json:
        print(no_answer())
    return status_of(last)


def exchange(
    args: argparse.Namespace,
    city: City,
    arguments: Callable[[], dict[str, Any]],
    tell: Callable[[dict[str, Any]], None],
) -> dict[str, Any] | None:
    """Sign a command, send it, and hear what the box says.

    arguments  what it orders, asked for again at the moment of signing: "now" is that one
    tell       is told each reply
    Returns    the last reply, None when there was none
    """
    from agent.centre import sender
    from agent.centre.wire import Wire
    from agent.command.table import COMMANDS

    wanted, ordered = COMMANDS.get(args.name), arguments()
    topics = [f"pasu/v1/{args.box}/{part}" for part in ("reply", "health", "birth")]
    wire = Wire(city, f"centre-command-{os.urandom(4).hex()}", topics, keep=False)
    last = None
    try:
        wire.open(CONNECT_S)
        challenge = args.challenge
        needed = args.fresh or (wanted is not None and wanted.challenge)
        if challenge is None and (needed or sender.said_trust(wire, args.box, TRUST_S) == "UNTRUSTED"):
            challenge = sender.fresh_challenge(wire, args.box, CHALLENGE_S)
            ordered = arguments()
        sealed = _seal(args, city, ordered, challenge)
        sender.post(wire, sealed)
        if not args.json:
            print(say(f"보냈습니다: {args.name} ({sealed.id})", f"sent: {args.name} ({sealed.id})"))
        for reply in sender.replies(wire, sealed, args.wait):
            last = reply
            tell(reply)
    finally:
        wire.close()
    return last


def no_answer() -> str:
    """Say that a box has said nothing."""
    return say(
        "아직 답이 없습니다. 박스가 꺼져 있으면 켜진 뒤에 실행될 수 있습니다(유효 시간까지).",
        "No answer yet. A box that is away may still carry it out when it comes back, while it counts.",
    )


def status_of(last: dict[str, Any] | None) -> int:
    """Return the exit status of a command's last reply."""
    status = last["status"] if last else ""
    return {"done": 0, "refused": REFUSED_STATUS, "failed": REFUSED_STATUS}.get(status, PARTLY_STATUS)


def look_at_box(city: City, box: str) -> None:
    """Warn of a box that nobody enrolled here: this may be a slip, or a signer's folder that is older than the box.

    Raises  ConfigError BOX_UNKNOWN for what no box can be called; CITY_DAMAGED
    """
    from agent.centre import registry
    from agent.enrolment import form

    if not form.is_box(box):
        registry.known_box(city, box)
    if registry.find(city, box) is None:
        print(
            say(
                f"주의: 이 폴더에 {box}라는 박스는 등록되어 있지 않습니다 (`pasu centre boxes`).",
                f"Beware: no box {box} is enrolled in this folder (`pasu centre boxes`).",
            ),
            file=sys.stderr,
        )


def _seal(args: argparse.Namespace, city: City, arguments: dict[str, Any], challenge: str | None) -> Sealed:
    from agent.centre import sender
    from agent.centre.counters import FILE, Counters
    from agent.cli.times import parse_length

    first = signer(args, city, args.holder)
    second = signer(args, city, args.second) if args.second else None
    life_ms = parse_length(args.life) * 1000
    counters = Counters(city.at(FILE))
    try:
        moment = now_ms()
        sealed = sender.seal(
            city,
            first,
            args.box,
            args.name,
            arguments,
            counter=counters.take(first.key.kid, args.box),
            now_ms=moment,
            life_ms=life_ms,
            challenge=challenge,
        )
        if second is None:
            return sealed
        return sender.countersign(
            city,
            second,
            sealed,
            counter=counters.take(second.key.kid, args.box),
            now_ms=moment,
            life_ms=life_ms,
            challenge=challenge,
        )
    finally:
        counters.close()


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Read KEY=VALUE by the command's table. Raises UsageError COMMAND_UNKNOWN, COMMAND_ARGUMENT."""
    from agent.command.errors import CommandRefused
    from agent.command.table import COMMANDS, COUNTERSIGN, COUNTERSIGNING, check_arguments

    command = COUNTERSIGNING if args.name == COUNTERSIGN else COMMANDS.get(args.name)
    if command is None:
        raise UsageError(
            "COMMAND_UNKNOWN",
            say(f"이런 명령이 없습니다: {args.name}", f"no such command: {args.name}"),
            hint=", ".join([*COMMANDS, COUNTERSIGN]),
        )
    known = {argument.name: argument for argument in command.arguments}
    found: dict[str, Any] = {}
    for word in args.arguments:
        name, equals, value = word.partition("=")
        if not equals or name not in known or name in found:
            raise _wrong(name, command.arguments)
        found[name] = _value(known[name], value, utc=args.utc)
    try:
        check_arguments(command, found)
    except CommandRefused as error:
        raise _wrong(str(error.context.get("reason", "")), command.arguments) from None
    return found


def _value(argument: Argument, text: str, *, utc: bool) -> Any:
    from agent.cli.times import parse_time
    from agent.command import table

    if text.startswith("@"):
        try:
            return (
                Path(text[1:]).read_text(encoding="utf-8").strip("\n" if argument.kind is table.JWS else "")
            )
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                "FILE_UNREADABLE",
                say(f"파일을 읽을 수 없습니다: {text[1:]}", f"cannot read the file: {text[1:]}"),
                hint=say("이름과 권한을 확인하십시오", "check its name and mode"),
                reason=getattr(error, "strerror", "") or "",
            ) from None
    if argument.kind is table.MS:
        return (
            int(text)
            if text.isdigit() and len(text) > 8
            else parse_time(text, now_ms(), UTC if utc else None)
        )
    if argument.kind in (table.SEQ, table.MINUTES, table.MODE_MINUTES, table.HOURS):
        return int(text) if text.isdigit() else text
    if argument.kind is table.BOOL:
        return {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}.get(
            text.lower(), text
        )
    if argument.kind is table.CAMERAS:
        return [word.strip() for word in text.split(",")]
    return text


def _wrong(name: str, known: tuple[Argument, ...]) -> UsageError:
    shown = "\n".join(
        f"  {one.name}{say(' (없어도 됨)', ' (may be left out)') if one.optional else ''}: "
        + say(one.kind.korean, one.kind.english)
        for one in known
    )
    return UsageError(
        "COMMAND_ARGUMENT",
        say(f"인자가 빠졌거나 틀렸습니다: {name}", f"an argument is missing or wrong: {name}"),
        hint="\n" + shown,
    )


def show(reply: dict[str, Any]) -> str:
    """Write a reply for people."""
    status = say(*STATUSES[reply["status"]]) if reply["status"] in STATUSES else reply["status"]
    detail = reply.get("detail")
    if reply.get("code"):
        status += f": {show_code(reply)}"
    more = f"\n{json.dumps(detail, ensure_ascii=False, indent=1)}" if detail else ""
    return plain(status + more, lines=True)


def show_code(reply: dict[str, Any]) -> str:
    """Write why a command was refused or failed, in the reader's language."""
    from agent.cli.codes import CODES

    code = str(reply.get("code", ""))
    known = CODES.get(code)
    return plain(f"{code} ({known.what}. {known.next})" if known else code or str(reply.get("status", "")))
