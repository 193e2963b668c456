"""Look at stored files without a key: names, sizes, headers, bytes. Nothing is changed.

What the disk does not answer is never taken for an answer: a name is gone when the system says that it is not
there, in a directory that can be read, of a vault whose identity was just read; all else is unreadable.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import IntegrityFault, StorageFault
from agent.storage import files
from agent.storage.envelope import MAX_HEADER_BYTES, NONCE_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, shred_span
from agent.storage.keep.check_findings import Finding, Level, Place, Row, What
from agent.storage.layout import CAMERA_NAME, DAY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.storage.files import Disk
    from agent.storage.vault import Vault

_BLOCK_CHUNKS = 16  # 1 MiB at a time


@dataclass(frozen=True, slots=True)
class Content:
    """What a file's bytes say.

    header   length of age header and nonce; 0 when they are not whole
    sha256   hexadecimal; empty when a part could not be read
    places   what is damaged for certain
    """

    size: int
    header: int
    sha256: str
    places: tuple[Place, ...]


def names(directory: Path) -> set[str] | None:
    """List a directory; None when there is none.

    Raises  StorageFault when it cannot be read
    """
    try:
        with os.scandir(directory) as entries:
            return {entry.name for entry in entries}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise files.fault("list", directory, error) from error


def days(vault: Vault, camera: str | None) -> set[tuple[str, str]]:
    """List the camera-days that have a directory. Raises StorageFault."""
    root = vault.at("segments")
    cameras = names(root) if camera is None else {camera}
    if cameras is None:
        raise files.fault("list", root, FileNotFoundError(errno.ENOENT, "gone"))
    found: set[tuple[str, str]] = set()
    for one in cameras:
        if CAMERA_NAME.match(one) and files.is_directory(root / one):
            found |= {(one, day) for day in names(root / one) or () if DAY_NAME.match(day)}
    return found


def is_gone(path: Path) -> bool:
    """Tell whether the system says that nothing bears this name. Raises StorageFault when it says neither."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise files.fault("stat", path, error) from error
    return False


def size_of(path: Path) -> int | None:
    """Return the size of a regular file; None for anything else under its name. Raises StorageFault."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise files.fault("stat", path, error) from error
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def judge(vault: Vault, row: Row, level: Level) -> tuple[list[Finding], int]:
    """Compare the file of a row, which bears its name, with what the row says of it.

    level    SIZES or DIGESTS
    Returns  what is wrong, and how many bytes were read
    """
    path = vault.at(row.path)

    def finding(what: What, expected: str = "", found: str = "", places: tuple[Place, ...] = ()) -> Finding:
        return Finding(vault.uuid, row.camera, row.path, what, row.span, expected, found, places)

    try:
        size = size_of(path)
        if size is None:
            return [finding(What.NOT_A_FILE)], 0
        if level is Level.DIGESTS:
            content = read_through(vault.disk, path)
            return _judge_bytes(row, content, finding) + _judge_tail(vault, row, level, finding), content.size
        wrong = [] if size == row.sealed_bytes else [finding(What.SIZE, str(row.sealed_bytes), str(size))]
        return wrong + _judge_tail(vault, row, level, finding), 0
    except StorageFault as fault:
        return [finding(What.UNREADABLE, found=str(fault.context.get("errno", fault.code)))], 0


def _judge_bytes(row: Row, content: Content, finding: Callable[..., Finding]) -> list[Finding]:
    """Name the first thing that is wrong; what follows from it is not told again."""
    if any(place.how == "unreadable" for place in content.places):
        return [finding(What.UNREADABLE, row.sha256, "EIO", content.places)]
    if content.size != row.sealed_bytes:
        return [finding(What.SIZE, str(row.sealed_bytes), str(content.size), content.places)]
    if not content.header:
        return [finding(What.HEADER, places=content.places)]
    # A row that was made again after its catalogue was lost knows no hash: then only zeros tell of damage.
    if content.sha256 != row.sha256 and (row.sha256 or content.places):
        return [finding(What.DIGEST, row.sha256, content.sha256, content.places)]
    return []


def _judge_tail(vault: Vault, row: Row, level: Level, finding: Callable[..., Finding]) -> list[Finding]:
    """Look at the tail, of which the row knows only that it is there. That it is gone is found by its name."""
    if not row.has_tail:
        return []
    path = vault.at(row.path + ".tail")
    try:
        size = size_of(path)
    except StorageFault as fault:
        return (
            []
            if fault.context.get("errno") == "ENOENT"
            else [finding(What.TAIL, found=str(fault.context["errno"]))]
        )
    if not size:
        return [finding(What.TAIL, found="not a file" if size is None else "0")]
    if level is Level.DIGESTS:
        content = read_through(vault.disk, path)
        if content.places or not content.header:
            return [finding(What.TAIL, found="damaged", places=content.places)]
    return []


def read_through(disk: Disk, path: Path) -> Content:
    """Read a sealed file to its end, over what cannot be read.

    A block that fails is read again chunk by chunk, so that the chunks that fail are named and those beside
    them are not.
    Raises  StorageFault when it cannot be opened
    """
    fd = disk.open_reading(path)
    try:
        size = os.fstat(fd).st_size
        digest = hashlib.sha256()
        places: list[Place] = []
        start = _read(disk, fd, path, min(size, MAX_HEADER_BYTES + NONCE_BYTES), 0)
        header = _header_bytes(start)
        digest.update(start[:header] if start else b"")
        for at in range(header, size, _BLOCK_CHUNKS * SEALED_CHUNK_BYTES):
            length = min(size - at, _BLOCK_CHUNKS * SEALED_CHUNK_BYTES)
            block = _read(disk, fd, path, length, at)
            if block is None:
                for begin in range(at, at + length, SEALED_CHUNK_BYTES):
                    count = min(SEALED_CHUNK_BYTES, size - begin)
                    if _read(disk, fd, path, count, begin) is None:
                        places.append(Place(_number(begin, header), begin, count, "unreadable"))
            else:
                digest.update(block)
                places += _zeros(block, at, header) if header else []
        with contextlib.suppress(OSError):
            # What is being recorded now needs the memory more.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        disk.close(fd)
    whole = not any(place.how == "unreadable" for place in places)
    return Content(size, header, digest.hexdigest() if whole else "", tuple(places))


def _header_bytes(start: bytes | None) -> int:
    """Return the length of header and nonce; 0 when they are not whole, or could not be read."""
    try:
        length = shred_span(start or b"") + NONCE_BYTES
    except IntegrityFault:
        return 0
    return length if start and length <= len(start) else 0


def _read(disk: Disk, fd: int, path: Path, size: int, offset: int) -> bytes | None:
    try:
        data = disk.read_at(fd, path, size, offset)
    except StorageFault:
        return None
    return data if len(data) == size else None


def _number(at: int, header: int) -> int | None:
    """Return the number of the chunk that begins at an offset; None where the header does not say."""
    return (at - header) // SEALED_CHUNK_BYTES if header else None


def _zeros(block: bytes, begin: int, header: int) -> list[Place]:
    """Name the chunks whose tag is zero, as a real one is once in 2^128: bytes that never arrived."""
    found = []
    for at in range(0, len(block), SEALED_CHUNK_BYTES):
        chunk = block[at : at + SEALED_CHUNK_BYTES]
        if not chunk[-TAG_BYTES:].strip(b"\0"):
            found.append(Place(_number(begin + at, header), begin + at, len(chunk), "zeros"))
    return found
