"""What a vault knows of the time: beside its footage stands when time was last known to be right.

A box whose state directory was lost has forgotten that it ever knew the time. Its vaults have not: without them it
would be taken for a new one, believe any clock, and erase all they hold.

Source  docs/adr/0005-trust-in-time.md
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.model import canonical_json
from agent.reminder import placed
from agent.storage import files
from agent.storage.vault import Vault, may_hold_anything
from agent.trust import BUILD_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from agent.trust import Belief

FILE = "TIME"
VERSION = 1
_LIMIT_BYTES = 4096


def write(vault: Vault, utc_ms: int) -> None:
    """Write down in a vault that it is this time, which is trusted. Raises StorageFault."""
    vault.verify()
    data = canonical_json({"utc_ms": utc_ms, "version": VERSION}).encode() + b"\n"
    vault.disk.atomic_replace(vault.at(FILE), data, sync=True)


def read(place: Path) -> int | None:
    """Return the time that was last written in a vault, UTC ms; None when it tells nothing."""
    try:
        body = json.loads(files.read_small(place / FILE, _LIMIT_BYTES))
        utc_ms = body["utc_ms"] if body["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return utc_ms if type(utc_ms) is int else None


def newest(places: Iterable[Path]) -> int | None:
    """Return the newest time that any vault knows, None when none does."""
    return max((known for place in places if (known := read(place)) is not None), default=None)


def earliest(places: Iterable[Path]) -> int | None:
    """Return when the newest of the vaults that hold anything was made, None when none does.

    For vaults that know no time: an anchor that is too early asks for one word more, and does no harm.
    """
    return max((made for place in places if (made := _made(place)) is not None), default=None)


def told(vaults: Collection[Vault], belief: Belief) -> int | None:
    """Return the newest time that vaults know which were away, UTC ms; None when none does.

    Of those without, when they were made: unless by a clock that had nothing to go by.
    """
    known_ms = newest(vault.root for vault in vaults)
    if known_ms is not None:
        return known_ms
    made = [placed(belief, made) for vault in vaults if (made := _made(vault.root)) is not None]
    return max((each for each in made if each >= BUILD_MS), default=None)


def _made(place: Path) -> int | None:
    try:
        return Vault.open(place).created_ms if may_hold_anything(place) else None
    except StorageFault:
        return None  # it is not there, and nothing of it can be erased
