"""All relays of a box, in a thread of their own: reports never wait for pictures. A shell.

What is wanted is said as a whole, relay by relay, each with the time at which it ends by itself: whoever says it may
hang or die, and the pictures stop all the same.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import random
import select
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.rtsp.url import parse_url
from agent.uplink.ladder import Step
from agent.uplink.relay import Relay
from agent.uplink.share import SAMPLE_S, Share
from agent.uplink.streams import MOST_RELAYS, NONE, Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.rtsp.url import RtspUrl
    from agent.uplink.share import Key
    from agent.uplink.streams import Want

IDLE_S = 60.0
AGAIN_S = 1.0
PROCEDURE_S = 3.0
MAY_S = 1.0
EASE_S = 4.0
"""So often the line is measured that takes everything at once."""
LATE_S = 0.25
"""Measuring waits so long for a wake that pictures bring."""
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
    centre: str
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
        media: Mapping[str, RtspUrl],
        box: str,
        run: str,
        clock: Callable[[], float],
        *,
        interface: str = "",
        most: int = MOST_RELAYS,
        may: Callable[[], str] = str,
    ) -> None:
        """Begin with nothing to relay.

        media      servers, by the names of their centres
        clock      seconds that never step, sleep included
        interface  by which alone anything leaves: the tunnel's; empty where there is none
        may        says why nothing may leave the box now; "" when it may; asked once a second
        """
        self._media, self._box, self._run = media, box, run
        self._clock = clock
        self._most = most
        self._interface = interface
        self._may = may
        self._wanted: dict[Key, Want] = {}
        self._told: deque[Told] = deque(maxlen=1000)
        self._relays: dict[Key, Relay] = {}
        self._due: dict[Key, float] = {}
        self._pause: dict[Key, float] = {}
        self._share = Share()
        self._sample_s = 0.0
        self._lock = (
            threading.Lock()
        )  # over which relays there are, and what those have sent that are no more
        self._done: dict[Key, Flow] = {}
        self._flowed: set[Key] = set()
        self._poller = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._wake, select.EPOLLIN)
        self._stopping = False
        self._refused = ""
        self._may_due = 0.0
        self._followed: Mapping[Key, Want] | None = None
        self._thread = threading.Thread(target=self._run_loop, name="relays", daemon=True)
        self._thread.start()

    def want(self, wanted: Mapping[Key, Want]) -> None:
        """Relay these and no others; where they are too many, those that stand first."""
        self._wanted = dict(wanted)
        self._rouse()

    def told(self) -> list[Told]:
        """Return what became of relays since this was last asked."""
        return [self._told.popleft() for _ in range(len(self._told))]

    def state(self) -> list[dict[str, Any]]:
        """Return what the health file shows."""
        return [
            {
                "camera": relay.camera,
                "centre": relay.centre,
                "rank": relay.want.rank,
                "flowing": relay.is_flowing,
                "as": relay.step.name.lower(),
                "reason": relay.reason,
                "sent_bytes": relay.sent_bytes,
                "left_out": relay.skipped,
                "sheds": relay.sheds,
            }
            for relay in list(self._relays.values())
        ]

    def flows(self) -> dict[Key, Flow]:
        """Return how it goes with each relay, and what was sent since the begin."""
        with self._lock:
            found, running = dict(self._done), dict(self._relays)
        for key, relay in running.items():
            found[key] = _flow(relay, found.get(key, NONE))
        for key in self._wanted.keys() - running.keys():
            before = found.get(key, NONE)
            reason = self._refused or ("centre" if key[1] not in self._media else before.reason)
            found[key] = replace(before, flowing=False, reason=reason)
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
                ready = self._wait(now)
                now = self._clock()
                at_ease = True
                for key, relay in list(self._relays.items()):
                    if (now >= self._due[key] or relay.is_called(ready)) and not self._try(
                        relay, now, partial(relay.turn, now, ready)
                    ):
                        self._look(key, relay, now)
                    at_ease = at_ease and relay.is_at_ease
                if not at_ease:
                    self._sample_s = min(self._sample_s, now + SAMPLE_S)
                if now >= self._sample_s or any(relay.has_shed for relay in self._relays.values()):
                    self._judge(now, EASE_S if at_ease else SAMPLE_S)
            except Exception:
                log.exception("error in the relays: all of them begin anew")
                self._abandon()
                time.sleep(AGAIN_S)

    def _wait(self, now: float) -> dict[int, int]:
        """Wait until something is to be done; return events by descriptor."""
        due = min(self._due.values(), default=now + (MAY_S if self._wanted else IDLE_S))
        if self._relays:
            due = min(due, self._sample_s + LATE_S)
        ready = dict(self._poller.poll(max(0.0, due - now)))
        if ready and len(self._relays) > 1:
            time.sleep(GATHER_S)
            ready.update(self._poller.poll(0))
        if ready.pop(self._wake, 0):
            os.eventfd_read(self._wake)
        return ready

    def _try(self, relay: Relay, now: float, do: Callable[[], bool | None]) -> bool | None:
        """Do something with one relay, and return what that returns; what fails there is that one's."""
        try:
            return do()
        except Exception:
            log.exception("%s: error in its relay: it begins anew", relay.camera)
            relay.reason = "error"
            relay.close()
            self._pause[relay.camera, relay.centre] = self._due[relay.camera, relay.centre] = now + AGAIN_S
            return None

    def _look(self, key: Key, relay: Relay, now: float) -> None:
        """See what a turn has made of a relay."""
        if relay.is_flowing and key not in self._flowed:
            self._flowed.add(key)
            self._tell("started", relay)
        if relay.is_over:
            self._drop(relay)
        else:
            self._due[key] = relay.due(now)

    def _judge(self, now: float, again_s: float = SAMPLE_S) -> None:
        """Have the line divided anew; those whose step changes take their turn with the next wake."""
        if now >= self._sample_s:
            self._sample_s = now + again_s
            for key, relay in self._relays.items():
                self._try(relay, now, partial(relay.sample, now))
                self._due[key] = min(self._due[key], relay.due(now))
        steps = self._share.judge(now, {key: relay.stand(now) for key, relay in self._relays.items()})
        running = sum(step is not Step.PAUSED for step in steps.values())
        for key, relay in self._relays.items():
            relay.among = max(1, running)
            if steps[key] is not relay.step:
                self._try(relay, now, partial(relay.follow, steps[key], now))
                self._due[key] = now

    def _follow(self, now: float) -> None:
        """Bring about what is wanted."""
        said = self._wanted  # another thread sets it
        if said is self._followed and now < self._may_due and not self._stopping:
            return
        self._followed = said
        if said and now >= self._may_due:
            self._may_due = now + MAY_S
            self._refused = self._may()
        wanted = {} if self._stopping or self._refused else said
        for key, relay in self._relays.items():
            want = wanted.get(key)
            if want is not None:
                relay.take(want)
                self._due[key] = min(self._due[key], want.until_s)
            elif not relay.is_ending:
                self._due[key] = now
                reason = "stopped" if self._stopping else self._refused or "revoked"
                self._try(relay, now, partial(relay.end, reason, now))
        came = False
        for key, want in wanted.items():
            media = self._media.get(key[1])
            paused = now < self._pause.get(key, 0.0)
            if media is None or key in self._relays or want.until_s <= now or paused:
                continue
            if len(self._relays) >= self._most:
                break
            relay = Relay(
                key,
                want,
                media=media,
                box=self._box,
                run=self._run,
                interface=self._interface,
                chance=random.random,
                nonce=lambda: os.urandom(8).hex(),
                poller=self._poller,
            )
            self._due[key] = now
            with self._lock:
                self._relays[key] = relay
            came = True
        if came:
            self._judge(now)

    def _abandon(self) -> None:
        self._share = Share()
        for relay in list(self._relays.values()):
            relay.reason = "error"
            with contextlib.suppress(Exception):
                relay.close()
            self._drop(relay)

    def _drop(self, relay: Relay) -> None:
        """Forget a relay that is over, but what it sent."""
        key = relay.camera, relay.centre
        with self._lock:
            self._done[key] = _flow(relay, self._done.get(key, NONE))
            del self._relays[key]
        del self._due[key]
        self._flowed.discard(key)
        self._tell("stopped", relay)

    def _tell(self, kind: str, relay: Relay) -> None:
        self._told.append(
            Told(
                kind,
                relay.camera,
                relay.centre,
                relay.reason,
                relay.sent_bytes,
                relay.skipped,
                relay.connections,
            )
        )


def _flow(relay: Relay, before: Flow) -> Flow:
    return Flow(
        relay.is_flowing, relay.reason, before.sent_bytes + relay.sent_bytes, before.left_out + relay.skipped
    )
