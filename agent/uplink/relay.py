"""One camera, relayed to the media server until its time is over. A shell around its two ends.

Procedure of its end, whatever brings it about (F12): 1. nothing more is taken from the camera, nor out of the queue;
2. the frame that was begun is ended, and TEARDOWN said; 3. after END_S at most the connection is reset, with what the
line has not carried yet.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.rtsp.errors import RtspError
from agent.rtsp.url import RtspUrl
from agent.uplink.ladder import Ladder, Meter, Step
from agent.uplink.relay_ends import Sink, Source

if TYPE_CHECKING:
    import select
    from collections.abc import Callable

END_S = 1.0
SAMPLE_S = 1.0
HELD_S = 0.02  # while enough lies in the kernel
AGAIN_FIRST_S = 0.25
AGAIN_MOST_S = 8.0
STEADY_S = 10.0
SOURCE_S = 0.5  # a camera that is not recorded now will be again
DESCRIBED_S = 10.0  # for a second stream to be asked for, and its first keyframe

EPOLLIN, EPOLLOUT = 1, 4

log = logging.getLogger("pasu.uplink")


class Relay:
    """One camera's.

    until_s     when it ends by itself, monotonic seconds
    is_over     it has ended
    reason      why, or why it does not run now
    sent_bytes  that went out, over all its sessions
    """

    def __init__(
        self,
        camera: str,
        until_s: float,
        *,
        media: RtspUrl,
        box: str,
        run: str,
        interface: str,
        has_sub: bool,
        chance: Callable[[], float],
        nonce: Callable[[], str],
        poller: select.epoll,
    ) -> None:
        """Begin with the next turn.

        media      address of the media server; the stream's own is below it: /<box>/<camera>
        run        directory in which the live sockets are
        interface  by which alone the media server is reached: the tunnel's; empty where there is none
        chance     returns numbers from 0 to 1; nonce fresh random text
        """
        self.camera = camera
        self.until_s = until_s
        self.is_over = False
        self.reason = ""
        self.sent_bytes = 0
        self.sheds = 0
        self.left_out = 0
        self.connections = 0
        self.ladder = Ladder(has_sub)
        self.meter = Meter()
        target = f"{media.target.rstrip('/')}/{box}/{camera}"
        self._url = RtspUrl(media.scheme, media.host, media.port, target, media.username, media.password)
        self._run = run
        self._interface = interface
        self._chance = chance
        self._nonce = nonce
        self._poller = poller
        self._source: Source | None = None
        self._sink: Sink | None = None
        self._is_sub = False
        self._opened_s = 0.0
        self._next_s = 0.0
        self._failures = 0
        self._sample_s = 0.0
        self._shed = False
        self._held = False
        self._ending_s: float | None = None  # by when the session at hand is gone
        self._ends = False  # and the relay with it
        self._events: dict[int, int] = {}
        self._watched: tuple[Source | None, Sink | None, bool] = (None, None, False)

    @property
    def skipped(self) -> int:
        """Return how many packets were left out, since the line was slow."""
        source = self._source  # asked by another thread than the one that lets go of it
        queue = source.queue if source is not None else None
        return self.left_out + (queue.left_out if queue is not None else 0)

    @property
    def is_flowing(self) -> bool:
        """Tell whether the media server takes packets now."""
        sink = self._sink  # as above
        return sink is not None and sink.takes_packets

    def end(self, reason: str, now: float) -> None:
        """End: by expiry, revocation, or the end of the process."""
        if self._ends:
            return
        self._ends = True
        self.reason = reason
        self._end_session(now)

    def is_called(self, ready: dict[int, int]) -> bool:
        """Tell whether something waits for it. ready: events by descriptor."""
        return not ready.keys().isdisjoint(self._events)

    def due(self, now: float) -> float:
        """Return when it wants to be called at the latest, monotonic seconds."""
        times = [self.until_s]
        if self._ending_s is not None:
            times.append(self._ending_s)
        elif self._source is None:
            times.append(self._next_s)
        elif self._source.queue is None:
            times.append(self._opened_s + DESCRIBED_S if self._is_sub else self._next_s)
        else:
            times.append(self._sample_s)
        if self._sink is not None:
            times.append(self._sink.deadline())
        if self._held:
            times.append(now + HELD_S)
        return min(times)

    def turn(self, now: float, ready: dict[int, int]) -> None:
        """Do what can be done. ready: events by descriptor."""
        if now >= self.until_s and not self._ends:
            self.end("expired", now)
        if self._ending_s is not None:
            self._finish(now, ready)
            return
        try:
            self._serve(now, ready)
        except RtspError as error:
            self._fail(error.code, now)
        except OSError as error:
            self._fail(error.strerror or type(error).__name__, now)

    def close(self) -> None:
        """Let go of everything at once."""
        self._let_go()
        self.is_over = True

    # while it runs

    def _serve(self, now: float, ready: dict[int, int]) -> None:
        source = self._source
        if source is None:
            if now < self._next_s or not self._open(now):
                return
            source = self._source
            assert source is not None
        elif source.fileno() in ready:
            source.receive(now)
        queue = source.queue
        if queue is None:
            if self._is_sub and now >= self._opened_s + DESCRIBED_S:
                raise RtspError("timeout", "the second stream does not come")
            self._next_s = now + SOURCE_S
            return
        sink = self._sink
        if sink is None:
            sink = self._sink = Sink(self._url, source.description, now, self._nonce(), self._interface)
            self.connections += 1
            self._sample_s = now
        was = sink.takes_packets
        sink.turn(now, ready.get(sink.fileno(), 0))
        if sink.is_over:
            raise RtspError("closed", "the media server ends the session")
        if sink.takes_packets and not was:
            queue.channel = sink.channel
            self.reason = ""
            self.ladder.begin(now)
        self._send(sink, source)
        if queue.shed(now):
            self._shed = self._shed or was  # before that it is the connection that takes its time
            self.sheds += 1
        if now >= self._sample_s:
            self._sample(sink, source, now)
        if self._shed and was:
            self._step(now)
        self._watch()

    def _open(self, now: float) -> bool:
        self._is_sub = self.ladder.has_sub and self.ladder.step is not Step.MAIN
        try:
            self._source = Source(self._run, f"{self.camera}.sub" if self._is_sub else self.camera)
        except OSError as error:
            self.reason = "camera"
            self._next_s = now + SOURCE_S
            if self._is_sub:
                log.info("%s: no second stream: %s", self.camera, error.strerror)
                self.ladder.second_is_gone(now)
            return False
        self._opened_s = now
        self._meter_anew()
        self._watch()
        return True

    def _meter_anew(self) -> None:
        self.meter = Meter(self.meter.capacity)

    def _send(self, sink: Sink, source: Source) -> None:
        queue = source.queue
        assert queue is not None
        queue.only_keyframes(self.ladder.step is Step.KEYFRAMES)
        before = sink.sent
        self._held = sink.send(queue)
        self.sent_bytes += sink.sent - before

    def _sample(self, sink: Sink, source: Source, now: float) -> None:
        self._sample_s = now + SAMPLE_S
        queue = source.queue
        assert queue is not None
        if sink.since is None:
            return
        if now - sink.since >= STEADY_S:
            self._failures = 0
        acked = sink.sent - sink.unacknowledged()
        self.meter.sample(now, acked=acked, came=queue.received, waiting=queue.bytes > 0)
        sink.set_capacity(self.meter.capacity)
        self._step(now)

    def _step(self, now: float) -> None:
        before = self.ladder.step
        shed, self._shed = self._shed, False
        step = self.ladder.observe(now, shed=shed, capacity=self.meter.capacity, rate=self.meter.rate)
        if step is before:
            return
        log.info("%s: relayed as %s now", self.camera, step.name.lower())
        if self._is_sub != (self.ladder.has_sub and step is not Step.MAIN):
            self._end_session(now)

    def _fail(self, reason: str, now: float) -> None:
        """Begin anew after a while: the camera or the media server is gone, or does not want it."""
        if reason != self.reason:
            log.warning("%s: not relayed: %s", self.camera, reason)
        self.reason = reason
        was_described = self._source is not None and self._source.queue is not None
        self._let_go()
        if self._is_sub and not was_described:
            self.ladder.second_is_gone(now)
        wait_s = min(AGAIN_MOST_S, AGAIN_FIRST_S * 2**self._failures)
        self._next_s = now + wait_s * (0.5 + self._chance() / 2)
        self._failures = min(self._failures + 1, 8)

    # the end of a session

    def _end_session(self, now: float) -> None:
        """Steps 1 and 2 of the procedure."""
        if self._source is not None:
            self._forget(self._source.fileno())
            self._account()
            self._source.close()
            self._source = None
        self._held = False
        self._ending_s = now + END_S
        if self._sink is None:
            self._gone(now)
            return
        before = self._sink.sent
        self._sink.end(now)
        self.sent_bytes += self._sink.sent - before
        self._finish(now, {})

    def _finish(self, now: float, ready: dict[int, int]) -> None:
        sink = self._sink
        if sink is None or sink.is_over or now >= (self._ending_s or now):
            self._gone(now)
            return
        try:
            sink.turn(now, ready.get(sink.fileno(), 0))
            sink.send(None)
        except (RtspError, OSError):
            self._gone(now)
        else:
            self._watch()

    def _gone(self, now: float) -> None:
        """Step 3 of the procedure; a relay that only changes its stream goes on."""
        self._let_go()
        self._ending_s = None
        self._next_s = now
        self.is_over = self._ends

    def _let_go(self) -> None:
        for number in list(self._events):
            self._forget(number)
        self._account()
        if self._source is not None:
            self._source.close()
        if self._sink is not None:
            self._sink.close()
        self._source = self._sink = None
        self._held = self._shed = False

    def _account(self) -> None:
        if self._source is not None and self._source.queue is not None:
            self.left_out += self._source.queue.left_out

    # what the loop waits for

    def _watch(self) -> None:
        now = (self._source, self._sink, self._sink is not None and self._sink.wants_out)
        if now == self._watched:
            return
        self._watched = now
        wanted: dict[int, int] = {}
        if self._source is not None:
            wanted[self._source.fileno()] = EPOLLIN
        if self._sink is not None:
            wanted[self._sink.fileno()] = EPOLLIN | (EPOLLOUT if self._sink.wants_out else 0)
        for number in [number for number in self._events if number not in wanted]:
            self._forget(number)
        for number, events in wanted.items():
            if number not in self._events:
                self._poller.register(number, events)
            elif self._events[number] != events:
                self._poller.modify(number, events)
        self._events = wanted

    def _forget(self, number: int) -> None:
        self._watched = (None, None, False)
        if self._events.pop(number, None) is not None:
            self._poller.unregister(number)
