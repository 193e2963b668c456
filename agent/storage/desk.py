"""The recorder's desk: everything it does, in one thread, without the queue in front of it.

Each camera is in one of three states: no segment, an open one (`open`), or waiting for a disk that refuses
(`down`). A fault moves open -> down; `_revive` moves down -> open, at once if it can, and every few seconds
otherwise.

Nothing here raises for a disk or a catalogue that fails; what it raises is a bug.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.model import Fact, Gap, GapCause, Instant, Span
from agent.storage import ledger, progress
from agent.storage.cameras import Camera, Down, Leftover
from agent.storage.files import same_file_system
from agent.storage.outbox import Commit, Item, Missed, Outbox
from agent.storage.writer import Fragment, OpenSegment, Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.clock import Clock
    from agent.ports import SegmentStart
    from agent.storage.catalogue import Segment
    from agent.storage.envelope import Recipient
    from agent.storage.vault import Vault

HOLD_BYTES = 48 << 20
"""Pictures kept for a disk that refuses, all cameras together: 6 s of sixteen cameras at 4 Mbit/s. It must
exceed what a failed sync gives back, which is one loss window and one fragment of each camera."""
RETRY_S = 3.0
_RETRY_LIMIT_S = 60.0
_PUT_AWAY_TRIES = 3
_CARRIED = 200
_FINISHED_TOLD = 500  # half an hour of sixteen cameras


class Desk:
    """Seals, writes, syncs and commits."""

    def __init__(
        self,
        vault: Vault,
        state: Path,
        recipients: Sequence[Recipient],
        clock: Clock,
        worker: str,
        *,
        hold_bytes: int = HOLD_BYTES,
        retry_s: float = RETRY_S,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what `prepare` has put in place. Opens nothing yet; `clock` gives times of facts and of
        retries.
        """
        self._vault = vault
        self._disk = vault.disk
        self._state = state
        self._recipients = recipients
        self._clock = clock
        self._progress = state / progress.DIRECTORY / f"{worker}.json"
        # One syncfs covers both, if they are on one file system.
        self._sync_progress = not same_file_system(vault.root, self._progress.parent)
        self._carried = progress.read(self._progress)
        self._hold_bytes = hold_bytes
        self._first_retry_s = self._retry_s = retry_s
        self._retry_at = 0.0
        self._step = step
        self._cameras: dict[str, Camera] = {}
        self._leftovers: list[Leftover] = []
        self._root_fd = -1
        self._outbox = Outbox(state, clock, self._stored)
        self._failing = False
        self.trouble: dict[str, StorageFault] = {}

    # What the queue hands over ----------------------------------------------------------------------------

    def begin(self, start: SegmentStart) -> None:
        """Open a segment; an open one of the same camera ends there, or where its pictures do if that is
        later.
        """
        camera = self._camera(start.camera)
        if camera.open is not None:
            self.end(start.camera, max(camera.open.end_ms, start.start.utc_ms))
        elif camera.down is not None:
            self.end(start.camera, start.start.utc_ms)
        try:
            camera.open = self._open(camera, start)
        except StorageFault as fault:
            camera.down = Down(start)
            self._note(fault, [camera])
            return
        # So that salvage knows the run and the codec of what is killed before its first flush.
        self._write_progress()
        self._settle_loss(camera)

    def write(self, name: str, data: bytes, end_ms: int, frames: int) -> None:
        """Append to the camera's segment, or keep it for when the disk is back."""
        camera = self._camera(name)
        if camera.open is not None:
            try:
                camera.open.write(data, end_ms, frames)
            except StorageFault as fault:
                self._fail([camera], fault)
            return
        assert camera.down is not None, "the recorder lets nobody write without a segment"
        if frames == 0 and not camera.down.fragments:
            camera.down.init.append(data)
        else:
            camera.down.fragments.append(Fragment(data, 0, end_ms, frames))
            self._bound_held()

    def end(self, name: str, end_ms: int) -> None:
        """Commit the camera's segment (C4 to C8)."""
        camera = self._camera(name)
        if camera.open is None and camera.down is not None:
            self._revive(camera)
        if camera.open is not None:
            self._finish(camera, end_ms)
        if camera.down is not None:  # the disk refuses still
            self._lose(camera, max(end_ms, camera.down.start.start.utc_ms))
            camera.down = None

    def flush(self) -> None:
        """Do C3 for all open segments."""
        for camera in self._opened():
            assert camera.open is not None
            try:
                camera.open.mark()
            except StorageFault as fault:
                self._fail([camera], fault)
        if not self._opened() and not self._leftovers and not self._failing:
            return
        self._write_progress()
        self._step("C3b")
        try:
            if self._root_fd < 0:
                self._root_fd = self._disk.open_directory(self._vault.root)
            self._disk.syncfs(self._root_fd, self._vault.root)
        except StorageFault as fault:
            self._fail(self._opened(), fault)
            return
        self._step("C3c")
        for camera in self._opened():
            assert camera.open is not None
            camera.open.synced()
        self._put_away()
        if self._failing and not any(camera.down for camera in self._cameras.values()):
            self._failing = False
            self._retry_s = self._first_retry_s
            code = self.trouble.pop("disk").code
            self.line(ledger.line(Fact("storage.recovered", self._clock.now(), {"code": code})))

    def gap(self, gap: Gap, at: Instant) -> None:
        """Record a missed span."""
        self._outbox.put(Missed(gap, at))

    def line(self, line: ledger.Line) -> None:
        """Append a fact."""
        self._outbox.put(line)

    def retry(self) -> float | None:
        """Try again what is due; return in how many seconds to call again, None when nothing waits."""
        now = self._clock.monotonic()
        if now >= self._retry_at:
            for camera in self._cameras.values():
                self._revive(camera)
            if any(camera.down for camera in self._cameras.values()):
                self._retry_at = now + self._retry_s
                self._retry_s = min(2 * self._retry_s, _RETRY_LIMIT_S)
        self._outbox.drain()
        waits = [self._retry_at] if any(camera.down for camera in self._cameras.values()) else []
        waits += [self._outbox.due] if self._outbox else []
        return max(0.05, min(waits) - now) if waits else None

    def stop(self) -> None:
        """Commit every open segment, put away what failed, and say how far everything came."""
        for camera in list(self._cameras.values()):
            if camera.open is not None:
                self.end(camera.name, camera.open.end_ms)
            elif camera.down is not None:
                ends = [fragment.end_ms for fragment in camera.down.fragments]
                self.end(camera.name, max(ends, default=camera.down.start.start.utc_ms))
            self._settle_loss(camera)
        self._put_away()
        self._write_progress()

    def drain(self) -> bool:
        """Do the transactions that wait, at once; return whether none is left."""
        return self._outbox.drain(now=True)

    def waiting(self) -> dict[str, StorageFault]:
        """Return what does not work now: disk, progress, salvage, catalogue."""
        catalogue = self._outbox.fault
        return dict(self.trouble) | ({"catalogue": catalogue} if catalogue else {})

    def close(self) -> None:
        """Let go of catalogue and disk."""
        self._outbox.close()
        self._write_progress()
        self._release_root()

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
            camera = self._cameras[name] = Camera(name)
        return camera

    def _opened(self) -> list[Camera]:
        return [camera for camera in self._cameras.values() if camera.open is not None]

    def _open(self, camera: Camera, start: SegmentStart) -> OpenSegment:
        return OpenSegment(
            self._vault, start, self._recipients, expected_bytes=camera.reserve_bytes, step=self._step
        )

    def _finish(self, camera: Camera, end_ms: int) -> None:
        """Do C4 to C8. After a fault it is tried once more, as a new file; what that cannot take is held in
        `down`.
        """
        for _ in range(2):
            segment = camera.open
            if segment is None:
                return
            if segment.frames == 0:
                camera.open = None
                self._remove(segment)
                return
            try:
                segment.finish(end_ms)
                self._write_progress()
                self._step("C4")
                row = segment.publish()
            except StorageFault as fault:
                self._fail([camera], fault)
                continue
            camera.open = None
            camera.reserve_bytes = row.sealed_bytes + row.sealed_bytes // 16
            self._commit(row, segment)
            return
        # Twice in a row: the new file is open, or the camera is down. Neither may outlive the segment's end.
        if camera.open is not None:
            self._give_up(camera, camera.open)

    def _commit(self, row: Segment, segment: OpenSegment) -> None:
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
                self._note(fault, [camera])
        elif isinstance(item, Missed):
            self._camera(item.gap.camera).gaps += 1

    # Faults -----------------------------------------------------------------------------------------------

    def _fail(self, cameras: list[Camera], fault: StorageFault) -> None:
        """Close what a fault covers, and begin anew from memory. Nothing is written or synced there again."""
        self._note(fault, cameras)
        self._release_root()
        for camera in cameras:
            segment = camera.open
            assert segment is not None
            self._give_up(camera, segment)
        self._bound_held()
        for camera in cameras:
            self._revive(camera)
        self._retry_at = self._clock.monotonic() + self._retry_s

    def _give_up(self, camera: Camera, segment: OpenSegment) -> None:
        restart: Restart = segment.restart()
        camera.open = None
        camera.down = Down(restart.start, list(restart.init), list(restart.fragments))
        if segment.is_empty:
            self._remove(segment)
        else:
            self._leftovers.append(Leftover(segment, camera))

    def _remove(self, segment: OpenSegment) -> None:
        """Remove a file that holds nothing which memory does not."""
        try:
            segment.abandon(lost=False)
        except StorageFault as fault:
            self.trouble["salvage"] = fault
            self._tell_next_start(segment)

    def _revive(self, camera: Camera) -> None:
        """Begin a new segment with what was kept for it, if the disk takes it."""
        down = camera.down
        if down is None:
            return
        segment = None
        try:
            self._vault.verify()
            segment = self._open(camera, down.start)
            for data in down.init:
                segment.write(data, down.start.start.utc_ms, 0)
            for fragment in down.fragments:
                segment.write(fragment.data, fragment.end_ms, fragment.frames)
        except StorageFault as fault:
            if segment is not None:
                self._remove(segment)
            self._note(fault, [camera])
            return
        camera.down, camera.open = None, segment
        self._settle_loss(camera)

    def _bound_held(self) -> None:
        """Let go of what is held for the disk when it is too much: whole, the largest first."""
        downs = [camera for camera in self._cameras.values() if camera.down]
        while sum(camera.down.held_bytes() for camera in downs if camera.down) > self._hold_bytes:
            largest = max(downs, key=lambda camera: camera.down.held_bytes() if camera.down else 0)
            assert largest.down is not None
            self._lose(largest, largest.down.fragments[-1].end_ms)

    def _lose(self, camera: Camera, end_ms: int) -> None:
        """Give up the pictures that a camera's `down` holds; they reach to end_ms."""
        down = camera.down
        assert down is not None
        start_ms = down.start.start.utc_ms
        for leftover in self._leftovers:
            # One that was tried and is not lost was superseded before: its tail may be gone, and nothing with
            # it.
            if leftover.camera is camera and not leftover.lost and not leftover.tries:
                leftover.lost = True
                # A tail that nothing supersedes is kept, and what it holds is not lost.
                start_ms = max(start_ms, leftover.segment.durable_end_ms(with_tail=True))
        if camera.lost is not None:
            start_ms = min(start_ms, camera.lost.start_ms)
            end_ms = max(end_ms, camera.lost.end_ms)
        if start_ms < end_ms:
            camera.lost = Span(start_ms, end_ms)
        down.fragments.clear()
        start = Instant(max(end_ms, down.start.start.utc_ms), down.start.start.trust)
        down.start = replace(down.start, start=start, keyframe_start=False)

    def _settle_loss(self, camera: Camera) -> None:
        """Write the gap of what was lost, now that something works again or never will."""
        if camera.lost is not None:
            span, camera.lost = camera.lost, None
            fault = self.trouble.get("disk")
            detail = fault.code if fault else ""
            self.gap(Gap(camera.name, span, GapCause.STORAGE_FAILED, detail), self._clock.now())

    def _put_away(self) -> None:
        """Cut and commit the files of failed segments whose rest is durable elsewhere, or lost."""
        waiting = []
        for leftover in self._leftovers:
            if not leftover.lost and not leftover.is_superseded():
                waiting.append(leftover)
                continue
            try:
                row = leftover.segment.abandon(lost=leftover.lost)
            except StorageFault as fault:
                self.trouble["salvage"] = fault
                leftover.tries += 1
                if leftover.tries < _PUT_AWAY_TRIES:
                    waiting.append(leftover)
                else:
                    self._tell_next_start(leftover.segment)
                continue
            if row is not None:
                self._commit(row, leftover.segment)
            elif leftover.segment.quarantined:
                body = {"path": leftover.segment.quarantined, "reason": "not one whole fragment"}
                self.line(ledger.line(Fact("segment.quarantined", self._clock.now(), body)))
        if self._leftovers and not waiting:
            self.trouble.pop("salvage", None)
        self._leftovers = waiting

    def _tell_next_start(self, segment: OpenSegment) -> None:
        """Leave a file that cannot be put away to the next start's salvage, which is told how far it came."""
        self._carried = [*self._carried[-_CARRIED:], segment.progress()]

    def _note(self, fault: StorageFault, cameras: list[Camera]) -> None:
        """Write a fact when a disk begins to fail; not again until it has recovered."""
        self.trouble["disk"] = fault
        if not self._failing:
            self._failing = True
            body = {
                "code": fault.code,
                "op": str(fault.context.get("op", "")),
                "errno": str(fault.context.get("errno", "")),
                "cameras": sorted(camera.name for camera in cameras),
            }
            self.line(ledger.line(Fact("storage.failed", self._clock.now(), body)))

    # Progress, and what is held open ----------------------------------------------------------------------

    def _write_progress(self) -> None:
        """Do C3b. That it fails stops nothing: salvage does without it, and knows less."""
        segments = [camera.open.progress() for camera in self._opened() if camera.open]
        # A catalogue that is locked for so long is told of the older ones by their files alone.
        segments += [commit.segment.progress() for commit in list(self._outbox.commits())[-_FINISHED_TOLD:]]
        segments += [leftover.segment.progress() for leftover in self._leftovers]
        self._carried = [
            entry for entry in self._carried if (self._vault.root / f"{entry.path}.part").exists()
        ]
        own = {segment.path for segment in segments}
        segments += [entry for entry in self._carried if entry.path not in own]
        try:
            progress.write(self._disk, self._progress, segments, sync=self._sync_progress)
            self.trouble.pop("progress", None)
        except StorageFault as fault:
            self.trouble["progress"] = fault

    def _release_root(self) -> None:
        """Let go of the vault's root: after a disk came back it may be another mount."""
        if self._root_fd >= 0:
            fd, self._root_fd = self._root_fd, -1
            self._disk.close(fd)
