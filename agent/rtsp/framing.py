"""Splits what a TCP connection brings into RTSP messages and interleaved `$` frames.

Frames go straight to the receiver of their channel, as a range of the chunk they came in: no object and no
copy for each. A frame on a channel nobody negotiated is never copied, not even the part that waits for the
rest (sound pushed uninvited touches no buffer of ours). How the bytes were cut into chunks never changes what
comes out.

Source RFC 2326 section 10.12
"""

from __future__ import annotations

import re
from collections.abc import Callable
from struct import Struct

from agent.rtsp.errors import RtspError
from agent.rtsp.message import Request, Response, body_length, head_end, parse_head, with_body

MAX_GARBAGE_BYTES = 1024 * 1024  # skipped in a row before we give up

Receiver = Callable[[bytes, int, int, float], None]  # data, start, end, now
RunTaker = Callable[[bytes, int, int], int]

LOT_BYTES = 8  # that announce one

_DOLLAR = 0x24
_LOT = b"$\xfe\0\4"
_read_header = Struct(">BBH").unpack_from  # dollar, channel, length
_METHODS = (
    b"OPTIONS|DESCRIBE|ANNOUNCE|SETUP|PLAY|PAUSE|TEARDOWN|GET_PARAMETER|SET_PARAMETER|"
    b"REDIRECT|RECORD|PLAY_NOTIFY"
)
_START = rb"RTSP/[0-9]\.[0-9] |(?:" + _METHODS + rb") "
_MESSAGE = re.compile(_START, re.IGNORECASE)
_BLANK = re.compile(rb"[\r\n]+")
_STARTS = tuple(word + b" " for word in _METHODS.split(b"|"))
_STATUS = b"RTSP/0.0 "
_LONGEST_START = max(len(start) for start in _STARTS)
# What may follow a whole frame; only asked while looking for the way back.
_BOUNDARY = frozenset(b"$\r\nADGOPRSTadgoprst")


