"""Placing, releasing and tending holds. The procedures, cited by their numbers in code and tests:

    place     H1  in every vault that is there: `holds/<hold>/HOLD`, durable
              H2  look which condemned segments of the span still have their header
              H3  one transaction: the hold's rows, the fact `hold.placed`, and those segments get their state back.
                  From here on it holds; the state directory gets a copy of the HOLD file
              H4  hard links of the segments and their tails, H5 fsync of the directories, H6 rows of the links
    release   R1  one transaction: the row, and the fact `hold.released`. From here on it does not hold
              R2  the HOLD file says so too; its copy in the state directory goes
              R3  links are removed; a segment without another name gets its own back first
              R4  the hold's directory is removed, R5 the rows of the links
    tend      whatever was cut off is finished; what was recorded since is linked; reviews are reminded of

H1 to H3 and R1 are one hand with `locks.fate`; the others take it batch by batch. Killed at any step and tended, a
hold is as before it was ordered, or as it was ordered. When in doubt it holds.
A hold that has a file and no row (the catalogue was lost) gets its row again, and nothing is erased in a vault where
there is a hold without a row: see `erase`. All of this works by any clock, also an untrusted one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.storage.keep import hold_rows
from agent.storage.keep.placing import Placed, Released, place, release
from agent.storage.keep.restoring import Tended
from agent.storage.keep.tending import Tender, reconcile, tend

if TYPE_CHECKING:
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.hold import Hold

__all__ = [
    "Placed",
    "Released",
    "Tended",
    "Tender",
    "active",
    "all_holds",
    "place",
    "reconcile",
    "release",
    "tend",
]


def active(catalogue: Catalogue) -> list[Hold]:
    """Return the holds that hold, oldest first. Raises StorageFault."""
    return hold_rows.holds(catalogue)


def all_holds(catalogue: Catalogue) -> list[Hold]:
    """Return every hold there was, oldest first. Raises StorageFault."""
    return hold_rows.holds(catalogue, released=True)
