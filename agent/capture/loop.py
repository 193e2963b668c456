"""The one loop that receives from all RTSP cameras of a worker. Shell.

It sleeps until its next turn, ten a second, instead of waking for every packet: one receive then carries
dozens of packets, and waking is where the processor time of other recorders goes. In a turn each camera is
served by itself, inside one `try`: whatever a camera's bytes provoke ends that camera's session and nothing
else. A word of memory shared with the parent says which camera is being served, so that a crash or a hang can
be put to its name.
"""

from __future__ import annotations

import json
import logging
import random
import select
import time
from typing import TYPE_CHECKING, Any

from agent.capture.camera import ASLEEP_S
from agent.capture.connection import Connection, Login
from agent.capture.identity import Likeness
from agent.capture.pace import Pace
from agent.capture.shown import STEADY, camera_state, storage_state
from agent.model import GapCause, Instant
from agent.rtsp.errors import RtspError
from agent.rtsp.events import Described, Ended, Event, Playing, Redirected
from agent.rtsp.media import AccessUnit
from agent.rtsp.url import RtspUrl, parse_url

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from agent.capture.camera import CameraPlan, CameraRecorder
    from agent.capture.live import Handout
    from agent.capture.sub import SubStream
    from agent.clock import Clock
    from agent.ports import Recorder

TURN_S = 0.1
SLOT_S = 0.2
"""Packets are handed out so often, those of all cameras together: a relay's cost is its wakes, not its bytes."""
BACKOFF_FIRST_S = 0.25
BACKOFF_MOST_S = 2.0  # with the connection and a keyframe to wait for, 5 s in all
BEAT_S = 1.0

# What of an error's context may be shown; the rest may hold an address.
SAYABLE = ("reason", "phase", "status", "offered", "asked", "after_s", "limit")

log = logging.getLogger("pasu.record")

CAUSES = {
    "timeout": GapCause.CAMERA_SILENT,
    "closed": GapCause.CAMERA_CLOSED,
    "auth_failed": GapCause.CAMERA_REFUSED,
    "auth_missing": GapCause.CAMERA_REFUSED,
    "auth_unsupported": GapCause.CAMERA_REFUSED,
    "no_video": GapCause.CAMERA_REFUSED,
    "status": GapCause.CAMERA_REFUSED,
    "redirect_refused": GapCause.CAMERA_REFUSED,
    "transport_refused": GapCause.CAMERA_REFUSED,
}


