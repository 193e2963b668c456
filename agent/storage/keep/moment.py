"""What a turn of live streams depends on, and the configuration as it lies there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from agent.command.ring import Ring
    from agent.config import Config
    from agent.model import Instant

log = logging.getLogger("pasu.keep")


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of a box.

    boot     the kernel's name of this one; boot_ms: CLOCK_BOOTTIME
    ring     whose commands are obeyed; None when that cannot be told
    config   as it was when it could be read last; None for a keeper without one
    """

    now: Instant
    boot: str
    boot_ms: int
    ring: Ring | None
    config: Config | None
    locked_down: bool


class Followed:
    """agent.toml, read again when it is another file."""

    def __init__(self, file: Path | None) -> None:
        """Look at nothing yet. `file`: None where there is none."""
        self._file = file
        self._seen: tuple[int, int, int] | None = (0, 0, 0)
        self._config: Config | None = None

    def config(self) -> Config | None:
        """Return the configuration; of one that cannot be read nothing is concluded, and the last one stands."""
        from agent.config import ConfigProblems, load

        if self._file is None:
            return None
        seen = _signature(self._file)
        if seen != self._seen:
            self._seen = seen
            try:
                self._config = load(self._file)
            except ConfigProblems as error:
                log.warning("live streams go by the configuration as it was: %s", error)
        return self._config


def _signature(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
