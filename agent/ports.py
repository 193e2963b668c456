"""Protocols where capture meets storage. `app` joins the two; neither imports the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.errors import PasuError
    from agent.model import Fact, Gap, Instant, Track


@dataclass(frozen=True, slots=True)
class SegmentStart:
    """What is known when a segment begins.

    run              name of the unbroken camera session it belongs to
    start            UTC of its first frame
    keyframe_start   false when a cap cut it in the middle of a GOP
    """

    camera: str
    run: str
    start: Instant
    track: Track
    keyframe_start: bool


class Recorder(Protocol):
    """Takes what cameras yield and never makes the caller wait: every call puts work in a queue and returns.

    Calls for one camera come in the order begin, write..., end. `begin` while a segment is open ends that one
    at the new start. A disk that fails is the recorder's own affair: it writes the gap and goes on.
    """

    def begin(self, segment: SegmentStart) -> None:
        """Open a segment."""
        ...

    def write(self, camera: str, data: bytes, end_ms: int, frames: int) -> None:
        """Append the init segment or one fragment.

        data    whole boxes of the MP4 stream
        end_ms  UTC up to which the segment's pictures reach with this fragment (the start, for the init segment)
        frames  pictures in it
        """
        ...

    def end(self, camera: str, end_ms: int) -> None:
        """Commit the camera's open segment; its pictures reach to end_ms."""
        ...

    def flush(self) -> None:
        """Make durable all that was written so far; called once per loss window."""
        ...

    def gap(self, gap: Gap, at: Instant) -> None:
        """Record a span that was missed."""
        ...

    def fact(self, fact: Fact) -> None:
        """Append a fact to the ledger."""
        ...

    def backlog_bytes(self) -> int:
        """Return how many bytes of pictures wait in memory for the disk."""
        ...

    def room(self, camera: str) -> bool:
        """Tell whether memory has room for a camera's next pictures; false until it has room again for a while."""
        ...

    def trouble(self) -> Mapping[str, PasuError]:
        """Return what does not work now, by what it is: disk, progress, salvage, catalogue; and `slow`."""
        ...

    def covered_until(self, camera: str) -> int | None:
        """Return the UTC end of the newest stored segment or gap of a camera at start-up, None for a new camera."""
        ...

    def totals(self) -> dict[str, dict[str, Any]]:
        """Return, per camera, what this process has stored: segments, sealed_bytes, gaps, last_commit_ms."""
        ...

    def close(self, timeout_s: float) -> bool:
        """Commit every open segment and stop; false when the disk did not follow in time."""
        ...
