"""What became of the last update of Pasu: root writes it (agent/field/updating/store.py), everybody may read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.storage import files

PLACE = Path("/var/lib/pasu-update")
FILE = "last.json"
BUILT = Path("/opt/pasu/share/built")
"""When the version that is installed was built: tools/deb writes it."""
_LIMIT_BYTES = 1 << 16


def read(place: Path = PLACE) -> dict[str, Any] | None:
    """Return what is told; None when there is nothing, or nothing that can be read.

    Returns  id, outcome ("applied", "rolled_back" or "failed"), version, sha256, signed_by (a key's id), built, before,
             before_sha256, by, older, why, begun_ms, at_ms; missing: list of camera ids
    """
    try:
        found = json.loads(files.read_small(place / FILE, _LIMIT_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("v") == 1 else None
