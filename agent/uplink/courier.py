"""Takes the ledger's entries to the broker: in order, in batches, a few at a time, none left out. Pure.

The courier reads ahead of what was sent, waits for the broker's acknowledgements, and moves its cursor over what was
acknowledged in order. After a connection that ended it begins again at the cursor: an entry may come twice to the
centre, which knows entries by ledger and seq; none stays away.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.uplink.payloads import dump, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.uplink.ports import Entry

MOST_ENTRIES = 500
MOST_BYTES = 256 << 10
"""A batch, before it is packed. An entry that is larger goes alone."""
WINDOW = 4
"""Batches that wait for their acknowledgement: on a line of 300 ms that carries a megabyte a second and more."""
ENTRIES_PER_S = 5_000
BYTES_PER_S = 1 << 20
"""How fast a backlog goes: a week of 16 cameras, 161,000 entries, in 40 s, and never as fast as the line."""
LINGER_S = 60.0
"""How long what is ordinary waits for company; each packet has 80 bytes that say nothing."""
PAUSE_S = 10.0
BACKLOG = 500
"""With more than that one waits a while after connecting, up to PAUSE_S: the boxes of a city come back together."""
ORDINARY = frozenset(
    ("segment.committed", "segment.erased", "retention.confirmed", "time.relabelled", "ledger.pruned")
)
"""What nobody waits for. A gap is not among these: it says that a camera is not recorded."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the broker has acknowledged the ledger with this id."""

    ledger: str
    seq: int


@dataclass(frozen=True, slots=True)
class Want:
    """What to read next: entries of a ledger after a seq."""

    ledger: str
    after: int
    limit: int
    most_bytes: int


@dataclass(slots=True)
class _Sent:
    last: int
    token: int
    acknowledged: bool = False


