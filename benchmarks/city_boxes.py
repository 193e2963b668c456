"""Boxes of the city's bench: many uplinks in one process. What an uplink meets of its box is in memory here, the uplink
itself is the real one: post, session, courier, pulse, paho and TLS with a certificate for each box.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import founded
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.command import jws
from agent.config import load
from agent.model import Instant, Trust, canonical_json
from agent.storage.ledger import Entry
from agent.storage.proof import leaf, merkle, note, verdict
from agent.storage.proof.signing import BoxKey
from agent.uplink import post as post_module
from agent.uplink import summary
from agent.uplink.courier import ORDINARY
from agent.uplink.dial import Endpoint
from agent.uplink.loop import Loop
from agent.uplink.payloads import SIGNED, Checkpoint, parse_topic
from agent.uplink.ports import Box
from agent.uplink.seal import SIGNATURE_BYTES
from agent.uplink.session import Session

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from agent.config import Config
    from agent.uplink.courier import Cursor
    from agent.uplink.payloads import Birth, Health

URGENT_S = 600
"""Each box has a gap so often: what goes to the centre at once."""
SWEEP_S = 10
CHECKPOINT_ENTRIES, CHECKPOINT_MS = 100, 60_000  # as agent.storage.proof.checkpoints has it
LOOKS = 16
TURN_S = 0.2

assert "gap" not in ORDINARY

messages: Counter[str] = Counter()
sizes: Counter[str] = Counter()


class Counted(Session):
    """A session that counts what it is given, by kind."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> int | None:
        token = super().publish(topic, payload, qos=qos, retain=retain)
        if token is not None:
            kind = (parse_topic(topic) or ("", ""))[1]
            messages[kind] += 1
            sizes[kind] += len(payload) + (SIGNATURE_BYTES if kind in SIGNED else 0)
        return token


class Shared:
    """What all boxes of a process have alike: a few looks of their health files, that change every ten seconds."""

    def __init__(self, chance: random.Random) -> None:
        self.records = [founded.record_says(chance) for _ in range(LOOKS)]
        self.keeps = [founded.keep_says(chance) for _ in range(LOOKS)]


