"""`pasu demo`: the whole way from cameras to a clip, with virtual cameras and nothing to configure.

Everything in it is the real thing: `pasu record` as a process of its own, cameras that speak RTSP, a vault on the disk,
keys made on the spot, clips opened with them. Only the cameras' pictures are drawn.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from agent.centre.keys import keygen, read_identities
from agent.centre.opening import open_segments
from agent.centre.segments import SegmentFile
from agent.cli.segments import CAUSES
from agent.cli.show import console, size, table
from agent.demo.ledger import read_requests
from agent.demo.server import CameraProcess
from agent.demo.sheet import Cell, write_sheet
from agent.demo.spec import CameraSpec
from agent.health import read_health
from agent.language import say
from agent.model import GapCause, utc_name
from agent.storage.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from agent.centre.report import OpenReport
    from agent.demo.stamp import Image

BOX = "demo-0001"
SEGMENT_S = 10  # short, so that a short demo has some
REBOOT_S = 3
START_BOUND_S = 60.0
STOP_BOUND_S = 30.0
REFRESH_S = 0.5
# What the cameras are: every codec, both log-ins, sound offered by all.
KINDS: tuple[dict[str, Any], ...] = (
    {"codec": "h264", "username": "viewer", "password": "demo-only", "quirks": "digest_sha256"},
    {"codec": "h265", "audio": "aac"},
    {"codec": "mpeg4"},
    {"codec": "mjpeg", "username": "viewer", "password": "demo-only", "quirks": "basic"},
)


def show(seconds: int, cameras: int, output: Path, *, keep: bool = False) -> int:
    """Record virtual cameras, show it live, open what was recorded, and say what happened.

    seconds  of recording
    cameras  how many
    output   directory for the clips and the contact sheet; made when missing
    keep     leave vault, keys and configuration there as well
    Returns  0 when every camera was recorded and opened whole, 1 otherwise
    """
    output = output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    place = output / "site"
    if (place / "agent.toml").exists() and BOX in (place / "agent.toml").read_text(encoding="utf-8"):
        shutil.rmtree(place)  # what an earlier demo has kept, and nothing else
    with contextlib.ExitStack() as stack:
        if keep:
            place.mkdir(mode=0o700)
        else:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pasu-demo-")))
        specs = [CameraSpec(number, **KINDS[(number - 1) % len(KINDS)]) for number in range(1, cameras + 1)]
        screen = console()
        screen.print(say("가상 카메라를 켜는 중…", "Starting the virtual cameras…"))
        fleet = stack.enter_context(CameraProcess(specs, place / "ledger"))
        config = _site(place, specs, fleet)
        _record(config, place, specs, fleet, seconds)
        fleet.command("flush")
        return _conclude(place, output, specs, keep=keep)


def _site(place: Path, specs: list[CameraSpec], fleet: CameraProcess) -> Path:
    """Make keys, configuration and secrets, as an installer would; return the configuration's path."""
    recipients = [str(keygen(place / name)) for name in ("centre-key.txt", "escrow-key.txt")]
    keys = ", ".join(f'"{recipient}"' for recipient in recipients)
    lines = [
        "[box]",
        f'id = "{BOX}"',
        f'site = "{say("경포해변 시연", "Gyeongpo beach, demonstration")}"',
        f'operator = "{say("시연", "demonstration")}"',
        'contact = "033-000-0000"',
        "[storage]",
        f'vault = "{place / "vault"}"',
        f'state = "{place / "state"}"',
        f'run = "{place / "run"}"',
        f"segment_s = {SEGMENT_S}",
        f"recipients = [{keys}]",
    ]
    secrets = []
    for spec in specs:
        lines += [
            "[[camera]]",
            f'id = "{spec.name}"',
            f'name = "{say("가상 카메라", "virtual camera")} {spec.number}"',
            f'url = "{fleet.urls[spec.number]}"',
            'purpose = "crime-prevention"',
            f'legal_basis = "{say("시연용", "demonstration")}"',
        ]
        if spec.username:
            secrets += [
                f"[camera.{spec.name}]",
                f'username = "{spec.username}"',
                f'password = "{spec.password}"',
            ]
    config = place / "agent.toml"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if secrets:
        hidden = place / "secrets.toml"
        hidden.touch(mode=0o600)
        hidden.write_text("\n".join(secrets) + "\n", encoding="utf-8")
    return config


