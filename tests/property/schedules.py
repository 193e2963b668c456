"""A box, its keeper and sixty days, played in a second: real catalogue, real small files, injected clocks.

The truth is known here and nowhere in the box: what time it really is, and when each segment was really recorded.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.clock import SystemClock, read
from agent.model import Instant, Span, Trust
from agent.storage.catalogue import COMMITTED, Catalogue, Segment
from agent.storage.envelope import X25519Recipient, seal_bytes
from agent.storage.keep import holds, survey
from agent.storage.keep.hold import Hold
from agent.storage.keep.keeper import Keeper
from agent.storage.keep.retention import Room, byte_marks
from agent.storage.keep.rollover import Rules
from agent.storage.keep.time import TimeKeeper, confirm
from agent.storage.layout import Kind
from agent.storage.prepare import open_vaults, prepare
from tests.unit.clocks import FakeSource
from tests.unit.storage.box import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
RETENTION_MS = 30 * DAY_MS
SLACK_MS = HOUR_MS
LABEL_MS = 60_000
"""How far a label may be from the truth: continuous means within two seconds and 500 ppm."""
T0 = 1_800_000_000_000
CAMERAS = ("cam1", "cam2")
LENGTH_MS = 12 * HOUR_MS
CONTENT = seal_bytes([X25519Recipient.parse(str(SECRET.to_public()))], bytes(600))
SIZE = len(CONTENT)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
TOTAL = 1000 * SIZE

_template: list[Schedule] = []


def _folder() -> Path:
    """Make a folder in memory, where there is one: nothing here is about disks that fail."""
    return Path(
        tempfile.mkdtemp(prefix="pasu-schedule-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    )


@dataclass
class Recorded:
    """What really happened: when it began, whether its label was trusted, and when its age could be known first."""

    true_ms: int
    trusted: bool
    camera: str
    path: str
    known_ms: int | None = None


@dataclass
class Schedule:
    """The truth, and the box."""

    root: Path
    true_ms: int = T0
    recorded: dict[int, Recorded] = field(default_factory=dict)
    active: dict[str, set[int]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    foreign_bytes: int = 0
    total: int = TOTAL
    keeper: Keeper | None = None
    tombstones: int = 0
    expired: int = 0
    evicted: int = 0
    seq: int = 0
    placed: int = 0
    held_ever: int = 0

    @classmethod
    def begin(cls) -> Schedule:
        """Take up a box that has recorded for most of a month: else nothing would ever be old enough."""
        if not _template:
            first = cls(_folder())
            now = Instant(T0, Trust.SYNCED)
            place, state = first.root / "vault", first.root / "state"
            prepare([place], state, list(CAMERAS), now, box="box-1", new_uuid=lambda: "uuid-1")
            first.take_up()
            first.tick()
            first.pass_time(29 * DAY_MS)
            first.tick()
            first.stop_keeper()
            first.catalogue.close()
            _template.append(first)
            atexit.register(shutil.rmtree, first.root)
        first = _template[0]
        made = cls(_folder(), first.true_ms, seq=first.seq)
        made.recorded = {number: replace(each) for number, each in first.recorded.items()}
        shutil.copytree(first.root, made.root, dirs_exist_ok=True)
        made.take_up(first.source.boot_at)
        return made

    def take_up(self, boot_ms: int = 20_000) -> None:
        self.state, self.place = self.root / "state", self.root / "vault"
        self.catalogue = Catalogue.open(self.state)
        # A copied box lies elsewhere, as after its disk was put into another mount point.
        self.catalogue.add_vault("uuid-1", str(self.place), 0)
        self.vault = open_vaults(self.state, [self.place])[0][0]
        self.source = FakeSource(self.true_ms, synced=True)
        self.source.boot_at = boot_ms
        self.clock = SystemClock(self.state, self.source)
        self.start_keeper()

    def end(self) -> None:
        self.stop_keeper()
        self.catalogue.close()
        shutil.rmtree(self.root)

    # --- what happens --------------------------------------------------------------------------------------------

    def pass_time(self, ms: int, *, record: bool = True, off: bool = False) -> None:
        left = ms
        while left > 0:
            part = min(left, LENGTH_MS)
            start_ms, label = self.true_ms, self.clock.now()
            self.true_ms += part
            if off:
                self.source.utc += part
            else:
                self.source.run(part)
            left -= part
            if record and not off:
                for camera in CAMERAS:
                    self.record(camera, start_ms, label, part)

    def record(self, camera: str, true_ms: int, label: Instant, length_ms: int) -> None:
        stem = self.vault.new_stem(camera, label.utc_ms)
        path = stem.path(Kind.FINAL)
        self.vault.at(path).write_bytes(CONTENT)
        row = Segment(
            "uuid-1", camera, "run", path, label.utc_ms, label.utc_ms + length_ms, str(label.trust), "h264",
            1280, 720, 90_000, 10, 600, SIZE, DIGEST, True, COMMITTED, False,
        )  # fmt: skip
        assert self.catalogue.commit_segment(row, label)
        number = self.catalogue.read("SELECT MAX(id) FROM segment")[0][0]
        self.recorded[number] = Recorded(true_ms, label.trust is not Trust.UNTRUSTED, camera, path)

    def start_keeper(self) -> None:
        if self.keeper is None:
            self.keeper = Keeper(
                "box-1",
                Rules(dict.fromkeys(CAMERAS, RETENTION_MS), RETENTION_MS, "city"),
                self.state,
                [self.place],
                TimeKeeper(self.state, source=self.source),
                monotonic=lambda: self.source.boot_at / 1000,
            )

    def stop_keeper(self) -> None:
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None

    def reboot(self, off_ms: int, utc_ms: int | None) -> None:
        """Cut the power for a while. utc_ms: what a dead battery makes of the clock; None, it went on."""
        had_keeper = self.keeper is not None
        self.stop_keeper()
        self.true_ms += off_ms
        self.source.reboot(off_ms, utc_ms=utc_ms)
        self.clock = SystemClock(self.state, self.source)
        if had_keeper:
            self.start_keeper()

    def synchronise(self) -> None:
        """A time service sets the clock right, and goes on doing so."""
        self.source.utc, self.source.synced = self.true_ms, True

    def confirm(self) -> None:
        """A technician sets the clock right and gives his word for it."""
        self.source.utc = self.true_ms
        confirm(self.state, "kim", read(self.source))

    def hold(self, camera: str, from_ms: int, to_ms: int) -> str:
        """Hold a span of labels, as a person would name it by the recordings' times."""
        self.placed += 1
        name = f"h{self.placed}"
        order = Hold(
            name, (camera,), Span(from_ms, to_ms), "investigation", "police", self.true_ms + 9 * DAY_MS, 0, ""
        )
        # By a clock that is not trusted the review's date is not judged.
        now = Instant(self.true_ms, Trust.UNTRUSTED)
        holds.place(self.catalogue, {"uuid-1": self.vault}, self.state, order, now)
        self.active[name] = set()
        self.note_held()
        return name

    def release(self, name: str) -> None:
        now = Instant(self.true_ms, Trust.SYNCED)
        holds.release(self.catalogue, {"uuid-1": self.vault}, self.state, name, now, reason="over")
        del self.active[name]

    def room(self, *scheduled: int) -> Room:
        used = self.catalogue.read("SELECT COUNT(*) FROM segment WHERE state != 'GONE'")[0][0] * SIZE
        return Room(
            self.total, max(0, self.total - used - self.foreign_bytes), 1_000_000, 900_000, *scheduled
        )

    def fill_disk(self, missing: int) -> None:
        """Let another program take the disk, until so many segments must go."""
        marks = byte_marks(self.total, 0)
        self.foreign_bytes = 0
        self.foreign_bytes = max(0, (self.room().free_bytes or 0) - marks.low + missing * SIZE)

    def empty_disk(self) -> None:
        self.foreign_bytes = 0

    # --- what must be so -----------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let the keeper do everything that is due, and look at each thing it says it did."""
        if self.keeper is None:
            return
        before = survey.room
        survey.room = lambda _, *more: self.room(*more)
        try:
            self.source.run(10_000)
            self.true_ms += 10_000
            while self.keeper.tick() == 0:
                pass
        finally:
            survey.room = before
        self.trust = self.keeper._clock.status().now.trust
        if self.trust is not Trust.UNTRUSTED:
            off_ms = self.keeper._clock.now().utc_ms - self.true_ms
            assert abs(off_ms) < LABEL_MS, f"a time is trusted that is {off_ms / DAY_MS:.2f} days off"
            for each in self.recorded.values():
                each.known_ms = each.known_ms or self.true_ms
        self.check_tombstones()
        self.check_ages()

    def new_facts(self) -> Iterator[tuple[str, str, dict]]:
        for entry in self.catalogue.ledger(self.seq, 1_000_000):
            self.seq = entry.seq
            yield entry.kind, entry.trust, json.loads(entry.body)

    def check_tombstones(self) -> None:
        gone = {
            row[0] for row in self.catalogue.read("SELECT id FROM segment WHERE state = 'GONE'")
        } - self.gone
        buried = {}
        for kind, trust, body in self.new_facts():
            if kind == "segment.erased":
                assert trust != Trust.UNTRUSTED, "erased by an untrusted clock"
                assert body["path"] not in buried, "two tombstones for one segment"
                buried[body["path"]] = body
        assert len(buried) == len(gone), "a segment without a tombstone, or two"
        self.tombstones += len(buried)
        for number in gone:
            each = self.recorded[number]
            cause = buried[each.path]["cause"]
            age_ms = self.true_ms - each.true_ms
            assert cause == "EVICTED" or age_ms >= RETENTION_MS - LABEL_MS, (
                f"expired {age_ms / DAY_MS:.2f} days old"
            )
            self.expired += cause == "EXPIRED"
            if cause == "EVICTED":
                assert self.foreign_bytes, "evicted while there was room"
                self.evicted += 1
            assert not self.vault.at(each.path).exists() or self.is_taken(each.path)
        self.gone |= gone
        assert self.tombstones == len(self.gone)
        if gone:
            assert abs(self.source.utc - self.true_ms) < LABEL_MS, "erased by a clock that is wrong"

    def is_taken(self, path: str) -> bool:
        return bool(self.catalogue.read("SELECT 1 FROM segment WHERE path = ? AND state != 'GONE'", (path,)))

    def check_ages(self) -> None:
        """Nothing unheld is older than thirty days and an hour, where the keeper knew the time."""
        if self.trust is Trust.UNTRUSTED:
            return
        held = set().union(*self.active.values())
        for (number,) in self.catalogue.read("SELECT id FROM segment WHERE state != 'GONE'"):
            each = self.recorded[number]
            if number in held:
                continue
            known_ms = each.true_ms if each.trusted else each.known_ms
            age_ms = self.true_ms - known_ms
            assert age_ms <= RETENTION_MS + SLACK_MS, f"{number} is {age_ms / DAY_MS:.2f} days old"

    def note_held(self) -> None:
        """Remember every stored segment that an active hold covers, by its present label."""
        for hold in holds.active(self.catalogue):
            rows = self.catalogue.read(
                "SELECT id, camera, start_ms, end_ms, path FROM segment WHERE state != 'GONE'"
                " AND camera = ? AND start_ms < ? AND end_ms > ?",
                (hold.cameras[0], hold.span.end_ms, hold.span.start_ms),
            )
            found = {row[0] for row in rows if self.is_whole(row[4])}
            self.held_ever += len(found - self.active[hold.id])
            self.active[hold.id] |= found

    def is_whole(self, path: str) -> bool:
        try:
            return self.vault.at(path).read_bytes() == CONTENT
        except FileNotFoundError:
            return False

    def check_held(self) -> None:
        """Every segment that a hold ever covered is there, as it was, under both its names."""
        self.note_held()
        states = dict(self.catalogue.read("SELECT id, state FROM segment"))
        for hold, numbers in self.active.items():
            for number in numbers:
                each = self.recorded[number]
                assert states.get(number) == COMMITTED, f"{number} is held and {states.get(number)}"
                assert self.is_whole(each.path), f"{number} is held, and its file is not whole"
                if self.keeper is not None:
                    name = each.path.rpartition("/")[2]
                    links = [*(self.place / "holds" / hold).rglob(name)]
                    assert links, f"{number} is held, and has no link"
                    assert links[0].read_bytes() == CONTENT
