"""Look into a block device, or measure a disk: a program of its own, in a mount name space of its own.

    unshare --mount --propagation private -- python -m agent.field.setup.inside look /dev/sdb
    unshare --mount --propagation private -- python -m agent.field.setup.inside measure /dev/sdb BYTES CAMERAS

What it mounts nobody else sees, and it is gone with the process, however that ends. To look, a file system is mounted
read-only and its journal is not replayed: not one byte of the disk changes. What is measured has no name, and nothing
is left of it. Both print one line of JSON at the end; `measure` prints how many of how many rounds before that.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.field.setup.drives import NAMES_SHOWN
from agent.storage.files import Disk, exists, is_directory, read_small
from agent.storage.vault import IDENTITY, MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEN = {
    "ext2": "noload", "ext3": "noload", "ext4": "noload", "xfs": "norecovery", "btrfs": "",
    "vfat": "", "exfat": "", "ntfs": "", "f2fs": "",
}  # fmt: skip
"""File systems that are looked into, and the option by which their journal is left alone."""
NEW = "defaults,nodev,nosuid,noexec,noatime"
KNOWN_PLACE = "var/lib/pasu/vault"
ENTRIES = 300_000
"""More are not gone through: what cannot be seen as a whole is not made anew."""
START_BYTES, PIECE_BYTES, PIECES = 4 << 20, 64 << 10, 256
ROUNDS, LEAST_ROUNDS, LIMIT_S = 100, 10, 45.0
AMBIVALENT = 8  # blkid(8): several signatures contradict each other
TOOLS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def look(device: str, at: str = "") -> dict[str, Any]:
    """Return what is on a block device: a `drives.Content` as JSON. at: where it is mounted already."""
    found: dict[str, Any] = {"names": []}
    done = subprocess.run(
        ["blkid", "--probe", "--output", "export", device],
        capture_output=True,
        text=True,
        check=False,
        env=TOOLS,
        errors="replace",
    )
    told = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    if done.returncode == AMBIVALENT:
        return {**found, "signature": "?"}
    kind = told.get("TYPE", "")
    found |= {"signature": kind or told.get("PTTYPE", ""), "uuid": told.get("UUID", "")}
    if not kind:
        if told.get("PTTYPE"):
            return {**found, "opened": True}
        return {**found, "blank": _blank(Path(device))}
    if at:
        with contextlib.suppress(OSError):
            return {**found, "opened": True, **_tree(Path(at))}
        return found
    if kind not in SEEN:
        return found
    with tempfile.TemporaryDirectory(prefix="pasu-init-", dir="/run") as place:
        options = ",".join(filter(None, ("ro,nodev,nosuid,noexec", SEEN[kind])))
        mounted = subprocess.run(
            ["mount", "-t", kind, "-o", options, device, place], capture_output=True, check=False, env=TOOLS
        )
        if mounted.returncode:
            return found
        try:
            return {**found, "opened": True, **_tree(Path(place))}
        except OSError:
            return found
        finally:
            subprocess.run(["umount", place], check=False, env=TOOLS)


def _blank(device: Path) -> bool:
    """Tell whether a device bears nothing but zeroes (or ones, as flash does) wherever it is read.

    That is at its beginning, at its end, and in PIECES places between.
    """
    with device.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        places = [(0, START_BYTES), (max(0, size - START_BYTES), START_BYTES)]
        places += [(size * number // PIECES, PIECE_BYTES) for number in range(PIECES)]
        for start, length in places:
            file.seek(start)
            piece = file.read(length)
            if piece.strip(b"\0") and piece.strip(b"\xff"):
                return False
    return True


def _tree(root: Path) -> dict[str, Any]:
    """Look for a vault, or for anything sealed, and for what else there is. Raises OSError."""
    names = sorted(each.name for each in root.iterdir() if each.name != "lost+found")
    shown = [
        "".join(letter if letter.isprintable() else "?" for letter in name) for name in names[:NAMES_SHOWN]
    ]
    found: dict[str, Any] = {"names": shown, "more": max(0, len(names) - NAMES_SHOWN)}
    for place in (root, root / KNOWN_PLACE):
        box = _vault_box(place)
        if box is not None:
            return {**found, "vault_box": box, "vault_at": _within(place, root)}
    for entry in _walk(root):
        if entry.name == IDENTITY:
            box = _vault_box(Path(entry.path).parent)
            if box is not None:
                return {**found, "vault_box": box, "vault_at": _within(Path(entry.path).parent, root)}
        if entry.name.endswith((".mp4.age", ".mp4.age.part")):
            return {**found, "vault_box": "", "vault_at": _within(Path(entry.path).parent, root)}
    return found


def _within(place: Path, root: Path) -> str:
    return "" if place == root else str(place.relative_to(root))


def _vault_box(place: Path) -> str | None:
    """Return whose vault a folder is: "" when it does not say, None when it is none."""
    if not exists(place / IDENTITY):
        return None
    try:
        told = json.loads(read_small(place / IDENTITY, 4096))
        if told["magic"] == MAGIC:
            return str(told.get("box", ""))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    # A damaged identity beside segments is a vault all the same; a file that happens to have the name is none.
    return "" if is_directory(place / "segments") else None


def _walk(root: Path) -> Iterator[os.DirEntry[str]]:
    """Yield all that is in a tree, the upper levels first. Raises OSError where it cannot be gone through."""
    level, seen = [str(root)], 0
    while level:
        below = []
        for folder in level:
            with os.scandir(folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > ENTRIES:
                        raise OSError(errno.EFBIG, "too many files to go through", folder)
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    yield entry
        level = below


def measure(target: Path, bytes_s: int, cameras: int, disk: Disk | None = None) -> dict[str, Any]:
    """Write again and again what all cameras send in a second, each into a file of its own, and make it durable.

    target   a folder, or a device with a file system, which is mounted for that
    Returns  took_us, free_bytes, total_bytes: a `fit.Cost`
    Raises   OSError, StorageFault
    """
    if target.is_dir():
        return _measured(target, bytes_s, cameras, disk or Disk())
    with tempfile.TemporaryDirectory(prefix="pasu-init-", dir="/run") as place:
        subprocess.run(["mount", "-o", NEW, str(target), place], check=True, env=TOOLS, capture_output=True)
        try:
            return _measured(Path(place), bytes_s, cameras, disk or Disk())
        finally:
            subprocess.run(["umount", place], check=False, env=TOOLS)


def _measured(place: Path, bytes_s: int, cameras: int, disk: Disk) -> dict[str, Any]:
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize
    piece = os.urandom(max(1, bytes_s // cameras))
    most = free // 4 // cameras  # it wraps around, so that the disk is never filled
    took: list[int] = []
    with contextlib.ExitStack() as opened:
        folder = disk.open_directory(place)
        opened.callback(disk.close, folder)
        flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
        files = [disk.call("create", place, os.open, place, flags, 0o600) for _ in range(cameras)]
        for fd in files:
            opened.callback(disk.close, fd)
        begun, written = time.monotonic(), 0
        for number in range(ROUNDS):
            if written + len(piece) > most:
                for fd in files:
                    disk.call("seek", place, os.lseek, fd, 0, os.SEEK_SET)
                written = 0
            start = time.monotonic_ns()
            for fd in files:
                disk.write_all(fd, place, piece)
            disk.syncfs(folder, place)
            took.append((time.monotonic_ns() - start) // 1000)
            written += len(piece)
            print(number + 1, ROUNDS, flush=True)
            if number + 1 >= LEAST_ROUNDS and time.monotonic() - begun > LIMIT_S:
                break
    return {"took_us": took, "free_bytes": free, "total_bytes": room.f_blocks * room.f_frsize}


def main(words: list[str]) -> int:
    """Do what the first word says."""
    task, target, *rest = words
    if task == "look":
        print(json.dumps(look(target, *rest)))
    else:
        print(json.dumps(measure(Path(target), int(rest[0]), int(rest[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
