"""The memory that a worker shares with its parent, and that outlives the worker.

    bytes 0-1      number of the camera being served plus one, 0 between (native order)
    bytes 8-15     how many bytes the ring was given in all (native order)
    second page on a ring of what the camera sent last; only in the worker of a camera that crashed one before

It is what is left to judge a crash by: whose turn it was, and what had just come in.
"""

from __future__ import annotations

import mmap
import os
from typing import Self

RING_BYTES = 64 << 10
_COUNT_AT = 8
_RING_AT = mmap.PAGESIZE


class Shared:
    """One worker's shared memory, seen from either side."""

    def __init__(self, number: int) -> None:
        """Map the memory behind a file descriptor, which may be closed afterwards."""
        size = os.fstat(number).st_size
        self._memory = mmap.mmap(number, size)
        self._view = memoryview(self._memory)
        self.mark = self._view[:2].cast("H")
        self._count = self._view[_COUNT_AT : _COUNT_AT + 8].cast("Q")
        self.witness = size > _RING_AT
        """Whether there is a ring."""

    @classmethod
    def create(cls, *, witness: bool) -> tuple[Self, int]:
        """Make such a memory; return it and the file descriptor to be inherited. Raises OSError."""
        number = os.memfd_create("pasu-mark")
        try:
            os.ftruncate(number, _RING_AT + (RING_BYTES if witness else 0))
            shared = cls(number)
        except OSError:
            os.close(number)
            raise
        os.set_inheritable(number, True)
        return shared, number

    def note(self, data: bytes) -> None:
        """Keep what has come from the camera; the oldest of it is overwritten."""
        self._count[0] += len(data)
        data = data[-RING_BYTES:]
        at = (self._count[0] - len(data)) % RING_BYTES
        head = min(len(data), RING_BYTES - at)
        self._view[_RING_AT + at : _RING_AT + at + head] = data[:head]
        self._view[_RING_AT : _RING_AT + len(data) - head] = data[head:]

    def last(self) -> bytes:
        """Return what came last, oldest first, RING_BYTES at most."""
        if not self.witness:
            return b""
        count = self._count[0]
        at = count % RING_BYTES
        ring = bytes(self._view[_RING_AT:])
        return ring[:count] if count <= RING_BYTES else ring[at:] + ring[:at]

    def close(self) -> None:
        """Let go of it."""
        self.mark.release()
        self._count.release()
        self._view.release()
        self._memory.close()
