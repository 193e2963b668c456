"""`pasu record`: record all cameras, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_with_secrets
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser("record", help=say("모든 카메라를 녹화합니다", "record all cameras"))
    parser.description = say(
        "설정에 있는 모든 카메라를 녹화합니다. 멈출 때까지 앞에서 돌며, SIGTERM이나 Ctrl-C에 열린 "
        "조각을 모두 마치고 끝납니다.",
        "Record every camera of the configuration. Runs in the foreground; SIGTERM or Ctrl-C commits "
        "every open "
        "segment and ends it.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Record until told to stop."""
    config, secrets = load_with_secrets(args.config)
    from agent import app

    return app.record(config, secrets)
