"""What is left out on a slow line, and how the rest is numbered."""

from __future__ import annotations

import itertools
import random

import pytest

from agent.rtsp.keyframe import Mark
from agent.uplink.relay_queue import HARD_BYTES, MOST_AGE_S, MOST_BYTES, RelayQueue


def mark(data: bytes, start: int, end: int) -> Mark:
    return {0x4B: Mark.KEY, 0x50: Mark.OTHER}.get(data[start + 12], Mark.UNSAID)


class Camera:
    """Sends pictures of packets: K... a keyframe, P another, U packets that say nothing, numbered from 65530 on."""

    def __init__(self, queue: RelayQueue) -> None:
        self.queue = queue
        self.number = 65_530
        self.timestamp = 0
        self.sent: list[tuple[int, int, str]] = []

    def packet(self, kind: str, *, size: int = 100, now: float = 0.0, fresh: bool = False) -> None:
        self.timestamp += 3000 * fresh
        head = (
            b"\x80\x60"
            + (self.number & 0xFFFF).to_bytes(2, "big")
            + self.timestamp.to_bytes(4, "big")
            + bytes(4)
        )
        packet = head + kind.encode() + bytes(size)
        framed = b"x$\0" + len(packet).to_bytes(2, "big") + packet
        self.sent.append((self.number, self.timestamp, kind))
        self.number += 1
        self.queue.put(framed, 5, len(framed), now)

    def picture(self, kinds: str, *, size: int = 100, now: float = 0.0) -> None:
        for place, kind in enumerate(kinds):
            self.packet(kind, size=size, now=now, fresh=place == 0)


def packets(data: bytes) -> list[tuple[int, int, str]]:
    """Return (sequence number, timestamp, kind) of interleaved frames."""
    found, at = [], 0
    while at < len(data):
        assert data[at] == 0x24
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        packet = data[at + 4 : at + 4 + length]
        found.append(
            (int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[4:8], "big"), chr(packet[12]))
        )
        at += 4 + length
    return found


def kinds(data: bytes) -> str:
    return "".join(kind for _, _, kind in packets(data))


@pytest.fixture
def queue() -> RelayQueue:
    return RelayQueue(mark)


@pytest.fixture
def camera(queue: RelayQueue) -> Camera:
    return Camera(queue)


def rest(queue: RelayQueue, most: int = 1 << 30) -> list[tuple[int, int, str]]:
    found = []
    while data := queue.take(most):
        found += packets(data)
    return found


def test_what_comes_goes_unchanged(queue: RelayQueue, camera: Camera) -> None:
    for picture in ("UKK", "PP", "U", "P"):
        camera.picture(picture)
    assert rest(queue) == [(number & 0xFFFF, timestamp, kind) for number, timestamp, kind in camera.sent]
    assert (queue.bytes, queue.left_out, queue.sheds) == (0, 0, 0)
    assert queue.received == sum(113 for _ in camera.sent)


