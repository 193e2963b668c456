"""Draw what `pasu health` found: what is wrong first, the worst of it at the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.cli.show import table
from agent.cli.times import show_time
from agent.field import words
from agent.field.words import age, size, tunnel_fields, uplink_fields, vital_fields
from agent.health import Severity, silent_s
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.config import Config

BAR_CELLS = 12
STYLES = {
    Severity.CRITICAL: "bold white on red",
    Severity.ALARM: "bold red",
    Severity.WARNING: "bold yellow",
    Severity.INFO: "cyan",
}


def draw(config: Config, found: dict[str, Any]) -> RenderableType:
    """Draw all of it.

    found  as `agent.cli.health` read it
    """
    processes = found["processes"]
    record, keep, uplink, tunnel = (
        words.heard(found, name) for name in ("record", "keep", "uplink", "tunnel")
    )
    parts: list[RenderableType] = [_head(found), *_conditions(config, found)]
    if cameras := record.get("cameras"):
        parts += [_title("카메라", "Cameras"), camera_table(config, cameras)]
    if vaults := keep.get("vaults"):
        parts += [_title("저장소", "Vaults"), vault_table(vaults, config.storage.retention_days)]
    if disks := keep.get("disks"):
        parts += [_title("디스크", "Disks"), disk_table(disks)]
    if vitals := keep.get("vitals"):
        parts += [_title("박스", "Box"), _fields(vital_fields(vitals, found["trust"]))]
    if uplink:
        parts += [_title("센터 연결", "Connection to the centre"), _fields(uplink_fields(uplink))]
    if tunnel:
        parts += [_title("터널", "Tunnel"), _fields(tunnel_fields(tunnel))]
    parts += [_title("프로세스", "Processes"), process_table(processes, found["boot_ms"] / 1000)]
    return Group(*parts)


def camera_table(config: Config, cameras: dict[str, dict[str, Any]]) -> Table:
    """Draw one line per camera."""
    heads = (
        say("카메라", "camera"),
        say("이름", "name"),
        say("상태", "state"),
        say("영상", "picture"),
        "fps",
        "Mbit/s",
        say("조각", "segments"),
        say("공백", "gaps"),
    )
    drawn = table(heads, (), right=(4, 5, 6, 7), folding=(1,))
    for name, state in cameras.items():
        known = config.camera(name)
        recording = state.get("state") == "recording"
        style = "green" if recording else "blue" if state.get("state") == "resting" else "bold red"
        codec = str(state.get("codec", "")).upper()
        drawn.add_row(
            Text(name),
            Text(known.name if known else ""),
            Text(words.camera_state(str(state.get("state", ""))), style=style),
            Text(f"{codec} {state.get('width', 0)}x{state.get('height', 0)}" if codec else "–"),
            Text(f"{state.get('fps', 0):.1f}" if recording else "–"),
            Text(f"{state.get('kbit_s', 0) / 1000:.2f}" if recording else "–"),
            Text(str(state.get("segments", 0))),
            Text(str(state.get("gaps", 0))),
        )
    return drawn


def vault_table(vaults: list[dict[str, Any]], retention_days: int) -> Table:
    """Draw how full each vault is, and for how many days it will do."""
    heads = (
        say("저장소", "vault"),
        say("찬 정도", "in use"),
        "",
        say("남음", "free"),
        say("하루", "a day"),
        say(f"보관 가능 (기준 {retention_days}일)", f"holds (retention {retention_days} days)"),
    )
    drawn = table(heads, (), right=(2, 3, 4, 5), folding=(0,))
    for vault in vaults:
        total, free = vault["total_bytes"] or 0, vault["free_bytes"]
        used = None if free is None or not total else 1 - free / total
        tenths, rate = vault["forecast_tenths_of_days"], vault["bytes_per_day"]
        short = tenths is not None and tenths < retention_days * 10
        drawn.add_row(
            Text(vault["path"] or vault["uuid"]),
            Text("" if used is None else bar(used)),
            Text("?" if used is None else f"{100 * used:.0f} %"),
            Text("?" if free is None else f"{size(free)} / {size(total)}"),
            Text(size(rate) if rate else "–"),
            Text(
                "–" if tenths is None else say(f"{tenths / 10:.1f}일", f"{tenths / 10:.1f} days"),
                style="bold red" if short else "",
            ),
        )
    return drawn


def disk_table(disks: list[dict[str, Any]]) -> Table:
    """Draw what each disk says of itself."""
    heads = (
        say("디스크", "disk"),
        say("모델", "model"),
        say("일련번호", "serial"),
        say("크기", "size"),
        say("온도", "heat"),
        say("시간", "hours"),
        say("자가 진단", "self-assessment"),
        say("쓰임", "used for"),
    )
    drawn = table(heads, (), right=(3, 4, 5), folding=(1, 6, 7))
    for disk in disks:
        why = disk["unavailable"].removeprefix(f"/dev/{disk['device']}: ")
        word, style = {
            True: (say("좋음", "good"), "green"),
            False: (say("고장", "failing"), "bold red"),
        }.get(disk["passed"], (say("없음", "none") + (f" ({why})" if why else ""), ""))
        counts = [
            (disk["reallocated"], say("재할당", "reallocated")),
            (disk["pending"], say("읽기 보류", "pending")),
            (disk["uncorrectable"], say("읽지 못함", "uncorrectable")),
        ]
        bad = [f"{name} {count}" for count, name in counts if count]
        worn = disk["worn_percent"]
        bad += [say(f"마모 {worn} %", f"worn {worn} %")] if worn is not None else []
        drawn.add_row(
            Text(disk["device"]),
            Text(disk["model"] or "–"),
            Text(disk["serial"] or "–"),
            Text(size(disk["bytes"]) if disk["bytes"] else "–"),
            Text("–" if disk["celsius"] is None else f"{disk['celsius']} °C"),
            Text("–" if disk["hours"] is None else str(disk["hours"])),
            Text(", ".join([word, *bad]), style=style),
            Text(", ".join(disk["places"])),
        )
    return drawn


def process_table(processes: dict[str, dict[str, Any] | None], boot_s: float) -> Table:
    """Draw who runs, in which version, and when each was heard last."""
    heads = (say("프로세스", "process"), say("버전", "version"), "pid", say("마지막 소식", "heard"))
    rows = []
    for name, health in processes.items():
        silent = silent_s(health, boot_s)
        heard = "–" if silent is None else say(f"{age(silent)} 전", f"{age(silent)} ago")
        said = health or {}
        rows.append((name, str(said.get("version", "–")), str(said.get("pid", "–")), heard))
    return table(heads, rows, right=(2,))


def bar(part: float) -> str:
    """Draw a part of 1."""
    full = min(max(round(part * BAR_CELLS), 0), BAR_CELLS)
    return "█" * full + "░" * (BAR_CELLS - full)


def _head(found: dict[str, Any]) -> Text:
    text = Text()
    text.append(f"{found['box']} · {found['site']}", style="bold")
    text.append(f"  {show_time(found['at_ms'], None)}", style="dim")
    return text


def _conditions(config: Config, found: dict[str, Any]) -> Iterator[RenderableType]:
    """Draw each with what to do, once for all that have it."""
    if not found["conditions"]:
        yield Padding(Text(say("이상이 없습니다.", "Nothing is wrong."), style="green"), (1, 0, 0, 0))
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in words.wrong(config, found):
        what = Text()
        what.append(f"{each.subjects}: " if each.subjects else "", style="bold")
        what.append(each.condition.what, style="bold")
        more = [say(f"{each.since} 전부터", f"for {each.since}"), each.code, *each.details]
        what.append("\n" + " · ".join(more), style="dim")
        what.append(f"\n→ {each.condition.next}")
        grid.add_row(Text(f" {each.word} ", style=STYLES[each.condition.severity]), what)
    yield Padding(grid, (1, 0, 0, 0))


def _title(korean: str, english: str) -> RenderableType:
    return Padding(Text(say(korean, english), style="bold underline"), (1, 0, 0, 0))


def _fields(rows: Iterator[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        if value:
            grid.add_row(Text(name, style="dim"), Text(value))
    return grid
