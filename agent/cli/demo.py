"""`pasu demo`: record virtual cameras for a while, open what was recorded, and show it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse

MAX_CAMERAS = 32
MAX_SECONDS = 86_400


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "demo", help=say("가상 카메라로 전 과정을 보입니다", "show it all with virtual cameras")
    )
    parser.description = say(
        "작은 도시를 만들어 박스 두 대를 등록하고, 가상 카메라를 잠시 녹화하며 관제센터에서 지켜봅니다. "
        "서명된 명령을 하나 보내고, 봉인된 조각을 열어 한 장의 그림으로 보이고, 관제센터의 표로 마칩니다. "
        "카메라도 설정도 필요 없습니다. MQTT 브로커는 mosquitto가 있으면 그것을, 없으면 파이썬으로 된 것을 씁니다.",
        "Found a small city, enrol two boxes, record virtual cameras for a while and watch them from the centre. "
        "One signed command is sent, the sealed segments are opened and shown on one sheet, and the centre's "
        "table is the end. Needs neither cameras nor configuration. The MQTT broker is mosquitto where there is "
        "one, else one in Python.",
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=30,
        metavar="N",
        help=say("녹화할 초 (기본 30)", "seconds to record (default 30)"),
    )
    parser.add_argument(
        "--cameras",
        type=int,
        default=4,
        metavar="N",
        help=say("박스마다 카메라 수 (기본 4)", "number of cameras on each box (default 4)"),
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help=say("결과를 둘 폴더 (기본 demo-output)", "folder for the results (default demo-output)"),
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help=say("저장소와 키도 남깁니다", "keep the vaults and the keys as well"),
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    for name, value, most in (
        ("--seconds", args.seconds, MAX_SECONDS),
        ("--cameras", args.cameras, MAX_CAMERAS),
    ):
        if not 1 <= value <= most:
            raise UsageError(
                "NUMBER_OUT_OF_RANGE",
                say(f"{name} {value}: 쓸 수 없는 값입니다", f"{name} {value} is out of range"),
                hint=say(f"1부터 {most}까지", f"1 to {most}"),
            )
    import signal

    from agent.demo.broker import mosquitto
    from agent.demo.show import show

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.default_int_handler)  # all is ended in order, as after Ctrl-C
    return show(args.seconds, args.cameras, args.output, mosquitto=mosquitto(), keep=args.keep)
