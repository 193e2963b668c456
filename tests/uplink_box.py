"""A box's uplink in this process, with a ledger in memory and a clock that a test moves on. Everything else is real."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import jsonschema

from agent.errors import StorageFault
from agent.model import Instant, Trust
from agent.uplink import schema
from agent.uplink.dial import Endpoint
from agent.uplink.payloads import Birth, Checkpoint, Health, parse_topic, read
from agent.uplink.ports import Box
from agent.uplink.post import Post
from tests.unit.uplink.samples import LEDGER, T0, entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.broker import Authority, Listener, Mosquitto

VALIDATORS = {kind: jsonschema.Draft202012Validator(made) for kind, made in schema.schemas().items()}


def check_schemas(listener: Listener) -> None:
    """Everything that was sent is as published."""
    assert listener.messages
    for topic, data, _ in listener.messages:
        _, kind = parse_topic(topic)
        if kind != "command":
            VALIDATORS[kind.partition("/")[0]].validate(read(data))


class Memory:
    """Ledger, exchange, notebook and reports of a box, as a test sets them."""

    def __init__(self, box: str) -> None:
        self.box = box
        self.ledger = LEDGER
        self.size = 0
        self.kind = "gap"
        self.acknowledged = 0
        self.note = ""
        self.trust = Trust.SYNCED
        self.fault = ""
        self.orders: list[tuple[str, bool]] = []
        self.room = 200
        self.answers: dict[str, bytes] = {}
        self.kept_cursor = None
        self.kept_history: list[str] = []
        self.conditions: list[tuple[str, str, int]] = []
        self.site = "site"

    def look(self):
        if self.fault:
            raise StorageFault(self.fault, "as a test wants it")
        return self.ledger, self.size, self.acknowledged

    def entries(self, ledger, after, limit, most_bytes):
        if ledger != self.ledger:
            return []
        return [entry(seq, self.kind, n=seq) for seq in range(after + 1, min(self.size, after + limit) + 1)]

    def checkpoint(self):
        return Checkpoint(box=self.box, ledger=self.ledger, note=self.note, at_ms=T0) if self.note else None

    def put_order(self, jws, *, retained):
        if len(self.orders) >= self.room:
            return False
        self.orders.append((jws, retained))
        return True

    def replies(self, limit):
        return sorted(self.answers.items())[:limit]

    def drop_reply(self, name):
        del self.answers[name]

    def cursor(self):
        return self.kept_cursor

    def set_cursor(self, cursor):
        self.kept_cursor = cursor

    def history(self):
        return self.kept_history

    def add_history(self, line):
        self.kept_history = [*self.kept_history, line]

    def set_history(self, lines):
        self.kept_history = [*lines]

    def health(self, n, backlog, seq):
        return Health(
            box=self.box, session="5e551011", n=n, at_ms=T0, trust=self.trust.value, challenge="", vaults=[],
            cameras=[(4, 150, 4000)], conditions=self.conditions, box_vitals=(1, 2, None, 3),
            backlog=backlog, seq=seq,
        )  # fmt: skip

    def birth(self, n):
        return Birth(
            box=self.box, session="5e551011", n=n, at_ms=T0, trust=self.trust.value, boot_ms=1, boot="", versions={},
            site=self.site, operator="o", retention_days=30, cameras=[], recipients=[], ledger=self.ledger,
            vkey="", challenge="", conditions=[],
        )  # fmt: skip


class Wire:
    """A post, turned by hand."""

    def __init__(
        self,
        broker: Mosquitto | None,
        box: str = "gn-0007",
        *,
        memory: Memory | None = None,
        authority: Authority | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        days: tuple[int, int] = (-1, 90),
        chance: Callable[[], float] | None = None,
    ) -> None:
        city = authority or broker.authority
        certificate, key = city.issue(box, days=days, file=f"{box}-{random.randrange(1 << 30)}")
        self.memory = memory or Memory(box)
        self.ahead_s = 0.0
        self.endpoint = Endpoint(host, port or broker.port, city.file, certificate, key)
        memory = self.memory
        self.post = Post(
            Box(
                box, "5e551011", memory, memory, memory, memory,
                lambda: Instant(T0, memory.trust), chance or (lambda: 0.0),
            ),
            self.endpoint,
        )  # fmt: skip

    @property
    def now_s(self) -> float:
        return time.monotonic() + self.ahead_s

    def turn(self) -> float:
        return self.post.turn(self.now_s)

    def until(self, what: str, state: Callable[[], object], timeout_s: float = 60.0) -> None:
        """Turn until something is so."""
        end = time.monotonic() + timeout_s
        while True:
            self.turn()
            if state():
                return
            assert time.monotonic() < end, f"waited in vain for {what}: {self.post.reason}"
            time.sleep(0.005)

    def pass_time(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time go on, with a turn in each step and a moment for the other side."""
        end = self.now_s + seconds
        while self.now_s < end:
            self.ahead_s += step_s
            self.turn()
            time.sleep(0.01)

    def up(self) -> Wire:
        self.until("the connection", lambda: self.post.is_up)
        return self

    def raised(self) -> dict[str, str]:
        return {each.code: each.detail for each in self.post.raised(self.now_s)}

    def stop(self) -> None:
        self.post.stop(self.now_s)
        end = time.monotonic() + 30
        while not self.post.is_stopped and time.monotonic() < end:
            self.turn()
            time.sleep(0.005)
        assert self.post.is_stopped
