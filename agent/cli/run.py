"""`pasu run`: all of Pasu's processes in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_with_secrets
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "run", help=say("모든 프로세스를 앞에서 돌립니다", "run all processes in the foreground")
    )
    parser.description = say(
        "파수의 모든 프로세스를 앞에서 돌립니다. 처음 살펴볼 때와 개발할 때 씁니다. 현장에서는 "
        "systemd가 하나씩 따로 돌립니다.",
        "Run all of Pasu's processes in the foreground: for a first look and for development. On a "
        "site systemd runs "
        "each by itself.",
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run everything until told to stop."""
    config, secrets = load_with_secrets(args.config)
    from agent import together

    return together.run(config, secrets)
