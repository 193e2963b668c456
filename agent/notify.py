"""Tell systemd how a process is (sd_notify(3)), by one datagram to the socket that it names. Edge, but for `datagram`.

`alive` is called where the work is done, and by nobody else: a loop that hangs says nothing, and systemd ends it
(`WatchdogSec=` of the units). Before `ready` the same call asks for more time to start.
Where no systemd asked for it nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

ADDRESS = "NOTIFY_SOCKET"
BELONGING = ("WATCHDOG_USEC", "WATCHDOG_PID")
"""What else systemd puts into the environment with it. The unit's figure is not looked at: once a second is enough."""
SAY_S = 1.0
START_MOST_S = 3600.0
"""After that no more time is asked for: what was put in order stays so, and the next start goes on from there."""
EXTEND_S = 120
"""So much longer a start may take from each word on; what is written out and not yet on a slow disk takes that."""


def datagram(**said: str) -> bytes:
    """Return a message: one line for each word, NAME=value.

    said    as READY="1"; a newline in a value would be another word, and becomes a space
    Source  sd_notify(3)
    """
    return "\n".join(f"{name}={value.replace(chr(10), ' ')}" for name, value in said.items()).encode()


def address(value: str) -> str | None:
    """Return what to send to, of what NOTIFY_SOCKET says; None when it names nothing that can be sent to.

    A path, or `@` and a name in the abstract name space, which begins with a NUL for the kernel.
    """
    if len(value) < 2 or value[0] not in "/@":
        return None
    return "\0" + value[1:] if value[0] == "@" else value


class Notifier:
    """What one process tells. `to` is None where nobody asked."""

    def __init__(self, to: str | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Tell nothing yet."""
        self._to = to
        self._monotonic = monotonic
        self._began_s = monotonic()
        self._said_s = self._began_s - SAY_S
        self._status = ""
        self.is_ready = False

    def ready(self) -> None:
        """Tell, once, that what was asked for is being done; from then on systemd wants to hear `alive`."""
        if not self.is_ready:
            self.is_ready = True
            self._said_s = self._monotonic()
            self._send(READY="1", WATCHDOG="1")

    def alive(self) -> None:
        """Tell that the work goes on: to be called as often as one likes."""
        now_s = self._monotonic()
        if now_s - self._said_s < SAY_S:
            return
        self._said_s = now_s
        if self.is_ready:
            self._send(WATCHDOG="1")
        elif now_s - self._began_s < START_MOST_S:
            self._send(EXTEND_TIMEOUT_USEC=str(EXTEND_S * 1_000_000))

    def status(self, text: str) -> None:
        """Say in a few words what `systemctl status` shows, when they are others than before."""
        if text != self._status:
            self._status = text
            self._send(STATUS=text)

    def stopping(self) -> None:
        """Tell that it ends, by itself or because it was told to."""
        self._send(STOPPING="1")

    def _send(self, **said: str) -> None:
        if self._to is None:
            return
        # Nobody's work ends for it that systemd does not listen, or not at once.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            sending.sendto(datagram(**said), self._to)


def take(environment: MutableMapping[str, str] = os.environ) -> Notifier:
    """Return what tells systemd, and take its address out of the environment: no child speaks for its parent."""
    for name in BELONGING:
        environment.pop(name, None)
    return Notifier(address(environment.pop(ADDRESS, "")))
