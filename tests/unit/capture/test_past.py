"""The last seconds of a camera's bytes: how far they go back, what they cost, and how a listener reads them."""

from __future__ import annotations

import random

import pytest

from agent.capture.past import ENTRY_BYTES, Past, Rewind
from agent.capture.recent import DATAGRAM
from agent.rtsp.errors import RtspError
from agent.rtsp.framing import Framer
from tests.unit.capture.test_recent import frame, rtp

PICTURE = 4  # packets
GOP = 5  # pictures


class Camera:
    """Sends a picture a tenth of a second, a keyframe each half second; what came is kept as the loop would."""

    def __init__(self, past: Past, seed: int | None = None) -> None:
        self.past = past
        self.framer = Framer()
        self.framer.connect({0: self._whole})
        self.packets: list[bytes] = []
        self.now = 0.0
        self._chooser = random.Random(seed) if seed is not None else None
        self._arrivals: dict[int, float] = {}
        self._left = b""
        self._told = 0

    def _whole(self, data: bytes, start: int, _end: int, now: float) -> None:
        self._arrivals.setdefault(int.from_bytes(data[start + 4 : start + 8], "big"), now)

    def _bring(self, data: bytes) -> None:
        if data:
            self.past.add(data, self.framer.missing, self.now)
            self.framer.feed(data)
            while self.framer.next_message(self.now) is not None:
                pass

    def send(self, pictures: int) -> None:
        for _ in range(pictures):
            picture = len(self.packets) // PICTURE
            new = [rtp(len(self.packets) + number, picture, 90) for number in range(PICTURE)]
            self.packets += new
            self.now = round(self.now + 0.1, 3)
            stream = self._left + b"".join(frame(packet) for packet in new)
            cut = self._chooser.randrange(len(stream) + 1) if self._chooser else len(stream)
            self._left = stream[cut:]
            self._bring(stream[:cut])
            # A picture is known to be one once the next has begun.
            for known in range(self._told, max([*self._arrivals, 0])):
                if known % GOP == 0:
                    assert self.past.begins(known, self._arrivals[known])
                self._told = known + 1

    def framed(self, picture: int) -> bytes:
        return b"".join(frame(packet) for packet in self.packets[picture * PICTURE :])


def read(rewind: Rewind, most: int = 1 << 20) -> bytes:
    found = b""
    while rewind.behind_bytes:
        found += b"".join(rewind.more(most))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_a_listener_reads_from_the_keyframe_before_so_many_seconds_to_the_present(seed: int) -> None:
    past = Past(2.0)
    camera = Camera(past, seed)
    camera.send(60)
    mark = past.oldest
    assert mark is not None
    newer = mark.timestamp + GOP
    assert mark.arrival <= camera.now - 2.0
    assert camera._arrivals[newer] > camera.now - 2.0
    rewind = Rewind(past, mark, 0, 96)
    found = read(rewind, random.Random(seed).choice((1, 700, 1 << 20)))
    assert rewind.caught_up
    assert rewind.has_begun
    for _ in range(20):
        camera.send(1)
        found += read(rewind)
    left = len(camera._left)
    whole = camera.framed(mark.timestamp)
    # All but what the camera has not sent to its end; packet by packet the same bytes in the same order.
    assert whole.startswith(found)
    assert len(whole) - len(found) <= left + len(frame(camera.packets[0]))


def test_no_more_is_kept_than_it_must_be() -> None:
    past = Past(1.0)
    camera = Camera(past)
    camera.send(100)
    assert past.oldest is not None
    assert past.newest is not None
    assert past.oldest.arrival == pytest.approx(camera.now - 1.0, abs=0.55)
    assert past.first == past.oldest.place
    assert past.kept_bytes == sum(len(data) + ENTRY_BYTES for _, _, data in past.since(past.first))
    assert past.newest.timestamp == 95
    assert past.offset == sum(map(len, map(frame, camera.packets)))


def test_a_camera_that_sends_much_is_kept_for_fewer_seconds() -> None:
    past = Past(30.0, most_bytes=20_000)
    camera = Camera(past)
    camera.send(300)
    assert past.oldest is not None
    assert 0 < past.kept_bytes <= 20_000
    assert camera.now - past.oldest.arrival < 30.0
    assert read(Rewind(past, past.oldest, 0, 96)) == camera.framed(past.oldest.timestamp)


