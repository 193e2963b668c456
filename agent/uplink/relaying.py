"""All relays of a box, in a thread of their own: reports never wait for pictures. A shell.

What is wanted is said as a whole, camera by camera, each with the time at which it ends by itself: whoever says it may
hang or die, and the pictures stop all the same.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import random
import select
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.grants import MOST_CAMERAS
from agent.rtsp.url import parse_url
from agent.uplink.relay import Relay
from agent.uplink.streams import NONE, Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.rtsp.url import RtspUrl

MOST = MOST_CAMERAS
"""Relays at a time (F11); what is wanted beyond that waits until another ends."""
IDLE_S = 60.0
AGAIN_S = 1.0
PROCEDURE_S = 3.0
MAY_S = 1.0
GATHER_S = 0.015
"""The cameras of a worker are handed out one after the other: one wake for all of them costs less than one for each."""

log = logging.getLogger("pasu.uplink")


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a relay.

    kind  "started": the media server takes its packets for the first time; "stopped": it is over
    """

    kind: str
    camera: str
    reason: str
    sent_bytes: int
    left_out: int
    connections: int


def media_url(text: str) -> RtspUrl:
    """Read the media server's address. Raises ValueError for a name (nothing is looked up in the tunnel) and for TLS.

    Raises  RtspError "malformed_url"
    """
    url = parse_url(text)
    ipaddress.ip_address(url.host.partition("%")[0])
    if url.scheme != "rtsp":
        raise ValueError("pictures are relayed by rtsp://, inside the tunnel")
    return url


class Relays:
    """Relays what is wanted."""

    def __init__(
        self,
        media: RtspUrl,
        box: str,
        run: str,
        clock: Callable[[], float],
        *,
        interface: str = "",
        most: int = MOST,
        may: Callable[[], str] = str,
    ) -> None:
        """Begin with nothing to relay.

        clock      seconds that never step, sleep included
        interface  by which alone anything leaves: the tunnel's; empty where there is none
        may        says why nothing may leave the box now; "" when it may; asked once a second
        """
        self._media, self._box, self._run = media, box, run
        self._clock = clock
        self._most = most
        self._interface = interface
        self._may = may
        self._wanted: dict[str, tuple[float, bool]] = {}
        self._told: deque[Told] = deque(maxlen=1000)
        self._relays: dict[str, Relay] = {}
        self._due: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._lock = threading.Lock()  # over the next two, which belong together
        self._done: dict[str, Flow] = {}
        self._flowed: set[str] = set()
        self._poller = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._wake, select.EPOLLIN)
        self._stopping = False
        self._refused = ""
        self._may_due = 0.0
        self._thread = threading.Thread(target=self._run_loop, name="relays", daemon=True)
        self._thread.start()

    def want(self, cameras: Mapping[str, tuple[float, bool]]) -> None:
        """Relay these and no others: by camera until when, and whether it has a second stream; first things first."""
        self._wanted = dict(cameras)
        self._rouse()

    def told(self) -> list[Told]:
        """Return what became of relays since this was last asked."""
        return [self._told.popleft() for _ in range(len(self._told))]

    def state(self) -> list[dict[str, Any]]:
        """Return what the health file shows."""
        return [
            {
                "camera": relay.camera,
                "flowing": relay.is_flowing,
                "as": relay.ladder.step.name.lower(),
                "reason": relay.reason,
                "sent_bytes": relay.sent_bytes,
                "left_out": relay.skipped,
                "sheds": relay.sheds,
            }
            for relay in list(self._relays.values())
        ]

    def flows(self) -> dict[str, Flow]:
        """Return by camera how it goes, and what was sent since the begin."""
        with self._lock:
            found = dict(self._done)
            for camera, relay in self._relays.items():
                found[camera] = _flow(relay, found.get(camera, NONE))
        return found

    @property
    def refused(self) -> str:
        """Return why nothing may leave the box now, "" when it may."""
        return self._refused

    def close(self) -> None:
        """End all relays, and wait for that."""
        self._stopping = True
        self._rouse()
        self._thread.join(PROCEDURE_S)

    def _rouse(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _run_loop(self) -> None:
        while True:
            now = self._clock()
            try:
                self._follow(now)
                if self._stopping and not self._relays:
                    return
                idle_s = MAY_S if self._wanted else IDLE_S
                due = min((self._due[camera] for camera in self._relays), default=now + idle_s)
                ready = dict(self._poller.poll(max(0.0, due - now)))
                if ready and len(self._relays) > 1:
                    time.sleep(GATHER_S)
                    ready.update(self._poller.poll(0))
                if ready.pop(self._wake, 0):
                    os.eventfd_read(self._wake)
            except Exception:
                log.exception("error in the relays: all of them begin anew")
                self._abandon()
                time.sleep(AGAIN_S)
                continue
            now = self._clock()
            for camera, relay in list(self._relays.items()):
                if now >= self._due[camera] or relay.is_called(ready):
                    self._turn(relay, now, ready)
                    self._due[camera] = relay.due(now)

    def _turn(self, relay: Relay, now: float, ready: dict[int, int]) -> None:
        try:
            relay.turn(now, ready)
        except Exception:
            log.exception("%s: error in its relay: it begins anew", relay.camera)
            relay.reason = "error"
            relay.close()
            self._pause[relay.camera] = now + AGAIN_S
        if relay.is_flowing and relay.camera not in self._flowed:
            self._flowed.add(relay.camera)
            self._tell("started", relay)
        if relay.is_over:
            self._drop(relay)

    def _follow(self, now: float) -> None:
        """Bring about what is wanted."""
        if self._wanted and now >= self._may_due:
            self._may_due = now + MAY_S
            self._refused = self._may()
        wanted = {} if self._stopping or self._refused else self._wanted
        for camera, relay in self._relays.items():
            if camera in wanted:
                relay.until_s = wanted[camera][0]
                self._due[camera] = min(self._due[camera], relay.until_s)
            else:
                self._due[camera] = now
                relay.end("stopped" if self._stopping else self._refused or "revoked", now)
        for camera, (until_s, has_sub) in wanted.items():
            paused = now < self._pause.get(camera, 0.0)
            if camera in self._relays or until_s <= now or paused or len(self._relays) >= self._most:
                continue
            self._due[camera] = now
            relay = Relay(
                camera,
                until_s,
                media=self._media,
                box=self._box,
                run=self._run,
                interface=self._interface,
                has_sub=has_sub,
                chance=random.random,
                nonce=lambda: os.urandom(8).hex(),
                poller=self._poller,
            )
            with self._lock:
                self._relays[camera] = relay

    def _abandon(self) -> None:
        for relay in list(self._relays.values()):
            relay.reason = "error"
            relay.close()
            self._drop(relay)

    def _drop(self, relay: Relay) -> None:
        """Forget a relay that is over, but what it sent."""
        with self._lock:
            self._done[relay.camera] = _flow(relay, self._done.get(relay.camera, NONE))
            del self._relays[relay.camera]
        self._flowed.discard(relay.camera)
        self._tell("stopped", relay)

    def _tell(self, kind: str, relay: Relay) -> None:
        self._told.append(
            Told(kind, relay.camera, relay.reason, relay.sent_bytes, relay.skipped, relay.connections)
        )


def _flow(relay: Relay, before: Flow) -> Flow:
    return Flow(
        relay.is_flowing, relay.reason, before.sent_bytes + relay.sent_bytes, before.left_out + relay.skipped
    )
