"""What the H.264 and H.265 depacketizers share: one access unit out of NAL units and their fragments.

Boundaries (camera quirks 20 and 22). A unit ends at the marker bit if it holds a slice, and at a change of
the timestamp in any case. What holds no slice yet (parameter sets, SEI, delimiters) waits and joins the
slices after it. A camera that sets the marker on every slice is found out by its second slice; from then on
only timestamps count.

Loss. A NAL unit with a hole is dropped whole; its access unit is damaged. A unit is given out only if its
first slice is there; otherwise its `lost` counts on in the next one.

Bounds. One unit may take MAX_UNIT_BYTES of memory, each fragment charged at its length and OVERHEAD.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Protocol

from agent.rtsp.bits import START_CODE, split_start_codes
from agent.rtsp.errors import RtspError
from agent.rtsp.media import AccessUnit, VideoFormat

MAX_UNIT_BYTES = (
    16 << 20
)  # an 8K keyframe at 500 Mbit/s and 30 pictures/s is 2 MB on average, a few times that at most
MAX_SPLIT = 256  # start codes in one NAL unit; a camera that misuses them has a handful
OVERHEAD = 64  # what a bytes object and its place in a list cost beside its content


class ParameterSets(Protocol):
    """The parameter sets of one stream, by their ids."""

    def add(self, nal: bytes) -> bool:
        """Take a parameter set; tell whether anything changed. Raises RtspError for a malformed one."""
        ...

    def format(self, clock_rate: int) -> VideoFormat | None:
        """Describe the stream, None while a set is missing."""
        ...


class NalDepacketizer(ABC):
    """One access unit under construction, and those that are complete.

    A subclass reads the payload structures of its RFC. It calls `_begin` and `_end_packet` around each packet
    that is not plain, `_whole` for a NAL unit in one piece, `_open`, `_append` and `_close` for fragments.
    """

    __slots__ = (
        "_arrival",
        "_clock_rate",
        "_complete",
        "_damaged",
        "_ended",
        "_first",
        "_fu_at",
        "_fu_first",
        "_fu_head",
        "_fu_key",
        "_fu_middle",
        "_fu_vcl",
        "_key",
        "_lost",
        "_marker_ends",
        "_parts",
        "_recovery",
        "_sets",
        "_sets_changed",
        "_size",
        "_timestamp",
        "_vcl",
        "bad",
        "dropped",
        "format",
        "run_head",
    )

    def __init__(self, sets: ParameterSets, from_sdp: list[bytes], clock_rate: int) -> None:
        """Begin with no unit.

        from_sdp  parameter sets of the session description; a broken one is left out
        """
        self.format: VideoFormat | None = None
        self.bad = 0
        self.dropped = 0
        self._sets = sets
        self._sets_changed = False
        self._clock_rate = clock_rate
        self._complete: deque[AccessUnit] = deque()
        self._timestamp: int | None = None
        self._ended: int | None = None  # timestamp of the last unit that a marker ended
        self._marker_ends = True
        self._lost = 0
        self._parts: list[bytes] = []
        self._reset()
        for nal in from_sdp:
            self._learn(nal)
        self._describe()
        self.bad = 0  # the description is not the stream's fault

    def _reset(self) -> None:
        """Begin a new unit."""
        self._parts = []
        self._size = 0
        self._damaged = False
        self._vcl = False  # a slice was seen whole
        self._first = False  # and it was the first of its picture
        self._key = False
        self._recovery = False  # a recovery point SEI said that decoding can start here
        self._arrival = 0.0
        self._forget_fragments()

    def _forget_fragments(self) -> None:
        self._fu_at = -1  # where in _parts the fragmented NAL unit begins
        self._fu_head = -1  # first byte of its next fragments' payload
        self.run_head = b""
        self._fu_middle = -1  # FU header of a fragment that neither starts nor ends; -1 never matches
        self._fu_vcl = self._fu_first = self._fu_key = False

    # What subclasses call.

    def _begin(self, timestamp: int, lost: int, now: float) -> None:
        """Account for what was lost before this packet, and end the unit if the timestamp says so."""
        if lost:
            self._lost += lost
            self._abandon()
            if self._vcl:
                self._damaged = True  # its end may be among the lost
        if timestamp != self._timestamp:
            self._abandon()
            if self._vcl or self._damaged:
                self._end()
            self._timestamp = timestamp
            self._arrival = now
        elif not self._parts:
            self._arrival = now

    def _end_packet(self, marker: bool) -> None:
        """End the unit if the marker says so and can be right."""
        if marker and self._marker_ends and self._fu_at < 0 and (self._vcl or self._damaged):
            self._end()
            self._ended = self._timestamp

    def _whole(self, data: bytes, start: int, end: int) -> None:
        """Take a NAL unit that came in one piece, or several with start codes between them.

        V380 cameras (firmware HwV380E31_WF8_PTZ_WIFI_20201218, "macro-video rtsp server") send SPS, PPS and
        the IDR slice as one fragmented "SPS" (retina #68, #108).
        """
        if data.find(START_CODE, start, end) < 0:
            self._one(data[start:end])
            return
        several = data.count(START_CODE, start, end) <= MAX_SPLIT
        nals = split_start_codes(data[start:end]) if several else []
        if not nals:
            self._spoil()
        for nal in nals:
            self._one(nal)

    @abstractmethod
    def _one(self, nal: bytes) -> None:
        """Take one NAL unit: tell what it is by `_put`, `_slice`, `_learn` or `_spoil`."""

    def _open(self, head: bytes, *, vcl: bool, first: bool, key: bool) -> None:
        """Begin a fragmented NAL unit with its header; the subclass sets _fu_head, _fu_middle and run_head."""
        self._fu_at = len(self._parts)
        self._fu_vcl = vcl
        self._fu_first = first
        self._fu_key = key
        self._parts.append(b"")  # its length, once known
        self._parts.append(head)

    def extend(self, fragments: tuple[bytes, ...], octets: int) -> bool:
        """Take fragments, all from the middle of the open NAL unit; false, with nothing taken, if the bound forbids."""
        size = self._size + octets + len(fragments) * OVERHEAD
        if size > MAX_UNIT_BYTES:
            return False
        self._parts += fragments
        self._size = size
        return True

    def _append(self, fragment: bytes) -> None:
        self._parts.append(fragment)
        self._charge(len(fragment))

    def _close(self) -> None:
        """End a fragmented NAL unit: it is whole."""
        at = self._fu_at
        if self._fu_vcl:
            self._parts[at] = sum(map(len, self._parts[at + 1 :])).to_bytes(4, "big")
            self._slice(self._fu_first, self._fu_key)
            self._forget_fragments()
            return
        nal = b"".join(self._parts[at + 1 :])
        del self._parts[at:]
        self._forget_fragments()
        self._whole(nal, 0, len(nal))

    def _abandon(self) -> None:
        """Drop a fragmented NAL unit that has a hole."""
        if self._fu_at >= 0:
            del self._parts[self._fu_at :]
            self._forget_fragments()
            self._damaged = True

    def _put(self, nal: bytes) -> None:
        """Add a whole NAL unit to the unit."""
        self._parts.append(len(nal).to_bytes(4, "big"))
        self._parts.append(nal)
        self._charge(len(nal) + OVERHEAD)

    def _slice(self, first: bool, key: bool) -> None:
        """Note a whole slice: first of its picture or not, of a keyframe or not."""
        if self._vcl:
            return
        if not first and not self._lost and self._timestamp == self._ended:
            self._marker_ends = False
        self._vcl = True
        self._first = first
        self._key = key

    def _learn(self, nal: bytes) -> None:
        """Take a parameter set."""
        try:
            if self._sets.add(nal.rstrip(b"\x00")):  # some cameras append zeros
                self._sets_changed = True
        except RtspError:
            self.bad += 1

    def _spoil(self) -> None:
        """Count something that cannot be used and is missing in the unit now."""
        self.bad += 1
        self._damaged = True

    def _charge(self, length: int) -> None:
        """Bound the unit; one that grows beyond is dropped with all that still comes of it."""
        self._size += length + OVERHEAD
        if self._size > MAX_UNIT_BYTES:
            self._reset()
            self._spoil()
            self._vcl = True  # with _first unset: no later slice can save it

    def _end(self) -> None:
        """Give the unit out, or drop it if its first slice is missing."""
        if self._first:
            if self._sets_changed:
                self._describe()
            self._complete.append(
                AccessUnit(
                    timestamp=self._timestamp or 0,
                    data=b"".join(self._parts),
                    keyframe=self._key,
                    lost=self._lost,
                    damaged=self._damaged,
                    format=self.format,
                    arrival=self._arrival,
                )
            )
            self._lost = 0
        else:
            self.dropped += 1
            self._lost = self._lost or 1
        self._reset()

    def _describe(self) -> None:
        """Bring `format` up to date, keeping the object if nothing changed."""
        self._sets_changed = False
        described = self._sets.format(self._clock_rate)
        if described != self.format:
            self.format = described

    # The two verbs.

    def pull(self) -> AccessUnit | None:
        """Return the next complete access unit, None when there is none yet."""
        return self._complete.popleft() if self._complete else None

    def flush(self) -> None:
        """End the unit under construction; what is whole of it can be pulled."""
        self._abandon()
        if self._vcl or self._damaged:
            self._end()
        self._reset()
        self._timestamp = None
