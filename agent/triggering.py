"""The process that listens to bells and sensors at the site: from its first to its last line.

Composition root as `agent.worker` is of those that record: it joins capture with storage. The parent of `pasu record`
starts it where the configuration has a [[trigger]], with the same two descriptors as a worker. It opens no vault; of
the state it opens the catalogue, to write facts. What it does wrong costs no picture.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import logs
from agent.capture.broker import Broker, Place
from agent.capture.gpio import Line
from agent.capture.triggers import KIND, Tally, Trigger
from agent.clock import SystemClock
from agent.language import english
from agent.model import Fact
from agent.storage import ledger
from agent.storage.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.clock import Clock

ORDER_BYTES = 1 << 20
BEAT_S = 1.0
THREAD_S = 20.0
"""A broker's thread comes round every half second, and after three while it connects. One that does not is beyond
help, and so this process ends: the parent starts another."""
CLOSE_S = 5.0
EXIT_HUNG = 70  # EX_SOFTWARE of sysexits.h

log = logging.getLogger("pasu.triggers")


class Writer:
    """Writes facts in a thread of its own: a disk that stands still keeps nobody from listening."""

    def __init__(self, state: Path, clock: Clock) -> None:
        """Begin. state: where the catalogue is."""
        self._queue: queue.SimpleQueue[ledger.Line | None] = queue.SimpleQueue()
        self._outbox = Outbox(state, clock, lambda _: None)
        self._clock = clock
        self._complete = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether somebody writes: not after a bug of ours."""
        return self._thread.is_alive()

    def put(self, line: ledger.Line) -> None:
        """Have a fact written."""
        self._queue.put(line)

    def close(self, timeout_s: float) -> bool:
        """Write what waits; tell whether all of it is in the ledger."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return self._complete

    def _run(self) -> None:
        over = False
        while not over or self._outbox:
            wait_s = max(0.05, self._outbox.due - self._clock.monotonic()) if self._outbox else None
            try:
                line = self._queue.get(timeout=wait_s)
            except queue.Empty:
                self._outbox.drain()
                continue
            if line is None:
                over = True
            else:
                self._outbox.put(line)
        self._outbox.close()
        self._complete = True


class Listening:
    """Listens to all triggers, and writes what follows."""

    def __init__(self, state: Path, clock: Clock) -> None:
        """Listen to nothing yet. state: where the catalogue is."""
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._clock = clock
        self._writer = Writer(state, SystemClock(state))
        self._tally = Tally()
        self._lock = threading.Lock()
        self._triggers: dict[str, Trigger] = {}
        self._known: dict[str, Trigger] = {}
        self._brokers: list[Broker] = []
        self._lines: dict[str, Line] = {}
        self._heard: dict[str, int] = {}

    def listen(self, triggers: Iterable[Trigger]) -> None:
        """Listen to these from now on; what is the same is not touched."""
        wanted = {each.id: each for each in triggers}
        self._known |= wanted  # of one that is taken out something may still have to be told
        for name, line in [*self._lines.items()]:
            if name not in wanted or wanted[name].place != self._triggers[name].place:
                line.close()
                del self._lines[name]
        for name, trigger in wanted.items():
            if trigger.source == "gpio" and name not in self._lines:
                self._lines[name] = Line(*trigger.place)
        places: dict[Place, list[Trigger]] = {}
        for trigger in wanted.values():
            if trigger.source == "mqtt":
                host, port, _ = trigger.place
                places.setdefault(Place(host, port, trigger.login), []).append(trigger)
        for broker in [*self._brokers]:
            if [*broker.triggers] != places.get(broker.place):
                broker.stop()
                self._brokers.remove(broker)
        running = {broker.place for broker in self._brokers}
        self._brokers += [
            Broker(place, listed, self._note) for place, listed in places.items() if place not in running
        ]
        self._triggers = wanted
        with self._lock:
            self._tally.forget(wanted)

    def turn(self, more: Sequence[int], wait_s: float) -> bool:
        """Wait for something to happen, and write the facts that are due; tell whether one of `more` is readable."""
        now = time.monotonic()
        lines = {number: name for name, line in self._lines.items() if (number := line.fileno()) is not None}
        with self._lock:
            next_s = self._tally.next_s(now)
        waits = [wait_s] if next_s is None else [wait_s, next_s]
        ready = select.select([self.wake, *more, *lines], [], [], min(waits))[0]
        if self.wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.wake)
        now = time.monotonic()
        for number, name in lines.items():
            if number in ready and (edges := self._lines[name].edges()):
                self._note(name, edges, wake=False)
        for line in self._lines.values():
            line.turn(now)
        with self._lock:
            due = self._tally.due(now)
        self._write(due)
        return any(number in ready for number in more)

    def away(self) -> dict[str, str]:
        """Return the triggers that are not listened to, and why."""
        found = {each.id: broker.away for broker in self._brokers if broker.away for each in broker.triggers}
        return found | {name: line.away for name, line in self._lines.items() if line.away}

    def heard(self) -> dict[str, int]:
        """Return how often each trigger was heard."""
        with self._lock:
            return dict(self._heard)

    def is_hung(self) -> bool:
        """Tell whether a thread does not come round any more."""
        return not self._writer.is_alive or any(
            time.monotonic() - broker.beaten > THREAD_S for broker in self._brokers
        )

    def close(self) -> bool:
        """Listen no more, and write what was not told yet; tell whether it is in the ledger."""
        for broker in self._brokers:
            broker.stop()
        for line in self._lines.values():
            line.close()
        with self._lock:
            rest = self._tally.rest()
        self._write(rest)
        return self._writer.close(CLOSE_S)

    def _note(self, trigger: str, count: int = 1, *, wake: bool = True) -> None:
        with self._lock:
            self._tally.heard(trigger, count)
            self._heard[trigger] = self._heard.get(trigger, 0) + count
        if wake:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_write(self.wake, 1)

    def _write(self, due: Iterable[tuple[str, int]]) -> None:
        for name, count in due:
            body = self._known[name].to_fact(count)
            log.info("%s: triggered, %d", name, count)
            self._writer.put(ledger.line(Fact(KIND, self._clock.now(), body)))


@english()
def work(control_number: int) -> int:
    """Take the order from the parent, listen until it says stop or goes away; return the exit status."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold log-ins
    logs.to_stderr()
    # As a worker does: the parent's word is what ends it, or its end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPWR):
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=control_number)
    order = json.loads(control.recv(ORDER_BYTES))
    control.setblocking(False)
    state = Path(order["settings"]["state"]).absolute()
    listening = Listening(state, SystemClock(state))
    listening.listen(map(Trigger.from_json, order["settings"]["triggers"]))
    next_beat = 0.0
    while not _stopping(control, lambda said: listening.listen(map(Trigger.from_json, said))):
        now = time.monotonic()
        if now >= next_beat:
            next_beat = now + BEAT_S
            if listening.is_hung():
                log.error("a thread hangs, or has ended")
                os._exit(EXIT_HUNG)
            state_now = {"cameras": {}, "away": listening.away(), "heard": listening.heard()}
            with contextlib.suppress(OSError):
                control.send(json.dumps(state_now).encode())
        listening.turn([control.fileno()], max(0.0, next_beat - time.monotonic()))
    return 0 if listening.close() else 1


def _stopping(control: socket.socket, listen: Callable[[Iterable[dict[str, Any]]], None]) -> bool:
    """Take what the parent said; tell whether to stop: it said so, or is gone."""
    while True:
        try:
            message = control.recv(ORDER_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True
        said: dict[str, Any] = json.loads(message) if message else {"stop": True}
        if "stop" in said:
            return True
        listen(said["triggers"])


if __name__ == "__main__":
    sys.exit(work(int(sys.argv[1])))
