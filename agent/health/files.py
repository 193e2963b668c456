"""What each process says of itself: one small JSON file under the run directory, replaced as a whole.

Nothing in it shows pictures, passwords or addresses. A stale file is itself a sign, so each carries its time.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from agent.health.registry import Raised

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STALE_S = 60.0
"""A process that has said nothing for so long is shown as a condition by those who still speak."""


def write_health(run: Path, process: str, body: dict[str, Any]) -> None:
    """Replace <run>/<process>.json. No sync: the directory is in memory, and a restart makes the file anew.

    Raises  OSError; the caller goes on with its work
    """
    place = run / f"{process}.json"
    part = run / f".{process}.json.part"
    part.unlink(missing_ok=True)
    # Never through a link: `pasu disks` writes as root where another user may have put one.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(part, flags, 0o644), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
        json.dump(body, file, ensure_ascii=False)
    os.replace(part, place)  # noqa: PTH105 - as short as its Path form, and the Path form hides that it is atomic


def read_health(run: Path, process: str) -> dict[str, Any] | None:
    """Return what a process said last, None when it has said nothing that can be read."""
    try:
        body = json.loads((run / f"{process}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def silent_s(health: dict[str, Any] | None, boot_s: float) -> float | None:
    """Return for how long a process has said nothing, by the clock since boot that it writes as `boot_ms`.

    boot_s   now, seconds since boot, sleep included
    Returns  None when it never spoke in this boot: a clock that starts anew is behind what an earlier boot wrote
    """
    said = health.get("boot_ms") if health else None
    if type(said) is not int or said / 1000 > boot_s:
        return None
    return boot_s - said / 1000


def silences(run: Path, processes: Iterable[str], boot_s: float, since_s: float = 0.0) -> list[Raised]:
    """Return `process.silent` for each process that has said nothing for too long.

    processes  those that should run: the names of their files
    boot_s     now, seconds since boot, sleep included
    since_s    when one began to listen, by the same clock: a process that is yet to start is not silent
    """
    found = []
    for process in processes:
        silent = silent_s(read_health(run, process), boot_s)
        heard_s = since_s if silent is None else max(since_s, boot_s - silent)
        if boot_s - heard_s > STALE_S:
            found.append(Raised("process.silent", process, f"{int(boot_s - heard_s)} s"))
    return found