class RtspCamera:
    """One camera of the loop: its connection while there is one, its back-off while there is none."""

    def __init__(
        self,
        index: int,
        plan: CameraPlan,
        login: Login,
        recorder: CameraRecorder,
        witness: Callable[[bytes], None] | None = None,
        *,
        live: Handout | None = None,
        sub: SubStream | None = None,
        remember: Callable[[Handout, bool], Handout] = lambda live, _: live,
    ) -> None:
        """Start without a connection.

        witness  is given what the camera sends before anything reads it; for one that crashed a worker before
        live     hands out what the camera sends, where that is possible; sub likewise of its second stream
        remember returns what hands it out from now on; true: of a camera with hours nothing past is to be kept now
        """
        self.index = index
        self.id = plan.camera
        self.recorder = recorder
        self.state = "waiting"
        self.cause = ""
        self.detail = ""
        self.offered: tuple[str, ...] = ()
        self.likeness = Likeness(login.url)
        self.last_data = 0.0
        self.reconnects = 0
        self._login = login
        self._witness = witness
        self._live = live
        self._sub = sub
        self._remember = remember
        self.forgets = recorder.has_hours
        self._url: RtspUrl = parse_url(login.url)
        self._connection: Connection | None = None
        self._next_try = 0.0
        self._failures = 0
        self._uninvited = False

    @property
    def live(self) -> Handout | None:
        """Return what hands out what the camera sends."""
        return self._live

    def hand_out(self, live: Handout) -> None:
        """Give what the camera sends to another one from now on, in the session that is going on, too."""
        self._live = live
        if self._connection is not None:
            self._connection.live = live

    def turn(self, now: float, instant: Instant, ready: list[socket.socket], poller: select.epoll) -> None:
        """Serve the camera once; an error of the session ends it and sets the time of the next try."""
        try:
            self.recorder.follow(instant, now)
            if self._connection is None:
                if now < self._next_try:
                    return
                self.state = "connecting"
                self._connection = Connection(
                    self._login, self._url, poller, now, self._witness, live=self._live
                )
            connection = self._connection
            for sock in ready:
                self.last_data = now
                self._take(connection.receive(sock, now), now, instant)
            self._take(connection.due(now), now, instant)
            if self.recorder.has_hours:
                self._turn_of_hours()
        except RtspError as error:
            text = f"{error.code}: {error.message}"
            if known := " ".join(
                f"{name}={error.context[name]}" for name in SAYABLE if name in error.context
            ):
                text += f" ({known})"
            self._fail(CAUSES.get(error.code, GapCause.STREAM_INVALID), error.code, text, now, instant)
        except OSError as error:
            cause = GapCause.CAMERA_CLOSED if self.state in STEADY else GapCause.CAMERA_UNREACHABLE
            detail = error.strerror or type(error).__name__
            self._fail(cause, detail, detail, now, instant)
        except Exception:
            log.exception("%s: error inside the session", self.id)
            self._survive(now, instant)

    def show(self, now: float, ready: set[int], poller: select.epoll, *, due: bool) -> None:
        """Hand out what has come to those who listen. ready, due: as of `Door.turn`."""
        if self._live is not None:
            self._live.turn(ready, due=due)
        if self._sub is not None:
            self._sub.turn(now, ready, poller, due=due)

    def woke(self, now: float, instant: Instant) -> None:
        """Begin a new run: the box slept."""
        try:
            self.recorder.woke()
        except Exception:
            log.exception("%s: error inside the session", self.id)
            self._survive(now, instant)

    def flush(self, now: float, instant: Instant) -> None:
        """Hand over what waits."""
        try:
            self.recorder.flush(instant)
        except Exception:
            log.exception("%s: error inside the session", self.id)
            self._survive(now, instant)

    def _survive(self, now: float, instant: Instant) -> None:
        """End the session after a bug of ours, which is not to cost the other cameras a picture."""
        cause, detail = GapCause.SESSION_ERROR, "see the log"
        try:
            self._fail(cause, detail, "error inside the session", now, instant)
        except Exception:
            # Its own state may be what is broken: begin with a new one, from where it is known to have come to.
            log.exception("%s: error at the session's end", self.id)
            self.recorder = self.recorder.renewed(cause, detail)

    def stop(self, cause: GapCause, now: float, instant: Instant) -> None:
        """End the session in order."""
        try:
            self.recorder.follow(instant, now)
            self._drop(now)
            self.recorder.session_ended(cause, "", instant)
        except Exception:
            log.exception("%s: error at the session's end", self.id)
        self.state = "stopped"
        if self._live is not None:
            self._live.close()
        if self._sub is not None:
            self._sub.close(now)

    def sockets(self) -> list[socket.socket]:
        """Return the sockets of the connection."""
        return self._connection.sockets if self._connection else []

    def _take(self, events: Iterable[Event], now: float, instant: Instant) -> None:
        for event in events:
            if isinstance(event, AccessUnit):
                self.recorder.picture(event, instant, now)
                if event.keyframe and self._live is not None:
                    self._live.picture(event)
                if event.format is not None:
                    self.likeness.format(event.format)
                if self.recorder.recording and self.state != "recording":
                    self.state = "recording"
                    self._failures = 0
                    form = event.format
                    if form is not None:
                        log.info("%s: recording %s %dx%d", self.id, form.codec, form.width, form.height)
            elif isinstance(event, Described):
                self.offered = event.audio
                if self._live is not None:
                    self._live.described(event)
                assert self._connection is not None
                self.likeness.session(event.device, self._connection.certificate)
                if event.audio:
                    self.recorder.tell("camera.audio_offered", {"encodings": list(event.audio)})
            elif isinstance(event, Playing):
                self.state = "playing"
            elif isinstance(event, Redirected):
                assert self._connection is not None
                self._connection.redirect(event.url, now)
                if self._live is not None:  # what comes now ends no frame of the connection before
                    self._live.session_over(now)
            elif isinstance(event, Ended):
                raise RtspError("closed", event.reason)

    def _turn_of_hours(self) -> None:
        """Say that the camera rests, or no longer does; keep what has come for who asks later in its hours alone."""
        resting = self.recorder.resting
        if resting and self.state in ("playing", "recording"):
            self.state = "resting"
            self._failures = 0
            log.info("%s: outside of its hours", self.id)
        elif self.state == "resting" and not resting:
            self.state = "playing"
        forgets = self.state != "recording"
        if self._live is not None and forgets is not self.forgets:
            self.hand_out(self._remember(self._live, forgets))
        self.forgets = forgets

    def tell_uninvited(self) -> None:
        """Write, once per session, the fact that the camera sends what nobody asked for; it was dropped unread."""
        session = self._connection.session if self._connection else None
        if session is not None and not self._uninvited and session.stats.foreign_frames:
            self._uninvited = True
            self.recorder.tell("camera.uninvited_data", {})

    def _fail(self, cause: GapCause, detail: str, message: str, now: float, instant: Instant) -> None:
        if str(cause) != self.cause or self.state in STEADY:
            log.warning("%s: %s: %s", self.id, cause, message)
        self._drop(now)
        self._url = parse_url(self._login.url)  # a redirect holds for one session
        self.state = "lost"
        self.cause = str(cause)
        self.detail = message
        delay = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**self._failures)
        self._next_try = now + delay * random.uniform(0.6, 1.0)  # noqa: S311 - spreads load, protects nothing
        self._failures = min(self._failures + 1, 8)
        self.reconnects += 1
        self.recorder.session_ended(cause, detail, instant)

    def _drop(self, now: float) -> None:
        self._uninvited = False
        self.offered = ()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(now)
            if self._live is not None:
                self._live.session_over(now)


