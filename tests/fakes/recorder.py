"""A recorder in memory, for tests of whoever feeds one. It keeps the same order checks as the real one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.model import Fact, Gap, Instant, canonical_json

if TYPE_CHECKING:
    from agent.errors import PasuError
    from agent.ports import SegmentStart


@dataclass
class FakeSegment:
    """A segment as it was handed in; `end_ms` is where its pictures reach so far, or where it was ended."""

    start: SegmentStart
    pieces: list[bytes] = field(default_factory=list)
    end_ms: int = 0
    frames: int = 0
    ended: bool = False

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


class FakeRecorder:
    """Implements `ports.Recorder`.

    calls      every call in order: (name, *arguments)
    committed  ended segments with pictures, in the order of their end
    open       open segments, by camera
    gaps, facts, flushes, closed  what their names say
    backlog    what `backlog_bytes` answers; full what `room` denies, faults what `trouble` answers; a test sets them
    covered    what `covered_until` answers, by camera; a test sets it
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.committed: list[FakeSegment] = []
        self.open: dict[str, FakeSegment] = {}
        self.gaps: list[tuple[Gap, Instant]] = []
        self.facts: list[Fact] = []
        self.flushes = 0
        self.closed = False
        self.backlog = 0
        self.full = False
        self.faults: dict[str, PasuError] = {}
        self.covered: dict[str, int | None] = {}

    def begin(self, segment: SegmentStart) -> None:
        self._call("begin", segment)
        known = self.open.get(segment.camera)
        if known is not None:
            self._commit(known, max(known.end_ms, segment.start.utc_ms))
        self.open[segment.camera] = FakeSegment(segment, end_ms=segment.start.utc_ms)

    def write(self, camera: str, data: bytes, end_ms: int, frames: int) -> None:
        segment = self._opened(camera)
        self._call("write", camera, data, end_ms, frames)
        segment.pieces.append(bytes(data))
        segment.end_ms = max(segment.end_ms, end_ms)
        segment.frames += frames

    def end(self, camera: str, end_ms: int) -> None:
        segment = self._opened(camera)
        self._call("end", camera, end_ms)
        self._commit(segment, end_ms)

    def flush(self) -> None:
        self._call("flush")
        self.flushes += 1

    def gap(self, gap: Gap, at: Instant) -> None:
        gap.detail.encode()
        self._call("gap", gap, at)
        self.gaps.append((gap, at))

    def fact(self, fact: Fact) -> None:
        body = json.loads(canonical_json(fact.body).encode())
        fact = Fact(fact.kind, fact.at, body)
        self._call("fact", fact)
        self.facts.append(fact)

    def backlog_bytes(self) -> int:
        return self.backlog

    def room(self, camera: str) -> bool:
        return not self.full

    def trouble(self) -> dict[str, PasuError]:
        return dict(self.faults)

    def covered_until(self, camera: str) -> int | None:
        return self.covered.get(camera)

    def totals(self) -> dict[str, dict[str, Any]]:
        names = {segment.start.camera for segment in self.committed} | {gap.camera for gap, _ in self.gaps}
        found: dict[str, dict[str, Any]] = {}
        for name in sorted(names | set(self.open)):
            own = [segment for segment in self.committed if segment.start.camera == name]
            found[name] = {
                "segments": len(own),
                "sealed_bytes": sum(len(segment.data) for segment in own),
                "gaps": sum(gap.camera == name for gap, _ in self.gaps),
                "last_commit_ms": own[-1].end_ms if own else None,
            }
        return found

    def close(self, timeout_s: float) -> bool:
        if not self.closed:
            self.calls.append(("close", timeout_s))
            for segment in list(self.open.values()):
                self._commit(segment, segment.end_ms)
            self.closed = True
        return True

    def _call(self, *call: Any) -> None:
        if self.closed:
            raise ValueError("the recorder is closed")
        self.calls.append(call)

    def _opened(self, camera: str) -> FakeSegment:
        if camera not in self.open:
            raise ValueError(f"camera {camera!r} has no open segment")
        return self.open[camera]

    def _commit(self, segment: FakeSegment, end_ms: int) -> None:
        segment.end_ms = max(segment.start.start.utc_ms, end_ms)
        segment.ended = True
        del self.open[segment.start.camera]
        if segment.frames:
            self.committed.append(segment)
