"""Write on a segment's file what its row was corrected to: names stay, and a lost catalogue must not forget it.

The time of a file's last write is made the true end of what is in it. Whole milliseconds say that it was put there:
the kernel's own have a rest of nanoseconds (`marked`). Rows go by it when they are made anew (keep/reborn.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from agent.errors import StorageFault
from agent.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.storage.vault import Vault

AGAIN_MS = 3_600_000
"""A file that its disk refused to write on is tried again after so long; its row waits, and ages not."""
_MILLION = 1_000_000


class Wanted(NamedTuple):
    """What a row's file is to say: the end of what is in it, or, not `sure`, only that it is to be kept from then."""

    id: int
    vault: str
    path: str
    utc_ms: int
    sure: bool


def marked(mtime_ns: int) -> bool:
    """Tell whether a file's time was put there; on file systems that keep whole seconds it always seems so."""
    return mtime_ns % _MILLION == 0


class Stamps:
    """Stamps files, and remembers those that could not be."""

    def __init__(self) -> None:
        """Begin with none refused."""
        self._refused: dict[int, int] = {}
        self.faults: dict[int, StorageFault] = {}

    def waiting(self, boot_ms: int) -> list[int]:
        """Return the rows that are not to be tried now."""
        for row, at_ms in [*self._refused.items()]:
            if boot_ms - at_ms >= AGAIN_MS:
                del self._refused[row], self.faults[row]
        return [*self._refused]

    def put(self, wanted: Iterable[Wanted], vaults: Mapping[str, Vault], boot_ms: int) -> set[int]:
        """Stamp; return the rows whose files say it now, or are not there.

        Not made durable one by one: the catalogue knows it too, and both are lost together only long after.
        """
        done: dict[str, set[int]] = {}
        for each in wanted:
            vault = vaults[each.vault]
            try:
                _stamp(vault, each)
            except StorageFault as fault:
                self._refused[each.id], self.faults[each.id] = boot_ms, fault
            else:
                done.setdefault(each.vault, set()).add(each.id)
        return {row for uuid, rows in done.items() if _there(vaults[uuid]) for row in rows}


def _there(vault: Vault) -> bool:
    """Tell whether the vault was there all the while: of one that is not, no file is."""
    try:
        vault.verify()
    except StorageFault:
        return False
    return True


def _stamp(vault: Vault, wanted: Wanted) -> None:
    place = vault.at(wanted.path)
    wanted_ns = wanted.utc_ms * _MILLION + (0 if wanted.sure else 1)
    try:
        if os.lstat(place).st_mtime_ns == wanted_ns:
            return
    except FileNotFoundError:
        return
    except OSError as error:
        raise files.fault("stat", place, error) from error
    vault.disk.stamp(place, wanted_ns)