def test_a_picture_group_that_is_too_large_is_let_go_and_the_next_begins_anew() -> None:
    past = Past(30.0, most_bytes=20_000)
    camera = Camera(past)
    camera.send(GOP + 2)
    past.add(bytes(20_000), 0, camera.now)
    assert past.oldest is None
    assert past.newest is None
    assert past.kept_bytes == 0
    assert not past.begins(6, camera.now)  # its begin was let go, too
    place = past.first
    camera.framer = Framer()
    camera.framer.connect({0: camera._whole})
    camera.send(GOP)
    assert past.oldest is not None
    assert past.oldest.timestamp == 10
    assert past.first >= place
    assert read(Rewind(past, past.oldest, 0, 96)) == camera.framed(10)


def test_a_listener_that_is_too_slow_finds_out() -> None:
    past = Past(1.0)
    camera = Camera(past)
    camera.send(20)
    assert past.oldest is not None
    rewind = Rewind(past, past.oldest, 0, 96)
    rewind.more(1)
    assert not rewind.is_lost
    assert not rewind.caught_up
    camera.send(20)
    assert rewind.is_lost


def test_another_format_begins_anew() -> None:
    past = Past(30.0)
    camera = Camera(past)
    camera.send(20)
    past.begin_anew()
    assert past.oldest is None
    camera.send(5)
    assert past.oldest is not None
    assert past.oldest.timestamp == 20
    assert past.first == past.oldest.place
    assert past.serial == 5


def test_datagrams_are_packets() -> None:
    past = Past(30.0)
    packets = [rtp(number, number // 4) for number in range(40)]
    for number, packet in enumerate(packets):
        past.add(packet, DATAGRAM, number / 10)
        if number % 20 == 4:
            assert past.begins(number // 4 - 1, (number - 4) / 10)
    assert past.oldest is not None
    rewind = Rewind(past, past.oldest, None, 96)
    assert b"".join(rewind.more(1 << 20)) == b"".join(map(frame, packets))
    assert past.begins(5, 2.0)
    assert past.newest is not None
    assert past.newest.place == 20


def test_where_the_begin_cannot_be_found_nothing_comes() -> None:
    past = Past(30.0)
    whole = frame(rtp(1, 7)) + frame(rtp(2, 8))
    past.add(whole[5:30], None, 1.0)  # nobody knows where in a frame this is
    past.add(whole[30:40], 60, 2.0)
    assert past.begins(8, 2.0)
    assert past.oldest is not None
    assert past.oldest.place == 0
    rewind = Rewind(past, past.oldest, 0, 96)
    assert rewind.more(1 << 20) == []
    assert rewind.caught_up
    assert not rewind.has_begun


def test_the_packet_that_a_receive_cuts_is_read_from_its_begin() -> None:
    past = Past(30.0)
    one, two = frame(rtp(1, 7)), frame(rtp(2, 8))
    past.add(one + two[:10], 0, 1.0)
    past.add(two[10:20], len(two) - 10, 2.0)
    past.add(two[20:], len(two) - 20, 3.0)
    assert past.begins(8, 3.0)
    assert past.oldest is not None
    assert past.oldest.place == 0
    assert past.oldest.offset == 0
    assert b"".join(Rewind(past, past.oldest, 0, 96).more(1 << 20)) == two


def test_what_makes_no_sense_is_told() -> None:
    past = Past(30.0)
    past.add(frame(rtp(1, 7)) + b"x" * ((1 << 20) + 100), 0, 1.0)
    assert past.begins(7, 1.0)
    assert past.oldest is not None
    with pytest.raises(RtspError):
        Rewind(past, past.oldest, 0, 96).more(1 << 20)


def test_packets_of_another_source_are_left_out() -> None:
    past = Past(30.0)
    ours, other = rtp(1, 7), bytearray(rtp(2, 7))
    other[8:12] = b"\0\0\0\2"
    past.add(frame(ours) + frame(bytes(other)), 0, 1.0)
    assert past.begins(7, 1.0)
    assert past.oldest is not None
    rewind = Rewind(past, past.oldest, 0, 96, 0)
    assert b"".join(rewind.more(1 << 20)) == frame(ours)
    rewind.follow(2)
    past.add(frame(ours) + frame(bytes(other)), 0, 2.0)
    assert b"".join(rewind.more(1 << 20)) == frame(bytes(other))
    rewind.follow(None)
    past.add(frame(ours) + frame(bytes(other)), 0, 3.0)
    assert b"".join(rewind.more(1 << 20)) == frame(ours) + frame(bytes(other))
