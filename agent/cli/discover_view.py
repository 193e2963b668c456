"""What `pasu discover` shows: where it looks, a table, warnings with what to do, and all of it as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from agent.cli.show import console, table
from agent.language import say
from agent.onvif.findings import Severity, findings, obstacles
from agent.onvif.model import LogIn
from agent.rtsp.errors import RtspError
from agent.rtsp.url import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.field.discovering import Found, Known, Request
    from agent.onvif.findings import Finding
    from agent.onvif.model import Camera, Stream
    from agent.onvif.places import Places

_MARKS = {Severity.ALARM: "!!", Severity.WARNING: "!", Severity.NOTICE: "-"}
_STYLES = {Severity.ALARM: "bold red", Severity.WARNING: "yellow", Severity.NOTICE: ""}


def places(where: Places, request: Request) -> str:
    """Say where cameras are looked for, and where not."""
    parts = [f"{each.name} ({each.address})" for each in where.chosen]
    parts += list(request.hosts)
    if request.nets:
        parts.append(say(f"주소 {len(request.nets)}개", f"{len(request.nets)} addresses"))
    text = say(f"찾는 곳: {', '.join(parts)}", f"Looking on: {', '.join(parts)}")
    why = {
        "tunnel": say("터널", "the tunnel"),
        "route": say("바깥으로 나가는 길", "the way outside"),
        "loopback": say("박스 자신", "the box itself"),
    }
    left = [f"{each.name} ({why[reason]})" for each, reason in where.left_out]
    if left:
        text += "\n" + say(f"찾지 않는 곳: {', '.join(left)}", f"Not on: {', '.join(left)}")
    return text


def progress(stream: TextIO) -> Callable[[int, int], None]:
    """Return what shows how many cameras have been asked, on a terminal only."""

    def told(done: int, everyone: int) -> None:
        if stream.isatty():
            end = "\n" if done == everyone else ""
            text = say(f"카메라 {done}/{everyone}대에 물었습니다", f"{done} of {everyone} cameras asked")
            stream.write(f"\r{text}{end}")
            stream.flush()

    return told


def log_in(camera: Camera) -> str:
    """Say how a camera took us."""
    if camera.factory:
        return say("공장 비밀번호", "factory")
    ways = {stream.log_in for stream in camera.streams}
    for bad in (LogIn.REFUSED, LogIn.BASIC, LogIn.NEEDED):
        if bad in ways:
            return _way(bad)
    return _way(camera.log_in)


def _way(way: LogIn) -> str:
    return {
        LogIn.OPEN: say("없음", "none"),
        LogIn.NEEDED: say("필요", "needed"),
        LogIn.GOOD: say("좋음", "ok"),
        LogIn.REFUSED: say("거절", "refused"),
        LogIn.BASIC: say("암호화 없음", "in clear"),
        LogIn.UNKNOWN: "?",
    }[way]


def redacted(url: str) -> str:
    """Write a stream's address without what may be a password in its path."""
    try:
        return parse_url(url).redacted() if url else ""
    except RtspError:
        return ""


def picture(stream: Stream | None) -> str:
    """Say what a stream sends: codec, size, pictures per second."""
    if stream is None:
        return "-"
    size = f"{stream.width}x{stream.height}" if stream.width and stream.height else "?"
    rate = "?" if stream.fps is None else f"{stream.fps:g}"
    return f"{stream.codec or '?'} {size} {rate}/s"


