"""Show `pasu doctor`: a line for each check as it is made, what is looked at now, and at the end what to do."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.cli.show import console
from agent.field.doctor.check import Result, State, worst
from agent.field.doctor.registry import CHECKS
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

STYLES = {
    State.OK: "green",
    State.WARNING: "bold yellow",
    State.FAILURE: "bold red",
    State.NOT_APPLICABLE: "dim",
}
MARKS = {State.OK: "✓", State.WARNING: "!", State.FAILURE: "✗", State.NOT_APPLICABLE: "–"}
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


ARTICLE = re.compile(r"art\. (\d+)(?:\((\d+)\))?")
TABLES = re.compile(r"tables (\S+) to (\S+)")


def duty(name: str) -> str:
    """Return how a duty of a check (`Check.duties`) is cited in the reader's language."""
    if found := ARTICLE.fullmatch(name):
        article, paragraph = found.groups()
        korean = f"운영 규정 제{article}조" + (f"제{paragraph}항" if paragraph else "")
        return say(korean, name)
    if found := TABLES.fullmatch(name):
        return say("지침 표 {}부터 {}까지".format(*found.groups()), name)
    return name


class View:
    """Shows results as they come. It has no thread of its own: some checks fork."""

    def __init__(self, *, results: bool) -> None:
        """Show nothing yet.

        results  they are shown as they come; without, standard output is a program's, and a terminal at standard
                 error is told what is looked at
        """
        self._shown = results
        out = sys.stdout if results else sys.stderr
        self._screen = console(out)
        self._live = Live(console=self._screen, auto_refresh=False, transient=True)
        self._moves = out.isatty()
        self._turn = 0
        self._title = ""

    def __enter__(self) -> Self:
        """Begin."""
        if self._moves:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take away what is looked at now."""
        if self._moves:
            self._live.stop()

    def busy(self, check: str, subject: str, left_s: int) -> None:
        """Say what is looked at now."""
        if not self._moves:
            return
        self._turn += 1
        rest = say(f"{left_s}초 남음", f"{left_s} s left") if left_s else ""
        parts = [CHECKS[check].title, subject, rest]
        text = f"{SPINNER[self._turn % len(SPINNER)]} {' · '.join(filter(None, parts))}"
        self._live.update(Text(text, style="cyan"), refresh=True)

    def show(self, result: Result) -> None:
        """Show one result."""
        if not self._shown:
            return
        title = CHECKS[result.check].title
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=1)
        grid.add_column(width=28, overflow="fold")
        grid.add_column(overflow="fold")
        style = STYLES[result.state]
        what = Text(f"{result.subject}: " if result.subject else "", style="bold")
        what.append(result.measured, style="not bold" if result.state is State.OK else style)
        name = "" if title == self._title else title
        self._title = title
        grid.add_row(Text(MARKS[result.state], style=style), Text(name), what)
        self._screen.print(grid)

    def sum_up(self, results: Sequence[Result]) -> None:
        """Say how many are how, and of what is shown as it comes, what to do about those that are not well."""
        if not self._shown:
            if self._moves:
                self._count(results)
            return
        for state in (State.FAILURE, State.WARNING):
            checks = dict.fromkeys(each.check for each in results if each.state is state)
            for name in checks:
                check = CHECKS[name]
                subjects = [each.subject for each in results if each.check == name and each.state is state]
                text = Text(f"{state.word}: {check.title}", style=STYLES[state])
                named = ", ".join(filter(None, subjects))
                text.append(f" ({named})" if named else "", style="not bold")
                text.append(f"\n  {check.why}.", style="dim")
                if check.duties:
                    text.append(f" {say('근거', 'duty')}: {', '.join(map(duty, check.duties))}", style="dim")
                text.append(f"\n  → {check.then}", style="not bold default")
                self._screen.print(Padding(text, (1, 0, 0, 0)))
        self._screen.print()
        self._count(results)

    def _count(self, results: Sequence[Result]) -> None:
        counts = [
            f"{state.word} {sum(each.state is state for each in results)}"
            for state in State
            if any(each.state is state for each in results)
        ]
        whole = worst(each.state for each in results)
        text = Text(f" {whole.word} ", style=f"reverse {STYLES[whole]}")
        text.append("  " + " · ".join(counts), style="not reverse default")
        self._screen.print(text)
