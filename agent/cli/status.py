"""`pasu status`: the whole box on one screen, live. `pasu health` has the details; both read the same."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "status", help=say("박스 전체를 한 화면에 보입니다", "show the whole box on one screen")
    )
    parser.description = say(
        "박스 전체를 한 화면에 새로 고쳐 보입니다: 무엇이 잘못되었고 무엇을 하면 되는지, 카메라마다 지난 24시간, "
        "저장소와 예상 보관 일수, 센터 연결, 누가 페이지를 보았는지, 페이지의 인증서 지문. 자세한 것은 "
        "`pasu health`에 있습니다. "
        "Ctrl-C로 끝냅니다. 파이프나 파일에는 한 번만 씁니다.",
        "Show the whole box on one screen, live: what is wrong and what to do, each camera's last 24 hours, vaults "
        "and for how many days they do, the connection to the centre, who looked at the page, and its certificate's "
        "fingerprint. `pasu health` has the details. Ctrl-C ends it; into a pipe or a file it is written once.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    form.add_argument("--once", action="store_true", help=say("한 번만 보입니다", "show it once"))
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from agent import overview
    from agent.config import load

    config = load(args.config)
    if args.json:
        print(json.dumps(overview.of_box(config), ensure_ascii=False))
        return 0
    from agent.cli.show import again_and_again, console
    from agent.cli.status_view import draw

    screen = console()
    if args.once or not sys.stdout.isatty():
        screen.print(draw(config, overview.of_box(config), screen.width))
        return 0
    again_and_again(screen, lambda: draw(config, overview.of_box(config), screen.width))
    return 0
