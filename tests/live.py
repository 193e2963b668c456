"""A loop that records virtual cameras into memory, and listeners at its live sockets."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

from agent.capture.camera import CameraPlan, CameraRecorder
from agent.capture.connection import Login
from agent.capture.live import FOLDER, Live
from agent.capture.loop import RtspCamera, RtspLoop
from agent.capture.sub import SubStream
from agent.clock import SystemClock
from agent.model import GapCause
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.framing import Framer
from agent.rtsp.message import Request
from agent.rtsp.rtp import RtpStream
from agent.rtsp.sdp import parse_sdp
from tests.fakes.recorder import FakeRecorder

if TYPE_CHECKING:
    from pathlib import Path

    from agent.rtsp.media import AccessUnit


class Watched(CameraRecorder):
    """Keeps the access units as they were recorded."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.units: list[AccessUnit] = []

    def picture(self, unit: AccessUnit, *more: object) -> None:
        self.units.append(unit)
        super().picture(unit, *more)  # type: ignore[arg-type]


class Running:
    """Records `urls` in a thread of its own, until it is left."""

    def __init__(
        self, folder: Path, urls: dict[str, str], subs: dict[str, str] | None = None, transport: str = "tcp"
    ) -> None:
        self.folder = folder
        self.recorder = FakeRecorder()
        self.loop = RtspLoop(
            self.recorder,
            SystemClock(),
            mark=memoryview(bytearray(1)),
            loss_window_s=0.5,
            beat=lambda _: None,
        )
        self.cameras: dict[str, RtspCamera] = {}
        for index, (name, url) in enumerate(urls.items()):
            plan = CameraPlan("box", name, 60, 0.0)
            live = Live(str(folder), name, self.loop.poller)
            sub = None
            if subs and name in subs:
                sub = SubStream(
                    Login(subs[name], None, None, "tcp", True),
                    Live(str(folder), f"{name}.sub", self.loop.poller),
                )
            camera = RtspCamera(
                index,
                plan,
                Login(url, None, None, transport, True),
                Watched(plan, self.recorder, None, GapCause.AGENT_STOPPED),
                live=live,
                sub=sub,
            )
            self.cameras[name] = camera
            self.loop.add(camera)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.loop.run, args=(self._stop.is_set,))

    def units(self, name: str) -> list[AccessUnit]:
        recorder = self.cameras[name].recorder
        assert isinstance(recorder, Watched)
        return list(recorder.units)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


class Ear:
    """A listener at a live socket, that reads when it is told to."""

    def __init__(self, folder: Path, name: str, *, wait_s: float = 20.0) -> None:
        place = os.open(folder / FOLDER, os.O_PATH)
        self.socket = socket.socket(socket.AF_UNIX)
        until = time.monotonic() + wait_s
        while True:
            try:
                self.socket.connect(f"/proc/self/fd/{place}/{name}.sock")
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                break
        os.close(place)
        self.description = b""
        self.packets: list[bytes] = []
        self.units: list[AccessUnit] = []
        self.over = False
        self._framer = Framer()
        self._framer.connect({0: self._take})
        self._stream: RtpStream | None = None

    def read(self, wait_s: float = 0.2) -> None:
        """Take what comes within a while."""
        if self.over or not select.select([self.socket], [], [], wait_s)[0]:
            return
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = self.socket.recv(1 << 20)
        if not data:
            self.over = True
            return
        self._framer.feed(data)
        while (message := self._framer.next_message(time.monotonic())) is not None:
            assert isinstance(message, Request)
            assert message.method == "ANNOUNCE"
            assert not self.description, "announced twice"
            self.description = message.body
            (media,) = parse_sdp(message.body).medias
            payload_type = media.payload_types[0]
            encoding, clock = media.rtpmap[payload_type]
            fmtp = dict(media.fmtp.get(payload_type, {}))
            if media.dimensions is not None:
                fmtp["x-dimensions"] = f"{media.dimensions[0]},{media.dimensions[1]}"
            self._stream = RtpStream(depacketizer(encoding, fmtp, clock), payload_type, clock, ssrc=1)

    def hear(self, enough: int, bound_s: float = 30.0) -> list[AccessUnit]:
        """Read until there are so many access units."""
        until = time.monotonic() + bound_s
        while len(self.units) < enough:
            assert time.monotonic() < until, f"{len(self.units)} of {enough} units came"
            assert not self.over, "hung up"
            self.read()
        return self.units

    def _take(self, data: bytes, start: int, end: int, now: float) -> None:
        stream = self._stream
        assert stream is not None, "packets before their description"
        self.packets.append(data[start:end])
        stream.push(data, start, end, now)
        while (unit := stream.pull()) is not None:
            self.units.append(unit)

    @property
    def lost(self) -> int:
        return self._stream.stats.lost if self._stream else 0

    def close(self) -> None:
        self.socket.close()
