"""The last seconds of what a camera sent, back to a keyframe, and one listener's way from there to now. Pure.

For cameras that a trigger names: who is shown what a bell is about wants the seconds before it, too. As in
`agent.capture.recent` bytes are kept by reference as they came, and nothing looks into them until somebody listens.
Who listens reads them where they lie: nothing is copied that he does not take at once.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent.capture.recent import DATAGRAM, Picker

if TYPE_CHECKING:
    from collections.abc import Sequence

PAST_BYTES = 24 << 20
"""Half a minute, the most that can be asked for, of 6 Mbit/s: a camera of 4 Mbit/s with half as much in reserve for
its keyframes and busy hours. Of one that sends more it is fewer seconds."""
ENTRY_BYTES = 128
"""What keeping one receive costs beside its bytes: a tuple, a float, the object's head, a place in the queue."""


class Mark(NamedTuple):
    """A keyframe that is kept.

    timestamp  of RTP, 32 bits
    arrival    monotonic seconds at which its first packet was whole
    place      of the receive from which on it can be read; receives are counted
    offset     of that receive in all bytes that ever came
    """

    timestamp: int
    arrival: float
    place: int
    offset: int


class Past:
    """The last seconds of one session's bytes.

    serial  counts keyframes
    first   place of the oldest receive that is kept
    offset  how many bytes ever came
    """

    __slots__ = ("_bytes", "_cleared", "_kept", "_marks", "first", "keep_s", "most_bytes", "offset", "serial")

    def __init__(self, keep_s: float, most_bytes: int = PAST_BYTES) -> None:
        """Keep nothing yet; then `keep_s` seconds and back to the keyframe before, while that is few enough bytes."""
        self.keep_s = keep_s
        self.most_bytes = most_bytes
        self.serial = 0
        self.first = 0
        self.offset = 0
        self._kept: deque[tuple[float, int | None, bytes]] = deque()
        self._marks: deque[Mark] = deque()
        self._bytes = 0
        self._cleared = -1.0

    def add(self, data: bytes, missing: int | None, now: float) -> None:
        """Keep what came at `now`, monotonic seconds; let go of the oldest keyframes that need not be kept.

        missing  how many bytes of it end a frame that began before, None where that is not known, DATAGRAM for one
        """
        self._kept.append((now, missing, data))
        self.offset += len(data)
        self._bytes += len(data) + ENTRY_BYTES
        marks = self._marks
        while len(marks) > 1 and (marks[1].arrival <= now - self.keep_s or self._bytes > self.most_bytes):
            marks.popleft()
            self._forget_before(marks[0].place)
        if self._bytes > self.most_bytes:
            self.clear(now)

    def begins(self, timestamp: int, arrival: float) -> bool:
        """Learn of a keyframe; false where its begin is not kept. Arguments as of `Mark`."""
        if arrival <= self._cleared:
            return False
        place, offset = self._find(arrival)
        self.serial += 1
        self._marks.append(Mark(timestamp, arrival, place, offset))
        if len(self._marks) == 1:
            self._forget_before(place)
        return True

    def begin_anew(self) -> None:
        """Have nobody begin at the keyframes up to now: what follows is of another format."""
        self._marks.clear()

    def clear(self, now: float) -> None:
        """Forget all; what comes after `now` can be kept again."""
        self.first += len(self._kept)
        self._kept.clear()
        self._marks.clear()
        self._bytes = 0
        self._cleared = now

    @property
    def oldest(self) -> Mark | None:
        """Return the keyframe that everything goes back to."""
        return self._marks[0] if self._marks else None

    @property
    def newest(self) -> Mark | None:
        """Return the last keyframe."""
        return self._marks[-1] if self._marks else None

    @property
    def kept_bytes(self) -> int:
        """Return how much memory is taken, about."""
        return self._bytes

    def since(self, place: int) -> list[tuple[float, int | None, bytes]]:
        """Return what came from a place on that is kept."""
        found = list(islice(reversed(self._kept), self.first + len(self._kept) - place))
        found.reverse()
        return found

    def _find(self, arrival: float) -> tuple[int, int]:
        """Return place and offset of the receive from which what was whole at `arrival` can be read.

        Where that receive begins in the middle of a packet, it may be that one: it is read from one before it.
        """
        place, offset = self.first + len(self._kept), self.offset
        found = False
        for at, missing, data in reversed(self._kept):
            if found and at < arrival:
                break
            place -= 1
            offset -= len(data)
            if at >= arrival:
                found = missing in {0, DATAGRAM}
            else:
                found = missing is not None and missing < len(data)
        return place, offset

    def _forget_before(self, place: int) -> None:
        while self.first < place:
            _, _, data = self._kept.popleft()
            self._bytes -= len(data) + ENTRY_BYTES
            self.first += 1


class Rewind:
    """What one listener has read of the past, beginning at a keyframe, up to where it is the present.

    has_begun  the keyframe was found
    caught_up  it was in the present once
    """

    __slots__ = ("_framed", "_offset", "_past", "_picker", "_place", "_wanted", "caught_up", "has_begun")

    def __init__(
        self, past: Past, mark: Mark, channel: int | None, payload_type: int, source: int | None = None
    ) -> None:
        """Begin at a keyframe. channel, payload_type, source: as of `Picker`."""
        self._past = past
        self._place = mark.place
        self._offset = mark.offset
        self._wanted = mark.timestamp.to_bytes(4, "big")
        self._picker = Picker(channel, payload_type, source)
        self._framed = False
        self.has_begun = False
        self.caught_up = False

    def follow(self, source: int | None) -> None:
        """Do as `Picker`."""
        self._picker.follow(source)

    @property
    def is_lost(self) -> bool:
        """Tell whether what should be read next is not kept any more."""
        return self._place < self._past.first

    @property
    def behind_bytes(self) -> int:
        """Return how much is still to be read."""
        return self._past.offset - self._offset

    def more(self, most_bytes: int) -> Sequence[bytes]:
        """Return the next packets, framed as `Picker` does; none where there are none yet.

        most_bytes  so many are read, and the rest of a receive
        Raises      RtspError where it makes no sense
        """
        read = 0
        for _, missing, data in self._past.since(self._place):
            self._place += 1
            read += len(data)
            if self._framed or missing == DATAGRAM:
                self._picker.feed(data, missing)
                self._framed = True
            elif missing is not None and missing < len(data):
                self._picker.feed(data[missing:], 0)
                self._framed = True
            if read >= most_bytes:
                break
        self._offset += read
        self.caught_up = self.caught_up or not self.behind_bytes
        packets = self._picker.taken()
        return packets if self.has_begun else self._from_keyframe(packets)

    def _from_keyframe(self, packets: list[bytes]) -> list[bytes]:
        """Leave out what is before the keyframe."""
        for number, run in enumerate(packets):
            at = 0
            while at < len(run):
                if run[at + 8 : at + 12] == self._wanted:
                    self.has_begun = True
                    return [run[at:], *packets[number + 1 :]]
                at += 4 + (run[at + 2] << 8 | run[at + 3])
        return []
