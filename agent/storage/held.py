"""Whether a hold has a link of a file: asked of the disk, for a catalogue may not know it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.storage import files
from agent.storage.orphans import names_in

if TYPE_CHECKING:
    from agent.storage.vault import Vault


def holders(vault: Vault, path: str, status: os.stat_result) -> list[str]:
    """Return the directories among the holds that have a link of this very file, also of one that is released.

    path    its place as a segment, relative to the vault, wherever it lies now
    status  of the file; one that has no other name costs no look
    Raises  StorageFault when that cannot be known
    """
    if status.st_nlink < 2:
        return []
    root = vault.at("holds")
    found = []
    for name in names_in(root):
        place = root / name / path.removeprefix("segments/")
        try:
            link = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise files.fault("stat", place, error) from error
        if os.path.samestat(link, status):
            found.append(name)
    return found


def is_held(vault: Vault, path: str) -> bool:
    """Tell whether a hold has a link of the file that lies at a segment's path. Raises StorageFault."""
    place = vault.at(path)
    try:
        return bool(holders(vault, path, os.lstat(place)))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise files.fault("stat", place, error) from error
