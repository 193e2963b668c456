"""`pasu discover`: find cameras, say what is wrong with them, and add those that are chosen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from agent.config.secrets import Login
    from agent.field.discovering import Found, Known, Request
    from agent.onvif.examine import Manner
    from agent.onvif.model import Camera
    from agent.onvif.places import Places

WAIVABLE = ("factory-password", "basic-only")
NOTHING_STATUS = 1
MAX_SECONDS = 60


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "discover", help=say("카메라를 찾아 설정에 넣습니다", "find cameras, and add them")
    )
    parser.description = say(
        "카메라 망에서 ONVIF로 카메라를 찾고, 이름을 댄 주소에는 RTSP로도 물어, 무엇이 있고 무엇이 잘못되었는지 "
        "보입니다. 터미널에서는 로그인을 묻고, 고른 카메라를 agent.toml에, 계정은 봉인하여 그 옆에 넣습니다. "
        "비밀번호는 명령줄에 쓰지 않으며, 그 카메라에만, 해시로만 보냅니다. 끝 상태: 0 찾음, 1 아무것도 없음.",
        "Search the camera network by ONVIF, ask hosts that are named by RTSP as well, and show what is there and "
        "what is wrong with it. In a terminal log-ins are asked for, and cameras that are chosen are added to "
        "agent.toml, their log-ins sealed beside it. Passwords never stand in the command line; they go to that "
        "camera alone, and only hashed. Exit status: 0 found, 1 nothing there.",
    )
    parser.add_argument(
        "--interface",
        action="append",
        default=[],
        metavar="NAME",
        help=say(
            "찾을 인터페이스, 여러 번 쓸 수 있음 (기본: 터널도 기본 경로도 아닌 것)",
            "interface to search on, repeatable (default: those that are neither tunnel nor default route)",
        ),
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="ADDRESS",
        help=say("물어볼 카메라의 IP 주소, 여러 번 쓸 수 있음", "IP address of a camera to ask, repeatable"),
    )
    parser.add_argument(
        "--net",
        action="append",
        default=[],
        metavar="NET",
        help=say(
            "열린 포트를 훑을 사설망, 예: 10.0.0.0/24 (1024개 주소까지)",
            "private network to go through for open ports, as 10.0.0.0/24 (1024 addresses at most)",
        ),
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=4,
        metavar="N",
        help=say("대답을 기다릴 초 (기본 4)", "seconds to wait for answers (default 4)"),
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help=say("보이기만 하고 아무것도 묻거나 쓰지 않습니다", "show only; ask nothing and write nothing"),
    )
    parser.add_argument(
        "--json", action="store_true", help=say("JSON으로 보입니다", "show it as JSON; implies --list")
    )
    parser.add_argument(
        "--try-factory-passwords",
        action="store_true",
        help=say(
            "카메라마다 공장 출하 비밀번호를 셋까지 시도합니다. 아는 로그인이 거부된 카메라는 빼고",
            "try up to three factory passwords on each camera, but where the log-in that is known was refused",
        ),
    )
    parser.add_argument(
        "--audio-off",
        action="store_true",
        help=say(
            "소리를 내보내는 카메라의 소리를 끄고 확인합니다",
            "turn sound off in cameras that offer it, and check",
        ),
    )
    parser.add_argument(
        "--waive",
        action="append",
        default=[],
        choices=WAIVABLE,
        help=say("이 문제가 있어도 넣습니다", "add cameras in spite of this"),
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find, show, ask, add."""
    import asyncio

    from agent.cli import discover_view
    from agent.cli.discover_talk import Talk
    from agent.field.discovering import find, known

    knows = known(args.config)
    request, where = _request(args, knows)
    talk = None if args.list or args.json or not sys.stdin.isatty() else Talk(sys.stdin, sys.stderr)
    if not args.json:
        print(discover_view.places(where, request), file=sys.stderr)

    async def ask(camera: Camera) -> Login | None:
        return talk.log_in(camera) if talk is not None else None

    try:
        found = asyncio.run(find(request, knows, ask, discover_view.progress(sys.stderr)))
    except OSError as error:
        raise nowhere(error.strerror or str(error)) from None
    if args.audio_off:
        found = asyncio.run(_audio_off(found, request, quiet=args.json))
    waived = tuple(args.waive)
    if args.json:
        print(discover_view.as_json(found, knows, where, request, waived))
    else:
        discover_view.show(found, knows)
        for host in request.hosts:
            if not any(each.camera.host == host for each in found):
                print(say(f"{host}: 대답하는 카메라가 없습니다", f"{host}: no camera answers there"))
    if talk is not None and found:
        _add(talk, found, knows, waived, args.config)
    return 0 if found else NOTHING_STATUS


def _request(args: argparse.Namespace, knows: Known) -> tuple[Request, Places]:
    """Turn what was typed into what to look for. Raises UsageError."""
    from agent.onvif.examine import Manner

    if not 1 <= args.seconds <= MAX_SECONDS:
        raise UsageError(
            "NUMBER_OUT_OF_RANGE",
            say(
                f"--seconds {args.seconds}: 쓸 수 없는 값입니다", f"--seconds {args.seconds} is out of range"
            ),
            hint=say(f"1부터 {MAX_SECONDS}까지", f"1 to {MAX_SECONDS}"),
        )
    manner = Manner(factory=args.try_factory_passwords, basic="basic-only" in args.waive)
    return looking(args.host, args.net, knows, args.interface, args.seconds, manner)


