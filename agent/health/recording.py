"""What recorders cannot store, as conditions. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.health.registry import Raised

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOW = "DISK_SLOW"


def judge_storage(storage: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[Raised]:
    """Say what is wrong with storing.

    storage  as in record.json: worker -> what (disk, progress, salvage, catalogue, slow) -> `code`, `where`
    Returns  `vault.slow` of a vault, and `storage.trouble` of what; two workers with the same trouble have it once
    """
    found: dict[tuple[str, str], Raised] = {}
    for trouble in storage.values():
        for what, fault in trouble.items():
            code, where = fault["code"], fault["where"]
            if code == SLOW:
                raised = Raised("vault.slow", where)
            else:
                raised = Raised("storage.trouble", what, f"{code} {where}".strip())
            found.setdefault((raised.code, raised.subject), raised)
    return [*found.values()]
