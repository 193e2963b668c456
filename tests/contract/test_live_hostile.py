"""What a camera must not bring into what is handed out live, and who connects there and does not listen."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.capture.live import FOLDER, LISTENER_BYTES, LISTENERS, Live
from tests.lab import wait_for
from tests.live import Ear, Running
from tests.talk import Talk, Told
from tests.unit.rtsp.wire import jpeg_packet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE, OTHER = 0x1234, 0x9999
SECRET = b"192.168.88.77"
DESCRIPTION = (
    "v=0\r\no=- 1 1 IN IP4 192.168.88.77\r\ns=secret\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\na=control:video\r\n"
    "m=audio 0 RTP/AVP 26\r\na=control:sound\r\n"
)


def frame(packet: bytes, channel: int = 0) -> bytes:
    return b"$" + bytes((channel,)) + len(packet).to_bytes(2, "big") + packet


def sound(number: int) -> bytes:
    """A packet of sound that claims to be of the pictures' type."""
    return jpeg_packet(number, number, OTHER)[:12] + b"SOUND" * 20


def begin(talk: Talk) -> None:
    """Answer up to PLAY."""
    while True:
        method, target, cseq = talk.request()
        headers, body = "Public: OPTIONS\r\n", ""
        if method == "DESCRIBE":
            headers, body = f"Content-Base: {target}/\r\nContent-Type: application/sdp\r\n", DESCRIPTION
        if method == "SETUP":
            headers = "Session: 77\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        talk.say(cseq, headers=headers, body=body)
        if method == "PLAY":
            return


def pictures(talk: Talk, first: int, count: int = 1 << 30, *, uninvited: bool = False) -> None:
    """Send pictures, 25 a second."""
    for number in range(first, first + count):
        text = frame(jpeg_packet(number, number * 3600))
        if uninvited:
            text = frame(sound(number), 0) + text + frame(sound(number), 5) + frame(sound(number + 9), 0)
        talk.connection.sendall(text)
        time.sleep(0.04)


def test_sound_is_not_handed_out_whatever_it_claims_to_be(tmp_path: Path) -> None:
    """On channels that nobody negotiated, and on the pictures' own with their payload type."""

    def camera(talk: Talk) -> None:
        begin(talk)
        pictures(talk, 1, 10)
        pictures(talk, 11, uninvited=True)

    with Told(camera) as told, Running(tmp_path, {"cam01": f"rtsp://127.0.0.1:{told.port}/x"}) as running:
        wait_for("pictures", lambda: len(running.units("cam01")) > 15)
        ear = Ear(tmp_path, "cam01")
        ear.hear(40)
        ear.close()
        assert len(ear.packets) >= 40
        assert not [packet for packet in ear.packets if b"SOUND" in packet]
        assert all(packet[8:12] == SOURCE.to_bytes(4, "big") for packet in ear.packets)
        assert b"audio" not in ear.description
        assert SECRET not in ear.description
        assert not running.recorder.gaps


def test_another_source_is_followed_as_the_recording_follows_it(tmp_path: Path) -> None:
    """A camera that begins anew inside its session."""
    begun_anew = threading.Event()

    def camera(talk: Talk) -> None:
        begin(talk)
        pictures(talk, 1, 50)
        begun_anew.wait(30)
        for number in range(5000, 6000):
            talk.connection.sendall(frame(jpeg_packet(number, number * 3600, OTHER)))
            time.sleep(0.04)

    with Told(camera) as told, Running(tmp_path, {"cam01": f"rtsp://127.0.0.1:{told.port}/x"}) as running:
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        ear = Ear(tmp_path, "cam01")
        ear.hear(10)
        begun_anew.set()
        wait_for(
            "the other source",
            lambda: (
                ear.read() or [packet for packet in ear.packets if packet[8:12] == OTHER.to_bytes(4, "big")]
            ),
        )
        ear.close()
        assert told.count == 1


