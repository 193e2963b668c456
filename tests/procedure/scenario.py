"""What a recorder is made to do in the procedure tests, and what must be left of it.

Two cameras, three segments each: a slow one, whose rests need tails, and one that fills chunks. Both are the same
bytes every time, so that what is found can be compared with what was handed in.
"""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyrage

from agent.storage.catalogue import COMMITTED, SALVAGED, Segment
from agent.storage.envelope import Chunk, Damage, Opened, X25519Identity
from tests.unit.storage.box import SECRET, T0, Box, pattern, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.storage.desk import Desk

SEGMENT_MS = 4000
SEGMENTS = 3
FRAGMENT_BYTES = {"cam1": 30_000, "cam2": 150_000}
INIT = {name: b"init of " + name.encode() for name in FRAGMENT_BYTES}
IDENTITY = X25519Identity.parse(str(SECRET))


def start_ms(segment: int) -> int:
    return T0 + segment * SEGMENT_MS


@functools.cache
def fragment(camera: str, segment: int, number: int) -> bytes:
    return pattern(FRAGMENT_BYTES[camera], hash_of(camera) * 1000 + segment * 10 + number)


def hash_of(camera: str) -> int:
    return int(camera[-1])


def plaintext(camera: str, segment: int) -> bytes:
    """Return what is handed in for one segment, whole."""
    return INIT[camera] + b"".join(fragment(camera, segment, number) for number in range(SEGMENT_MS // 1000))


@dataclass(frozen=True)
class Promise:
    """What the recorder has made durable so far: committed segments, and bytes of the open ones."""

    committed: frozenset[tuple[str, int]]
    durable: dict[tuple[str, int], int]


def run(desk: Desk, on_flush: Callable[[Promise], None] = lambda _: None) -> None:
    """Record everything; `on_flush` is told what is promised after each flush and each commit."""
    committed: set[tuple[str, int]] = set()
    for segment in range(SEGMENTS):
        durable = {}
        for camera, init in INIT.items():
            desk.begin(start(camera, start_ms(segment)))
            desk.write(camera, init, start_ms(segment), 0)
            if segment:
                committed.add((camera, segment - 1))
        on_flush(Promise(frozenset(committed), {}))
        for number in range(SEGMENT_MS // 1000):
            for camera, init in INIT.items():
                data = fragment(camera, segment, number)
                desk.write(camera, data, start_ms(segment) + 1000 * (number + 1), 25)
                done = len(init) + (number + 1) * len(data)
                rest = (done - 1) % 65_536 + 1
                # A fragment is 1 s; a rest of more than 0.4 of one is promised by a tail, else whole chunks are.
                durable[camera, segment] = done if rest > len(data) * 0.41 else done - rest
            desk.flush()
            on_flush(Promise(frozenset(committed), dict(durable)))
    for camera in INIT:
        desk.end(camera, start_ms(SEGMENTS))
        committed.add((camera, SEGMENTS - 1))
    on_flush(Promise(frozenset(committed), {}))
    desk.stop()


def run_and_die(box: Box, when: Callable[[str], bool]) -> None:
    """Run in a child that kills itself after the first step of which `when` says so; return when it is dead."""
    pid = os.fork()
    if pid == 0:

        def step(name: str) -> None:
            if when(name):
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            run(box.desk(step=step))
        finally:
            os._exit(3)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"the child came to its end: {status}"


def recovered(box: Box, camera: str, segment: int) -> bytes:
    """Return the bytes that can be had of a segment, whatever became of it."""
    rows = [row for row in box.rows() if row.camera == camera and row.start_ms == start_ms(segment)]
    if not rows:
        return b""
    (row,) = rows
    return plain_of(box, row)


def plain_of(box: Box, row: Segment) -> bytes:
    """Return what a row's file holds: committed, or salvaged and joined with its tail."""
    if row.state == COMMITTED:
        assert not row.has_tail
        return box.open(row)
    assert row.state == SALVAGED
    with box.file(row).open("rb") as file:
        pieces = list(Opened(file, [IDENTITY]).chunks())
    # Cut at a whole chunk: everything opens, and only the end is missing.
    assert [type(piece) for piece in pieces[:-1]] == [Chunk] * (len(pieces) - 1)
    assert isinstance(pieces[-1], Damage)
    assert pieces[-1].kind == "unfinished"
    plain = b"".join(piece.data for piece in pieces[:-1])
    assert len(plain) == row.plain_bytes
    if row.has_tail:
        tail = pyrage.decrypt((box.vault_path / (row.path + ".tail")).read_bytes(), [SECRET])
        assert tail[:8] == b"PASUTAIL"
        offset = int.from_bytes(tail[8:16], "big")
        if offset <= len(plain):
            plain += tail[16 + len(plain) - offset :]
    return plain


def check(box: Box, promise: Promise, runs: tuple[str, ...] = ("run-1",)) -> None:
    """Assert that nothing promised is lost, nothing is made up, and no file is left over.

    runs  what a row may say of its run: "unknown" too where the progress file itself can be lost
    """
    box.check()
    for camera in INIT:
        for segment in range(SEGMENTS):
            found, whole = recovered(box, camera, segment), plaintext(camera, segment)
            assert whole.startswith(found)
            if (camera, segment) in promise.committed:
                assert found == whole
            assert len(found) >= promise.durable.get((camera, segment), 0)
    for row in box.rows():
        segment = (row.start_ms - T0) // SEGMENT_MS
        found = recovered(box, row.camera, segment)
        fragments = (len(found) - len(INIT[row.camera])) // FRAGMENT_BYTES[row.camera]
        # What a row claims is there: no picture more, and the span fits the pictures.
        assert row.frames <= 25 * max(fragments, 0)
        assert row.end_ms == row.start_ms + max(40 * row.frames, 1)
        assert row.run in runs
        if row.state == COMMITTED and ((row.camera, segment) in promise.committed or len(runs) == 1):
            assert row.frames == 25 * SEGMENT_MS // 1000
    kinds = box.kinds()
    assert kinds.count("segment.committed") + kinds.count("segment.salvaged") == len(box.rows())
