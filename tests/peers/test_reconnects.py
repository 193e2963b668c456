"""A camera that closes again and again (fault K3): no descriptor and no thread is left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from agent.capture.camera import CameraPlan, CameraRecorder
from agent.capture.connection import Login
from agent.capture.loop import RtspCamera, RtspLoop
from agent.clock import SystemClock
from agent.model import GapCause
from tests.fakes.recorder import FakeRecorder
from tests.lab import wait_for
from tests.peers.test_rtsps import certificate
from tests.procedure.test_faulty_cameras import answer_until_play

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECONNECTS = 300
CAMPAIGN_RECONNECTS = 10_000  # in all, over all ways
STEP_S = 3.0  # the loop's time, which is an argument: longer than any pause between two tries


class Closing:
    """A camera that lets every connection go after `say`."""

    def __init__(self, say: Callable[[socket.socket], None]) -> None:
        self._say = say
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = self._listener.getsockname()[1]
        self.sessions = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                connection.settimeout(5)
                self.sessions += 1
                with connection, contextlib.suppress(OSError):
                    self._say(connection)


def at_once(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def amid_the_handshake(connection: socket.socket) -> None:
    connection.recv(65536)


WAYS = {
    "at once": ("rtsp", "127.0.0.1", "tcp", at_once),
    "by name": ("rtsp", "localhost", "tcp", at_once),
    "with a reset": ("rtsp", "127.0.0.1", "tcp", reset),
    "after PLAY": ("rtsp", "127.0.0.1", "tcp", answer_until_play),
    "with UDP set up": ("rtsp", "127.0.0.1", "udp", answer_until_play),
    "amid the TLS handshake": ("rtsps", "127.0.0.1", "tcp", amid_the_handshake),
    "after the TLS handshake": ("rtsps", "127.0.0.1", "tcp", None),
}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("way", WAYS)
def test_k3_nothing_is_left_behind(tmp_path: Path, way: str) -> None:
    reconnect(tmp_path, way, RECONNECTS)


@pytest.mark.campaign
@pytest.mark.parametrize("way", WAYS)
def test_k3_nothing_is_left_behind_by_ten_thousand(tmp_path: Path, way: str) -> None:
    reconnect(tmp_path, way, -(-CAMPAIGN_RECONNECTS // len(WAYS)))


def reconnect(tmp_path: Path, way: str, times: int) -> None:
    """Lose a camera so many times in one way, and count what is open before and after."""
    scheme, host, transport, say = WAYS[way]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path))

    def after_the_handshake(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)

    recorder = FakeRecorder()
    threads = threading.active_count() + 1
    with Closing(say or after_the_handshake) as closing:
        url = f"{scheme}://{host}:{closing.port}/x"
        loop = RtspLoop(
            recorder, SystemClock(), mark=memoryview(bytearray(1)), loss_window_s=1.0, beat=lambda _: None
        )
        plan = CameraPlan("box", "cam", 60, 0.0)
        camera = RtspCamera(
            0,
            plan,
            Login(url, None, None, transport, True),
            CameraRecorder(plan, recorder, None, GapCause.AGENT_STOPPED),
        )
        loop.add(camera)
        now = 1000.0

        def lose(times: int) -> None:
            """Turn until the camera was lost so many times more."""
            nonlocal now
            target = camera.reconnects + times
            until = time.monotonic() + 60 + times / 5
            while camera.reconnects < target:
                assert time.monotonic() < until, f"{camera.reconnects} of {target}"
                if camera.state == "lost":
                    now += STEP_S
                loop.turn(now)
                time.sleep(0.0005)

        lose(5)
        # Our own thread and the camera's; one that looks a name up is gone when it has its answer.
        wait_for("the other threads to end", lambda: threading.active_count() <= threads)
        before = descriptors()
        lose(times)
        wait_for("the other threads to end", lambda: threading.active_count() <= threads)
        assert descriptors() <= before
        assert closing.sessions >= times
        loop.run(lambda: True)
        assert camera.sockets() == []
    assert not recorder.committed
    told = [fact for fact in recorder.facts if fact.kind == "camera.lost"]
    assert len(told) == 1, "however many failures of one outage are one fact"