def test_what_a_camera_says_after_a_redirect_ends_no_packet_from_before(tmp_path: Path) -> None:
    """The rest of a packet that the first connection owed would be the second one's first words."""

    def first(talk: Talk) -> None:
        begin(talk)
        pictures(talk, 1, 50)
        where = f"rtsp://127.0.0.1:{told.port}/y"
        cut = frame(jpeg_packet(51, 51 * 3600) + bytes(5000))[:200]
        talk.connection.sendall(
            f"REDIRECT {where} RTSP/1.0\r\nCSeq: 1\r\nLocation: {where}\r\n\r\n".encode() + cut
        )
        talk.connection.sendall(bytes(10))
        with contextlib.suppress(OSError):
            while talk.connection.recv(4096):
                pass

    def second(talk: Talk) -> None:
        begin(talk)
        pictures(talk, 1000)

    with (
        Told(first, second) as told,
        Running(tmp_path, {"cam01": f"rtsp://127.0.0.1:{told.port}/x"}) as running,
    ):
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        ear = Ear(tmp_path, "cam01")
        ear.hear(10)
        wait_for("the other connection", lambda: ear.read() or told.count == 2)
        before = len(running.units("cam01"))
        wait_for("its pictures", lambda: ear.read() or len(running.units("cam01")) > before + 20)
        again = Ear(tmp_path, "cam01")
        again.hear(10)
        for each in (ear, again):
            each.close()
            assert not [packet for packet in each.packets if b"RTSP/1.0" in packet or b"rtsp://" in packet]
        assert ear.over
        assert running.cameras["cam01"].reconnects == 0


def test_numbers_and_times_that_wrap_are_handed_out_without_a_hole(tmp_path: Path) -> None:
    def camera(talk: Talk) -> None:
        begin(talk)
        for number in range(65_500, 70_000):
            stamp = (number - 65_540) * 3600  # below nothing at first
            talk.connection.sendall(frame(jpeg_packet(number, stamp)))
            time.sleep(0.03)

    with Told(camera) as told, Running(tmp_path, {"cam01": f"rtsp://127.0.0.1:{told.port}/x"}) as running:
        ear = Ear(tmp_path, "cam01")
        ear.hear(80)
        ear.close()
        numbers = [int.from_bytes(packet[2:4], "big") for packet in ear.packets]
        assert numbers[0] > 60_000
        assert numbers[-1] < 5_000
        assert numbers == [(numbers[0] + place) & 0xFFFF for place in range(len(numbers))]
        assert ear.lost == 0
        assert not running.recorder.gaps


def test_another_size_in_the_middle_is_another_description(tmp_path: Path) -> None:
    """Whoever listens is hung up on, and who comes again begins with what is described to him."""
    grown = threading.Event()

    def camera(talk: Talk) -> None:
        begin(talk)
        for number in range(1, 5000):
            packet = jpeg_packet(number, number * 3600)
            if grown.is_set():
                packet = packet[:18] + bytes((4, 3)) + packet[20:]
            talk.connection.sendall(frame(packet))
            time.sleep(0.03)

    with Told(camera) as told, Running(tmp_path, {"cam01": f"rtsp://127.0.0.1:{told.port}/x"}) as running:
        ear = Ear(tmp_path, "cam01")
        ear.hear(10)
        assert b"16,16" in ear.description
        grown.set()
        wait_for("the end", lambda: ear.read() or ear.over)
        again = Ear(tmp_path, "cam01")
        again.hear(10)
        assert b"32,24" in again.description
        assert {(unit.format.width, unit.format.height) for unit in again.units if unit.format} == {(32, 24)}
        assert {(unit.format.width, unit.format.height) for unit in ear.units if unit.format} == {(16, 16)}
        assert told.count == 1
        for each in (ear, again):
            each.close()
        assert running.cameras["cam01"].reconnects == 0


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Live]:
    """A live socket without a loop around it."""
    poller = select.epoll()
    live = Live(str(tmp_path), "cam01", poller)
    yield live
    live.close()
    poller.close()