class RtspLoop:
    """All RTSP cameras of one worker."""

    def __init__(
        self,
        recorder: Recorder,
        clock: Clock,
        *,
        mark: memoryview,
        loss_window_s: float,
        beat: Callable[[bytes], None],
    ) -> None:
        """Start without cameras.

        mark   one word that the parent sees: number of the camera being served plus one, 0 between
        beat   sends the state to the parent, once a second; never waits
        """
        self._recorder = recorder
        self._clock = clock
        self._mark = mark
        self._pace = Pace(loss_window_s)
        self._beat = beat
        self._cameras: list[RtspCamera] = []
        self.poller = select.epoll()
        self._next_beat = 0.0
        self._turned = clock.monotonic()
        self._slot = 0
        self._counted: dict[str, tuple[int, int]] = {}
        self._counted_at = 0.0

    @property
    def cameras(self) -> Sequence[RtspCamera]:
        """Return the cameras of the loop."""
        return self._cameras

    def add(self, camera: RtspCamera) -> None:
        """Take a camera in; its first connection is made in the next turn."""
        self._cameras.append(camera)

    def remove(self, camera_id: str) -> int | None:
        """End a camera's session in order, its segment with it; return the UTC ms that it is covered up to."""
        camera = next(camera for camera in self._cameras if camera.id == camera_id)
        self._cameras.remove(camera)
        self._counted.pop(camera_id, None)
        camera.stop(GapCause.AGENT_STOPPED, self._clock.monotonic(), self._clock.now())
        return camera.recorder.covered_ms

    def run(self, stopping: Callable[[], bool]) -> None:
        """Turn until `stopping` says so; then end every session."""
        while not stopping():
            started = self._clock.monotonic()
            self.turn(started)
            left = TURN_S - (self._clock.monotonic() - started)
            if left > 0:
                time.sleep(left)
        now, instant = self._clock.monotonic(), self._clock.now()
        for camera in self._cameras:
            camera.stop(GapCause.AGENT_STOPPED, now, instant)

    def turn(self, now: float) -> None:
        """Serve every camera once, and flush and report when it is time."""
        instant = self._clock.now()
        if now - self._turned > ASLEEP_S:
            for camera in self._cameras:
                camera.woke(now, instant)
        self._turned = now
        ready = {number for number, _ in self.poller.poll(0)}
        for camera in self._cameras:
            self._mark[0] = camera.index + 1
            camera.turn(
                now, instant, [sock for sock in camera.sockets() if sock.fileno() in ready], self.poller
            )
        slot, self._slot = self._slot, int(now / SLOT_S)
        for camera in self._cameras:
            self._mark[0] = camera.index + 1
            camera.show(now, ready, self.poller, due=slot != self._slot)
        self._mark[0] = 0
        if self._pace.handover_due(now):
            for camera in self._cameras:
                camera.flush(now, instant)
            begun = any(camera.recorder.begun_lately(instant) for camera in self._cameras)
            if self._pace.window_ends(begun_lately=begun):
                self._recorder.flush()
        if now >= self._next_beat:
            self._next_beat = now + BEAT_S
            self._beat(json.dumps(self.state(now)).encode())

    def state(self, now: float) -> dict[str, Any]:
        """Return what the parent and the health file show of this worker: no addresses, no passwords."""
        totals = self._recorder.totals()
        elapsed = max(now - self._counted_at, 0.001)
        self._counted_at = now
        cameras = {}
        for camera in self._cameras:
            camera.tell_uninvited()
            frames, octets = self._counted.get(camera.id, (0, 0))
            self._counted[camera.id] = (camera.recorder.frames, camera.recorder.bytes)
            cameras[camera.id] = camera_state(
                camera.recorder,
                totals.get(camera.id, {}),
                now,
                state=camera.state,
                cause="" if camera.state in STEADY else camera.cause,
                detail="" if camera.state in STEADY else camera.detail,
                audio_offered=list(camera.offered),
                likeness=camera.likeness.to_json(),
                silent_ms=round((now - camera.last_data) * 1000) if camera.last_data else None,
                reconnects=camera.reconnects,
                fps=round((camera.recorder.frames - frames) / elapsed, 1),
                kbit_s=round((camera.recorder.bytes - octets) / elapsed / 125),
            )
        return {
            "cameras": cameras,
            "backlog_bytes": self._recorder.backlog_bytes(),
            "storage": storage_state(self._recorder),
        }
