"""Who may change what is stored: one keeper at a time, and one hand at a time on segments that go or are held."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FATE = "fate.lock"
"""In the state directory. Held for one batch of erasing, and while a hold is placed or released: so a hold either
comes before a segment's header is shredded, or sees that it was too late."""


@contextmanager
def fate(state: Path) -> Iterator[None]:
    """Wait for the lock on segments' fate, and hold it. The kernel lets go when the process ends.

    Raises  OSError
    """
    fd = os.open(state / FATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
