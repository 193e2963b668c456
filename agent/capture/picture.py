"""What a camera's recording takes from whatever source reads the camera. Pure."""

from __future__ import annotations

from typing import Protocol


class Format(Protocol):
    """What a picture's stream says of itself; `agent.rtsp.media.VideoFormat` is one."""

    @property
    def codec(self) -> str: ...  # noqa: D102 - named by the fields of Track
    @property
    def clock_rate(self) -> int: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def height(self) -> int: ...  # noqa: D102
    @property
    def config(self) -> bytes: ...  # noqa: D102
    @property
    def reorder(self) -> int | None: ...  # noqa: D102


class Picture(Protocol):
    """One access unit as sources yield it; `agent.rtsp.media.AccessUnit` is one."""

    timestamp: int
    data: bytes
    keyframe: bool
    lost: int
    damaged: bool
    arrival: float

    @property
    def format(self) -> Format | None: ...  # noqa: D102
