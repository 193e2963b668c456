"""Who may change what is stored: one keeper at a time, and one hand at a time on segments that go or are held."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say
from agent.storage.files import FILE_MODE, fault, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

FATE = "fate.lock"
"""In the state directory. Held for one batch of erasing, and while a hold is placed or released: so a hold either
comes before a segment's header is shredded, or sees that it was too late."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Wait for the lock on a file, made if need be, and hold it. The kernel lets go when the process ends.

    Raises  StorageFault when the file cannot be opened or made
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise fault("open", path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def soon(folder: Path, wait_s: float, look_s: float = 0.1) -> Iterator[None]:
    """Hold the lock on a folder itself, which leaves no file behind and takes no right to write there.

    For folders in which somebody else may hold it for ever: it is waited for, and not for long.

    Raises  StorageFault FOLDER_BUSY, saying which process has it; or when the folder cannot be opened
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise fault("open", folder, error) from error
    try:
        until = time.monotonic() + wait_s
        while not try_lock(fd):
            if time.monotonic() >= until:
                raise _busy(folder, _holder(os.fstat(fd)))
            time.sleep(look_s)
        yield
    finally:
        os.close(fd)


def _busy(folder: Path, holder: str) -> StorageFault:
    return StorageFault(
        "FOLDER_BUSY",
        say(
            f"다른 프로세스가 이 폴더의 파일을 바꾸고 있습니다: {folder}",
            f"another process is changing files of this folder: {folder}",
        ),
        hint=say(
            "그것이 끝난 뒤에 다시 하십시오. 아무것도 바꾸지 않았습니다",
            "wait until it is done, then do it again; nothing was changed",
        ),
        path=str(folder),
        process=holder or "?",
    )


def _holder(status: os.stat_result, proc: Path = Path("/proc")) -> str:
    """Return number and name of the process that holds a lock, as far as the kernel tells; empty where it does not."""
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    found = ""
    with contextlib.suppress(OSError):
        for line in (proc / "locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5] == file:
                found = words[4]
                found = f"{found} {(proc / found / 'comm').read_text(errors='replace').strip()}"
    return found


def fate(state: Path) -> AbstractContextManager[None]:
    """Wait for the lock on segments' fate, and hold it, as `held` does."""
    return held(state / FATE)


def only_keeper(state: Path) -> int:
    """Make sure that nobody else keeps this state; return the lock, a descriptor that lasts until it is closed.

    It lies beside the state directory, which may not be there yet.
    Raises  StorageFault KEEPING_ALREADY; OSError
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(state.parent / f".{state.name}.keep.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    if not try_lock(fd):
        os.close(fd)
        raise StorageFault(
            "KEEPING_ALREADY",
            say("이미 다른 프로세스가 보관을 맡고 있습니다", "another process keeps this state already"),
            hint=say(
                "실행 중인 `pasu keep`을 그대로 두십시오", "leave the `pasu keep` that runs to its work"
            ),
            path=str(state),
        )
    return fd
