"""What the recorder's desk remembers of each camera, and of files that failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.model import Span
    from agent.ports import SegmentStart
    from agent.storage.writer import Fragment, OpenSegment

_FIRST_RESERVATION_BYTES = 4 << 20


@dataclass(slots=True)
class Down:
    """A camera's segment that waits for the disk: its start, and what is still to be written."""

    start: SegmentStart
    init: list[bytes] = field(default_factory=list)
    fragments: list[Fragment] = field(default_factory=list)

    def held_bytes(self) -> int:
        """Return the bytes of pictures that wait."""
        return sum(len(fragment.data) for fragment in self.fragments)


@dataclass(slots=True)
class Camera:
    """What the desk knows of a camera. `lost`: a span that no file holds, until its gap is written."""

    name: str
    open: OpenSegment | None = None
    down: Down | None = None
    lost: Span | None = None
    reserve_bytes: int = _FIRST_RESERVATION_BYTES
    segments: int = 0
    sealed_bytes: int = 0
    gaps: int = 0
    last_commit_ms: int | None = None


@dataclass(slots=True)
class Leftover:
    """The file of a failed segment; put away when its rest is durable elsewhere, or lost."""

    segment: OpenSegment
    camera: Camera
    lost: bool = False
    tries: int = 0

    def is_superseded(self) -> bool:
        """Tell whether what this file holds durably, tail included, is durable in the camera's later files.

        Not just that a sync was good: a segment that was begun after the flush had made its marks has no tail
        yet.
        """
        if self.camera.down is not None:
            return False
        if self.camera.open is None:
            return True  # the later file was finished, and synced by itself
        return self.camera.open.durable_end_ms(with_tail=True) >= self.segment.durable_end_ms(with_tail=True)
