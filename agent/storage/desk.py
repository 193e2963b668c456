"""The recorder's desk: everything it does, in one thread, without the queue in front of it.

Each camera is in one of three states: no segment, an open one (`open`), or segments in memory (`waiting`) for a
disk that refuses. A fault moves what is open to `waiting`; `_revive` writes what waits, oldest first, to the
first vault that takes it: at once if it can, and every few seconds otherwise.

Nothing here raises for a disk or a catalogue that fails; what it raises is a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.model import Fact, Gap, GapCause, Instant, Span
from agent.storage import files, ledger, progress, reserve
from agent.storage.cameras import Camera, Leftover, Waiting
from agent.storage.memory import Memory
from agent.storage.outbox import Commit, Item, Missed, Outbox
from agent.storage.shelf import Shelf, Shelves
from agent.storage.vault import is_there
from agent.storage.writer import OpenSegment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.clock import Clock
    from agent.ports import SegmentStart
    from agent.storage.catalogue import Segment
    from agent.storage.envelope import Recipient
    from agent.storage.progress import Open
    from agent.storage.vault import Vault

RETRY_S = 2.0
"""What a disk that comes back may cost in time: memory bridges it, and a start after it must not add to it."""
_QUICK_S = 300.0  # so long it is tried every RETRY_S; longer than memory lasts
_RETRY_LIMIT_S = 10.0
_PUT_AWAY_TRIES = 3
_LEFTOVERS = 200
_CARRIED = 200
_FINISHED_TOLD = 500  # half an hour of sixteen cameras
_GAP_PART_MS = 600_000  # a long loss is written down in parts, so that no end of ours forgets its cause
_RESERVE_S = 60.0


class Desk:
    """Seals, writes, syncs and commits."""

    def __init__(
        self,
        vaults: Sequence[Vault],
        state: Path,
        recipients: Sequence[Recipient],
        clock: Clock,
        worker: str,
        *,
        homes: Mapping[str, int] | None = None,
        memory: Memory | None = None,
        retry_s: float = RETRY_S,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what `prepare` has put in place. Opens nothing yet; `clock` gives times of facts and of
        retries. Arguments as in `DiskRecorder`.
        """
        self._disk = vaults[0].disk
        self._state = state
        self._recipients = recipients
        self._clock = clock
        self._progress = state / progress.DIRECTORY / f"{worker}.json"
        self._progress_device = self._progress.parent.stat().st_dev
        self._carried = progress.read(self._progress)
        self._memory = memory or Memory()
        self._retry_s = self._pause_s = retry_s
        self._retry_at = 0.0
        self._waiting_since: float | None = None
        self._reserve_at = 0.0
        self._step = step
        self._cameras: dict[str, Camera] = {}
        self._leftovers: list[Leftover] = []
        self._outbox = Outbox(state, clock, self._stored)
        self._shelves = Shelves(vaults, homes or {}, clock, self.line)
        self._trouble: dict[str, StorageFault] = {}

    # What the queue hands over ----------------------------------------------------------------------------

    def begin(self, start: SegmentStart) -> None:
        """Open a segment; an open one of the same camera ends there, or where its pictures do if that is
        later.
        """
        camera = self._camera(start.camera)
        if camera.open is not None:
            self.end(start.camera, max(camera.open.end_ms, start.start.utc_ms))
        elif camera.growing is not None:
            self.end(start.camera, start.start.utc_ms)
        camera.waiting.append(Waiting(start))
        if len(camera.waiting) == 1:
            self._revive(camera)
            # So that salvage knows the run and the codec of what is killed before its first flush.
            self._write_progress()

    def write(self, name: str, data: bytes, end_ms: int, frames: int) -> None:
        """Append to the camera's segment, or keep it for when the disk is back."""
        camera = self._camera(name)
        if camera.open is not None:
            try:
                camera.open.write(data, end_ms, frames)
            except StorageFault as fault:
                self._fail(camera.shelf, [camera], fault)
            return
        assert camera.growing is not None, "the recorder lets nobody write without a segment"
        lost = camera.growing.add(data, end_ms, frames)
        if lost is not None:
            self._lose(camera, lost)
        self._bound_held()

    def end(self, name: str, end_ms: int) -> None:
        """Commit the camera's segment (C4 to C8)."""
        camera = self._camera(name)
        segment, waiting = camera.open, camera.growing
        if segment is not None:
            self._finish(camera, segment, end_ms)
        elif waiting is not None:
            lost = waiting.end(end_ms)
            if lost is not None:
                self._lose(camera, lost)
            if not waiting.fragments:
                camera.waiting.pop()

    def flush(self) -> None:
        """Do C3 for all open segments, vault by vault."""
        for shelf in self._shelves:
            self._mark(shelf)
        self._write_progress()
        self._step("C3b")
        for shelf in self._shelves:
            opened = self._opened(shelf)
            left = shelf.fault is None and any(leftover.shelf is shelf for leftover in self._leftovers)
            if opened or left:
                self._sync(shelf, opened)
        self._shelves.tell_moves()

    def take_in(self, camera: str, home: int) -> None:
        """Know a camera's own vault."""
        self._shelves.take_in(camera, home)

    def seal_to(self, recipients: Sequence[Recipient]) -> None:
        """Seal what is begun from now on to these; what is open goes on as it began."""
        self._recipients = recipients

    def gap(self, gap: Gap, at: Instant) -> None:
        """Record a missed span."""
        self._outbox.put(Missed(gap, at))

    def line(self, line: ledger.Line) -> None:
        """Append a fact."""
        self._outbox.put(line)

    def retry(self) -> float | None:
        """Try again what is due; return in how many seconds to call again, None when nothing waits."""
        now = self._clock.monotonic()
        if self._any_waits() and now >= self._retry_at:
            for camera in self._cameras.values():
                self._revive(camera)
            self._shelves.tell_moves()
        for shelf in self._idle():
            if now >= shelf.probe_at:
                self._shelves.probe(shelf)
        if now >= self._reserve_at:
            self._reserve_at = now + _RESERVE_S
            reserve.keep(self._state, self._disk)
        self._outbox.drain()
        waits = [self._retry_at] if self._any_waits() else [shelf.probe_at for shelf in self._idle()]
        waits += [self._outbox.due] if self._outbox else []
        return max(0.05, min(waits) - self._clock.monotonic()) if waits else None

    def stop(self) -> None:
        """Commit every open segment, put away what failed, and say how far everything came."""
        for camera in list(self._cameras.values()):
            if camera.open is not None:
                self.end(camera.name, camera.open.end_ms)
            elif camera.growing is not None:
                self.end(camera.name, camera.growing.reach_ms())
            self._revive(camera)
            while camera.waiting:  # the disk refuses still
                self._drop_gop(camera)
            self._settle_loss(camera)
        for shelf in self._shelves:
            self._put_away(shelf)
        self._shelves.tell_moves()
        self._write_progress()

    def drain(self) -> bool:
        """Do the transactions that wait, at once; return whether none is left."""
        return self._outbox.drain(now=True)

    def waiting(self) -> dict[str, StorageFault]:
        """Return what does not work now, or slowly: disk, progress, salvage, catalogue, slow."""
        found = {
            "disk": self._shelves.fault,
            "catalogue": self._outbox.fault,
            "slow": self._shelves.slow,
            **self._trouble,
        }
        return {name: fault for name, fault in found.items() if fault is not None}

    def close(self) -> None:
        """Let go of catalogue and disk."""
        self._outbox.close()
        self._write_progress()
        for shelf in self._shelves:
            shelf.release()

    def totals(self) -> dict[str, dict[str, Any]]:
        """Return what was stored, per camera."""
        return {
            name: {
                "segments": camera.segments,
                "sealed_bytes": camera.sealed_bytes,
                "gaps": camera.gaps,
                "last_commit_ms": camera.last_commit_ms,
            }
            for name, camera in list(self._cameras.items())
        }

    # Segments ---------------------------------------------------------------------------------------------

    def _camera(self, name: str) -> Camera:
        camera = self._cameras.get(name)
        if camera is None:
            camera = self._cameras[name] = Camera(name, self._shelves.home(name))
        return camera

    def _opened(self, shelf: Shelf) -> list[Camera]:
        return [camera for camera in self._cameras.values() if camera.open and camera.shelf is shelf]

    def _any_waits(self) -> bool:
        return any(camera.waiting for camera in self._cameras.values())

    def _idle(self) -> list[Shelf]:
        """Return the vaults that failed and that nobody tries just now."""
        if self._any_waits():  # then all are tried
            return []
        return [shelf for shelf in self._shelves if self._shelves.is_left(shelf) and not self._opened(shelf)]

    def _mark(self, shelf: Shelf) -> None:
        """Do C3a for one vault, if it is still the one that was opened."""
        opened = self._opened(shelf)
        if not opened:
            return
        try:
            shelf.check()
        except StorageFault as fault:
            self._fail(shelf, opened, fault)
            return
        for camera in opened:
            segment = camera.open
            try:
                if segment is not None:
                    segment.mark()
            except StorageFault as fault:
                self._fail(shelf, [camera], fault)

    def _sync(self, shelf: Shelf, opened: list[Camera]) -> None:
        """Do C3c for one vault, and what a good one allows."""
        try:
            shelf.check()
            begun = self._clock.monotonic()
            shelf.sync()
        except StorageFault as fault:
            self._fail(shelf, opened, fault)
            return
        now = self._clock.monotonic()
        shelf.latency.took(now - begun, now)
        self._step("C3c")
        for camera in opened:
            if camera.open is not None:
                camera.open.synced()
        self._put_away(shelf)
        self._shelves.worked(shelf, recovered=not self._any_waits())

    def _finish(self, camera: Camera, segment: OpenSegment, end_ms: int) -> None:
        """Do C4 to C8; after a fault its rest waits as a segment that has ended."""
        if segment.frames == 0:
            camera.open = None
            self._remove(camera, segment)
            return
        try:
            row = self._complete(segment, end_ms)
        except StorageFault as fault:
            self._fail(camera.shelf, [camera], fault, end_ms)
            return
        camera.open = None
        self._commit(camera, row, segment)

    def _complete(self, segment: OpenSegment, end_ms: int) -> Segment:
        segment.finish(end_ms)
        self._write_progress(segment)
        self._step("C4")
        return segment.publish()

    def _commit(self, camera: Camera, row: Segment, segment: OpenSegment) -> None:
        camera.reserve_bytes = row.sealed_bytes + row.sealed_bytes // 16
        self._outbox.put(Commit(row, self._clock.now(), segment))

    def _stored(self, item: Item) -> None:
        """Count what is in the catalogue now, and do C9 for a segment."""
        if isinstance(item, Commit):
            self._step("C8")
            camera = self._camera(item.row.camera)
            camera.segments += 1
            camera.sealed_bytes += item.row.sealed_bytes
            camera.last_commit_ms = item.at.utc_ms
            try:
                item.segment.remove_tail()
            except StorageFault as fault:  # a tail too many harms nobody; salvage removes it
                self._shelves.faulted(camera.shelf, fault, [camera.name])
        elif isinstance(item, Missed):
            self._camera(item.gap.camera).gaps += 1

    # Faults -----------------------------------------------------------------------------------------------

    def _fail(
        self, shelf: Shelf, cameras: list[Camera], fault: StorageFault, end_ms: int | None = None
    ) -> None:
        """Close what a fault covers, and begin anew from memory. Nothing is written or synced there again.

        end_ms  where the segment ends that is to be begun anew, None while it goes on
        """
        self._shelves.faulted(shelf, fault, [camera.name for camera in cameras])
        for camera in cameras:
            segment, camera.open = camera.open, None
            if segment is None:
                continue
            restart = segment.restart()
            waiting = Waiting(restart.start, restart.init, restart.fragments)
            if end_ms is not None:
                waiting.end(end_ms)
            if end_ms is None or waiting.fragments:
                camera.waiting.appendleft(waiting)
            if segment.is_empty:
                self._remove(camera, segment)
            else:
                self._leftovers.append(Leftover(segment, camera, shelf))
        if not self._opened(shelf):
            shelf.forget()
        self._bound_held()
        for camera in cameras:
            self._revive(camera)

    def _remove(self, camera: Camera, segment: OpenSegment) -> None:
        """Remove a file that holds nothing which memory does not."""
        segment.restart()
        shelf = next(shelf for shelf in self._shelves if shelf.vault is segment.vault)
        try:
            shelf.check()
            segment.abandon(lost=False)
        except StorageFault as fault:
            self._trouble["salvage"] = fault
            self._leftovers.append(Leftover(segment, camera, shelf))

    def _revive(self, camera: Camera) -> None:
        """Write what a camera has waiting, as far as a vault takes it."""
        if not camera.waiting:
            return
        while camera.waiting:
            if not any(self._restore(camera, shelf) for shelf in self._shelves.order(camera.name)):
                self._retry_later()
                return
        self._memory.held = sum(each.held_bytes() for each in self._cameras.values())
        self._settle_loss(camera)
        if not self._any_waits():
            self._waiting_since = None

    def _restore(self, camera: Camera, shelf: Shelf) -> bool:
        """Write the oldest segment that waits to a vault, whole if it has ended; tell whether that took it."""
        waiting = camera.waiting[0]
        segment = row = None
        try:
            shelf.check()
            segment = OpenSegment(
                shelf.vault,
                waiting.start,
                self._recipients,
                expected_bytes=max(camera.reserve_bytes, waiting.bytes),
                step=self._step,
            )
            for data in waiting.init:
                segment.write(data, waiting.start.start.utc_ms, 0)
            for fragment in waiting.fragments:
                segment.write(fragment.data, fragment.end_ms, fragment.frames)
            if waiting.end_ms is not None:
                row = self._complete(segment, waiting.end_ms)
        except StorageFault as fault:
            self._shelves.faulted(shelf, fault, [camera.name])
            if segment is not None:
                self._remove(camera, segment)
            if not self._opened(shelf):
                shelf.forget()
            for leftover in self._leftovers:
                if leftover.shelf is shelf:
                    leftover.segment.let_go()
            return False
        camera.waiting.popleft()
        if camera.shelf is not shelf:
            self._shelves.moved(camera.name, camera.shelf, shelf)
            camera.shelf = shelf
        if row is None:
            camera.open = segment
        else:
            self._commit(camera, row, segment)
        return True

    def _retry_later(self) -> None:
        now = self._clock.monotonic()
        if self._waiting_since is None:
            self._waiting_since, self._pause_s = now, self._retry_s
        elif now >= self._retry_at and now - self._waiting_since >= _QUICK_S:
            self._pause_s = min(2 * self._pause_s, _RETRY_LIMIT_S)
        self._retry_at = max(self._retry_at, now + self._pause_s)

    def _bound_held(self) -> None:
        """Let go of what waits when it is too much: whole GOPs, oldest first, of the camera that comes last."""
        held = sum(camera.held_bytes() for camera in self._cameras.values())
        while held > self._memory.held_limit:
            full = [
                camera for camera in self._cameras.values() if camera.waiting and camera.waiting[0].fragments
            ]
            if not full:
                break
            last = max(full, key=lambda camera: self._memory.rank(camera.name))
            held -= last.held_bytes()
            self._drop_gop(last)
            held += last.held_bytes()
        self._memory.held = held

    def _drop_gop(self, camera: Camera) -> None:
        """Give up the oldest GOP that waits, or the place of a segment that has none."""
        waiting = camera.waiting[0]
        if waiting.fragments:
            durable_ms = self._lose_files(camera)
            lost = waiting.drop_gop()
            self._lose(camera, Span(min(max(lost.start_ms, durable_ms), lost.end_ms), lost.end_ms))
        if not waiting.fragments and waiting.end_ms is not None:
            camera.waiting.popleft()

    def _lose_files(self, camera: Camera) -> int:
        """Keep the tails of failed files whose rest is given up now; return the UTC that they reach."""
        from_ms = camera.waiting[0].start.start.utc_ms
        reach_ms = 0
        for leftover in self._leftovers:
            # One that was tried and is not lost was superseded before: its tail may be gone, and nothing with
            # it.
            if leftover.camera is not camera or leftover.lost or leftover.tries:
                continue
            own_ms = leftover.segment.durable_end_ms(with_tail=True)
            if own_ms >= from_ms:
                leftover.lost = True
                reach_ms = max(reach_ms, own_ms)
        return reach_ms

    def _lose(self, camera: Camera, span: Span) -> None:
        camera.lose(span)
        if sum(lost.length_ms for lost in camera.lost) >= _GAP_PART_MS:
            self._settle_loss(camera)

    def _settle_loss(self, camera: Camera) -> None:
        """Write the gaps of what was lost, now that something works again or never will."""
        lost, camera.lost = camera.lost, []
        fault = self._shelves.fault
        for span in lost:
            gap = Gap(camera.name, span, GapCause.STORAGE_FAILED, fault.code if fault else "")
            self.gap(gap, self._clock.now())

    def _put_away(self, shelf: Shelf) -> None:
        """Cut and commit the files of failed segments whose rest is durable elsewhere, or lost."""
        due = [
            each for each in self._leftovers if each.shelf is shelf and (each.lost or each.is_superseded())
        ]
        for leftover in due:
            self._leftovers.remove(leftover)
            segment = leftover.segment
            try:
                shelf.check()  # where the vault is not, its files look as if they were gone
                row = segment.abandon(lost=leftover.lost)
            except StorageFault as fault:
                self._trouble["salvage"] = fault
                leftover.tries += 1
                if leftover.tries < _PUT_AWAY_TRIES and len(self._leftovers) < _LEFTOVERS:
                    self._leftovers.append(leftover)
                else:  # the next start's salvage is told how far it came
                    self._carried = [*self._carried[-_CARRIED:], segment.progress()]
                continue
            if row is not None:
                self._outbox.put(Commit(row, self._clock.now(), segment))
            elif segment.quarantined:
                body = {"path": segment.quarantined, "reason": "not one whole fragment"}
                self.line(ledger.line(Fact("segment.quarantined", self._clock.now(), body)))
        if not self._leftovers:
            self._trouble.pop("salvage", None)

    # Progress ---------------------------------------------------------------------------------------------

    def _may_be_open(self, entry: Open) -> bool:
        """Tell whether a file may still wait for salvage: where its vault is not, it looks as if it were gone."""
        vault = next((shelf.vault for shelf in self._shelves if shelf.vault.uuid == entry.vault), None)
        if vault is None or not is_there(vault.root, vault.uuid):
            return True
        return files.exists(vault.at(f"{entry.path}.part"))

    def _write_progress(self, *more: OpenSegment) -> None:
        """Do C3b. That it fails stops nothing: salvage does without it, and knows less."""
        opened = [camera for camera in self._cameras.values() if camera.open]
        segments = [segment.progress() for segment in more]
        segments += [camera.open.progress() for camera in opened if camera.open and camera.open not in more]
        # A catalogue that is locked for so long is told of the older ones by their files alone.
        segments += [commit.segment.progress() for commit in list(self._outbox.commits())[-_FINISHED_TOLD:]]
        segments += [leftover.segment.progress() for leftover in self._leftovers]
        self._carried = [entry for entry in self._carried if self._may_be_open(entry)]
        own = {(segment.vault, segment.path) for segment in segments}
        segments += [entry for entry in self._carried if (entry.vault, entry.path) not in own]
        # A syncfs covers it too, if one comes that is for its file system.
        sync = all(camera.shelf.device != self._progress_device for camera in opened)
        try:
            progress.write(self._disk, self._progress, segments, sync=sync)
            self._trouble.pop("progress", None)
        except StorageFault as fault:
            self._trouble["progress"] = fault
