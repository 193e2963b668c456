"""`pasu config check`: everything that is wrong with a configuration, or what it says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import DEFAULT_CONFIG
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.config import Camera, Config, Secrets
    from agent.config.load import ConfigProblems


def add(commands: Any) -> None:
    """Describe the command."""
    group = commands.add_parser("config", help=say("설정 파일을 다룹니다", "work with the configuration"))
    group.description = say("설정 파일을 다룹니다.", "Work with the configuration.")
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    parser = actions.add_parser("check", help=say("설정 파일을 검사합니다", "check a configuration"))
    parser.description = say(
        "설정 파일과 그 옆의 계정을 검사합니다. 잘못된 것을 한 번에 모두 보이고, 없으면 "
        "요약표를 보입니다. "
        "끝 상태: 0 좋음, 78 쓸 수 없음.",
        "Check a configuration and the log-ins beside it. Shows everything that is wrong at once; "
        "when nothing is, "
        "a summary. Exit status: 0 good, 78 refused.",
    )
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help=say(f"설정 파일 (기본 {DEFAULT_CONFIG})", f"configuration file (default {DEFAULT_CONFIG})"),
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, and print problems or a summary."""
    from agent.cli.problem import show_problems, show_warnings
    from agent.config import ConfigProblems, ConfigWarning, Secrets, load
    from agent.log_ins import LogIns, beside

    config: Config | None = None
    secrets = Secrets()
    refused: list[ConfigProblems] = []
    try:
        config = load(args.file)
    except ConfigProblems as problems:
        refused.append(problems)
    try:
        secrets = beside(args.file)
    except ConfigProblems as problems:
        refused.append(problems)
    for number, error in enumerate(refused):
        if number:
            print(file=sys.stderr)
        show_problems(error, sys.stderr)
    if config is None or refused:
        return ConfigProblems.exit_code
    _summary(config, secrets)
    warnings = list(config.warnings)
    lie = LogIns(config.file)
    where = ", ".join(each.name for each in (lie.clear, lie.sealed) if each.exists())
    for camera in secrets.cameras():
        if config.camera(camera) is None:
            text = say("이 이름의 카메라가 없습니다", "there is no camera of this name")
            warnings.append(ConfigWarning("CONFIG_SECRETS_UNUSED", f"{where}: camera.{camera}", text))
    for address in secrets.brokers():
        if address not in {getattr(trigger.source, "host", None) for trigger in config.triggers}:
            text = say("이 주소의 신호가 없습니다", "no trigger comes from this address")
            warnings.append(ConfigWarning("CONFIG_SECRETS_UNUSED", f"{where}: broker.{address}", text))
    if warnings:
        print()
        show_warnings(warnings, sys.stdout)
    return 0


def _summary(config: Config, secrets: Secrets) -> None:
    from agent.cli.show import console, table

    box, storage = config.box, config.storage
    print(say(f"좋습니다: {config.file}", f"good: {config.file}"))
    print()
    days = storage.retention_days
    rows = [
        (say("박스", "box"), f"{box.id}  {box.site}  ({box.operator}, {box.contact})"),
        (say("영상 폴더", "vault"), ", ".join(map(str, storage.vaults))),
        (say("상태 폴더", "state"), str(storage.state)),
        (say("보관", "kept for"), say(f"{days}일", f"{days} days")),
        (
            say("조각", "segments"),
            say(
                f"{storage.segment_s}초, 정전 때 잃는 시간 최대 {storage.loss_window_s:g}초",
                f"{storage.segment_s} s, a power cut costs at most {storage.loss_window_s:g} s",
            ),
        ),
        (say("공개키", "sealed to"), "\n".join(storage.recipients)),
    ]
    if config.uplink:
        rows.append((say("보고", "uplink"), config.uplink.broker))
    if config.tunnel:
        rows.append((say("터널", "tunnel"), config.tunnel.interface))
    terminal = console()
    plain = table(("", ""), rows, folding=(1,))
    plain.show_header = False
    terminal.print(plain)
    print()
    heads = say("카메라|이름|주소|목적|보관|로그인", "camera|name|address|purpose|kept|log-in").split("|")
    if any(camera.hours for camera in config.cameras):
        heads.append(say("녹화 시간", "recorded"))
    terminal.print(
        table(
            heads,
            [_camera_row(camera, secrets)[: len(heads)] for camera in config.cameras],
            right=(4,),
            folding=(1, 2, 3, 6),
        )
    )
    count = len(config.cameras)
    print()
    print(say(f"카메라 {count}대", f"{count} camera{'s' * (count != 1)}"))


def _camera_row(camera: Camera, secrets: Secrets) -> list[str]:
    from agent.field import words

    login = secrets.login(camera.id)
    address = camera.url if camera.sub_url is None else f"{camera.url}\n{camera.sub_url}"
    return [
        camera.id,
        camera.name,
        address,
        camera.purpose.title,
        say(f"{camera.retention_days}일", f"{camera.retention_days} d"),
        say("있음", "yes") if login else say("없음", "no"),
        words.hours(camera.hours) or say("늘", "always"),
    ]
