"""What boxes hand out, as it arrives at the centre: written down as it comes, compared at the end, in place then.

    received/<box>/<export>.part/        what has come; `<export>.manifest` beside it says what is to come
    received/<box>/<export>/             the whole bundle; it gets this name when everything is compared
    received/<box>/<export>.receipt      what was found, and that nothing more of it is taken

Whoever sends says nothing that is believed: names are those that a bundle can have, sizes are bounded before a byte is
written, no link is followed, and a box reaches nothing but its own folder. What is counted is bytes, over the files in
the order of the manifest; so whoever was interrupted goes on where it was (I6).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent import consignment
from agent.centre import sums, verify
from agent.consignment import (
    EXPORT_NAME,
    LIMIT_BYTES,
    MISPLACED,
    NO_ROOM,
    NOT_PROVEN,
    NOT_WANTED,
    SUMS,
    TOO_LARGE,
    Manifest,
    Piece,
    Receipt,
    Unreadable,
    Where,
    piece_at,
)
from agent.errors import PasuError, StorageFault
from agent.storage import files
from agent.storage.files import Disk
from agent.storage.proof import bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.storage.proof.note import Verifier

BOX_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
MOST_BYTES = 1 << 40
"""Of one export; a day of a camera at 8 Mbit/s is a tenth of it."""
SPARE_BYTES = 256 << 20
"""Stay free on the disk: what watches the city writes there too."""
MOST_NAMES = 100_000
"""In a box's folder: three for each export while it comes, two for good."""
MOST_KNOWN = 256
"""Exports that are remembered; what is known of others is read again."""
_TAIL = ".tail"
_PAPERS = (bundle.CHECKPOINT, bundle.PROOFS, SUMS)


class Refused(Exception):
    """What was sent is not taken. `receipt` says why."""

    def __init__(self, receipt: Receipt) -> None:
        """Keep the answer."""
        super().__init__(receipt.code)
        self.receipt = receipt


@dataclass(slots=True)
class _Coming:
    """An export that is arriving.

    have   bytes that are written
    found  whether some of them were found at a start: then they are not known to be durable
    """

    manifest: Manifest
    have: int
    found: bool
    lock: threading.Lock = field(default_factory=threading.Lock)