def _record(config: Path, place: Path, specs: list[CameraSpec], fleet: CameraProcess, seconds: int) -> None:
    """Run `pasu record` for so long, with a live table; halfway, one camera reboots, so that a gap is seen."""
    with (place / "record.log").open("wb") as log:
        command = [sys.executable, "-m", "agent.cli.main", "record", "--config", str(config)]
        recorder = subprocess.Popen(command, stderr=log)
        try:
            _watch(recorder, place, specs, fleet, seconds)
        finally:
            if recorder.poll() is None:
                recorder.send_signal(signal.SIGTERM)
            try:
                recorder.wait(STOP_BOUND_S)
            except subprocess.TimeoutExpired:
                recorder.kill()
                recorder.wait()


def _watch(
    recorder: subprocess.Popen[bytes],
    place: Path,
    specs: list[CameraSpec],
    fleet: CameraProcess,
    seconds: int,
) -> None:
    screen = console()
    started: float | None = None
    waiting_since = time.monotonic()
    reboot = seconds / 2 if seconds >= 4 * REBOOT_S and len(specs) > 1 else None
    with Live(console=screen, auto_refresh=False, transient=False) as live:
        while started is None or time.monotonic() - started < seconds:
            if recorder.poll() is not None:
                raise RuntimeError(
                    f"pasu record ended: {(place / 'record.log').read_text(encoding='utf-8')[-2000:]}"
                )
            health = read_health(place / "run", "record") or {}
            states = health.get("cameras", {})
            now = time.monotonic()
            if started is None and states and all(state["state"] == "recording" for state in states.values()):
                started = now
            if started is None and now - waiting_since > START_BOUND_S:
                raise RuntimeError("the cameras do not come up")
            elapsed = now - started if started is not None else 0.0
            if reboot is not None and elapsed > reboot:
                fleet.command("reboot", camera=specs[1].number, seconds=REBOOT_S)
                reboot = None
            heading = say(f"녹화 {elapsed:4.0f} / {seconds}초", f"Recording {elapsed:4.0f} of {seconds} s")
            live.update(Group(Text(heading, style="bold"), live_table(states)), refresh=screen.is_terminal)
            time.sleep(REFRESH_S)
        live.refresh()


def live_table(states: dict[str, dict[str, Any]]) -> Table:
    """Draw one line per camera from the recorder's health file."""
    words = {
        "recording": say("녹화 중", "recording"),
        "playing": say("첫 키프레임 대기", "awaiting keyframe"),
        "connecting": say("연결 중", "connecting"),
        "lost": say("끊김", "lost"),
        "waiting": say("대기", "waiting"),
        "stopped": say("정지", "stopped"),
    }
    rows = []
    for name, state in states.items():
        codec = state.get("codec", "")
        rows.append(
            (
                name,
                words.get(state["state"], state["state"]),
                codec.upper(),
                f"{state['width']}x{state['height']}" if codec else "",
                f"{state.get('fps', 0):.1f}",
                f"{state.get('kbit_s', 0) / 1000:.2f}",
                str(state.get("segments", 0)),
                size(state.get("sealed_bytes", 0)),
                str(state.get("gaps", 0)),
                ", ".join(state.get("audio_offered", [])),
            )
        )
    heads = (
        say("카메라", "camera"),
        say("상태", "state"),
        say("코덱", "codec"),
        say("크기", "size"),
        "fps",
        "Mbit/s",
        say("조각", "segments"),
        say("봉인", "sealed"),
        say("공백", "gaps"),
        say("제안된 음성", "sound offered"),
    )
    return table(heads, rows, right=(4, 5, 6, 7, 8))