def show(found: Sequence[Found], knows: Known) -> None:
    """Print the table, and below it what is wrong with whom and what to do about it."""
    screen = console()
    if not found:
        print(
            say(
                "카메라를 찾지 못했습니다. 카메라의 전원과 케이블을 보고, 주소를 알면 --host로, 모르면 --net으로 "
                "찾으십시오.",
                "No camera was found. Look at power and cables; name an address with --host, or a network with --net.",
            )
        )
        return
    heads = say(
        "번호|주소|이름|영상|작은 영상|소리|로그인|설정", "no.|address|name|picture|sub|sound|log-in|known as"
    )
    rows = []
    for number, each in enumerate(found, 1):
        camera = each.camera
        sound = ", ".join(sorted({name for stream in camera.streams for name in stream.audio}))
        rows.append(
            [
                str(number),
                camera.host,
                camera.title,
                picture(camera.main),
                picture(camera.sub),
                sound or "-",
                log_in(camera),
                knows.id_of(camera) or "-",
            ]
        )
    screen.print(table(heads.split("|"), rows, right=(0,), folding=(2, 3, 4)))
    for finding, whose in _gathered(found).items():
        numbers = ", ".join(map(str, whose))
        screen.print(
            f"{_MARKS[finding.severity]:>2} {numbers}: {finding.text}", style=_STYLES[finding.severity]
        )
        screen.print(f"     {finding.remedy}")


def _gathered(found: Sequence[Found]) -> dict[Finding, list[int]]:
    """Return every finding once, the worst first, with the numbers of the cameras that have it."""
    whose: dict[Finding, list[int]] = {}
    for number, each in enumerate(found, 1):
        for finding in findings(each.camera):
            whose.setdefault(finding, []).append(number)
    order = list(Severity)
    return dict(sorted(whose.items(), key=lambda item: order.index(item[0].severity)))


def silenced(camera: Camera, left: tuple[str, ...] | None) -> str:
    """Say what came of turning a camera's sound off. left: profiles that still offer it; None: it refused."""
    if left is None:
        return say(
            f"{camera.title}: 소리를 끌 수 없습니다. 카메라의 설정 화면에서 끄십시오",
            f"{camera.title}: sound cannot be turned off from here; do it in the camera's own settings",
        )
    if left:
        names = ", ".join(left)
        return say(
            f"{camera.title}: 소리가 아직 켜져 있습니다: {names}",
            f"{camera.title}: sound is still on: {names}",
        )
    return say(
        f"{camera.title}: 소리를 껐고, 다시 물어 확인했습니다",
        f"{camera.title}: sound is off, asked again and seen",
    )


def as_json(
    found: Sequence[Found], knows: Known, where: Places, request: Request, waived: tuple[str, ...]
) -> str:
    """Write everything but log-ins as JSON."""
    value: dict[str, Any] = {
        "searched": [{"interface": each.name, "address": each.address} for each in where.chosen],
        "left_out": [{"interface": each.name, "why": why} for each, why in where.left_out],
        "hosts": list(request.hosts),
        "addresses": len(request.nets),
        "cameras": [_camera(each.camera, knows, waived) for each in found],
    }
    return json.dumps(value, ensure_ascii=False, indent=2)


def _camera(camera: Camera, knows: Known, waived: tuple[str, ...]) -> dict[str, Any]:
    device = camera.device
    main, sub = camera.main, camera.sub
    return {
        "host": camera.host,
        "service": camera.service,
        "name": camera.title,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "firmware": device.firmware,
        "serial": device.serial,
        "known_as": knows.id_of(camera) or None,
        "log_in": camera.log_in,
        "factory_password": camera.factory,
        "clock_ms": camera.clock_ms,
        "telnet": camera.telnet,
        "main": redacted(main.url) if main else None,
        "sub": redacted(sub.url) if sub else None,
        "streams": [
            {
                "url": redacted(stream.url),
                "name": stream.name,
                "codec": stream.codec,
                "width": stream.width,
                "height": stream.height,
                "fps": stream.fps,
                "audio": list(stream.audio),
                "log_in": stream.log_in,
                "described": stream.shown,
                "fault": stream.fault,
                "other_host": stream.foreign,
            }
            for stream in camera.streams
        ],
        "findings": [
            {"code": each.code, "severity": each.severity, "figures": each.figures}
            for each in findings(camera)
        ],
        "can_be_added": not obstacles(camera, waived),
    }
