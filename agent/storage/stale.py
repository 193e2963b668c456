"""A catalogue that is older than what was signed, as when yesterday's copy was put back: found before anything is done
by what it says (B12), and begun anew, as a start of the recorder would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say
from agent.storage import aside
from agent.storage.catalogue import FILE
from agent.storage.vault import HEAD_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from agent.storage.vault import Vault


def trees(state: Path, vaults: Iterable[Vault]) -> list[tuple[str, int]]:
    """Return what checkpoints say: ledgers and sizes.

    vaults  those that the catalogue knows, and that are there, also such as are not configured any more
    """
    found = (aside.tree_at(place) for place in [state / HEAD_FILE, *(each.at(HEAD_FILE) for each in vaults)])
    return [tree for tree in found if tree is not None]


def is_old(state: Path, told: Sequence[tuple[str, int]]) -> bool:
    """Tell whether a checkpoint says more than the catalogue holds, or somebody marked it: it may have been old, and
    have grown since.

    told     as `trees` returns it
    Raises   StorageFault when it cannot be asked
    """
    return aside.verdict(state, aside.Signs(True, [*told])) in ("old", "damaged")


def fault(state: Path) -> StorageFault:
    """Say that the catalogue is old."""
    return StorageFault(
        "CATALOGUE_DAMAGED",
        say(
            "목록 데이터베이스가 서명된 검증점보다 오래되었습니다",
            "the catalogue is older than what was signed",
        ),
        hint=say(
            "파일을 따로 옮기고 다시 만듭니다. 영상은 그대로입니다",
            "it is moved aside, and a new one begins; the videos are intact",
        ),
        path=str(state / FILE),
    )
