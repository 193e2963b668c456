"""Tables and bars in the terminal, through rich. Imported only by commands that draw."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Literal, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.field.words import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import RenderableType

__all__ = ["again_and_again", "console", "size", "table"]

REFRESH_S = 2.0

PIPE_COLUMNS = 200  # a file or a pipe has no width of its own; a row should stay one line


def console(stream: TextIO | None = None) -> Console:
    """Return a console that prints texts as they are: a name like "[cam]" is no markup."""
    out = stream or sys.stdout
    return Console(
        file=out,
        width=None if out.isatty() else PIPE_COLUMNS,
        markup=False,
        highlight=False,
        emoji=False,
    )


def again_and_again(screen: Console, draw: Callable[[], RenderableType]) -> None:
    """Draw anew each REFRESH_S until Ctrl-C; on a terminal it has the whole screen."""
    from rich.live import Live

    with Live(console=screen, auto_refresh=False, screen=screen.is_terminal) as live:
        try:
            while True:
                live.update(draw(), refresh=True)
                time.sleep(REFRESH_S)
        except KeyboardInterrupt:
            return


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Sequence[int] = (),
    folding: Sequence[int] = (),
) -> Table:
    """Build a table.

    heads    titles of the columns
    right    numbers of the columns that are aligned to the right
    folding  numbers of the columns that may be broken into lines when the terminal is narrow
    """
    drawn = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0)
    )
    for number, head in enumerate(heads):
        side: Literal["left", "right"] = "right" if number in right else "left"
        drawn.add_column(Text(head), justify=side, overflow="fold", no_wrap=number not in folding)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn
