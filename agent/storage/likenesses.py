"""What is remembered of each camera's device: <state>/cameras.json.

{"cameras": {id: marks}, "magic": "pasu-cameras", "version": 1}, marks as `agent.capture.identity` makes them. It holds
hashes only. A file that is gone or cannot be read is begun anew: who was exchanged meanwhile is then not seen.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from agent.storage.files import Disk
from agent.storage.locks import held

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE = "cameras.json"
LOCK = "cameras.lock"
MAGIC = "pasu-cameras"

log = logging.getLogger("pasu.record")


def read(state: Path) -> dict[str, dict[str, Any]]:
    """Return what is remembered, by camera."""
    try:
        body = json.loads((state / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s is begun anew: %s", FILE, type(error).__name__)
        return {}
    cameras = body.get("cameras") if isinstance(body, dict) else None
    if not isinstance(cameras, dict) or body.get("magic") != MAGIC or body.get("version") != 1:
        log.warning("%s is begun anew: it is no such file", FILE)
        return {}
    return {camera: marks for camera, marks in cameras.items() if _is_sound(marks)}


def _is_sound(marks: Any) -> bool:
    if not isinstance(marks, dict) or not isinstance(marks.get("formats"), list):
        return False
    words = [value for name, value in marks.items() if name != "formats"]
    return all(isinstance(each, str) for each in [*marks["formats"], *words])


def remember(state: Path, marks: Mapping[str, Mapping[str, Any]], disk: Disk | None = None) -> None:
    """Remember these cameras so from now on. Raises StorageFault."""
    _change(state, lambda cameras: cameras | dict(marks), disk or Disk())


def forget(state: Path, camera: str, disk: Disk | None = None) -> None:
    """Remember nothing of a camera: whatever answers next is the one. Raises StorageFault."""
    _change(
        state,
        lambda cameras: {name: each for name, each in cameras.items() if name != camera},
        disk or Disk(),
    )


def _change(state: Path, change: Callable[[dict[str, Any]], dict[str, Any]], disk: Disk) -> None:
    with held(state / LOCK):
        body = {"cameras": change(read(state)), "magic": MAGIC, "version": 1}
        disk.atomic_replace(state / FILE, json.dumps(body, sort_keys=True).encode(), sync=True)