def test_f11_who_connects_without_end_does_not_keep_the_recording(
    alone: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F11: as often as somebody is turned away, he is there again."""
    door = alone._socket
    assert door is not None
    place = os.open(tmp_path / FOLDER, os.O_PATH)
    come: list[socket.socket] = []

    def connect() -> None:
        come.append(socket.socket(socket.AF_UNIX))
        come[-1].connect(f"/proc/self/fd/{place}/cam01.sock")

    real = door.accept

    def accept() -> socket.socket | None:
        found = real()
        assert len(come) < 100, "accepting without end"
        connect()
        return found

    monkeypatch.setattr(door, "accept", accept)
    connect()
    alone.turn({door.fileno()})
    assert alone.listeners == LISTENERS
    assert len(come) == LISTENERS + 1
    for each in come:
        each.close()
    os.close(place)


def test_f11_what_listeners_say_is_not_heard(tmp_path: Path) -> None:
    """F11: garbage without end from one, and the other misses nothing."""

    def camera(talk: Talk) -> None:
        begin(talk)
        pictures(talk, 1)

    with Told(camera) as told, Running(tmp_path, {"cam01": f"rtsp://127.0.0.1:{told.port}/x"}) as running:
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        loud, good = Ear(tmp_path, "cam01"), Ear(tmp_path, "cam01")
        loud.socket.setblocking(False)
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                while True:
                    loud.socket.send(os.urandom(4096))
            good.hear(len(good.units) + 3)
        assert good.lost == 0
        assert not running.recorder.gaps
        for each in (loud, good):
            each.close()


def test_f11_those_who_do_not_read_share_what_waits_for_them(tmp_path: Path) -> None:
    """F11: the memory of the recording, however many listen; and a relay to each of nine centres has its place."""
    assert LISTENERS > 9

    def camera(talk: Talk) -> None:
        begin(talk)
        for number in range(1, 5000):
            talk.connection.sendall(frame(jpeg_packet(number, number * 3600) + bytes(60_000)))
            time.sleep(0.02)

    with Told(camera) as told, Running(tmp_path, {"cam01": f"rtsp://127.0.0.1:{told.port}/x"}) as running:
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        deaf = [Ear(tmp_path, "cam01") for _ in range(LISTENERS)]
        live = running.cameras["cam01"].live
        assert isinstance(live, Live)

        def waiting() -> tuple[int, int]:
            """Return how much waits, and how much memory that is."""
            pieces = [piece for listener in list(live._listeners) for piece in list(listener._pending)]
            return sum(map(len, pieces)), sum(map(len, {id(piece): piece for piece in pieces}.values()))

        wait_for("what waits", lambda: waiting()[0] > LISTENERS * (LISTENER_BYTES // 2))
        assert waiting()[1] < 2 * LISTENER_BYTES
        for each in deaf:
            each.close()
        assert running.cameras["cam01"].reconnects == 0


def test_where_there_is_no_descriptor_left_nobody_comes_in_and_nothing_breaks(
    alone: Live, tmp_path: Path
) -> None:
    door = alone._socket
    assert door is not None
    place = os.open(tmp_path / FOLDER, os.O_PATH)
    ear = socket.socket(socket.AF_UNIX)
    ear.connect(f"/proc/self/fd/{place}/cam01.sock")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        alone.turn({door.fileno()})
        assert alone.listeners == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    alone.turn({door.fileno()})
    assert alone.listeners == 1
    ear.close()
    os.close(place)


@pytest.mark.parametrize(
    "what", ["directory", "link", "folder is a link", "folder is a file", "no descriptor"]
)
def test_what_lies_where_a_socket_should_costs_the_live_pictures_alone(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put there by somebody else, or left by an accident; what a link points to is not touched."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "cam01.sock").write_text("precious")
    folder = tmp_path / FOLDER
    if what == "folder is a link":
        folder.symlink_to(victim)
    elif what == "folder is a file":
        folder.write_text("")
    else:
        folder.mkdir()
    if what == "directory":
        (folder / "cam01.sock").mkdir()
    elif what == "link":
        (folder / "cam01.sock").symlink_to(victim / "cam01.sock")
    if what == "no descriptor":
        monkeypatch.setattr(os, "open", _refuse)
    gc.collect()  # what other tests left open is not to go while this counts
    open_before = len(os.listdir("/proc/self/fd"))
    with select.epoll() as poller:
        live = Live(str(tmp_path), "cam01", poller)
        monkeypatch.undo()
        live.turn(set())
        assert (live._socket is not None) == (what == "link")
        live.close()
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert (victim / "cam01.sock").read_text() == "precious"


def _refuse(*_arguments: object, **_more: object) -> int:
    raise OSError(errno.EMFILE, "too many open files")
