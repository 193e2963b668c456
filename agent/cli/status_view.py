"""Draw `pasu status`: a line for each thing, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.cli.health_view import STYLES, bar
from agent.cli.show import size, table
from agent.cli.times import show_time
from agent.field import words
from agent.field.page.view import WHATS, WHYS, moment, summary
from agent.health import Severity, silent_s
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.config import Config

WIDE = 96
"""From so many columns on a camera's last day has half an hour in each cell, below an hour: its name needs room too."""
MOST_WRONG = 6
MOST_VISITS = 3
GLYPHS = {
    "full": ("█", "green"),
    "part": ("▒", "yellow"),
    "none": ("·", "bold red"),
    "off": ("─", "blue"),
    "before": (" ", "dim"),
}
WORST = ("none", "part", "full", "off", "before")


def draw(config: Config, found: dict[str, Any], columns: int) -> RenderableType:
    """Draw all of it. found: as `agent.overview` read it; columns: of the terminal."""
    keep = words.heard(found, "keep")
    parts: list[RenderableType] = [
        _head(config, found),
        *_wrong(config, found),
        _cameras(config, found, columns),
    ]
    if keep.get("vaults"):
        parts.append(_vaults(config, keep["vaults"]))
    parts.append(Padding(_lines(found), (1, 0, 0, 0)))
    if found.get("visits"):
        parts.append(Padding(_visits(found["visits"]), (1, 0, 0, 0)))
    return Group(*parts)


