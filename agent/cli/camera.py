"""`pasu camera`: say that a camera was exchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_for_state, user
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Describe the commands."""
    parser = commands.add_parser(
        "camera", help=say("바꾼 카메라를 받아들입니다", "accept a camera that was exchanged")
    )
    parser.description = say(
        "파수는 주소마다 어떤 기기가 있었는지 기억하고, 다른 기기가 답하면 camera.identity_changed로 알립니다. "
        "녹화는 그대로 이어집니다.\n\n예:\n  pasu camera accept cam01 --by 김기사",
        "Pasu remembers which device was at each address, and says camera.identity_changed when another one answers. "
        "Recording goes on.\n\nexample:\n  pasu camera accept cam01 --by kim",
    )
    actions = parser.add_subparsers(
        dest="action", required=True, title=say("명령", "commands"), metavar=say("명령", "COMMAND")
    )
    accept = actions.add_parser(
        "accept",
        help=say(
            "다음에 답하는 기기를 맞는 것으로 기억합니다",
            "remember the next device that answers as the right one",
        ),
    )
    accept.description = say(
        "카메라를 바꾼 뒤에 씁니다. 다음에 답하는 기기를 맞는 것으로 기억합니다. 누가 언제 했는지는 원장에 남습니다.",
        "For after a camera was exchanged: the next device that answers is remembered as the right one. Who said so, "
        "and when, stays in the ledger.",
    )
    accept.add_argument("camera", metavar="ID", help=say("카메라 이름", "the camera's id"))
    accept.add_argument(
        "--by",
        metavar="NAME",
        help=say("받아들이는 사람 (기본: 로그인한 사용자)", "who accepts it (default: who is logged in)"),
    )
    add_config(accept)
    accept.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Accept."""
    from agent.cli.segments import unknown_camera
    from agent.clock import SystemClock
    from agent.model import Fact
    from agent.storage import likenesses
    from agent.storage.catalogue import Catalogue

    config = load_for_state(args.config)
    known = [camera.id for camera in config.cameras]
    if args.camera not in known:
        raise unknown_camera(args.camera, known)
    state = config.storage.state
    catalogue = Catalogue.open(state)
    body = {"camera": args.camera, "by": args.by or user()}
    catalogue.add_fact(Fact("camera.accepted", SystemClock(state).now(), body))
    catalogue.close()
    likenesses.forget(state, args.camera)
    print(
        say(
            f"{args.camera}: 다음에 답하는 기기를 맞는 것으로 기억합니다.",
            f"{args.camera}: the next device that answers is remembered as the right one.",
        )
    )
    return 0
