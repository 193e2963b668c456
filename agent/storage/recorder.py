"""The recorder that stores on a disk: a queue, and one thread that seals, writes, syncs and commits.

The caller only puts things in the queue; what it gets wrong (order, values that cannot be stored) is said to
it at once. A bug in the thread ends the process with a traceback: the parent starts it again, and salvage
puts the files in order.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.language import say
from agent.storage import ledger
from agent.storage.catalogue import Catalogue, gap_line
from agent.storage.desk import RETRY_S, Desk
from agent.storage.layout import CAMERA_NAME
from agent.storage.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.clock import Clock
    from agent.model import Fact, Gap, Instant
    from agent.ports import SegmentStart
    from agent.storage.envelope import Recipient
    from agent.storage.vault import Vault

EXIT_BUG = 70
"""EX_SOFTWARE of sysexits.h."""
STALLED_S = 3.0
"""One piece of work that takes so long, and the disk does not answer; a good one takes milliseconds."""
_STOP_PAUSE_S = 0.05


class DiskRecorder:
    """Implements `ports.Recorder` on a vault and a catalogue that `prepare` has put in place."""

    def __init__(
        self,
        vaults: Sequence[Vault],
        state: Path,
        recipients: Sequence[Recipient],
        clock: Clock,
        *,
        worker: str = "record",
        homes: Mapping[str, int] | None = None,
        memory: Memory | None = None,
        retry_s: float = RETRY_S,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read how far each camera is covered, and start the thread.

        vaults      in the configuration's order; one that is away is used when it comes
        recipients  public keys that each segment is sealed to
        clock       time of facts and of retries
        worker      name of this process's progress file; no two live processes share one
        homes       number of each camera's own vault
        memory      how much may wait for a disk that is slow or refuses, and whose pictures give way first
        retry_s     pause before a refusing disk is tried again; it grows when the disk stays away for long
        step        is told the number of each step of writer.py that is done
        Raises      StorageFault when the catalogue cannot be read
        """
        catalogue = Catalogue.open(state)
        try:
            now_ms = clock.now().utc_ms
            self._covered = {
                camera: catalogue.covered_until(camera, now_ms) for camera in catalogue.cameras()
            }
        finally:
            catalogue.close()
        self._clock = clock
        self._memory = memory or Memory()
        self._desk = Desk(
            vaults,
            state,
            recipients,
            clock,
            worker,
            homes=homes,
            memory=self._memory,
            retry_s=retry_s,
            step=step,
        )
        self._queue: queue.SimpleQueue[tuple[Callable[..., None], tuple[Any, ...], int] | None] = (
            queue.SimpleQueue()
        )
        self._working_since: float | None = None
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._closed = False
        self._complete = False
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def begin(self, segment: SegmentStart) -> None:
        """Open a segment. Raises ValueError for a camera id that cannot be a directory's name."""
        if not CAMERA_NAME.match(segment.camera):
            raise ValueError(f"not a camera id: {segment.camera!r}")
        segment.run.encode()
        self._put(self._desk.begin, segment)
        self._open.add(segment.camera)

    def write(self, camera: str, data: bytes, end_ms: int, frames: int) -> None:
        """Append to the camera's segment. Raises ValueError if it has none."""
        self._must_be_open(camera)
        self._put(self._desk.write, camera, data, end_ms, frames, size=len(data))

    def end(self, camera: str, end_ms: int) -> None:
        """Commit the camera's segment. Raises ValueError if it has none."""
        self._must_be_open(camera)
        self._put(self._desk.end, camera, end_ms)
        self._open.discard(camera)

    def flush(self) -> None:
        """Make durable what was written so far."""
        self._memory.measure(self._clock.monotonic())
        self._put(self._desk.flush)

    def gap(self, gap: Gap, at: Instant) -> None:
        """Record a missed span. Raises ValueError for text that cannot be stored."""
        gap_line(gap, at)
        self._put(self._desk.gap, gap, at)

    def fact(self, fact: Fact) -> None:
        """Append to the ledger. Raises TypeError or ValueError for a body that cannot be stored."""
        self._put(self._desk.line, ledger.line(fact))

    def backlog_bytes(self) -> int:
        """Return the bytes of pictures that wait for the disk: in the queue and at the desk."""
        return self._memory.queued + self._memory.held

    def room(self, camera: str) -> bool:
        """Tell whether memory has room for a camera's next pictures."""
        return self._memory.room(camera)

    def covered_until(self, camera: str) -> int | None:
        """Return how far the camera was covered when this recorder began."""
        return self._covered.get(camera)

    def totals(self) -> dict[str, dict[str, Any]]:
        """Return what this recorder has stored, per camera."""
        return self._desk.totals()

    def take_in(self, camera: str, home: int) -> None:
        """Know a camera that is new. home: number of its own vault. It must be in the catalogue already."""
        self._put(self._desk.take_in, camera, home)

    def seal_to(self, recipients: Sequence[Recipient]) -> None:
        """Seal every segment that is begun from now on to these.

        Raises  ValueError when there are none: then what was is kept
        """
        if not recipients:
            raise ValueError("nobody could open what is sealed to no one")
        self._put(self._desk.seal_to, tuple(recipients))

    def trouble(self) -> dict[str, StorageFault]:
        """Return what does not work now, for health: any of disk, progress, salvage, catalogue, slow."""
        trouble = self._desk.waiting()
        since = self._working_since
        stalled_s = 0.0 if since is None else self._clock.monotonic() - since
        if stalled_s > STALLED_S:
            trouble["disk"] = StorageFault(
                "DISK_STALLED",
                say("디스크가 응답하지 않습니다", "the disk does not answer"),
                hint=say(
                    "케이블과 디스크를 점검하십시오",
                    "check cable and disk (dmesg, smartctl -a); replace the disk",
                ),
                seconds=int(stalled_s),
            )
        return trouble

    def close(self, timeout_s: float) -> bool:
        """Commit every open segment and stop.

        Returns  False when disk or catalogue did not follow in time; the next start's salvage then does the
                 rest
        """
        if not self._closed:
            self._deadline = time.monotonic() + timeout_s
            self._closed = True
            self._queue.put(None)
        self._thread.join(timeout_s + 2 * _STOP_PAUSE_S)
        return self._complete

    def _must_be_open(self, camera: str) -> None:
        if camera not in self._open:
            raise ValueError(f"camera {camera!r} has no open segment")

    def _put(self, work: Callable[..., None], *arguments: Any, size: int = 0) -> None:
        if self._closed:
            raise ValueError("the recorder is closed")
        if size:
            with self._lock:
                self._memory.queued += size
            self._memory.take(size)
        self._queue.put((work, arguments, size))

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException:  # noqa: BLE001 - whatever it is, it must not end this thread alone
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(EXIT_BUG)

    def _loop(self) -> None:
        desk = self._desk
        wait_s: float | None = None
        while True:
            try:
                item = self._queue.get(timeout=wait_s)
            except queue.Empty:
                wait_s = desk.retry()
                continue
            if item is None:
                break
            work, arguments, size = item
            self._working_since = self._clock.monotonic()
            work(*arguments)
            if size:
                with self._lock:
                    self._memory.queued -= size
            # A reference would keep the fragment alive until the next one comes.
            del item, arguments
            wait_s = desk.retry()
            self._working_since = None
        desk.stop()
        while not desk.drain() and time.monotonic() < self._deadline:
            time.sleep(_STOP_PAUSE_S)
        self._complete = desk.drain()
        desk.close()
