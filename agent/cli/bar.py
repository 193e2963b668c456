"""A progress bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from typing import Any, Self


class Bar:
    """Shows how much is done of how much.

    title    what is being done
    unit     "bytes", or None for plain numbers
    """

    def __init__(self, title: str, unit: str | None = None) -> None:
        self._title = title
        self._unit = unit
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            from agent.cli.show import console

            self._bar = Progress(
                TextColumn(self._title),
                BarColumn(),
                DownloadColumn() if self._unit == "bytes" else MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
                console=console(sys.stderr),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def show(self, done: int, total: int, text: str = "") -> None:
        """Move it; the text stands beside the figures."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=text)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
