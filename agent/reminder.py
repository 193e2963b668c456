"""What a disk says of the time that was away when the time was first believed. Pure.

A box that has lost its memory takes the first synchronised clock for right. A vault that comes back later may know
better: it is asked before anything of it is erased, and before the time that is believed now is written into it.

Source  docs/adr/0005-trust-in-time.md
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.model import Trust
from agent.trust import ABSENT_MS, ALWAYS_MS, BEHIND_MS, Anchor, Reason, Told

if TYPE_CHECKING:
    from agent.trust import Belief


def remind(belief: Belief, known_ms: int, now_ms: int, boot_ms: int) -> tuple[Belief, list[Told]]:
    """Judge what is believed by the newest time that vaults know which were away, as if it had been known before.

    known_ms         a time that was trusted once
    now_ms, boot_ms  the present moment, as it is labelled, and on the boot clock
    Returns          what is believed then, and the facts to tell
    """
    if belief.state is Trust.UNTRUSTED or not belief.known_from_ms:
        return belief, []
    if known_ms - now_ms > BEHIND_MS:
        reason = Reason.BACKWARD
    elif belief.known_from_ms - known_ms > ABSENT_MS:
        reason = Reason.ABSENT
    else:
        # One that is older than this box's memory, and not by much, continues it.
        known_from_ms = ALWAYS_MS if known_ms <= belief.known_from_ms else belief.known_from_ms
        return replace(belief, known_from_ms=known_from_ms), []
    doubted = replace(
        belief,
        state=Trust.UNTRUSTED,
        reason=reason,
        anchor=Anchor("", 0, known_ms, "vault"),
        known_from_ms=ALWAYS_MS,
        refused_ms=now_ms - boot_ms,
        since_ms=boot_ms,
        since_utc_ms=now_ms,
    )
    return doubted, [Told("clock.untrusted", {"reason": str(reason)})]


def placed(belief: Belief, label_ms: int) -> int:
    """Return when a moment was that had this label, where it lies in a span whose labels are known to be off."""
    for doubt in reversed(belief.doubts):
        if doubt.from_ms <= label_ms - doubt.label_ms <= doubt.to_ms:
            return label_ms + doubt.shift_ms
    return label_ms
