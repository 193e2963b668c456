"""What waits for the catalogue: rows and facts, in order, never dropped.

A catalogue that is locked or gone makes the outbox longer, and the writing of pictures not slower.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage.acquaint import acquaint
from agent.storage.catalogue import Catalogue, Segment
from agent.storage.ledger import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.clock import Clock
    from agent.model import Gap, Instant
    from agent.storage.writer import OpenSegment

BUSY_S = 0.25
"""How long one transaction waits for a lock; meanwhile sixteen 4 Mbit/s cameras queue 2 MB."""
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Commit:
    """A segment whose file has its name, on its way to C8."""

    row: Segment
    at: Instant
    segment: OpenSegment


@dataclass(frozen=True, slots=True)
class Missed:
    """A gap on its way into the catalogue."""

    gap: Gap
    at: Instant


Item = Commit | Missed | Line


class Outbox:
    """Items that wait, and the connection that they wait for."""

    def __init__(self, state: Path, clock: Clock, done: Callable[[Item], None]) -> None:
        """Open nothing yet. `done` is told of each item whose transaction is durable; it may put further
        items.
        """
        self.fault: StorageFault | None = None
        self.due = 0.0
        self._state = state
        self._clock = clock
        self._done = done
        self._items: deque[Item] = deque()
        self._catalogue: Catalogue | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Take an item, and do its transaction if the catalogue is free."""
        self._items.append(item)
        self.drain()

    def commits(self) -> Iterator[Commit]:
        """Yield the segments that wait."""
        return (item for item in self._items if isinstance(item, Commit))

    def drain(self, *, now: bool = False) -> bool:
        """Do the transactions that wait, in order; return whether none is left.

        now  do not wait for the time that was set after a failure
        """
        if self._items and (now or self._clock.monotonic() >= self.due):
            try:
                if self._catalogue is None:
                    self._catalogue = Catalogue.open(self._state, busy_s=BUSY_S)
                while self._items:
                    self._transact(self._catalogue, self._items[0])
                    self._done(self._items.popleft())
                self.fault = None
            except StorageFault as fault:
                self.fault = fault
                self.due = self._clock.monotonic() + RETRY_S
                if fault.code != "CATALOGUE_BUSY":
                    self.close()
        return not self._items

    def close(self) -> None:
        """Let go of the catalogue; it is opened again when it is needed."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    @staticmethod
    def _transact(catalogue: Catalogue, item: Item) -> None:
        if isinstance(item, Commit):
            try:
                catalogue.commit_segment(item.row, item.at)
            except sqlite3.IntegrityError:
                # It was begun anew, by one who had not heard of this vault.
                acquaint(catalogue, [item.segment.vault])
                catalogue.commit_segment(item.row, item.at)
        elif isinstance(item, Missed):
            catalogue.add_gap(item.gap, item.at)
        else:
            catalogue.add_line(item)
