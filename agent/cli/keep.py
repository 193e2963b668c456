"""`pasu keep`: erase what is due, keep what is held, sign the ledger; in the foreground."""

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
        "keep",
        help=say("보관 기간과 보존 명령을 지킵니다", "keep to the retention and to holds"),
    )
    parser.description = say(
        "보관 기간이 지난 영상을 지우고, 보존 명령이 묶은 영상을 지키고, 원장에 서명합니다. 지우는 일은 이 "
        "프로세스만 하며, 망에는 나가지 않습니다. 시각을 믿을 수 없으면 아무것도 지우지 않습니다(`pasu clock`). "
        "멈출 때까지 앞에서 돌며, SIGTERM이나 Ctrl-C에 하던 일을 마치고 끝납니다.",
        "Erase recordings whose time is over, keep what holds cover, and sign the ledger. This is the only "
        "process that erases, and it has no network. While the time cannot be relied on nothing is erased "
        "(`pasu clock`). Runs in the foreground; SIGTERM or Ctrl-C ends it after what it is doing.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Keep until told to stop."""
    from agent import keeping
    from agent.cli.problem import show_warnings
    from agent.config import load

    config = load(args.config)  # no secrets: it speaks to no camera
    show_warnings(config.warnings, sys.stderr)
    return keeping.keep(config)
