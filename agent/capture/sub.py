"""A camera's second, smaller stream: not recorded, and asked of the camera only while somebody listens to it. Edge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.capture.connection import Connection
from agent.rtsp.errors import RtspError
from agent.rtsp.events import Described, Ended, Redirected
from agent.rtsp.media import AccessUnit
from agent.rtsp.url import parse_url

if TYPE_CHECKING:
    import select

    from agent.capture.connection import Login
    from agent.capture.live import Live
    from agent.rtsp.events import Event

LINGER_S = 3.0  # cameras keep few sessions, and take their time to begin one
BACKOFF_S = 2.0

log = logging.getLogger("pasu.record")


class SubStream:
    """The session of a second stream while there is one.

    live  its socket
    """

    def __init__(self, login: Login, live: Live) -> None:
        """Begin without a session."""
        self.live = live
        self._login = login
        self._connection: Connection | None = None
        self._wanted_until = 0.0
        self._next_try = 0.0

    def turn(self, now: float, ready: set[int], poller: select.epoll, *, due: bool = True) -> None:
        """Begin, serve and end the session, as listeners come and go; due: as of `Door`. Never raises."""
        if self.live.wanted:
            self._wanted_until = now + LINGER_S
        connection = self._connection
        try:
            if connection is not None and now > self._wanted_until:
                self._drop(now)
            elif connection is not None:
                for sock in [sock for sock in connection.sockets if sock.fileno() in ready]:
                    self._take(connection, connection.receive(sock, now), now)
                self._take(connection, connection.due(now), now)
            elif self.live.wanted and now >= self._next_try:
                url = parse_url(self._login.url)
                self._connection = Connection(self._login, url, poller, now, live=self.live)
        except RtspError as error:
            log.warning("second stream lost: %s", error.code)
            self._drop(now)
        except OSError as error:
            log.warning("second stream lost: %s", error.strerror or type(error).__name__)
            self._drop(now)
        except Exception:
            log.exception("error inside the session of a second stream")
            self._drop(now)
        self.live.turn(ready, due=due)

    def close(self, now: float) -> None:
        """End the session, and stop listening."""
        self._drop(now)
        self.live.close()

    def _take(self, connection: Connection, events: list[Event], now: float) -> None:
        for event in events:
            if isinstance(event, AccessUnit):
                if event.keyframe:
                    self.live.picture(event)
            elif isinstance(event, Described):
                self.live.described(event)
            elif isinstance(event, Redirected):
                connection.redirect(event.url, now)
                self.live.session_over(now)
            elif isinstance(event, Ended):
                raise RtspError("closed", event.reason)

    def _drop(self, now: float) -> None:
        self._next_try = now + BACKOFF_S
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(now)
            self.live.session_over(now)
