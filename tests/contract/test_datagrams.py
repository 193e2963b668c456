"""UDP sockets of a camera's session, with real sockets: where they stand, and whom they hear (H10, D11)."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

import pytest

from agent.capture.datagrams import Datagrams

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Camera:
    """The other end of a session: its RTSP connection, and UDP sockets to send from."""

    def __init__(self, family: int, ended: contextlib.ExitStack) -> None:
        self.family, self.ended = family, ended
        door = self._bound(socket.SOCK_STREAM)
        door.listen()
        stream = ended.enter_context(socket.socket(family, socket.SOCK_STREAM))
        stream.connect(door.getsockname())
        self.stream = stream
        self.rtp, self.rtcp = self._bound(socket.SOCK_DGRAM), self._bound(socket.SOCK_DGRAM)
        self.named = (self.rtp.getsockname()[1], self.rtcp.getsockname()[1])

    def _bound(self, kind: int, host: str = "") -> socket.socket:
        sock = self.ended.enter_context(socket.socket(self.family, kind))
        sock.bind((host or HERE[self.family], 0))
        return sock

    def stranger(self, host: str = "") -> socket.socket:
        return self._bound(socket.SOCK_DGRAM, host)


@pytest.fixture(params=["IPv4", "IPv6"])
def camera(request: pytest.FixtureRequest) -> Iterator[Camera]:
    with contextlib.ExitStack() as ended:
        yield Camera(socket.AF_INET if request.param == "IPv4" else socket.AF_INET6, ended)


@pytest.fixture
def box(camera: Camera) -> Iterator[Datagrams]:
    made = Datagrams(camera.stream)
    yield made
    for sock in made.sockets:
        sock.close()


def heard(box: Datagrams, number: int, named: tuple[int, int] | None) -> list[bytes]:
    time.sleep(0.05)  # loopback delivers before send returns; ICMP too
    return list(box.receive(box.sockets[number], named))


def is_alone(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def test_h10_they_stand_at_the_address_to_the_camera_alone(camera: Camera, box: Datagrams) -> None:
    rtp, rtcp = box.ports
    assert (rtp % 2, rtcp) == (0, rtp + 1)
    assert {sock.getsockname()[0] for sock in box.sockets} == {HERE[camera.family]}
    assert [box.is_rtcp(sock) for sock in box.sockets] == [False, True]


def test_h10_once_the_named_port_has_sent_the_kernel_hears_nobody_else(
    camera: Camera, box: Datagrams
) -> None:
    near = [sock.getsockname() for sock in box.sockets]
    for number, sender in enumerate((camera.rtp, camera.rtcp)):
        assert not is_alone(box.sockets[number])
        sender.sendto(b"first", near[number])
        assert heard(box, number, camera.named) == [b"first"]
        assert is_alone(box.sockets[number])
        camera.stranger().sendto(b"another port", near[number])
        sender.sendto(b"second", near[number])
        assert heard(box, number, camera.named) == [b"second"]


@pytest.mark.parametrize("says", [True, False])
def test_a_camera_that_sends_from_another_port_than_it_says_or_says_none_loses_nothing(
    camera: Camera, box: Datagrams, says: bool
) -> None:
    named = camera.named if says else None
    for number in (0, 1):
        sender = camera.stranger()
        for text in (b"1", b"2", b"3"):
            sender.sendto(text, box.sockets[number].getsockname())
            assert heard(box, number, named) == [text]
        assert not is_alone(box.sockets[number])


def test_another_host_is_not_listened_to() -> None:
    with contextlib.ExitStack() as ended:
        camera = Camera(socket.AF_INET, ended)
        box = Datagrams(camera.stream)
        for sock in box.sockets:
            ended.enter_context(sock)
        camera.stranger("127.0.0.2").sendto(b"x", box.sockets[0].getsockname())
        assert heard(box, 0, camera.named) == []
        assert not is_alone(box.sockets[0])


def test_a_port_that_is_closed_ends_no_session(camera: Camera, box: Datagrams) -> None:
    near = box.sockets[0].getsockname()
    camera.rtp.sendto(b"first", near)
    assert heard(box, 0, camera.named) == [b"first"]
    camera.rtp.close()
    box.send(False, b"punch", camera.named)
    assert heard(box, 0, camera.named) == [], "what ICMP says is no end"
    again = camera.ended.enter_context(socket.socket(camera.family, socket.SOCK_DGRAM))
    again.bind((HERE[camera.family], camera.named[0]))
    again.sendto(b"second", near)
    assert heard(box, 0, camera.named) == [b"second"]


def test_what_is_sent_reaches_the_port_that_was_named(camera: Camera, box: Datagrams) -> None:
    box.send(False, b"nowhere", None)
    for number, sender in enumerate((camera.rtp, camera.rtcp)):
        box.send(bool(number), b"report", camera.named)
        sender.settimeout(5)
        data, source = sender.recvfrom(100)
        assert (data, source[1]) == (b"report", box.ports[number])
