"""`pasu fence`: what bars the cameras' side of the box."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.errors import ConfigError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from agent.fence.rules import Fence


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser("fence", help=say("카메라 쪽 울타리", "the fence on the cameras' side"))
    group.description = say(
        "카메라가 박스의 포트에 접속하지 못하게 하고, 박스가 아무것도 다른 망으로 넘기지 않게 합니다. 카메라만 있는 "
        "인터페이스는 통째로, 함께 쓰는 인터페이스에서는 카메라의 주소를 막습니다. 정비용 포트는 막지 않습니다.",
        "Keep cameras from the box's ports, and the box from forwarding anything. An interface where cameras alone "
        "are is barred as a whole; of a shared one, the cameras' addresses are. The maintenance port is never barred.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    parser = actions.add_parser("apply", help=say("울타리를 칩니다", "put the fence into force"))
    parser.description = say(
        "설정과 지금의 경로를 보고 규칙을 만들어 커널에 넣고, 다음 부팅을 위해 /etc/pasu/cameras.nft에 적습니다. "
        "systemd가 부팅 뒤와 설정이 바뀔 때마다 합니다. root로 합니다.",
        "Make the rules of the configuration and of the ways there are now, load them, and write them to "
        "/etc/pasu/cameras.nft for the next boot. systemd does it after each boot and each change of the "
        "configuration. As root.",
    )
    add_config(parser)
    parser.add_argument(
        "--anew",
        action="store_true",
        help=say(
            "전에 막은 인터페이스를 잊고 지금의 경로만 봅니다. 카메라를 다른 포트로 옮긴 뒤에 씁니다",
            "forget which interfaces were barred, and go by the ways there are now: after cameras were moved to "
            "another port",
        ),
    )
    parser.set_defaults(run=apply)
    parser = actions.add_parser(
        "status", help=say("울타리가 서 있는지 보입니다", "show whether the fence stands")
    )
    parser.description = say(
        "무엇이 막혀 있는지, 막지 못한 카메라가 있는지, 커널의 규칙이 그대로인지 보입니다. root로 합니다. 끝 상태는 "
        "모두 서 있으면 0, 아니면 1입니다.",
        "Show what is barred, which cameras are not, and whether the kernel's rules are as they should be. As root. "
        "Exit status: 0 when all stands, 1 otherwise.",
    )
    add_config(parser)
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    parser.set_defaults(run=status)


def apply(args: argparse.Namespace) -> int:
    """Put the fence into force."""
    from agent.config import load
    from agent.fence import side

    _as_root()
    config = load(args.config)
    made = side.wanted(config, anew=args.anew)
    side.apply(made)
    _show(made, (), side.unbarred(config))
    return 0


def status(args: argparse.Namespace) -> int:
    """Show how it stands. Exit status 0 when it does and no camera is left out, 1 otherwise."""
    from agent.config import load
    from agent.fence import side

    _as_root()
    config = load(args.config)
    made, open_ones = side.wanted(config), side.unbarred(config)
    lacks = side.lacks(made)
    if args.json:
        found = {
            "interfaces": [*made.interfaces],
            "cameras": [*made.cameras],
            "ports": [*made.ports],
            "lacks": lacks,
            "unbarred": open_ones,
        }
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        _show(made, lacks, open_ones)
    return 1 if lacks or open_ones else 0


def _show(made: Fence, lacks: Iterable[str], open_ones: Mapping[str, str]) -> None:
    print(say("카메라만 있는 인터페이스:", "interfaces of cameras alone:"), ", ".join(made.interfaces) or "-")
    print(say("막힌 카메라 주소:", "addresses of cameras:"), ", ".join(made.cameras) or "-")
    print(say("울타리:", "fence:"), "; ".join(lacks) or say("서 있음", "stands"))
    if open_ones:
        known = ", ".join(f"{camera} ({host})" for camera, host in open_ones.items())
        print(say("주소를 몰라 막지 못한 카메라:", "not barred, the address is not known:"), known)
        print(
            say(
                "→ agent.toml에 이름 대신 IP 주소를 쓰거나, 이름과 주소를 /etc/hosts에 적고 `sudo pasu fence apply`",
                "→ write the IP address into agent.toml instead of the name, or name and address into /etc/hosts, "
                "then `sudo pasu fence apply`",
            )
        )


def _as_root() -> None:
    if os.geteuid() != 0:
        raise ConfigError(
            "FENCE_NOT_ROOT",
            say("울타리는 root만 다룹니다", "the fence is root's alone"),
            hint=say("`sudo pasu fence ...`로 하십시오", "do it with `sudo pasu fence ...`"),
        )
