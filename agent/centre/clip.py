"""Writes a clip: one seekable MP4 file, complete or not there at all.

The pictures wait in a file without a name until all sample tables are known, and the clip itself gets its
name last; so whatever ends the program, no plaintext is left behind.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import ConfigError, StorageFault
from agent.model import Span
from agent.mp4.join import JITTER_MS, Joiner, shown_ms
from agent.mp4.progressive import Index

if TYPE_CHECKING:
    from agent.mp4.fragment import Sample
    from agent.mp4.reader import Fragment, Init

_COPY_BYTES = 1 << 20
HOLE_MS = 2 * JITTER_MS
"""Where two segments meet, each may be off by JITTER_MS without anything being missing."""


def disk_fault(folder: Path, error: OSError) -> StorageFault:
    """Make the fault for an output folder that refuses."""
    return StorageFault(
        "OUTPUT_UNWRITABLE",
        f"the clip cannot be written: {error.strerror}",
        hint="choose a folder with room for twice the clip",
        folder=str(folder),
        errno=errno.errorcode.get(error.errno or 0, "?"),
    )


@dataclass(slots=True)
class Coverage:
    """UTC spans for which there are pictures, in the order in which they came."""

    spans: list[Span] = field(default_factory=list)

    def add(self, samples: list[Sample], shown: list[int], timescale: int) -> None:
        """Count the samples of one fragment, shown at these times."""
        start = min(shown)
        end = max(
            at + max(1, sample.duration * 1000 // timescale)
            for at, sample in zip(shown, samples, strict=True)
        )
        last = self.spans[-1] if self.spans else None
        if last and last.start_ms <= start <= last.end_ms + HOLE_MS:
            self.spans[-1] = Span(last.start_ms, max(last.end_ms, end))
        else:
            self.spans.append(Span(start, end))


def hull(spans: list[Span]) -> Span:
    """Return the span from the first picture to the end of the last; spans is not empty."""
    return Span(min(span.start_ms for span in spans), max(span.end_ms for span in spans))


class Draft:
    """A file that has no name before it is complete.

    Where the file system cannot do without names (FAT on a USB stick), it has a temporary one until then.
    """

    def __init__(self, folder: Path, *, unnamed: bool = True) -> None:
        """Open it for writing in the folder that it will be published in.

        unnamed  false for a file system that is known to need names
        Raises   OSError
        """
        self._name: Path | None = None
        descriptor = _open_unnamed(folder) if unnamed else None
        if descriptor is None:
            descriptor, name = tempfile.mkstemp(prefix=".pasu-", dir=folder)
            self._name = Path(name)
        self.file = os.fdopen(descriptor, "w+b")

    def publish(self, target: Path) -> None:
        """Make it durable under its name. Raises OSError; FileExistsError when the name is taken."""
        self.file.flush()
        os.fsync(self.file.fileno())
        if self._name is None:
            # linkat(2) with AT_SYMLINK_FOLLOW, which needs no privilege; src_dir_fd makes Python use it.
            descriptors = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.link(str(self.file.fileno()), target, src_dir_fd=descriptors)
            finally:
                os.close(descriptors)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._name.replace(target)
            self._name = None
        self.file.close()

    def discard(self) -> None:
        """Let go of it; without a name, nothing stays."""
        self.file.close()
        if self._name is not None:
            with contextlib.suppress(FileNotFoundError):
                self._name.unlink()


def _open_unnamed(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}:
            return None
        raise


class Clip:
    """One output file in the making: pictures of one track, in the order of time.

    covered  UTC spans for which it has pictures
    used     the segments that they come from, in order
    """

    def __init__(self, folder: Path, init: Init, camera: str) -> None:
        """Begin. Raises OSError."""
        self.folder = folder
        self.init = init
        self.camera = camera
        self._spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in `close`
        self._draft: Draft | None = None
        self.size_bytes = 0
        self.sha256 = ""
        self._begin()

    def _begin(self) -> None:
        self._joiner = Joiner(self.init)
        self._index = Index()
        self.covered = Coverage()
        self.used: list[Path] = []

    @property
    def frames(self) -> int:
        """Pictures in it, once it is finished."""
        return self._index.samples

    def end_ms(self) -> int | None:
        """Return the UTC up to which it has pictures."""
        return self.covered.spans[-1].end_ms if self.covered.spans else None

    def accepts(self, init: Init, utc_ms: int | None) -> bool:
        """Tell whether a segment can be joined to what is there."""
        return self._joiner.accepts(init, utc_ms)

    def begin_segment(self, init: Init) -> None:
        """Announce the first fragment of another segment."""
        self._joiner.begin(init)

    def restart(self) -> None:
        """Forget the pictures so far: they lie before what was asked for."""
        self._spool.seek(0)
        self._spool.truncate()
        self._begin()

    def add(self, part: Fragment, source: Path) -> int | None:
        """Take a fragment.

        Returns  the UTC of its first picture that is used; None when no keyframe was there to begin with
        Raises   Mp4Error `gap_too_long`, and it can begin another clip; OSError
        """
        dropped = self._joiner.dropped
        before = self._joiner.add(part)
        dropped = self._joiner.dropped - dropped
        if before:
            self._write(before)
        shown = shown_ms(part, self.init.timescale)[dropped:]
        if not shown:
            return None
        self.covered.add(part.samples[dropped:], shown, self.init.timescale)
        if not self.used or self.used[-1] != source:
            self.used.append(source)
        return shown[0]

    def finish(self) -> bool:
        """Lay the file out: tables first, then the pictures. False, and no file, when there are none.

        Raises  OSError, Mp4Error
        """
        last = self._joiner.finish()
        if last:
            self._write(last)
        if not self.frames:
            return False
        self._draft = Draft(self.folder)
        digest = hashlib.sha256()
        self._spool.seek(0)
        piece = self._index.header(self.init, self.covered.spans[0].start_ms)
        while piece:
            digest.update(piece)
            self._draft.file.write(piece)
            self.size_bytes += len(piece)
            piece = self._spool.read(_COPY_BYTES)
        self.sha256 = digest.hexdigest()
        self._spool.close()
        return True

    def publish(self, target: Path) -> None:
        """Give the finished file its name. Raises ConfigError OUTPUT_EXISTS, OSError."""
        assert self._draft is not None, "finished first"
        try:
            self._draft.publish(target)
        except FileExistsError:
            raise output_exists(target) from None

    def _write(self, part: Fragment) -> None:
        for data, duration, offset, keyframe in part.samples:
            self._index.add(len(data), duration, offset, keyframe)
            self._spool.write(data)

    def discard(self) -> None:
        """Let go of all files that have no name yet; may be called again."""
        self._spool.close()
        if self._draft:
            self._draft.discard()


def output_exists(target: Path) -> ConfigError:
    """Make the fault for a name that is taken: a clip may be evidence, and is never overwritten."""
    return ConfigError(
        "OUTPUT_EXISTS",
        "this file exists already and is left as it is",
        hint="choose another name with -o",
        path=str(target),
    )
