"""One camera, relayed to a media server until its time is over. A shell around its two ends.

What it sends of the camera is not its own choice: it says how it stands, and is told (agent.uplink.share).

Procedure of its end, whatever brings it about (F12): 1. nothing more is taken from the camera, nor out of the queue;
2. the frame that was begun is ended, and TEARDOWN said; 3. after END_S at most the connection is reset, with what the
line has not carried yet.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from agent.grants import Most
from agent.rtsp.errors import RtspError
from agent.rtsp.url import RtspUrl
from agent.uplink.ladder import Meter, Step
from agent.uplink.relay_ends import Sink, Source, Watch
from agent.uplink.share import Stand
from agent.uplink.streams import LINE

if TYPE_CHECKING:
    import select
    from collections.abc import Callable

    from agent.uplink.share import Key
    from agent.uplink.streams import Want

ALL_BYTES = 96 << 20
"""What may wait in all queues together: the unit has 256 MiB for the whole process."""
END_S = 1.0
HELD_S = 0.02  # while enough lies in the kernel
AGAIN_FIRST_S = 0.25
AGAIN_MOST_S = 8.0
STEADY_S = 10.0
SOURCE_S = 0.5  # a camera that is not recorded now will be again
DESCRIBED_S = 10.0  # for a second stream to be asked for, and its first keyframe
STARVED_S = 30.0
"""Without a keyframe although one is waited for: the recording knows where one is, and the live socket begins there."""
SECOND_AGAIN_S = 300.0  # a second stream that did not come may come again

log = logging.getLogger("pasu.uplink")


class Relay:
    """One camera's, to one centre.

    want        what it is to do
    step        what it sends
    among       how many share the line with it, and the memory
    is_over     it has ended
    reason      why, or why it does not run now
    sent_bytes  that went out, over all its sessions
    is_at_ease  what came last went on at once, unread
    """

    def __init__(
        self,
        key: Key,
        want: Want,
        *,
        media: RtspUrl,
        box: str,
        run: str,
        interface: str,
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
        self.camera, self.centre = key
        self.want = want
        self.step = Step.PAUSED
        self.among = 1
        self.is_over = False
        self.reason = ""
        self.sent_bytes = 0
        self.is_at_ease = False
        self.sheds = 0
        self.left_out = 0
        self.connections = 0
        self.meter = Meter()
        target = f"{media.target.rstrip('/')}/{box}/{self.camera}"
        self._url = RtspUrl(media.scheme, media.host, media.port, target, media.username, media.password)
        self._run = run
        self._interface = interface
        self._chance = chance
        self._nonce = nonce
        self._watch = Watch(poller)
        self._rates: dict[Step, float] = {}
        self._source: Source | None = None
        self._sink: Sink | None = None
        self._is_sub = False
        self._sub_again_s = 0.0
        self._past_is_due = True
        self._opened_s = 0.0
        self._next_s = 0.0
        self._failures = 0
        self._acked = 0  # in sessions that are over
        self._fed, self._fed_s = -1, 0.0  # how much was sent, and since when it is that
        self._shed = False
        self._held = False
        self._ending_s: float | None = None  # by when the session at hand is gone
        self._ends = False  # and the relay with it

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

    @property
    def has_shed(self) -> bool:
        """Tell whether packets were left out since it last said how it stands."""
        return self._shed

    def sample(self, now: float) -> None:
        """Measure; about once a second."""
        sink, queue = self._sink, self._source.queue if self._source is not None else None
        if sink is None or queue is None or sink.since is None or not sink.takes_packets:
            return
        if now - sink.since >= STEADY_S:
            self._failures = 0
        if sink.sent != self._fed or not queue.wants_keyframe:
            self._fed, self._fed_s = sink.sent, now
        elif now - self._fed_s >= STARVED_S:
            self._fail("keyframe", now)
            return
        sink.unacknowledged()
        self.meter.sample(now, acked=sink.carried, came=queue.received, waiting=queue.bytes > 0)
        sink.set_capacity(self.meter.capacity, self.among)
        rate = self.meter.rate
        if rate is None or queue.is_past:
            return
        self._rates[Step.SUB if self._is_sub else Step.MAIN] = rate
        if queue.share is not None and (self._is_sub or Step.SUB not in self._steps(now)):
            self._rates[Step.KEYFRAMES] = rate * queue.share

    def stand(self, now: float) -> Stand:
        """Say how it stands."""
        sink, queue = self._sink, self._source.queue if self._source is not None else None
        is_flowing = self.is_flowing
        shed, self._shed = self._shed, False
        return Stand(
            self.want.rank,
            self._steps(now),
            flowing=is_flowing,
            away=not is_flowing and self.reason not in ("", LINE),
            shed=shed,
            waiting=is_flowing and queue is not None and queue.bytes > 0,
            acked=self._acked + (sink.carried if sink is not None else 0),
            rates=dict(self._rates),
        )

    def follow(self, step: Step, now: float) -> None:
        """Send this from now on."""
        if step is self.step or self._ends:
            return
        was, self.step = self.step, step
        log.info("%s: relayed as %s now", self.camera, step.name.lower())
        if step is Step.PAUSED:
            self.reason = LINE
        elif was is Step.PAUSED:
            self.reason = ""
            self._next_s = now
        if step is Step.PAUSED or (self._source is not None and self._is_sub != self._wants_sub(now)):
            self._end_session(now)

    def take(self, want: Want) -> None:
        """Learn what it is to do; past seconds come with the next session, if they were not wanted before."""
        self._past_is_due = self._past_is_due or want.before_s > self.want.before_s
        self.want = want

    @property
    def is_ending(self) -> bool:
        """Tell whether its end has begun."""
        return self._ends

    def end(self, reason: str, now: float) -> None:
        """End: by expiry, revocation, or the end of the process."""
        if self._ends:
            return
        self._ends = True
        self.reason = reason
        self._end_session(now)

    def is_called(self, ready: dict[int, int]) -> bool:
        """Tell whether something waits for it. ready: events by descriptor."""
        return self._watch.is_called(ready)

    def due(self, now: float) -> float:
        """Return when it wants to be called at the latest, monotonic seconds."""
        times = [self.want.until_s]
        if self._ending_s is not None:
            times.append(self._ending_s)
        elif self._source is None:
            times += [self._next_s] * (self.step is not Step.PAUSED)
        elif self._source.queue is None:
            times.append(self._opened_s + DESCRIBED_S if self._is_sub else self._next_s)
        if self._sink is not None:
            times.append(self._sink.deadline())
        if self._held:
            times.append(now + HELD_S)
        return min(times)

    def turn(self, now: float, ready: dict[int, int]) -> bool:
        """Do what can be done. ready: events by descriptor.

        Returns  whether that was to hand on what came and nothing else: then it is due when it was before
        """
        if self.is_over:
            return False
        if now >= self.want.until_s and not self._ends:
            self.end("expired", now)
        if self._ending_s is not None:
            self._finish(now, ready)
            return False
        try:
            return self._serve(now, ready)
        except RtspError as error:
            self._fail(error.code, now)
        except OSError as error:
            self._fail(error.strerror or type(error).__name__, now)
        return False

    def close(self) -> None:
        """Let go of everything at once."""
        self._let_go()
        self.is_over = True

    # while it runs

    def _serve(self, now: float, ready: dict[int, int]) -> bool:
        source, sink = self._source, self._sink
        before = sink.sent if sink is not None else 0
        if source is None:
            if self.step is Step.PAUSED or now < self._next_s:
                return False
            source = self._open(now)
            if source is None:
                return False
        elif source.fileno() in ready:
            self.is_at_ease = source.receive(now, sink)
            if sink is not None and self.is_at_ease and self._is_quiet(sink, now, ready):
                self.sent_bytes += sink.sent - before
                return True
        queue = source.queue
        if queue is None:
            if self._is_sub and now >= self._opened_s + DESCRIBED_S:
                raise RtspError("timeout", "the second stream does not come")
            self._next_s = now + SOURCE_S
            return False
        if sink is None:
            sink = self._sink = Sink(self._url, source.description, now, self._nonce(), self._interface)
            sink.set_capacity(None, self.among)
            self.connections += 1
        was = sink.takes_packets
        sink.turn(now, ready.get(sink.fileno(), 0))
        if sink.is_over:
            raise RtspError("closed", "the media server ends the session")
        if sink.takes_packets and not was:
            queue.channel = sink.channel
            queue.begin(now)
            self._fed = -1
            self._past_is_due = False
            self.reason = ""
        queue.only_keyframes(self.step is Step.KEYFRAMES)
        self._held = sink.send(queue)
        self.sent_bytes += sink.sent - before
        if queue.shed(now, ALL_BYTES // self.among):
            self._shed = self._shed or was  # before that it is the connection that takes its time
            self.sheds += 1
        self._watch.follow(self._source, self._sink)
        return False

    @staticmethod
    def _is_quiet(sink: Sink, now: float, ready: dict[int, int]) -> bool:
        """Tell whether there is nothing more to do at the media server's end, as in most turns."""
        return not sink.wants_out and sink.fileno() not in ready and now < sink.deadline()

    def _steps(self, now: float) -> tuple[Step, ...]:
        """Return what the judge may choose from."""
        has_sub = self.want.has_sub and now >= self._sub_again_s
        return (
            Step.KEYFRAMES,
            *[Step.SUB] * has_sub,
            *[Step.MAIN] * (self.want.most is Most.MAIN),
        )

    def _wants_sub(self, now: float) -> bool:
        return self.step is not Step.MAIN and Step.SUB in self._steps(now)

    def _open(self, now: float) -> Source | None:
        self._is_sub = self._wants_sub(now)
        try:
            self._source = self._connect()
        except OSError as error:
            self.reason = "camera"
            self._next_s = now + SOURCE_S
            if self._is_sub:
                log.info("%s: no second stream: %s", self.camera, error.strerror)
                self._sub_again_s = now + SECOND_AGAIN_S
            return None
        self._opened_s = now
        self.meter = Meter(self.meter.capacity)
        self._watch.follow(self._source, self._sink)
        return self._source

    def _connect(self) -> Source:
        before_s = self.want.before_s if self._past_is_due and self.step is Step.MAIN else 0
        if before_s:
            with contextlib.suppress(OSError):  # no trigger names the camera: nothing is kept of it
                return Source(self._run, f"{self.camera}.past", before_s)
        return Source(self._run, f"{self.camera}.sub" if self._is_sub else self.camera)

    def _fail(self, reason: str, now: float) -> None:
        """Begin anew after a while: the camera or the media server is gone, or does not want it."""
        if reason != self.reason:
            log.warning("%s: not relayed: %s", self.camera, reason)
        self.reason = reason
        was_described = self._source is not None and self._source.queue is not None
        self._let_go()
        if self._is_sub and not was_described:
            self._sub_again_s = now + SECOND_AGAIN_S
        wait_s = min(AGAIN_MOST_S, AGAIN_FIRST_S * 2**self._failures)
        self._next_s = now + wait_s * (0.5 + self._chance() / 2)
        self._failures = min(self._failures + 1, 8)

    # the end of a session

    def _end_session(self, now: float) -> None:
        """Steps 1 and 2 of the procedure."""
        if self._source is not None:
            self._account()
            source, self._source = self._source, None
            self._watch.follow(None, self._sink)
            source.close()
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
        if sink is not None and now < (self._ending_s or now):
            with contextlib.suppress(RtspError, OSError):
                sink.turn(now, ready.get(sink.fileno(), 0))
                sink.send(None)
                if not sink.is_over:
                    self._watch.follow(None, sink)
                    return
        self._gone(now)

    def _gone(self, now: float) -> None:
        """Step 3 of the procedure; a relay that only changes its stream goes on."""
        self._let_go()
        self._ending_s = None
        self._next_s = now
        self.is_over = self._ends

    def _let_go(self) -> None:
        self._watch.follow(None, None)
        self._account()
        if self._source is not None:
            self._source.close()
        if self._sink is not None:
            with contextlib.suppress(OSError):
                self._sink.unacknowledged()
            self._acked += self._sink.carried
            self._sink.close()
        self._source = self._sink = None
        self._held = self._shed = self.is_at_ease = False

    def _account(self) -> None:
        if self._source is not None and self._source.queue is not None:
            self.left_out += self._source.queue.left_out
