"""Put a camera's pictures on a timeline that can be trusted. Pure.

Two clocks meet here. The camera's media clock (RTP timestamps) is smooth and says how far apart pictures are, but it
starts anywhere, drifts, jumps, and sometimes runs at another rate than announced. The box's monotonic clock is honest,
but it sees arrivals, which the network makes late. So:

- distances between pictures come from the media clock, while it is plausible;
- the place in time comes from the *least* delay seen lately, arrival minus media time: a picture can arrive late, never
  early (quirk 12, a burst of buffered pictures on connect);
- what the media clock then drifts away is followed at 500 ppm at most (quirk 11), a larger step is a jump (quirk 4);
- a media clock that runs at the wrong rate (quirk 7) is dropped: a phase-locked loop on the arrivals takes its place.

UTC is the box's, sampled by the caller as an offset to the monotonic clock, and slewed the same way.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple

SLEW_PPM = 500  # camera clocks are within 100 ppm; more would show as uneven motion
JUMP_S = 5.0  # the idle limit of a session: a longer hole in the media clock cannot be a pause
BACK_S = 2.0  # deeper than any reordering of pictures
STEP_S = 1.0  # the place in time is off by this much: begin again rather than slew for half an hour
SETTLE_S = 5.0  # after a start, a lesser delay is believed at once
WINDOW_S = 10.0  # the least delay is taken over one to two of these
RATE_CHECK_S = 2.0  # media clock against arrivals, one verdict
RATE_SKIP_S = 0.5  # arrivals that a burst on connect may have squeezed together
RATE_DOUBTFUL = 1.25  # no clock that merely drifts is 25 % off; believed when seen twice
RATE_WRONG = 3.0  # believed at once
MAX_REORDER = 16  # H.264 and H.265 allow no more (max_dec_frame_buffering)
FIRST_STEP_HZ = 60  # before the picture rate is known, decode times start this close together


class Stamp(NamedTuple):
    """Where one picture stands.

    pts, dts  ticks of the media clock since the run began; dts grows strictly; pts >= dts where the stream allows
    jump      the place in time was lost: a new run must begin, here or at the next keyframe
    """

    pts: int
    dts: int
    jump: bool


class Timeline:
    """One session's clock, fed with every picture in decode order."""

    def __init__(self, rate_hz: int, reorder: int | None) -> None:
        """Start empty. rate_hz: ticks per second; reorder: pictures of reordering, None when the stream is silent."""
        self.repairs: dict[str, int] = {}
        self._rate = rate_hz
        self._announced = reorder is not None
        self._reorder = min(reorder or 0, MAX_REORDER)
        self._raw = 0  # last timestamp as it came
        self._origin = 0  # the timestamp that is pts 0
        self._arrival = 0.0  # of the last picture
        self._pictures = 0
        self._highest = -1  # pts
        self._recent: deque[int] = deque(maxlen=MAX_REORDER + 1)  # pts of the last pictures
        self._waiting: list[int] = []  # heap of pts that are not yet a dts
        self._dts: int | None = None
        self._place = _Place()
        self._rate_check = _RateCheck(rate_hz)
        self._period: float | None = None  # ticks a picture, once the arrivals give the time
        self._offset_ms: float | None = None  # UTC minus monotonic
        self._synced_at = 0.0

    def stamp(self, raw: int, arrival: float) -> Stamp:
        """Place one picture. raw: its timestamp in ticks, unwrapped; arrival: monotonic seconds."""
        jump = False
        if self._pictures == 0:
            self._origin = raw
            self._rate_check.restart(arrival)
            pts = 0
        elif self._period is not None:
            pts = self._follow_arrivals(arrival, self._period)
        else:
            jump = self._rebase_on_jump(raw, arrival)
            pts = raw - self._origin
            if self._rate_check.wrong(raw, arrival):
                self._count("rate")
                jump = True
                pts = self._highest + 1
                self._period = self._rate_check.elapsed_s * self._rate / self._rate_check.pictures
        pts = self._distinct(pts)
        self._raw = raw
        self._arrival = arrival
        self._pictures += 1
        if self._place.moved(arrival - pts / self._rate, arrival):
            self._count("step")
            jump = True
        return Stamp(pts, self._decode_time(pts), jump)

    def sync(self, offset_ms: float, now: float) -> float:
        """Follow the box's clock. Returns the step made, in ms; 0.0 for a slew.

        offset_ms  UTC minus monotonic, in ms
        A step of more than 1 s means that somebody set the clock: the caller ends the segment *before* it asks for
        another `utc_ms`, and writes the fact; so it first asks `step`.
        """
        if self._offset_ms is None or self.step(offset_ms) != 0.0:
            step = 0.0 if self._offset_ms is None else offset_ms - self._offset_ms
            self._offset_ms = offset_ms
        else:
            step = 0.0
            self._offset_ms += _slew(offset_ms - self._offset_ms, now - self._synced_at, 1000.0)
        self._synced_at = now
        return step

    def settled(self, arrival: float) -> bool:
        """Tell whether the place in time is found: from here on what comes moves it by a slew, or says so."""
        return self._pictures > 0 and self._place.settled(arrival)

    def step(self, offset_ms: float) -> float:
        """Return by how many ms `sync` would step, 0.0 if it would slew."""
        error = 0.0 if self._offset_ms is None else offset_ms - self._offset_ms
        return error if abs(error) > STEP_S * 1000 else 0.0

    def utc_ms(self, pts: int) -> int:
        """Return the UTC milliseconds of a pts, by what is known by now about delay and clock."""
        return round((self._offset_ms or 0.0) + (pts / self._rate + self._place.delay) * 1000)

    def _count(self, what: str) -> None:
        self.repairs[what] = self.repairs.get(what, 0) + 1

    def _rebase_on_jump(self, raw: int, arrival: float) -> bool:
        """Move the origin when the media clock jumped, so that time goes on by the arrivals (quirks 1, 4)."""
        step_s = (raw - self._raw) / self._rate
        waited_s = arrival - self._arrival
        if -BACK_S <= step_s <= waited_s + JUMP_S:
            return False
        self._origin += raw - self._raw - max(1, round(waited_s * self._rate))
        self._rate_check.restart(arrival)
        if self._pictures == 1:
            self._count("first_timestamp")  # worth nothing, so nothing is lost with it
            return False
        self._count("jump")
        return True

    def _distinct(self, pts: int) -> int:
        """Return a pts that no recent picture has (quirk 3); backward only where reordering may explain it."""
        if pts > self._highest:
            self._highest = pts
        elif self._announced and self._reorder == 0:
            self._count("timestamp")
            pts = self._highest = self._highest + 1
        elif pts in self._recent:
            self._count("timestamp")
            while pts in self._recent:
                pts += 1
            self._highest = max(self._highest, pts)
        self._recent.append(pts)
        return pts

    def _decode_time(self, pts: int) -> int:
        """Return the dts: the presentation time that is due, `reorder` pictures late, and always later than before."""
        if not self._announced and pts < self._highest:
            # Reordering that nobody announced (quirk 5): as deep as pictures shown later came earlier.
            self._reorder = max(self._reorder, sum(1 for other in self._recent if other > pts))
        if self._reorder == 0:
            self._dts = pts if self._dts is None else max(pts, self._dts + 1)
            return self._dts
        heapq.heappush(self._waiting, pts)
        if len(self._waiting) > self._reorder:
            due = heapq.heappop(self._waiting)
        else:
            early = self._reorder + 1 - len(self._waiting)
            due = self._waiting[0] - early * (self._rate // FIRST_STEP_HZ)
        self._dts = due if self._dts is None else max(due, self._dts + 1)
        return self._dts

    def _follow_arrivals(self, arrival: float, period: float) -> int:
        """Predict the next picture from the period; let the arrival correct place and period a little."""
        expected = self._highest + period
        error = (arrival - self._place.delay) * self._rate - expected
        self._period = max(1.0, period + error * 0.01)
        return max(self._highest + 1, round(expected + error * 0.1))


class _Place:
    """Where media time zero stands on the monotonic clock: the least delay, followed slowly."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._pictures = 0
        self._least = (0.0, 0.0)  # of the last full window, of the running one
        self._window_end = 0.0
        self._settled_at = 0.0
        self._at = 0.0

    def settled(self, arrival: float) -> bool:
        """Tell whether a lesser delay is no longer believed at once."""
        return arrival > self._settled_at

    def moved(self, delay: float, arrival: float) -> bool:
        """Take one picture's delay; return true when the place stepped instead of being slewed."""
        self._pictures += 1
        if self._pictures == 1:
            self._begin(delay, arrival)
            self._settled_at = arrival + SETTLE_S
            return False
        full, running = self._least
        if arrival >= self._window_end:
            full, running = running, delay
            self._window_end = arrival + WINDOW_S
        self._least = (full, min(running, delay))
        error = min(self._least) - self.delay
        elapsed, self._at = arrival - self._at, arrival
        if error < 0 and arrival <= self._settled_at:
            self.delay += error
            return False
        if abs(error) > STEP_S:
            self._begin(self.delay + error, arrival)
            return True
        self.delay += _slew(error, elapsed, 1.0)
        return False

    def _begin(self, delay: float, arrival: float) -> None:
        self.delay = delay
        self._least = (delay, delay)
        self._window_end = arrival + WINDOW_S
        self._at = arrival


class _RateCheck:
    """Compares the media clock with the arrivals (quirk 7)."""

    def __init__(self, rate_hz: int) -> None:
        self._rate = rate_hz
        self._doubts = 0
        self._since: tuple[float, int] | None = None
        self._start_at = 0.0
        self._pause_s = 0.0
        self._last = 0.0
        self.elapsed_s = 0.0
        self.pictures = 0

    def restart(self, arrival: float) -> None:
        """Begin to measure anew, after what a burst may have squeezed together."""
        self._since = None
        self._start_at = arrival + RATE_SKIP_S
        self._last = arrival

    def wrong(self, raw: int, arrival: float) -> bool:
        """Take one picture; return true once the rate is known to be wrong."""
        self._pause_s = max(self._pause_s, arrival - self._last)
        self._last = arrival
        if self._since is None:
            if arrival >= self._start_at:
                self._since = (arrival, raw)
                self._pause_s = 0.0
                self.pictures = 0
            return False
        since, raw_then = self._since
        self.pictures += 1
        self.elapsed_s = arrival - since
        if self.elapsed_s < RATE_CHECK_S:
            return False
        media_s = max((raw - raw_then) / self._rate, 1e-6)
        # A camera that paused tells nothing about its clock.
        off = (
            1.0
            if self._pause_s > self.elapsed_s / 2
            else max(media_s / self.elapsed_s, self.elapsed_s / media_s)
        )
        self._doubts = self._doubts + 1 if off > RATE_DOUBTFUL else 0
        wrong = off > RATE_WRONG or self._doubts >= 2
        if not wrong:
            self._since = (arrival, raw)
            self._pause_s = 0.0
            self.pictures = 0
        return wrong


def _slew(error: float, elapsed_s: float, units_per_s: float) -> float:
    """Return the part of an error that may be corrected in elapsed_s: 500 ppm of it."""
    allowed = max(0.0, elapsed_s) * SLEW_PPM / 1_000_000 * units_per_s
    return max(-allowed, min(allowed, error))