@dataclass(slots=True)
class Courier:
    """The way of one box's ledger.

    box, session  as in all messages
    cursor        where it goes on; of no ledger (empty) before the first is known
    """

    box: str
    session: str
    cursor: Cursor
    _sent: deque[_Sent] = field(default_factory=deque)
    _waiting: list[Entry] = field(default_factory=list)
    _waiting_bytes: int = 0
    _since_s: float = 0.0
    _urgent: bool = False
    _size: int = 0
    _late: int = 0  # what was there before this connection
    _up: bool = False
    _not_before_s: float = 0.0
    _entries: float = 0.0
    _bytes: float = 0.0
    _filled_s: float = 0.0

    @property
    def backlog(self) -> int:
        """How many entries the broker has not acknowledged."""
        return max(0, self._size - self.cursor.seq)

    @property
    def size(self) -> int:
        """The ledger's newest seq, as it was seen last."""
        return self._size

    @property
    def drained(self) -> bool:
        """Whether all that is read was acknowledged: nothing is on its way or waits."""
        return not self._sent and not self._waiting and self._size <= self.cursor.seq

    def connected(self, now_s: float, chance: float) -> None:
        """Begin to send; with a backlog after a while, by a chance from 0 to 1."""
        self._up, self._late = True, self._size
        self._not_before_s = now_s + (chance * PAUSE_S if self.backlog > BACKLOG else 0.0)
        self._entries, self._bytes, self._filled_s = float(MOST_ENTRIES), float(MOST_BYTES), now_s

    def disconnected(self) -> None:
        """Forget what was on its way: it goes again after the cursor."""
        self._up = False
        self._rewind()

    def ledger_is(self, ledger: str, size: int, acknowledged: int = 0) -> Cursor | None:
        """Learn which ledger there is and how many entries it has.

        acknowledged  what the centre itself has acknowledged of it: where to begin with one that has no cursor
        Returns       the new cursor when it is another ledger, which begins anew
        """
        self._size = size
        if ledger == self.cursor.ledger and self.cursor.seq <= size:
            return None
        # A ledger that is shorter than what was sent of it has lost its end; its keeper will give it another name.
        self.cursor = Cursor(ledger, min(acknowledged, size))
        self._rewind()
        return self.cursor

    def resend(self, ledger: str, from_seq: int) -> Cursor | None:
        """Go back, since the centre misses entries. Returns the new cursor; None when there is nothing to do."""
        if ledger != self.cursor.ledger or not 1 <= from_seq <= self.cursor.seq:
            return None
        self.cursor = Cursor(ledger, from_seq - 1)
        self._rewind()
        return self.cursor

    def want(self, now_s: float) -> Want | None:
        """Return what to read now; None while there is enough on its way, or nothing new."""
        if not self._up or now_s < self._not_before_s or len(self._sent) >= WINDOW:
            return None
        after = self._next - 1
        room = MOST_ENTRIES - len(self._waiting)
        if after >= self._size or room <= 0 or self._waiting_bytes >= MOST_BYTES:
            return None
        return Want(self.cursor.ledger, after, room, MOST_BYTES - self._waiting_bytes)

    def read(self, entries: Sequence[Entry], now_s: float) -> None:
        """Take what was read for `want`, in order; what was asked for and is not there was let go."""
        for entry in entries:
            if not self._waiting:
                self._since_s = now_s
            self._waiting.append(entry)
            self._waiting_bytes += _bytes(entry)
            self._urgent = self._urgent or entry.kind not in ORDINARY

    def batch(self, now_s: float) -> bytes | None:
        """Return the next batch, as it goes on the wire, when one is due.

        It counts as sent with `sent`, to be called before anything else.
        """
        if not self._waiting or len(self._sent) >= WINDOW or not self._up:
            return None
        self._fill(now_s)
        full = len(self._waiting) >= MOST_ENTRIES or self._waiting_bytes >= MOST_BYTES
        if not (full or self._ready or now_s - self._since_s >= LINGER_S):
            return None
        if self._entries < len(self._waiting) or self._bytes <= 0:
            return None
        return self._write()

    def sent(self, token: int, size: int) -> None:
        """Take note that the batch is on its way.

        token  names it when it is acknowledged
        size   bytes on the wire
        """
        self._entries -= len(self._waiting)
        self._bytes -= size
        self._sent.append(_Sent(self._waiting[-1].seq, token))
        self._clear()

    def acknowledged(self, token: int) -> Cursor | None:
        """Hear from the broker; return the cursor where it moved. What is not ours, or came again, moves nothing."""
        for each in self._sent:
            each.acknowledged = each.acknowledged or each.token == token
        moved = False
        while self._sent and self._sent[0].acknowledged:
            self.cursor = Cursor(self.cursor.ledger, self._sent.popleft().last)
            moved = True
        return self.cursor if moved else None

    def hurry(self, now_s: float) -> None:
        """Hear that a health goes now: what would be due before the next one goes with it, in one packet."""
        if self._waiting and now_s - self._since_s >= LINGER_S / 2:
            self._urgent = True

    def due_s(self, now_s: float) -> float:
        """Return in how many seconds `batch` may have something."""
        if not self._waiting or not self._up:
            return LINGER_S
        self._fill(now_s)
        missing_s = max(
            (len(self._waiting) - self._entries) / ENTRIES_PER_S, (1 - self._bytes) / BYTES_PER_S, 0.0
        )
        return missing_s if self._ready else max(missing_s, self._since_s + LINGER_S - now_s)

    @property
    def _ready(self) -> bool:
        """Whether what waits is not to wait for company: somebody cares, it is late already, or there is more."""
        first, last = self._waiting[0].seq, self._waiting[-1].seq
        return self._urgent or first <= self._late or last < self._size

    @property
    def _begins(self) -> int:
        """The first seq of the next batch."""
        return (self._sent[-1].last if self._sent else self.cursor.seq) + 1

    @property
    def _next(self) -> int:
        """The seq that is to be read next."""
        return self._waiting[-1].seq + 1 if self._waiting else self._begins

    def _write(self) -> bytes:
        """Write the batch. Bodies are JSON already, and are not read."""
        holes, at = [], self._begins
        for entry in self._waiting:
            if entry.seq > at:
                holes.append([at, entry.seq - 1])
            at = entry.seq + 1
        head = {"v": 1, "box": self.box, "ledger": self.cursor.ledger, "session": self.session}
        lines = ",".join(
            f'{{"seq":{each.seq},"at_ms":{each.at_ms},"trust":{dump(each.trust)},"kind":{dump(each.kind)},"body":{each.body}}}'
            for each in self._waiting
        )
        rest = f',"let_go":{dump(holes)}' if holes else ""
        return pack(f'{dump(head)[:-1]},"first":{self._begins},"entries":[{lines}]{rest}}}')

    def _rewind(self) -> None:
        self._sent.clear()
        self._clear()

    def _clear(self) -> None:
        self._waiting, self._waiting_bytes, self._urgent = [], 0, False

    def _fill(self, now_s: float) -> None:
        passed_s = max(0.0, now_s - self._filled_s)
        self._filled_s = now_s
        # Room for two batches: whoever comes a little late loses nothing of the rate.
        self._entries = min(2.0 * MOST_ENTRIES, self._entries + passed_s * ENTRIES_PER_S)
        self._bytes = min(2.0 * MOST_BYTES, self._bytes + passed_s * BYTES_PER_S)


def _bytes(entry: Entry) -> int:
    """Bound from above how long an entry is in a batch; letters may take four bytes each."""
    return len(entry.body) + len(entry.kind) + 96
