"""A centre whose watch the test turns, before a real broker."""

from __future__ import annotations

import time

from agent.centre.counters import FILE as COUNTERS
from agent.centre.counters import Counters
from agent.centre.service import Service
from agent.centre.watch import CLIENT, PARTS, Watch
from agent.centre.wire import Wire
from agent.centre.witness import FILE, Witness
from agent.model import Instant, Trust
from tests.town import Town, no_passphrase, wait_until

BOX = "gn-0001"


class Leap:
    """A clock that can be moved on, so that nobody waits a minute."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1_000_000, Trust.SYNCED)


class Centre:
    """A running watch, turned by the test."""

    def __init__(self, town: Town, *, confirm_time: bool = False, asks: bool = True, chunk=None) -> None:
        self.clock = Leap()
        self.witness = Witness(town.city.at(FILE))
        self.counters = Counters(town.city.at(COUNTERS))
        self.wire = Wire(town.city, CLIENT, [f"pasu/v1/+/{part}" for part in PARTS], keep=True)
        self.wire.open(30)
        self.found: list[tuple[str, str]] = []
        self.watch = Watch(
            town.city,
            self.wire,
            self.witness,
            self.clock,
            service=Service(town.city, no_passphrase, time.time_ns() // 1_000_000) if asks else None,
            counters=self.counters,
            confirm_time=lambda: confirm_time,
            chunk=chunk or (lambda *_: None),
        )

    def until(self, true, what="") -> None:
        def turned() -> bool:
            self.watch.turn(0.02)
            self.found += [(alarm.box, str(alarm.what)) for alarm in self.watch.alarms()]
            return true()

        wait_until(turned, what)
        self.watch.commit()

    def row(self, box: str = BOX):
        return next(row for row in self.watch.rows() if row.standing.box == box)

    def verified(self, size: int, box: str = BOX) -> None:
        self.until(lambda: self.row(box).verified == size, f"{size} verified, not {self.row(box)}")

    def alarmed(self, what: str, box: str = BOX) -> None:
        self.until(lambda: (box, what) in self.found, f"{what}, not {self.found}")

    def close(self) -> None:
        self.wire.close()
        self.witness.close()
        self.counters.close()

    def kill(self) -> None:
        """End it without a word and without a commit."""
        client = self.wire._client
        client._sock_close()
        client.loop_stop()
        self.witness.close()
        self.counters.close()
