"""The life of pasu-clock: ask the kernel whether a time service disciplines its clock, and say so to the others.

The system call that tells is the one that sets (glibc's adjtimex(3) calls clock_adjtime(2)): so that no other unit is
left it, one process that holds nothing else asks for all. `agent.clock` reads what it says where the kernel itself
refuses to answer.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from agent import logs, minding, notify
from agent.clock import TOLD, SystemSource

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import ClockSource

ASK_S = 2.0


def tell(source: ClockSource, place: Path) -> None:
    """Write what the kernel says now, whole at every moment. Raises OSError."""
    body = {"synced": source.kernel_synced(), "boot_ms": source.boot_ms()}
    part = place.with_name(f".{place.name}.part")
    part.write_text(json.dumps(body), encoding="ascii")
    os.chmod(part, 0o644)  # noqa: PTH101 - read by the other units, whatever the umask
    part.replace(place)


def main(place: Path = TOLD) -> int:
    """Ask until SIGTERM or SIGINT; return the exit status. Raises OSError."""
    logs.to_stderr()
    notifier = notify.take()
    with minding.woken_by(signal.SIGTERM, signal.SIGINT) as (stopped, wake):
        while not stopped:
            tell(SystemSource(), place)
            notifier.ready()
            notifier.alive()
            select.select([wake], [], [], ASK_S)
    notifier.stopping()
    place.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
