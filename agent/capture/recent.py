"""What a camera sent since its last keyframe, kept as it came, and its RTP packets picked out of that. Pure.

While nobody looks on, this costs an entry in a list for each receive, which carries dozens of packets: the bytes are
kept by reference, and nothing looks into them. Where the keyframe begins is known from the access units that the
recording makes of the same bytes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agent.rtsp.errors import RtspError
from agent.rtsp.framing import Framer

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 2 << 20
"""4 Mbit/s for four seconds. Whoever comes while more than that has come since the last keyframe waits for the next."""
DATAGRAM = -1
_DATAGRAM_OVERHEAD = 64  # what a small object costs beside its content
_HEADER = 12  # of an RTP packet without anything special
_LEAST = 4 + _HEADER


class Recent:
    """The last of one session's bytes.

    keyframe  RTP timestamp of the keyframe they go back to; None while they go back to none
    serial    counts keyframes
    """

    __slots__ = ("_bytes", "_cleared", "_kept", "keyframe", "serial")

    def __init__(self) -> None:
        self.keyframe: int | None = None
        self.serial = 0
        self._kept: deque[tuple[float, int | None, bytes]] = deque()
        self._bytes = 0
        self._cleared = -1.0

    def add(self, data: bytes, missing: int | None, now: float) -> None:
        """Keep what came at `now`, monotonic seconds.

        missing  how many bytes of it end a frame that began before, None where that is not known, DATAGRAM for one
        """
        self._kept.append((now, missing, data))
        self._bytes += len(data) + (_DATAGRAM_OVERHEAD if missing == DATAGRAM else 0)
        if self._bytes > MOST_BYTES:
            self.clear(now)

    def begins(self, timestamp: int, arrival: float) -> bool:
        """Learn of a keyframe, and let go of what came before it; false where its begin is not kept.

        timestamp  of RTP, 32 bits
        arrival    monotonic seconds at which its first packet was whole
        """
        if arrival <= self._cleared:
            return False
        first = None
        for place, (at, missing, data) in enumerate(self._kept):
            if at >= arrival and missing not in {0, DATAGRAM}:
                break  # the keyframe's first packet may be the one that is cut here: it came with its end
            if missing is not None and missing < len(data):
                first = place
            if at >= arrival:
                break
        if first is None:
            return False
        self.keyframe = timestamp
        self.serial += 1
        for _ in range(first):
            _, missing, data = self._kept.popleft()
            self._bytes -= len(data) + (_DATAGRAM_OVERHEAD if missing == DATAGRAM else 0)
        return True

    def clear(self, now: float) -> None:
        """Forget all; what comes after `now` can be kept again."""
        self._kept.clear()
        self._bytes = 0
        self._cleared = now
        self.keyframe = None

    def __len__(self) -> int:
        return self._bytes

    def __iter__(self) -> Iterator[tuple[int | None, bytes]]:
        """Yield (missing, data), oldest first."""
        return ((missing, data) for _, missing, data in self._kept)


class Picker:
    """Takes the packets of one stream out of what a connection brought; all else is left where it is.

    packets  one or several together, each with an interleaved header for channel 0 before it
    """

    __slots__ = ("_framer", "_payload_type", "_source", "_types", "packets")

    def __init__(self, channel: int | None, payload_type: int, source: int | None = None) -> None:
        """Begin at a frame's begin.

        channel       interleaved, on which the pictures come; None where they come in datagrams
        payload_type  of theirs; packets of others (sound, pushed uninvited) are left out
        source        as of `follow`
        """
        self.packets: list[bytes] = []
        self._payload_type = payload_type
        self._types = (payload_type, payload_type | 0x80)  # without and with the marker
        self._source: bytes | None = None
        self.follow(source)
        self._framer = Framer()
        if channel is not None:
            self._framer.connect({channel: self._take}, {channel: self._take_run} if channel == 0 else None)

    def follow(self, source: int | None) -> None:
        """Leave out what others send, as the session does: an older session's pictures (quirk 25), sound.

        source  SSRC whose packets the session takes; None for those of all
        """
        self._source = None if source is None else source.to_bytes(4, "big")

    def feed(self, data: bytes, missing: int | None) -> None:
        """Take what came. Raises RtspError where it makes no sense."""
        if missing == DATAGRAM:
            if len(data) <= 0xFFFF:
                framed = b"$\0" + len(data).to_bytes(2, "big") + data
                self._take(framed, 4, len(framed), 0.0)
            return
        self._framer.feed(data)
        while self._framer.next_message(0.0) is not None:
            pass

    def taken(self) -> list[bytes]:
        """Return the packets, and forget them."""
        packets, self.packets = self.packets, []
        return packets

    def _take_run(self, data: bytes, at: int, end: int) -> int:
        """Take the plain packets of the stream that follow one another from `at` on; return where they end.

        18 us for 50 KB of a camera; by rows of packets that are alike 27, one by one 60.
        """
        types, source, last = self._types, self._source, end - _LEAST
        stop = at
        while (
            stop <= last
            and data[stop + 4] == 0x80
            and data[stop + 5] in types
            and (source is None or data[stop + 12 : stop + 16] == source)
            and data[stop : stop + 2] == b"$\0"
        ):
            after = stop + 4 + (data[stop + 2] << 8 | data[stop + 3])
            if after > end or after <= stop + _LEAST:
                break
            stop = after
        if stop > at:
            self.packets.append(data[at:stop])
        return stop

    def _take(self, data: bytes, start: int, end: int, _now: float) -> None:
        if (
            end - start > _HEADER
            and data[start] >> 6 == 2
            and data[start + 1] & 0x7F == self._payload_type
            and (self._source is None or data[start + 8 : start + 12] == self._source)
        ):
            self.packets.append(b"$\0" + data[start - 2 : end])


def pick(
    recent: Recent, channel: int | None, payload_type: int, source: int | None = None
) -> tuple[Picker, bytes]:
    """Return a picker that has read all that is kept, and the packets from the keyframe on, framed as the picker does.

    They are none when the keyframe's begin cannot be found again.
    """
    picker = Picker(channel, payload_type, source)
    begun = False
    try:
        for missing, data in recent:
            if begun or missing == DATAGRAM:
                picker.feed(data, missing)
            elif missing is not None and missing < len(data):
                picker.feed(data[missing:], 0)
            else:
                continue
            begun = True
    except RtspError:  # the session that reads the same ends with it
        return Picker(channel, payload_type, source), b""
    taken = b"".join(picker.taken())
    if recent.keyframe is not None:
        wanted, at = recent.keyframe.to_bytes(4, "big"), 0
        while at < len(taken):
            if taken[at + 8 : at + 12] == wanted:
                return picker, taken[at:]
            at += 4 + (taken[at + 2] << 8 | taken[at + 3])
    return picker, b""