def _conclude(place: Path, output: Path, specs: list[CameraSpec], *, keep: bool) -> int:
    """Open everything, draw the sheet, and say what happened."""
    screen = console()
    identities = read_identities(place / "centre-key.txt")
    catalogue = Catalogue.open(place / "state", read_only=True)
    reports: dict[str, OpenReport] = {}
    gaps: dict[str, list[str]] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as progress:
        for spec in specs:
            task = progress.add_task(say(f"{spec.name} 여는 중", f"opening {spec.name}"), total=None)
            rows = list(catalogue.segments(spec.name))
            sources = [SegmentFile.at(place / "vault" / row.path, spec.name) for row in rows]
            clip = output / f"{spec.name}.mp4"
            for old in (clip, *(output / f"{spec.name}-{number}.mp4" for number in range(2, 10))):
                old.unlink(missing_ok=True)
            reports[spec.name] = open_segments(
                sources,
                identities,
                None,
                clip,
                lambda done, total, task=task: progress.update(task, completed=done, total=total),  # type: ignore[misc]
            )
            gaps[spec.name] = [
                say(*CAUSES[GapCause(fact["cause"])])
                for fact in _facts(catalogue, "gap")
                if fact["camera"] == spec.name
            ]
    offered = {fact["camera"]: fact["encodings"] for fact in _facts(catalogue, "camera.audio_offered")}
    catalogue.close()
    sheet = output / "contact-sheet.png"
    write_sheet(sheet, list(_cells(specs, reports)), heading="Pasu: sealed on the box, opened at the centre")
    screen.print(say("\n관제센터의 키로 연 결과", "\nOpened with the control centre's key"), style="bold")
    screen.print(_clips(reports, gaps))
    screen.print()
    whole = all(report.outputs and not report.damages for report in reports.values())
    screen.print(_statement(place, specs, offered))
    screen.print(say(f"클립과 사진: {output}/", f"Clips and contact sheet: {output}/"))
    if keep and whole:
        sample = next(iter(reports.values())).segments[0]
        screen.print(
            say("봉인된 조각을 표준 도구로 직접 열어 보려면:", "To open a sealed segment with stock tools:")
            + f"\n  age -d -i {place / 'centre-key.txt'} {sample} | ffprobe -v error -show_streams -"
        )
    return 0 if whole else 1


def _facts(catalogue: Catalogue, kind: str) -> Iterator[dict[str, Any]]:
    import json

    after = 0
    while entries := catalogue.ledger(after):
        for entry in entries:
            after = entry.seq
            if entry.kind == kind:
                yield json.loads(entry.body)


def _clips(reports: dict[str, OpenReport], gaps: dict[str, list[str]]) -> Table:
    rows: list[tuple[str, ...]] = []
    for name, report in reports.items():
        rows.extend(
            (
                name,
                clip.path.name,
                f"{clip.codec.upper()} {clip.width}x{clip.height}",
                f"{clip.span.length_ms / 1000:.1f} s",
                str(clip.frames),
                str(len(report.segments)),
                ", ".join(gaps[name]) or say("없음", "none"),
                say("없음", "none") if not report.damages else str(len(report.damages)),
            )
            for clip in report.outputs
        )
    heads = (
        say("카메라", "camera"),
        say("클립", "clip"),
        say("영상", "video"),
        say("길이", "length"),
        say("프레임", "frames"),
        say("조각", "segments"),
        say("공백", "gaps"),
        say("손상", "damage"),
    )
    return table(heads, rows, right=(3, 4, 5))


def _statement(place: Path, specs: list[CameraSpec], offered: dict[str, list[str]]) -> str:
    """Say what was offered and never asked for, by the cameras' own record of what they were asked."""
    setups = [
        request.url
        for spec in specs
        for request in read_requests(place / "ledger" / f"{spec.name}.requests.jsonl")
        if request.method == "SETUP"
    ]
    audio = [url for url in setups if "audio" in url]
    what = ", ".join(f"{camera} {'/'.join(encodings)}" for camera, encodings in sorted(offered.items()))
    if audio:
        return say(f"음성이 요청되었습니다: {audio}", f"Sound was asked for: {audio}")
    return say(
        f"음성: 카메라 {len(offered)}대가 제안했으나({what}) 한 번도 요청하지 않았습니다. "
        f"카메라가 받은 SETUP {len(setups)}건은 모두 영상입니다.",
        f"Sound: offered by {len(offered)} cameras ({what}), never asked for. "
        f"All {len(setups)} SETUP requests that the cameras received were for video.",
    )


def _cells(specs: list[CameraSpec], reports: dict[str, OpenReport]) -> Iterator[Cell]:
    for spec in specs:
        for clip in reports[spec.name].outputs:
            middle_ms = clip.span.start_ms + clip.span.length_ms // 2
            note = f"{utc_name(middle_ms)}  {clip.codec.upper()} {clip.width}x{clip.height}  {clip.frames} frames"
            yield Cell(_picture(clip.path), f"{spec.name}  {clip.path.name}", note)


def _picture(clip: Path) -> Image | None:
    """Decode one picture from the middle of a clip."""
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        if container.duration:
            container.seek(container.duration // 2)
        for frame in container.decode(stream):
            return frame.to_ndarray(format="bgr24").astype("uint8", copy=False)
    return None
