"""A process of its own that looks at one camera's pictures and says numbers of them: nothing else comes out. Edge.

It is given a connection to the camera's live socket, or where there is none a log-in for a session of its own, and
writes one line of JSON for each picture that it measured. What a camera sends meets libav here, so before the first
picture it lets go of all it does not need: no user's rights, no file can be opened any more (Landlock), none that is
open can grow, no new connection, no core, nobody may look into it. No picture is kept longer than it takes to
measure it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import av
import av.error
import av.logging
import numpy as np

from agent.capture.connection import Connection, Login
from agent.field import picture
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.events import Ended, Playing, Redirected
from agent.rtsp.framing import Framer
from agent.rtsp.media import AccessUnit
from agent.rtsp.message import Request
from agent.rtsp.rtp import RtpStream
from agent.rtsp.sdp import parse_sdp
from agent.rtsp.url import parse_url

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

NAMES = {"h264": "h264", "h265": "hevc", "mpeg4": "mpeg4", "mjpeg": "mjpeg"}
RECEIVE_BYTES = 256 << 10
TURN_S = 0.05
MOST_MEMORY = 2 << 30
NICE = 10
"""Recording goes before looking; at the lowest of all, a busy box would never show its first picture."""
NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38  # linux/prctl.h
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWNET = 0x00020000, 0x08000000, 0x40000000  # linux/sched.h
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446  # the same on all machines
LANDLOCK_VERSION = 1
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""By version of Landlock, how many rights on files it knows; none of them is left."""
NET_RIGHTS, NET_SINCE = 0b11, 4
GREY = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray", "nv12")
"""Formats whose first plane is brightness, a byte for each pixel."""


class Watcher:
    """Makes pictures of packets, and numbers of pictures, no more than are asked for."""

    def __init__(self, apart_s: float) -> None:
        """Begin. apart_s: seconds between two measures at least."""
        self._apart_s = apart_s
        self._next_s = 0.0
        self._framer = Framer()
        self._framer.connect({0: self._take})
        self._stream: RtpStream | None = None
        self._context: VideoCodecContext | None = None
        self._units: list[AccessUnit] = []

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take what the live socket brought; return measures. Raises ValueError, RtspError for what is none of ours."""
        self._framer.feed(data)
        while (message := self._framer.next_message(time.monotonic())) is not None:
            if isinstance(message, Request) and message.method == "ANNOUNCE":
                self._announced(message.body)
        units, self._units = self._units, []
        return [found for unit in units for found in self.look(unit)]

    def _announced(self, body: bytes) -> None:
        (media,) = parse_sdp(body).medias
        payload_type = media.payload_types[0]
        encoding, clock = media.rtpmap[payload_type]
        fmtp = dict(media.fmtp.get(payload_type, {}))
        if media.dimensions is not None:
            fmtp["x-dimensions"] = f"{media.dimensions[0]},{media.dimensions[1]}"
        self._stream = RtpStream(depacketizer(encoding, fmtp, clock), payload_type, clock, ssrc=1)

    def _take(self, data: bytes, start: int, end: int, now: float) -> None:
        if self._stream is None:
            return
        self._stream.push(data, start, end, now)
        while (unit := self._stream.pull()) is not None:
            self._units.append(unit)

    def look(self, unit: AccessUnit) -> list[dict[str, Any]]:
        """Decode a picture; return its measures when it is time for some."""
        if unit.format is None or unit.damaged:
            return []
        if self._context is None:
            if not unit.keyframe:
                return []
            context = av.CodecContext.create(NAMES[unit.format.codec], "r")
            context.thread_count = 1
            context.extradata = unit.format.config or None
            self._context = context  # type: ignore[assignment]
        assert self._context is not None
        try:
            frames = self._context.decode(av.Packet(unit.data))
        except av.error.FFmpegError:
            return []
        now = time.monotonic()
        if not frames or now < self._next_s:
            return []
        self._next_s = now + self._apart_s
        return [_numbers(frames[-1])]


def _numbers(frame: VideoFrame) -> dict[str, Any]:
    if frame.format.name not in GREY:
        frame = frame.reformat(format="gray")
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
    return picture.measure(rows[: frame.height, : frame.width]).numbers()


def confine() -> bool:
    """Let go of all rights; tell whether no file of ours can be opened any more.

    That is so by Landlock, or where root has become nobody. What else a kernel does not know is left out.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    with contextlib.suppress(OSError):
        os.nice(NICE)
    was_root = os.geteuid() == 0
    if was_root:
        libc.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return _landlock(libc) or was_root


def _landlock(libc: ctypes.CDLL) -> bool:
    """Give up every right on files, and TCP where the kernel can. Source: landlock(7)."""
    version = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = FILE_RIGHTS[min(version, max(FILE_RIGHTS))]
    has_net = version >= NET_SINCE
    attributes = (ctypes.c_uint64 * 2)((1 << rights) - 1, NET_RIGHTS if has_net else 0)
    ruleset = libc.syscall(
        LANDLOCK_CREATE, ctypes.byref(attributes), ctypes.c_size_t(16 if has_net else 8), 0
    )
    if ruleset < 0:
        return False
    done = libc.syscall(LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return bool(done == 0)


def main(order: dict[str, Any]) -> int:
    """Look until the camera's session ends, or whoever asked is gone.

    order  apart_s; and either `socket`, the descriptor of a live socket, or `login` for a session of its own
    """
    av.logging.set_level(None)
    # What is loaded late is loaded now: afterwards no file can be opened.
    picture.measure(np.zeros((64, 64), np.uint8))
    "".encode("idna")
    watcher = Watcher(order["apart_s"])
    try:
        if "login" in order:
            _own_session(order["login"], watcher)
        else:
            _live_socket(order["socket"], watcher)
    except (OSError, RtspError, ValueError, LookupError):
        return 1
    return 0


def _live_socket(number: int, watcher: Watcher) -> None:
    """Look at what the recorder hands out."""
    connection = socket.socket(fileno=number)
    if not _confined():
        return
    while data := connection.recv(RECEIVE_BYTES):
        for found in watcher.feed(data):
            _say(found)


def _own_session(login: list[Any], watcher: Watcher) -> None:
    """Look at a session of our own; libav gets nothing of it before all rights are gone.

    Raises  OSError, RtspError
    """
    poller = select.epoll()
    plan = Login(*login)
    confined = False
    connection = Connection(plan, parse_url(plan.url), poller, time.monotonic())
    while True:
        ready = {number for number, _ in poller.poll(TURN_S)}
        now = time.monotonic()
        events = list(connection.due(now))
        for each in [each for each in connection.sockets if each.fileno() in ready]:
            events += connection.receive(each, now)
        for event in events:
            if isinstance(event, Redirected):
                connection.redirect(event.url, now)
            elif isinstance(event, Ended):
                return
            elif isinstance(event, Playing):
                confined = _confined()
                if not confined:
                    return
            elif isinstance(event, AccessUnit) and confined:
                for found in watcher.look(event):
                    _say(found)


def _confined() -> bool:
    """Let go of all rights, and say whether that was done: nothing is decoded with the rights of who asked."""
    done = confine()
    _say({"confined": done})
    return done


def _say(body: dict[str, Any]) -> None:
    print(json.dumps(body), flush=True)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.stdin.readline())))
