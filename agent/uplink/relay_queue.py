"""Packets on their way to the media server: bounded, and left out by whole pictures where the line is slow. Pure.

What is left out leaves no hole in the sequence numbers: whoever receives sees a stream with fewer pictures, not a
damaged one. Two things are left as the loss they are: packets that the camera's own line lost, and the rest of a
picture that does not end. Payloads are never opened; of a packet's header only the number is written anew.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

from agent.rtsp.keyframe import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.rtsp.keyframe import Marker

MOST_BYTES = 3 << 20
"""What a camera keeps since its last keyframe, 2 MiB, and half of that again while the connection is made."""
HARD_BYTES = 8 << 20
"""Reached by a picture that does not end."""
MOST_AGE_S = 1.5
RUN_BYTES = 16 << 10  # so much is sent together, however little the line takes
_LEAST = 16  # an interleaved header, and RTP's
PAST_BYTES = 16 << 20
"""30 s of 4 Mbit/s: past seconds, that are sent as fast as the line takes them."""
PAST_COMES_S = 1.0
"""Nothing waits so long after the begin: the past is sent."""


class _Picture:
    """The packets of one timestamp.

    at       monotonic seconds of its first packet
    came     how many bytes were read before it
    key      decoding can start here; None while that is not known
    shift    how many packets before it were left out
    packets  one or several together, in interleaved frames
    begun    some of it is sent
    """

    __slots__ = ("at", "begun", "came", "dropped", "key", "packets", "shift", "size")

    def __init__(self, at: float, shift: int, came: int = 0) -> None:
        self.at = at
        self.came = came
        self.shift = shift
        self.key: bool | None = None
        self.packets: list[bytes] = []
        self.size = 0
        self.begun = False
        self.dropped = False


class RelayQueue:
    """One stream's.

    channel   interleaved, that the packets are sent on
    bytes     that wait
    passed    bytes that were passed on unread
    share     of all bytes that keyframes are, by whole GOPs; None until there was one
    sheds     how often what waited was too much
    left_out  packets that were not sent
    """

    __slots__ = (
        "_again",
        "_current",
        "_keyframes_only",
        "_keys",
        "_mark",
        "_past_s",
        "_past_until",
        "_pictures",
        "_read",
        "_shift",
        "_stamp",
        "_waiting",
        "bytes",
        "channel",
        "left_out",
        "passed",
        "share",
        "sheds",
    )

    def __init__(self, mark: Marker, past_s: float = 0.0) -> None:
        """Begin empty, at whatever comes: it begins with a keyframe.

        past_s  what comes first is that old; it may take as long to be sent
        """
        self.channel = 0
        self.bytes = 0
        self._read = 0
        self.passed = 0
        self.share: float | None = None
        self._keys = 0
        self._again = False
        self._past_s = past_s
        self._past_until = float("inf") if past_s else 0.0
        self.sheds = 0
        self.left_out = 0
        self._mark = mark
        self._pictures: deque[_Picture] = deque()
        self._current = _Picture(0.0, 0)
        self._current.dropped = True  # nothing can belong to it
        self._stamp = b""
        self._shift = 0
        self._waiting = False
        self._keyframes_only = False

    def put(self, data: bytes, start: int, end: int, now: float) -> None:
        """Take an RTP packet, data[start:end], behind its interleaved header. now: monotonic seconds."""
        stamp = data[start + 4 : start + 8]
        picture = self._current
        if stamp != self._stamp:
            self._stamp = stamp
            if picture.key:
                self._keys += self._read - picture.came
            picture = self._current = _Picture(now, self._shift, self._read)
            self._pictures.append(picture)
        self._read += end - start
        if picture.key is None and not picture.dropped:
            said = self._mark(data, start, end)
            if said is not Mark.UNSAID:
                self._decide(said is Mark.KEY)
        if picture.dropped:
            self._shift += 1
            self.left_out += 1
            return
        self._append(picture, data[start - 4 : end])

    def put_run(self, data: bytes, at: int, end: int) -> int:
        """Take the packets that go on with the picture at hand, all at once; return where they end.

        A quarter of a microsecond a packet, where each by itself takes 1.2.
        """
        picture = self._current
        if picture.key is None or picture.dropped:
            return at
        stamp, stop, last = self._stamp, at, at + RUN_BYTES
        while stop < last and data[stop + 8 : stop + 12] == stamp and data[stop : stop + 2] == b"$\0":
            after = stop + 4 + (data[stop + 2] << 8 | data[stop + 3])
            if after > end or after < stop + _LEAST:
                break
            stop = after
        if stop > at:
            self._read += stop - at
            self._append(picture, data[at:stop])
        return stop

    def _append(self, picture: _Picture, frames: bytes) -> None:
        picture.packets.append(frames)
        picture.size += len(frames)
        self.bytes += len(frames)

    def only_keyframes(self, only: bool) -> None:
        """Leave out all other pictures from now on, or no longer: then the next keyframe is waited for."""
        self._waiting = self._waiting or (self._keyframes_only and not only)
        self._keyframes_only = only

    @property
    def received(self) -> int:
        """Return how many bytes of packets came."""
        return self._read + self.passed

    @property
    def passes(self) -> bool:
        """Tell whether what comes next may be passed on unread.

        Nothing waits, nothing is left out or was, headers stay as they are, and two keyframes have told what
        their share is of all bytes.
        """
        return not (
            self.bytes
            or self.channel
            or self._shift
            or self._past_until
            or self._waiting
            or self._keyframes_only
            or self.share is None
        )

    def reread(self, frames: bytes) -> None:
        """Learn that `frames`, which were passed on, are put now, only to be read; then `reread_over` is due."""
        self.passed -= len(frames)
        self._again = True

    def reread_over(self) -> None:
        """Keep nothing of it but which picture is begun."""
        self._again = False
        current = self._current
        current.packets, current.size, current.begun = [], 0, True
        self._pictures = deque((current,))
        self.bytes = 0

    @property
    def wants_keyframe(self) -> bool:
        """Tell whether nothing but keyframes is taken at present."""
        return self._keyframes_only or self._waiting

    def begin(self, now: float) -> None:
        """Learn that packets are taken from now on: past seconds have as long to go out as they were."""
        if self._past_until:
            self._past_until = now + self._past_s

    @property
    def is_past(self) -> bool:
        """Tell whether past seconds are still under way, or may be."""
        return bool(self._past_until)

    def shed(self, now: float, most: int = MOST_BYTES) -> bool:
        """Leave out what is too much: up to the last keyframe that waits, or all up to the next that comes.

        A picture that is being sent is sent to its end: else a slow line would never show a keyframe, and some media
        servers take a hole badly (GStreamer's aborts at one, in its FEC decoder). Past seconds go first, and while they
        are sent nothing is too old.

        most     bytes that may wait
        Returns  whether anything of the present was left out
        """
        if now < self._past_until:
            if self.bytes:
                self._shed_past(most)
            elif now >= self._past_until - self._past_s + PAST_COMES_S:
                self._past_until = 0.0
            return False
        was_past, self._past_until = self.is_past, 0.0
        pictures, before = self._pictures, self.left_out
        if self.bytes > HARD_BYTES:
            self._clear(0)
        elif self.bytes > min(most, MOST_BYTES) or self.delay(now) > MOST_AGE_S:
            begun = pictures.popleft() if pictures[0].begun else None
            last = next((place for place in range(len(pictures) - 1, -1, -1) if pictures[place].key), -1)
            if last > 0:
                self._leave_out_first(last)
            else:
                self._clear(last + 1)
            if begun is not None:
                pictures.appendleft(begun)
        left_out = self.left_out > before
        self.sheds += left_out
        return left_out and not was_past

    def _shed_past(self, most: int) -> None:
        """Leave out the oldest, up to a keyframe behind which there is room."""
        pictures, over = self._pictures, self.bytes - min(most, PAST_BYTES)
        if over <= 0:
            return
        begun = pictures.popleft() if pictures[0].begun and pictures[0].size <= HARD_BYTES else None
        for place, picture in enumerate(pictures):
            if over <= 0 and picture.key:
                self._leave_out_first(place)
                break
            over -= picture.size
        else:
            self._clear(0)
        if begun is not None:
            pictures.appendleft(begun)
        self.sheds += 1

    def _leave_out_first(self, count: int) -> None:
        shift = self._shift
        for _ in range(count):
            self._leave_out(self._pictures.popleft())
        for each in self._pictures:
            each.shift += self._shift - shift

    def _clear(self, keep: int) -> None:
        """Leave out all but the first pictures; the next keyframe is waited for."""
        while len(self._pictures) > keep:
            self._leave_out(self._pictures.pop())
            self._waiting = True

    def delay(self, now: float) -> float:
        """Return for how long the oldest picture has been waiting of which nothing is sent, in seconds."""
        waiting = next(
            (picture for picture in itertools.islice(self._pictures, 2) if not picture.begun), None
        )
        return 0.0 if waiting is None else now - waiting.at

    def take(self, most: int) -> bytes:
        """Return packets to send, in interleaved frames, about `most` bytes; b"" when there are none."""
        taken: list[bytes] = []
        size = 0
        choosy = self.wants_keyframe
        while self._pictures and size < most:
            picture = self._pictures[0]
            if picture.key is None and choosy:
                break
            packets = picture.packets
            if size + picture.size <= most or len(packets) == 1:
                picture.packets = []
                gone = picture.size
            else:
                count = gone = 0
                while count < len(packets) and size + gone < most:
                    gone += len(packets[count])
                    count += 1
                packets, picture.packets = packets[:count], packets[count:]
            picture.size -= gone
            self.bytes -= gone
            size += gone
            picture.begun = picture.begun or bool(packets)
            taken += (
                packets if not picture.shift and not self.channel else self._written(packets, picture.shift)
            )
            if picture.packets or picture is self._current:
                break
            self._pictures.popleft()
        return b"".join(taken)

    def _written(self, packets: list[bytes], shift: int) -> list[bytes]:
        """Write headers anew: the channel, and sequence numbers without what was left out."""
        head = bytes((0x24, self.channel))
        return [
            head
            + packet[2:6]
            + ((packet[6] << 8 | packet[7]) - shift & 0xFFFF).to_bytes(2, "big")
            + packet[8:]
            for frames in packets
            for packet in _each(frames)
        ]

    def _decide(self, key: bool) -> None:
        """Learn of the newest picture whether it is a keyframe; what came before it without a picture goes with it."""
        pictures = self._pictures
        unsaid = [pictures.pop()]
        while pictures and pictures[-1].key is None and not pictures[-1].begun:
            unsaid.append(pictures.pop())
        if key:
            self._waiting = False
            if self._keys:  # of a keyframe that is whole: parameter sets alone may have come before the first
                self.share = self._keys / unsaid[0].came
        keep = key or self._again or not (self._keyframes_only or self._waiting)
        for picture in reversed(unsaid):
            picture.key = key
            if keep:
                pictures.append(picture)
            else:
                self._leave_out(picture)

    def _leave_out(self, picture: _Picture) -> None:
        count = sum(1 for frames in picture.packets for _ in _each(frames))
        self.left_out += count
        self.bytes -= picture.size
        # Of a picture that was begun one number stays missing, so that its receiver knows of it.
        count -= picture.begun and count > 0
        self._shift += count
        picture.packets, picture.size, picture.dropped = [], 0, True


def _each(frames: bytes) -> Iterator[bytes]:
    """Yield interleaved frames one by one."""
    at = 0
    while at < len(frames):
        stop = at + 4 + (frames[at + 2] << 8 | frames[at + 3])
        yield frames[at:stop]
        at = stop
