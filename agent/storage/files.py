"""The one place that knows how to be durable.

Every system call that writes goes through `Disk.call`: tests put a failing disk there instead of patching
anything. What the operating system refuses comes out as a StorageFault whose code says what the site can do
about it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from agent.errors import StorageFault
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
TEMPORARY = ".tmp"
LOCK_NEW_S = 1.0
"""Ending of the file that `atomic_replace` writes before it takes the target's name."""

_FALLOC_FL_KEEP_SIZE = 1  # linux/falloc.h: blocks beyond the end, st_size unchanged
_CODES = {
    errno.ENOSPC: "DISK_FULL",
    errno.EDQUOT: "DISK_FULL",
    errno.EROFS: "DISK_READ_ONLY",
    errno.EACCES: "DISK_DENIED",
    errno.EPERM: "DISK_DENIED",
    errno.ENOENT: "DISK_MISSING",
    errno.ENOTDIR: "DISK_MISSING",
    errno.ENODEV: "DISK_MISSING",
    errno.EEXIST: "NAME_TAKEN",
}


def fault(op: str, path: Path, error: OSError) -> StorageFault:
    """Turn what the operating system said into a StorageFault.

    op       the system call; path what it was about
    Returns  code by errno, DISK_FAILED for everything that has no better name; context path, op, errno name
    """
    code = _CODES.get(error.errno or 0, "DISK_FAILED")
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    message, hint = _texts(code)
    return StorageFault(code, message, hint=hint, path=str(path), op=op, errno=name)


def _texts(code: str) -> tuple[str, str]:
    return {
        "DISK_FULL": (
            say("디스크가 가득 찼습니다", "the disk is full"),
            say(
                "보관 기간을 줄이거나 더 큰 디스크로 바꾸십시오",
                "shorten the retention or put in a larger disk",
            ),
        ),
        "DISK_READ_ONLY": (
            say("디스크가 읽기 전용입니다", "the disk is mounted read-only"),
            say("dmesg에서 디스크 오류를 확인하십시오", "look for disk errors in dmesg; replace the disk"),
        ),
        "DISK_DENIED": (
            say("디스크에 쓸 권한이 없습니다", "the disk denies access"),
            say("폴더의 소유자와 권한을 확인하십시오", "check owner and mode of the directory"),
        ),
        "DISK_MISSING": (
            say("파일이나 폴더가 없습니다", "a file or directory is gone"),
            say("디스크가 연결되어 있는지 확인하십시오", "check that the disk is mounted"),
        ),
        "NAME_TAKEN": (
            say("같은 이름의 파일이 이미 있습니다", "a file of that name exists already"),
            say("기존 파일은 그대로 두십시오", "leave the existing file alone"),
        ),
        "DISK_FAILED": (
            say("디스크 쓰기에 실패했습니다", "the disk failed"),
            say("케이블과 디스크를 점검하십시오", "check cable and disk (smartctl -a); replace the disk"),
        ),
    }[code]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.syncfs.argtypes = (ctypes.c_int,)


def _fallocate(fd: int, size: int) -> None:
    if _libc.fallocate(fd, _FALLOC_FL_KEEP_SIZE, 0, size) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _syncfs(fd: int) -> None:
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _unlink_if_there(path: Path | str, folder: int | None = None) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path, dir_fd=folder)


def _rmdir_if_empty(name: str, folder: int) -> bool:
    try:
        os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


