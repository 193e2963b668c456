"""`pasu centre pass`: let a contractor see a box's health page, from the centre."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from agent.cli import centre_command, pass_shown
from agent.cli.city import add_city, add_passphrase, open_city
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    group = actions.add_parser(
        "pass",
        help=say("박스의 상태 페이지에 들어갈 출입증을 다룹니다", "let somebody see a box's health page"),
    )
    group.description = say(
        "서명된 명령으로 박스의 상태 페이지의 출입증을 발급하고 취소합니다. 코드는 여기서 만들어져 여기서만 보이고, "
        "박스에는 그 해시만 갑니다.",
        "Issue and revoke passes to a box's health page by a signed command. The code is made here and shown here; "
        "only its hash goes to the box.",
    )
    words = group.add_subparsers(
        dest="word", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_issue(words)
    _add_revoke(words)


def _add_issue(words: Any) -> None:
    parser = words.add_parser("issue", help=say("출입증을 발급합니다", "issue a pass"))
    parser.description = say(
        "출입증을 발급하고, 박스가 받았으면 QR 코드와 코드를 보입니다. 코드는 다시 볼 수 없습니다. "
        "끝 상태: 0 발급됨, 1 거절, 3 아직 답이 없음.\n\n"
        "예:\n  pasu centre pass issue gn-0007 --for 김정비 --company 한빛보안 --hours 4 --as 김OO",
        "Issue a pass, and show it as a QR code and as a code once the box has taken it; the code cannot be shown "
        "again. Exit status: 0 issued, 1 refused, 3 no answer yet.\n\n"
        "examples:\n"
        '  pasu centre pass issue gn-0007 --for "Kim Jeongbi" --company Hanbit --hours 4 --as kim',
    )
    parser.add_argument("box", metavar="BOX", help=say("박스 id", "the box's id"))
    pass_shown.add_wanted(parser)
    _add_rest(parser)
    parser.set_defaults(run=run_issue, name="pass.issue")


def _add_revoke(words: Any) -> None:
    parser = words.add_parser("revoke", help=say("출입증을 취소합니다", "revoke a pass"))
    parser.description = say(
        "출입증을 취소합니다. 들어와 있던 사람도 곧바로 볼 수 없게 됩니다.\n\n"
        '예:\n  pasu centre pass revoke gn-0007 1a2b3c4d --reason "작업 마침" --as 김OO',
        "Revoke a pass. Whoever is in by it sees nothing more from then on.\n\n"
        'examples:\n  pasu centre pass revoke gn-0007 1a2b3c4d --reason "work is done" --as kim',
    )
    parser.add_argument("box", metavar="BOX", help=say("박스 id", "the box's id"))
    pass_shown.add_revoked(parser)
    _add_rest(parser)
    parser.set_defaults(run=run_revoke, name="pass.revoke")


def _add_rest(parser: argparse.ArgumentParser) -> None:
    centre_command.add_signing(parser)
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_city(parser)
    add_passphrase(parser)


def run_issue(args: argparse.Namespace) -> int:
    """Make a code, have the box take its hash, and show it."""
    from agent import passes

    code = passes.new_code(os.urandom(passes.CODE_BYTES))
    digest = passes.digest_of(code)
    arguments = {"name": args.person, "company": args.company, "hours": args.hours, "digest": digest}
    with pass_shown.made(args.qr) as file:
        last = _send(args, arguments)
        status = centre_command.status_of(last)
        if last is None:
            # It may still be carried out, and then nobody could use it.
            if args.json:
                print(json.dumps({"code": code, "status": None}))
            else:
                print(centre_command.no_answer())
                print(say(f"코드: {code}", f"code: {code}"))
        elif status == 0:
            detail = last["detail"]
            shown = pass_shown.Shown(
                str(detail["pass"]),
                f"{args.person} · {args.company}",
                code,
                str(detail["address"]),
                int(detail["until_ms"]),
                str(detail["fingerprint"]),
            )
            pass_shown.show(shown, file, args.qr, as_json=args.json)
    if status != 0 and args.qr is not None:
        args.qr.unlink(missing_ok=True)
    return status


def run_revoke(args: argparse.Namespace) -> int:
    """Have the box take it back."""
    last = _send(args, {"pass": args.id, "reason": args.reason})
    if args.json:
        print(json.dumps(last, ensure_ascii=False))
    elif last is None:
        print(centre_command.no_answer())
    return centre_command.status_of(last)


def _send(args: argparse.Namespace, arguments: dict[str, Any]) -> dict[str, Any] | None:
    from agent.command.errors import CommandRefused
    from agent.command.table import COMMANDS, check_arguments

    try:
        check_arguments(COMMANDS[args.name], arguments)
    except CommandRefused as error:
        name = str(error.context.get("reason", ""))
        raise UsageError(
            "COMMAND_ARGUMENT",
            say(f"쓸 수 없는 값: {name}", f"not to be used: {name}"),
            hint=say("docs/signed-commands.md를 보십시오", "see docs/signed-commands.md"),
        ) from None
    city = open_city(args)
    centre_command.look_at_box(city, args.box)

    def tell(reply: dict[str, Any]) -> None:
        if not args.json and (reply["status"] != "done" or args.name == "pass.revoke"):
            print(centre_command.show(reply), flush=True)

    return centre_command.exchange(args, city, lambda: arguments, tell)
