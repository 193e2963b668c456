"""What an update writes down: a folder that is root's, and in it one that nobody else sees. Edge.

<place>/last.json            what became of the last update: everybody may read it, and keep does
<place>/private/             0700
journal.json             the update that is on its way; while it is there, pasu-update.service finishes it
kept.json                which package the installed version came in
packages/<sha256>.deb    that one, and during an update the new one
rescue.pyz               what finishes an update whatever becomes of /opt/pasu
incoming.deb, .minisig   copied before they are looked at
lock                     held by whoever is at it
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from agent.field.updating import plan
from agent.storage import files, updated

if TYPE_CHECKING:
    from pathlib import Path

    from agent.field.updating.plan import Journal, Package
    from agent.storage.files import Disk

READABLE = 0o644
OPEN_FOLDER = 0o755
MOST_BYTES = 1 << 20
_CHUNK = 1 << 20


class Store:
    """The folder of updates."""

    def __init__(self, place: Path, disk: Disk) -> None:
        """Look at nothing yet. `place`: updated.PLACE, but in tests."""
        self.place = place
        self.disk = disk
        self.private = place / "private"
        self.packages = self.private / "packages"
        self.rescue = self.private / "rescue.pyz"
        self.incoming = self.private / "incoming.deb"
        self.incoming_signature = self.private / "incoming.deb.minisig"

    def make(self) -> None:
        """Make the folders where they are missing. Raises StorageFault."""
        for folder in (self.place, self.private, self.packages):
            self.disk.make_directory(folder)
        self.disk.call("chmod", self.place, os.chmod, self.place, OPEN_FOLDER)

    def lock(self) -> int | None:
        """Return a descriptor that holds the folder for this process; None while another one does."""
        place = self.private / "lock"
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, files.FILE_MODE)
        if files.try_lock(fd):
            return fd
        os.close(fd)
        return None

    def journal(self) -> Journal | None:
        """Return the update that is on its way; None when none is. Raises plan.Unreadable, OSError."""
        data = _read(self.private / "journal.json")
        return plan.parse(data) if data is not None else None

    def put_journal(self, journal: Journal) -> None:
        """Write down what is next. Raises StorageFault."""
        self.disk.atomic_replace(self.private / "journal.json", plan.encode(journal), sync=True)

    def drop_journal(self) -> None:
        """Say that it is over. Raises StorageFault."""
        self.disk.unlink(self.private / "journal.json")
        self.disk.fsync_directory(self.private)

    def kept(self) -> Package | None:
        """Return the package that is kept; None when none is, or what is written of it cannot be read."""
        try:
            data = _read(self.private / "kept.json")
            package = plan.parse_package(data) if data is not None else None
        except (OSError, plan.Unreadable):
            return None
        return package if package is not None and self.path(package).is_file() else None

    def put_kept(self, package: Package) -> None:
        """Say which package is kept, and let go of all others. Raises StorageFault."""
        self.disk.atomic_replace(self.private / "kept.json", plan.encode_package(package), sync=True)
        self._drop_but(package)

    def path(self, package: Package) -> Path:
        """Return where a package lies."""
        return self.packages / package.file

    def is_whole(self, package: Package) -> bool:
        """Tell whether a package is what it was."""
        try:
            return digests(self.path(package))[0] == package.sha256
        except OSError:
            return False

    def put_last(self, told: dict[str, Any]) -> None:
        """Say what became of an update. Raises StorageFault."""
        data = json.dumps(told, ensure_ascii=False).encode() + b"\n"
        self.disk.atomic_replace(self.place / updated.FILE, data, sync=True, mode=READABLE)

    def last(self) -> dict[str, Any] | None:
        """Return what became of the last update."""
        return updated.read(self.place)

    def take_in(self, source: Path, target: Path, most: int) -> bool:
        """Copy a file that anybody may have written, and make it durable; false when it is longer than `most`.

        Raises  OSError of the source, StorageFault of the target
        """
        self.disk.unlink(target)
        with source.open("rb") as file:
            fd = self.disk.create_excl(target)
            try:
                copied = 0
                while part := file.read(_CHUNK):
                    copied += len(part)
                    if copied > most:
                        return False
                    self.disk.write_all(fd, target, part)
                self.disk.fsync(fd, target)
            finally:
                self.disk.close(fd)
        return True

    def accept(self, package: Package) -> None:
        """Give what was taken in, and is that package, its name among the others. Raises StorageFault."""
        self.disk.rename(self.incoming, self.path(package))
        self.disk.fsync_directory(self.packages)

    def clear_incoming(self) -> None:
        """Remove what was taken in and is not wanted. Raises StorageFault."""
        for place in (self.incoming, self.incoming_signature):
            self.disk.unlink(place)

    def drop_others(self) -> None:
        """Remove packages that are not kept, once an update is over. Raises StorageFault."""
        self._drop_but(self.kept())

    def _drop_but(self, package: Package | None) -> None:
        for place in self.packages.iterdir():
            if package is None or place.name != package.file:
                self.disk.unlink(place)


def digests(path: Path) -> tuple[str, bytes]:
    """Return a file's SHA-256, hexadecimal, and its BLAKE2b-512, which minisign signs. Raises OSError."""
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            sha256.update(part)
            blake2b.update(part)
    return sha256.hexdigest(), blake2b.digest()


def _read(place: Path) -> bytes | None:
    try:
        return files.read_small(place, MOST_BYTES)
    except FileNotFoundError:
        return None
