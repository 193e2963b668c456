"""One worker's process, as its parent sees it: how it is started, and how it ended. Edge."""

from __future__ import annotations

import contextlib
import json
import logging
import mmap
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.capture.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.capture.roster import Assignment

BEAT_BYTES = 1 << 20

log = logging.getLogger("pasu.record")


@dataclass(slots=True)
class Worker:
    """One child process.

    numbers  the cameras by the number that its mark names; a number is not used twice
    """

    assignment: Assignment
    pid: int
    control: socket.socket
    shared: Shared
    started: float
    beaten: float
    cause: str
    killed: str = ""  # why, by us; and not yet gone: a process that waits for a dead disk may take its time
    mute: bool = False  # its socket is closed, the process may still be ending
    state: dict[str, Any] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    ends_by: float | None = None  # it has nothing to record any more, and was told to end
    successor: Assignment | None = None  # what is to begin when it has ended

    def hear(self, now: float) -> bool:
        """Take its next word, which is its state; false when there is none now. now: monotonic seconds."""
        try:
            message = self.control.recv(BEAT_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            message = b""
        self.mute = not message
        if self.mute:
            return False
        self.beaten = now
        self.state = json.loads(message)
        return True


def start(command: Sequence[str], assignment: Assignment, order: dict[str, Any], now: float) -> Worker:
    """Start a process and give it its order.

    command  argv; two file descriptor numbers are appended: of the socket, and of the memory that is shared
    now      monotonic seconds
    Raises   OSError
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BEAT_BYTES)
    os.set_inheritable(theirs.fileno(), True)
    shared, number = Shared.create(witness=assignment.witness)
    try:
        arguments = [*command, str(theirs.fileno()), str(number)]
        pid = os.posix_spawn(sys.executable, arguments, dict(os.environ))
    except OSError:
        ours.close()
        shared.close()
        raise
    finally:
        theirs.close()
        os.close(number)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is gone already: that will be seen
        ours.send(json.dumps(order).encode())
    cameras = list(assignment.cameras)
    log.info("worker %s started (%d) with %d cameras", assignment.name, pid, len(cameras))
    return Worker(assignment, pid, ours, shared, now, now, order["cause"], numbers=cameras)


def ended(worker: Worker) -> str | None:
    """Return how a process ended: a signal's name, `exit` and its status, or why we killed it; None while it lives."""
    pid, status = os.waitpid(worker.pid, os.WNOHANG)
    if pid == 0:
        return None
    if worker.killed:
        return worker.killed
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        known = {each.value: each.name for each in signal.Signals}
        return known.get(number, f"signal {number}")
    return f"exit {os.waitstatus_to_exitcode(status)}"


def resident(pid: int) -> int:
    """Return how much memory a process has, in bytes; 0 when that cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is more than the parent needs
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError, ValueError):
        return 0