class Disk:
    """System calls on files, each either done or a StorageFault. Holds no state."""

    def call(self, op: str, path: Path, function: Callable[..., T], *args: Any) -> T:  # noqa: ARG002 - for those who override it
        """Make one system call. This is the seam: a subclass may fail it, or cut a write short.

        op, path  say which call this is, for those who choose
        Raises    OSError, as the operating system does
        """
        return function(*args)

    def _do(self, op: str, path: Path, function: Callable[..., T], *args: Any) -> T:
        while True:
            try:
                return self.call(op, path, function, *args)
            except InterruptedError:
                continue
            except OSError as error:
                raise fault(op, path, error) from error

    def create_excl(self, path: Path) -> int:
        """Create a file that must not exist, for writing; return its descriptor. Mode 0600."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return self._do("create", path, os.open, path, flags, FILE_MODE)

    def open_existing(self, path: Path) -> int:
        """Open a regular file for reading and writing; a symbolic link or anything else is refused."""
        fd = self._do("open", path, os.open, path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            self.close(fd)
            raise fault("open", path, OSError(errno.EINVAL, "not a regular file"))
        return fd

    def open_reading(self, path: Path) -> int:
        """Open a regular file for reading; a symbolic link or anything else is refused."""
        fd = self._do("open", path, os.open, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            self.close(fd)
            raise fault("open", path, OSError(errno.EINVAL, "not a regular file"))
        return fd

    def read_at(self, fd: int, path: Path, size: int, offset: int) -> bytes:
        """Read at most `size` bytes from an offset; fewer only at the end of the file."""
        parts: list[bytes] = []
        while size > 0 and (part := self._do("read", path, os.pread, fd, size, offset)):
            parts.append(part)
            size -= len(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def open_directory(self, path: Path) -> int:
        """Open a directory, for `syncfs`."""
        return self._do("open", path, os.open, path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open_folder_at(self, folder: int, name: str, path: Path) -> int:
        """Open a directory inside an open one; a symbolic link is refused. `path` is what faults call it."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
        return self._do("open", path, partial(os.open, name, flags, dir_fd=folder))

    def open_file_at(self, folder: int, name: str, path: Path, *, writing: bool) -> int:
        """Open a regular file inside an open directory; a symbolic link or anything else is refused."""
        flags = (os.O_RDWR if writing else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = self._do("open", path, partial(os.open, name, flags, dir_fd=folder))
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            self.close(fd)
            raise fault("open", path, OSError(errno.EINVAL, "not a regular file"))
        return fd

    def status(self, fd: int, path: Path) -> os.stat_result:
        """Return what is known of an open file."""
        return self._do("stat", path, os.fstat, fd)

    def read_start(self, fd: int, path: Path, size: int) -> bytes:
        """Read the first bytes of an open file, as many as there are."""
        parts: list[bytes] = []
        while size and (part := self._do("read", path, os.pread, fd, size, sum(map(len, parts)))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def overwrite(self, fd: int, path: Path, data: bytes) -> None:
        """Write over the first bytes of a file, in place."""
        written = 0
        while written < len(data):
            written += self._do("overwrite", path, os.pwrite, fd, data[written:], written)

    def link_at(self, source: int, target: int, name: str, path: Path) -> None:
        """Give a file of one open directory the same name in another one; what has the name is left alone."""
        self._do(
            "link",
            path,
            partial(os.link, name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False),
        )

    def unlink_at(self, folder: int, name: str, path: Path) -> None:
        """Remove a name from an open directory; that it is gone already is as good."""
        self._do("unlink", path, partial(_unlink_if_there, name, folder))

    def remove_folder_at(self, folder: int, name: str, path: Path) -> bool:
        """Remove a directory from an open one if it is empty; tell whether it is gone."""
        return self._do("rmdir", path, partial(_rmdir_if_empty, name, folder))

    def fsync(self, fd: int, path: Path) -> None:
        """Make durable what an open file or directory holds."""
        self._do("fsync", path, os.fsync, fd)

    def close(self, fd: int) -> None:
        """Let go of a descriptor. What the system says is not heard: durable is what was synced."""
        with contextlib.suppress(OSError):
            os.close(fd)

    def preallocate(self, fd: int, path: Path, size: int) -> bool:
        """Reserve `size` bytes of blocks without changing the file's length; return whether it was done.

        Only a help against fragments, and so never a fault: a file system that cannot do it, or has no room,
        says so when the bytes themselves are written.
        """
        try:
            self._do("fallocate", path, _fallocate, fd, size)
        except StorageFault:
            return False
        return True

    def write_all(self, fd: int, path: Path, data: bytes) -> None:
        """Write every byte, over short writes and interruptions.

        Raises  StorageFault; how much of the data has reached the file is then unknown
        """
        written = self._do("write", path, os.write, fd, data)
        if written != len(data):
            view = memoryview(data)
            while written < len(data):
                written += self._do("write", path, os.write, fd, view[written:])

    def truncate(self, fd: int, path: Path, size: int) -> None:
        """Set the file's length; blocks reserved beyond it are given back."""
        self._do("truncate", path, os.ftruncate, fd, size)

    def touch(self, fd: int, path: Path, utc_ms: int) -> None:
        """Say that the file was last written at a time."""
        self._do("touch", path, partial(os.utime, fd, ns=(utc_ms * 1_000_000, utc_ms * 1_000_000)))

    def stamp(self, path: Path, utc_ns: int) -> None:
        """Say when what is in a file ended; links are not followed."""
        self._do("stamp", path, partial(os.utime, path, ns=(utc_ns, utc_ns), follow_symlinks=False))

    def fdatasync(self, fd: int, path: Path) -> None:
        """Make the file's bytes durable. Never to be tried again after a fault: the kernel drops what
        failed.
        """
        self._do("fdatasync", path, os.fdatasync, fd)

    def syncfs(self, fd: int, path: Path) -> None:
        """Make everything on the file system durable. Never to be tried again for the bytes that it failed
        on.
        """
        self._do("syncfs", path, _syncfs, fd)

    def fsync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        fd = self.open_directory(path)
        try:
            self._do("fsync", path, os.fsync, fd)
        finally:
            self.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name; an existing target is replaced, so the caller has looked."""
        self._do("rename", target, os.rename, source, target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name, which must be free; a symbolic link is not followed."""
        self._do("link", target, lambda: os.link(source, target, follow_symlinks=False))

    def unlink(self, path: Path) -> None:
        """Remove a name; that it is gone already is as good."""
        self._do("unlink", path, _unlink_if_there, path)

    def make_directory(self, path: Path) -> None:
        """Make one directory, and make its name durable; nothing happens if it is there. Mode 0700.

        Parents are never made: where one is missing a disk may be missing, and its place must stay empty.
        """
        try:
            self._do("mkdir", path, os.mkdir, path, DIRECTORY_MODE)
        except StorageFault as error:
            if error.code != "NAME_TAKEN" or not is_directory(path):
                raise
            return
        self.fsync_directory(path.parent)

    def atomic_replace(
        self,
        path: Path,
        data: bytes,
        *,
        sync: bool,
        mode: int = FILE_MODE,
        owner: tuple[int, int] | None = None,
    ) -> None:
        """Give a file new content, so that a reader sees the old or the new, whole.

        sync    make it durable here; otherwise a later `syncfs` does
        mode    who may read it, whatever the umask
        owner   whose it is, user and group; None: of who writes
        Raises  StorageFault, the old content is then in place
        """
        temporary = path.with_name(path.name + TEMPORARY)
        # Never opened where something lies: a pipe, put there by another process, would be waited for for ever.
        self.unlink(temporary)
        fd = self.create_excl(temporary)
        try:
            try:
                self.write_all(fd, temporary, data)
                if owner is not None and owner != (os.geteuid(), os.getegid()):
                    self._do("chown", temporary, os.fchown, fd, *owner)
                if mode != FILE_MODE:
                    self._do("chmod", temporary, os.fchmod, fd, mode)
                if sync:
                    self.fdatasync(fd, temporary)
            finally:
                self.close(fd)
            self.rename(temporary, path)
        except StorageFault:
            with contextlib.suppress(StorageFault):
                self.unlink(temporary)
            raise
        if sync:
            self.fsync_directory(path.parent)


def try_lock(fd: int) -> bool:
    """Lock an open file for this process; false if another holds it. The kernel lets go when the process
    ends.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lock_new(fd: int) -> bool:
    """Lock a file that this process has just made; false where that cannot be.

    Whoever asks whether it is locked holds the lock for an instant, and is waited for: a recorder's file that were not
    locked would be taken for one that was left behind.
    """
    until = time.monotonic() + LOCK_NEW_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.001)
        except OSError:  # a file system without locks
            return False
        else:
            return True


def read_small(path: Path, limit: int) -> bytes:
    """Read the first bytes of a small file, for whoever trusts no disk: what is no regular file is neither followed
    nor waited for, as a pipe would be for ever.

    Raises  OSError
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:  # which refuses a directory
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read(limit)


def exists(path: Path) -> bool:
    """Tell whether a name is taken, be it by a dangling link."""
    return os.path.lexists(path)


def is_directory(path: Path) -> bool:
    """Tell whether the name itself, not what it links to, is a directory."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def is_regular(path: Path) -> bool:
    """Tell whether the name itself, not what it links to, is a regular file."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def same_file_system(one: Path, other: Path) -> bool:
    """Tell whether two existing paths lie on the same file system, so that one `syncfs` covers both."""
    return one.stat().st_dev == other.stat().st_dev
