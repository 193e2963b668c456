"""Who may change what is stored: one keeper at a time, and one hand at a time on segments that go or are held."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say
from agent.storage.files import FILE_MODE, fault, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

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
