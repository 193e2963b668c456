"""A city on one broker: as many boxes as Seoul would need for its crime-prevention cameras, 23,397 at sixteen a box.

Each box is the real uplink over mutual TLS with a certificate of its own; what it reads of its box is in memory. One
mosquitto as `pasu centre broker` configures it, and the real `pasu centre watch` as one process. Some minutes of a
common day; then the broker is killed, is away for a while, and everybody comes back at once.

    make bench        or: benchmarks/city.py --boxes 100 --seconds 100
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import city_boxes  # noqa: E402 - needs the path above
import founded  # noqa: E402
import psutil  # noqa: E402

from agent.centre.following import GRAVE  # noqa: E402
from agent.centre.witness import FILE  # noqa: E402
from agent.cli.bar import Bar  # noqa: E402
from agent.uplink.courier import LINGER_S, ORDINARY  # noqa: E402
from agent.uplink.post import CHECKPOINT_S  # noqa: E402
from tests.lab import machine  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.centre.city import City

CAMERAS = 23_397
BOXES = math.ceil(CAMERAS / founded.CAMERAS)
SECONDS = 180
SETTLE_S = 20.0
OUTAGE_S = 5.0
PATIENCE_S = 240.0
LATE_S = LINGER_S + 5.0
"""Of the last facts of a window, those that linger are not at the centre yet."""


@dataclass
class Counts:
    """What was counted up to a moment."""

    at_s: float
    broker_cpu_s: float
    centre_cpu_s: float
    boxes_cpu_s: float
    received_bytes: int
    sent_bytes: int
    packets: int
    facts: int
    messages: Counter[str]
    sizes: Counter[str]


class Boxes:
    """The processes that are the city's boxes, and what they said last."""

    def __init__(self, place: Path, city: City, template: Path, keys: dict[str, bytes], options: Any) -> None:
        context = multiprocessing.get_context("spawn")
        names = list(keys)
        self.count = len(names)
        self.ups: list[float] = []
        self.longest_s = 0.0
        self.marks: dict[str, int] = {}
        self._pipes, self._processes = [], []
        for number in range(options.processes):
            own = {name: keys[name] for name in names[number :: options.processes]}
            ours, theirs = context.Pipe()
            arguments = (place, template, own, city.broker, options.ramp, not options.young, theirs)
            process = context.Process(target=city_boxes.live, args=arguments, daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        self._said: list[dict[str, Any]] = [{} for _ in self._pipes]

    def hear(self) -> None:
        """Take what they say; wait a little when they say nothing."""
        for pipe in multiprocessing.connection.wait(self._pipes, 0.5):
            said = pipe.recv()
            if "marks" in said:
                self.marks |= said["marks"]
                continue
            self._said[self._pipes.index(pipe)] = said
            self.ups += said["ups"]
            self.longest_s = max(self.longest_s, said["longest_s"])

    def sum(self, what: str) -> Any:
        return sum(said.get(what, 0) for said in self._said)

    def counter(self, what: str) -> Counter[str]:
        return sum((Counter(said.get(what, {})) for said in self._said), Counter())

    def mark(self) -> None:
        """Have them remember what every ledger holds now."""
        self.marks = {}
        for pipe in self._pipes:
            pipe.send("mark")
        while len(self.marks) < self.count:
            self.hear()

    def until(self, what: str, done: Callable[[], bool], show: Callable[[], int], total: int) -> float:
        """Hear them until something is so; return the seconds that took."""
        begin = time.monotonic()
        with Bar(what) as bar:
            while not done():
                assert all(process.is_alive() for process in self._processes), "a process of boxes has ended"
                assert time.monotonic() - begin < PATIENCE_S, f"waited in vain: {what}, {show()} of {total}"
                self.hear()
                bar.show(min(show(), total), total)
        return time.monotonic() - begin

    def for_s(self, what: str, seconds: float) -> None:
        begin = time.monotonic()
        passed = lambda: time.monotonic() - begin  # noqa: E731
        self.until(what, lambda: passed() >= seconds, lambda: int(passed()), int(seconds))

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.send("stop")
        for process in self._processes:
            process.join(20)
            if process.is_alive():
                process.kill()


@dataclass
class Found:
    """What came of it; seconds, bytes and counts as they are."""

    begin: Counts
    end: Counts
    broker_rss: int = 0
    centre_rss: int = 0
    longest_s: float = 0.0
    urgent: list[float] = field(default_factory=list)
    ordinary: list[float] = field(default_factory=list)
    back_s: float = 0.0
    carried_s: float = 0.0
    witnessed_s: float = 0.0
    storm: list[float] = field(default_factory=list)
    storm_cpu_s: float = 0.0
    attempts: int = 0
    facts: int = 0
    missing: int = 0
    alarms: Counter[str] = field(default_factory=Counter)
    load: float = 0.0


def enrol(city: City, place: Path, names: list[str]) -> dict[str, bytes]:
    """Enrol every box; return their signing keys."""
    keys = {}
    with Bar("enrol") as bar:
        for number, name in enumerate(names, 1):
            keys[name] = founded.enrol(city, name, place / name).private.private_bytes_raw()
            bar.show(number, len(names))
    return keys


def watch(city: City, log: Path) -> psutil.Popen:
    """Start the centre."""
    program = [
        sys.executable,
        "-m",
        "agent.cli.main",
        "centre",
        "watch",
        "--json",
        "--city",
        str(city.folder),
    ]
    with log.open("ab") as out:
        return psutil.Popen(program, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)


def witnessed(city: City) -> dict[str, int]:
    """Return how much of each box's ledger the centre has on its disk."""
    db = sqlite3.connect(f"{city.at(FILE).absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    found = dict(db.execute("SELECT box, size FROM ledger"))
    db.close()
    return found


def delays(city: City, begin_ms: int, end_ms: int, *, ordinary: bool) -> list[float]:
    """Return how long after it was written a fact of a span of time was at the centre, in seconds, in order."""
    db = sqlite3.connect(f"{city.at(FILE).absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    kinds = ", ".join(f"'{kind}'" for kind in sorted(ORDINARY))
    query = (
        "SELECT (received_ms - at_ms) / 1000.0 FROM fact WHERE at_ms >= ? AND at_ms < ?"
        f" AND kind {'' if ordinary else 'NOT '}IN ({kinds}) AND kind != 'box.started'"
    )
    found = sorted(row[0] for row in db.execute(query, (begin_ms, end_ms)))
    db.close()
    return found


def alarms(city: City) -> Counter[str]:
    db = sqlite3.connect(f"{city.at(FILE).absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    found = Counter(row[0] for row in db.execute("SELECT what FROM alarm"))
    db.close()
    return found


def at(part: int, ordered: list[float]) -> float:
    """Return a percentile."""
    return ordered[min(len(ordered) - 1, len(ordered) * part // 100)] if ordered else math.nan


def peak(times: Iterable[float]) -> int:
    """Return the most within any second."""
    ordered, most, first = sorted(times), 0, 0
    for place, moment in enumerate(ordered):
        while moment - ordered[first] > 1.0:
            first += 1
        most = max(most, place - first + 1)
    return most


def run(root: Path, options: argparse.Namespace) -> Found:
    founded.raise_descriptors(options.boxes + 500)
    city = founded.found(root / "city")
    names = [f"sl-{number:04d}" for number in range(1, options.boxes + 1)]
    keys = enrol(city, root / "boxes", names)
    founded.configured(root / "template", "sl-0000", city.broker)
    broker = founded.Broker(city, root / "broker")
    broker.start()
    broker.listen()
    centre = watch(city, root / "centre.log")
    boxes: Boxes | None = None
    try:
        boxes = Boxes(root / "boxes", city, root / "template" / "agent.toml", keys, options)
        return measure(city, broker, centre, boxes, options)
    except BaseException:
        print((root / "centre.log").read_text(errors="replace")[-2000:], file=sys.stderr)
        raise
    finally:
        if boxes is not None:
            boxes.stop()
        centre.terminate()
        centre.wait(30)
        broker.stop()


def measure(
    city: City, broker: founded.Broker, centre: psutil.Popen, boxes: Boxes, options: argparse.Namespace
) -> Found:
    total = options.boxes

    def count() -> Counts:
        boxes.hear()
        return Counts(
            time.time(),
            founded.cpu_s(broker.process),
            founded.cpu_s(centre),
            boxes.sum("cpu_s"),
            broker.count("bytes/received"),
            broker.count("bytes/sent"),
            broker.count("messages/received"),
            boxes.sum("facts"),
            boxes.counter("messages"),
            boxes.counter("sizes"),
        )

    def up() -> int:
        return int(boxes.sum("up"))

    boxes.until("connect", lambda: up() == total, up, total)
    boxes.for_s("settle", SETTLE_S)
    boxes.longest_s = 0.0
    begin = count()
    boxes.for_s("a common day", options.seconds)
    found = Found(begin, count())
    found.longest_s = boxes.longest_s
    found.broker_rss, found.centre_rss = broker.process.memory_info().rss, centre.memory_info().rss
    found.load = os.getloadavg()[1]
    found.urgent = delays(city, int(begin.at_s * 1000), int((found.end.at_s - 5) * 1000), ordinary=False)
    found.ordinary = delays(
        city, int(begin.at_s * 1000), int((found.end.at_s - LATE_S) * 1000), ordinary=True
    )

    attempts = boxes.sum("attempts")
    broker.kill()
    boxes.until("broker killed", lambda: not up(), lambda: total - up(), total)
    boxes.for_s("broker away", options.outage)
    boxes.mark()
    boxes.ups.clear()
    broker.start()
    started, begin_s = time.time(), time.monotonic()
    boxes.until("come back", lambda: up() == total, up, total)
    found.back_s = time.monotonic() - begin_s
    left = lambda: int(boxes.sum("left"))  # noqa: E731
    boxes.until("empty the backlogs", lambda: up() == total and not left(), lambda: total - left(), total)
    found.carried_s = time.monotonic() - begin_s
    found.storm_cpu_s = founded.cpu_s(broker.process)
    marks = dict(boxes.marks)

    def there() -> int:
        kept = witnessed(city)
        return sum(kept.get(box, 0) >= size for box, size in marks.items())

    boxes.until("the centre has all of it", lambda: there() == total, there, total)
    found.witnessed_s = time.monotonic() - begin_s
    found.storm = sorted(moment - started for moment in boxes.ups)
    found.attempts = boxes.sum("attempts") - attempts
    found.facts = sum(marks.values())
    found.missing = total - there()
    found.alarms = alarms(city)
    return found


@dataclass
class Line:
    """One figure."""

    what: str
    figure: str


def lines(found: Found, options: argparse.Namespace) -> list[Line]:
    begin, end, boxes = found.begin, found.end, options.boxes
    seconds = end.at_s - begin.at_s
    share = founded.DAY_S / seconds / boxes
    kinds = end.messages - begin.messages
    sizes = end.sizes - begin.sizes
    noted = end.messages["checkpoint"]
    note = end.sizes["checkpoint"] / noted if noted else 0.0
    notes = founded.DAY_S / CHECKPOINT_S
    day = sum(count for kind, count in kinds.items() if kind != "checkpoint") * share + notes
    payload = sum(size for kind, size in sizes.items() if kind != "checkpoint") * share + notes * note
    per = "; ".join(
        f"{kind} {kinds[kind] * share:,.0f} of {sizes[kind] / kinds[kind]:,.0f} bytes"
        for kind in sorted(kinds)
        if kind != "checkpoint"
    )
    grave = sum(count for what, count in found.alarms.items() if what in GRAVE)
    told = ", ".join(f"{what} {count}" for what, count in sorted(found.alarms.items())) or "none"

    def percent(after: float, before: float) -> str:
        return f"{100 * (after - before) / seconds:.1f} % of a core"

    return [
        Line(
            "of all boxes in a second",
            f"{(end.facts - begin.facts) / seconds:,.0f} facts, {sum(kinds.values()) / seconds:,.0f} messages",
        ),
        Line("a box and day: messages", f"{day:,.0f}: {per}; checkpoint {notes:,.0f} of {note:,.0f} bytes"),
        Line("a box and day: payloads", f"{payload / 1e6:.2f} MB"),
        Line(
            "a box and day: MQTT from boxes, as the broker counts it",
            f"{(end.received_bytes - begin.received_bytes) * share / 1e6:.2f} MB in"
            f" {(end.packets - begin.packets) * share:,.0f} packets",
        ),
        Line("broker: processor", percent(end.broker_cpu_s, begin.broker_cpu_s)),
        Line("broker: memory", f"{found.broker_rss / 1e6:.0f} MB"),
        Line("centre (`pasu centre watch`): processor", percent(end.centre_cpu_s, begin.centre_cpu_s)),
        Line("centre: memory", f"{found.centre_rss / 1e6:.0f} MB"),
        Line("all boxes: processor", percent(end.boxes_cpu_s, begin.boxes_cpu_s)),
        Line("boxes' longest turn of a loop (the bench's own delay)", f"{found.longest_s:.2f} s"),
        Line(
            "fact to centre, what goes at once",
            f"p50 {at(50, found.urgent):.2f} s, p99 {at(99, found.urgent):.2f} s ({len(found.urgent):,} facts)",
        ),
        Line(
            "fact to centre, what lingers for company",
            f"p50 {at(50, found.ordinary):.1f} s, p99 {at(99, found.ordinary):.1f} s ({len(found.ordinary):,} facts)",
        ),
        Line(
            "broker killed and started again: boxes online",
            f"half after {at(50, found.storm):.1f} s, 99 % after {at(99, found.storm):.1f} s,"
            f" all after {found.back_s:.1f} s",
        ),
        Line("every backlog acknowledged by the broker", f"after {found.carried_s:.1f} s"),
        Line("every fact from before on the centre's disk", f"after {found.witnessed_s:.1f} s"),
        Line(
            "the storm",
            f"at most {peak(found.storm)} connections within a second; {found.attempts:,} attempts for {boxes:,} boxes;"
            f" {found.storm_cpu_s:.1f} s of the broker's processor",
        ),
        Line("facts missing at the centre afterwards", f"{found.missing} boxes' of {found.facts:,} facts"),
        Line("alarms", f"{told}; of a ledger that contradicts itself: {grave}"),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=BOXES)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of a common day; 70 at least")
    parser.add_argument("--processes", type=int, default=2, help="that are the boxes")
    parser.add_argument("--ramp", type=float, default=30.0, help="seconds within which the boxes begin")
    parser.add_argument("--outage", type=float, default=OUTAGE_S, help="seconds that the broker is away")
    parser.add_argument("--young", action="store_true", help="no segment is old enough to be erased")
    parser.add_argument("--evidence", action="store_true", help="write docs/evidence/city.md")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pasu-city-") as temporary:
        found = run(Path(temporary), options)
    made = lines(found, options)
    for line in made:
        print(f"{line.what:58} {line.figure}", flush=True)
    grave = sum(count for what, count in found.alarms.items() if what in GRAVE)
    about = (
        f"{options.boxes:,} boxes with 16 cameras each, a health every 30 s, a segment a minute and camera"
        f"{'' if options.young else ', and a tombstone for each'}, one gap every {city_boxes.URGENT_S // 60} minutes;"
        f" mutual TLS, a certificate for each box; {options.processes} processes of boxes, mosquitto and the"
        f" centre on one machine."
        f" {options.seconds} s, then the broker was killed (-9) and away for {options.outage:.0f} s."
        f" Load of the machine meanwhile: {found.load:.1f}; the whole in {time.monotonic() - begin:.0f} s."
    )
    print(about)
    if options.evidence:
        table = "\n".join(
            ["| what | figure |", "| --- | --- |", *(f"| {line.what} | {line.figure} |" for line in made)]
        )
        (ROOT / "docs/evidence/city.md").write_text(
            "# A city on one broker\n\n"
            f"`benchmarks/city.py --evidence`, {time.strftime('%Y-%m-%d', time.gmtime())}; {machine()}.\n"
            f"{about}\n\n{table}\n\n"
            "Each box is the uplink that `pasu uplink` runs (post, session, courier, pulse, paho, TLS); its ledger, its"
            " health files and its keeper are in memory. The centre is `pasu centre watch --json`: it verifies every"
            " checkpoint, writes every fact to its disk, and acknowledges. Checkpoints are added by their rhythm, one"
            " in five minutes. MQTT bytes are inside TLS; what a box costs on its line is in"
            " [wire-cost.md](wire-cost.md). Delays are those in the centre's own file: when a fact was written on the"
            " box, and when the centre took it. The broker that is killed loses what it had not written; the centre"
            " notices what it misses and asks for it.\n"
        )
    return 0 if not grave and not found.missing else 1


if __name__ == "__main__":
    sys.exit(main())
