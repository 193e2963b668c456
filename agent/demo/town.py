"""The demo's control centre: a small city with a broker, one officer, and what `pasu centre watch` does.

It does as the commands of `pasu centre` do: founding, enrolment, signed commands, the witness.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from agent.centre import founding, registry, rings, sender
from agent.centre.city import read_signing_key
from agent.centre.counters import FILE as COUNTERS
from agent.centre.counters import Counters
from agent.centre.service import Service
from agent.centre.watch import CLIENT, PARTS, Watch
from agent.centre.wire import TOPIC, Wire
from agent.centre.witness import FILE as WITNESS
from agent.centre.witness import Witness
from agent.clock import SystemClock
from agent.command.keyring import Role
from agent.demo.broker import HOST, Broker, free_ports
from agent.enrolment import box as enrolment
from agent.enrolment import form
from agent.language import say
from agent.storage.files import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from agent.centre.sender import Sealed
    from agent.centre.watched import Alarm, Row
    from agent.config import Config

ID = "demo"
DAYS = 90
CONNECT_S = 30.0
TRIES = 3
"""Of ports: another program may take a free one before the broker does."""


@dataclass(slots=True)
class Ordered:
    """A command that was sent, and what the box said to it."""

    sealed: Sealed
    sent_s: float
    reply: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def is_answered(self) -> bool:
        """Whether the box has said its last word."""
        return self.reply.get("status") in sender.FINAL


class Town:
    """A city in a folder, its broker running, watched. A context manager: on leaving nothing runs any more."""

    def __init__(self, place: Path, mosquitto: str | None) -> None:
        """Found the city and start its broker.

        mosquitto  its path; None takes the broker in Python
        Raises     UplinkFault DEMO_BROKER_MISSING; RuntimeError when the broker does not start
        """
        self._stack = contextlib.ExitStack()
        self.alarms: list[Alarm] = []
        self._orders: dict[str, Ordered] = {}
        for _ in range(TRIES):
            ports = free_ports(2)
            plan = founding.Plan(
                ID, say("시연시", "Demo City"), f"{HOST}:{ports[0]}", f"{HOST}:{ports[1]}", ("localhost",)
            )
            self.city = founding.found(place / "city", plan, datetime.now(UTC), None)
            self.broker = Broker(self.city, mosquitto, place / "broker.log")
            if self.broker.start():
                break
            shutil.rmtree(self.city.folder)
        else:
            raise RuntimeError(f"the broker does not start: {self.broker.last_words}")
        self._stack.callback(self.broker.stop)

    def __enter__(self) -> Self:
        """Hire the officer, and begin to listen. Raises UplinkFault, StorageFault."""
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _open(self) -> None:
        city = self.city
        root = read_signing_key(city.at("root", "root.pem"), city.root.kid, _unlocked)
        grant = rings.Grant(Role.OFFICER, say("김OO", "Kim"))
        ring, kid = rings.add_key(city, root, grant, _now_ms())
        self.officer = rings.signer(city, rings.find(ring, kid, None, _now_ms()), _unlocked)
        self._counters = Counters(city.at(COUNTERS))
        self._stack.callback(self._counters.close)
        witness = Witness(city.at(WITNESS))
        self._stack.callback(witness.close)
        wire = Wire(city, CLIENT, [f"{TOPIC}/+/{part}" for part in PARTS], keep=True)
        self._stack.callback(wire.close)
        wire.open(CONNECT_S)
        self._desk = Wire(city, f"centre-command-{os.urandom(4).hex()}", [f"{TOPIC}/+/reply"], keep=False)
        self._stack.callback(self._desk.close)
        self._desk.open(CONNECT_S)
        # Where nobody keeps this computer's time, the demo says that it relies on it all the same.
        self._watch = Watch(
            city,
            wire,
            witness,
            SystemClock(),
            service=Service(city, _unlocked, _now_ms()),
            counters=self._counters,
            confirm_time=lambda: True,
        )

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom the boxes seal to."""
        return rings.newest(self.city).recipients

    @property
    def key_file(self) -> Path:
        """The key that opens recordings."""
        return self.city.at("recordings", "operation.key")

    def enrol(self, config: Config) -> None:
        """Enrol a box: its request, the city's bundle, and what the box does with that."""
        asked = enrolment.request(config, Disk(), _now_ms())
        bundle = registry.enrol(self.city, asked, DAYS, datetime.now(UTC), _unlocked)
        enrolment.accept(config, form.read_bundle(bundle.encode()), Disk())

    def turn(self, within_s: float) -> None:
        """Watch for some time."""
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            self._watch.turn(left)
            self.alarms += self._watch.alarms()
            while (message := self._desk.get(0)) is not None:
                self._desk.acknowledge(message)
                if sender.own_word(self._desk, message):
                    self._hear(message.payload)

    def rows(self) -> list[Row]:
        """Return the boxes as the centre sees them now."""
        self._watch.commit()
        return self._watch.rows()

    def order(self, box: str, command: str, arguments: dict[str, Any]) -> Ordered:
        """Send a command that the officer signs; the answer comes during `turn`. Raises UplinkFault."""
        known = {row.standing.box: row.standing for row in self._watch.rows()}
        counter = self._counters.take(self.officer.key.kid, box)
        sealed = sender.seal(
            self.city,
            self.officer,
            box,
            command,
            arguments,
            counter=counter,
            now_ms=_now_ms(),
            challenge=known[box].challenge or None,
        )
        sender.post(self._desk, sealed)
        self._orders[sealed.id] = Ordered(sealed, time.monotonic())
        return self._orders[sealed.id]

    def _hear(self, payload: bytes) -> None:
        from agent.uplink import payloads

        with contextlib.suppress(ValueError):
            reply = payloads.read(payload)
            if (ordered := self._orders.get(str(reply.get("id")))) is not None:
                ordered.reply, ordered.took_s = reply, time.monotonic() - ordered.sent_s


def _unlocked(path: Path) -> bytes:
    raise AssertionError(f"nobody locked {path.name}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
