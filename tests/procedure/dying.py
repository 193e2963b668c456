"""A process that kills itself in the middle of a procedure."""

from __future__ import annotations

import itertools
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def die_at(work: Callable[[Callable[[str], None]], object], at: int) -> bool:
    """Do work in a child that kills itself after its step number `at`; false if it came to its end before."""
    pid = os.fork()
    if pid == 0:
        calls = itertools.count()

        def step(_: str) -> None:
            if next(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            work(step)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or status == 0, f"the child failed: {status}"
    return os.WIFSIGNALED(status)
