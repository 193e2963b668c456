"""`pasu health`: what is wrong with the box and what to do, from the files in which its processes say so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "health", help=say("박스의 상태와 할 일을 보입니다", "show how the box is, and what to do")
    )
    parser.description = say(
        "박스에 무엇이 잘못되었고 무엇을 하면 되는지, 이어서 카메라, 저장소, 박스, 센터 연결의 상태를 보입니다. "
        "영상, 비밀번호, 카메라 주소는 보이지 않습니다.\n\n"
        "예:\n  pasu health\n  pasu health --watch",
        "Show what is wrong with the box and what to do about it; then its cameras, vaults, the machine, and "
        "the connection to the centre. No pictures, passwords or addresses of cameras.\n\n"
        "examples:\n  pasu health\n  pasu health --watch",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    form.add_argument(
        "--watch",
        action="store_true",
        help=say("멈출 때까지 새로 고쳐 보입니다 (Ctrl-C)", "show it anew until stopped (Ctrl-C)"),
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show once, or again and again."""
    from agent import overview
    from agent.config import load

    config = load(args.config)
    if args.json:
        print(json.dumps(overview.of_box(config), ensure_ascii=False))
        return 0
    from agent.cli.health_view import draw
    from agent.cli.show import again_and_again, console

    screen = console()
    if not args.watch:
        screen.print(draw(config, overview.of_box(config)))
        return 0
    again_and_again(screen, lambda: draw(config, overview.of_box(config)))
    return 0
