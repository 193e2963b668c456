"""Whether overwriting in place means anything on the file system that a vault lies on (docs/threat-model.md)."""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
COPYING = frozenset({"btrfs", "zfs", "bcachefs", "f2fs", "nilfs2"})
"""File systems that put new bytes elsewhere and leave the old ones where they are."""
_JOURNAL = "data=journal"


def keeps_copies(place: Path, mounts: str | None = None) -> str:
    """Say why erased headers would stay on the disk below a place; empty when nothing says so.

    mounts  the text of /proc/self/mountinfo (proc(5)); read when not given. What cannot be read says nothing
    """
    try:
        device = place.stat().st_dev
        text = MOUNTS.read_text(encoding="utf-8", errors="replace") if mounts is None else mounts
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        of, rest = before.split(" "), after.split(" ")
        if len(of) < 6 or len(rest) < 3 or of[2] != number:
            continue
        if rest[0] in COPYING:
            return rest[0]
        if _JOURNAL in rest[2].split(","):
            return f"{rest[0]} {_JOURNAL}"
    return _by_name(place, text)


def _by_name(place: Path, text: str) -> str:
    """Find a btrfs by the longest mount point above a place: its subvolumes have device numbers of their own."""
    best, kind = "", ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        of = before.split(" ")
        if len(of) > 4 and place.is_relative_to(of[4]) and len(of[4]) >= len(best):
            best, kind = of[4], after.split(" ")[0]
    return kind if kind in COPYING else ""
