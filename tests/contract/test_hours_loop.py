"""Hours in the loops that receive: what is stored, what is kept for who asks later, and who may look on meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import av
import pytest

from agent.capture.camera import CameraPlan, CameraRecorder
from agent.capture.connection import Login
from agent.capture.duty import Duty
from agent.capture.live import FOLDER, Handout, Live
from agent.capture.loop import RtspCamera, RtspLoop
from agent.capture.past import PAST_BYTES
from agent.capture.past_live import Both, keeping
from agent.clock import SystemClock
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.model import GapCause, Instant, Trust
from tests.fakes.recorder import FakeRecorder
from tests.live import Ear

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY_MS = 86_400_000
NOON = 1_790_000_000_000 // DAY_MS * DAY_MS + 3 * 3_600_000  # in Korea
NIGHT = NOON + DAY_MS // 2
KEEP_S = 3.0


class Moved(SystemClock):
    """Says that it is what a test says it is, and goes on from there."""

    def __init__(self, utc_ms: int) -> None:
        super().__init__()
        self.set(utc_ms)

    def set(self, utc_ms: int) -> None:
        self.offset_ms = utc_ms - self.monotonic() * 1000

    def now(self) -> Instant:
        return Instant(round(self.offset_ms + self.monotonic() * 1000), Trust.SYNCED)


class Loop:
    """One camera of hours from 08:00 to 20:00, in a loop that a test turns."""

    def __init__(self, folder: Path, url: str, utc_ms: int) -> None:
        self.folder, self.clock, self.recorder = folder, Moved(utc_ms), FakeRecorder()
        self.states: list[str] = []
        self.loop = RtspLoop(
            self.recorder, self.clock, mark=memoryview(bytearray(1)), loss_window_s=0.5, beat=lambda _: None
        )
        plan = CameraPlan("box", "cam01", 60, 0.0)
        recorder = CameraRecorder(plan, self.recorder, None, GapCause.AGENT_STOPPED, Duty(["08:00-20:00"]))

        def remember(live: Handout, forgets: bool) -> Handout:
            keep_s = 0 if forgets else KEEP_S
            return keeping(live, str(folder), "cam01", self.loop.poller, keep_s, PAST_BYTES)

        live = Live(str(folder), "cam01", self.loop.poller)
        login = Login(url, None, None, "tcp", True)
        self.camera = RtspCamera(0, plan, login, recorder, live=live, remember=remember)
        self.loop.add(self.camera)

    def turn_until(self, what: str, ready: Callable[[], object], bound_s: float = 40.0) -> None:
        end = time.monotonic() + bound_s
        while not ready():
            assert time.monotonic() < end, f"waited in vain for {what}: {self.camera.state}"
            self.loop.turn(self.clock.monotonic())
            if self.camera.state not in self.states[-1:]:
                self.states.append(self.camera.state)
            time.sleep(0.05)

    def turn_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.turn_until("an end", lambda: time.monotonic() >= end)

    @property
    def past(self) -> bool:
        return (self.folder / FOLDER / "cam01.past.sock").exists()


def test_nothing_past_is_kept_of_a_camera_that_rests_and_who_may_look_on_does(tmp_path: Path) -> None:
    with CameraProcess([CameraSpec(1, gop=10)]) as cameras:
        scene = Loop(tmp_path, cameras.urls[1], NIGHT)
        scene.turn_until("a rest", lambda: scene.camera.state == "resting")
        assert not isinstance(scene.camera.live, Both)
        ear = Ear(tmp_path, "cam01")

        def heard() -> bool:
            ear.read(0.01)
            return len(ear.units) > 10

        scene.turn_until("pictures of a camera that rests", heard)
        assert not scene.past
        assert not scene.recorder.open
        assert not scene.recorder.committed

        scene.clock.set(NOON)
        scene.turn_until("recording", lambda: scene.camera.state == "recording")
        scene.turn_for(2.0)
        assert isinstance(scene.camera.live, Both)
        assert scene.past
        kept = scene.camera.live.past.past
        assert kept.oldest is not None
        assert scene.recorder.open["cam01"].frames > 10
        assert scene.camera.reconnects == 0, "the session went on over the turn"

        scene.clock.set(NIGHT)
        scene.turn_until("a rest", lambda: scene.camera.state == "resting")
        assert not isinstance(scene.camera.live, Both)
        assert not scene.past
        state = scene.loop.state(scene.clock.monotonic())["cameras"]["cam01"]
        assert (state["state"], state["cause"], state["conditions"]) == ("resting", "", {})
        seen = len(ear.units)

        def more() -> bool:
            ear.read(0.01)
            return len(ear.units) > seen + 10

        scene.turn_until("more of it", more)
        assert not ear.over
        scene.loop.run(lambda: True)
        assert scene.states[-4:] == ["resting", "playing", "recording", "resting"]
    (segment,) = scene.recorder.committed
    assert NOON <= segment.start.start.utc_ms < segment.end_ms < NOON + 60_000
    assert {str(gap.cause) for gap, _ in scene.recorder.gaps} <= {"off_hours"}


def test_a_camera_that_goes_away_while_it_rests_is_lost_and_comes_back_to_rest(tmp_path: Path) -> None:
    with CameraProcess([CameraSpec(1, gop=10)]) as cameras:
        scene = Loop(tmp_path, cameras.urls[1], NIGHT)
        scene.turn_until("a rest", lambda: scene.camera.state == "resting")
        cameras.command("drop_clients", camera=1)
        scene.turn_until("the loss", lambda: scene.camera.reconnects)
        assert scene.camera.cause == "camera_closed"
        scene.turn_until("a rest", lambda: scene.camera.state == "resting")
        scene.loop.run(lambda: True)
    assert not scene.recorder.committed
    assert {str(gap.cause) for gap, _ in scene.recorder.gaps} == {"off_hours"}
    assert [fact.kind for fact in scene.recorder.facts if fact.kind.startswith("camera.lost")] == [
        "camera.lost"
    ]


def clip(file: Path) -> Path:
    with av.open(str(file), "w") as made:
        stream = made.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 240, "yuv420p", 25
        for _ in range(500):
            made.mux(stream.encode(av.VideoFrame(320, 240, "yuv420p")))
        made.mux(stream.encode())
    return file


@pytest.mark.parametrize("at_ms", [NOON, NIGHT])
def test_what_libav_reads_has_hours_too(at_ms: int, tmp_path: Path) -> None:
    from agent.capture.libav import LibavWorker, plan_source

    file = clip(tmp_path / "clip.avi")
    recorder, clock = FakeRecorder(), Moved(at_ms)
    plan = CameraPlan("box", "cam01", 60, 0.0)
    camera = CameraRecorder(plan, recorder, None, GapCause.AGENT_STOPPED, Duty(["08:00-20:00"]))
    told: list[dict[str, Any]] = []
    source = plan_source(f"file:{file}", allow_basic=False)
    worker = LibavWorker("cam01", source, camera, recorder, clock, loss_window_s=0.5, beat=told.append)
    end = time.monotonic() + 20
    wanted = "recording" if at_ms == NOON else "resting"

    def states() -> set[str]:
        return {one["cameras"]["cam01"]["state"] for one in told}

    assert worker.run(lambda: wanted in states() or time.monotonic() > end) == 0
    assert wanted in states()
    assert bool(recorder.committed) == (at_ms == NOON)
