"""What the health file shows of cameras and of what cannot be stored. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.capture.camera import CameraRecorder
    from agent.ports import Recorder

STEADY = ("recording", "resting")
"""States of a camera whose pictures come as they should."""


def storage_state(recorder: Recorder) -> dict[str, dict[str, str]]:
    """Return what the health file shows of what cannot be stored: the fault's code, and where."""
    return {
        name: {"code": fault.code, "where": str(fault.context.get("path", ""))}
        for name, fault in recorder.trouble().items()
    }


def camera_state(recorder: CameraRecorder, totals: dict[str, Any], now: float, **more: Any) -> dict[str, Any]:
    """Return one camera's part of the health file. now: monotonic seconds."""
    form = recorder.track
    last = recorder.last_picture
    return {
        "codec": form.codec if form else "",
        "width": form.width if form else 0,
        "height": form.height if form else 0,
        "frames": recorder.frames,
        "skipped": recorder.skipped,
        "runs": recorder.runs,
        "repairs": recorder.repairs,
        "picture_ms": round((now - last) * 1000) if last else None,
        **recorder.gauge.numbers(),
        "conditions": {} if recorder.resting else recorder.gauge.conditions(),
        **({"hours_open": True} if recorder.hours_open else {}),
        **totals,
        **more,
    }