def test_about_as_much_as_is_asked_for(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("KKKK")
    assert kinds(queue.take(1)) == "K"
    assert kinds(queue.take(200)) == "KK"
    camera.packet("K")
    assert kinds(queue.take(1 << 20)) == "KK"
    assert queue.take(100) == b""
    camera.packet("K")  # the same picture goes on
    assert kinds(queue.take(100)) == "K"


def test_too_old_is_left_out_up_to_the_last_keyframe(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("KK", now=0.0)
    camera.picture("P", now=0.1)
    queue.begin(0.5)
    assert not queue.shed(1.0)
    camera.picture("KK", now=1.2)
    camera.picture("P", now=1.3)
    assert queue.delay(2.0) == 2.0
    assert queue.shed(2.0)
    assert (queue.left_out, queue.sheds) == (3, 1)
    assert rest(queue) == [(65_530, 6000 + 3000, "K"), (65_531, 9000, "K"), (65_532, 12_000, "P")]


def test_without_a_keyframe_all_is_left_out_until_the_next(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("K", now=0.0)
    assert kinds(queue.take(1 << 20)) == "K"
    camera.picture("PP", now=0.1)
    camera.picture("PPP", now=0.2)
    assert queue.shed(3.0)
    assert queue.take(1 << 20) == b""
    camera.packet("P")  # of the picture that was left out
    camera.picture("UP")
    assert queue.take(1 << 20) == b""
    camera.picture("U")
    camera.picture("UK")
    camera.picture("P")
    assert [(number, kind) for number, _, kind in rest(queue)] == [
        (65_531, "U"), (65_532, "U"), (65_533, "K"), (65_534, "P"),
    ]  # fmt: skip
    assert queue.left_out == 8


def test_a_picture_that_was_begun_is_sent_to_its_end(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("K", now=0.0)
    camera.picture("PPPP", now=0.1)
    assert kinds(queue.take(220)) == "KP"
    camera.picture("P", now=0.2)
    assert queue.shed(3.0)
    camera.picture("K", now=3.0)
    assert [(number, kind) for number, _, kind in rest(queue)] == [
        (65_532, "P"), (65_533, "P"), (65_534, "P"), (65_535, "K"),
    ]  # fmt: skip


def test_a_keyframe_that_is_being_sent_is_sent_to_its_end(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("KKKK", now=0.0)
    assert kinds(queue.take(1)) == "K"
    assert not queue.shed(5.0)
    camera.picture("P", now=1.0)
    assert queue.shed(5.0)
    camera.picture("KK", now=5.0)
    camera.picture("P", now=5.1)
    assert not queue.shed(5.2)  # what is being sent may be old: what waits is young
    assert queue.shed(7.0)
    assert [(number, kind) for number, _, kind in rest(queue)] == [
        (65_531, "K"), (65_532, "K"), (65_533, "K"), (65_534, "K"), (65_535, "K"),
    ]  # fmt: skip


def test_a_keyframe_that_waits_is_not_left_out_for_what_comes_behind_it(
    queue: RelayQueue, camera: Camera
) -> None:
    camera.picture("KK", now=0.0)
    camera.picture("P", now=0.1)
    assert queue.shed(MOST_AGE_S + 0.2)
    assert kinds(queue.take(1 << 20)) == "KK"
    assert not queue.shed(9.0)


def test_too_much_is_too_much_however_young(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("K", size=50_000)
    while queue.bytes <= MOST_BYTES:
        camera.picture("P", size=50_000)
    assert queue.shed(0.0)
    assert kinds(queue.take(1 << 30)) == "K"


def test_a_picture_that_does_not_end(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("K", size=50_000)
    queue.take(1)
    while queue.bytes <= HARD_BYTES:
        camera.packet("K", size=50_000)
    assert queue.shed(0.0)
    assert queue.bytes == 0
    camera.packet("K", size=50_000)
    assert queue.bytes == 0
    camera.picture("K")
    assert [number for number, _, _ in rest(queue)] == [65_532], (
        "65531 never comes: it is a loss, and to be seen"
    )


def test_keyframes_only_and_back(queue: RelayQueue, camera: Camera) -> None:
    queue.only_keyframes(True)
    queue.only_keyframes(True)
    for picture in ("K", "P", "UP", "U"):
        camera.picture(picture)
    assert kinds(queue.take(1 << 20)) == "K"
    assert queue.take(1 << 20) == b""
    camera.picture("K")
    assert kinds(queue.take(1 << 20)) == "UK"
    queue.only_keyframes(False)
    camera.picture("P")  # what it follows was left out
    assert queue.take(1 << 20) == b""
    camera.picture("K")
    camera.picture("P")
    assert kinds(queue.take(1 << 20)) == "KP"


def test_another_channel(queue: RelayQueue, camera: Camera) -> None:
    queue.channel = 4
    camera.picture("KK")
    data = queue.take(1 << 20)
    assert data[:2] == b"$\4"
    assert packets(data) == [(65_530, 3000, "K"), (65_531, 3000, "K")]


def test_what_the_cameras_line_lost_stays_lost(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("K")
    camera.number += 3
    camera.picture("P")
    assert [number for number, _, _ in rest(queue)] == [65_530, 65_534]


def test_nothing_belongs_to_nothing(queue: RelayQueue) -> None:
    assert not queue.shed(100.0)
    assert queue.take(100) == b""
    assert queue.delay(5.0) == 0.0


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_what_goes_out_can_be_decoded(seed: int) -> None:
    """Whole pictures, numbers without holes; every picture follows the one before or is a key."""
    chooser = random.Random(seed)
    queue = RelayQueue(mark)
    camera = Camera(queue)
    out: list[tuple[int, int, str]] = []
    whole: dict[int, int] = {}
    now = 0.0
    for number in range(300):
        key = number % 10 == 0
        picture = "U" * chooser.randrange(2) + ("K" if key else "P") * chooser.randrange(1, 6)
        camera.picture(picture, now=now, size=chooser.choice([10, 1000]))
        whole[camera.timestamp] = len(picture)
        now += chooser.choice([0.04, 0.04, 1.0])
        if chooser.random() < 0.6:
            out += packets(queue.take(chooser.choice([1, 500, 5000])))
        queue.shed(now)
        if chooser.random() < 0.03:
            queue.only_keyframes(chooser.random() < 0.5)
    out += rest(queue)
    assert queue.bytes == 0
    pictures: list[tuple[int, bool, int]] = []  # timestamp, key, packets
    for place, (number, timestamp, kind) in enumerate(out):
        assert not place or (out[place - 1][0] + 1) & 0xFFFF == number
        if not pictures or pictures[-1][0] != timestamp:
            pictures.append((timestamp, False, 0))
        stamp, key, count = pictures[-1]
        pictures[-1] = (stamp, key or kind == "K", count + 1)
    for before, after in itertools.pairwise(pictures):
        assert after[1] or after[0] == before[0] + 3000, (before, after)
    assert all(count == whole[stamp] for stamp, _, count in pictures)


def test_rows_of_packets_are_taken_at_once(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("K", size=100)
    head = (
        b"\x80\x60"
        + (0).to_bytes(2, "big")
        + camera.timestamp.to_bytes(4, "big")
        + bytes(4)
        + b"K"
        + bytes(100)
    )
    framed = b"$\0" + len(head).to_bytes(2, "big") + head
    row = b"".join(framed[:6] + number.to_bytes(2, "big") + framed[8:] for number in (65531, 65532, 65533))
    assert queue.put_run(row + framed[:50], 0, len(row) + 50) == len(row)
    assert queue.put_run(framed[:50], 0, 50) == 0  # not whole
    short = framed[:2] + b"\0\4" + framed[4:16]
    assert queue.put_run(short, 0, len(short)) == 0  # no packet of RTP
    other = b"".join(framed[:8] + b"\1" + framed[9:] for _ in range(3))
    assert queue.put_run(other, 0, len(other)) == 0  # nor another picture's
    elsewhere = b"".join(b"$\1" + framed[2:] for _ in range(3))
    assert queue.put_run(elsewhere, 0, len(elsewhere)) == 0
    queue.channel = 2
    assert [number for number, _, _ in packets(queue.take(1 << 20))] == [65530, 65531, 65532, 65533]
    camera.picture("U")
    assert queue.put_run(row, 0, len(row)) == 0  # what it is, is not known yet
    camera.picture("P")
    camera.picture("P")
    queue.shed(99.0)
    assert queue.put_run(row, 0, len(row)) == 0  # left out


def past(queue: RelayQueue, camera: Camera, seconds: int, *, now: float, size: int = 100) -> None:
    """Bring so many pictures, one keyframe in five, all at once."""
    for number in range(seconds):
        camera.picture("P" if number % 5 else "K", size=size, now=now)


def test_past_seconds_may_be_sent_for_as_long_as_they_are_old() -> None:
    queue = RelayQueue(mark, 20.0)
    camera = Camera(queue)
    past(queue, camera, 20, now=0.0)
    assert queue.is_past
    assert not queue.shed(100.0)  # the connection takes its time
    queue.begin(100.0)
    assert not queue.shed(119.0)
    assert (queue.left_out, queue.sheds) == (0, 0)
    assert [place for place, _, _ in rest(queue)] == [place & 0xFFFF for place, _, _ in camera.sent]


def test_on_a_slow_line_the_past_is_left_out_up_to_the_present() -> None:
    queue = RelayQueue(mark, 5.0)
    camera = Camera(queue)
    past(queue, camera, 20, now=0.0)
    queue.begin(0.0)
    camera.picture("K", now=5.0)
    camera.picture("P", now=5.1)
    assert not queue.shed(5.1), "that the line does not carry the past as well says nothing of the present"
    assert not queue.is_past
    assert (queue.left_out, queue.sheds) == (20, 1)
    assert kinds(queue.take(1 << 20)) == "KP"
    camera.picture("P", now=6.0)
    assert queue.shed(9.0)


def test_when_the_past_is_sent_the_present_may_not_be_late() -> None:
    queue = RelayQueue(mark, 20.0)
    camera = Camera(queue)
    past(queue, camera, 5, now=0.0)
    queue.begin(0.0)
    queue.take(1 << 20)
    assert not queue.shed(0.5)
    assert queue.is_past, "more may come"
    assert not queue.shed(2.0)
    assert not queue.is_past
    camera.picture("K", now=2.0)
    camera.picture("P", now=2.1)
    camera.picture("K", now=2.2)
    assert queue.shed(4.0)


def test_more_past_than_there_is_room_for_goes_from_its_begin_by_whole_stretches() -> None:
    queue = RelayQueue(mark, 20.0)
    camera = Camera(queue)
    past(queue, camera, 10, now=0.0, size=1000)
    assert not queue.shed(0.0, 20_000)
    begun = queue.take(10)
    assert begun
    assert not queue.shed(0.0, 9_000)
    assert queue.left_out == 4, "of the first stretch what was not begun; the second one has room"
    assert kinds(queue.take(1 << 20)) == "KPPPP"
    past(queue, camera, 3, now=0.0, size=1000)
    assert not queue.shed(0.0, 1_000)
    assert queue.bytes == 0


def test_how_much_of_a_stream_its_keyframes_are(queue: RelayQueue, camera: Camera) -> None:
    camera.picture("KK", size=500)
    camera.picture("P", size=200)
    camera.picture("P", size=200)
    assert queue.share is None
    camera.picture("KK", size=500)
    assert queue.share == pytest.approx(1026 / 1452)


def slot(camera: Camera, pictures: str) -> bytes:
    """Return what a camera hands out at a time: pictures apart by spaces, one that goes on first where it begins with -."""
    out = b""
    for picture in pictures.split():
        for place, kind in enumerate(picture.removeprefix("-")):
            camera.timestamp += 3000 * (place == 0 and not picture.startswith("-"))
            head = b"\x80\x60" + (camera.number & 0xFFFF).to_bytes(2, "big")
            packet = head + camera.timestamp.to_bytes(4, "big") + bytes(4) + kind.encode() + bytes(100)
            out += b"$\0" + len(packet).to_bytes(2, "big") + packet
            camera.sent.append((camera.number, camera.timestamp, kind))
            camera.number += 1
    return out


class Line:
    """Passes on what may go unread, and reads the rest, as a relay does."""

    def __init__(self, queue: RelayQueue) -> None:
        self.queue = queue
        self.out: list[tuple[int, int, str]] = []
        self.passed = 0
        self._last = b""

    def put(self, data: bytes, now: float) -> None:
        at = 0
        while at < len(data):
            stop = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
            self.queue.put(data, at + 4, stop, now)
            at = self.queue.put_run(data, stop, len(data))

    def bring(self, data: bytes, now: float, *, easy: bool = True) -> None:
        if easy and self.queue.passes:
            self.queue.passed += len(data)
            self.passed += 1
            self._last = data
            self.out += packets(data)
            return
        if self._last:
            last, self._last = self._last, b""
            self.queue.reread(last)
            self.put(last, now)
            self.queue.reread_over()
        self.put(data, now)

    def take(self, most: int = 1 << 20) -> None:
        self.out += packets(self.queue.take(most))


def test_on_a_line_at_ease_what_comes_goes_on_unread(queue: RelayQueue, camera: Camera) -> None:
    line = Line(queue)
    for now, pictures in enumerate(("KKK P P", "P P", "KK P")):
        line.bring(slot(camera, pictures), now)
        assert not queue.passes, "something waits"
        line.take()
    assert queue.passes
    for now in range(3, 9):
        line.bring(slot(camera, "P P KK P"), now)
    assert line.passed == 6
    assert line.out == [(number & 0xFFFF, stamp, kind) for number, stamp, kind in camera.sent]
    assert 113 * len(camera.sent) <= queue.received <= 117 * len(camera.sent)
    assert queue.share == pytest.approx(3 / 7, abs=0.01), "of what was read"


def test_a_picture_that_was_begun_unread_is_ended_where_the_line_becomes_slow(
    queue: RelayQueue, camera: Camera
) -> None:
    line = Line(queue)
    for pictures in ("KK P", "KK P", "P PP"):
        line.bring(slot(camera, pictures), 0.0)
        line.take()
    line.bring(slot(camera, "P PPP"), 0.1)
    assert line.passed == 2
    line.bring(slot(camera, "-PP P P K"), 0.2, easy=False)
    assert queue.delay(3.0) == pytest.approx(2.8)
    assert queue.shed(3.0)
    line.take()
    line.bring(slot(camera, "P"), 3.1)
    line.take()
    assert line.passed == 2, "numbers are written anew from now on"
    numbers = [number for number, _, _ in line.out]
    assert numbers == [number & 0xFFFF for number in range(65_530, 65_530 + len(numbers))]
    assert queue.left_out == 2


def kinds_of(found: list[tuple[int, int, str]]) -> str:
    return "".join(kind for _, _, kind in found)


def test_keyframes_alone_are_asked_for_in_the_middle_of_what_goes_unread(
    queue: RelayQueue, camera: Camera
) -> None:
    line = Line(queue)
    for pictures in ("KK P", "KK P"):
        line.bring(slot(camera, pictures), 0.0)
        line.take()
    line.bring(slot(camera, "P PP"), 0.1)
    queue.only_keyframes(True)
    assert not queue.passes
    line.bring(slot(camera, "-P P P KK P"), 0.2)
    line.take()
    assert line.out == [(number & 0xFFFF, stamp, kind) for number, stamp, kind in camera.sent[:10]] + [
        (number - 2 & 0xFFFF, stamp, kind) for number, stamp, kind in camera.sent[12:14]
    ], "what is begun is ended; what was sent unread is not taken for left out"


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_sent_twice_and_nothing_goes_without_being_counted(seed: int) -> None:
    chance = random.Random(seed)
    queue = RelayQueue(mark)
    camera, line = Camera(queue), Line(queue)
    line.bring(slot(camera, "KK P"), 0.0)
    for turn in range(300):
        pictures = " ".join(
            chance.choice(("K", "KKK")) if chance.random() < 0.2 else "P" * chance.randint(1, 4)
            for _ in range(chance.randint(1, 4))
        )
        going_on = "-" if chance.random() < 0.4 and camera.sent[-1][2] == pictures[0] else ""
        line.bring(slot(camera, going_on + pictures), float(turn), easy=chance.random() < 0.8)
        if turn > 200 and chance.random() < 0.05:
            queue.only_keyframes(chance.random() < 0.5)
        if turn > 250 and chance.random() < 0.1:
            queue.shed(float(turn) + 2)
        line.take(chance.choice((200, 1 << 20, 1 << 20)))
    queue.only_keyframes(False)
    line.bring(slot(camera, "K P"), 400.0, easy=False)
    for _ in range(9):
        line.take()
    assert line.passed > 30
    assert len(line.out) + queue.left_out == len(camera.sent)
    came = iter(camera.sent)
    for _, stamp, kind in line.out:
        assert any((stamp, kind) == (other, what) for _, other, what in came), (
            "in the order in which they came"
        )
    gaps = [(after[0] - before[0] & 0xFFFF) - 1 for before, after in itertools.pairwise(line.out)]
    assert set(gaps) <= {0, 1}, "one number is missing where a begun picture is, and none elsewhere"


def test_parameter_sets_before_the_first_keyframe_say_nothing_of_its_share(
    queue: RelayQueue, camera: Camera
) -> None:
    camera.picture("U")
    camera.picture("KK")
    rest(queue)
    assert queue.share is None
    assert not queue.passes
    camera.picture("P")
    camera.picture("KK")
    rest(queue)
    assert queue.share == pytest.approx(2 / 4)
    assert queue.passes
