"""What `pasu centre watch` says of its own line to the broker: without it every box seems silent."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.errors import UplinkFault
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Callable

AWAY, BACK = "broker_away", "broker_back"
AGAIN_S = 5.0
AWAY_S = 5.0
"""A broker that is read anew is back within a second or two."""


class Opens(Protocol):
    """A wire that is not open yet."""

    def open(self, within_s: float) -> None:
        """Connect. Raises UplinkFault."""
        ...


def opened(wire: Opens, within_s: float, pause: Callable[[float], None] = time.sleep) -> None:
    """Connect, however long that takes: a cluster may be forming, a list of rights may be about to be read anew.

    Each reason is said once, with what is to be done about it.
    """
    from agent.cli.problem import show_error

    said: set[tuple[str, str]] = set()
    while True:
        try:
            wire.open(within_s)
        except UplinkFault as fault:
            reason = (fault.code, str(fault.context.get("reason", "")))
            if reason not in said:
                said.add(reason)
                show_error(fault)
                print(
                    say(
                        "브로커를 기다리며 계속 다시 시도합니다. 그만두려면 Ctrl-C.",
                        "Waiting for the broker, and trying again. Ctrl-C ends it.",
                    ),
                    file=sys.stderr,
                    flush=True,
                )
            pause(AGAIN_S)
        else:
            if said:
                print(
                    say("브로커에 연결되었습니다.", "Connected to the broker."), file=sys.stderr, flush=True
                )
            return


@dataclass(slots=True)
class Line:
    """Follows whether the broker is there."""

    _gone_s: float | None = None
    _told: bool = False

    def turn(self, now_s: float, *, connected: bool) -> str:
        """Return AWAY or BACK when that is to be said now, else nothing."""
        if connected:
            told, self._told, self._gone_s = self._told, False, None
            return BACK if told else ""
        if self._gone_s is None:
            self._gone_s = now_s
        if self._told or now_s - self._gone_s < AWAY_S:
            return ""
        self._told = True
        return AWAY
