"""Where rows and files do not agree. Directories are read, and no file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.model import UTC_DAY_MS, Instant, utc_day
from agent.storage import files
from agent.storage.layout import Kind, Stem, classify

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault


@dataclass(slots=True)
class Orphans:
    """What does not agree between the rows and the files of a camera's day.

    stems    segments with a file that has no row, or that waits to be put in order; every kind of file of each
    strange  names that Pasu never wrote there
    missing  paths of rows whose file is not there
    rows     path and state of the rows that were compared
    """

    stems: dict[Stem, set[Kind]] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    rows: dict[str, str] = field(default_factory=dict)


def orphans(vault: Vault, catalogue: Catalogue, camera: str, day: str) -> Orphans:
    """Compare the names in a day's directory with the rows. Reads the directory, and no file.

    Raises  StorageFault when the directory cannot be listed or the catalogue not be read. One that is not there is
            empty: that the vault itself is there was checked
    """
    inside = f"segments/{camera}/{day}"
    # The names first: what is committed in between has its row then, and is no orphan.
    names = set(names_in(vault.at(inside))) if files.is_directory(vault.at(inside)) else set()
    rows = catalogue.paths(vault.uuid, inside)
    return _compare(camera, day, names, rows)


def _compare(camera: str, day: str, names: set[str], rows: dict[str, str]) -> Orphans:
    found = Orphans(rows=rows)
    stored = {path.rpartition("/")[2]: path for path in rows}
    # A month of one camera is 43,200 files, nearly all of them in the catalogue: only the others are looked at.
    there = names & stored.keys()
    for name in sorted(names - stored.keys()):
        what = classify(camera, day, name)
        if what is None:
            found.strange.append(name)
            continue
        stem, kind = what
        present = {each for each in (Kind.FINAL, Kind.SALVAGED) if stem.start + each.value in there}
        found.stems.setdefault(stem, present).add(kind)
    for stem, kinds in list(found.stems.items()):
        # A salvaged segment's tail has no row of its own.
        if kinds == {Kind.SALVAGED, Kind.SALVAGED_TAIL} and stem.path(Kind.SALVAGED) in rows:
            del found.stems[stem]
    found.missing = sorted(path for name, path in stored.items() if name not in names)
    return found


def touched(days: list[str], now: Instant, told: set[str]) -> list[str]:
    """Choose the days in which a killed recorder may have left something open, out of a camera's days.

    told     days of the progress files
    Returns  those; today and yesterday; and the newest two, for a box whose clock was elsewhere. All others are
             compared in the background (`pasu check`): 2.8 million names take longer than a start may
    """
    today = utc_day(now.utc_ms)
    yesterday = utc_day(now.utc_ms - UTC_DAY_MS)
    return sorted(told & set(days) | {today, yesterday} & set(days) | set(sorted(days)[-2:]))


def names_in(directory: Path) -> list[str]:
    """List a directory, sorted. Raises StorageFault."""
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - a tenth of the time for 1,440 names
    except OSError as error:
        raise files.fault("list", directory, error) from error
