"""Carry one export over MQTT: what to publish next, by what the broker and the centre said. Pure.

Chunks follow each other from the first to the last byte; the centre takes only the one that comes next, and says how
much it has. So nothing is kept about the way: after a pause the manifest is sent again, and what the centre then says
is where it goes on (I6).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.consignment import (
    CHUNK_BYTES,
    MISPLACED,
    Piece,
    Receipt,
    Where,
    Word,
    files_within,
    number_of,
    piece_at,
)

if TYPE_CHECKING:
    from agent.consignment import Order

WINDOW = 4
"""Chunks that the broker has not acknowledged: 1 MiB."""
ASK_S = 30.0
"""A receipt that does not come is asked for again after so long, and then more and more seldom: what asks is the list
of all files, half a megabyte for two days of minutes."""
MOST_ASK_S = 900.0
RATE_BYTES_S = 1_000_000
"""What an export takes of the line at most: 8 Mbit/s. Facts and live pictures come first."""


MOST_TIMES = 4
SPARE_BYTES = 256 << 20
"""An export goes so many times in all, and so much more for lines that break, and then no further: receipts over MQTT
are the broker's word, and one that asks for the beginning again and again would fill a metered line for three days."""
REPEATED = "repeated"
"""Code of an export that went so often."""


class Wish(StrEnum):
    """What is to be published now."""

    MANIFEST = "manifest"
    RECALL = "recall"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk to be published. n: its number from 1; have: bytes before it; piece: what to read."""

    n: int
    have: int
    piece: Piece


class Pace:
    """Bounds a rate. Time is handed in."""

    def __init__(self, bytes_s: float = RATE_BYTES_S) -> None:
        """Allow a first piece at once."""
        self._bytes_s = bytes_s
        self._free_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Return in how many seconds the next piece may go."""
        return max(0.0, self._free_s - now_s)

    def went(self, size: int, now_s: float) -> None:
        """Note that a piece goes."""
        self._free_s = max(self._free_s, now_s) + size / self._bytes_s


class Carrier:
    """Carries one export. The caller publishes what `turn` returns, and tells what came of it."""

    def __init__(self, order: Order, pace: Pace, gone: int = 0) -> None:
        """Begin by asking. gone: bytes that left in an earlier life of this process."""
        self.order = order
        self.total = sum(part.size for part in order.parts)
        self._pace = pace
        self._gone = gone
        self._next: int | None = None  # bytes up to which chunks were published; None: to be asked for
        self._have = 0
        self._asked_s: float | None = None
        self._ask_s = ASK_S
        self._flying: dict[int, int] = {}
        self._where = Where.WAITING
        self._code = ""

    @property
    def word(self) -> Word:
        """Return what keep is to know."""
        files = files_within(self.order.parts, self._have)
        return Word(self.order.export, self._where, files, self._have, self._gone, self._code)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to be said."""
        if self.order.recalled:
            return self._where in (Where.RECALLED, Where.REFUSED)
        return self._where in (Where.RECEIVED, Where.DAMAGED, Where.RECALLED, Where.REFUSED)

    def recall(self, order: Order) -> None:
        """Send nothing more, and have the centre throw away what it has."""
        self.order = order
        self._next = None
        self._asked_s, self._ask_s = None, ASK_S
        self._flying.clear()
        self._where = Where.WAITING

    def disconnected(self) -> None:
        """Hear that the connection is gone: what was in flight may have come or not."""
        self._next = None
        self._asked_s = None
        self._flying.clear()

    def turn(self, now_s: float, *, busy: bool) -> Wish | Chunk | None:
        """Return what to publish now; None when nothing, or it is not time. busy: facts wait, and come first."""
        if self.is_over or busy:
            return None
        if self._next is None or self._next >= self.total or self.order.recalled:
            if self._flying or (self._asked_s is not None and now_s - self._asked_s < self._ask_s):
                return None
            if self._asked_s is not None:
                self._ask_s = min(2 * self._ask_s, MOST_ASK_S)
            self._asked_s = now_s
            self._next = None
            return Wish.RECALL if self.order.recalled else Wish.MANIFEST
        if self._gone >= MOST_TIMES * self.total + SPARE_BYTES:
            self._where, self._code = Where.WAITING, REPEATED
            return None
        if len(self._flying) >= WINDOW or self._pace.wait_s(now_s):
            return None
        piece = piece_at(self.order.parts, self._next, CHUNK_BYTES)
        assert piece is not None, "fewer bytes than all were published"
        return Chunk(number_of(self.order.parts, self._next, CHUNK_BYTES), self._next, piece)

    def published(self, token: int, chunk: Chunk, now_s: float) -> None:
        """Hear that a chunk is on its way. token: under which the broker acknowledges it."""
        self._pace.went(chunk.piece.size, now_s)
        self._gone += chunk.piece.size
        self._next = chunk.have + chunk.piece.size
        self._flying[token] = chunk.piece.size
        self._where, self._code = Where.SENDING, ""
        if self._next >= self.total:
            self._asked_s = now_s  # the centre answers the last one by itself

    def acknowledged(self, token: int) -> None:
        """Hear that the broker has a chunk."""
        self._flying.pop(token, None)

    def heard(self, receipt: Receipt) -> None:
        """Hear what the centre says. What it says of another export is another's."""
        if receipt.export != self.order.export:
            return
        if self.order.recalled:
            if receipt.where in (Where.RECALLED, Where.REFUSED):
                self._where, self._code = receipt.where, receipt.code
            return
        if receipt.where is not Where.WAITING:
            self._ask_s = ASK_S
        self._have = min(receipt.have, self.total)
        self._where, self._code = receipt.where, receipt.code
        if receipt.where is Where.WAITING:
            self._next = None  # it has no room: asked again after a while
        elif receipt.where is Where.SENDING and (
            self._next is None or receipt.code == MISPLACED or self._next < self._have
        ):
            self._next = self._have
