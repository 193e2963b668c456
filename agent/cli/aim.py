"""`pasu aim`: live bars while a technician turns and focuses a camera. Nobody sees a picture."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_with_secrets, user
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.config import Config
    from agent.field.aiming import Aim
    from agent.field.looking import Looking

LINE_S = 1.0
WAIT_S = 1.0
MOST_SECONDS = 3600


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "aim", help=say("카메라의 방향과 초점을 맞춥니다", "turn and focus a camera")
    )
    parser.description = say(
        "카메라를 돌리고 초점을 맞추는 동안 선명도, 밝기, 잡음, 가려짐을 막대로 보입니다. 그림은 누구에게도 보이지 "
        "않고, 남지 않습니다. 실시간을 내보내도록 된 박스에서는 녹화되는 것을 재고, 아니면 카메라에 따로 접속합니다. "
        "선명도의 ▲는 지금까지 가장 좋았던 곳입니다: 지나친 다음 그곳으로 되돌리십시오. Ctrl-C로 끝냅니다. 누가 "
        "언제 맞추었는지 원장에 남습니다.",
        "While you turn and focus a camera, show bars of sharpness, brightness, noise and cover. The picture is shown "
        "to nobody and kept nowhere. Where the box hands out live streams what is recorded is measured; else the "
        "camera has a second session meanwhile. "
        "At sharpness ▲ marks the best so far: go past it, and back to it. Ctrl-C ends it. Who aimed when is a fact in "
        "the ledger.",
    )
    parser.add_argument("camera", metavar="CAMERA", help=say("카메라 id", "the camera's id"))
    parser.add_argument(
        "--seconds",
        type=int,
        default=MOST_SECONDS,
        metavar="N",
        help=say(f"볼 초 (많아야 {MOST_SECONDS})", f"seconds to look (at most {MOST_SECONDS})"),
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help=say("1초에 한 줄 JSON으로 씁니다", "write a line of JSON a second"),
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look, and write that it was done."""
    from agent.cli.segments import unknown_camera
    from agent.field.aiming import Aim
    from agent.field.looking import Looking

    config, secrets = load_with_secrets(args.config)
    camera = config.camera(args.camera)
    if camera is None:
        raise unknown_camera(args.camera, [camera.id for camera in config.cameras])
    seconds = min(max(args.seconds, 1), MOST_SECONDS)
    begun = time.monotonic()
    with Looking(config.storage.run, camera, secrets.login(camera.id)) as looking:
        # Before the first number is seen: who ends this the hard way has looked too.
        _tell(config, args.camera, None)
        try:
            show = _lines if args.json or not sys.stdout.isatty() else _bars
            show(looking, Aim(), begun + seconds, args.camera)
        except KeyboardInterrupt:
            pass
        finally:
            _tell(config, args.camera, round(time.monotonic() - begun))
    return 0


def _lines(looking: Looking, aim: Aim, until: float, camera: str) -> None:
    """Write a line a second."""
    due = time.monotonic()
    while (left := until - time.monotonic()) > 0:
        found = looking.next(min(WAIT_S, left))
        if found is not None:
            aim.take(found)
        if time.monotonic() >= due:
            due = time.monotonic() + LINE_S
            print(json.dumps({"camera": camera, **aim.to_json()}), flush=True)


def _bars(looking: Looking, aim: Aim, until: float, camera: str) -> None:
    """Draw bars."""
    from rich.live import Live

    from agent.cli.aim_view import draw
    from agent.cli.show import console

    with Live(draw(camera, aim), console=console(), auto_refresh=False) as live:
        while (left := until - time.monotonic()) > 0:
            found = looking.next(min(WAIT_S, left))
            if found is not None:
                aim.take(found)
            live.update(draw(camera, aim), refresh=True)


def _tell(config: Config, camera: str, seconds: int | None) -> None:
    """Write who looks at the camera; before the first start there is no ledger. Raises StorageFault: nobody looks."""
    from agent.clock import SystemClock
    from agent.field.doctor import look_state
    from agent.model import Fact

    body = {"camera": camera, "by": user(), "seconds": seconds}
    look_state.tell(config, lambda: Fact("camera.aimed", SystemClock(config.storage.state).now(), body))
