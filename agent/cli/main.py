"""`pasu`: find the command, call it, and say in the reader's language what went wrong.

Each command is a module with `add(commands)`, which describes it and costs nothing, and `run(args)`, which
imports what it needs. Exit status: 0 done, 2 mistyped, 3 done in part, 70 a bug, 78 configuration,
130 interrupted, 1 anything else.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

import agent
from agent.cli import (
    aim,
    camera,
    centre,
    check,
    clock,
    config,
    demo,
    discover,
    disks,
    doctor,
    enrol,
    export,
    fence,
    health,
    hold,
    init,
    keep,
    ledger,
    open_,
    page,
    pass_,
    rebuild,
    record,
    report,
    run,
    secrets,
    segments,
    status,
    tunnel,
    update,
    uplink,
)
from agent.cli.parser import USAGE_STATUS, Parser
from agent.errors import PasuError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

BUG_STATUS = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED_STATUS = 130  # 128 and SIGINT, as shells count
COMMANDS = (
    init,
    config,
    discover,
    secrets,
    aim,
    doctor,
    record,
    keep,
    uplink,
    tunnel,
    fence,
    run,
    status,
    health,
    page,
    pass_,
    update,
    disks,
    segments,
    check,
    rebuild,
    clock,
    camera,
    hold,
    export,
    ledger,
    report,
    enrol,
    centre,
    open_,
    demo,
)
TIME_OPTIONS = ("--from", "--to")


def build() -> Parser:
    """Describe every command, in the language of now."""
    parser = Parser(
        prog="pasu",
        description=say(
            "파수: 카메라 영상을 봉인하여 저장하고, 정한 날수만큼만 지킵니다.",
            "Pasu records cameras into sealed segments and keeps them for as long as is allowed.",
        ),
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"pasu {agent.__version__}",
        help=say("버전을 보입니다", "show the version"),
    )
    commands = parser.add_subparsers(
        dest="command",
        title=say("명령", "commands"),
        metavar=say("명령", "COMMAND"),
        parser_class=Parser,
    )
    for module in COMMANDS:
        module.add(commands)
    helper = commands.add_parser("help", help=say("도움말을 보입니다", "show help"))
    helper.description = say("명령의 도움말을 보입니다.", "Show the help of a command.")
    helper.add_argument(
        "topic",
        nargs="*",
        metavar="COMMAND",
        help=say("명령 이름. 없으면 전체", "a command; all when there is none"),
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a letter gets a question mark, and not a traceback.
            stream.reconfigure(errors="replace")
    try:
        status = _call(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _call(arguments: list[str]) -> int:
    """Parse and run; argparse leaves by SystemExit after help and for what is mistyped."""
    parser = build()
    try:
        args = parser.parse_args(_bind_times(arguments))
        if args.command == "help":
            return _help(parser, args.topic)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    if args.command is None:
        from agent.cli.first import screen

        print(screen(parser))
        return USAGE_STATUS
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    try:
        status: int = args.run(args)
    except PasuError as error:
        from agent.cli.problem import show_error

        show_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print(say("\n중단했습니다.", "\nInterrupted."), file=sys.stderr)
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        raise
    except Exception:  # noqa: BLE001 - the one place where a bug of any command ends
        traceback.print_exc()
        print(
            say(
                "파수의 오류입니다. 위의 내용 전체를 담당자에게 전해 주십시오.",
                "This is a bug in Pasu. Please hand on everything above.",
            ),
            file=sys.stderr,
        )
        return BUG_STATUS
    return status


def _help(parser: Parser, topic: list[str]) -> int:
    """Show a command's help as `COMMAND --help` does; an unknown one is refused as ever."""
    parser.parse_args([*topic, "--help"])
    return 0


def _bind_times(arguments: list[str]) -> list[str]:
    """Turn `--from -10m` into `--from=-10m`: argparse would take the second word for an option."""
    bound: list[str] = []
    for word in arguments:
        if bound and bound[-1] in TIME_OPTIONS and word[:1] == "-" and word[1:2].isdigit():
            bound[-1] += "=" + word
        else:
            bound.append(word)
    return bound


if __name__ == "__main__":
    sys.exit(main())
