"""A bug of ours that one camera provokes ends that camera's session and nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from agent.capture.camera import CameraPlan, CameraRecorder
from agent.capture.connection import Login
from agent.capture.loop import RtspCamera, RtspLoop
from agent.clock import SystemClock
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.model import GapCause
from tests.fakes.recorder import FakeRecorder

if TYPE_CHECKING:
    from collections.abc import Callable


class Faulty(CameraRecorder):
    """Raises once at a picture, at a flush, or at every end of its session, as a bug would."""

    where = "picture"
    count = 0

    def picture(self, *arguments: Any) -> None:
        super().picture(*arguments)
        if self.where != "flush":
            self._break(30)

    def flush(self, now: Any) -> None:
        if self.where == "flush":
            self._break(2)
        super().flush(now)

    def session_ended(self, *arguments: Any) -> None:
        if self.where == "end":
            raise ZeroDivisionError("a bug at the session's end")
        super().session_ended(*arguments)

    def _break(self, at: int) -> None:
        self.count += 1
        if self.count == at:
            raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("where", ["picture", "flush", "end"])
def test_one_camera_fails_and_the_other_loses_nothing(where: str) -> None:
    recorder = FakeRecorder()
    loop = RtspLoop(
        recorder, SystemClock(), mark=memoryview(bytearray(1)), loss_window_s=0.5, beat=lambda _state: None
    )
    specs = [CameraSpec(1, gop=10), CameraSpec(2, gop=10)]
    with CameraProcess(specs) as cameras:
        kinds: list[Callable[..., CameraRecorder]] = [Faulty, CameraRecorder]
        made: list[RtspCamera] = []
        for index, (spec, kind) in enumerate(zip(specs, kinds, strict=True)):
            plan = CameraPlan("box", spec.name, 60, 0.0)
            camera = kind(plan, recorder, None, GapCause.AGENT_STOPPED)
            if isinstance(camera, Faulty):
                camera.where = where
            login = Login(cameras.urls[spec.number], None, None, "tcp", True)
            made.append(RtspCamera(index, plan, login, camera))
            loop.add(made[-1])
        end = time.monotonic() + 60

        def done() -> bool:
            if time.monotonic() > end:
                pytest.fail(f"waited in vain: {[camera.state for camera in made]}")
            return made[0].reconnects == 1 and made[0].state == "recording" and made[0].recorder.frames > 20

        loop.run(done)
    assert {gap.cause for gap, _ in recorder.gaps if gap.camera == "cam01"} == {GapCause.SESSION_ERROR}
    assert not [gap for gap, _ in recorder.gaps if gap.camera == "cam02"]
    assert len([one for one in recorder.committed if one.start.camera == "cam02"]) == 1
    assert made[1].reconnects == 0
