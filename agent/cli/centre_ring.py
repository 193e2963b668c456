"""`pasu centre ring`: take the key ring to the boxes, and say which keys open recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.cli.centre_city import finish, push_hint, root_key
from agent.cli.city import now_ms, open_city, signer
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    group = actions.add_parser(
        "ring", help=say("키 목록을 박스에 보냅니다", "take the key ring to the boxes")
    )
    group.description = say("루트 키가 서명한 키 목록입니다.", "The key ring that the root key signed.")
    below = group.add_subparsers(
        dest="what", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    parser = below.add_parser("push", help=say("가장 새 키 목록을 보냅니다", "send the newest key ring"))
    parser.description = say(
        "가장 새 키 목록을 등록된 박스에 보내고 답을 기다립니다. 끝 상태: 0 모두 받음, 3 답하지 않은 "
        "박스가 있음, 1 거절한 박스가 있음.",
        "Send the newest key ring to the boxes that are enrolled, and wait for their answers. Exit "
        "status: 0 all took it, "
        "3 some did not answer, 1 some refused.",
    )
    parser.add_argument(
        "boxes", nargs="*", metavar="BOX", help=say("박스 id. 없으면 모두", "boxes; all without any")
    )
    parser.add_argument(
        "--as",
        dest="holder",
        metavar="NAME",
        help=say("서명하는 사람 (기본: 관제 프로그램의 키)", "who signs (default: the centre's own key)"),
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="S",
        help=say("답을 기다리는 초 (기본 60)", "seconds to wait for answers (default 60)"),
    )
    finish(parser, ring_push)
    parser = below.add_parser(
        "recipients", help=say("영상을 여는 키를 바꿉니다", "change which keys open recordings")
    )
    parser.description = say(
        "앞으로 녹화되는 영상을 이 공개키들로 봉인하게 합니다. 이미 녹화된 것은 옛 키로만 열립니다: 옛 "
        "개인키를 보관하십시오.",
        "Have what is recorded from now on sealed to these public keys. What was recorded before opens "
        "with the old keys "
        "only: keep those.",
    )
    parser.add_argument(
        "recipients",
        nargs="+",
        metavar="AGE1...",
        help=say("공개키, 둘 이상 권함", "public keys; two or more"),
    )
    finish(parser, ring_recipients)


def ring_push(args: argparse.Namespace) -> int:
    """Send the ring."""
    from agent.centre import registry, rings
    from agent.centre.push import push
    from agent.cli.centre_command import show_code

    city = open_city(args)
    ring = rings.newest(city)
    boxes = args.boxes or [box.id for box in registry.boxes(city) if box.out_ms is None]
    for box in args.boxes:
        registry.known_box(city, box)
    answers = push(city, signer(args, city, args.holder), boxes, args.wait)
    for box in boxes:
        reply = answers.get(box)
        if reply is None:
            print(f"{box}: {say('답 없음', 'no answer')}")
        elif reply["status"] == "done":
            print(f"{box}: {say(f'키 목록 {ring.epoch}판을 받음', f'took edition {ring.epoch}')}")
        elif reply.get("code") == "RING_EPOCH":
            edition = ring.epoch
            print(
                f"{box}: {say(f'{edition}판이나 더 새 것이 이미 있음', f'has edition {edition}, or a newer one')}"
            )
        else:
            print(f"{box}: {show_code(reply)}")
    if any(reply["status"] != "done" and reply.get("code") != "RING_EPOCH" for reply in answers.values()):
        return 1
    return 0 if len(answers) == len(boxes) else 3


def ring_recipients(args: argparse.Namespace) -> int:
    """Change the recipients."""
    from agent.centre import rings

    city = open_city(args)
    push_hint(rings.set_recipients(city, root_key(args, city), args.recipients, now_ms()))
    return 0
