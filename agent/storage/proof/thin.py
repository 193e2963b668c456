"""Which earlier checkpoints are worth keeping. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NEWEST = 32
"""So many of the newest stay in any case: half an hour's."""


def superfluous(sizes: Iterable[int]) -> set[int]:
    """Choose the checkpoints to let go, so that few stay and every age is covered.

    sizes    of the checkpoints' trees
    Returns  what lies, by its distance from the newest, in one power of two between two others; so at most two for
             each power remain, the oldest of all among them
    """
    ordered = sorted(set(sizes), reverse=True)
    by_distance: dict[int, list[int]] = {}
    for size in ordered[NEWEST:]:
        by_distance.setdefault((ordered[0] - size).bit_length(), []).append(size)
    return {size for alike in by_distance.values() for size in alike[1:-1]}
