"""SHA256SUMS of a bundle: what `sha256sum -c` compares, compared here too. It covers also what no proof does: tails."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from agent import consignment
from agent.consignment import LIMIT_BYTES, SUMS, Unreadable
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MISSING = "file_missing"
CHANGED = "file_changed"
_READ_BYTES = 1 << 20


def open_below(folder: Path, file: str) -> int:
    """Open a file by a relative name, no part of which may be a link. Raises OSError."""
    *folders, name = file.split("/")
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    at = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    for part in folders:
        try:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=at)
        finally:
            os.close(at)
        at = below
    try:
        return os.open(name, flags | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def digest_of(folder: Path, file: str) -> str:
    """Return the SHA-256 of a file below a folder, hexadecimal. Raises OSError."""
    fd, digest = open_below(folder, file), hashlib.sha256()
    with os.fdopen(fd, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, say("보통 파일이 아님", "no regular file"))
        while data := stream.read(_READ_BYTES):
            digest.update(data)
    return digest.hexdigest()


def read(folder: Path) -> bytes:
    """Read SHA256SUMS. Raises OSError."""
    with os.fdopen(open_below(folder, SUMS), "rb") as stream:
        return stream.read(LIMIT_BYTES)


def compare(folder: Path, known: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield what SHA256SUMS says otherwise than the files do: what, where, why. Nothing where there is none.

    known  digests of files that were read already
    """
    try:
        named = consignment.parse_sums(read(folder))
    except FileNotFoundError:
        return  # a bundle that was made on the box itself has none
    except (OSError, Unreadable) as error:
        yield CHANGED, SUMS, str(error)
        return
    for file, sha256 in named.items():
        if any(part in ("", ".", "..") for part in file.split("/")):
            yield CHANGED, SUMS, file
            continue
        try:
            found = known.get(file) or digest_of(folder, file)
        except FileNotFoundError:
            yield MISSING, file, ""
            continue
        except OSError as error:
            yield MISSING, file, error.strerror or ""
            continue
        if found != sha256:
            yield CHANGED, file, say("SHA256SUMS와 다름", "not what SHA256SUMS says")
