"""A camera that plays a given list of access units to each client, from the first to the last, then says BYE.

What it sends is the same every time, so that what two programs receive can be compared bit for bit.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import av

from agent.demo.camera import CameraHost
from agent.demo.studio import Sample
from agent.demo.units import from_annexb, split_sample, split_unit
from agent.rtsp.errors import RtspError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.demo.connection import Connection
    from agent.demo.spec import CameraSpec

log = logging.getLogger(__name__)

CLOCK = 90_000
CODEC_NAMES = {"h264": "h264", "hevc": "h265", "mpeg4": "mpeg4", "mjpeg": "mjpeg"}


@dataclass(frozen=True, slots=True)
class ReplayUnit:
    """One access unit, in decoding order.

    data   NAL units behind 4-byte lengths (h264, h265), or the raw picture
    ticks  presentation time, 90,000 to the second
    """

    data: bytes
    ticks: int
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds, as a camera would send it."""

    codec: str
    width: int
    height: int
    fps: float
    parameter_sets: tuple[bytes, ...]
    units: tuple[ReplayUnit, ...]


class ReplayCamera(CameraHost):
    """Plays access units to each client that comes.

    spec   codec, size and rate must be those of the units
    speed  1.0 plays in time, 2.0 twice as fast; 0 as fast as the client reads (only sensible over TCP)
    """

    def __init__(
        self,
        spec: CameraSpec,
        units: Sequence[ReplayUnit],
        parameter_sets: tuple[bytes, ...],
        *,
        speed: float = 1.0,
        ledger_directory: Path | None = None,
    ) -> None:
        super().__init__(spec, parameter_sets, ledger_directory)
        self._units = tuple(units)
        self._speed = speed
        self._players: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Stop everything; the ledger stays readable."""
        for task in list(self._players):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await super().stop()

    def playing(self, connection: Connection) -> None:
        """Begin a client with the first unit."""
        task = asyncio.create_task(self._play(connection), name=f"replay {self.spec.name}")
        self._players.add(task)
        task.add_done_callback(self._players.discard)

    async def _play(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = min((unit.ticks for unit in self._units), default=0)
        order = 0
        for number, unit in enumerate(self._units):
            if self._speed:
                # Decoding order: a picture that is shown late may have to leave early.
                order = max(order, unit.ticks - first)
                await asyncio.sleep(max(0.0, began + order / CLOCK / self._speed - loop.time()))
            await connection.writable.wait()
            media_s = unit.ticks / CLOCK
            digest = hashlib.sha256(unit.data).hexdigest()
            sample = Sample(number, 0, media_s, unit.keyframe, unit.data, digest)
            try:
                outcome = connection.offer(sample)
            except RtspError as error:  # RTP cannot carry it, as JPEG with Huffman tables of its own
                log.warning("%s: unit %d cannot be sent: %s", self.spec.name, number, error)
                connection.abort()
                return
            if outcome == "none":
                return
            self._enter(sample, int(outcome == "sent"), int(outcome == "dropped"), loop.time())
            await asyncio.sleep(0)
        connection.goodbye()


def load(path: Path) -> Recording:
    """Read the video of a file, with libav, as access units.

    Raises ValueError when there is no video of a codec that can be sent.
    """
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError(f"{path.name} holds no video")
        stream = container.streams.video[0]
        codec = CODEC_NAMES.get(stream.codec_context.name)
        if codec is None:
            raise ValueError(f"{path.name}: {stream.codec_context.name} is not a camera's codec")
        extradata = bytes(stream.codec_context.extradata or b"")
        units: list[ReplayUnit] = []
        sets: tuple[bytes, ...] = ()
        if codec == "mpeg4":
            sets = tuple(split_unit(codec, extradata)[0])
        elif extradata[:1] == b"\x01":
            sets = _record_sets(codec, extradata)
        elif extradata:
            sets = tuple(split_unit(codec, extradata)[0])
        for packet in container.demux(stream):
            if packet.pts is None or not packet.size:
                continue
            data = bytes(packet)
            if codec in ("h264", "h265") and extradata[:1] != b"\x01":
                data = from_annexb(data)
                if not sets:
                    sets = _leading_sets(codec, data)
            assert packet.time_base is not None
            ticks = round(packet.pts * packet.time_base * CLOCK)
            units.append(ReplayUnit(data, ticks, packet.is_keyframe))
        fps = float(stream.average_rate or 25)
        size = (stream.codec_context.width, stream.codec_context.height)
    return Recording(codec, *size, fps, sets, tuple(units))


def replay_file(spec: CameraSpec, path: Path, *, speed: float = 1.0) -> ReplayCamera:
    """Make a camera that plays a file; codec, size and rate come from it."""
    recording = load(path)
    spec = replace(
        spec, codec=recording.codec, width=recording.width, height=recording.height, fps=recording.fps
    )
    return ReplayCamera(spec, recording.units, recording.parameter_sets, speed=speed)


def _leading_sets(codec: str, sample: bytes) -> tuple[bytes, ...]:
    return tuple(split_unit(codec, b"".join(b"\x00\x00\x01" + unit for unit in split_sample(sample)))[0])


def _record_sets(codec: str, record: bytes) -> tuple[bytes, ...]:
    """Take the parameter sets out of an avcC or hvcC record (ISO 14496-15 5.3.3.1, 8.3.3.1)."""
    units: list[bytes] = []

    def take(at: int, count: int) -> int:
        for _ in range(count):
            end = at + 2 + int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : end])
            at = end
        return at

    if codec == "h264":
        at = take(6, record[5] & 0x1F)
        take(at + 1, record[at])
    else:
        at = 23
        for _ in range(record[22]):
            at = take(at + 3, int.from_bytes(record[at + 1 : at + 3], "big"))
    return tuple(units)
