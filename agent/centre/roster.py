"""The boxes of a city's folder, followed while it changes. One file that cannot be read is that box's trouble alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.centre import registry
from agent.storage.proof import note
from agent.uplink import seal

if TYPE_CHECKING:
    from agent.centre.city import City
    from agent.centre.registry import Box


@dataclass(frozen=True, slots=True)
class Looked:
    """What is there.

    boxes       those that belong to the city, by id
    unreadable  of those whose file cannot be used: why
    """

    boxes: dict[str, Box]
    unreadable: dict[str, str]


class Roster:
    """Looks at the folder again when it changed."""

    def __init__(self, city: City) -> None:
        """Look at nothing yet."""
        self._city = city
        self._mark = -1
        self._unreadable = False

    def look(self, *, again: bool = False) -> Looked | None:
        """Return what is there; None where nothing changed.

        again   look also where something could not be read: a file mended in its place changes no folder
        Raises  OSError where the folder cannot be read: that says nothing of the boxes
        """
        folder = self._city.at("boxes")
        mark = folder.stat().st_mtime_ns
        if mark == self._mark and not (again and self._unreadable):
            return None
        found = Looked({}, {})
        for path in sorted(folder.iterdir()):
            if path.suffix != ".json":
                continue
            own = path.stem
            try:
                box = registry.find(self._city, own)
                if box is not None and box.out_ms is None:
                    _check(own, box)
                    found.boxes[own] = box
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one file
                found.unreadable[own] = str(error) or type(error).__name__
        self._mark, self._unreadable = mark, bool(found.unreadable)
        return found


def _check(name: str, box: Box) -> None:
    """See that what the watch needs of a box can be used. Raises ValueError, and what its types make of it."""
    if box.id != name or not isinstance(box.site, str):
        raise ValueError("not what its name says")
    note.Verifier.parse(box.vkey)
    for key in box.report_keys:
        seal.public_key(key)
