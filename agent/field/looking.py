"""Looks at one camera: through its live socket, which needs no second session at the camera, or where the recorder
hands nothing out (no [uplink] media) by a session of its own. Edge.

The looking itself is done by a process that can do nothing else (`agent.field.eye`); only numbers come back.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from agent.config.values import SourceKind
from agent.errors import CameraFault
from agent.field.picture import Measures
from agent.language import say

if TYPE_CHECKING:
    from agent.config.secrets import Login
    from agent.config.values import Camera

FOLDER = "live"
APART_S = 0.25
FIRST_S = 30.0
"""A camera with a keyframe every ten seconds may take so long to show its first picture, also on a busy box."""
LINE_BYTES = 4096


class Looking:
    """One look at one camera; closed when it is left."""

    def __init__(self, run: Path, camera: Camera, login: Login | None, apart_s: float = APART_S) -> None:
        """Connect, and begin to look.

        login    the camera's, for a session of its own
        Raises   CameraFault AIM_NOT_RECORDED
        """
        connection = _connect(run, camera.id)
        if connection is None and camera.kind is not SourceKind.RTSP:
            raise CameraFault(
                "AIM_NOT_RECORDED",
                say(f"{camera.id}의 그림을 받을 수 없습니다", f"no pictures of {camera.id} can be had"),
                camera=camera.id,
            )
        order: dict[str, Any] = {"apart_s": apart_s}
        if connection is not None:
            order["socket"] = connection.fileno()
        else:
            user, password = (login.username, login.password) if login is not None else (None, None)
            order["login"] = [camera.url, user, password, camera.transport, camera.allow_basic_auth]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent.field.eye"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=() if connection is None else (connection.fileno(),),
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"},
            )
        finally:
            if connection is not None:
                connection.close()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.close()
        assert self._process.stdout is not None
        self._pipe = self._process.stdout.fileno()
        self._waiting = b""
        self._over = False
        self.confined: bool | None = None

    def __enter__(self) -> Self:
        """Do nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def held_up_s(self) -> float:
        """Seconds for which the one who looks was ready and had no processor, by the kernel; 0 where it does not count.

        Source  Documentation/scheduler/sched-stats.rst, second number of /proc/PID/schedstat
        """
        try:
            return int(Path(f"/proc/{self._process.pid}/schedstat").read_bytes().split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def next(self, wait_s: float) -> Measures | None:
        """Return the next measures; None when none came in time.

        Raises  CameraFault AIM_ENDED when it is over; AIM_UNCONFINED, AIM_ODD
        """
        until = time.monotonic() + wait_s
        while True:
            while b"\n" in self._waiting:
                line, _, self._waiting = self._waiting.partition(b"\n")
                confined, found = _read(line)
                if found is not None:
                    return found
                self.confined = confined
                if not self.confined:
                    raise CameraFault(
                        "AIM_UNCONFINED",
                        say(
                            "그림을 푸는 프로세스를 가둘 수 없습니다",
                            "what decodes the pictures cannot be confined",
                        ),
                    )
            if self._over:
                raise CameraFault(
                    "AIM_ENDED", say("카메라의 그림이 끊겼습니다", "the camera's pictures came to an end")
                )
            if not select.select([self._pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            data = os.read(self._pipe, LINE_BYTES)
            self._over = not data
            self._waiting += data
            if len(self._waiting) > 2 * LINE_BYTES:
                raise _odd()


def _read(line: bytes) -> tuple[bool, Measures | None]:
    """Read a line of whoever meets a stranger's pictures, and may be the stranger's by now: no text of it is shown.

    Returns  whether it is confined, or measures. Raises CameraFault AIM_ODD
    """
    try:
        said = json.loads(line[:LINE_BYTES])
        if said in ({"confined": True}, {"confined": False}):
            return bool(said["confined"]), None
        return False, Measures.read(said)
    except (ValueError, RecursionError):
        raise _odd() from None


def _odd() -> CameraFault:
    return CameraFault(
        "AIM_ODD",
        say(
            "그림을 재는 프로세스가 수가 아닌 것을 말했습니다",
            "what measures the pictures said more than numbers",
        ),
    )


def _connect(run: Path, camera: str) -> socket.socket | None:
    """Connect by the folder's descriptor: the path of a socket may be 107 bytes long. None: nothing is handed out."""
    made = socket.socket(socket.AF_UNIX)
    try:
        folder = os.open(run / FOLDER, os.O_PATH | os.O_DIRECTORY)
        try:
            made.connect(f"/proc/self/fd/{folder}/{camera}.sock")
        finally:
            os.close(folder)
    except OSError:
        made.close()
        return None
    return made
