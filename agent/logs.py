"""Where a process's log goes."""

from __future__ import annotations

import logging
import sys


def to_stderr() -> None:
    """Send this process's log to whoever started it. It is in English: see `agent.language.english`."""
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s[%(process)d] %(message)s", stream=sys.stderr
    )
