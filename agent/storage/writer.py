"""One open segment, from its first byte to its name. The procedure, cited by its numbers in code and tests:

    C1  create `<start>.mp4.age.part` (O_EXCL, locked for as long as it is open), reserve space, write the age
        header
    C2  write chunks as they become whole, 64 KiB of plaintext each
    C3  once per loss window, for all segments of the vault together:
        C3a  write the unfilled rest of slow cameras as `<start>.mp4.age.tail`
        C3b  write down how far each has come (progress)
        C3c  one syncfs
    C4  write the final chunk, give back the space that was reserved and not used; write down what the file is
    C5  fdatasync
    C6  rename to `<start>.mp4.age`
    C7  fsync the directory
    C8  one transaction: the segment's row and its fact. This is the commit point
    C9  remove the tail, its header overwritten first; those that it replaced were overwritten on the way

Invariants:
    W1  What a good C3c covered is never given up by a later step, even one that is cut short: a tail is
        replaced only by one that joins to chunks that are durable, or when its bytes are in chunks that are.
    W2  A fault ends the file's writing for good. Nothing is synced twice; what was not durable is still in
        `kept`.
    W3  `kept` holds what `restart` needs and not more: every fragment that is not wholly in durable chunks.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.model import Instant
from agent.storage import files
from agent.storage.catalogue import COMMITTED, SALVAGED, Segment
from agent.storage.envelope import CHUNK_BYTES, SEALED_CHUNK_BYTES, Sealer, seal_bytes
from agent.storage.layout import TAIL_MAGIC, Kind
from agent.storage.progress import Final, Mark, Open
from agent.storage.shred import Replaced, shred

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.ports import SegmentStart
    from agent.storage.envelope import Recipient
    from agent.storage.vault import Vault

TAIL_AFTER_MS = 200
"""An unfilled rest of fewer pictures is left to the next window: with that window, a turn of the loop and one picture
it stays below what a kill may cost (I5). Above 2.6 Mbit/s no rest is that long."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of plaintext as it was handed in.

    end_bytes  plaintext offset behind it; end_ms UTC that the pictures reach with it; frames in it
    """

    data: bytes
    end_bytes: int
    end_ms: int
    frames: int


@dataclass(frozen=True, slots=True)
class Restart:
    """What a new segment needs to go on where a failed one is durable.

    init  the initialisation segment; fragments follow it
    """

    start: SegmentStart
    init: tuple[bytes, ...]
    fragments: tuple[Fragment, ...]


class OpenSegment:
    """Writes one segment. Any StorageFault ends it: afterwards only `restart` and `abandon` make sense."""

    def __init__(
        self,
        vault: Vault,
        start: SegmentStart,
        recipients: Sequence[Recipient],
        *,
        expected_bytes: int,
        step: Callable[[str], None],
    ) -> None:
        """Do C1.

        expected_bytes  space to reserve
        step            is told the number of each step that is done
        Raises          StorageFault; no file of it is left to care about then, unless removing it fails as
                        well
        """
        self.start = start
        self.end_ms = start.start.utc_ms
        self.frames = 0
        self.sealed_bytes = 0
        self.final: Final | None = None
        self.quarantined = ""
        self.vault = vault
        self._disk = vault.disk
        self._recipients = recipients
        self._step = step
        self._stem = vault.new_stem(start.camera, start.start.utc_ms)
        self._part = vault.at(self._stem.path(Kind.PART))
        self._tail = vault.at(self._stem.path(Kind.TAIL))
        self._sealer = Sealer(recipients)
        self._hash = hashlib.sha256()
        self._init: list[bytes] = []
        self._init_bytes = 0
        self._kept: deque[Fragment] = deque()
        self._whole = Mark(0, self.end_ms, 0)  # whole fragments in whole chunks, written
        self._uncounted: deque[Fragment] = deque()  # the fragments behind them
        self._written = self._durable = self._whole
        self._durable_hash = self._written_hash = self._hash
        self._tail_reach = 0  # plaintext offset that the tail promises
        self._marked_bytes = 0  # plaintext taken when the last mark was made
        self._replaced = Replaced(self._disk, self._tail, vault.at(self._stem.path(Kind.TAIL_OLD)))
        self._cut = False  # `abandon` has begun to cut the file
        self._fd = self._disk.create_excl(self._part)
        try:
            files.lock_new(self._fd)
            if expected_bytes:
                self._disk.preallocate(self._fd, self._part, expected_bytes)
            self._put(self._sealer.header)
        except BaseException:
            self._close()
            self._disk.unlink(self._part)
            raise
        step("C1")

    def write(self, data: bytes, end_ms: int, frames: int) -> None:
        """Do C2 for one piece of the MP4 stream; arguments as in `ports.Recorder.write`. Raises
        StorageFault.
        """
        # Kept first: if sealing or writing fails, a restart has it.
        end_bytes = self._sealer.plain_bytes + len(data)
        if frames == 0 and self.frames == 0:
            self._init.append(data)
            self._init_bytes = end_bytes
        self.end_ms = max(self.end_ms, end_ms)
        self.frames += frames
        fragment = Fragment(data, end_bytes, self.end_ms, frames)
        self._kept.append(fragment)
        self._uncounted.append(fragment)
        before = self._sealer.chunks
        for chunk in self._sealer.seal_chunks(data):
            self._put(chunk)
        if self._sealer.chunks > before:
            self._count()
            self._step("C2")

    def mark(self) -> None:
        """Mark how far the segment has come, for C3b; first do C3a, if the rest holds enough pictures to need
        it.

        Raises  StorageFault
        """
        if self._sealer.plain_bytes == self._marked_bytes:
            return
        self._marked_bytes = self._sealer.plain_bytes
        self._written = self._whole
        self._written_hash = self._hash.copy()
        boundary = self._sealer.chunks * CHUNK_BYTES
        if self._rest_ms(boundary) <= TAIL_AFTER_MS:
            return
        durable = self._durable.chunks * CHUNK_BYTES
        # W1: a tail on which durability rests must not give way to one that joins to chunks not yet durable.
        offset = durable if self._tail_reach > durable else boundary
        first = self._kept[0]
        skip = offset - (first.end_bytes - len(first.data))
        plain = b"".join(fragment.data for fragment in self._kept)
        tail = seal_bytes(self._recipients, TAIL_MAGIC + offset.to_bytes(8, "big") + plain[skip:])
        if self._tail_reach:
            self._replaced.keep()
        self._disk.atomic_replace(self._tail, tail, sync=False)
        self._tail_reach = self._sealer.plain_bytes
        whole = self._whole
        self._written = Mark(whole.chunks, whole.end_ms, whole.frames, len(tail), self.end_ms, self.frames)
        self._step("C3a")

    def synced(self) -> None:
        """Note that a syncfs (C3c) after `mark` was good, and let go of what it made durable (W3)."""
        self._durable = self._written
        self._durable_hash = self._written_hash
        self._replaced.synced()
        durable = self._durable.chunks * CHUNK_BYTES
        while self._kept and self._kept[0].end_bytes <= durable:
            self._kept.popleft()

    def finish(self, end_ms: int) -> None:
        """Do the first half of C4: the final chunk. Its pictures reach to end_ms. Raises StorageFault."""
        self.end_ms = max(self.start.start.utc_ms, end_ms)
        plain_bytes = self._sealer.plain_bytes
        self._put(self._sealer.finish())
        self._disk.truncate(self._fd, self._part, self.sealed_bytes)
        self.final = Final(self.end_ms, self.frames, plain_bytes, self.sealed_bytes, self._hash.hexdigest())

    def publish(self) -> Segment:
        """Do C5 to C7; return the row for C8. Raises StorageFault."""
        # Until its bytes are durable it is not what it will be: salvage must not take it as finished after a
        # fault.
        final, self.final = self.final, None
        assert final is not None, "publish comes after finish"
        self._disk.fdatasync(self._fd, self._part)
        self.final = final
        self._step("C5")
        path = self._stem.path(Kind.FINAL)
        self._disk.rename(self._part, self.vault.at(path))
        self._step("C6")
        self._disk.fsync_directory(self._part.parent)
        self._step("C7")
        self._replaced.synced()
        self._close()
        # It may wait for the catalogue for long: let go of the pictures.
        self._kept.clear()
        self._uncounted.clear()
        return row_of(self.progress(), path, COMMITTED, final, has_tail=False)

    def remove_tail(self) -> None:
        """Do C9. Raises StorageFault."""
        if self._tail_reach:
            shred(self._disk, self._tail)
            self._step("C9")

    def progress(self) -> Open:
        """Say how far this segment has come, for C3b and C4."""
        start, track = self.start, self.start.track
        return Open(
            vault=self.vault.uuid,
            path=self._stem.path(Kind.FINAL),
            camera=start.camera,
            run=start.run,
            start_ms=start.start.utc_ms,
            trust=start.start.trust.value,
            codec=track.codec.value,
            width=track.width,
            height=track.height,
            time_base_hz=track.time_base_hz,
            keyframe_start=start.keyframe_start,
            durable=self._durable,
            written=self._written,
            final=self.final,
        )

    def let_go(self) -> None:
        """Close the file after a fault: what is open keeps a disk that failed from being mounted anew."""
        self._close()

    def restart(self) -> Restart:
        """Say, once, how to go on in a new segment after a fault: from the first fragment that is not wholly
        durable.
        """
        fragments = tuple(fragment for fragment in self._kept if fragment.end_bytes > self._init_bytes)
        self._kept.clear()
        self._uncounted.clear()
        start = replace(
            self.start,
            start=Instant(self._durable.end_ms, self.start.start.trust),
            keyframe_start=self.start.keyframe_start and self._durable.frames == 0,
        )
        return Restart(start, tuple(self._init), fragments)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing of it was ever durable: then its file holds nothing that memory does not."""
        return self._durable.chunks == 0 and not self._durable.tail_bytes

    @property
    def is_stub(self) -> bool:
        """Tell whether what was ever durable of it is less than one fragment."""
        return not self.is_empty and not self._durable.frames and not self._durable.tail_bytes

    def durable_end_ms(self, *, with_tail: bool) -> int:
        """Return the UTC end of what a good sync covered."""
        durable = self._durable
        return durable.tail_end_ms if with_tail and durable.tail_bytes else durable.end_ms

    def abandon(self, *, lost: bool) -> Segment | None:
        """Cut the file, after a fault, to what is durable, and give it its salvaged name.

        Nothing is read back, and nothing that failed is synced: what remains was covered by a good C3c. To be
        called when a new segment has made the rest durable (W1), or when there will be none.
        lost     no other file holds what `restart` gave: then the tail is kept, and nothing is removed
        Returns  the row to commit; None if the file held no whole fragment, and so was removed or quarantined
        Raises   StorageFault; can be called again later
        """
        self._close()
        kinds = (Kind.SALVAGED, Kind.FINAL, Kind.PART)
        found = [
            path for path in (self.vault.at(self._stem.path(kind)) for kind in kinds) if files.exists(path)
        ]
        if found and found[0] == self.vault.at(self._stem.path(Kind.SALVAGED)) and not self._cut:
            return None  # it was let go, and somebody else has put it in order
        if lost:
            self._replaced.restore()
        else:
            self._replaced.discard()
        durable = self._durable
        moved_tail = self.vault.at(self._stem.path(Kind.SALVAGED_TAIL))
        keep_tail = lost and durable.tail_bytes > 0 and (files.exists(self._tail) or files.exists(moved_tail))
        if not found or (durable.frames == 0 and not keep_tail):
            self._discard(found, quarantine=lost and not self.is_empty)
            return None
        self._cut = True
        salvaged = self.vault.at(self._stem.path(Kind.SALVAGED))
        size = len(self._sealer.header) + durable.chunks * SEALED_CHUNK_BYTES
        fd = self._disk.open_existing(found[0])
        try:
            self._disk.truncate(fd, found[0], size)
            self._disk.fdatasync(fd, found[0])
        finally:
            self._disk.close(fd)
        if not keep_tail:
            shred(self._disk, self._tail)
        elif files.exists(self._tail):
            self._disk.rename(self._tail, moved_tail)
        if found[0] != salvaged:
            self._disk.rename(found[0], salvaged)
        self._disk.fsync_directory(salvaged.parent)
        what = Final(
            self.durable_end_ms(with_tail=keep_tail),
            durable.tail_frames if keep_tail else durable.frames,
            durable.chunks * CHUNK_BYTES,
            size,
            self._durable_hash.hexdigest(),
        )
        path = self._stem.path(Kind.SALVAGED)
        return row_of(self.progress(), path, SALVAGED, what, has_tail=keep_tail)

    def _discard(self, found: list[Path], *, quarantine: bool) -> None:
        shred(self._disk, self._tail)
        for path in found:
            if quarantine:
                self.quarantined = self.vault.quarantine(path)
            else:
                shred(self._disk, path)

    def _put(self, data: bytes) -> None:
        self._disk.write_all(self._fd, self._part, data)
        self._hash.update(data)
        self.sealed_bytes += len(data)

    def _count(self) -> None:
        """Move the mark of whole fragments in whole chunks forward."""
        end_ms, frames = self._whole.end_ms, self._whole.frames
        whole = self._sealer.chunks * CHUNK_BYTES
        while self._uncounted and self._uncounted[0].end_bytes <= whole:
            fragment = self._uncounted.popleft()
            end_ms = fragment.end_ms
            frames += fragment.frames
        self._whole = Mark(self._sealer.chunks, end_ms, frames)

    def _rest_ms(self, boundary: int) -> int:
        """Estimate how much time the plaintext behind the last whole chunk holds, by its share of bytes."""
        if not self._uncounted:
            return 0
        first = self._uncounted[0]
        begin_ms = self._whole.end_ms
        begin_bytes = first.end_bytes - len(first.data)
        if boundary > begin_bytes:
            begin_ms += (first.end_ms - begin_ms) * (boundary - begin_bytes) // len(first.data)
        return self.end_ms - begin_ms

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._disk.close(fd)


def row_of(known: Open, path: str, state: str, what: Final, *, has_tail: bool) -> Segment:
    """Put the row of a segment together from what is known of it and what its file is."""
    return Segment(
        vault=known.vault,
        camera=known.camera,
        run=known.run,
        path=path,
        start_ms=known.start_ms,
        end_ms=what.end_ms,
        trust=known.trust,
        codec=known.codec,
        width=known.width,
        height=known.height,
        time_base_hz=known.time_base_hz,
        frames=what.frames,
        plain_bytes=what.plain_bytes,
        sealed_bytes=what.sealed_bytes,
        sha256=what.sha256,
        keyframe_start=known.keyframe_start,
        state=state,
        has_tail=has_tail,
    )
