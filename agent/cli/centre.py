"""`pasu centre`: the control centre's end of the wire, and the pair of keys whose private half opens recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli import (
    centre_canary,
    centre_city,
    centre_command,
    centre_enrol,
    centre_pass,
    centre_receive,
    centre_ring,
    centre_tunnel,
    centre_watch,
    verify,
)
from agent.language import say

if TYPE_CHECKING:
    import argparse

DEFAULT_FILE = Path("pasu-centre.key")


def add(commands: Any) -> None:
    """Describe the command."""
    group = commands.add_parser(
        "centre", help=say("관제센터에서 쓰는 명령", "commands for the control centre")
    )
    group.description = say("관제센터에서 쓰는 명령입니다.", "Commands for the control centre.")
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    parser = actions.add_parser(
        "keygen", help=say("영상을 여는 키를 만듭니다", "make a key that opens recordings")
    )
    parser.description = say(
        "영상을 여는 키 한 쌍을 만듭니다. 개인키는 파일에(권한 0600, 있는 파일은 덮어쓰지 않음), "
        "공개키는 화면에 나옵니다. "
        "개인키는 박스에 두지 말고 관제센터에 보관하십시오.",
        "Make a pair of keys. The private key goes into a file (mode 0600, never over another file), "
        "the public key "
        "to the screen. Keep the private key at the centre, never on a box.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=DEFAULT_FILE,
        metavar="FILE",
        help=say(f"개인키 파일 (기본 {DEFAULT_FILE})", f"file for the private key (default {DEFAULT_FILE})"),
    )
    parser.set_defaults(run=run)
    for module in (
        centre_city,
        centre_ring,
        centre_enrol,
        centre_tunnel,
        centre_command,
        centre_pass,
        centre_watch,
        centre_receive,
        centre_canary,
        verify,
    ):
        module.add(actions)


def run(args: argparse.Namespace) -> int:
    """Make the pair."""
    from agent.centre import keys

    public = str(keys.keygen(args.output))
    print(say(f"개인키 파일: {args.output}", f"private key in: {args.output}"))
    print(say(f"공개키: {public}", f"public key: {public}"))
    print()
    print(
        say(
            "공개키를 박스의 agent.toml [storage] recipients에 적으십시오.\n"
            "개인키 파일은 사본을 따로 보관하십시오: 잃으면 영상을 열 수 없습니다.",
            "Write the public key into [storage] recipients of each box's agent.toml.\n"
            "Keep a copy of the private key elsewhere: without it no recording can be opened.",
        )
    )
    return 0
