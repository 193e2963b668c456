"""Vaults that are there, and of which not every directory can be listed.

They are like one that is away: the others are done, and erasing begins on them; their gaps wait; and what can be read
has its rows. It is tried again after a pause that grows, and not before what could not be listed can be: a rebuilding
keeps all erasing waiting for as long as it lasts.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage.catalogue import set_meta
from agent.storage.orphans import names_in

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Mapping

    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault

UNREAD = "unread"
"""Key in `meta`: JSON, by vault the directories that could not be listed, some of them."""
FIRST_S = 60.0
LONGEST_S = 21_600.0
"""A disk that fails takes half a minute for each answer: four a day are enough."""
_SOME = 100


def unread(text: str | None) -> dict[str, list[str]]:
    """Read what UNREAD says; a damaged text says nothing, and costs another try."""
    try:
        told = json.loads(text or "{}")
        return {str(uuid): [str(each) for each in places] for uuid, places in told.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def note(db: sqlite3.Connection, uuid: str, places: Iterable[str] | None) -> None:
    """Note what of a vault could not be listed, inside the caller's transaction; None: it is done."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (UNREAD,)).fetchone()
    every = unread(row[0] if row else None)
    every.pop(uuid, None)
    if places is not None:
        every[uuid] = [*places][:_SOME]
    if every or row:
        set_meta(db, UNREAD, json.dumps(every) if every else None)


class Pauses:
    """Says which vaults are to be tried, and remembers how long not."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with none. monotonic: seconds."""
        self._monotonic = monotonic
        self._pauses: dict[str, tuple[float, float]] = {}  # when it is over, and how long it is

    def ready(self, catalogue: Catalogue, vaults: Mapping[str, Vault], waiting: Collection[str]) -> set[str]:
        """Return the vaults that wait for rows, and can have them now.

        vaults  those that are there; one that was away is tried at once when it is back
        Raises  StorageFault when the catalogue cannot be used
        """
        there = {uuid for uuid in waiting if uuid in vaults}
        self._pauses = {uuid: pause for uuid, pause in self._pauses.items() if uuid in there}
        if not there:
            return there
        every = unread(catalogue.meta(UNREAD))
        return {uuid for uuid in there if uuid not in every or self._is_ready(vaults[uuid], every[uuid])}

    def failed(self, uuid: str) -> None:
        """Note that a vault could not be read now."""
        pause_s = self._pauses[uuid][1] * 2 if uuid in self._pauses else FIRST_S
        pause_s = min(pause_s, LONGEST_S)
        self._pauses[uuid] = self._monotonic() + pause_s, pause_s

    def _is_ready(self, vault: Vault, places: list[str]) -> bool:
        if vault.uuid in self._pauses and self._monotonic() < self._pauses[vault.uuid][0]:
            return False
        if all(_is_listed(vault, place) for place in places):
            return True
        self.failed(vault.uuid)
        return False


def _is_listed(vault: Vault, place: str) -> bool:
    try:
        names_in(vault.at(place))
    except StorageFault as fault:
        return fault.context.get("errno") == "ENOENT"  # nothing is left there to have rows
    return True
