"""How long a busy machine lets one wait who is ready to run: what a test of times allows on top of its bound."""

from __future__ import annotations

import threading
import time
from typing import Self

STEP_S = 0.01


class Held:
    """Sleeps for moments beside the test, and sees by how much it wakes late.

    most_ms  by how much at most
    """

    def __init__(self) -> None:
        """Measure nothing yet."""
        self.most_ms = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._over.wait(STEP_S):
            now = time.monotonic()
            self.most_ms = max(self.most_ms, round(1000 * (now - before - STEP_S)))
            before = now
