"""Names and values below each other, for terminals, pipes and logs. Needs nothing but the standard library."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, TextIO

from agent.cli.parser import columns, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable

PIPE_COLUMNS = 10_000  # a log or a pipe folds its lines itself
LEAST_COLUMNS = 20


def room(stream: TextIO) -> int:
    """Return how many columns a line may take."""
    return shutil.get_terminal_size().columns if stream.isatty() else PIPE_COLUMNS


def plain(text: str, *, lines: bool = False) -> str:
    """Return somebody else's text for a terminal: what moves the cursor or the reading direction is spelt out.

    lines  keep line feeds
    """
    return "".join(
        letter if letter.isprintable() or (lines and letter == "\n") else ascii(letter)[1:-1]
        for letter in text
    )


def print_fields(rows: Iterable[tuple[str, str]], stream: TextIO | None = None, *, indent: int = 0) -> None:
    """Print names and values; a value that is longer than the line goes on below itself, an empty one is left out."""
    out = stream or sys.stdout
    shown = [(name, value) for name, value in rows if value.strip()]
    width = max((columns(name) for name, _ in shown), default=0)
    least = max(room(out) - width - indent - 2, LEAST_COLUMNS)
    for name, value in shown:
        first, *rest = [part for line in value.splitlines() for part in wrap(line, least)]
        print(f"{' ' * indent}{name}{' ' * (width - columns(name))}  {first}", file=out)
        for line in rest:
            print(f"{' ' * (indent + width)}  {line}", file=out)
