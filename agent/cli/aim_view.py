"""Draw `pasu aim`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.field import picture
from agent.field.aiming import bar
from agent.language import say

if TYPE_CHECKING:
    from agent.field.aiming import Aim

CELLS = 44
"""With words and numbers beside it a bar fits a serial console of 80 columns."""


def draw(camera: str, aim: Aim) -> RenderableType:
    """Draw the bars of now."""
    head = Text(f"{camera}  ", style="bold")
    now = aim.now
    verdict = aim.verdict
    if now is None or verdict is None:
        head.append(say("첫 그림을 기다립니다", "the first picture is waited for"), style="dim not bold")
        return head
    style = "green" if verdict.good else "bold yellow" if verdict.unsure else "bold red"
    head.append(verdict.word, style=style)
    if aim.at_peak and verdict.good:
        head.append(say("  가장 선명함", "  at its sharpest"), style="bold green")
    grid = Table.grid(padding=(0, 2))
    sharp = now.sharpness
    marks = [] if aim.best is None else [aim.best]
    grid.add_row(
        Text(say("선명도", "sharpness")),
        Text(bar(sharp or 0, 1000, CELLS, marks), style="green" if aim.at_peak else "cyan"),
        Text(
            ("–" if sharp is None else f"{sharp / 10:.1f} %")
            + (
                ""
                if aim.best is None
                else say(f"  최고 {aim.best / 10:.1f} %", f"  best {aim.best / 10:.1f} %")
            )
        ),
    )
    light = "bold red" if verdict in (picture.Verdict.BLACK, picture.Verdict.WASHED_OUT) else "cyan"
    grid.add_row(
        Text(say("밝기", "brightness")),
        Text(bar(now.mean, 255, CELLS), style=light),
        Text(say(f"{now.mean}  ({now.dark}-{now.bright})", f"{now.mean}  ({now.dark}-{now.bright})")),
    )
    grid.add_row(
        Text(say("잡음", "noise")),
        Text(bar(now.noise, 200, CELLS), style="cyan" if now.noise < picture.NOISY else "bold yellow"),
        Text(f"{now.noise / 10:.1f}"),
    )
    grid.add_row(
        Text(say("가려진 곳", "covered")),
        Text(bar(now.empty, 1000, CELLS), style="cyan" if now.empty < picture.COVERED_EMPTY else "bold red"),
        Text(f"{now.empty / 10:.0f} %"),
    )
    hint = Text(
        say(
            "▲ 지금까지 가장 선명했던 곳 · 그림은 보이지도 남지도 않습니다 · Ctrl-C로 끝",
            "▲ the sharpest so far · no picture is shown or kept · Ctrl-C ends it",
        ),
        style="dim",
    )
    return Group(head, grid, hint)