def day_bar(day: words.LastDay | None, cells: int) -> Text:
    """Draw a camera's last day: each cell is as bad as the worst of what it stands for."""
    drawn = Text()
    if day is None:
        return drawn
    states = [part.state for part in day.stretches for _ in range(part.slots)]
    for cell in range(cells):
        some = states[len(states) * cell // cells : len(states) * (cell + 1) // cells]
        worst = next((state for state in WORST if state in some), "before")
        if worst == "none" and not {*some} <= {"none", "off", "before"}:
            worst = "part"
        glyph, style = GLYPHS[worst]
        drawn.append(glyph, style=style)
    return drawn


def _head(config: Config, found: dict[str, Any]) -> RenderableType:
    told = summary(words.wrong(config, found))
    style = "bold white on green" if told["severity"] == "good" else STYLES[Severity(told["severity"])]
    text = Text(f" {told['text']} ", style=style)
    text.append(f"  {found['box']} · {found['site']}", style="bold not reverse default on default")
    text.append(f"  {show_time(found['at_ms'], None)}", style="dim not bold default on default")
    return text


def _wrong(config: Config, found: dict[str, Any]) -> Iterator[RenderableType]:
    listed = words.wrong(config, found)
    if not listed:
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in listed[:MOST_WRONG]:
        subjects = f"{each.subjects}: " if each.subjects else ""
        what = Text(f"{subjects}{each.condition.what}", style="bold")
        what.append(f"  {each.since}", style="dim not bold")
        what.append(f"\n→ {each.condition.next}", style="not bold")
        grid.add_row(Text(f" {each.word} ", style=STYLES[each.condition.severity]), what)
    if len(listed) > MOST_WRONG:
        more = len(listed) - MOST_WRONG
        grid.add_row(
            "", Text(say(f"그 밖에 {more}가지: pasu health", f"{more} more: pasu health"), style="dim")
        )
    yield Padding(grid, (1, 0, 0, 0))


def _cameras(config: Config, found: dict[str, Any], columns: int) -> RenderableType:
    told, keep = words.heard(found, "record").get("cameras", {}), words.heard(found, "keep")
    heads = (
        say("카메라", "camera"),
        say("이름", "name"),
        say("상태", "state"),
        say("지난 24시간", "last 24 hours"),
        "",
        "Mbit/s",
    )
    drawn = table(heads, (), right=(4, 5), folding=(1,))
    for camera in config.cameras:
        state = told.get(camera.id, {})
        recording = state.get("state") == "recording"
        day = words.last_day(keep, camera.id)
        drawn.add_row(
            Text(camera.id),
            Text(camera.name),
            Text(
                words.camera_state(str(state.get("state", ""))) or "–",
                style="green" if recording else "blue" if state.get("state") == "resting" else "bold red",
            ),
            day_bar(day, 48 if columns >= WIDE else 24),
            Text(words.share(day)),
            Text(f"{state.get('kbit_s', 0) / 1000:.1f}" if recording else "–"),
        )
    return Padding(drawn, (1, 0, 0, 0))


def _vaults(config: Config, vaults: list[dict[str, Any]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    days = config.storage.retention_days
    for vault in vaults:
        total, free, tenths = vault["total_bytes"] or 0, vault["free_bytes"], vault["forecast_tenths_of_days"]
        used = None if free is None or not total else 1 - free / total
        short = tenths is not None and tenths < 10 * days
        holds = say("보관 일수는 아직 모릅니다", "not known yet how long it holds")
        if tenths is not None:
            holds = say(f"{tenths / 10:.1f}일 보관 가능", f"holds {tenths / 10:.1f} days")
        grid.add_row(
            Text(vault["path"] or vault["uuid"]),
            Text("?" if used is None else f"{bar(used)} {100 * used:.0f} %"),
            Text("?" if free is None else say(f"{size(free)} 남음", f"{size(free)} free")),
            Text(
                say(f"{holds} (기준 {days}일)", f"{holds} (retention {days} days)"),
                style="bold red" if short else "",
            ),
        )
    return Padding(grid, (1, 0, 0, 0))


def _lines(found: dict[str, Any]) -> Table:
    """Say a line each of the machine, the ways to the centre, the page, and who runs."""
    processes = found["processes"]
    keep, uplink, tunnel, page = (words.heard(found, name) for name in ("keep", "uplink", "tunnel", "page"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")

    def line(name: str, text: str) -> None:
        grid.add_row(Text(name, style="dim"), Text(text))

    if keep.get("vitals"):
        fields = [
            f"{name} {value}" for name, value in words.vital_fields(keep["vitals"], found["trust"]) if value
        ]
        line(say("박스", "box"), " · ".join(fields))
    if uplink:
        line(
            say("센터 연결", "centre"),
            " · ".join(f"{name} {value}" for name, value in words.uplink_fields(uplink)),
        )
    if tunnel:
        line(
            say("터널", "tunnel"),
            " · ".join(f"{name} {value}" for name, value in words.tunnel_fields(tunnel)),
        )
    if "page" in processes:
        on = [name for name, up in page.get("serving", {}).items() if up]
        line(say("페이지", "page"), ", ".join(on) or say("열려 있지 않음", "not served"))
        if page.get("fingerprint"):
            line(say("인증서 지문", "fingerprint"), page["fingerprint"])
    boot_s = found["boot_ms"] / 1000
    heard = []
    for name, health in processes.items():
        silent = silent_s(health, boot_s)
        since = "–" if silent is None else words.age(silent)
        heard.append(f"{name} {(health or {}).get('version', '')} ({since})".replace("  ", " "))
    line(say("프로세스", "processes"), " · ".join(heard))
    return grid


def _visits(visits: list[dict[str, Any]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for number, each in enumerate(visits[:MOST_VISITS]):
        what, why = str(each.get("what", "")), str(each.get("why", ""))
        told = [say(*WHATS[what])] if what in WHATS else []
        told += [say(*WHYS[why])] if why in WHYS else []
        who = " · ".join(filter(None, [str(each.get("name", "")), str(each.get("company", ""))])) or "–"
        at_ms = each.get("at_ms")
        grid.add_row(
            Text(say("누가 보았나", "who looked") if number == 0 else "", style="dim"),
            Text(moment(at_ms, None) if isinstance(at_ms, int) else "?"),
            Text(who),
            Text(": ".join(told)),
        )
    return grid
