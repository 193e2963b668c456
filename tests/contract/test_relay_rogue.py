"""The relay and a media server that was taken over: it ends its own stream, and nothing else (F11, F12)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from agent.rtsp.announce import announce
from agent.uplink.relay_ends import CARRIED_S
from agent.uplink.relaying import Relays, media_url
from agent.uplink.streams import Want
from tests.lab import ROOT, wait_for
from tests.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DESCRIPTION = (
    b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n"
)
KEY, OTHER = 0x65, 0x41


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def packet(number: int, stamp: int, kind: int, size: int) -> bytes:
    head = struct.pack(">BBHII", 0x80, 96, number & 0xFFFF, stamp & 0xFFFFFFFF, 7)
    body = head + bytes((kind, 0x88)) + bytes((number & 0xFF,)) * size
    return b"$\0" + len(body).to_bytes(2, "big") + body


class Cameras:
    """Live sockets with 25 pictures a second, four packets each, behind which there is no camera."""

    def __init__(self, folder: Path, *names: str, size: int = 500) -> None:
        (folder / "live").mkdir()
        self._size = size
        self._doors = []
        self._stop = threading.Event()
        for name in names:
            door = socket.socket(socket.AF_UNIX)
            door.bind(str(folder / "live" / f"{name}.sock"))
            door.listen(8)
            self._doors.append(door)
            threading.Thread(target=self._serve, args=(door,), daemon=True).start()

    def close(self) -> None:
        self._stop.set()
        for door in self._doors:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()

    def _serve(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._tell, args=(door.accept()[0],), daemon=True).start()

    def _tell(self, ear: socket.socket) -> None:
        with contextlib.suppress(OSError), ear:
            ear.sendall(announce("*", DESCRIPTION))
            number = 0
            while not self._stop.wait(0.04):
                kind = KEY if number % 10 == 0 else OTHER
                ear.sendall(
                    b"".join(packet(number * 4 + i, number * 3600, kind, self._size) for i in range(4))
                )
                number += 1


class Rogue:
    """A media server: `evil` has the connections for cam01, all others are served well."""

    def __init__(self, evil: Callable[[Talk], None]) -> None:
        self.evils = 0
        self.carried = 0
        self.wrong: list[str] = []
        self._evil = evil
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._door.accept()[0],), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with contextlib.suppress(OSError), connection:
            target = b""
            while b"RTSP/1.0" not in target:
                target = connection.recv(200, socket.MSG_PEEK)
            if b"/cam01 " in target:
                self.evils += 1
                self._evil(Talk(connection))
                return
            talk = Talk(connection)
            cseq = talk.agree("RECORD")
            talk.say(cseq)
            while data := connection.recv(65536):
                self.carried += len(data)


def refuse_by(method: str, status: str, headers: str = "") -> Callable[[Talk], None]:
    def evil(talk: Talk) -> None:
        talk.say(talk.agree(method), status, headers)
        talk.request()

    return evil


def close_at(method: str) -> Callable[[Talk], None]:
    return lambda talk: (talk.agree(method), None)[1]


def endless(text: bytes, method: str = "SETUP") -> Callable[[Talk], None]:
    """Without end say something, from the first `method` on."""

    def evil(talk: Talk) -> None:
        talk.agree(method)
        while True:
            talk.connection.sendall(text)

    return evil


def after_record(text: bytes, *, again: bool = False, pause_s: float = 0.0) -> Callable[[Talk], None]:
    def evil(talk: Talk) -> None:
        talk.say(talk.agree("RECORD"))
        talk.connection.sendall(text)
        while again:
            time.sleep(pause_s)
            talk.connection.sendall(text)
        while talk.connection.recv(65536):
            pass

    return evil


def drip(talk: Talk) -> None:
    cseq = talk.agree("SETUP")
    for byte in f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n".encode():
        talk.connection.sendall(bytes((byte,)))
        time.sleep(0.2)


def stale(talk: Talk) -> None:
    for number in range(100_000):
        _, _, cseq = talk.request()
        talk.say(
            cseq, "401 Unauthorized", f'WWW-Authenticate: Digest realm="x", nonce="{number}", stale=true\r\n'
        )


def stale_keepalive(talk: Talk) -> None:
    talk.say(talk.agree("RECORD"), headers="Session: 12345678;timeout=1\r\n")
    stale(talk)


ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
TRANSPORT = "Session: 1\r\nTransport: "
SOUND = "v=0\r\nm=video 0 RTP/AVP 96\r\nm=audio 0 RTP/AVP 0\r\na=control:sound\r\n"

EVILS: dict[str, Callable[[Talk], None]] = {
    "closes at once": lambda _talk: None,
    **{f"closes at {method}": close_at(method) for method in ("ANNOUNCE", "SETUP", "RECORD")},
    "closes when it records": lambda talk: talk.say(talk.agree("RECORD")),
    **{
        f"redirects at {method}": refuse_by(method, "302 Found", "Location: rtsp://127.0.0.2/elsewhere\r\n")
        for method in ("ANNOUNCE", "SETUP", "RECORD")
    },
    "refuses": refuse_by("ANNOUNCE", "403 Forbidden"),
    "refuses with words": refuse_by("ANNOUNCE", "500 " + "\x1b[2J" * 100),
    "chooses UDP": refuse_by("SETUP", "200 OK", TRANSPORT + "RTP/AVP;unicast;server_port=9-10\r\n"),
    "chooses a group": refuse_by("SETUP", "200 OK", TRANSPORT + "RTP/AVP/TCP;multicast;interleaved=0-1\r\n"),
    "a header without end": endless(b"X" * 4096),
    "headers without end": endless(b"X: y\r\n" * 100),
    "a body of a gigabyte": endless(b"RTSP/1.0 200 OK\r\nContent-Length: 1000000000\r\n\r\n"),
    "answers without end": endless(ANSWER),
    "patience without end": endless(b"RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n"),
    "questions without end": endless(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    "garbage": endless(os.urandom(65536)),
    "garbage when it records": after_record(os.urandom(65536), again=True),
    "nothing": endless(b"\r\n" * 1000),
    "a byte now and then": drip,
    "stale without end": stale,
    "stale keepalives": stale_keepalive,
    "answers when it records": after_record(ANSWER, again=True),
    "control packets without end": after_record((b"$\x01\0\x08" + bytes(8)) * 1000, again=True),
    "frames that do not end": after_record(b"$\x05\xff\xff" + bytes(100), again=True, pause_s=0.1),
    "hangs up": after_record(b"TEARDOWN rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    "redirects when it records": after_record(b"REDIRECT rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    "describes sound": after_record(
        f"RTSP/1.0 200 OK\r\nContent-Length: {len(SOUND)}\r\n\r\n{SOUND}".encode()
    ),
}


@pytest.fixture
def cameras(tmp_path: Path) -> Iterator[Cameras]:
    made = Cameras(tmp_path, "cam01", "cam02")
    yield made
    made.close()


@pytest.mark.parametrize("name", EVILS)
def test_f11_whatever_a_media_server_does_ends_its_own_stream_alone(
    name: str, cameras: Cameras, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """F11: the relay as a hostage."""
    with Rogue(EVILS[name]) as rogue:
        found = Relays(
            {"": media_url(f"rtsp://user:geheim@127.0.0.1:{rogue.port}")}, "gn-1", str(tmp_path), now_s
        )
        try:
            until = now_s() + 600
            found.want({("cam01", ""): Want(until), ("cam02", ""): Want(until)})
            wait_for("the evil one", lambda: rogue.evils >= 1)
            wait_for("pictures of the other", lambda: rogue.carried > 20_000)
            began, carried = time.monotonic(), rogue.carried
            wait_for("more of them", lambda: rogue.carried > carried + 100_000)
            assert rogue.evils <= 6 + (time.monotonic() - began) * 2, "it comes again slowly"
            found.want({})
            wait_for("the end", lambda: not found.state())
            assert found._thread.is_alive()
            assert "error in" not in caplog.text
            assert "geheim" not in caplog.text
            assert "\x1b" not in caplog.text
        finally:
            found.close()


UPLINK = """
import sys, time
from agent.uplink.relaying import Relays, media_url
from agent.uplink.streams import Want
found = Relays({"": media_url(sys.argv[1])}, "gn-1", sys.argv[2], lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
found.want({("cam02", ""): Want(float(sys.argv[3]))})
time.sleep(600)
"""


class Deaf:
    """A media server that stops reading as soon as it records, and what comes when it reads again."""

    def __init__(self) -> None:
        self.door = socket.create_server(("127.0.0.1", 0))
        self.door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.port = int(self.door.getsockname()[1])
        self.connection: socket.socket | None = None

    def record(self) -> None:
        self.door.settimeout(30)
        self.connection = self.door.accept()[0]
        talk = Talk(self.connection)
        talk.say(talk.agree("RECORD"))

    def waiting(self) -> int:
        """Return how many bytes have come and were not read."""
        assert self.connection is not None
        return int(struct.unpack("i", fcntl.ioctl(self.connection, termios.FIONREAD, b"\0" * 4))[0])

    def is_full(self) -> bool:
        """Tell whether nothing more comes, since nothing is read."""
        before = self.waiting()
        time.sleep(0.5)
        return 0 < before == self.waiting()

    def drained(self) -> int:
        """Read until nothing more comes for a while; return how many bytes there were."""
        assert self.connection is not None
        self.connection.settimeout(1.0)
        count = 0
        with contextlib.suppress(TimeoutError):
            while data := self.connection.recv(65536):
                count += len(data)
        return count

    def rest(self) -> int:
        """Read until the end; return how many bytes there were."""
        assert self.connection is not None
        self.connection.settimeout(20)
        count = 0
        with contextlib.suppress(ConnectionResetError):
            while data := self.connection.recv(65536):
                count += len(data)
        return count


@contextlib.contextmanager
def deaf_uplink(folder: Path, until_s: float) -> Iterator[tuple[Deaf, subprocess.Popen[bytes]]]:
    deaf = Deaf()
    command = [sys.executable, "-c", UPLINK, f"rtsp://127.0.0.1:{deaf.port}", str(folder), str(until_s)]
    uplink = subprocess.Popen(command, cwd=ROOT)
    try:
        deaf.record()
        wait_for("a full line", deaf.is_full)
        time.sleep(1.0)  # for what the sender keeps behind it
        yield deaf, uplink
    finally:
        uplink.kill()
        uplink.wait()
        deaf.door.close()
        if deaf.connection is not None:
            deaf.connection.close()


def test_f12_an_uplink_that_is_killed_sends_nothing_more(tmp_path: Path) -> None:
    """F12: nor does the kernel, of what it was given, when the line comes back."""
    made = Cameras(tmp_path, "cam02", size=1000)
    try:
        with deaf_uplink(tmp_path, now_s() + 600) as (deaf, uplink):
            uplink.send_signal(signal.SIGKILL)
            uplink.wait()
            there = deaf.waiting()
            assert deaf.rest() <= there
    finally:
        made.close()


def test_f12_an_uplink_that_slept_over_the_end_sends_no_more_than_the_frame_that_was_begun(
    tmp_path: Path,
) -> None:
    """F12: stopped (a debugger, a machine that was suspended) before the end, and awake after it."""
    made = Cameras(tmp_path, "cam02", size=1000)
    try:
        until = now_s() + 6.0
        with deaf_uplink(tmp_path, until) as (deaf, uplink):
            uplink.send_signal(signal.SIGSTOP)
            assert now_s() < until
            time.sleep(until + 0.5 - now_s())
            drained = deaf.drained()
            assert drained > 10_000, "what the kernel had was carried in the meantime"
            uplink.send_signal(signal.SIGCONT)
            assert deaf.rest() < 1500, "the rest of one frame, and TEARDOWN"
    finally:
        made.close()


def test_f12_what_a_dead_line_does_not_carry_is_let_go_of_though_nobody_is_awake(tmp_path: Path) -> None:
    """F12: stopped, and the line comes back later: the kernel has thrown away what it had."""
    made = Cameras(tmp_path, "cam02", size=1000)
    try:
        with deaf_uplink(tmp_path, now_s() + 600) as (deaf, uplink):
            uplink.send_signal(signal.SIGSTOP)
            time.sleep(CARRIED_S + 5)
            there = deaf.waiting()
            assert deaf.rest() <= there
    finally:
        made.close()
