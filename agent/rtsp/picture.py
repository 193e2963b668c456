"""What the MPEG-4 and JPEG depacketizers share: a picture that is one run of bytes, whole or dropped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

from agent.rtsp.media import AccessUnit, VideoFormat
from agent.rtsp.nal import MAX_UNIT_BYTES, OVERHEAD


class PictureDepacketizer(ABC):
    """One picture under construction, and those that are complete. A picture with a hole is dropped.

    A subclass calls `_begin` and `_append` for each packet, and gives the finished bytes their meaning in
    `_finish`.
    """

    __slots__ = (
        "_arrival",
        "_clock_rate",
        "_complete",
        "_damaged",
        "_lost",
        "_parts",
        "_size",
        "_timestamp",
        "bad",
        "dropped",
        "format",
    )

    run_head = b""  # pictures are taken packet by packet

    def __init__(self, clock_rate: int) -> None:
        self.format: VideoFormat | None = None
        self.bad = 0
        self.dropped = 0
        self._clock_rate = clock_rate
        self._complete: deque[AccessUnit] = deque()
        self._timestamp: int | None = None
        self._lost = 0
        self._reset()

    def _reset(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._damaged = False
        self._arrival = 0.0

    def _begin(self, timestamp: int, lost: int, now: float) -> None:
        """Account for what was lost before this packet, and end the picture if the timestamp says so."""
        if lost:
            self._lost += lost
            if self._parts:
                self._damaged = True
        if timestamp != self._timestamp:
            self._end()
            self._timestamp = timestamp
            self._arrival = now
        elif not self._parts:
            self._arrival = now

    def _append(self, part: bytes) -> None:
        """Add bytes to the picture, unless it is to be dropped anyway."""
        self._size += len(part) + OVERHEAD
        if self._size > MAX_UNIT_BYTES:
            self._spoil()
        if not self._damaged:
            self._parts.append(part)

    def extend(self, fragments: tuple[bytes, ...], octets: int) -> bool:  # noqa: ARG002 - for others to use
        """Take nothing: see `Depacketizer.extend`."""
        return False

    def _spoil(self) -> None:
        """Count something that cannot be used, and drop the picture it belongs to."""
        self.bad += 1
        self._damaged = True
        self._parts.clear()

    def _end(self) -> None:
        """Give the picture out if it is whole, else drop it."""
        if self._damaged:
            self.dropped += 1
            self._lost = self._lost or 1
            self._reset()
        elif self._parts:
            self._finish(b"".join(self._parts))

    @abstractmethod
    def _finish(self, data: bytes) -> None:
        """Give the bytes of a whole picture their meaning."""

    def _emit(self, data: bytes, keyframe: bool) -> None:
        """Make the picture ready to be pulled."""
        self._complete.append(
            AccessUnit(
                timestamp=self._timestamp or 0,
                data=data,
                keyframe=keyframe,
                lost=self._lost,
                damaged=False,
                format=self.format,
                arrival=self._arrival,
            )
        )
        self._lost = 0
        self._reset()

    def pull(self) -> AccessUnit | None:
        """Return the next complete access unit, None when there is none yet."""
        return self._complete.popleft() if self._complete else None

    def flush(self) -> None:
        """End the picture under construction; if it is whole as far as can be told, it can be pulled."""
        self._end()
        self._reset()
        self._timestamp = None
