"""A real disk for tests: a file with an ext4 in it, which can be filled, broken, taken away and brought back."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


class LoopDisk:
    def __init__(self, image: Path, place: Path, *, mib: int = 64, mkfs: tuple[str, ...] = ()) -> None:
        self.image, self.place = image, place
        place.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(mib * MIB)
        subprocess.run([need("mkfs.ext4"), "-q", "-F", "-m", "0", *mkfs, image], check=True)
        found = subprocess.run([need("losetup"), "--find", "--show", image], capture_output=True, text=True)
        if found.returncode:
            reason = "no loop device: run as root"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        self.device = found.stdout.strip()
        self.mount()

    def mount(self, *options: str) -> None:
        subprocess.run(
            ["mount", "-o", ",".join(("errors=remount-ro", *options)), self.device, self.place], check=True
        )

    def unmount(self) -> None:
        """Unmount it, whereupon all that was written to it is in the image."""
        subprocess.run(["umount", self.place], check=True)

    def take_away(self) -> None:
        """Unmount it although files on it are open."""
        subprocess.run(["umount", "--lazy", self.place], check=True)

    def repair(self) -> None:
        done = subprocess.run(["e2fsck", "-p", "-f", self.device], capture_output=True, text=True)
        assert done.returncode <= 1, done.stdout + done.stderr

    def turn_read_only(self) -> None:
        """Let the file system find an error in itself, upon which it takes no more writes."""
        Path(f"/sys/fs/ext4/{Path(self.device).name}/trigger_fs_error").write_text("1")

    def free(self) -> int:
        status = os.statvfs(self.place)
        return status.f_bavail * status.f_frsize

    def fill(self, name: str = "another program's file") -> Path:
        """Use up every block, as another program would."""
        place = self.place / name
        fd = os.open(place, os.O_WRONLY | os.O_CREAT)
        try:
            for size in (MIB, 4096, 512):
                with suppress(OSError):
                    while os.write(fd, b"\xff" * size):
                        pass
            with suppress(OSError):
                os.fsync(fd)
        finally:
            os.close(fd)
        return place

    def close(self) -> None:
        for _ in range(4):
            if os.path.ismount(self.place):
                subprocess.run(["umount", "--lazy", self.place], check=False)
        subprocess.run(["losetup", "--detach", self.device], check=False)


@contextmanager
def loop_disk(image: Path, place: Path, **more) -> Iterator[LoopDisk]:
    disk = LoopDisk(image, place, **more)
    try:
        yield disk
    finally:
        disk.close()
