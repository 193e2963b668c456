"""`pasu uplink`: report to the control centre, and take its commands to keep; in the foreground."""

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
        "uplink",
        help=say("센터에 보고하고 명령을 받습니다", "report to the centre and take its commands"),
    )
    parser.description = say(
        "센터의 브로커에 상태와 원장을 보내고, 센터의 명령을 `pasu keep`에 전합니다. 밖과 말하는 것은 이 "
        "프로세스뿐이며, 영상은 보지 못합니다. 회선이 끊겨도 녹화는 그대로이고, 못 보낸 것은 원장에서 기다립니다. "
        "먼저 `pasu enrol`로 등록해야 합니다. 멈출 때까지 앞에서 돌며, SIGTERM이나 Ctrl-C에 인사하고 끝납니다.",
        "Send health and the ledger to the centre's broker, and hand its commands to `pasu keep`. This is the only "
        "process that talks outside, and it sees no footage. Recording goes on whatever the line does, and what cannot "
        "be sent waits in the ledger. The box must be enrolled first (`pasu enrol`). Runs in the foreground; SIGTERM "
        "or Ctrl-C ends it after a goodbye.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Report until told to stop."""
    from agent import reporting
    from agent.cli.problem import show_warnings
    from agent.config import load

    config = load(args.config)  # no secrets: it speaks to no camera
    show_warnings(config.warnings, sys.stderr)
    return reporting.report(config)
