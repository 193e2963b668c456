"""What the uplink of a box with 16 cameras costs on its line: bytes of IP packets, both ways, in an idle day.

The real `pasu uplink` in a network namespace of its own, the real mosquitto over mutual TLS at the other end of an
Ethernet pair with an MTU of 1,500, counted by the kernel on that pair. Recorder and keeper are played here: segments
are committed to a real catalogue at true pace, checkpoints made and health files written by the code that a box runs.
Two boxes at a time: one whose segments are all young, and one that also erases as many as it records.

Needs root, for the namespaces.    make bench        or: benchmarks/wire_cost.py --seconds 120
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import founded  # noqa: E402 - needs the path above

from agent.centre import rings, sender  # noqa: E402
from agent.centre.counters import FILE as COUNTERS  # noqa: E402
from agent.centre.counters import Counters  # noqa: E402
from agent.centre.standing import ACKNOWLEDGE_S  # noqa: E402
from agent.centre.wire import Wire, sent  # noqa: E402
from agent.cli.bar import Bar  # noqa: E402
from agent.command import jws  # noqa: E402
from agent.health import write_health  # noqa: E402
from agent.model import Fact, Instant, Trust, canonical_json  # noqa: E402
from agent.storage import exchange  # noqa: E402
from agent.storage.catalogue import COMMITTED, Catalogue, Segment  # noqa: E402
from agent.storage.files import Disk  # noqa: E402
from agent.storage.proof import checkpoints, tree  # noqa: E402
from tests.lab import machine  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.centre.city import City

SECONDS = 600
COMMANDS = 10
BOUND_MB = 5.0
ETHERNET = 14
"""Bytes of each frame that are not of the packet."""
TUNNEL = 60
"""What WireGuard adds to a packet: IPv4, UDP, its header and tag; padding to 16 bytes besides."""
TICK_S = 0.2
PATIENCE_S = 60.0
UUID = "0f5c3ad2-8a3f-4c0e-9a8e-2b9e6c1d7f00"
MB = 1e6


@dataclass(frozen=True, slots=True)
class Count:
    """What went over a line up to a moment: bytes of IP packets and their number, from the box and to it."""

    at_s: float
    up: int
    down: int
    packets: int

    def since(self, before: Count) -> Count:
        return Count(
            self.at_s - before.at_s,
            self.up - before.up,
            self.down - before.down,
            self.packets - before.packets,
        )

    @property
    def bytes(self) -> int:
        return self.up + self.down


class Line:
    """A namespace with an Ethernet to this one. `address` is this end of it."""

    def __init__(self, number: int) -> None:
        self.name = f"pasu-wire{os.getpid()}-{number}"
        self.address, self._other = f"10.213.{77 + number}.1", f"10.213.{77 + number}.2"
        self._here, self._there = f"pw{os.getpid() % 10**6}h{number}", f"pw{os.getpid() % 10**6}t{number}"

    def __enter__(self) -> Self:
        inside = ("-n", self.name)
        _ip("netns", "add", self.name)
        _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self.name)
        for place, own, address in (((), self._here, self.address), (inside, self._there, self._other)):
            # No IPv6, whose own messages would be counted; no packets that only the kernel joins.
            _ip(*place, "link", "set", own, "addrgenmode", "none", "mtu", "1500", "gso_max_segs", "1")
            _ip(*place, "address", "add", f"{address}/30", "dev", own)
            _ip(*place, "link", "set", own, "up")
        # Who has which address is known for good: no question of it is counted.
        for place, own, far, address in (
            ((), self._here, self._mac(inside, self._there), self._other),
            (inside, self._there, self._mac((), self._here), self.address),
        ):
            _ip(*place, "neighbour", "replace", address, "lladdr", far, "dev", own, "nud", "permanent")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._here)
        _ip("netns", "del", self.name)

    @staticmethod
    def _mac(place: tuple[str, ...], name: str) -> str:
        said = subprocess.run(["ip", *place, "-j", "link", "show", name], check=True, capture_output=True)
        return str(json.loads(said.stdout)[0]["address"])

    def count(self) -> Count:
        folder = Path("/sys/class/net") / self._here / "statistics"
        got = {
            name: int((folder / name).read_text())
            for name in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
        }
        return Count(
            time.monotonic(),
            got["rx_bytes"] - ETHERNET * got["rx_packets"],
            got["tx_bytes"] - ETHERNET * got["tx_packets"],
            got["rx_packets"] + got["tx_packets"],
        )


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Living:
    """A box: its uplink is a process, the rest is played by `turn`."""

    def __init__(self, folder: Path, city: City, line: Line, number: int, *, erasing: bool) -> None:
        self.line, self.erasing = line, erasing
        self.box = f"sl-000{number}"
        port = city.broker.rpartition(":")[2]
        self.config = founded.configured(folder, self.box, f"{line.address}:{port}")
        self.state = self.config.storage.state
        self.state.mkdir()
        self.config.storage.run.mkdir()
        self._key = founded.enrol(city, self.box, self.state / "uplink")
        now_ms = time.time_ns() // 1_000_000
        self.catalogue = Catalogue.prepare(self.state)
        self.catalogue.add_vault(UUID, str(folder / "vault"), now_ms)
        self.catalogue.add_cameras([camera.id for camera in self.config.cameras], now_ms)
        exchange.make(self.state, Disk())
        self._chance = random.Random(number)
        phases = sorted(self._chance.randrange(founded.SEGMENT_MS) for _ in range(founded.CAMERAS))
        self._due = [(now_ms + phase, camera) for camera, phase in enumerate(phases, 1)]
        self._sweep_ms = now_ms + 10_000
        self._doomed: list[int] = []
        self._files_s = self._checkpoint_s = self._challenge_s = 0.0
        self._keep = founded.keep_says(self._chance)
        self.replied = 0
        self._log = (folder / "uplink.log").open("ab")
        self.turn()
        program = [sys.executable, "-m", "agent.cli.main", "uplink", "--config", str(self.config.file)]
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", line.name, *program],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=ROOT,
        )

    def turn(self) -> None:
        """Record, erase, sign, tell and answer, what is due by now."""
        now_s, now = time.monotonic(), Instant(time.time_ns() // 1_000_000, Trust.SYNCED)
        while self._due[0][0] <= now.utc_ms:
            at_ms, camera = self._due.pop(0)
            self._due.append((at_ms + founded.SEGMENT_MS, camera))
            self._commit(founded.committed(self._chance, camera, at_ms), now)
            self._doomed.append(camera)
        if self._sweep_ms <= now.utc_ms:
            self._sweep_ms += 10_000
            for camera in self._doomed if self.erasing else ():
                self.catalogue.add_fact(
                    Fact("segment.erased", now, founded.erased(self._chance, camera, now.utc_ms))
                )
            self._doomed.clear()
        if now_s >= self._checkpoint_s:
            self._checkpoint_s = now_s + 1.0
            checkpoints.advance(self.catalogue, self._key, [], self.state, now)
        if now_s >= self._files_s:
            self._files_s = now_s + 2.0
            self._tell(now_s, now)
        self._answer(now)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()
        self.catalogue.close()

    @property
    def said(self) -> dict[str, Any]:
        """What the uplink's health file says; nothing while there is none."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.config.storage.run / "uplink" / "uplink.json").read_text())
        assert self._process.poll() is None, Path(self._log.name).read_text()[-2000:]
        return {}

    @property
    def cursor(self) -> int:
        """How much of the ledger the broker has acknowledged."""
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads((self.state / "uplink" / "memory" / "cursor.json").read_text())["seq"])
        return 0

    def _commit(self, body: dict[str, Any], now: Instant) -> None:
        size = body["sealed_bytes"]
        self.catalogue.commit_segment(
            Segment(
                UUID, body["camera"], body["run"], body["path"], body["start_ms"], body["end_ms"], "SYNCED",
                body["codec"], 1920, 1080, 90_000, body["frames"], size, size, body["sha256"], True, COMMITTED, False,
            ),
            now,
        )  # fmt: skip

    def _tell(self, now_s: float, now: Instant) -> None:
        if now_s >= self._challenge_s:
            self._challenge_s = now_s + 60.0
            self._keep = founded.keep_says(self._chance)
        said = {"record": founded.record_says(self._chance), "keep": self._keep}
        for process, body in said.items():
            boot_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
            head = {"process": process, "at_ms": now.utc_ms, "trust": "SYNCED", "boot_ms": boot_ms}
            write_health(self.config.storage.run, process, head | body)

    def _answer(self, now: Instant) -> None:
        """Take commands as keep does: a fact, and a reply."""
        place = exchange.place(self.state)
        for file in sorted((place / "orders").glob("*.json")):
            order = jws.peek(json.loads(file.read_text())["jws"])[1]
            file.unlink()
            body = {
                "id": order["id"], "order": order["id"], "command": order["command"], "counter": order["counter"],
                "kid": hashlib.sha256(b"").hexdigest()[:16], "holder": "centre", "role": order["role"], "seconds": [],
                "arguments": order["arguments"],
            }  # fmt: skip
            self.catalogue.add_fact(Fact("command.accepted", now, body))
            self.replied += 1
            reply = {
                "v": 1, "box": self.box, "id": order["id"], "command": order["command"], "status": "done", "code": "",
                "at_ms": now.utc_ms, "trust": "SYNCED", "detail": {"size": order["arguments"]["size"]},
            }  # fmt: skip
            into = place / "replies" / f"{self.replied:016}.json"
            Disk().atomic_replace(into, canonical_json(reply).encode(), sync=False)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one box. connecting: from nothing until everything was said; command: the centre's acknowledgement, answered.

    inside  bytes of MQTT within `day`, both ways, as the uplink counts them
    """

    erasing: bool
    connecting: Count
    day: Count
    facts: int
    inside: int
    command: float

    @property
    def share(self) -> float:
        return founded.DAY_S / self.day.at_s

    @property
    def idle(self) -> float:
        """Bytes in a day without the acknowledgements that the centre sends."""
        return self.day.bytes * self.share

    @property
    def whole(self) -> float:
        return self.idle + founded.DAY_S / ACKNOWLEDGE_S * self.command


def measure(boxes: list[Living], city: City, seconds: float) -> list[Cost]:
    def until(what: str, done: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        begin = time.monotonic()
        with Bar(what) as bar:
            while not done():
                assert time.monotonic() - begin < within_s, f"waited in vain: {what}"
                for box in boxes:
                    box.turn()
                bar.show(int(time.monotonic() - begin), int(within_s))
                time.sleep(TICK_S)

    def pause(what: str, for_s: float) -> None:
        end = time.monotonic() + for_s
        until(what, lambda: time.monotonic() >= end, for_s + PATIENCE_S)

    def inside(box: Living) -> int:
        return int(box.said.get("sent_bytes", 0)) + int(box.said.get("received_bytes", 0))

    def moments(what: str, at_least_s: float) -> list[tuple[Count, int, int]]:
        """Return for each box a count just behind a batch of facts, after so long: a window holds whole batches."""
        ready_s = time.monotonic() + at_least_s
        before: dict[str, int] = {}
        found: dict[str, tuple[Count, int, int]] = {}

        def look() -> bool:
            for box in boxes:
                if time.monotonic() < ready_s:
                    before[box.box] = box.cursor
                elif box.box not in found and box.cursor > before.get(box.box, 0):
                    found[box.box] = box.line.count(), box.cursor, inside(box)
            return len(found) == len(boxes)

        until(what, look, at_least_s + 2 * PATIENCE_S)
        return [found[box.box] for box in boxes]

    until("connect", lambda: all(box.said.get("connected") for box in boxes))
    pause("settle", 10.0)
    connecting = [box.line.count() for box in boxes]
    begin = moments("the first batch", 5.0)
    end = moments("a common day", seconds)
    # The acknowledgements that the centre sends: each apart from the others, and the common day taken off again.
    signer = rings.service(city, time.time_ns() // 1_000_000, founded.refuse)
    counters = Counters(city.at(COUNTERS))
    wire = Wire(city, "centre-bench", (), keep=False)
    wire.open(PATIENCE_S)
    before = [(box.line.count(), box.cursor) for box in boxes]
    for _ in range(COMMANDS):
        for box in boxes:
            size = tree.size(box.catalogue)
            root = hashlib.sha256(str(size).encode()).hexdigest()
            arguments = {"ledger": tree.identity(box.catalogue), "size": size, "root": root}
            sealed = sender.seal(
                city, signer, box.box, "ledger.acknowledge", arguments,
                counter=counters.take(signer.key.kid, box.box), now_ms=time.time_ns() // 1_000_000,
            )  # fmt: skip
            assert sent(wire.send(box.box, sealed.text), PATIENCE_S)
        pause("acknowledgements", 3.0)
    after = [(box.line.count(), box.cursor) for box in boxes]
    assert all(box.replied == COMMANDS for box in boxes), "a command did not arrive"
    wire.close()
    counters.close()
    costs = []
    for number, box in enumerate(boxes):
        day = end[number][0].since(begin[number][0])
        facts = end[number][1] - begin[number][1]
        ordered = after[number][0].since(before[number][0])
        # Facts that went along would have gone anyway.
        usual = day.bytes / day.at_s * ordered.at_s
        each = max(0.0, ordered.bytes - usual) / COMMANDS
        costs.append(
            Cost(box.erasing, connecting[number], day, facts, end[number][2] - begin[number][2], each)
        )
    return costs


def run(root: Path, seconds: float) -> list[Cost]:
    with contextlib.ExitStack() as ends:
        pairs = [ends.enter_context(Line(number)) for number in range(2)]
        city = founded.found(root / "city", pairs[0].address, *(each.address for each in pairs[1:]))
        broker = founded.Broker(city, root / "broker")
        ends.callback(broker.stop)
        broker.start()
        boxes: list[Living] = []
        for number, line in enumerate(pairs):
            boxes.append(Living(root / f"box{number}", city, line, number, erasing=bool(number)))
            ends.callback(boxes[-1].stop)
        return measure(boxes, city, seconds)


def rows(costs: list[Cost]) -> list[tuple[str, list[str]]]:
    def each(show: Callable[[Cost], str]) -> list[str]:
        return [show(cost) for cost in costs]

    return [
        ("measured", each(lambda c: f"{c.day.at_s:.0f} s, {c.facts} facts, {c.day.bytes:,} bytes")),
        ("facts in a day", each(lambda c: f"{c.facts * c.share:,.0f}")),
        ("from the box", each(lambda c: f"{c.day.up * c.share / MB:.2f} MB a day")),
        ("to the box", each(lambda c: f"{c.day.down * c.share / MB:.2f} MB a day")),
        ("of these MQTT, inside TLS", each(lambda c: f"{c.inside * c.share / MB:.2f} MB a day")),
        ("packets, both ways", each(lambda c: f"{c.day.packets * c.share:,.0f} a day")),
        ("**idle, together**", each(lambda c: f"**{c.idle / MB:.2f} MB a day**")),
        (
            f"an acknowledgement by the centre, {founded.DAY_S // ACKNOWLEDGE_S:.0f} a day, with its fact and reply",
            each(lambda c: f"{c.command:,.0f} bytes"),
        ),
        ("with those", each(lambda c: f"{c.whole / MB:.2f} MB a day")),
        (
            "what WireGuard adds, without padding",
            each(lambda c: f"{c.day.packets * c.share * TUNNEL / MB:.2f} MB a day"),
        ),
        (
            "a connection: TCP, TLS, birth, first facts",
            each(lambda c: f"{c.connecting.bytes:,} bytes, {c.connecting.packets} packets"),
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="of a common day, and up to a minute more"
    )
    parser.add_argument("--evidence", action="store_true", help="write docs/evidence/wire-cost.md")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("needs root: a network namespace is made, so that nothing else is counted", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="pasu-wire-") as temporary:
        costs = run(Path(temporary), options.seconds)
    made = rows(costs)
    for what, figures in made:
        print(f"{what.strip('*'):76} {'  |  '.join(each.strip('*') for each in figures)}")
    good = costs[0].idle / MB <= BOUND_MB
    print(f"bound: idle {BOUND_MB:.0f} MB a day while recording: {'kept' if good else 'MISSED'}")
    if options.evidence:
        table = "\n".join(f"| {what} | {' | '.join(figures)} |" for what, figures in made)
        (ROOT / "docs/evidence/wire-cost.md").write_text(
            "# What a box with 16 cameras costs on its line\n\n"
            f"`benchmarks/wire_cost.py --evidence`, {time.strftime('%Y-%m-%d', time.gmtime())}; {machine()}.\n"
            f"Bound: {BOUND_MB:.0f} MB a day, idle: {'kept' if good else '**missed**'}. Load of the machine meanwhile:"
            f" {os.getloadavg()[1]:.1f}.\n\n"
            f"|  | all segments young | as many erased as recorded |\n| --- | --- | --- |\n{table}\n\n"
            "The real `pasu uplink` and mosquitto over mutual TLS, MQTT 5, on an Ethernet pair of its own with an MTU"
            " of 1,500; bytes are those of IP packets, headers and bare acknowledgements among them, both ways, as the"
            " kernel counts them. A segment a minute and camera at true pace in a real catalogue, a checkpoint a minute"
            " (sent every five), a health every 30 s. The window begins and ends behind a batch of facts, and is"
            " multiplied up to a day. A box that is new erases nothing; from the day its first segments are too old, it"
            " writes a tombstone for each that it records.\n"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
