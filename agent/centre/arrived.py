"""Which exports are here of which their boxes are still to be told: signed, since a receipt on the wire is not.

`pasu centre receive` and `watch` leave a receipt in the city's folder of what came; `watch`, which has a key, signs.
Nothing is kept about it: a box that is told again answers again, and after four days it waits for nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent import consignment
from agent.centre.standing import Wish
from agent.consignment import LIMIT_BYTES, Unreadable, Where
from agent.storage import files

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "received"
"""In the city's folder."""
COMMAND = "export.received"
AGAIN_S = 600.0
YOUNG_S = 4 * 86_400
"""A box waits for three days."""
CLEAR = frozenset({"EXPORT_UNKNOWN", "EXPORT_NOT_SENT", "COMMAND_UNKNOWN", "COMMAND_CAMERA"})
"""Codes of refusals that asking again does not change."""
_ENDING = ".receipt"


@dataclass(slots=True)
class _Box:
    mark: int = -1
    here: dict[str, bool] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    asked_s: dict[str, float] = field(default_factory=dict)


class Arrived:
    """Knows what is in the folder of what was received."""

    def __init__(self, root: Path) -> None:
        """Look at nothing yet."""
        self._root = root
        self._boxes: dict[str, _Box] = {}

    def wish(self, box: str, now_s: float, utc_ms: int) -> Wish | None:
        """Return what to tell a box now; None when there is nothing. now_s: monotonic."""
        known = self._boxes.setdefault(box, _Box())
        folder = self._root / box
        with contextlib.suppress(OSError):
            mark = folder.stat().st_mtime_ns
            if mark != known.mark:
                known.here = self._look(folder, utc_ms)
                known.mark = mark
        for export, good in known.here.items():
            if export not in known.told and now_s - known.asked_s.get(export, -AGAIN_S) >= AGAIN_S:
                known.asked_s[export] = now_s
                return Wish(COMMAND, {"export": export, "good": good})
        return None

    def answered(self, box: str, export: str, status: object, code: object) -> None:
        """Hear what a box answered."""
        if status == "done" or code in CLEAR:
            self._boxes.setdefault(box, _Box()).told.add(export)

    def _look(self, folder: Path, utc_ms: int) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for path in sorted(folder.glob(f"*{_ENDING}")):
            with contextlib.suppress(OSError, Unreadable):
                if utc_ms / 1000 - path.lstat().st_mtime > YOUNG_S:
                    continue
                receipt = consignment.parse_receipt(files.read_small(path, LIMIT_BYTES))
                if receipt.export == path.stem and receipt.where in (Where.RECEIVED, Where.DAMAGED):
                    found[receipt.export] = receipt.where is Where.RECEIVED
        return found
