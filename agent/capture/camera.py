"""One camera from access units to the recorder: runs, gaps with their causes, facts. Does no I/O of its own.

Whatever source reads the camera (the RTSP loop, libav) drives one of these. All calls carry the monotonic
time and the box's UTC; commands of the cutter go to the `Recorder` at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.capture.cutter import Begin, Command, Cutter, Write
from agent.capture.timeline import BACK_S, STEP_S, Stamp, Timeline
from agent.capture.vitals import Gauge
from agent.model import Codec, Fact, Gap, GapCause, Instant, Span, Track, Trust, canonical_json, utc_name
from agent.ports import Recorder, SegmentStart

if TYPE_CHECKING:
    from agent.capture.duty import Duty
    from agent.capture.picture import Format, Picture
    from agent.config.hours import Stretch

STEP_MS = STEP_S * 1000
GAP_MS = 20  # less than one picture at 50 fps: rounding, not absence
LATELY_MS = 2000
BURST_MS = 300  # what a camera has kept for a new client comes within this (quirk 12)
ASLEEP_S = 5.0  # a source that does not turn for so long is killed as hung, unless the whole box stood still
GAP_PART_MS = 600_000  # a long outage is written down in parts, so that no end of ours forgets its cause
OURS = (GapCause.AGENT_STOPPED, GapCause.AGENT_KILLED, GapCause.WORKER_LOST, GapCause.RECONFIGURED)
FIRST_KEYFRAME = (
    "first keyframe"  # why nothing is stored of the moment in which the hours begin; see Duty.told
)
BACKLOG_MS = 60_000  # no camera that keeps pictures for a new client keeps more of them


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """What a camera's recording is told once: its id, its box, segment length and its share of the grid's shift."""

    box: str
    camera: str
    segment_s: int
    phase: float


class CameraRecorder:
    """The recording of one camera, over all its sessions."""

    def __init__(
        self,
        plan: CameraPlan,
        recorder: Recorder,
        covered_ms: int | None,
        cause: GapCause,
        duty: Duty | None = None,
    ) -> None:
        """Start with the span since covered_ms missing for `cause`; None for a camera that has never recorded.

        duty  its hours; None: it is recorded always, and no picture is asked when it was taken
        """
        self._plan = plan
        self._recorder = recorder
        self._duty = duty
        self._limits: Stretch | None = None  # the hours in which this run was begun
        self._cutter = Cutter(
            plan.segment_s, plan.phase, self._utc_ms if duty is None else self._within_ms, self._about
        )
        self._timeline: Timeline | None = None
        self._format: Format | None = None
        self._covered_ms = covered_ms
        self._cause = cause
        self._detail = ""
        self._cut_due = False  # a new run at the next keyframe
        self._dropping = False  # the disk does not follow
        self._now = Instant(0, Trust.UNTRUSTED)
        self._begun_ms = 0  # UTC of the session's first picture
        self._new = False  # nothing of this session was written yet
        self._last_pts = 0
        self._step_ms = 40
        self._hole: tuple[int, int, int] | None = None  # from, to, packets: what this GOP lost on the way
        self._followed_at = -1.0  # monotonic, of the last `follow`
        self._offset_ms: float | None = None  # UTC minus monotonic, then
        self._lost_told = False
        self._connected_told = False
        self.gauge = Gauge()
        self.resting = False  # pictures come, outside of its hours
        self._awake_ms = 0  # UTC in which its last rest ended
        self.last_picture = 0.0  # monotonic; 0 while none has come
        self.frames = 0
        self.bytes = 0
        self.skipped = 0
        self.runs = 0

    @property
    def recording(self) -> bool:
        """Tell whether a run is open."""
        return self._cutter.recording

    @property
    def covered_ms(self) -> int | None:
        """Return the UTC up to which it is recorded, or known to be missing; None if it never was."""
        return self._covered_ms

    @property
    def track(self) -> Format | None:
        """Return the format of the newest run."""
        return self._format

    @property
    def has_hours(self) -> bool:
        """Tell whether it is recorded in some hours alone."""
        return self._duty is not None

    @property
    def hours_open(self) -> bool:
        """Tell whether its hours cannot be kept, since nobody knows what time it is."""
        return self._duty is not None and not self._duty.known

    @property
    def repairs(self) -> dict[str, int]:
        """Return what the timeline of this session has repaired."""
        return dict(self._timeline.repairs) if self._timeline else {}

    def follow(self, now: Instant, monotonic: float) -> None:
        """Take the time, once a turn and before anything else of it; both are the same moment.

        When somebody has set the clock, what was recorded keeps the label and the trust of before, and what is missing
        is told by the new time.
        """
        if self._duty is not None:
            self._trust(self._duty, now.trust)
        self._followed_at = monotonic
        offset_ms = now.utc_ms - monotonic * 1000
        before_ms, self._offset_ms = self._offset_ms, offset_ms
        step_ms = offset_ms - (offset_ms if before_ms is None else before_ms)
        timeline = self._timeline
        if timeline is not None:
            step_ms = timeline.step(offset_ms)
        if abs(step_ms) <= STEP_MS:
            self._now = now
        elif self._cutter.recording:
            assert self._format is not None
            self._end_run(self._cause, self._detail)
            self._now = now
            self.tell("clock.step", {"step_ms": round(step_ms)})
            self._covered_ms = None  # the label jumps, nothing is missing
            self._begin_run(self._format, monotonic)
        else:
            self._now = now
            if self._covered_ms is not None:
                self._covered_ms += round(step_ms)
            self._awake_ms += round(step_ms)
        if timeline is not None:
            timeline.sync(offset_ms, monotonic)

    def picture(self, unit: Picture, now: Instant, monotonic: float) -> None:
        """Take one access unit; now and monotonic are the same moment on both clocks."""
        if monotonic != self._followed_at:
            self.follow(now, monotonic)
        self.bytes += len(unit.data)
        form = unit.format
        if form is None:
            self.skipped += 1
            return
        self.last_picture = monotonic
        stamp: Stamp | None = None
        if self._duty is not None:
            stamp = self._on_duty(self._duty, unit, form)
            if stamp is None:
                self.frames += 1
                return
        if self._dropping or not self._recorder.room(self._plan.camera):
            self._give_way()
        if self._cutter.recording and form is not self._format and form != self._format:
            if unit.keyframe and self._same_clock(form):
                self._cut_due = True
            else:
                self._end_run(GapCause.PARAMETERS_CHANGED, "")
        if not self._cutter.recording:
            if self._dropping or not unit.keyframe or unit.damaged:
                self.skipped += 1
                return
            self._begin_run(form, unit.arrival)
        timeline = self._timeline
        assert timeline is not None
        if stamp is None:
            stamp = timeline.stamp(unit.timestamp, unit.arrival)
        if stamp.jump:
            self._cut_due = True
        if unit.keyframe:
            self._tell_hole()
            if self._cut_due:
                self._end_run(GapCause.CLOCK_JUMP, "", stamp)
                self._begin_run(form, unit.arrival)
        if unit.lost or unit.damaged:
            self._note_hole(timeline, stamp.pts, unit)
        elif self.frames:
            self._step_ms = min(
                1000, max(1, abs(timeline.utc_ms(stamp.pts) - timeline.utc_ms(self._last_pts)))
            )
        self._last_pts = stamp.pts
        self.gauge.picture(unit.data, stamp.dts, unit.keyframe, unit.damaged or unit.lost > 0)
        self.frames += 1
        self._do(self._cutter.add(unit.data, stamp.pts, stamp.dts, unit.keyframe))
        if self._new and not self._bursting(now):
            self._new = False
            self._do(self._cutter.flush())

    def begun_lately(self, now: Instant) -> bool:
        """Tell whether the session is so young that nothing of it may be out of this process yet."""
        return 0 <= now.utc_ms - self._begun_ms < LATELY_MS

    def flush(self, now: Instant) -> None:
        """Hand to the recorder what waits; called once per loss window, before the recorder's own flush."""
        if not self._bursting(now):
            self._do(self._cutter.flush())
        missing_ms = now.utc_ms - self._covered_ms if self._covered_ms is not None else 0
        if missing_ms > GAP_PART_MS and not self._cutter.recording:
            off = self._duty is not None and not self._duty.at(now.utc_ms).on
            if off or self._cause not in OURS:
                self._settle(now)  # a kill would put the whole outage down to itself

    def session_ended(self, cause: GapCause, detail: str, now: Instant) -> None:
        """Close the run; what is missing from here on is missing for `cause`."""
        was_recording = self._cutter.recording
        if was_recording:
            self._end_run(cause, detail)
        elif (
            self._cause in (*OURS, GapCause.OFF_HOURS) and cause not in OURS and self._covered_ms is not None
        ):
            # What we missed ourselves, or nobody wanted, ends here; from now on the camera is what is missing.
            self._settle(now)
            self._cause, self._detail = cause, detail
        self._timeline = None
        self.resting = False
        if cause != GapCause.AGENT_STOPPED and (was_recording or not self._lost_told):
            self._lost_told = True
            self.tell("camera.lost", {"cause": str(cause), "detail": detail})
        if self._covered_ms is None:
            self._covered_ms = now.utc_ms
            self._cause, self._detail = cause, detail
        if cause == GapCause.AGENT_STOPPED and not was_recording:
            self._settle(now)

    def leave(self, now: Instant) -> None:
        """Write down what is missing so far: the process ends, and its successor will not know why it was missing."""
        if not self._cutter.recording:
            self._settle(now)

    def _settle(self, now: Instant) -> None:
        """Write the running gap up to now, for its cause; what follows may have another."""
        if self._covered_ms is not None and now.utc_ms - self._covered_ms > GAP_MS:
            self._gap(self._covered_ms, now.utc_ms, self._cause, self._detail)
            self._covered_ms = now.utc_ms

    def woke(self) -> None:
        """End the run: the box slept, and what still waits in its sockets does not say when it was taken."""
        if self._cutter.recording:
            self._end_run(GapCause.BOX_ASLEEP, "")
        elif self._cause == GapCause.OFF_HOURS:  # of its hours, what was slept through was not off duty
            self._cause, self._detail = GapCause.BOX_ASLEEP, ""
        self._timeline = None

    def renewed(self, cause: GapCause, detail: str) -> CameraRecorder:
        """Return a new one that goes on where this one is known to have come to, for when its state is in doubt.

        A segment that it left open is ended by the recorder when the next one begins.
        """
        fresh = CameraRecorder(self._plan, self._recorder, self._covered_ms, cause, self._duty)
        fresh._detail = detail
        fresh._now = self._now
        fresh._followed_at, fresh._offset_ms = self._followed_at, self._offset_ms
        return fresh

    def tell(self, kind: str, body: dict[str, Any]) -> None:
        """Append a fact about this camera."""
        self._recorder.fact(Fact(kind, self._now, {"camera": self._plan.camera, **body}))

    def _begin_run(self, form: Format, arrival: float) -> None:
        if not self._same_clock(form):
            self._timeline = None
        size = (self._format.width, self._format.height) if self._format else None
        self._format = form
        self._cut_due = False
        if self._timeline is None:
            self._timeline = self._begin_timeline(form)
        if self._new or (form.width, form.height) != size:
            self.gauge.restart(form.codec, form.clock_rate, form.width, form.height)
        self.runs += 1
        track = Track(Codec(form.codec), form.clock_rate, form.width, form.height, form.config)
        self._cutter.begin_run(f"{utc_name(self._now.utc_ms)}-{int(arrival * 1000):x}", track)

    def _begin_timeline(self, form: Format) -> Timeline:
        self._begun_ms = self._now.utc_ms
        self._new = True
        timeline = Timeline(form.clock_rate, form.reorder)
        assert self._offset_ms is not None
        timeline.sync(self._offset_ms, self._followed_at)
        return timeline

    def _on_duty(self, duty: Duty, unit: Picture, form: Format) -> Stamp | None:
        """Place a picture before anything is done with it; None when it is none of the camera's hours.

        While it rests the timeline goes on, so that the first picture of its hours is known for one.
        """
        timeline = self._timeline
        if timeline is None or not self._same_clock(form):
            if self._cutter.recording:
                self._end_run(GapCause.PARAMETERS_CHANGED, "")
            self._format = form
            timeline = self._timeline = self._begin_timeline(form)
        stamp = timeline.stamp(unit.timestamp, unit.arrival)
        label_ms = timeline.utc_ms(stamp.pts)
        stretch = duty.at(label_ms)
        if self._cutter.recording:
            assert self._limits is not None
            if stretch.on:
                self._limits = stretch
                return stamp
            if _just_before(label_ms, self._limits):
                return None  # shown before the keyframe with which the hours began
            self._end_run(GapCause.OFF_HOURS, FIRST_KEYFRAME, stamp)
            self._limits = stretch
        elif stretch.on:
            if self.resting and self._limits is not None and _just_before(label_ms, self._limits):
                return None  # of the hours that are over, behind a picture that is shown later
            if self.resting:
                self.resting = False
                self._awake_ms = label_ms if label_ms - stretch.from_ms > STEP_MS else stretch.from_ms
            if label_ms - stretch.from_ms < BACKLOG_MS and not timeline.settled(unit.arrival):
                return None  # it may have been taken before the hours, and kept for us
            self._limits = stretch
            return stamp
        self._last_pts = stamp.pts
        self._rest(form, stretch)
        return None

    def _rest(self, form: Format, stretch: Stretch) -> None:
        """Have nothing of a picture but that it came."""
        if self._cause != GapCause.OFF_HOURS:
            self._settle(self._now)  # until here it was missing for another cause, as far as it was wanted
            self._cause, self._detail = GapCause.OFF_HOURS, FIRST_KEYFRAME
        if self._covered_ms is None:
            self._covered_ms = self._now.utc_ms
        if not self.resting:
            self._tell_connected(form.codec, form.width, form.height, "")
        self.resting, self._limits = True, stretch
        self._format = form
        self._dropping = False
        self._new = True  # for the gauge, to which the next picture has no connection

    def _trust(self, duty: Duty, trust: Trust) -> None:
        """Let the hours count, or not, from now on; what was missing until here is told by what counted until here."""
        if duty.known is not (trust is not Trust.UNTRUSTED):
            if not self._cutter.recording and duty.known:
                self._settle(self._now)
            duty.trust(trust)

    def _bursting(self, now: Instant) -> bool:
        return 0 <= now.utc_ms - self._begun_ms < BURST_MS

    def _same_clock(self, form: Format) -> bool:
        old = self._format
        return old is not None and (old.clock_rate, old.reorder) == (form.clock_rate, form.reorder)

    def _end_run(self, cause: GapCause, detail: str, successor: Stamp | None = None) -> None:
        self._tell_hole()
        if self._cutter.recording:
            self._do(self._cutter.end_run((successor.pts, successor.dts) if successor else None))
        self._cause = cause
        self._detail = detail

    def _give_way(self) -> None:
        """Drop whole GOPs while the disk does not follow."""
        if not self._dropping:
            self._dropping = True
            self._end_run(GapCause.STORAGE_SLOW, "")
        elif self._recorder.room(self._plan.camera):
            self._dropping = False

    def _note_hole(self, timeline: Timeline, pts: int, unit: Picture) -> None:
        here_ms = timeline.utc_ms(pts)
        before_ms = timeline.utc_ms(self._last_pts) + self._step_ms
        from_ms = before_ms if here_ms > before_ms + self._step_ms // 2 else here_ms
        to_ms = here_ms + self._step_ms if unit.damaged else here_ms
        if to_ms <= from_ms:
            return
        first, _, packets = self._hole or (from_ms, to_ms, 0)
        self._hole = (first, to_ms, packets + unit.lost)

    def _tell_hole(self) -> None:
        if self._hole is not None:
            from_ms, to_ms, packets = self._hole
            self._hole = None
            self._gap(from_ms, to_ms, GapCause.STREAM_DAMAGED, f"{packets} packets lost")

    def _gap(self, from_ms: int, to_ms: int, cause: GapCause, detail: str) -> None:
        """Write a gap down; of a camera with hours, what lies outside of them as nothing that anybody missed."""
        span, camera = Span(from_ms, to_ms), self._plan.camera
        whole = ((span, cause, detail),)
        duty = self._duty
        for part in duty.told(span, cause, detail, self._awake_ms) if duty is not None else whole:
            self._recorder.gap(Gap(camera, *part), self._now)

    def _do(self, commands: list[Command]) -> None:
        camera = self._plan.camera
        for command in commands:
            if isinstance(command, Write):
                self._recorder.write(camera, command.data, command.end_ms, command.frames)
                self._covered_ms = command.end_ms
            elif isinstance(command, Begin):
                self._begin(command)
            else:
                self._recorder.end(camera, command.end_ms)
                self._covered_ms = command.end_ms

    def _begin(self, begin: Begin) -> None:
        camera = self._plan.camera
        if self._covered_ms is not None and begin.start_ms - self._covered_ms > GAP_MS:
            self._gap(self._covered_ms, begin.start_ms, self._cause, self._detail)
        self._tell_connected(begin.track.codec, begin.track.width, begin.track.height, begin.run)
        start = Instant(begin.start_ms, self._now.trust)
        self._recorder.begin(SegmentStart(camera, begin.run, start, begin.track, begin.keyframe))
        self._recorder.write(camera, begin.init, begin.start_ms, 0)
        self._covered_ms = begin.start_ms

    def _tell_connected(self, codec: str, width: int, height: int, run: str) -> None:
        """Say that pictures come, once after each loss that was told; run: "" while it rests."""
        if self._lost_told or not self._connected_told:
            self._lost_told = False
            self._connected_told = True
            self.tell("camera.connected", {"codec": str(codec), "width": width, "height": height, "run": run})

    def _utc_ms(self, pts: int) -> int:
        assert self._timeline is not None
        return self._timeline.utc_ms(pts)

    def _within_ms(self, pts: int) -> int:
        """Return the same of a picture that was found to be of the hours, and so never a moment outside of them.

        Labels are slewed until they are written down; and how long the last picture was shown is told by the first
        that is not stored.
        """
        assert self._limits is not None
        return min(max(self._utc_ms(pts), self._limits.from_ms), self._limits.until_ms)

    def _about(self, run: str, start_ms: int) -> bytes:
        about = {"box": self._plan.box, "camera": self._plan.camera, "run": run, "start_ms": start_ms}
        return canonical_json(about).encode()


def _just_before(label_ms: int, stretch: Stretch) -> bool:
    """Tell whether a picture may be one of the stretch before for its order alone; further back, a clock was set."""
    return stretch.from_ms - BACK_S * 1000 <= label_ms < stretch.from_ms
