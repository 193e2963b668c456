"""A box for tests: vault, state, keys, a clock that stands still, a disk that fails on request."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pyrage

from agent.model import Codec, Gap, Instant, Span, Track, Trust
from agent.ports import SegmentStart
from agent.storage.catalogue import Catalogue, Segment
from agent.storage.desk import Desk
from agent.storage.envelope import X25519Recipient
from agent.storage.files import Disk
from agent.storage.prepare import open_vaults, prepare
from agent.storage.recorder import DiskRecorder
from agent.storage.salvage import Report, salvage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T0 = 1_800_000_000_000
SECRET = pyrage.x25519.Identity.generate()
TRACK = Track(Codec.H264, 90_000, 1280, 720, b"config")
WHOLE = Span(0, 1 << 60)


class StillClock:
    """A clock that a test moves."""

    def __init__(self, utc_ms: int = T0) -> None:
        self.utc_ms = utc_ms
        self.mono = 1000.0

    def monotonic(self) -> float:
        return self.mono

    def now(self) -> Instant:
        return Instant(self.utc_ms, Trust.SYNCED)


class FailingDisk(Disk):
    """Fails calls that a test chooses. `plan(number, op, path)` returns an errno, "short", or None; calls are counted from 0."""

    def __init__(self, plan: Callable[[int, str, Path], int | str | None] = lambda *_: None) -> None:
        self.plan = plan
        self.calls: list[str] = []

    def call(self, op, path, function, *args):
        number = len(self.calls)
        self.calls.append(op)
        wanted = self.plan(number, op, path)
        if wanted == "short":
            if op == "write" and len(args[1]) > 1:
                return function(args[0], args[1][: len(args[1]) // 2])
        elif wanted == errno.EINTR:
            raise InterruptedError(errno.EINTR, "interrupted")
        elif wanted is not None:
            if op == "write" and len(args[1]) > 1:
                function(
                    args[0], args[1][: len(args[1]) // 3]
                )  # what a failed write leaves is anyone's guess
            raise OSError(wanted, os.strerror(wanted))
        return function(*args)


class Box:
    def __init__(
        self, root: Path, cameras: tuple[str, ...] = ("cam1", "cam2"), disk: Disk | None = None
    ) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.vault_path = root / "vault"
        self.state = root / "state"
        self.cameras = list(cameras)
        self.clock = StillClock()
        self.recipient = X25519Recipient.parse(str(SECRET.to_public()))
        self.report = self.prepare()
        self.disk = disk or Disk()
        self.vault = open_vaults(self.state, [self.vault_path], disk=self.disk)[0][0]

    def prepare(self) -> Report:
        return prepare(
            [self.vault_path],
            self.state,
            self.cameras,
            self.clock.now(),
            box="box-1",
            new_uuid=lambda: "uuid-1",
        )

    def recorder(self, **more: Any) -> DiskRecorder:
        return DiskRecorder([self.vault], self.state, [self.recipient], self.clock, **more)

    def desk(self, **more: Any) -> Desk:
        return Desk([self.vault], self.state, [self.recipient], self.clock, "record", **more)

    def salvage(self, cameras: list[str] | None = None, **more: Any) -> Report:
        catalogue = Catalogue.open(self.state)
        try:
            return salvage(self.vault, catalogue, self.state, cameras, self.clock.now(), **more)
        finally:
            catalogue.close()

    def rows(self) -> list[Segment]:
        catalogue = Catalogue.open(self.state)
        try:
            return [row for camera in catalogue.cameras() for row in catalogue.segments(camera)]
        finally:
            catalogue.close()

    def gaps(self) -> list[Gap]:
        catalogue = Catalogue.open(self.state)
        try:
            return [gap for camera in catalogue.cameras() for gap in catalogue.coverage(camera, WHOLE).gaps]
        finally:
            catalogue.close()

    def facts(self) -> list[tuple[str, dict[str, Any]]]:
        catalogue = Catalogue.open(self.state)
        try:
            entries = catalogue.ledger(0, 100_000)
        finally:
            catalogue.close()
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        return [(entry.kind, json.loads(entry.body)) for entry in entries]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.facts()]

    def add_gap(self, gap: Gap) -> None:
        catalogue = Catalogue.open(self.state)
        catalogue.add_gap(gap, self.clock.now())
        catalogue.close()

    def file(self, row: Segment) -> Path:
        return self.vault.at(row.path)

    def open(self, row: Segment) -> bytes:
        """Return the whole plaintext of a committed segment, opened by an age that is not ours."""
        return pyrage.decrypt(self.file(row).read_bytes(), [SECRET])

    def names(self, top: str = "segments") -> list[str]:
        root = self.vault_path
        return sorted(str(path.relative_to(root)) for path in (root / top).rglob("*") if not path.is_dir())

    def check(self) -> None:
        """Assert that catalogue and files agree: each row has its file, each file its row, sizes and hashes match."""
        expected = []
        for row in self.rows():
            content = self.file(row).read_bytes()
            assert len(content) == row.sealed_bytes
            assert hashlib.sha256(content).hexdigest() == row.sha256
            expected.append(row.path)
            if row.has_tail:
                expected.append(row.path + ".tail")
        assert self.names() == sorted(expected)


def start(camera="cam1", at_ms=T0, *, keyframe=True, run="run-1", trust=Trust.SYNCED) -> SegmentStart:
    return SegmentStart(camera, run, Instant(at_ms, trust), TRACK, keyframe)


def pattern(size: int, seed: int) -> bytes:
    """Return bytes in which every place can be told from every other."""
    out = b"".join(hashlib.sha256(f"{seed}/{i}".encode()).digest() for i in range(size // 32 + 1))
    return out[:size]
