"""`pasu disks`: ask the disks what they say of themselves (SMART). Run as root by a timer, or by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.language import say

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "disks", help=say("디스크의 자가 진단(SMART)을 읽습니다", "read what disks say of themselves (SMART)")
    )
    parser.description = say(
        "저장소와 상태 폴더가 있는 디스크에 smartctl로 상태를 묻고, 상태 파일 <run>/disks.json에 적습니다. "
        "root로 실행해야 하며, 현장에서는 pasu-disks.timer가 30분마다 합니다. "
        "무엇이 잘못인지는 `pasu health`가 보입니다.",
        "Ask the disks under the vaults and the state directory with smartctl, and write what they say to "
        "<run>/disks.json. It needs root; on a site pasu-disks.timer does it every 30 minutes. "
        "What is wrong with them is shown by `pasu health`.",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, write, and show."""
    from agent import disks
    from agent.config import load
    from agent.health import write_health
    from agent.storage import files

    storage = load(args.config).storage
    body = disks.look([*storage.vaults, storage.state])
    try:
        write_health(storage.run, "disks", body)
    except OSError as error:
        raise files.fault("write", storage.run, error) from error
    if args.json:
        print(json.dumps(body, ensure_ascii=False))
        return 0
    from agent.cli.health_view import disk_table
    from agent.cli.show import console

    if body["disks"]:
        console().print(disk_table(body["disks"]))
    else:
        print(say("저장소가 디스크 위에 있지 않습니다.", "No vault lies on a disk."))
    return 0
