"""`pasu centre canary`: read the word of a canary, which a site wants to hear."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_identity
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(actions: Any) -> None:
    """Describe the command."""
    parser = actions.add_parser(
        "canary", help=say("현장이 보낸 카나리아를 엽니다", "open the canary that a site has sent")
    )
    parser.description = say(
        "`pasu doctor --canary`가 만든 파일을 영상과 같은 키로 열어, 현장에 읽어 줄 낱말을 보입니다.\n\n"
        "예:\n  pasu centre canary --identity centre.key canary.age",
        "Open the file that `pasu doctor --canary` made, with the key of recordings, and show the word to be read to "
        "the site.\n\nexamples:\n  pasu centre canary --identity centre.key canary.age",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=say("카나리아 파일", "the canary"))
    add_identity(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Open it."""
    from agent.centre import keys
    from agent.errors import ConfigError
    from agent.field.doctor import canary

    identities = [identity for file in args.identity for identity in keys.read_identities(file)]
    try:
        with args.file.open("rb") as file:
            box, word = canary.read(file, identities)
    except OSError as error:
        raise ConfigError(
            "CANARY_FILE",
            say("카나리아 파일을 읽을 수 없습니다", "the canary cannot be read"),
            file=str(args.file),
            reason=error.strerror,
        ) from None
    print(say(f"박스 {box}, 낱말: {word}", f"box {box}, word: {word}"))
    return 0
