"""`pasu page`: the health page on the site, in the foreground."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "page", help=say("현장에서 보는 상태 페이지를 엽니다", "serve the health page on the site")
    )
    parser.description = say(
        "정비용 포트에서 상태 페이지를 HTTPS로 엽니다. 무엇이 잘못되었고 무엇을 하면 되는지, 카메라마다 지난 24시간, "
        "디스크와 센터 연결을 휴대전화에서도 봅니다. 영상은 볼 수 없고, 이 프로세스는 영상에 닿지 못합니다. "
        "들어가려면 출입증이 필요합니다(`pasu pass issue`). 설정의 [page]를 씁니다.",
        "Serve the health page by HTTPS at the maintenance port: what is wrong and what to do, each camera's last 24 "
        "hours, disks and the connection to the centre, also on a telephone. No video can be seen, and this process "
        "cannot reach any. To enter, a pass is needed (`pasu pass issue`). Uses [page] of the configuration.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from agent.cli.problem import show_warnings
    from agent.config import load
    from agent.field.page import life

    config = load(args.config)  # no secrets: it speaks to no camera
    show_warnings(config.warnings, sys.stderr)
    return life.serve(config)