class Framer:
    """Takes chunks, gives frames to receivers and messages to whoever asks.

    foreign_frames  frames on channels nobody negotiated, left out
    skipped_bytes   garbage between frames, left out (old servers write torn packets; retina #17)
    """

    __slots__ = (
        "_at",
        "_channels",
        "_data",
        "_discard",
        "_exact",
        "_held",
        "_later",
        "_lost_way",
        "_need",
        "_parts",
        "_runs",
        "_search",
        "_skipped_in_row",
        "foreign_frames",
        "skipped_bytes",
    )

    def __init__(self) -> None:
        self.foreign_frames = 0
        self.skipped_bytes = 0
        self._data = b""  # the chunk at work, and how far we are in it
        self._at = 0
        self._later: tuple[bytes, int] | None = None  # chunk and offset to go on with after the one at work
        self._parts: list[bytes] = []  # kept until there are _need bytes
        self._held = 0
        self._need = 0
        self._exact = False
        self._discard = 0  # bytes of a foreign frame still to come
        self._lost_way = False
        self._skipped_in_row = 0
        self._channels: list[Receiver | None] = [None] * 256
        self._runs: list[RunTaker | None] = [None] * 256
        self._search = _MESSAGE

    def connect(self, receivers: dict[int, Receiver], runs: dict[int, RunTaker] | None = None) -> None:
        """Say which channels are negotiated and who takes their frames; holds from the next frame on.

        runs  who may take many frames of a channel at once, and returns how far it came; it has to check that the
              frames are of that channel
        """
        self._channels = [receivers.get(channel) for channel in range(256)]
        self._runs = [(runs or {}).get(channel) for channel in range(256)]
        # A candidate in garbage: a negotiated channel, and RTP's or RTCP's version 2 behind the length.
        known = b"".join(re.escape(bytes((channel,))) for channel in sorted(receivers))
        candidate = rb"\$[" + known + rb"][\x00-\xff]{2}[\x80-\xbf]|" if receivers else b""
        self._search = re.compile(candidate + _START, re.IGNORECASE)

    @property
    def missing(self) -> int | None:
        """Return how many bytes of the next chunk belong to what began before it; None while that cannot be told.

        To be asked when the chunk before is worked off.
        """
        if self._discard:
            return self._discard
        if self._parts:
            return self._need - self._held if self._exact else None
        return None if self._lost_way else 0

    def feed(self, data: bytes) -> None:
        """Take a chunk. The one before must have been worked off by `next_message` returning None.

        data  immutable, since receivers may keep parts of it
        """
        if self._discard:
            self._at = min(self._discard, len(data))
            self._discard -= self._at
            self._data = data
            return
        parts = self._parts
        if not parts:
            self._data = data
            return
        missing = self._need - self._held
        self._held += len(data)
        if len(data) < missing:
            parts.append(data)
            return
        if self._exact:  # the hot path: only the frame cut in two is copied, not the chunk behind it
            parts.append(data[:missing])
            self._later = (data, missing)
        else:
            parts.append(data)
        self._data = b"".join(parts)
        parts.clear()

    def next_message(self, now: float) -> Request | Response | None:
        """Hand on frames up to the next message and return it, None when the bytes are used up.

        now     monotonic seconds, passed on to the receivers
        Raises  RtspError for a message that cannot be read and for a megabyte of garbage in a row
        """
        while True:
            self._frames(now)
            if self._at < len(self._data):
                message = self._find_way() if self._lost_way else self._rest()
                if message is not None:
                    return message
            elif self._later is not None:
                self._data, self._at = self._later
                self._later = None
            else:
                self._data, self._at = b"", 0
                return None

    def _frames(self, now: float) -> None:
        """Hand on whole frames as long as one follows another.

        The hot path: 0.15 us a frame; reading its header byte by byte took 0.18 us.
        """
        if self._lost_way:
            return
        data, at, channels, runs = self._data, self._at, self._channels, self._runs
        begin, end = at, len(data)
        last = end - 4
        while at <= last:
            mark, channel, length = _read_header(data, at)
            stop = at + 4 + length
            if mark != _DOLLAR or stop > end:
                break
            receiver = channels[channel]
            if receiver is None:
                self.foreign_frames += 1
            else:
                receiver(data, at + 4, stop, now)
            take_run = runs[channel]
            at = stop if take_run is None else take_run(data, stop, end)
        if at != begin:
            self._at = at
            self._skipped_in_row = 0

    def _rest(self) -> Request | Response | None:
        """Deal with what is no whole frame at the present place."""
        data, at = self._data, self._at
        have = len(data) - at
        if data[at] == _DOLLAR:
            self._part_of_frame(have)
        elif blank := _BLANK.match(data, at):
            self._at = blank.end()
        elif _MESSAGE.match(data, at):
            return self._message()
        elif have < _LONGEST_START and _may_begin(data[at:].upper()):
            self._keep(have + 1)
        else:
            self._lost_way = True
        return None

    def _part_of_frame(self, have: int) -> None:
        data, at = self._data, self._at
        if have < 4:
            self._keep(4)
            return
        total = 4 + (data[at + 2] << 8 | data[at + 3])
        if self._channels[data[at + 1]] is None:
            self.foreign_frames += 1
            self._skipped_in_row = 0
            self._discard = total - have
            self._at = len(data)
            return
        self._keep(total, exact=True)

    def _message(self) -> Request | Response | None:
        data, at = self._data, self._at
        end = head_end(data, at)
        if end is None:
            self._keep(len(data) - at + 1)
            return None
        head = parse_head(data[at:end])
        stop = end + body_length(head)
        if stop > len(data):
            self._keep(stop - at)
            return None
        self._at = stop
        self._skipped_in_row = 0
        return with_body(head, data[end:stop])

    def _find_way(self) -> Request | Response | None:
        """Skip garbage up to the next thing that looks like a frame of ours or a message."""
        data, at = self._data, self._at
        found = self._search.search(data, at)
        if found is None:
            self._skip(max(0, len(data) - at - _LONGEST_START + 1))
            self._keep(len(data) - self._at + 1)
            return None
        self._skip(found.start() - at)
        at = self._at
        if data[at] != _DOLLAR:
            self._lost_way = False
            return self._message()
        stop = at + 4 + (data[at + 2] << 8 | data[at + 3])
        if stop >= len(data):
            self._keep(stop + 1 - at)
        elif data[stop] in _BOUNDARY:
            self._lost_way = False
        else:
            self._skip(1)
        return None

    def _skip(self, count: int) -> None:
        self._at += count
        self.skipped_bytes += count
        self._skipped_in_row += count
        if self._skipped_in_row > MAX_GARBAGE_BYTES:
            raise RtspError("malformed_message", "no frame in a megabyte", skipped_bytes=self._skipped_in_row)

    def _keep(self, need: int, *, exact: bool = False) -> None:
        """Keep the rest of the chunk at work until there are `need` bytes; exact: take not one more."""
        rest = self._data[self._at :]
        self._parts.append(rest)
        self._held = len(rest)
        self._need = need
        self._exact = exact
        self._data, self._at = b"", 0


def lot(size: int) -> bytes:
    """Return what announces so many bytes of whole frames, sent at once: itself a frame, on a channel of its own.

    Who receives all of them together knows that they are whole without looking; for others it is a foreign frame.
    """
    return _LOT + size.to_bytes(4, "big")


def is_lot(data: bytes) -> bool:
    """Tell whether this is one lot of frames on channel 0, all of it and nothing else; they begin at `LOT_BYTES`."""
    return (
        data[:4] == _LOT
        and int.from_bytes(data[4:LOT_BYTES], "big") == len(data) - LOT_BYTES
        and data[LOT_BYTES : LOT_BYTES + 2] == b"$\0"
    )


def _may_begin(begin: bytes) -> bool:
    """Tell whether a few bytes, in capitals, may be the begin of a message."""
    digits = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in begin)
    return _STATUS.startswith(digits) or any(start.startswith(begin) for start in _STARTS)
