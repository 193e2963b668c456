"""Finds RTP in what cameras send, and which payload types it is of. Pure; no byte of a payload is looked at.

RTP over TCP stands in RTSP's `$` frames. One who begins to listen in the middle finds a frame by its header and by
those that must follow it; what is encrypted (RTSPS) shows nothing. Payload types below 19 are of sound by themselves;
one of 96 and above has no fixed meaning, so two of them in one session are taken for pictures and sound.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

STATIC_AUDIO = frozenset(range(19)) - {1, 2}
"""Payload types that are always of sound. Source: RFC 3551 table 4; 1 and 2 are reserved."""
SURE = 3
"""So many frames in a row, each where the one before says, are taken for frames."""
MOST_CHANNEL = 7
RTP_VERSION = 2
RTCP_TYPES = range(72, 77)
"""Of the second byte without its first bit (RFC 5761 section 4)."""
RTP_HEADER, FRAME_HEADER = 12, 4
WINDOW = 256 << 10
"""Bytes in which the first frame is looked for."""


class Piece(NamedTuple):
    """What one packet from a camera held.

    session  its camera, with the port of a TCP connection
    seq      of its first byte in the TCP connection, None for UDP
    """

    session: str
    seq: int | None
    data: bytes


class _Stream:
    """One TCP connection, from the middle on."""

    __slots__ = ("data", "in_step", "next")

    def __init__(self) -> None:
        self.data = b""
        self.in_step = False
        self.next: int | None = None


class Wire:
    """Counts packets of RTP by session and payload type."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Counter[tuple[str, int]] = Counter()
        self._streams: dict[str, _Stream] = defaultdict(_Stream)

    def take(self, piece: Piece) -> None:
        """Take one packet."""
        if piece.seq is None:
            self._rtp(piece.session, piece.data)
            return
        stream = self._streams[piece.session]
        if stream.next != piece.seq:  # something is missing, or came before: frames are found anew
            stream.data, stream.in_step = b"", False
        stream.next = (piece.seq + len(piece.data)) & 0xFFFFFFFF
        stream.data += piece.data
        self._advance(piece.session, stream)

    @property
    def sound(self) -> list[str]:
        """Return what is of sound, or is a second kind of packets in one session, which one video track never has."""
        kinds: dict[str, list[int]] = defaultdict(list)
        for session, kind in sorted(self.counts):
            kinds[session].append(kind)
        return [
            f"{session} {' '.join(map(str, seen))}"
            for session, seen in kinds.items()
            if len(seen) > 1 or seen[0] in STATIC_AUDIO
        ]

    @property
    def numbers(self) -> dict[str, int]:
        """Return packets by session and payload type."""
        return {f"{session} {kind}": count for (session, kind), count in sorted(self.counts.items())}

    def _advance(self, session: str, stream: _Stream) -> None:
        """Count all frames that are whole, and keep the rest."""
        data, at, counted = stream.data, 0, 0
        while True:
            if not stream.in_step:
                at = _first(data, at)
                stream.in_step = at < len(data)
            size = _frame(data, at)
            if size == 0:  # an answer of RTSP, or no frame at all
                stream.in_step = False
                at += 1
            elif size is None or at + size > len(data):
                break
            else:
                if data[at + 1] % 2 == 0:
                    self._rtp(session, data[at + FRAME_HEADER : at + FRAME_HEADER + RTP_HEADER])
                at = counted = at + size
        stream.data = data[at:] if stream.in_step else data[counted:][-WINDOW:]

    def _rtp(self, session: str, data: bytes) -> None:
        if len(data) >= RTP_HEADER and data[0] >> 6 == RTP_VERSION and data[1] & 127 not in RTCP_TYPES:
            self.counts[session, data[1] & 127] += 1


def _first(data: bytes, at: int) -> int:
    """Return where the first frame is that others follow; the data's length when there is none yet."""
    while (at := data.find(b"$", at)) >= 0:
        end = at
        for _ in range(SURE):
            size = _frame(data, end)
            if not size or end + size > len(data):
                break
            end += size
        else:
            return at
        at += 1
    return len(data)


def _frame(data: bytes, at: int) -> int | None:
    """Return the length of the frame that begins here; 0 when none can, None while too little of it is there."""
    if len(data) - at <= FRAME_HEADER:
        return None
    if data[at] != 0x24 or data[at + 1] > MOST_CHANNEL or data[at + FRAME_HEADER] >> 6 != RTP_VERSION:
        return 0
    return FRAME_HEADER + int.from_bytes(data[at + 2 : at + FRAME_HEADER])