class Simulated:
    """One box: the ports of its uplink, and the uplink itself, from `start_s` on."""

    def __init__(
        self,
        config: Config,
        key: BoxKey,
        endpoint: Endpoint,
        shared: Shared,
        *,
        start_s: float,
        erasing: bool,
    ) -> None:
        self.config = config
        self.box = config.box.id
        self.ups: list[float] = []
        self.start_s = start_s
        self._key, self._vkey, self._shared = key, str(key.verifier), shared
        self._chance = random.Random(self.box)
        self._ledger = self._chance.randbytes(8).hex()
        self._session = self._chance.randbytes(4).hex()
        self._peaks = merkle.Peaks()
        self._entries: list[Entry] = []
        self._acknowledged = 0
        self._head: tuple[note.Head, int] | None = None
        self._replies: dict[str, bytes] = {}
        self._replied = 0
        self._cursor: Cursor | None = None
        self._erasing = erasing
        now_ms = time.time_ns() // 1_000_000
        self._begin_ms = now_ms - self._chance.randrange(60_000)
        self._phases = sorted(self._chance.randrange(60_000) for _ in range(founded.CAMERAS))
        self._next_ms, self._camera = self._begin_ms + self._phases[0], 0
        self._doomed: list[int] = []
        self._sweep_ms = now_ms + self._chance.randrange(1000 * SWEEP_S)
        self._urgent_ms = now_ms + self._chance.randrange(1000 * URGENT_S)
        self._append("box.started", now_ms, {"version": "0.1.0"})
        self.post = post_module.Post(
            Box(self.box, self._session, self, self, self, self, self._now, self._chance.random), endpoint
        )

    # What the loop turns

    @property
    def wants_write(self) -> bool:
        return self.post.wants_write

    @property
    def connection(self) -> int:
        return self.post.connection

    def fileno(self) -> int:
        return self.post.fileno()

    def turn(self, now_s: float) -> float:
        if now_s < self.start_s:
            return self.start_s - now_s
        was = self.post.is_up
        due_s = self.post.turn(now_s)
        if self.post.is_up and not was:
            self.ups.append(time.time())
        return due_s

    @property
    def size(self) -> int:
        return len(self._entries)

    @property
    def carried(self) -> int:
        """How much of the ledger the broker has acknowledged."""
        return self._cursor.seq if self._cursor else 0

    # agent.uplink.ports.Ledger

    def look(self) -> tuple[str, int, int]:
        self._live(time.time_ns() // 1_000_000)
        return self._ledger, len(self._entries), self._acknowledged

    def entries(self, ledger: str, after: int, limit: int, most_bytes: int) -> list[Entry]:
        found, size = [], 0
        for entry in self._entries[after : after + limit] if ledger == self._ledger else ():
            size += len(entry.body)
            if found and size > most_bytes:
                break
            found.append(entry)
        return found

    def checkpoint(self) -> Checkpoint | None:
        if self._head is None:
            return None
        head, at_ms = self._head
        text = self._key.sign(note.write_head(head))
        return Checkpoint(box=self.box, ledger=self._ledger, note=text, at_ms=at_ms)

    # Exchange: a keeper that takes the centre's word and says so, and nothing else

    def put_order(self, text: str, *, retained: bool) -> bool:  # noqa: ARG002 - as the port has it
        order = jws.peek(text)[1]
        command, arguments = order["command"], order["arguments"]
        detail: dict[str, Any] = {}
        if command == "ledger.acknowledge":
            self._acknowledged = max(self._acknowledged, arguments["size"])
            detail = {"size": arguments["size"]}
        elif command == "facts.resend":
            detail = {"resend": {"ledger": arguments["ledger"], "from_seq": arguments["from_seq"]}}
        now_ms = time.time_ns() // 1_000_000
        self._append(
            "command.accepted",
            now_ms,
            {
                "id": order["id"],
                "order": order["id"],
                "command": command,
                "counter": order["counter"],
                "kid": "0123456789abcdef",
                "holder": "centre",
                "role": order["role"],
                "seconds": [],
                "arguments": arguments,
            },
        )
        self._replied += 1
        reply = {
            "v": 1, "box": self.box, "id": order["id"], "command": command, "status": "done", "code": "",
            "at_ms": now_ms, "trust": "SYNCED", "detail": detail,
        }  # fmt: skip
        self._replies[f"{self._replied:016}.json"] = json.dumps(reply).encode()
        return True

    def replies(self, limit: int) -> list[tuple[str, bytes]]:
        return list(self._replies.items())[:limit]

    def drop_reply(self, name: str) -> None:
        self._replies.pop(name, None)

    # Notebook

    def cursor(self) -> Cursor | None:
        return self._cursor

    def set_cursor(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def history(self) -> list[str]:
        return []

    def add_history(self, line: str) -> None:
        pass

    def set_history(self, lines: Any) -> None:
        pass

    # Reports

    def birth(self, n: int) -> Birth:
        at = int(time.time()) // 10 % LOOKS
        return summary.birth(
            self.config,
            self._session,
            n,
            self._now(),
            boot=("0f5c3ad2-8a3f-4c0e-9a8e-2b9e6c1d7f00", 1),
            versions={"pasu": "0.1.0", "python": "3.13.5", "system": "Linux 6.12.48 x86_64"},
            ledger=(self._ledger, self._vkey),
            record=self._shared.records[at],
            keep=self._shared.keeps[at],
            wrong=[],
        )

    def health(self, n: int, backlog: int, seq: int | None) -> Health:
        at = (int(time.time()) // 10 + self._begin_ms) % LOOKS
        return summary.health(
            self.config,
            self._session,
            n,
            self._now(),
            record=self._shared.records[at],
            keep=self._shared.keeps[at],
            wrong=[],
            backlog=backlog,
            seq=seq,
        )

    # The box's life

    def _now(self) -> Instant:
        return Instant(time.time_ns() // 1_000_000, Trust.SYNCED)

    def _live(self, now_ms: int) -> None:
        """Write the facts that were due since the last look, with their own times: a box waits for no uplink."""
        while self._next_ms <= now_ms:
            camera = self._camera % founded.CAMERAS
            self._append(
                "segment.committed", self._next_ms, founded.committed(self._chance, camera + 1, self._next_ms)
            )
            self._doomed.append(camera + 1)
            self._camera += 1
            minute, camera = divmod(self._camera, founded.CAMERAS)
            self._next_ms = self._begin_ms + minute * founded.SEGMENT_MS + self._phases[camera]
        while self._sweep_ms <= now_ms:
            for camera in self._doomed if self._erasing else ():
                self._append(
                    "segment.erased", self._sweep_ms, founded.erased(self._chance, camera, self._sweep_ms)
                )
            self._doomed.clear()
            self._sweep_ms += 1000 * SWEEP_S
        while self._urgent_ms <= now_ms:
            body = {
                "camera": "cam07", "cause": "camera_silent", "detail": "no packets for 5 s",
                "start_ms": self._urgent_ms - 5000, "end_ms": self._urgent_ms,
            }  # fmt: skip
            self._append("gap", self._urgent_ms, body)
            self._urgent_ms += 1000 * URGENT_S

    def _append(self, kind: str, at_ms: int, body: dict[str, Any]) -> None:
        entry = Entry(len(self._entries) + 1, at_ms, "SYNCED", kind, canonical_json(body))
        self._entries.append(entry)
        self._peaks.push(leaf.entry_hash(entry.seq, at_ms, "SYNCED", kind, entry.body))
        size, signed_ms = (self._head[0].size, self._head[1]) if self._head else (0, 0)
        if entry.seq - size >= CHECKPOINT_ENTRIES or at_ms - signed_ms >= CHECKPOINT_MS:
            origin = verdict.origin(self.box, self._ledger)
            self._head = note.Head(origin, entry.seq, self._peaks.root()), at_ms


def live(
    folder: Path,
    template: Path,
    boxes: dict[str, bytes],
    broker: str,
    ramp_s: float,
    erasing: bool,
    pipe: Connection,
) -> None:
    """Be many boxes, until told to stop. Says once a second how they are; a word that comes is answered by the next.

    folder    has a folder of certificates for each box
    template  a configuration, that of every box but for the id
    boxes     the key of each that signs checkpoints
    ramp_s    boxes begin one after the other, within so long
    """
    logging.getLogger("pasu.uplink").setLevel(
        logging.ERROR
    )  # a city that loses its broker says so line by line
    post_module.Session = Counted  # type: ignore[misc]
    alike = load(template)
    founded.raise_descriptors(len(boxes) + 200)
    host, _, port = broker.rpartition(":")
    chance = random.Random(7)
    shared = Shared(chance)
    loop = Loop(time.monotonic)
    now_s = time.monotonic()
    every = []
    for box, raw in boxes.items():
        key = BoxKey(box, Ed25519PrivateKey.from_private_bytes(raw))
        place = folder / box
        endpoint = Endpoint(host, int(port), place / "ca.pem", place / "box.pem", place / "box.key")
        config = replace(alike, box=replace(alike.box, id=box))
        every.append(
            Simulated(
                config, key, endpoint, shared, start_s=now_s + chance.random() * ramp_s, erasing=erasing
            )
        )
        loop.add(every[-1])
    marks: dict[str, int] = {}
    tell_s = longest_s = 0.0
    now_s = time.monotonic()
    while True:
        loop.turn(TURN_S)
        longest_s, now_s = max(longest_s, time.monotonic() - now_s - TURN_S), time.monotonic()
        if pipe.poll():
            word = pipe.recv()
            if word == "stop":
                break
            marks = {each.box: each.size for each in every}
            pipe.send({"marks": marks})
        if now_s >= tell_s:
            tell_s = now_s + 1.0
            ups = [at for each in every for at in each.ups]
            for each in every:
                each.ups.clear()
            pipe.send(
                {
                    "up": sum(each.post.is_up for each in every),
                    "ups": ups,
                    "attempts": sum(each.connection for each in every),
                    "left": sum(each.carried < marks.get(each.box, 0) for each in every),
                    "facts": sum(each.size for each in every),
                    "traffic": [
                        sum(part) for part in zip(*(each.post.traffic for each in every), strict=True)
                    ],
                    "messages": dict(messages),
                    "sizes": dict(sizes),
                    "cpu_s": time.process_time(),
                    "longest_s": longest_s,
                }
            )
            longest_s = 0.0
    loop.close()
