"""Values of `meta` that are JSON, read so that one damaged text, of which SQLite notices nothing, stops nothing (B19).

What can do without one takes it for empty. What cannot (which vaults wait for rows, and since when) takes the whole
catalogue for a damaged one: it is moved aside, and begun anew from what lies on the disks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import sqlite3

    from agent.storage.catalogue import Catalogue

T = TypeVar("T", dict[str, Any], list[Any])


def mild(text: str | None, empty: T) -> T:
    """Read a text; whatever is not of the same type as `empty` is taken for that."""
    try:
        found = json.loads(text) if text else empty
    except (ValueError, TypeError, RecursionError):
        return empty
    return found if isinstance(found, type(empty)) else empty


def number(text: str | None) -> int:
    """Read a number that counts something; 0 for what is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def names_of(text: str | None) -> list[str] | None:
    """Read a list of names, empty without a text; None for a damaged one."""
    if text is None:
        return []
    found = mild(text, [None])
    return found if all(isinstance(each, str) for each in found) else None


def began_of(text: str | None) -> dict[str, Any] | None:
    """Read when a catalogue was begun anew, empty when it was not: `at_ms`, `trust`, `cameras`; None for a damaged
    text.
    """
    if text is None:
        return {}
    found = mild(text, {"": None})
    cameras = found.get("cameras")
    is_whole = isinstance(cameras, list) and all(isinstance(each, str) for each in cameras)
    return found if is_whole and type(found.get("at_ms")) is int and "trust" in found else None


def names(catalogue: Catalogue, key: str, db: sqlite3.Connection | None = None) -> list[str]:
    """Return a list of names.

    db      the caller's transaction, when it is to be read inside one: others may change it at any moment
    Raises  StorageFault, CATALOGUE_DAMAGED for a damaged text
    """
    if db is None:
        text = catalogue.meta(key)
    else:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        text = row[0] if row else None
    found = names_of(text)
    if found is None:
        raise catalogue.damage(key)
    return found


def began(catalogue: Catalogue, key: str) -> dict[str, Any]:
    """Return what `began_of` reads. Raises StorageFault, CATALOGUE_DAMAGED for a damaged text."""
    found = began_of(catalogue.meta(key))
    if found is None:
        raise catalogue.damage(key)
    return found
