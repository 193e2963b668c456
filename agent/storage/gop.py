"""Where in a fragment the next picture stands that can be decoded alone. Asked only when pictures must go. Pure."""

from __future__ import annotations

from agent.mp4.boxes import HEADER_BYTES, children
from agent.mp4.errors import Mp4Error
from agent.mp4.parse import moof_of


def keyframe_at_ms(fragment: bytes, hz: int) -> int | None:
    """Return how long after the fragment's beginning its first keyframe is decoded, in ms; None if it has none.

    hz      ticks per second of the track
    Raises  Mp4Error for bytes that `agent.mp4` does not write
    """
    for kind, start, end in children(fragment, 0, len(fragment)):
        if kind == b"moof":
            run = moof_of(fragment[start - HEADER_BYTES : end]).trun
            if True not in run.keyframes:
                return None
            return 1000 * sum(run.durations[: run.keyframes.index(True)]) // max(hz, 1)
    raise Mp4Error("moof", "no fragment")