def looking(  # noqa: PLR0917 - what may be typed
    typed: Sequence[str],
    typed_nets: Sequence[str],
    knows: Known,
    interfaces: Sequence[str] = (),
    seconds: float = 4.0,
    manner: Manner | None = None,
) -> tuple[Request, Places]:
    """Turn addresses and networks that were typed into what to look for, and where. Raises UsageError."""
    from agent.field import discovering
    from agent.onvif.examine import Manner
    from agent.onvif.places import Places, host, network

    hosts = []
    for text in typed:
        address = host(text)
        if address is None:
            raise UsageError(
                "DISCOVER_HOST",
                say(f"카메라의 IP 주소가 아닙니다: {text!r}", f"not the IP address of a camera: {text!r}"),
                hint=say("예: 10.0.0.11", "for example 10.0.0.11"),
            )
        hosts.append(address)
    nets: list[str] = []
    for text in typed_nets:
        addresses = network(text)
        if addresses is None:
            raise UsageError(
                "DISCOVER_NET",
                say(
                    f"훑을 수 있는 사설망이 아닙니다: {text!r}",
                    f"not a private network to go through: {text!r}",
                ),
                hint=say(
                    "예: --net 10.0.0.0/24, 1024개 주소까지",
                    "for example --net 10.0.0.0/24, 1024 addresses at most",
                ),
            )
        nets += addresses
    where = Places((), ())
    if interfaces or not (hosts or nets):
        where = discovering.places(interfaces, knows.tunnel)
        missing = ", ".join(sorted(set(interfaces) - {each.name for each in where.chosen}))
        if missing:
            there = ", ".join(sorted({each.name for each in discovering.interfaces()}))
            raise UsageError(
                "DISCOVER_INTERFACE",
                say(
                    f"쓸 수 있는 인터페이스가 아닙니다: {missing}",
                    f"not an interface to search on: {missing}",
                ),
                hint=say(f"IPv4 주소가 있는 것: {there}", f"with an IPv4 address there are: {there}"),
            )
        if not where.chosen:
            raise nowhere(say("IPv4 주소가 있고 켜진 것이 없습니다", "none is up and has an IPv4 address"))
    request = discovering.Request(
        where.chosen, tuple(hosts), tuple(dict.fromkeys(nets)), seconds, manner or Manner()
    )
    return request, where


def nowhere(reason: str) -> UsageError:
    """Say that no interface can be searched on."""
    return UsageError(
        "DISCOVER_NOWHERE",
        say("어느 인터페이스에서도 찾을 수 없습니다", "no interface can be searched on"),
        hint=say(
            "카메라 망의 케이블과 주소를 확인하거나 --interface, --host로 지정하십시오",
            "check cable and address of the camera network, or name --interface or --host",
        ),
        reason=reason,
    )


async def _audio_off(found: list[Found], request: Request, *, quiet: bool) -> list[Found]:
    """Turn sound off where it is offered, and ask each of those cameras everything again."""
    from dataclasses import replace

    from agent.cli import discover_view
    from agent.field.discovering import Found
    from agent.onvif.examine import Place, examine, silence
    from agent.onvif.model import by_source
    from agent.onvif.screen import AnswerError

    result: list[Found] = []
    again: dict[str, tuple[Camera, ...]] = {}
    for each in found:
        camera = each.camera
        has_sound = any(stream.audio for stream in camera.streams)
        if has_sound and camera.service and camera.service not in again:
            left: tuple[str, ...] | None
            try:
                left = await silence(camera, each.login)
            except AnswerError:
                left = None
            place = Place(camera.host, camera.service, camera.name)
            # No factory log-in is tried a second time; what the first time found stays found.
            manner = replace(request.manner, factory=False)
            now, _ = await examine(place, each.login, manner)
            again[camera.service] = by_source(replace(now, factory=now.factory or camera.factory))
            if not quiet:
                print(discover_view.silenced(camera, left), file=sys.stderr)
        if camera.service in again:
            match = [one for one in again[camera.service] if _source(one) == _source(camera)]
            result += [Found(one, each.login) for one in match] or [each]
        else:
            result.append(each)
    return result


def _source(camera: Camera) -> str:
    return camera.streams[0].source if camera.streams else ""


def _add(talk: Any, found: list[Found], knows: Known, waived: tuple[str, ...], config: Any) -> None:
    """Ask which to add, and add them. Raises ConfigProblems when the file would not be right: nothing is written."""
    from agent.cli.let_pass import let_pass
    from agent.field.cameras_file import add_cameras

    additions = talk.additions(found, knows, waived)
    if not additions:
        return
    now = add_cameras(config, additions)
    print(
        say(
            f"{now.file}에 카메라 {len(additions)}대를 넣었습니다. 앞의 파일은 .bak으로 두었습니다.",
            f"{len(additions)} camera{'s' * (len(additions) != 1)} added to {now.file}; the old file is kept as .bak.",
        )
    )
    let_pass(now, config)
