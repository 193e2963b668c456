"""Reach a file of the vault without following a link at any level, so that nothing outside is ever touched (B14)."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage import files
from agent.storage.envelope import MAX_HEADER_BYTES
from agent.storage.head import is_whole
from agent.storage.layout import CAMERA_NAME, DAY_NAME, Kind, Stem, classify
from agent.storage.vault import IDENTITY, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.storage.vault import Vault

STORED = (Kind.FINAL, Kind.SALVAGED)
TAIL = ".tail"
"""What the tail of either kind has after its segment's name."""


@contextmanager
def anchor(vault: Vault) -> Iterator[int]:
    """Open the vault's root; give its descriptor. What is reached from it stays the same disk, also when that is
    unmounted meanwhile.

    Raises  StorageFault
    """
    fd = vault.disk.open_directory(vault.root)
    try:
        yield fd
    finally:
        vault.disk.close(fd)


def make_sure(vault: Vault, root: int) -> None:
    """Make sure that an open root is the vault's, and that it still is what the vault's path leads to.

    Raises  StorageFault
    """
    vault.verify()
    opened = vault.disk.status(root, vault.root)
    try:
        here, identity = vault.root.stat(), (vault.root / IDENTITY).stat()
    except OSError as error:
        raise files.fault("stat", vault.root, error) from error
    if not os.path.samestat(opened, here) or identity.st_dev != opened.st_dev:
        raise missing(vault.root)


@contextmanager
def folder(vault: Vault, relative: str, root: int | None = None) -> Iterator[int]:
    """Open a directory of the vault, level by level from its root; give its descriptor.

    root    the vault's, when it is open
    Raises  StorageFault; `is_absent` tells one that is not there from one that cannot be reached
    """
    place = vault.root
    fd = vault.disk.open_directory(place) if root is None else vault.disk.open_folder_at(root, ".", place)
    try:
        for name in relative.split("/"):
            place = place / name
            inner = vault.disk.open_folder_at(fd, name, place)
            vault.disk.close(fd)
            fd = inner
        yield fd
    finally:
        vault.disk.close(fd)


def is_absent(fault: StorageFault) -> bool:
    """Tell whether a fault says that nothing of this name is there; not so a link, or a file in the place of a
    directory.
    """
    return fault.context.get("errno") == "ENOENT"


def is_no_file(fault: StorageFault) -> bool:
    """Tell whether opening a file failed because what bears its name is none: a link, a directory, a device."""
    return fault.context.get("errno") in ("ELOOP", "EINVAL", "ENXIO", "EISDIR")


def is_surely_absent(vault: Vault, root: int, relative: str) -> bool:
    """Tell whether nothing bears a name, and every directory on the way that is there is on the vault's file system:
    what another disk hides, or did before it was unmounted, is not absent.

    root    the vault's, open
    Raises  StorageFault when that cannot be told
    """
    device = vault.disk.status(root, vault.root).st_dev
    place = vault.root
    fd = vault.disk.open_folder_at(root, ".", place)
    try:
        for name in relative.split("/"):
            if vault.disk.status(fd, place).st_dev != device:
                return False
            place = place / name
            try:
                inner = vault.disk.open_folder_at(fd, name, place)
            except StorageFault as fault:
                if is_absent(fault):
                    return True
                if fault.context.get("errno") in ("ENOTDIR", "ELOOP"):
                    return False
                raise
            vault.disk.close(fd)
            fd = inner
    finally:
        vault.disk.close(fd)
    return False


def stem_of_path(path: object) -> tuple[Stem, Kind] | None:
    """Read a segment's path, relative to its vault; None for what no segment bears, be it no text at all."""
    if not isinstance(path, str):
        return None
    parts = path.split("/")
    if (
        len(parts) != 4
        or parts[0] != "segments"
        or not CAMERA_NAME.match(parts[1])
        or not DAY_NAME.match(parts[2])
    ):
        return None
    what = classify(*parts[1:])
    return what if what is not None and what[1] in STORED else None


def has_header(vault: Vault, path: str, root: int | None = None) -> bool:
    """Tell whether a segment's file is there with its header, so that its recipients can open it.

    root    the vault's, when it is open
    Raises  StorageFault when that cannot be told
    """
    directory, _, name = path.rpartition("/")
    place = vault.at(path)
    try:
        with folder(vault, directory, root) as inside:
            fd = vault.disk.open_file_at(inside, name, place, writing=False)
            try:
                return is_whole(vault.disk.read_start(fd, place, MAX_HEADER_BYTES))
            finally:
                vault.disk.close(fd)
    except StorageFault as fault:
        if is_absent(fault):
            return False
        raise
