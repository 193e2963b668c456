"""A second socket of a camera, at which the last seconds are handed out first, and then what comes. Edge.

`<run>/live/<camera>.past.sock`, there only while a trigger names the camera (docs/triggers.md). Who connects gets what
`live/<camera>.sock` gives, but from the keyframe on that was the last one `keep_s` seconds ago, as quickly as he reads.
What he has not read lies where it was kept anyway; a turn copies a little of it for his socket.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from agent.capture.live import LISTENER_BYTES, Door, Live
from agent.capture.past import PAST_BYTES, Past, Rewind
from agent.capture.recent import DATAGRAM
from agent.rtsp.errors import RtspError

if TYPE_CHECKING:
    import select

    from agent.capture.live import Handout, Listener
    from agent.rtsp.client import ClientSession
    from agent.rtsp.events import Described
    from agent.rtsp.media import AccessUnit

PIECE_BYTES = 256 << 10  # what is copied for a socket at a time; a receive is no more either
TURN_BYTES = 1 << 20
"""For a listener in a turn: 10 MB/s, half a minute of 4 Mbit/s in two seconds, and a millisecond of the loop's time."""
MACHINE_SHARE = 16
"""A sixteenth of the machine's memory at most holds past seconds, however many cameras triggers name."""

log = logging.getLogger("pasu.record")


def most_bytes(machine_bytes: int, cameras: int) -> int:
    """Return how much may be kept of each of so many cameras, in bytes."""
    return min(PAST_BYTES, machine_bytes // MACHINE_SHARE // max(1, cameras))


def machine_bytes() -> int:
    """Return how much memory there is, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class PastLive(Door):
    """What one stream hands out from some seconds ago on."""

    def __init__(self, run: str, name: str, poller: select.epoll, past: Past) -> None:
        """Listen at `name`.past.sock. past: what is kept."""
        super().__init__(run, f"{name}.past", poller)
        self.past = past
        self._ways: dict[Listener, Rewind] = {}

    def take(self, data: bytes, session: ClientSession, now: float) -> None:
        """Take what a connection brought, before the session reads it."""
        if self._socket is not None:
            self._session = session
            self.past.add(data, session.missing, now)

    def take_datagram(self, data: bytes, session: ClientSession, now: float) -> None:
        """Take a datagram of the camera's RTP port."""
        if self._socket is not None:
            self._session = session
            self.past.add(data, DATAGRAM, now)

    def _serial(self) -> int:
        return self.past.serial

    def _begins(self, unit: AccessUnit) -> None:
        self.past.begins(unit.timestamp & 0xFFFFFFFF, unit.arrival)

    def _other_format(self) -> None:
        self.past.begin_anew()

    def _forget(self, now: float) -> None:
        self.past.clear(now)

    def _serve(self) -> None:
        for listener in list(self._listeners):
            if not self._supply(listener):
                listener.close()
                self._listeners.remove(listener)
                self._ways.pop(listener, None)

    def _supply(self, listener: Listener) -> bool:
        """Send what a listener takes now, as far as a turn may; false when he is gone."""
        left = TURN_BYTES
        while listener.send():
            way = self._way(listener)
            if listener.is_behind or way is None or left <= 0 or not way.behind_bytes:
                return True
            assert self._session is not None  # without one nobody listens
            way.follow(self._session.source)
            try:
                packets = way.more(PIECE_BYTES)
            except RtspError:  # the session that reads the same ends with it
                self._lose(listener)
                return True
            left -= PIECE_BYTES
            if packets:
                announced = [] if listener.is_told else [self._announcement()]
                listener.give([b"".join([*announced, *packets])], self.past.serial)
                listener.is_told = True
        return False

    def _way(self, listener: Listener) -> Rewind | None:
        """Return how far a listener has read; None while it waits for a keyframe to begin with."""
        way = self._ways.get(listener)
        if way is not None:
            # In the present it is with him as with every listener; in the past, what is still kept is still his.
            late = way.caught_up and way.behind_bytes > LISTENER_BYTES
            if not way.is_lost and not late and (way.has_begun or not way.caught_up):
                return way
            self._lose(listener)
        mark = self.past.newest if listener.is_told else self.past.oldest
        session, described = self._session, self._described
        if mark is None or session is None or described is None or listener.waits_for is None:
            return None
        if self.past.serial < listener.waits_for:
            return None
        way = self._ways[listener] = Rewind(
            self.past, mark, session.channel, described.payload_type, session.source
        )
        listener.waits_for = None
        return way

    def _lose(self, listener: Listener) -> None:
        """Let a listener go on at the next keyframe."""
        del self._ways[listener]
        listener.dropped += 1
        listener.waits_for = self.past.serial + 1

    def _hang_up(self) -> None:
        super()._hang_up()
        self._ways.clear()


class Both:
    """Gives what a camera sends to its live socket and to its past socket."""

    def __init__(self, live: Live, past: PastLive) -> None:
        """Join the two."""
        self.live = live
        self.past = past

    def take(self, data: bytes, session: ClientSession, now: float) -> None:
        """Do as `Handout`."""
        self.live.take(data, session, now)
        self.past.take(data, session, now)

    def take_datagram(self, data: bytes, session: ClientSession, now: float) -> None:
        """Do as `Handout`."""
        self.live.take_datagram(data, session, now)
        self.past.take_datagram(data, session, now)

    def described(self, described: Described) -> None:
        """Do as `Handout`."""
        self.live.described(described)
        self.past.described(described)

    def picture(self, unit: AccessUnit) -> None:
        """Do as `Handout`."""
        self.live.picture(unit)
        self.past.picture(unit)

    def session_over(self, now: float) -> None:
        """Do as `Handout`."""
        self.live.session_over(now)
        self.past.session_over(now)

    def turn(self, ready: frozenset[int] | set[int], *, due: bool = True) -> None:
        """Do as `Handout`."""
        self.live.turn(ready, due=due)
        self.past.turn(ready)

    def close(self) -> None:
        """Do as `Handout`."""
        self.live.close()
        self.past.close()


def keeping(  # noqa: PLR0917 - where, whose, and how much
    handout: Handout, run: str, camera: str, poller: select.epoll, keep_s: float, most: int
) -> Handout:
    """Return what keeps so many last seconds of a camera, made of what hands it out now; 0: none."""
    if isinstance(handout, Both):
        if keep_s:
            handout.past.past.keep_s, handout.past.past.most_bytes = keep_s, most
            return handout
        handout.past.close()
        return handout.live
    if not keep_s or not isinstance(handout, Live):
        return handout
    past = PastLive(run, camera, poller, Past(keep_s, most))
    handout.introduce(past)
    return Both(handout, past)
