"""Where a check has come to: a small file, which may be lost without harm."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.files import Disk

VERSION = 1
_LIMIT_BYTES = 4 << 20


def load(place: Path) -> dict[str, Any]:
    """Read what `save` wrote; empty when there is nothing, or nothing that can be read."""
    try:
        with place.open("rb") as file:
            values = json.loads(file.read(_LIMIT_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) and values.get("version") == VERSION else {}


def save(disk: Disk, place: Path, values: dict[str, Any]) -> None:
    """Write values down.

    It is a help: that it cannot be written, or is lost, only repeats some work.
    """
    text = json.dumps({"version": VERSION, **values}, ensure_ascii=False)
    with contextlib.suppress(StorageFault):
        disk.atomic_replace(place, text.encode(errors="replace"), sync=False)
