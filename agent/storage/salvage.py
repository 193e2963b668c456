"""What a killed recorder left behind, put in order. The procedure, cited by its numbers in code and tests:

    `.part`                    S1  cut to the last whole chunk, fdatasync
                               S2  rename its tail to `<start>.salvaged.mp4.age.tail`
                               S3  rename it to `<start>.salvaged.mp4.age`
                               S4  fsync the directory
                               S5  one transaction: row (SALVAGED) and fact
    `.part`, finished (C4)     C5 to C7, S5 (COMMITTED), S6  remove its tail
    finished, without a row    S4, S5, S6
    finished, and then cut     S0  rename to `.part`; and on as with one
    salvaged, without a row    S4, S5
    committed, with a tail     S6
    of a hold, damaged         row; it stays where it is
    else, under such a name    Q1  fact, Q2  rename into quarantine/; links are not followed
    a name that is not ours    stays as it is: somebody's own files are never touched (foreign.py)

Killed at any step and run again, it comes to the same end. A `.part` that is locked belongs to a live
recorder and is left alone.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.model import Fact, Instant
from agent.storage import files, foreign, held, notes, progress
from agent.storage.catalogue import COMMITTED, SALVAGED, Catalogue
from agent.storage.envelope import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from agent.storage.layout import CAMERA_NAME, DAY_NAME, Kind, Stem
from agent.storage.old import Asides, old_catalogues
from agent.storage.orphans import Orphans, names_in, orphans, touched
from agent.storage.progress import Final, Open, reach
from agent.storage.sealed import header_bytes, sha256, whole_chunks
from agent.storage.shred import is_void, shred
from agent.storage.unknown import Row, Unknown
from agent.storage.writer import row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.storage.vault import Vault

UNRECONCILED = "unreconciled"
"""Key in `meta`: JSON list of the vaults whose files have no rows yet, since their catalogue was lost."""


@dataclass(slots=True)
class Report:
    """What a start did.

    faults        per file; the others were put in order all the same
    vault_faults  the vaults that are missing, another box's, or damaged; they were left alone
    began         why a new catalogue was begun, empty for the usual start
    """

    salvaged: int = 0
    adopted: int = 0
    quarantined: int = 0
    live: int = 0
    faults: list[StorageFault] = field(default_factory=list)
    vault_faults: dict[Path, StorageFault] = field(default_factory=dict)
    began: str = ""


def salvage(
    vault: Vault,
    catalogue: Catalogue,
    state: Path,
    cameras: list[str] | None,
    now: Instant,
    *,
    step: Callable[[str], None] = lambda _: None,
    report: Report | None = None,
) -> Report:
    """Put in order what killed recorders left in a vault, in the days that they may have touched.

    While a catalogue that was begun anew has no rows yet for what is stored, finished files are left to
    keep/rebuild.py, but those of which a progress file tells.
    state    directory whose `open/` tells how far segments had come
    cameras  those the caller owns; None takes all that are there
    step     is told the number of each step that is done
    report   to be continued
    Raises   StorageFault when the catalogue cannot be used; what one file's disk says is in the report
    """
    known = {path: one for (uuid, path), one in progress.read_all(state).items() if uuid == vault.uuid}
    asides = Asides(lambda: old_catalogues(state))
    run = Salvage(vault, catalogue, known, now, asides=asides, step=step, report=report)
    run.unreconciled = vault.uuid in notes.names(catalogue, UNRECONCILED)
    with contextlib.closing(asides):
        run.all_of(cameras)
    foreign.tell(catalogue, vault, run.foreign, now)
    return run.report


class Salvage:
    """One pass over a vault."""

    def __init__(
        self,
        vault: Vault,
        catalogue: Catalogue,
        known: dict[str, Open],
        now: Instant,
        *,
        asides: Asides,
        step: Callable[[str], None] = lambda _: None,
        report: Report | None = None,
    ) -> None:
        """Take what the progress files tell, by path, and who is asked about files of which they tell nothing."""
        self.report = report or Report()
        self.unreconciled = False
        self.foreign: list[Path] = []
        self._vault = vault
        self._disk = vault.disk
        self._catalogue = catalogue
        self._known = known
        self._now = now
        self._unknown = Unknown(vault, now, asides)
        self._step = step

    def all_of(self, cameras: list[str] | None) -> None:
        """Put the cameras' days in order that may have been touched; None takes all that are there.

        A directory below that the disk does not give is noted, and no reason to leave the next.
        Raises  StorageFault when `segments` itself cannot be listed
        """
        root = self._vault.at("segments")
        for camera in names_in(root):
            if cameras is None or camera in cameras:
                with self._noting_faults():
                    self.camera(root / camera)

    def camera(self, directory: Path) -> None:
        """Put the days of one camera in order that may have been touched."""
        if not CAMERA_NAME.match(directory.name) or not files.is_directory(directory):
            self.foreign.append(directory)
            return
        days = []
        for day in names_in(directory):
            if DAY_NAME.match(day) and files.is_directory(directory / day):
                days.append(day)
            else:
                self.foreign.append(directory / day)
        told = {path.split("/")[2] for path in self._known if path.startswith(f"segments/{directory.name}/")}
        for day in touched(days, self._now, told):
            with self._noting_faults():
                self._day(directory.name, day)

    def _day(self, camera: str, day: str) -> None:
        found = orphans(self._vault, self._catalogue, camera, day)
        if self.unreconciled:
            plain = ({Kind.FINAL}, {Kind.SALVAGED}, {Kind.SALVAGED, Kind.SALVAGED_TAIL})
            found.stems = {
                stem: kinds
                for stem, kinds in found.stems.items()
                if kinds not in plain or stem.path(Kind.FINAL) in self._known
            }
        self.settle(camera, day, found)

    def settle(self, camera: str, day: str, found: Orphans) -> None:
        """Put in order what does not agree; rows without their files are another's (`pasu check`)."""
        inside = self._vault.at(f"segments/{camera}/{day}")
        for name in found.strange:
            self.foreign.append(inside / name)
        for stem, kinds in found.stems.items():
            strange = [kind for kind in kinds if not files.is_regular(self._at(stem, kind))]
            for kind in strange:
                if files.exists(self._at(stem, kind)):
                    self.quarantine(self._at(stem, kind), "not a file that belongs here")
            with self._noting_faults():
                self._stem(stem, kinds - set(strange), found.rows)

    def _stem(self, stem: Stem, kinds: set[Kind], rows: dict[str, str]) -> None:
        """Put the files of one segment in order; see the table at the top."""
        if Kind.TAIL in kinds and is_void(self._at(stem, Kind.TAIL)):
            # Power was lost before the syncfs, on a file system that puts names before bytes; or the tail was
            # superseded, and its header overwritten, when its recorder died.
            self._remove(stem, Kind.TAIL)
            kinds.discard(Kind.TAIL)
        if Kind.FINAL in kinds and Kind.PART not in kinds and self._is_cut(stem, rows):
            self._disk.rename(self._at(stem, Kind.FINAL), self._at(stem, Kind.PART))
            self._step("S0")
            kinds = kinds - {Kind.FINAL} | {Kind.PART}
        if Kind.PART in kinds:
            if not self._part(stem):
                return
            if Kind.TAIL_TEMPORARY in kinds:
                self._remove(stem, Kind.TAIL_TEMPORARY)
            return
        if Kind.TAIL_TEMPORARY in kinds:
            self._remove(stem, Kind.TAIL_TEMPORARY)
        if Kind.TAIL_OLD in kinds:
            if kinds & {Kind.FINAL, Kind.SALVAGED}:
                self._remove(stem, Kind.TAIL_OLD)
            else:
                self.quarantine(self._at(stem, Kind.TAIL_OLD), "a tail without its segment")
        if Kind.SALVAGED in kinds:
            if stem.path(Kind.SALVAGED) not in rows:
                self._adopt_salvaged(stem)
        elif Kind.SALVAGED_TAIL in kinds:
            self.quarantine(self._at(stem, Kind.SALVAGED_TAIL), "a tail without its segment")
        if Kind.FINAL in kinds:
            if stem.path(Kind.FINAL) not in rows and not self._adopt(stem):
                return
            if Kind.TAIL in kinds:
                self._remove(stem, Kind.TAIL)
                self._step("S6")
        elif Kind.TAIL in kinds:
            self.quarantine(self._at(stem, Kind.TAIL), "a tail without its segment")

    def _is_cut(self, stem: Stem, rows: dict[str, str]) -> bool:
        """Tell whether a finished file was cut afterwards: its recorder gave it up between C6 and C8."""
        path = stem.path(Kind.FINAL)
        if path in rows or held.is_held(self._vault, path):
            return False
        place = self._vault.at(path)
        size, known = place.stat().st_size, self._known.get(path)
        if known is not None and known.final is not None:
            return size < known.final.sealed_bytes
        if known is None and self._unknown.is_told(stem, Kind.FINAL):
            return False
        # Nothing tells how long it was. One that ends with a whole chunk was cut, or is one of the 65,552nd
        # part that happens to end so; that one is called salvaged, and nothing of it is lost.
        header = header_bytes(place)
        return header is not None and (size - header) % SEALED_CHUNK_BYTES == 0

    def _part(self, stem: Stem) -> bool:
        """Salvage a `.part`; false if it is live."""
        part = self._at(stem, Kind.PART)
        fd = self._disk.open_existing(part)
        try:
            if not files.try_lock(fd) or not files.exists(
                part
            ):  # or finished by its recorder since it was opened
                self.report.live += 1
                return False
            self._choose_tail(stem)
            if self._finish(stem, fd, part):
                return True
            header = header_bytes(part)
            status = os.fstat(fd)
            self._cut(fd, part, status, status.st_size)
            known = self._known.get(stem.path(Kind.FINAL))
            tail = self._at(stem, Kind.TAIL)
            moved_tail = self._at(stem, Kind.SALVAGED_TAIL)
            chunks = 0
            if header is not None:
                chunks = whole_chunks(part, status.st_size, header, known.durable.chunks if known else 0)
            reason = ""
            if header is None:
                reason = "header unreadable"
            elif chunks == 0 and not files.exists(tail) and not files.exists(moved_tail):
                reason = "not one whole chunk"
            elif files.exists(self._at(stem, Kind.SALVAGED)):
                reason = "salvaged under this name before"
            if header is None or reason:
                self.quarantine(part, reason)
                if files.exists(tail):
                    self.quarantine(tail, "a tail without its segment")
                return True
            size = header + chunks * SEALED_CHUNK_BYTES
            self._cut(fd, part, status, size)
            self._disk.fdatasync(fd, part)
            self._step("S1")
            if files.exists(tail):
                self._disk.rename(tail, moved_tail)
                self._step("S2")
            self._disk.rename(part, self._at(stem, Kind.SALVAGED))
            self._step("S3")
        finally:
            os.close(fd)
        self._adopt_salvaged(stem)
        return True

    def _choose_tail(self, stem: Stem) -> None:
        """Of a tail and the one that it replaced keep the newer; the older if power took the newer's bytes."""
        tail, old = self._at(stem, Kind.TAIL), self._at(stem, Kind.TAIL_OLD)
        if not files.is_regular(old):
            return
        if is_void(old) or (files.is_regular(tail) and not is_void(tail)):
            self._remove(stem, Kind.TAIL_OLD)
        else:
            self._disk.rename(old, tail)

    def _cut(self, fd: int, part: Path, status: os.stat_result, size: int) -> None:
        """Set a file's length; also to the one it has, which gives back the space that was reserved behind it."""
        self._disk.truncate(fd, part, size)
        # The time of the last write tells the end of a segment of which nothing else is known.
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _finish(self, stem: Stem, fd: int, part: Path) -> bool:
        """Go on at C5 with a file that had its final chunk (C4); false if this is none."""
        known = self._known.get(stem.path(Kind.FINAL))
        if known is None or known.final is None or os.fstat(fd).st_size != known.final.sealed_bytes:
            return False
        if sha256(part) != known.final.sha256:
            return False
        self._disk.fdatasync(fd, part)
        self._step("C5")
        self._disk.rename(part, self._at(stem, Kind.FINAL))
        self._step("C6")
        self._adopt(stem)
        self._remove(stem, Kind.TAIL)
        self._step("S6")
        return True

    def _adopt(self, stem: Stem) -> bool:
        """Commit a finished file that has no row; false if it is not what was finished, and so is
        quarantined.
        """
        path = stem.path(Kind.FINAL)
        place = self._vault.at(path)
        header, size = header_bytes(place), place.stat().st_size
        known = self._known.get(path)
        digest = sha256(place)
        final = known.final if known else None
        if header is None or (final is not None and final.sha256 != digest):
            if not held.is_held(self._vault, path):
                self.quarantine(place, "not what was written")
                return False
            known, header = None, header or 0
        if known is None:
            row = self._unknown.row(stem, Kind.FINAL, has_tail=False, header=header, sha256=digest)
        else:
            if final is None:
                # Its mark was lost: it reaches at least as far as the last flush said.
                sealed = size - header
                plain = max(0, sealed - -(-sealed // SEALED_CHUNK_BYTES) * TAG_BYTES)
                end_ms, frames = reach(known, known.written.chunks, known.written.tail_bytes)
                final = Final(max(end_ms, stem.start_ms + 1), frames, plain, size, digest)
            row = Row(row_of(known, path, COMMITTED, final, has_tail=False), None)
        self._disk.fsync_directory(place.parent)
        self._step("S4")
        self._commit(row, adopted=True)
        self.report.adopted += 1
        return True

    def _adopt_salvaged(self, stem: Stem) -> None:
        """Commit a file that was cut and renamed (S3) and has no row."""
        path = stem.path(Kind.SALVAGED)
        place = self._vault.at(path)
        header, size = header_bytes(place), place.stat().st_size
        tail = self._at(stem, Kind.SALVAGED_TAIL)
        has_tail = files.is_regular(tail)
        known = self._known.get(stem.path(Kind.FINAL))
        if header is None:
            if not held.is_held(self._vault, path):
                self.quarantine(place, "header unreadable")
                if has_tail:
                    self.quarantine(tail, "a tail without its segment")
                return
            known, header = None, 0
        chunks = max(0, size - header) // SEALED_CHUNK_BYTES
        digest, missing = sha256(place), 0
        if known is None:
            row = self._unknown.row(stem, Kind.SALVAGED, has_tail=has_tail, header=header, sha256=digest)
        else:
            end_ms, frames = reach(known, chunks, tail.stat().st_size if has_tail else 0)
            end_ms = max(end_ms, known.start_ms + 1)  # an empty span would overlap nothing that is asked for
            what = Final(end_ms, frames, chunks * CHUNK_BYTES, size, digest)
            missing = max(0, known.durable.chunks - chunks)
            row = Row(row_of(known, path, SALVAGED, what, has_tail=has_tail), None)
        self._disk.fsync_directory(place.parent)
        self._step("S4")
        self._commit(row, has_tail=has_tail, missing_chunks=missing)
        self.report.salvaged += 1

    def _commit(self, row: Row, **more: int | bool) -> None:
        self._catalogue.commit_segment(row.segment, self._now, label=row.label, **more)
        self._step("S5")

    def quarantine(self, path: Path, reason: str) -> None:
        """Do Q1 and Q2: say why, and move a file or whatever it is out of the way."""
        with self._noting_faults():
            inside = path.relative_to(self._vault.root).as_posix()
            body = {"path": inside.encode(errors="replace").decode(), "reason": reason}
            self._catalogue.add_fact(Fact("segment.quarantined", self._now, body))
            self._step("Q1")
            self._vault.quarantine(path)
            self.report.quarantined += 1
            self._step("Q2")

    def _remove(self, stem: Stem, kind: Kind) -> None:
        shred(self._disk, self._at(stem, kind))

    def _at(self, stem: Stem, kind: Kind) -> Path:
        return self._vault.at(stem.path(kind))

    @contextlib.contextmanager
    def _noting_faults(self) -> Iterator[None]:
        """Note what the disk says of one file or directory, and go on. A catalogue that fails ends the pass."""
        try:
            yield
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            self.report.faults.append(fault)
        except OSError as error:
            self.report.faults.append(files.fault("salvage", self._vault.root, error))
