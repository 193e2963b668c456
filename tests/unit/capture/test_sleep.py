"""C11: a box that is suspended, or a virtual machine that is paused, while a camera is recorded."""

from __future__ import annotations

import pytest

from agent.capture.camera import ASLEEP_S
from agent.capture.loop import RtspLoop
from agent.model import GapCause
from tests.fakes.recorder import FakeRecorder
from tests.unit.capture.test_camera import START_MS, Scene

SLEEP_MS = 600_000


@pytest.mark.parametrize("camera_sleeps_too", [False, True])
def test_c11_the_gap_is_as_long_as_the_sleep(camera_sleeps_too) -> None:
    """Whether the camera went on meanwhile, or stood still in the same machine, says nothing about where pictures are."""
    scene = Scene()
    scene.pictures(100)
    raw = scene.raw
    scene.pause(SLEEP_MS)
    if camera_sleeps_too:
        scene.raw = raw
    scene.camera.woke()
    scene.pictures(100)
    scene.end()
    assert scene.spans() == [(0, 4000), (4000 + SLEEP_MS, 8000 + SLEEP_MS)]
    assert scene.gaps() == [(4000, 4000 + SLEEP_MS, "box_asleep")]
    assert len({segment.start.run for segment in scene.recorder.committed}) == 2
    assert "clock.step" not in scene.kinds()


def test_c11_an_outage_before_the_sleep_keeps_its_cause() -> None:
    scene = Scene()
    scene.pictures(50)
    scene.end(GapCause.CAMERA_UNREACHABLE)
    scene.pause(SLEEP_MS)
    scene.camera.woke()
    scene.pictures(50)
    scene.end(GapCause.AGENT_STOPPED)
    assert scene.gaps() == [(2000, 2000 + SLEEP_MS, "camera_unreachable")]
    assert scene.spans()[1][0] == 2000 + SLEEP_MS
    assert scene.instant.utc_ms > START_MS


class Camera:
    """What the loop asks of a camera, no more."""

    index = 0
    id = "cam01"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.recorder = self

    def sockets(self) -> list:
        return []

    def turn(self, *_) -> None:
        self.told.append("turn")

    def show(self, *_, due: bool) -> None:
        pass

    def woke(self, *_) -> None:
        self.told.append("woke")

    def flush(self, *_) -> None:
        pass

    def begun_lately(self, _) -> bool:
        return False


class Ticks:
    at = 100.0

    def monotonic(self) -> float:
        return self.at

    def now(self):
        return Scene().instant


def test_c11_the_loop_sees_that_it_slept_before_it_reads() -> None:
    clock = Ticks()
    loop = RtspLoop(
        FakeRecorder(), clock, mark=memoryview(bytearray(2)), loss_window_s=1.0, beat=lambda _: None
    )
    loop._next_beat = float("inf")
    camera = Camera()
    loop.add(camera)
    for at in (100.1, 100.2, 100.3 + ASLEEP_S - 0.2, 700.0, 700.1):
        loop.turn(at)
    assert camera.told == ["turn", "turn", "turn", "woke", "turn", "turn"]