class Store:
    """Keeps what boxes send. Several threads may use it."""

    def __init__(
        self,
        root: Path,
        verifier_of: Callable[[str], Verifier | None],
        is_taken_back: Callable[[str, str], bool],
        *,
        most_bytes: int = MOST_BYTES,
        spare_bytes: int = SPARE_BYTES,
        disk: Disk | None = None,
    ) -> None:
        """Touch nothing yet.

        verifier_of    a box's key, None for one that is not enrolled: it is not received from
        is_taken_back  tells whether the signed ledger of a box says so of an export
        """
        self._root = root
        self._verifier_of = verifier_of
        self._is_taken_back = is_taken_back
        self._most_bytes = most_bytes
        self._spare_bytes = spare_bytes
        self._disk = disk or Disk()
        self._coming: dict[tuple[str, str], _Coming] = {}
        self._lock = threading.Lock()

    def path(self, box: str, export: str) -> Path:
        """Return where a bundle is when it is whole."""
        return self._root / box / export

    def manifest(self, box: str, data: bytes) -> Receipt:
        """Take a manifest; say how much of it is there. Raises Refused, StorageFault."""
        try:
            wanted = consignment.parse_manifest(data)
        except Unreadable:
            raise Refused(Receipt("0" * 32, Where.REFUSED, code=NOT_WANTED)) from None
        export = wanted.export
        if wanted.box != box or not BOX_NAME.match(box) or self._verifier_of(box) is None:
            raise Refused(Receipt(export, Where.REFUSED, code=NOT_WANTED))
        if not all(_is_ours(part.name) for part in wanted.parts):
            raise Refused(Receipt(export, Where.REFUSED, code=NOT_WANTED))
        with self._lock:
            over = self._over(box, export)
            if over is not None:
                return over
            if wanted.bytes > self._most_bytes:
                raise Refused(Receipt(export, Where.WAITING, code=TOO_LARGE))
            coming = self._look(box, export)
            if coming is None or coming.manifest != wanted:
                coming = self._begin(box, wanted)
            return Receipt(export, Where.SENDING, coming.have)

    def have(self, box: str, export: str) -> Receipt | None:
        """Return how much there is of an export; None for one that nobody announced. Raises StorageFault."""
        if not BOX_NAME.match(box) or not EXPORT_NAME.match(export):
            return None
        with self._lock:
            over = self._over(box, export)
            coming = None if over else self._look(box, export)
        return over or (Receipt(export, Where.SENDING, coming.have) if coming else None)

    def write(self, box: str, export: str, have: int, data: bytes) -> Receipt:
        """Take bytes that follow on what is there. Raises Refused, StorageFault."""
        coming, over = self._find(box, export)
        if coming is None:
            return over
        with coming.lock:
            if have != coming.have:
                return Receipt(export, Where.SENDING, coming.have, MISPLACED)
            piece = piece_at(coming.manifest.parts, have, len(data))
            if piece is None or piece.size != len(data) or not data:
                return Receipt(export, Where.SENDING, coming.have, MISPLACED)
            self._make_room(export, coming.have, len(data))
            try:
                self._write(box, export, piece, data)
            except StorageFault as fault:
                if fault.context.get("errno") in (
                    errno.errorcode[errno.ENOSPC],
                    errno.errorcode[errno.EDQUOT],
                ):
                    raise Refused(Receipt(export, Where.WAITING, coming.have, NO_ROOM)) from fault
                raise
            coming.have += len(data)
            return Receipt(export, Where.SENDING, coming.have)

    def is_whole(self, receipt: Receipt, box: str) -> bool:
        """Tell whether everything has come that an announced export has."""
        coming = self._coming.get((box, receipt.export))
        return coming is not None and coming.have == coming.manifest.bytes

    def finish(self, box: str, export: str) -> Receipt:
        """Compare everything, and put it in place; given again it answers again. Raises Refused, StorageFault."""
        coming, over = self._find(box, export)
        if coming is None:
            return over
        with coming.lock:
            if (done := self._over(box, export)) is not None:
                return done
            if coming.have != coming.manifest.bytes:
                return Receipt(export, Where.SENDING, coming.have, MISPLACED)
            self._make_empty(box, coming)
            wrong = self._compare(box, coming)
            if wrong and coming.found:
                # What was there at a start may have been lost with the power: it is asked for again, once.
                coming.have, coming.found = self._back_to(coming, wrong[0]), False
                return Receipt(export, Where.SENDING, coming.have, MISPLACED)
            return self._settle(box, coming, wrong)

    def recall(self, box: str, export: str) -> Receipt:
        """Throw away what came of an export, and take no more of it.

        What is whole is evidence, of which this may be the only copy: it stays until the box's ledger says so too.
        Raises  Refused, StorageFault
        """
        if not BOX_NAME.match(box) or not EXPORT_NAME.match(export) or self._verifier_of(box) is None:
            raise Refused(Receipt("0" * 32, Where.REFUSED, code=NOT_WANTED))
        receipt = Receipt(export, Where.RECALLED)
        with self._lock:
            coming = self._look(box, export)
        with coming.lock if coming else threading.Lock():
            if files.exists(self.path(box, export)) and not self._is_taken_back(box, export):
                raise Refused(Receipt(export, Where.WAITING, code=NOT_PROVEN))
            with self._lock:
                known = coming is not None or files.exists(self.path(box, export))
                self._make_home(box, export, 0 if known else LIMIT_BYTES)
                self._coming.pop((box, export), None)
                self._note(box, export, ".receipt", consignment.encode_receipt(box, receipt))
            for place in (self._part(box, export), self.path(box, export)):
                if files.is_directory(place):
                    shutil.rmtree(place)
            self._disk.unlink(self._root / box / f"{export}.manifest")
            self._disk.fsync_directory(self._root / box)
        return receipt

    # --- on the disk ---------------------------------------------------------------------------------------------

    def _part(self, box: str, export: str) -> Path:
        return self._root / box / f"{export}.part"

    def _where(self, box: str, export: str) -> Path:
        """Return where an export without a receipt is: one that was put in place before its receipt was written."""
        part, place = self._part(box, export), self.path(box, export)
        return place if files.is_directory(place) and not files.is_directory(part) else part

    def _find(self, box: str, export: str) -> tuple[_Coming | None, Receipt]:
        """Return an export that is arriving, or what is to be said of one that is not. Raises Refused."""
        if not BOX_NAME.match(box) or not EXPORT_NAME.match(export):
            raise Refused(Receipt("0" * 32, Where.REFUSED, code=NOT_WANTED))
        with self._lock:
            over = self._over(box, export)
            coming = None if over else self._look(box, export)
        if over is None and coming is None:
            raise Refused(Receipt(export, Where.SENDING, 0, MISPLACED))
        return coming, over or Receipt(export, Where.SENDING)

    def _over(self, box: str, export: str) -> Receipt | None:
        """Return what was found at the end of an export; None before."""
        try:
            return consignment.parse_receipt(self._read(self._root / box / f"{export}.receipt"))
        except (StorageFault, Unreadable):
            return None

    def _look(self, box: str, export: str) -> _Coming | None:
        """Return an export that is arriving; one that an earlier process received is taken up."""
        known = self._coming.get((box, export))
        if known is None:
            try:
                manifest = consignment.parse_manifest(self._read(self._root / box / f"{export}.manifest"))
            except (StorageFault, Unreadable):
                return None
            known = _Coming(manifest, self._count(box, manifest), found=True)
            self._know(box, known)
        return known

    def _know(self, box: str, coming: _Coming) -> None:
        self._coming[box, coming.manifest.export] = coming
        if len(self._coming) > MOST_KNOWN:
            idle = (key for key, one in self._coming.items() if one is not coming and not one.lock.locked())
            self._coming.pop(next(idle, (box, "")), None)

    def _begin(self, box: str, manifest: Manifest) -> _Coming:
        data = consignment.encode_manifest(manifest)
        self._make_home(box, manifest.export, len(data))
        self._note(box, manifest.export, ".manifest", data)
        self._disk.make_directory(self._part(box, manifest.export))
        made = _Coming(manifest, self._count(box, manifest), found=False)
        made.found = made.have > 0
        self._know(box, made)
        return made

    def _make_home(self, box: str, export: str, size: int) -> None:
        """Make a box's folder; nothing more goes into it where there is no room for so much, or there is enough."""
        self._disk.make_directory(self._root)
        self._disk.make_directory(self._root / box)
        if size and sum(1 for _ in (self._root / box).iterdir()) >= MOST_NAMES:
            raise Refused(Receipt(export, Where.WAITING, code=NO_ROOM))
        self._make_room(export, 0, size)

    def _note(self, box: str, export: str, ending: str, data: bytes) -> None:
        self._disk.atomic_replace(self._root / box / (export + ending), data, sync=True)

    def _read(self, place: Path) -> bytes:
        fd = self._disk.open_reading(place)
        try:
            return self._disk.read_at(fd, place, consignment.LIMIT_BYTES, 0)
        finally:
            self._disk.close(fd)

    def _count(self, box: str, manifest: Manifest) -> int:
        """Return how many bytes are there, in order."""
        have = 0
        root = self._where(box, manifest.export)
        for part in manifest.parts:
            place = root / part.name
            size = min(place.lstat().st_size, part.size) if files.is_regular(place) else 0
            have += size
            if size < part.size:
                break
        return have

    def _make_room(self, export: str, have: int, size: int) -> None:
        if size and shutil.disk_usage(self._root).free < size + self._spare_bytes:
            raise Refused(Receipt(export, Where.WAITING, have, NO_ROOM))

    def _write(self, box: str, export: str, piece: Piece, data: bytes) -> None:
        """Write into one file, made with its folders if need be; the last bytes of a file make it durable."""
        root = self._where(box, export)
        self._disk.make_directory(root)
        place = root / piece.part.name
        for folder in reversed(place.relative_to(root).parents[:-1]):
            self._disk.make_directory(root / folder)
        fd = self._disk.open_existing(place) if files.exists(place) else self._disk.create_excl(place)
        try:
            os.lseek(fd, piece.offset, os.SEEK_SET)
            self._disk.write_all(fd, place, data)
            if piece.offset + piece.size == piece.part.size:
                self._disk.truncate(fd, place, piece.part.size)
                self._disk.fdatasync(fd, place)
        finally:
            self._disk.close(fd)

    def _make_empty(self, box: str, coming: _Coming) -> None:
        """Make the files that have no byte, for which nothing was sent."""
        for part in coming.manifest.parts:
            if not part.size and not files.exists(self._where(box, coming.manifest.export) / part.name):
                self._write(box, coming.manifest.export, Piece(part, 0, 0), b"")

    def _compare(self, box: str, coming: _Coming) -> list[str]:
        """Return the files that are not what the manifest says."""
        root = self._where(box, coming.manifest.export)
        wrong = []
        for part in coming.manifest.parts:
            try:
                found = sums.digest_of(root, part.name)
            except OSError:
                found = ""
            wrong += [part.name] if found != part.sha256 else []
        return wrong

    def _back_to(self, coming: _Coming, name: str) -> int:
        have = 0
        for part in coming.manifest.parts:
            if part.name == name:
                break
            have += part.size
        return have

    def _settle(self, box: str, coming: _Coming, wrong: list[str]) -> Receipt:
        """Put a bundle in place, and say what is wrong with it. Nothing is thrown away."""
        export = coming.manifest.export
        part, place = self._part(box, export), self.path(box, export)
        if files.is_directory(part):
            self._disk.rename(part, place)
            self._disk.fsync_directory(place.parent)
        problems = [*wrong, *(name for name in self._verify(box, place) if name not in wrong)]
        where = Where.DAMAGED if problems else Where.RECEIVED
        receipt = Receipt(export, where, coming.manifest.bytes, problems=tuple(problems[:100]))
        self._note(box, export, ".receipt", consignment.encode_receipt(box, receipt))
        self._disk.unlink(self._root / box / f"{export}.manifest")
        with self._lock:
            self._coming.pop((box, export), None)
        return receipt

    def _verify(self, box: str, place: Path) -> list[str]:
        """Return what the box's signature does not prove. What of a span was never stored is no damage."""
        verifier = self._verifier_of(box)
        if verifier is None:
            return [bundle.CHECKPOINT]
        try:
            report = verify.verify(place, verifier, None, lambda *_: None)
        except PasuError:
            return [bundle.PROOFS]
        return [one.where for one in report.problems if one.what != verify.UNEXPLAINED]


def _is_ours(name: str) -> bool:
    """Tell whether a name is one that a bundle can have, and leads nowhere else."""
    return name in _PAPERS or bundle.is_segment_path(name.removesuffix(_TAIL))
