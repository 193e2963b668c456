"""What becomes of an update is a fact, whichever version writes it; one that was taken back is a condition."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING, Any

from agent.health import Raised
from agent.model import UTC_DAY_MS, Fact, Trust
from agent.storage import ledger, updated
from agent.storage.catalogue import set_meta

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

TOLD = "update.told"
"""Key in `meta`: the update of which the last fact tells."""
SHOWN_MS = 14 * UTC_DAY_MS
"""So long an update that was taken back is shown, unless another one follows."""
DUE_DAYS = 180
BUILT = "%Y-%m-%dT%H:%M:%SZ"
_TEXTS = ("id", "version", "sha256", "signed_by", "built", "before", "before_sha256", "by", "older", "why")
_OUTCOMES = ("applied", "rolled_back", "failed")


def turn(catalogue: Catalogue, now: Instant, place: Path) -> list[Raised]:
    """Write down what became of the last update, once; return what is wrong. Raises StorageFault CATALOGUE_..."""
    found = updated.read(place)
    if found is None or found.get("outcome") not in _OUTCOMES:
        return []
    outcome, body = str(found["outcome"]), _body(found)
    told = f"{body['id']} {outcome}"
    if catalogue.meta(TOLD) != told:
        line = ledger.line(Fact(f"update.{outcome}", now, body))

        def write(db: sqlite3.Connection) -> None:
            ledger.append(db, line)
            set_meta(db, TOLD, told)

        catalogue.write(write)
    at_ms = found.get("at_ms")
    over = type(at_ms) is int and now.trust is not Trust.UNTRUSTED and now.utc_ms - at_ms > SHOWN_MS
    if outcome == "applied" or (over and outcome == "rolled_back"):
        return []
    return [Raised(f"update.{outcome}", detail=f"{body['version']}: {body['why']}")]


def age(now: Instant, built: Path) -> list[Raised]:
    """Return `update.due` of a version that was built half a year ago: its faults are mended elsewhere by now.

    built   the file in which the package says so, as 2026-11-22T00:00:00Z
    Source  safety standard art. 9: updates without delay
    """
    try:
        built_s = calendar.timegm(time.strptime(built.read_text(encoding="ascii").strip(), BUILT))
    except (OSError, ValueError):
        return []
    days = (now.utc_ms - 1000 * built_s) // UTC_DAY_MS
    if now.trust is Trust.UNTRUSTED or days < DUE_DAYS:
        return []
    return [Raised("update.due", detail=f"{days} d")]


def _body(found: dict[str, Any]) -> dict[str, Any]:
    missing = found.get("missing")
    return {name: str(found.get(name, "")) for name in _TEXTS} | {
        "missing": [str(camera) for camera in missing] if isinstance(missing, list) else []
    }
