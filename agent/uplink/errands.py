"""What a post carries beside facts and health: keep's replies, and health of times without a connection."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Protocol

from agent.uplink.pulse import History

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.uplink.payloads import Health
    from agent.uplink.ports import Exchange, Notebook

REPLIES_AT_ONCE = 10
HISTORY_AT_ONCE = 10


class Publish(Protocol):
    """Publishes with QoS 1; calls `then` when the broker has it. False when there is no connection."""

    def __call__(self, kind: str, payload: bytes, *, then: Callable[[], None]) -> bool:  # noqa: D102 - as above
        ...


class Replies:
    """Sends what keep replied, and removes it when the broker has it."""

    def __init__(self, exchange: Exchange, publish: Publish, resend: Callable[[str, int], None]) -> None:
        """`resend` is told, once for each reply that says so, that the centre misses entries of a ledger from a seq."""
        self._exchange = exchange
        self._publish = publish
        self._resend = resend
        self._going: set[str] = set()
        self._heeded: set[str] = set()

    def turn(self) -> None:
        """Send what waits, a few at a time. Raises PasuError"""
        if len(self._going) >= REPLIES_AT_ONCE:
            return
        for name, text in self._exchange.replies(REPLIES_AT_ONCE):
            if name in self._going:
                continue
            self._heed(name, text)
            if not self._publish("reply", text, then=partial(self._delivered, name)):
                return
            self._going.add(name)

    def disconnected(self) -> None:
        """Forget what was on its way: it goes again."""
        self._going.clear()

    def _delivered(self, name: str) -> None:
        self._going.discard(name)
        self._heeded.discard(name)
        self._exchange.drop_reply(name)

    def _heed(self, name: str, text: bytes) -> None:
        """Do what a reply asks of the uplink itself (E11)."""
        if name in self._heeded:
            return
        try:
            asked = json.loads(text)["detail"]["resend"]
            ledger, from_seq = str(asked["ledger"]), int(asked["from_seq"])
        except (ValueError, LookupError, TypeError):
            return
        self._heeded.add(name)
        self._resend(ledger, from_seq)


class Past:
    """Keeps health while nobody listens, and tells it afterwards."""

    def __init__(self, notebook: Notebook, publish: Publish) -> None:
        """Begin with what was kept before."""
        self._notebook = notebook
        self._publish = publish
        self._history = History()
        self._history.load(notebook.history())
        self._going = 0

    def keep(self, health: Health) -> None:
        """Keep one for later."""
        line, thinned = self._history.add(health)
        if thinned:
            self._notebook.set_history(self._history.lines)
        elif line:
            self._notebook.add_history(line)

    def turn(self) -> None:
        """Send the oldest, a few at a time; those are forgotten when the broker has all of them."""
        if self._going or not len(self._history):
            return
        lines = self._history.first(HISTORY_AT_ONCE)
        left = [len(lines)]

        def told() -> None:
            left[0] -= 1
            if not left[0]:
                self._going = 0
                self._notebook.set_history(self._history.drop(len(lines)))

        if all(self._publish("health", line.encode(), then=told) for line in lines):
            self._going = len(lines)

    def disconnected(self) -> None:
        """Forget what was on its way: it goes again."""
        self._going = 0
